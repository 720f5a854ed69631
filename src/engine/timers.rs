//! When something is due for whom, without looking at everybody. A moment that moves to later, which is the rule, costs
//! nothing until the old one comes: only then the new one is written down.
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// At most one entry for each key is in force; those that were overtaken by an earlier one are dropped when they come up.
#[derive(Debug)]
pub struct Timers<K> {
    heap: BinaryHeap<Reverse<(Instant, K)>>,
    /// When each key is due, and the earliest moment for it in the heap.
    due: HashMap<K, (Instant, Instant)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), due: HashMap::new() }
    }
}

impl<K: Copy + Ord + Hash> Timers<K> {
    /// `None`: nothing is due for it any more.
    pub fn set(&mut self, key: K, at: Option<Instant>) {
        let Some(at) = at else {
            self.due.remove(&key);
            return;
        };
        if self.due.get(&key).is_some_and(|(due, _)| *due == at) {
            return;
        }
        let written = self.due.get(&key).map(|(_, written)| *written).filter(|written| *written <= at);
        if written.is_none() {
            self.heap.push(Reverse((at, key)));
        }
        self.due.insert(key, (at, written.unwrap_or(at)));
    }

    /// It is due then, if not earlier.
    pub fn set_earlier(&mut self, key: K, at: Instant) {
        if self.due.get(&key).is_none_or(|(due, _)| at < *due) {
            self.set(key, Some(at));
        }
    }

    /// The first moment at which something may be due; never later than what is due first.
    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// The next key that is due; it is due no more until it is set again.
    pub fn pop(&mut self, now: Instant) -> Option<K> {
        while self.next().is_some_and(|at| at <= now) {
            let Reverse((at, key)) = self.heap.pop()?;
            let Some((due, written)) = self.due.get_mut(&key) else { continue };
            if at != *written {
                // Overtaken: an earlier entry has been here.
                continue;
            }
            if *due <= now {
                self.due.remove(&key);
                return Some(key);
            }
            *written = *due;
            let due = *due;
            self.heap.push(Reverse((due, key)));
        }
        None
    }

    /// Keys with something to wait for, and when.
    pub fn iter(&self) -> impl Iterator<Item = (K, Instant)> {
        self.due.iter().map(|(key, (at, _))| (*key, *at))
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_key_comes_up_once_when_its_latest_word_says() {
        let (start, mut timers) = (Instant::now(), Timers::default());
        let at = |ms| start + Duration::from_millis(ms);
        timers.set(1, Some(at(10)));
        timers.set(1, Some(at(30)));
        timers.set(2, Some(at(20)));
        timers.set(2, Some(at(5)));
        timers.set(3, Some(at(7)));
        timers.set(3, None);
        timers.set_earlier(4, at(50));
        timers.set_earlier(4, at(60));
        let mut came = Vec::new();
        for ms in 0..100 {
            while let Some(key) = timers.pop(at(ms)) {
                came.push((ms, key));
            }
        }
        assert_eq!(came, [(5, 2), (30, 1), (50, 4)]);
        assert!(timers.is_empty() && timers.next().is_none());
    }

    #[test]
    fn a_moment_that_always_moves_on_leaves_one_entry() {
        let (start, mut timers) = (Instant::now(), Timers::default());
        for ms in 0..10_000 {
            let now = start + Duration::from_millis(ms);
            assert_eq!(timers.pop(now), None);
            timers.set(7, Some(now + Duration::from_secs(1)));
        }
        assert_eq!((timers.heap.len(), timers.due.len()), (1, 1));
    }
}
