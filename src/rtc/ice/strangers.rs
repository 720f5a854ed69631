//! Checks to addresses that never answered. A peer may tell any address as its own, and ask from any, so these are few,
//! slow and counted (RFC 8445 section 14). A check that answers one of the peer's over the same way goes out at once: it is
//! no more than what came.
use super::Ice;
use super::pair::{Pair, State};
use crate::base::pace::Pace;
use crate::rtc::route::Datagram;
use std::cmp::Reverse;
use std::time::{Duration, Instant};

/// Time between two of these checks of a session: Ta of RFC 8445 section 14.2.
pub const INTERVAL: Duration = Duration::from_millis(50);
/// Checks to an address that nothing came from; the waits between them double, so that they take five seconds.
pub(super) const MAX_CHECKS: u32 = 7;
/// These checks of one session at once, whatever it restarts or tells later: enough for a dozen addresses, …
const BURST: u32 = 80;
/// … and one more in this time.
const REFILL: Duration = Duration::from_secs(1);

pub(super) struct Strangers {
    budget: Pace,
    /// None goes out before.
    next: Option<Instant>,
    sent: u32,
}

impl Default for Strangers {
    fn default() -> Self {
        Self { budget: Pace::new(REFILL, BURST), next: None, sent: 0 }
    }
}

impl Ice {
    /// Checks to addresses that had not answered yet, those aside that were asked for from there.
    pub fn stranger_checks(&self) -> u32 {
        self.strangers.sent
    }

    /// Lets none of these checks out for a moment, because other sessions had their turn.
    pub fn put_strangers_off(&mut self, now: Instant) {
        self.strangers.next = self.strangers.next.max(Some(now + INTERVAL));
    }

    /// When the next of these checks may go out and is due.
    pub(super) fn stranger_due(&self) -> Option<Instant> {
        let due = self.pairs.iter().filter(|pair| self.is_stranger(pair)).map(|pair| pair.due).min()?;
        Some(due.max(self.strangers.next.unwrap_or(due)).max(self.strangers.budget.ready_at().unwrap_or(due)))
    }

    /// A pair to be checked whose address has shown nothing but that somebody named it.
    fn is_stranger(&self, pair: &Pair) -> bool {
        pair.answered.is_none() && matches!(pair.state, State::Waiting | State::InProgress)
    }

    /// Sends the next of these checks, if one is due: first where the peer asked from, then what waited longest, then by
    /// priority.
    pub(super) fn check_stranger(&mut self, now: Instant, out: &mut Vec<Datagram>) {
        if self.stranger_due().is_none_or(|at| at > now) {
            return;
        }
        let due = self.pairs.iter().enumerate().filter(|(_, pair)| self.is_stranger(pair) && pair.due <= now);
        let first = due.min_by_key(|(_, pair)| (pair.asked.is_none(), pair.due, Reverse(pair.priority)));
        let Some(index) = first.map(|(index, _)| index) else { return };
        if self.strangers.budget.take(now) {
            self.strangers.next = Some(now + INTERVAL);
            self.strangers.sent = self.strangers.sent.saturating_add(1);
            self.check(index, now, out);
        }
    }
}
