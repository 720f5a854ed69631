//! Offers as they come: which are answered, which wait for a source or for their turn, which are refused.
use super::Engine;
use super::lifecycle::source_failed;
use super::stream_not_found;
use super::streams::{WAITING_DEADLINE, Waiting};
use crate::rtc::negotiate::{self, Side};
use crate::rtc::sdp::Remote;
use crate::stream::relay::{Answer, Error, ErrorKind, Intent, Offer};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A source that is tried again within this time is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

impl Engine {
    pub(super) fn on_offer(&mut self, offer: Offer, reply: oneshot::Sender<Result<Answer, Error>>, now: Instant) {
        // Whoever asked may have gone while the source started.
        if reply.is_closed() {
            return;
        }
        if let Some((offer, reply)) = self.hold(offer, reply, now) {
            self.answer_offer(offer, reply, now);
        }
    }

    pub(super) fn answer_offer(&mut self, offer: Offer, reply: oneshot::Sender<Result<Answer, Error>>, now: Instant) {
        let until = now + WAITING_DEADLINE;
        match self.prepare(&offer) {
            Ok(Ready::Now(remote, side)) => {
                let answer = match side {
                    Side::Viewer => self.answer_viewer(&offer, &remote, now),
                    Side::Publisher => self.answer_publisher(&offer, &remote, now),
                };
                if answer.as_ref().is_err_and(|error| error.kind == ErrorKind::CodecMismatch)
                    && side == Side::Viewer
                    && self.try_spare(&offer.stream, now)
                {
                    return self.wait_for(&offer.stream.clone(), Waiting::Offer { offer, reply, until }, now);
                }
                if let Err(error) = &answer {
                    self.tell_refusal(&offer, error, now);
                }
                if let Err(Ok(answer)) = reply.send(answer) {
                    drop(self.on_close(&answer.id));
                }
            }
            Ok(Ready::WhenLive) => {
                let waiting = Waiting::Offer { offer: offer.clone(), reply, until };
                self.wait_for(&offer.stream, waiting, now);
            }
            Err(error) => {
                self.tell_refusal(&offer, &error, now);
                drop(reply.send(Err(error)));
            }
        }
    }

    fn tell_refusal(&mut self, offer: &Offer, error: &Error, now: Instant) {
        self.remember_refusal(offer, error, now);
        if let Some(left_out) = self.sparing.admit(offer.remote.ip(), now) {
            let (stream, why) = (&offer.stream, &error.message);
            log::warn!(target: "webrtc", "offer refused stream={stream:?} error={why:?}{left_out}");
        }
    }

    /// Looks at an offer before anything is started for it.
    fn prepare(&self, offer: &Offer) -> Result<Ready, Error> {
        let stream = self.streams.get(&offer.stream).filter(|s| !s.deleted).ok_or_else(stream_not_found)?;
        if let Some(message) = self.wire.deaf() {
            return Err(Error::new(ErrorKind::Internal, message));
        }
        let remote = offer.sdp.offer()?;
        self.admit_client(offer.format, offer.remote.ip())?;
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
    pub(super) fn wait_for(&mut self, name: &str, waiting: Waiting, now: Instant) {
        let Some(stream) = self.streams.get_mut(name) else { return waiting.refuse(stream_not_found()) };
        if let Some(waiting) = stream.wait(waiting) {
            return waiting.refuse(Error::new(ErrorKind::Full, "too many viewers wait for this stream's source"));
        }
        self.want(name, now);
        let Some(stream) = self.streams.get_mut(name).filter(|stream| !stream.is_running()) else { return };
        // Every source is known to be down: say so at once, unless the next try is near; a player asks again.
        if stream.retry_at().is_none_or(|at| at > now + PATIENCE) {
            let error = source_failed(stream);
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
