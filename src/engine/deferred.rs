//! Offers over HTTP whose answers wait a moment for a relayed address, since nothing can be told later there.
use super::api::{Answer, Offer, Reply};
use std::time::{Duration, Instant};

/// An answer waits this long for a relayed address; over a WebSocket the address comes later.
const ANSWER_WAITS: Duration = Duration::from_millis(300);
/// Offers that wait; further ones are answered without a relayed address.
const MAX_DEFERRED: usize = 16;

#[derive(Default)]
pub struct DeferredAnswers(Vec<(Offer, Reply<Answer>, Instant)>);

impl DeferredAnswers {
    pub fn deadline(&self) -> Option<Instant> {
        self.0.iter().map(|(.., until)| *until).min()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn has_room(&self) -> bool {
        self.0.len() < MAX_DEFERRED
    }

    pub fn push(&mut self, offer: Offer, reply: Reply<Answer>, now: Instant) {
        self.0.push((offer, reply, now + ANSWER_WAITS));
    }

    /// The one that waited longest.
    pub fn take_oldest(&mut self) -> Vec<(Offer, Reply<Answer>)> {
        let oldest = self.deadline();
        oldest.map(|until| self.take(until)).unwrap_or_default()
    }

    pub fn take_all(&mut self) -> Vec<(Offer, Reply<Answer>)> {
        self.0.drain(..).map(|(offer, reply, _)| (offer, reply)).collect()
    }

    /// Those that wait until then at most.
    pub fn take(&mut self, limit: Instant) -> Vec<(Offer, Reply<Answer>)> {
        let due = self.0.extract_if(.., |(.., until)| *until <= limit);
        due.map(|(offer, reply, _)| (offer, reply)).collect()
    }
}
