//! The streams by their names, and the sources that run for them.
pub mod producer;
pub mod stream;

use super::api::{Error, ErrorKind};
use super::io::Output;
use super::keys::TrackKey;
use super::sessions::Client;
use super::source::{ProducerId, SourceError, SourceErrorKind, SourceRequest, SourceUrls};
use crate::config::secrets::restored;
use crate::config::{self, Publishers};
use crate::gather::scope::Scope;
use producer::Producer;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use stream::{Stream, Waiting};

/// Streams in all, so that an API client cannot fill the memory with names.
const MAX_STREAMS: usize = 256;

pub struct Streams {
    all: BTreeMap<String, Stream>,
    /// The streams of the sources that run.
    homes: HashMap<ProducerId, String>,
    next_producer: u64,
    urls: Arc<dyn SourceUrls>,
    /// Time that a source runs on after its last viewer.
    linger: Duration,
    /// When the first stream needs attention; `None`: to be found out anew.
    due: Option<Option<Instant>>,
    outputs: Vec<Output>,
}

impl Streams {
    pub fn new(configured: &BTreeMap<String, config::Stream>, linger: Duration, urls: Arc<dyn SourceUrls>) -> Self {
        let mut streams = Self {
            all: BTreeMap::new(),
            homes: HashMap::new(),
            next_producer: 1,
            urls,
            linger,
            due: None,
            outputs: Vec::new(),
        };
        for (name, stream) in configured {
            let producers = stream.sources.iter().map(|url| streams.producer(url.clone(), Scope::Any)).collect();
            let publishers = stream.publishers;
            streams.all.insert(name.clone(), Stream { publishers, ..Stream::new(name, producers) });
        }
        streams
    }

    fn producer(&self, url: String, scope: Scope) -> Producer {
        let facts = self.urls.facts(&url);
        Producer::new(url, facts, scope)
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn get(&self, name: &str) -> Option<&Stream> {
        self.all.get(name)
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut Stream> {
        self.due = None;
        self.all.get_mut(name)
    }

    /// A stream that is on the list.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn listed(&self, name: &str) -> Result<&Stream, Error> {
        self.get(name).filter(|stream| !stream.deleted).ok_or_else(stream_not_found)
    }

    /// The streams that are on the list.
    pub fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.all.values().filter(|stream| !stream.deleted)
    }

    /// All of them, those included that somebody still watches after they were deleted.
    pub fn all(&self) -> impl Iterator<Item = &Stream> {
        self.all.values()
    }

    pub fn deadline(&mut self) -> Option<Instant> {
        *self.due.get_or_insert_with(|| self.all.values().filter_map(Stream::deadline).min())
    }

    /// The streams that need attention now.
    pub fn due(&mut self, now: Instant) -> Vec<String> {
        if self.deadline().is_none_or(|at| at > now) {
            return Vec::new();
        }
        let due = self.all.values().filter(|stream| stream.deadline().is_some_and(|at| at <= now));
        due.map(|stream| stream.name.clone()).collect()
    }

    /// The stream that a running source is of, and its place there.
    pub fn home(&self, id: ProducerId) -> Option<(String, usize)> {
        let name = self.homes.get(&id)?;
        let is = |producer: &Producer| producer.running.as_ref().is_some_and(|running| running.id == id);
        Some((name.clone(), self.all.get(name)?.producers.iter().position(is)?))
    }

    /// The track that a running source numbers so.
    pub fn track_of(&self, id: ProducerId, index: usize) -> Option<TrackKey> {
        let stream = self.all.get(self.homes.get(&id)?)?;
        let mut running = stream.producers.iter().filter_map(|producer| producer.running.as_ref());
        running.find(|running| running.id == id)?.tracks.get(index).copied()
    }

    /// Opens one source of a stream.
    ///
    /// # Errors
    /// If its camera serves one session at a time, and another source has it.
    pub fn start(&mut self, name: &str, index: usize, now: Instant) -> Result<(), SourceError> {
        if let Some(other) = self.held_by_another(name, index) {
            return Err(SourceError::new(
                SourceErrorKind::Busy,
                format!(
                    "the camera serves one session at a time and stream {other:?} has it: let both viewers use that stream"
                ),
            ));
        }
        let id = ProducerId(self.next_producer);
        let Some(producer) = self.get_mut(name).and_then(|stream| stream.producers.get_mut(index)) else {
            return Ok(());
        };
        producer.start(id, now);
        let (url, scope) = (producer.url.clone(), producer.scope);
        log::info!(target: "streams", "source starts stream={name:?} source={}", producer.facts.public_url);
        self.next_producer += 1;
        self.homes.insert(id, name.to_owned());
        self.outputs.push(Output::StartSource { id, url, scope });
        Ok(())
    }

    /// The stream that holds the only session which the camera of this source serves.
    fn held_by_another(&self, name: &str, index: usize) -> Option<String> {
        let wanted = self.get(name)?.producers.get(index)?.facts.exclusive.as_ref()?;
        let holds = |p: &Producer| p.running.is_some() && p.facts.exclusive.as_ref() == Some(wanted);
        self.all.values().find(|stream| stream.producers.iter().any(holds)).map(|stream| stream.name.clone())
    }

    /// Gives up a source that nobody needs. Answers the tracks that are gone with it.
    pub fn stop(&mut self, name: &str, index: usize) -> Vec<TrackKey> {
        let Some(producer) = self.get_mut(name).and_then(|stream| stream.producers.get_mut(index)) else {
            return Vec::new();
        };
        producer.stop_at = None;
        let Some(running) = producer.running.take() else { return Vec::new() };
        log::info!(
            target: "streams", "source stops, nobody watches stream={name:?} source={}", producer.facts.public_url
        );
        self.ended(running.id);
        running.tracks
    }

    /// Another producer takes the place of a stream's sources. Answers the tracks that are gone with them.
    pub fn stop_all(&mut self, name: &str) -> Vec<TrackKey> {
        let Some(stream) = self.get_mut(name) else { return Vec::new() };
        let mut gone = Vec::new();
        let mut ids = Vec::new();
        for producer in &mut stream.producers {
            if let Some(running) = producer.running.take() {
                gone.extend(running.tracks);
                ids.push(running.id);
            }
            producer.reset();
        }
        ids.into_iter().for_each(|id| self.ended(id));
        gone
    }

    /// A source ended: how long to wait before it is opened again, and the tracks that are gone with it.
    pub fn failed(
        &mut self,
        name: &str,
        index: usize,
        error: &SourceError,
        jitter: u8,
        now: Instant,
    ) -> Option<Vec<TrackKey>> {
        let producer = self.get_mut(name)?.producers.get_mut(index)?;
        let tracks = producer.tracks().to_vec();
        let id = producer.running.as_ref().map(|running| running.id);
        let wait = producer.failed(error.clone(), now, jitter).as_millis();
        log::warn!(
            target: "streams", "source ended stream={name:?} source={} error={:?} retry_in={wait}ms",
            producer.facts.public_url, error.message
        );
        id.into_iter().for_each(|id| self.ended(id));
        Some(tracks)
    }

    fn ended(&mut self, id: ProducerId) {
        self.homes.remove(&id);
        self.outputs.push(Output::StopSource(id));
    }

    /// Asks something of a source that runs.
    pub fn ask(&mut self, id: ProducerId, request: SourceRequest) {
        self.outputs.push(Output::AskSource(id, request));
    }

    /// Lets sources that nobody needs stop after a while. `is_watched`: has a track viewers? Answers the tracks of a
    /// stream that goes now, because it was deleted.
    pub fn rest(&mut self, name: &str, is_watched: impl Fn(TrackKey) -> bool, now: Instant) -> Vec<TrackKey> {
        let linger = self.linger;
        let Some(stream) = self.get_mut(name) else { return Vec::new() };
        let wanted = stream.wanted();
        let watched = |producer: &Producer| producer.tracks().iter().any(|key| is_watched(*key));
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
        let goes = stream.deleted && !wanted && stream.publisher.is_none();
        let count = stream.producers.len();
        let mut gone = Vec::new();
        if goes {
            (0..count).for_each(|index| gone.extend(self.stop(name, index)));
            self.all.remove(name);
        }
        gone
    }

    /// The sources that a client means, who may send back what a list showed.
    ///
    /// # Errors
    /// If a secret that is left out is none that is known.
    pub fn meant(&self, name: &str, sources: &[String]) -> Result<Vec<String>, Error> {
        let known = self.get(name).into_iter().flat_map(Stream::sources);
        restored(sources, known).map_err(|text| Error::new(ErrorKind::BadRequest, text))
    }

    /// # Errors
    /// What [`Self::put`] would fail with.
    pub fn may_put(&self, name: &str, sources: &[String], scope: Scope) -> Result<(), Error> {
        // What is a source already was allowed to somebody.
        let there: Vec<&str> = self.get(name).into_iter().flat_map(Stream::sources).collect();
        for url in sources.iter().filter(|url| !there.contains(&url.as_str())) {
            self.urls.check_scope(url, scope).map_err(|barred| Error::new(ErrorKind::BadRequest, barred))?;
        }
        if self.all.contains_key(name) || self.all.len() < MAX_STREAMS {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Full, format!("there are {MAX_STREAMS} streams already; delete one first")))
    }

    /// Makes or changes a stream; `scope`: where sources that are new may lead. Without rules for publishers a stream
    /// that exists keeps its own. Sources that stay run on. Answers the tracks of those that are gone; `None` if the
    /// sources are as they were.
    ///
    /// # Errors
    /// If a source leads where it may not, or there are too many streams.
    pub fn put(
        &mut self,
        name: &str,
        sources: Vec<String>,
        scope: Scope,
        publishers: Option<Publishers>,
    ) -> Result<Option<Vec<TrackKey>>, Error> {
        self.may_put(name, &sources, scope)?;
        let mut fresh: Vec<Option<Producer>> =
            sources.iter().map(|url| Some(self.producer(url.clone(), scope))).collect();
        self.due = None;
        let stream = self.all.entry(name.to_owned()).or_insert_with(|| Stream::new(name, Vec::new()));
        stream.publishers =
            publishers.unwrap_or(if stream.deleted { Publishers::default() } else { stream.publishers });
        stream.deleted = false;
        if stream.sources().eq(sources.iter().map(String::as_str)) {
            return Ok(None);
        }
        let mut old = std::mem::take(&mut stream.producers);
        for (url, fresh) in sources.iter().zip(&mut fresh) {
            let kept = old.iter().position(|producer| producer.url == *url).map(|index| old.swap_remove(index));
            stream.producers.extend(kept.or_else(|| fresh.take()));
        }
        let mut gone = Vec::new();
        for running in old.into_iter().filter_map(|producer| producer.running) {
            gone.extend(running.tracks);
            self.ended(running.id);
        }
        Ok(Some(gone))
    }

    /// Offers of one client that wait for a source.
    pub fn waiting_of(&self, client: Client) -> usize {
        let waiting = self.all.values().flat_map(|stream| &stream.waiting);
        let is = |waiting: &&Waiting| match waiting {
            Waiting::Offer { offer, .. } => Client::of(offer.format, offer.remote.ip()) == client,
            Waiting::Probe { .. } => false,
        };
        waiting.filter(is).count()
    }

    /// What is to be done outside.
    pub fn outputs(&mut self) -> impl Iterator<Item = Output> {
        self.outputs.drain(..)
    }
}

/// The words that players look for.
pub fn stream_not_found() -> Error {
    Error::new(ErrorKind::NotFound, "stream not found")
}
