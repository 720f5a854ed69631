//! Offers over HTTP whose answers wait a moment for a relayed address, since nothing can be told later there.
use super::Engine;
use super::streams::Stream;
use crate::stream::relay::{Answer, Error, Intent, Offer};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// An answer waits so long for a relayed address; over a WebSocket the address comes later.
const ANSWER_WAITS: Duration = Duration::from_millis(300);
/// Offers that wait; further ones are answered without a relayed address.
const MAX_HELD: usize = 16;

/// Where the answer goes.
type Reply = oneshot::Sender<Result<Answer, Error>>;

#[derive(Default)]
pub struct Held(Vec<(Offer, Reply, Instant)>);

impl Held {
    pub fn deadline(&self) -> Option<Instant> {
        self.0.iter().map(|(.., until)| *until).min()
    }
}

impl Engine {
    /// Keeps an offer back until its answer can hold a relayed address, where that is worth a moment. One whose source has
    /// to start first comes again; the address is asked for meanwhile.
    pub(super) fn hold(&mut self, offer: Offer, reply: Reply, now: Instant) -> Option<(Offer, Reply)> {
        let soon = self.wire.relays.soon(now);
        let starts = |stream: &Stream| !stream.is_live() && !stream.producers.is_empty();
        let starts = offer.intent != Intent::Publish && self.streams.get(&offer.stream).is_some_and(starts);
        if !soon || starts || offer.protocol != "http" || self.held.0.len() >= MAX_HELD {
            return Some((offer, reply));
        }
        self.held.0.push((offer, reply, now + ANSWER_WAITS));
        None
    }

    /// A relayed address is there that no session has: who waited longest gets it, the others get another one.
    pub(super) fn answer_with_spare(&mut self, now: Instant) {
        let Some(oldest) = self.held.deadline() else { return };
        self.let_go(now, oldest);
        if !self.held.0.is_empty() {
            self.wire.relays.soon(now);
        }
    }

    /// No relayed address came about: whoever waited goes on waiting only where another server may give one.
    pub(super) fn answer_without_spare(&mut self, now: Instant) {
        if let Some(last) = self.held.0.iter().map(|(.., until)| *until).max()
            && !self.wire.relays.soon(now)
        {
            self.let_go(now, last);
        }
    }

    pub(super) fn tick_held(&mut self, now: Instant) {
        self.let_go(now, now);
    }

    /// Answers the offers that waited until then at most.
    fn let_go(&mut self, now: Instant, limit: Instant) {
        let (go, stay) = std::mem::take(&mut self.held.0).into_iter().partition(|(.., until)| *until <= limit);
        self.held.0 = stay;
        for (offer, reply, _) in go {
            self.answer_offer(offer, reply, now);
        }
    }
}
