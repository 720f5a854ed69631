//! The life of streams: started for the first viewer, stopped after the last, healed in between.
use super::Engine;
use super::api::{Error, ErrorKind};
use super::source::SourceError;
use super::streams::producer::Producer;
use super::streams::stream::{Stream, WAITING_DEADLINE, Waiting};
use super::streams::stream_not_found;
use crate::config::Publishers;
use crate::gather::scope::Scope;
use std::time::Instant;

impl Engine {
    /// Opens one source of a stream.
    fn start_source(&mut self, name: &str, index: usize, now: Instant) {
        if let Err(error) = self.streams.start(name, index, now) {
            self.on_source_failed(name, index, &error, now);
        }
    }

    /// Somebody wants pictures: opens the first source that is not known to be down.
    pub(super) fn start_wanted(&mut self, name: &str, now: Instant) {
        let stream = self.streams.get(name).filter(|stream| stream.publisher.is_none());
        if let Some(index) = stream.and_then(Stream::next_source) {
            self.start_source(name, index, now);
        }
    }

    /// Opens a source that was not tried, for a viewer whom those that run do not suit. False if there is none.
    pub(super) fn start_spare(&mut self, name: &str, now: Instant) -> bool {
        let stream = self.streams.get(name).filter(|stream| stream.publisher.is_none());
        let spare = stream.and_then(Stream::spare_source);
        if let Some(index) = spare {
            self.start_source(name, index, now);
        }
        spare.is_some()
    }

    /// The stream's tracks are known or changed: whoever waits is answered, whoever watches is bound to them.
    pub(super) fn on_live(&mut self, name: &str, now: Instant) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        let waiting = std::mem::take(&mut stream.waiting);
        self.work.ready.extend(waiting.into_iter().map(|waiting| (name.to_owned(), waiting)));
        self.bind_viewers(name);
        self.rest(name, now);
    }

    /// A source ended. Whoever watches stays and sees it when it is back, or what the next source has meanwhile.
    pub(super) fn on_source_failed(&mut self, name: &str, index: usize, error: &SourceError, now: Instant) {
        let mut jitter = [0; 1];
        let _ = self.identity.fill(&mut jitter);
        let Some(tracks) = self.streams.failed(name, index, error, jitter[0], now) else { return };
        self.media.remove(&tracks);
        self.bind_viewers(name);
        if self.streams.get(name).is_some_and(Stream::wanted) {
            self.start_wanted(name, now);
        }
        // Whoever waits for the first picture is told when there is nothing left to wait for.
        let Some(stream) = self.streams.get_mut(name).filter(|stream| !stream.is_running()) else { return };
        let refusal = stream.source_failed();
        let waiting = std::mem::take(&mut stream.waiting);
        self.refuse_waiting(waiting, &refusal, now);
    }

    pub(super) fn refuse_waiting(&mut self, waiting: Vec<Waiting>, error: &Error, now: Instant) {
        for waiting in waiting {
            if let Waiting::Offer { offer, .. } = &waiting {
                self.remember_refusal(offer, error, now);
            }
            waiting.refuse(error.clone());
        }
    }

    pub(super) fn tick_stream(&mut self, name: &str, now: Instant) {
        self.refuse_late(name, now);
        let count = self.streams.get(name).map_or(0, |stream| stream.producers.len());
        for index in 0..count {
            let Some(stream) = self.streams.get_mut(name) else { return };
            let wanted = stream.wanted() && stream.publisher.is_none();
            let better = stream.producers[..index].iter().any(Producer::is_live);
            let Some(producer) = stream.producers.get_mut(index) else { return };
            if producer.start_deadline().is_some_and(|at| at <= now) {
                self.on_source_failed(name, index, &"no picture format came".to_owned().into(), now);
            } else if producer.stop_at.is_some_and(|at| at <= now) {
                let gone = self.streams.stop(name, index);
                self.media.remove(&gone);
            } else if producer.retry_at.take_if(|at| *at <= now).is_some() && wanted && !better {
                self.start_source(name, index, now);
            }
        }
    }

    /// Tells those who have waited long enough how far the source is.
    fn refuse_late(&mut self, name: &str, now: Instant) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        let (late, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut stream.waiting).into_iter().partition(|w| w.until() <= now);
        stream.waiting = waiting;
        if late.is_empty() {
            return;
        }
        let mut running = stream.producers.iter().filter_map(|producer| producer.running.as_ref());
        let state =
            running.find(|running| !running.progress.state.is_empty()).map_or("connecting", |r| r.progress.state);
        let limit = WAITING_DEADLINE.as_secs();
        let refusal = match stream.last_error() {
            Some(_) => stream.source_failed(),
            None => Error::new(
                ErrorKind::SourceFailed,
                format!("the source did not become ready within {limit} s, it is {state}"),
            ),
        };
        self.refuse_waiting(late, &refusal, now);
        self.rest(name, now);
    }

    /// Makes or changes a stream; see [`Streams::put`](super::streams::Streams::put). Viewers stay: they see the new
    /// sources as soon as those run.
    pub(super) fn put_stream(
        &mut self,
        name: &str,
        sources: Vec<String>,
        scope: Scope,
        publishers: Option<Publishers>,
        now: Instant,
    ) -> Result<(), Error> {
        let sources = match publishers {
            // The settings say it as it is.
            Some(_) => sources,
            None => self.streams.meant(name, &sources)?,
        };
        let Some(gone) = self.streams.put(name, sources, scope, publishers)? else { return Ok(()) };
        self.media.remove(&gone);
        self.bind_viewers(name);
        if self.streams.get(name).is_some_and(Stream::wanted) {
            self.start_wanted(name, now);
        }
        Ok(())
    }

    /// Takes a stream off the list; sessions that watch it go on until they end.
    pub(super) fn delete_stream(&mut self, name: &str, now: Instant) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        stream.deleted = true;
        stream.waiting.drain(..).for_each(|waiting| waiting.refuse(stream_not_found()));
        if stream.publisher.is_none() {
            self.rest(name, now);
        }
    }
}
