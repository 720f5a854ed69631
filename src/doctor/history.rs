//! The sessions that ended, with what was known at their end: bounded, and a player that fails again and again in the
//! same way takes one place, not all of them.
use super::facts::Session;
use super::verdict::{self, Verdict};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Sessions remembered; at some 2 KiB each.
pub const MAX_PAST: usize = 50;
/// What ended longer ago is history, not trouble: it no longer makes the relay count as ailing.
pub const RECENT: Duration = Duration::from_secs(600);

/// One session that ended, or an offer that was refused.
#[derive(Debug)]
pub struct Past {
    pub facts: Session,
    pub verdict: Option<Verdict>,
    pub at: Instant,
    /// How often the same befell the same peer.
    pub times: u32,
}

#[derive(Debug, Default)]
pub struct History {
    list: VecDeque<Past>,
}

impl History {
    pub fn add(&mut self, facts: Session, now: Instant) {
        let verdict = verdict::session(&facts);
        let same = |past: &Past| {
            let (old, new) = (&past.facts, &facts);
            let alike = (&old.stream.name, old.publishes, host(&old.from), &old.client, old.phase)
                == (&new.stream.name, new.publishes, host(&new.from), &new.client, new.phase);
            alike && past.verdict.as_ref().map(|v| v.code) == verdict.as_ref().map(|v| v.code)
        };
        // What ended well is told apart: each session had its own life.
        let known = verdict.is_some().then(|| self.list.iter().position(same)).flatten();
        let times = known.and_then(|at| self.list.remove(at)).map_or(1, |past| past.times.saturating_add(1));
        self.list.truncate(MAX_PAST - 1);
        self.list.push_front(Past { facts, verdict, at: now, times });
    }

    /// The latest first.
    pub fn iter(&self) -> impl Iterator<Item = &Past> {
        self.list.iter()
    }
}

/// The address without its port.
fn host(from: &str) -> &str {
    from.rsplit_once(':').map_or(from, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::facts::Stream;

    fn ended(name: &str, port: u16, failed: bool) -> Session {
        let stream = Stream { name: name.into(), ..Stream::default() };
        Session { stream, failed, from: format!("192.168.1.9:{port}"), ..Session::default() }
    }

    #[test]
    fn the_same_failure_again_takes_no_second_place() {
        let (mut history, now) = (History::default(), Instant::now());
        history.add(ended("yard", 1, false), now);
        for port in 0..1000 {
            history.add(ended("door", port, true), now);
        }
        history.add(ended("yard", 2, false), now);
        let seen: Vec<_> = history.iter().map(|past| (past.facts.stream.name.as_str(), past.times)).collect();
        assert_eq!(seen, [("yard", 1), ("door", 1000), ("yard", 1)]);
    }

    #[test]
    fn fifty_are_remembered_the_latest_first() {
        let (mut history, now) = (History::default(), Instant::now());
        for number in 0..200 {
            history.add(ended(&number.to_string(), 1, true), now);
        }
        assert_eq!(history.iter().count(), MAX_PAST);
        assert_eq!(history.iter().next().map(|past| past.facts.stream.name.as_str()), Some("199"));
    }
}
