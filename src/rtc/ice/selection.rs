//! Which pair media takes, and for how long the peer's consent to be sent something holds (RFC 7675).
use super::pair::State;
use super::{Ice, STALE};
use crate::rtc::route::Route;
use std::time::{Duration, Instant};

/// Consent is asked for this often (RFC 7675 section 5.1 asks for about 5 s), …
pub(super) const CONSENT_INTERVAL: Duration = Duration::from_secs(4);
/// … this often again while an answer is missing, …
pub(super) const CONSENT_RETRY: Duration = Duration::from_millis(500);
/// … and is lost after this long without one (RFC 7675 allows at most 30 s).
pub(super) const CONSENT_LOST: Duration = Duration::from_secs(15);
/// A selected pair that is silent this long gives way to a nominated one that is not.
const SILENT: Duration = Duration::from_secs(3);

impl Ice {
    /// The route that media takes.
    pub fn selected(&self) -> Option<Route> {
        self.selected.map(|index| self.pairs[index].route)
    }

    /// The selected route, once after each change.
    pub fn take_change(&mut self) -> Option<Route> {
        std::mem::take(&mut self.changed).then(|| self.selected())?
    }

    /// When consent runs out; `None` before a route was selected.
    pub fn consent_deadline(&self) -> Option<Instant> {
        self.consent
    }

    /// Media came that only this peer can have protected, and none of ours goes to it: somebody who sends wants the
    /// connection. FFmpeg, as a WHIP publisher, answers no check once it streams. RFC 7675 counts answers alone, for it
    /// guards those who are sent to; such a peer gets nothing but reports and requests for keyframes.
    pub fn media_came(&mut self, now: Instant) {
        if self.consent.is_some() {
            self.consent = Some(now + CONSENT_LOST);
        }
    }

    /// Takes the best nominated pair that works: the one with the highest priority (an aggressive peer
    /// nominates all it checks), unless it fell silent while another did not.
    pub(super) fn select_best(&mut self, now: Instant) {
        let best = self
            .pairs
            .iter()
            .enumerate()
            .filter(|(_, pair)| pair.nominated && pair.state == State::Succeeded)
            .max_by_key(|(_, pair)| (!pair.is_silent(now, STALE), pair.priority))
            .map(|(index, _)| index);
        if let Some(best) = best {
            self.select(best, now);
        }
    }

    fn select(&mut self, index: usize, now: Instant) {
        if self.selected == Some(index) {
            return;
        }
        self.selected = Some(index);
        self.changed = true;
        let pair = &mut self.pairs[index];
        // A pair that was not in use has an old proof, or one that ran out: it is renewed at once, and
        // there is time for that.
        if pair.answered.is_none_or(|at| now.saturating_duration_since(at) >= CONSENT_INTERVAL) {
            pair.due = now;
        }
        self.consent = pair.answered.map(|at| at + CONSENT_LOST).max(Some(now + SILENT));
    }

    pub(super) fn leave_silence(&mut self, now: Instant) {
        let Some(selected) = self.selected else { return };
        if !self.pairs[selected].is_silent(now, SILENT) || self.pairs[selected].checks < 3 {
            return;
        }
        let other = (0..self.pairs.len())
            .filter(|&index| index != selected)
            .filter(|&index| self.pairs[index].state == State::Succeeded && !self.pairs[index].is_silent(now, SILENT))
            .max_by_key(|&index| self.pairs[index].priority);
        if let Some(other) = other {
            self.select(other, now);
        }
    }
}
