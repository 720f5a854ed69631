//! The life of streams: started for the first viewer, stopped after the last, healed in between.
use super::peer::Peer;
use super::report;
use super::streams::{Running, START_DEADLINE, Stream, Waiting, Wish};
use super::{Engine, MAX_STREAMS, stream_not_found};
use crate::media::codec::Codec;
use crate::rtc::session::Reason;
use crate::source::ProducerId;
use crate::stream::relay::{Error, ErrorKind};
use serde_json::Value;
use std::time::Instant;
use tokio::sync::oneshot;

impl Engine {
    pub(super) fn start_source(&mut self, name: &str, now: Instant) {
        let id = ProducerId(self.next_producer);
        self.next_producer += 1;
        let Some(stream) = self.streams.get_mut(name) else { return };
        if let Err(error) = stream.start(id, &self.sources.0, now) {
            self.on_source_failed(name, error, now);
        }
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
        for sender in &mut peer.senders {
            let before = sender.track;
            sender.bind(&self.tracks, stream.tracks());
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

    pub(super) fn on_source_failed(&mut self, name: &str, error: String, now: Instant) {
        let mut jitter = [0; 1];
        let _ = self.identity.fill(&mut jitter);
        let Some(stream) = self.streams.get_mut(name) else { return };
        let tracks = stream.running.as_ref().map(|running| running.tracks.clone()).unwrap_or_default();
        // Whoever waits for the first picture is told; whoever watches stays and sees it when it is back.
        let refusal = Error::new(ErrorKind::SourceFailed, format!("the source is not available: {error}"));
        let waiting = std::mem::take(&mut stream.waiting);
        stream.failed(error, now, jitter[0]);
        let viewers = stream.viewers.clone();
        self.refuse_waiting(waiting, &refusal, now);
        self.drop_tracks(&tracks);
        for viewer in viewers {
            self.bind(viewer);
        }
    }

    pub(super) fn refuse_waiting(&mut self, waiting: Vec<Waiting>, error: &Error, now: Instant) {
        for waiting in waiting {
            if let Waiting::Offer { offer, .. } = &waiting {
                self.remember_refusal(offer, error, now);
            }
            waiting.refuse(error.clone());
        }
    }

    /// A publisher connected: it is the stream's producer now. The newest wins, so that one that crashed and
    /// came back does not wait for its own ghost; an offer alone takes nobody's place.
    pub(super) fn take_over(&mut self, key: u32) {
        let Some(peer) = self.peers.get(&key) else { return };
        let name = peer.stream.clone();
        let tracks: Vec<u32> = peer.intake.receivers.iter().map(|receiver| receiver.track).collect();
        let Some(stream) = self.streams.get_mut(&name) else { return };
        let replaced = stream.publisher.replace((key, tracks));
        let stopped = stream.running.take().map(|running| running.tracks.clone()).unwrap_or_default();
        stream.retry_at = None;
        stream.last_error = None;
        stream.down_since = None;
        self.drop_tracks(&stopped);
        if let Some((old, _)) = replaced {
            log::info!(target: "streams", "publisher replaced stream={name:?}");
            self.remove_peer(old, Reason::ClosedByUs);
        }
        self.on_live(&name);
    }

    /// A session left its stream.
    pub(super) fn leave(&mut self, peer: &Peer, key: u32, now: Instant) {
        for receiver in &peer.intake.receivers {
            self.tracks.remove(&receiver.track);
        }
        let Some(stream) = self.streams.get_mut(&peer.stream) else { return };
        stream.viewers.retain(|viewer| *viewer != key);
        if stream.publisher.as_ref().is_some_and(|(publisher, _)| *publisher == key) {
            stream.publisher = None;
            let viewers = stream.viewers.clone();
            let restart = stream.wanted() && !stream.sources.is_empty();
            for viewer in viewers {
                self.bind(viewer);
            }
            if restart {
                self.start_source(&peer.stream, now);
            }
        }
        self.rest(&peer.stream, now);
    }

    /// Lets a stream that nobody wants stop after a while.
    pub(super) fn rest(&mut self, name: &str, now: Instant) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        if stream.wanted() {
            stream.stop_at = None;
            return;
        }
        stream.retry_at = None;
        if stream.running.is_some() {
            stream.stop_at.get_or_insert(now + self.linger);
        }
        if stream.deleted && stream.publisher.is_none() {
            self.stop_source(name);
            self.streams.remove(name);
        }
    }

    fn stop_source(&mut self, name: &str) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        stream.stop_at = None;
        let Some(running) = stream.running.take() else { return };
        log::info!(target: "streams", "source stops, nobody watches stream={name:?}");
        self.drop_tracks(&running.tracks);
    }

    pub(super) fn tick_stream(&mut self, name: &str, now: Instant) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        let start = stream.running.as_ref().and_then(Running::start_deadline);
        if stream.waiting.iter().map(Waiting::until).chain(start).any(|until| until <= now) {
            let limit = START_DEADLINE.as_secs();
            return self.on_source_failed(name, format!("no picture format within {limit} s"), now);
        }
        if stream.stop_at.is_some_and(|at| at <= now) {
            return self.stop_source(name);
        }
        if stream.retry_at.is_some_and(|at| at <= now) {
            self.start_source(name, now);
        }
    }

    pub(super) fn on_probe(
        &mut self,
        name: &str,
        wish: Wish,
        reply: oneshot::Sender<Result<Value, Error>>,
        now: Instant,
    ) {
        match self.streams.get(name) {
            Some(stream) if !stream.is_live() && !stream.sources.is_empty() => {
                self.wait_for(name, Waiting::Probe { wish, reply, until: now + START_DEADLINE }, now);
            }
            _ => drop(reply.send(self.probe(name, &wish))),
        }
    }

    fn probe(&self, name: &str, wish: &Wish) -> Result<Value, Error> {
        let shown = self.describe(name)?;
        let tracks = self.streams.get(name).map(Stream::tracks).unwrap_or_default();
        let codecs: Vec<&Codec> = tracks.iter().filter_map(|key| Some(&self.tracks.get(key)?.info.codec)).collect();
        if wish.fits(codecs.iter().copied()) {
            return Ok(shown);
        }
        let have: Vec<String> = codecs.iter().map(ToString::to_string).collect();
        let have = if have.is_empty() { "no track".into() } else { have.join(", ") };
        let speaker = if wish.microphone.is_some() { ", and no source of it takes a microphone's sound" } else { "" };
        let message = format!("streams: codecs not matched: the stream has {have}{speaker}");
        Err(Error::new(ErrorKind::CodecMismatch, message))
    }

    pub(super) fn put_stream(&mut self, name: &str, sources: Vec<String>, now: Instant) -> Result<(), Error> {
        if !self.streams.contains_key(name) && self.streams.len() >= MAX_STREAMS {
            return Err(Error::new(
                ErrorKind::Full,
                format!("there are {MAX_STREAMS} streams already; delete one first"),
            ));
        }
        let stream = self.streams.entry(name.to_owned()).or_insert_with(|| Stream::new(name, Vec::new()));
        stream.deleted = false;
        if stream.sources == sources {
            return Ok(());
        }
        // Viewers stay: they see the new source as soon as it runs.
        stream.sources = sources;
        stream.last_error = None;
        stream.down_since = None;
        stream.failures = 0;
        stream.retry_at = None;
        let old = stream.running.take();
        let viewers = stream.viewers.clone();
        let wanted = stream.wanted() && stream.publisher.is_none();
        if let Some(old) = old {
            self.drop_tracks(&old.tracks);
            viewers.iter().for_each(|viewer| self.bind(*viewer));
        }
        if wanted && self.streams.get(name).is_some_and(|stream| !stream.sources.is_empty()) {
            self.start_source(name, now);
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
        Ok(report::stream(stream, &self.peers, &self.tracks))
    }
}
