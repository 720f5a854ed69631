//! Our own checks: sent, repeated, and what their answers change (RFC 8445 sections 7.2 and 14).
use super::pair::{Check, Pair, State};
use super::selection::{CONSENT_INTERVAL, CONSENT_LOST, CONSENT_RETRY};
use super::{Ice, Outcome, PEER_REFLEXIVE_PRIORITY, strangers};
use crate::rtc::route::{Datagram, Route};
use rtc_stun::attributes::{
    ATTR_ERROR_CODE, ATTR_ICE_CONTROLLED, ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME,
};
use rtc_stun::message::{BINDING_REQUEST, Message, TransactionId};
use std::time::{Duration, Instant};

/// First and longest wait for an answer to a check.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_millis(800);
/// The same where nothing was ever heard from.
const LONGEST_STRANGE_RETRY: Duration = Duration::from_millis(1600);
/// Checks to one pair that was heard of before it counts as failed.
const MAX_CHECKS: u32 = 24;
/// Unanswered checks of one pair whose answers still count: on a slow path they come after the next check went out.
const MAX_OUTSTANDING: usize = 8;

impl Ice {
    /// When [`Self::tick`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let known = self.pairs.iter().enumerate().filter(|(index, pair)| self.is_known(*index, pair));
        known.map(|(_, pair)| pair.due).chain(self.stranger_due()).min()
    }

    /// A pair to be checked whose address answered before.
    fn is_known(&self, index: usize, pair: &Pair) -> bool {
        match pair.state {
            State::Failed => false,
            State::Succeeded => self.selected == Some(index),
            State::Waiting | State::InProgress => pair.answered.is_some(),
        }
    }

    /// Sends the checks and consent requests that are due.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Datagram>) {
        for index in 0..self.pairs.len() {
            let selected = self.selected == Some(index);
            let pair = &mut self.pairs[index];
            let most = if pair.heard().is_some() { MAX_CHECKS } else { strangers::MAX_CHECKS };
            let checked = matches!(pair.state, State::Waiting | State::InProgress);
            if checked && !selected && pair.due <= now && pair.checks >= most {
                pair.state = State::Failed;
            }
            if self.pairs[index].due <= now && self.is_known(index, &self.pairs[index]) {
                self.check(index, now, out);
            }
        }
        self.check_stranger(now, out);
        self.leave_silence(now);
    }

    pub(super) fn check(&mut self, index: usize, now: Instant, out: &mut Vec<Datagram>) {
        let selected = self.selected == Some(index);
        let mut transaction = [0; 12];
        if self.provider.random().fill(&mut transaction).is_err() {
            return;
        }
        transaction[..4].copy_from_slice(&self.tag.to_be_bytes());
        let mut message = Message::new();
        message.transaction_id = TransactionId(transaction);
        message.set_type(BINDING_REQUEST);
        message.write_header();
        message.add(ATTR_USERNAME, format!("{}:{}", self.remote.ufrag, self.local.ufrag).as_bytes());
        message.add(ATTR_PRIORITY, &PEER_REFLEXIVE_PRIORITY.to_be_bytes());
        let role = if self.controlling { ATTR_ICE_CONTROLLING } else { ATTR_ICE_CONTROLLED };
        message.add(role, &self.tie_breaker.to_be_bytes());
        if self.controlling && self.pairs[index].nominated {
            message.add(ATTR_USE_CANDIDATE, &[]);
        }
        let pair = &mut self.pairs[index];
        if pair.outstanding.len() >= MAX_OUTSTANDING {
            pair.outstanding.remove(0);
        }
        pair.outstanding.push(Check { transaction, at: now, controlling: self.controlling });
        pair.checks += 1;
        pair.tally.checks = pair.tally.checks.saturating_add(1);
        self.checks_sent = self.checks_sent.saturating_add(1);
        pair.due = now
            + match pair.state {
                State::Succeeded if selected => CONSENT_RETRY,
                _ if pair.heard().is_none() => {
                    (FIRST_RETRY * (1 << (pair.checks - 1).min(8))).min(LONGEST_STRANGE_RETRY)
                }
                _ => (FIRST_RETRY * (1 << (pair.checks / 2).min(8))).min(LONGEST_RETRY),
            };
        if pair.state != State::Succeeded {
            pair.state = State::InProgress;
        }
        let route = pair.route;
        let pwd = self.remote.pwd.clone();
        if self.seal(&mut message, &pwd) {
            out.push(Datagram { route, bytes: message.raw });
        }
    }

    pub(super) fn success(&mut self, now: Instant, route: Route, mut message: Message) -> Outcome {
        let id = message.transaction_id.0;
        let Some((index, check)) = self.asked(&id) else { return Outcome::Rejected };
        let pwd = self.remote.pwd.clone();
        // The answer has to come back over the way that the request took (RFC 8445 section 7.2.5.2.1).
        let symmetric =
            self.pairs[index].route.socket == route.socket && self.pairs[index].route.remote == route.remote;
        if !symmetric || !self.authentic(&mut message, &pwd) {
            return Outcome::Rejected;
        }
        self.answers = self.answers.saturating_add(1);
        let selected = self.selected == Some(index);
        let pair = &mut self.pairs[index];
        pair.tally.answers = pair.tally.answers.saturating_add(1);
        if pair.route.local.is_none() {
            pair.route.local = route.local;
            self.changed |= selected;
        }
        let sample = now.saturating_duration_since(pair.outstanding[check].at);
        pair.rtt = Some(pair.rtt.map_or(sample, |old| (old * 7 + sample) / 8));
        pair.outstanding.clear();
        pair.answered = Some(now);
        pair.checks = 0;
        pair.state = State::Succeeded;
        pair.due = now + CONSENT_INTERVAL;
        if selected {
            self.consent = Some(now + CONSENT_LOST);
        }
        if pair.nominated {
            self.select_best(now);
        } else if self.controlling && !self.pairs.iter().any(|pair| pair.nominated) {
            // Regular nomination (RFC 8445 section 8.1.1): the next check of the first good pair carries USE-CANDIDATE.
            self.pairs[index].nominated = true;
            self.pairs[index].state = State::Waiting;
            self.pairs[index].due = now;
        }
        Outcome::Accepted
    }

    pub(super) fn error(&mut self, now: Instant, mut message: Message) -> Outcome {
        let id = message.transaction_id.0;
        let Some((index, check)) = self.asked(&id) else { return Outcome::Rejected };
        let pwd = self.remote.pwd.clone();
        if !self.authentic(&mut message, &pwd) {
            return Outcome::Rejected;
        }
        let code = message.get(ATTR_ERROR_CODE).unwrap_or_default();
        let pair = &mut self.pairs[index];
        let controlling = pair.outstanding[check].controlling;
        pair.outstanding.clear();
        if code.get(2..4) == Some(&[4, 87]) {
            // Several checks may meet the same conflict: the role is left once.
            if controlling == self.controlling {
                self.controlling = !controlling;
            }
            pair.due = now;
            pair.state = State::Waiting;
        } else if self.selected != Some(index) {
            pair.state = State::Failed;
        }
        Outcome::Accepted
    }

    /// The pair and its check that an answer belongs to.
    fn asked(&self, id: &[u8; 12]) -> Option<(usize, usize)> {
        self.pairs.iter().enumerate().find_map(|(index, pair)| {
            pair.outstanding.iter().position(|check| check.transaction == *id).map(|check| (index, check))
        })
    }
}
