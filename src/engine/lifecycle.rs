//! The life of streams: started for the first viewer, stopped after the last, healed in between.
use super::peer::Peer;
use super::producer::Producer;
use super::streams::{Stream, WAITING_DEADLINE, Waiting, Wish};
use super::{Engine, MAX_STREAMS, stream_not_found, talk};
use crate::config::Publishers;
use crate::gather::scope::Scope;
use crate::media::codec::Codec;
use crate::source::{self, ProducerId, exclusive, public_url, restored};
use crate::stream::relay::{Error, ErrorKind};
use serde_json::Value;
use std::time::Instant;
use tokio::sync::oneshot;

impl Engine {
    /// Opens one source of a stream.
    fn start_source(&mut self, name: &str, index: usize, now: Instant) {
        let id = ProducerId(self.next_producer);
        self.next_producer += 1;
        let held = self.held_by_another(name, index);
        let Some(stream) = self.streams.get_mut(name) else { return };
        let Some(producer) = stream.producers.get_mut(index) else { return };
        let started = match held {
            Some(other) => Err(format!(
                "the camera serves one session at a time and stream {other:?} has it: let both viewers use that stream"
            )),
            None => producer.start(id, &self.surroundings, &self.sources.0, now),
        };
        match started {
            Ok(()) => {
                log::info!(target: "streams", "source starts stream={name:?} source={}", public_url(&producer.url))
            }
            Err(error) => self.on_source_failed(name, index, error, now),
        }
    }

    /// The stream that holds the only session which the camera of this source serves.
    fn held_by_another(&self, name: &str, index: usize) -> Option<String> {
        let wanted = exclusive(&self.streams.get(name)?.producers.get(index)?.url)?;
        let holds = |producer: &Producer| {
            producer.running.is_some() && exclusive(&producer.url).is_some_and(|camera| camera == wanted)
        };
        self.streams.values().find(|stream| stream.producers.iter().any(holds)).map(|stream| stream.name.clone())
    }

    /// Somebody wants pictures: opens the first source that is not known to be down.
    pub(super) fn want(&mut self, name: &str, now: Instant) {
        let Some(stream) = self.streams.get(name) else { return };
        if stream.publisher.is_none()
            && let Some(index) = stream.next_source()
        {
            self.start_source(name, index, now);
        }
    }

    /// Opens a source that was not tried, for a viewer whom those that run do not suit. False if there is none.
    pub(super) fn try_spare(&mut self, name: &str, now: Instant) -> bool {
        let spare = self.streams.get(name).filter(|s| s.publisher.is_none()).and_then(Stream::spare_source);
        if let Some(index) = spare {
            self.start_source(name, index, now);
        }
        spare.is_some()
    }

    /// The stream's tracks are known or changed: whoever waits is answered, whoever watches is bound to them.
    pub(super) fn on_live(&mut self, name: &str) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        let now = Instant::now();
        let viewers = stream.viewers.clone();
        for waiting in std::mem::take(&mut stream.waiting) {
            match waiting {
                Waiting::Offer { offer, reply, .. } => self.on_offer(offer, reply, now),
                Waiting::Probe { wish, reply, .. } => drop(reply.send(self.probe(name, &wish))),
            }
        }
        for viewer in viewers {
            self.bind(viewer);
        }
        self.rest(name, now);
    }

    /// Binds a viewer's m-lines to the stream's tracks as they are now.
    pub(super) fn bind(&mut self, key: u32) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let Some(stream) = self.streams.get(&peer.stream) else { return };
        let tracks = stream.tracks();
        for sender in &mut peer.senders {
            let before = sender.track;
            sender.bind(&self.tracks, &tracks);
            if before == sender.track {
                continue;
            }
            if let Some(track) = before.and_then(|track| self.tracks.get_mut(&track)) {
                track.viewers.retain(|viewer| *viewer != key);
            }
            if let Some(track) = sender.track.and_then(|track| self.tracks.get_mut(&track)) {
                track.viewers.push(key);
                track.dirty = true;
            }
        }
    }

    /// A source ended. Whoever watches stays and sees it when it is back, or what the next source has meanwhile.
    pub(super) fn on_source_failed(&mut self, name: &str, index: usize, error: String, now: Instant) {
        let mut jitter = [0; 1];
        let _ = self.identity.fill(&mut jitter);
        let Some(stream) = self.streams.get_mut(name) else { return };
        let Some(producer) = stream.producers.get_mut(index) else { return };
        let tracks = producer.tracks().to_vec();
        let wait = producer.failed(error.clone(), now, jitter[0]).as_millis();
        log::warn!(
            target: "streams", "source ended stream={name:?} source={} error={error:?} retry_in={wait}ms",
            public_url(&producer.url)
        );
        let viewers = stream.viewers.clone();
        self.drop_tracks(&tracks);
        for viewer in viewers {
            self.bind(viewer);
        }
        let wanted = self.streams.get(name).is_some_and(Stream::wanted);
        if wanted {
            self.want(name, now);
        }
        // Whoever waits for the first picture is told when there is nothing left to wait for.
        let Some(stream) = self.streams.get_mut(name).filter(|stream| !stream.is_running()) else { return };
        let refusal = source_failed(stream);
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

    /// A session left its stream.
    pub(super) fn leave(&mut self, peer: &Peer, key: u32, now: Instant) {
        for receiver in &peer.intake.receivers {
            self.tracks.remove(&receiver.track);
        }
        let Some(stream) = self.streams.get_mut(&peer.stream) else { return };
        stream.viewers.retain(|viewer| *viewer != key);
        stream.floor.leave(key);
        stream.queue.retain(|queued| queued.key != key);
        if stream.publisher.as_ref().is_some_and(|(publisher, _)| *publisher == key) {
            stream.publisher = None;
            if self.on_publisher_left(&peer.stream, now) {
                return;
            }
            let Some(stream) = self.streams.get_mut(&peer.stream) else { return };
            let (viewers, wanted) = (stream.viewers.clone(), stream.wanted());
            for viewer in viewers {
                self.bind(viewer);
            }
            if wanted {
                self.want(&peer.stream, now);
            }
        }
        self.rest(&peer.stream, now);
    }

    /// Lets sources that nobody needs stop after a while.
    pub(super) fn rest(&mut self, name: &str, now: Instant) {
        let (tracks, linger) = (&self.tracks, self.linger);
        let Some(stream) = self.streams.get_mut(name) else { return };
        let wanted = stream.wanted();
        let watched = |producer: &Producer| {
            producer.tracks().iter().filter_map(|key| tracks.get(key)).any(|track| !track.viewers.is_empty())
        };
        // Of several that run, those stay whose tracks somebody is sent, and the first if that is nobody.
        let spared = stream.producers.iter().any(watched);
        let first = stream.producers.iter().position(Producer::is_live);
        for (index, producer) in stream.producers.iter_mut().enumerate() {
            let needed = !producer.is_live() || watched(producer) || (!spared && first == Some(index));
            match producer.running.is_some() && !(wanted && needed) {
                true => drop(producer.stop_at.get_or_insert(now + linger)),
                false => producer.stop_at = None,
            }
        }
        if stream.deleted && !wanted && stream.publisher.is_none() {
            for index in 0..stream.producers.len() {
                self.stop_source(name, index);
            }
            self.streams.remove(name);
        }
    }

    fn stop_source(&mut self, name: &str, index: usize) {
        let Some(producer) = self.streams.get_mut(name).and_then(|stream| stream.producers.get_mut(index)) else {
            return;
        };
        producer.stop_at = None;
        let Some(running) = producer.running.take() else { return };
        log::info!(target: "streams", "source stops, nobody watches stream={name:?} source={}", public_url(&producer.url));
        self.drop_tracks(&running.tracks);
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
                self.on_source_failed(name, index, "no picture format came".into(), now);
            } else if producer.stop_at.is_some_and(|at| at <= now) {
                self.stop_source(name, index);
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
        let progress =
            stream.producers.iter().filter_map(|producer| producer.running.as_ref()).map(|r| r.progress.state);
        let state = progress.clone().find(|state| !state.is_empty()).unwrap_or("connecting");
        let limit = WAITING_DEADLINE.as_secs();
        let refusal = match stream.last_error() {
            Some(_) => source_failed(stream),
            None => Error::new(
                ErrorKind::SourceFailed,
                format!("the source did not become ready within {limit} s, it is {state}"),
            ),
        };
        self.refuse_waiting(late, &refusal, now);
        self.rest(name, now);
    }

    pub(super) fn on_probe(
        &mut self,
        name: &str,
        wish: Wish,
        reply: oneshot::Sender<Result<Value, Error>>,
        now: Instant,
    ) {
        match self.streams.get(name) {
            Some(stream) if !stream.is_live() && !stream.producers.is_empty() => {
                self.wait_for(name, Waiting::Probe { wish, reply, until: now + WAITING_DEADLINE }, now);
            }
            _ => drop(reply.send(self.probe(name, &wish))),
        }
    }

    fn probe(&self, name: &str, wish: &Wish) -> Result<Value, Error> {
        let shown = self.describe(name)?;
        let tracks = self.streams.get(name).map(Stream::tracks).unwrap_or_default();
        let codecs: Vec<Codec> = tracks.iter().filter_map(|key| Some(self.tracks.get(key)?.info.codec)).collect();
        let backchannel = self.streams.get(name).and_then(|stream| self.backchannel(stream)).unwrap_or_default();
        if wish.fits(&codecs, &backchannel) {
            return Ok(shown);
        }
        let have: Vec<String> = codecs.iter().map(ToString::to_string).collect();
        let have = if have.is_empty() { "no track".into() } else { have.join(", ") };
        let speaker = match (&wish.microphone, backchannel.is_empty()) {
            (None, _) => String::new(),
            (Some(_), true) => ", and no source of it takes a microphone's sound".into(),
            (Some(_), false) => format!(", and its loudspeaker takes {}", talk::list(&backchannel)),
        };
        let message = format!("streams: codecs not matched: the stream has {have}{speaker}");
        Err(Error::new(ErrorKind::CodecMismatch, message))
    }

    /// Fails where [`Self::put_stream`] would.
    /// The sources that a client means, who may send back what a list showed.
    pub(super) fn meant(&self, name: &str, sources: &[String]) -> Result<Vec<String>, Error> {
        let known = self.streams.get(name).into_iter().flat_map(Stream::sources);
        restored(sources, known).map_err(|text| Error::new(ErrorKind::BadRequest, text))
    }

    pub(super) fn may_put(&self, name: &str, sources: &[String], scope: Scope) -> Result<(), Error> {
        // What is a source already was allowed to somebody.
        let there: Vec<&str> = self.streams.get(name).into_iter().flat_map(Stream::sources).collect();
        for url in sources.iter().filter(|url| !there.contains(&url.as_str())) {
            source::check_scope(url, scope).map_err(|barred| Error::new(ErrorKind::BadRequest, barred))?;
        }
        if self.streams.contains_key(name) || self.streams.len() < MAX_STREAMS {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Full, format!("there are {MAX_STREAMS} streams already; delete one first")))
    }

    /// `scope`: where sources that are new may lead. Without rules for
    /// publishers a stream that there is keeps its own.
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
            None => self.meant(name, &sources)?,
        };
        self.may_put(name, &sources, scope)?;
        let stream = self.streams.entry(name.to_owned()).or_insert_with(|| Stream::new(name, Vec::new()));
        stream.publishers =
            publishers.unwrap_or(if stream.deleted { Publishers::default() } else { stream.publishers });
        stream.deleted = false;
        if stream.sources().eq(sources.iter().map(String::as_str)) {
            return Ok(());
        }
        // Viewers stay: they see the new sources as soon as those run. Sources that stay run on.
        let mut old = std::mem::take(&mut stream.producers);
        for url in sources {
            let kept = old.iter().position(|producer| producer.url == url).map(|index| old.swap_remove(index));
            stream.producers.push(kept.unwrap_or_else(|| Producer::new(url, scope)));
        }
        let (viewers, wanted) = (stream.viewers.clone(), stream.wanted());
        let gone: Vec<u32> = old.iter().flat_map(Producer::tracks).copied().collect();
        drop(old);
        self.drop_tracks(&gone);
        viewers.iter().for_each(|viewer| self.bind(*viewer));
        if wanted {
            self.want(name, now);
        }
        Ok(())
    }

    /// Takes a stream off the list; sessions that watch it go on until they end.
    pub(super) fn delete_stream(&mut self, name: &str, now: Instant) {
        if let Some(stream) = self.streams.get_mut(name) {
            stream.deleted = true;
            stream.waiting.drain(..).for_each(|waiting| waiting.refuse(stream_not_found()));
            if stream.publisher.is_none() {
                self.rest(name, now);
            }
        }
    }

    pub(super) fn describe(&self, name: &str) -> Result<Value, Error> {
        let stream = self.streams.get(name).filter(|stream| !stream.deleted).ok_or_else(stream_not_found)?;
        Ok(self.report(stream, Instant::now()))
    }
}

/// What somebody is told who wants pictures while no source gives any.
pub(super) fn source_failed(stream: &Stream) -> Error {
    let error = stream.last_error().unwrap_or_else(|| "it has not been tried yet".into());
    Error::new(ErrorKind::SourceFailed, format!("the source is not available: {error}"))
}
