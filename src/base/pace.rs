//! How often something may happen: so many times at once, and once in so much time on average.
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub struct Pace {
    each: Duration,
    burst: u32,
    /// When it would be as if nothing had happened.
    even_at: Option<Instant>,
}

impl Pace {
    /// `burst` times at once (1 or more), and once in `each` on average.
    pub const fn new(each: Duration, burst: u32) -> Self {
        Self { each, burst, even_at: None }
    }

    /// When it may happen next; `None`: at any time.
    pub fn ready_at(&self) -> Option<Instant> {
        self.even_at?.checked_sub(self.each * self.burst.saturating_sub(1))
    }

    pub fn is_ready(&self, now: Instant) -> bool {
        self.ready_at().is_none_or(|at| at <= now)
    }

    /// May it happen now? Then it counts.
    pub fn take(&mut self, now: Instant) -> bool {
        let ready = self.is_ready(now);
        if ready {
            self.even_at = Some(self.even_at.map_or(now, |at| at.max(now)) + self.each);
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_average() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::from_millis(100), 5);
        assert_eq!(pace.ready_at(), None);
        let taken = |pace: &mut Pace, ms| (0..50).filter(|_| pace.take(start + Duration::from_millis(ms))).count();
        assert_eq!(taken(&mut pace, 0), 5);
        assert_eq!(pace.ready_at(), Some(start + Duration::from_millis(100)));
        assert_eq!((1..=20).map(|tenth| taken(&mut pace, tenth * 50)).sum::<usize>(), 10);
        assert_eq!(taken(&mut pace, 60_000), 5, "a long rest saves no more than one burst");
    }
}
