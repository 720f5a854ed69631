//! Offers as they come: which are answered, which wait for a source or for their turn, which are refused.
use super::Engine;
use super::api::{Answer, Error, ErrorKind, Intent, Offer, Reply};
use super::sessions::Client;
use super::streams::stream::{Stream, WAITING_DEADLINE, Waiting, Wish};
use super::streams::stream_not_found;
use crate::media::codec::{self, Codec};
use crate::rtc::negotiate::{self, Side};
use crate::rtc::sdp::Remote;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A source that is tried again within this time is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

impl Engine {
    pub(super) fn on_offer(&mut self, offer: Offer, reply: Reply<Answer>, now: Instant) {
        // Whoever asked may have gone while the source started.
        if reply.is_closed() {
            return;
        }
        if self.is_worth_deferring(&offer, now) {
            self.deferred.push(offer, reply, now);
        } else {
            self.answer_offer(offer, reply, now);
        }
    }

    /// May the answer hold a relayed address if it waits a moment? An offer whose source has to start first comes again;
    /// the address is asked for meanwhile.
    fn is_worth_deferring(&mut self, offer: &Offer, now: Instant) -> bool {
        let pending = self.reach.turn.is_allocation_pending(now);
        let starts = |stream: &Stream| !stream.is_live() && !stream.producers.is_empty();
        let starts = offer.intent != Intent::Publish && self.streams.get(&offer.stream).is_some_and(starts);
        pending && !starts && offer.protocol == "http" && self.deferred.has_room()
    }

    /// Answers offers whose wait is over.
    pub(super) fn answer_deferred(&mut self, offers: Vec<(Offer, Reply<Answer>)>, now: Instant) {
        for (offer, reply) in offers {
            self.answer_offer(offer, reply, now);
        }
    }

    pub(super) fn tick_deferred(&mut self, now: Instant) {
        let due = self.deferred.take(now);
        self.answer_deferred(due, now);
    }

    /// The stream that somebody waited for is live.
    pub(super) fn on_ready(&mut self, name: &str, waiting: Waiting, now: Instant) {
        match waiting {
            Waiting::Offer { offer, reply, .. } => self.on_offer(offer, reply, now),
            Waiting::Probe { wish, reply, .. } => drop(reply.send(self.probe(name, &wish, now))),
        }
        self.rest(name, now);
    }

    fn probe(&self, name: &str, wish: &Wish, now: Instant) -> Result<Value, Error> {
        let stream = self.streams.listed(name)?;
        let tracks = stream.tracks();
        let codecs: Vec<Codec> = self.media.of(&tracks).map(|track| track.info.codec).collect();
        let backchannel = self.backchannel(stream).unwrap_or_default();
        if wish.fits(&codecs, &backchannel) {
            return Ok(self.stream_json(stream, now));
        }
        let have: Vec<String> = codecs.iter().map(ToString::to_string).collect();
        let have = if have.is_empty() { "no track".into() } else { have.join(", ") };
        let speaker = match (&wish.microphone, backchannel.is_empty()) {
            (None, _) => String::new(),
            (Some(_), true) => ", and no source of it takes a microphone's sound".into(),
            (Some(_), false) => format!(", and its loudspeaker takes {}", codec::list(backchannel)),
        };
        let message = format!("streams: codecs not matched: the stream has {have}{speaker}");
        Err(Error::new(ErrorKind::CodecMismatch, message))
    }

    pub(super) fn on_probe(&mut self, name: &str, wish: Wish, reply: Reply<Value>, now: Instant) {
        match self.streams.get(name) {
            Some(stream) if !stream.is_live() && !stream.producers.is_empty() => {
                self.wait_for(name, Waiting::Probe { wish, reply, until: now + WAITING_DEADLINE }, now);
            }
            _ => drop(reply.send(self.probe(name, &wish, now))),
        }
    }

    fn answer_offer(&mut self, offer: Offer, reply: Reply<Answer>, now: Instant) {
        let until = now + WAITING_DEADLINE;
        match self.prepare(&offer) {
            Ok(Ready::Now(remote, side)) => {
                let answer = match side {
                    Side::Viewer => self.answer_viewer(&offer, &remote, now),
                    Side::Publisher => self.answer_publisher(&offer, &remote, now),
                };
                if answer.as_ref().is_err_and(|error| error.kind == ErrorKind::CodecMismatch)
                    && side == Side::Viewer
                    && self.start_spare(&offer.stream, now)
                {
                    return self.wait_for(&offer.stream.clone(), Waiting::Offer { offer, reply, until }, now);
                }
                if let Err(error) = &answer {
                    self.note_refusal(&offer, error, now);
                }
                if let Err(Ok(answer)) = reply.send(answer) {
                    drop(self.on_close(&answer.id, now));
                }
            }
            Ok(Ready::WhenLive) => {
                let waiting = Waiting::Offer { offer: offer.clone(), reply, until };
                self.wait_for(&offer.stream, waiting, now);
            }
            Err(error) => {
                self.note_refusal(&offer, &error, now);
                drop(reply.send(Err(error)));
            }
        }
    }

    fn note_refusal(&mut self, offer: &Offer, error: &Error, now: Instant) {
        self.remember_refusal(offer, error, now);
        if let Some(left_out) = self.journal.admit(offer.remote.ip(), now) {
            let (stream, why) = (&offer.stream, &error.message);
            log::warn!(target: "webrtc", "offer refused stream={stream:?} error={why:?}{left_out}");
        }
    }

    /// Looks at an offer before anything is started for it.
    fn prepare(&self, offer: &Offer) -> Result<Ready, Error> {
        let stream = self.streams.listed(&offer.stream)?;
        if let Some(missing) = self.reach.no_media_port() {
            return Err(Error::new(ErrorKind::Internal, missing.to_string()));
        }
        let remote = offer.sdp.offer()?;
        let client = Client::of(offer.format, offer.remote.ip());
        self.sessions.admit(client, self.streams.waiting_of(client))?;
        let side = match offer.intent {
            Intent::View => Side::Viewer,
            Intent::Publish => Side::Publisher,
            Intent::FromOffer => negotiate::side(&remote),
        };
        if side == Side::Viewer && !stream.is_live() && !stream.producers.is_empty() {
            return Ok(Ready::WhenLive);
        }
        Ok(Ready::Now(remote, side))
    }

    /// Starts the stream if need be; `waiting` is answered when its tracks are known.
    fn wait_for(&mut self, name: &str, waiting: Waiting, now: Instant) {
        let Some(stream) = self.streams.get_mut(name) else { return waiting.refuse(stream_not_found()) };
        if let Some(waiting) = stream.wait(waiting) {
            return waiting.refuse(Error::new(ErrorKind::Full, "too many viewers wait for this stream's source"));
        }
        self.start_wanted(name, now);
        let Some(stream) = self.streams.get_mut(name).filter(|stream| !stream.is_running()) else { return };
        // Every source is known to be down: say so at once, unless the next try is near; a player asks again.
        if stream.retry_at().is_none_or(|at| at > now + PATIENCE) {
            let error = stream.source_failed();
            let waiting = std::mem::take(&mut stream.waiting);
            self.refuse_waiting(waiting, &error, now);
        }
    }
}

/// What an offer needs before it can be answered.
enum Ready {
    Now(Arc<Remote>, Side),
    WhenLive,
}
