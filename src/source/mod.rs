//! Where pictures come from. Each dialect is one file; all of them hand tracks and packets to a [`Sink`].
pub mod test;

use crate::media::codec::Codec;
use crate::media::packet::Packet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use tokio::sync::mpsc;

/// What a source tells the relay about one of its tracks before the first packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackInfo {
    pub codec: Codec,
    /// Format parameters as SDP's fmtp writes them (`profile-level-id=42e01f;packetization-mode=1`), may be empty.
    pub fmtp: String,
}

/// What a source tells the relay.
#[derive(Debug)]
pub enum SourceEvent {
    /// The source is live with these tracks; sent once, before any packet.
    Tracks(Vec<TrackInfo>),
    /// Packets of track number `track` (index into `Tracks`), in order.
    Packets { track: usize, packets: Vec<Packet> },
    /// The source ended by itself; the sentence says why.
    Ended(String),
}

/// What the relay asks of a running source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceRequest {
    /// A viewer needs a keyframe soon; a source that can't make one ignores this.
    Keyframe,
}

/// Names one run of a source, so that events of a run that was given up can't be taken for those of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub u64);

/// Where a source's tracks and packets go. The queue behind it is bounded: a full one slows the source down.
#[derive(Clone, Debug)]
pub struct Sink {
    producer: ProducerId,
    events: mpsc::Sender<(ProducerId, SourceEvent)>,
}

impl Sink {
    pub fn new(producer: ProducerId, events: mpsc::Sender<(ProducerId, SourceEvent)>) -> Self {
        Self { producer, events }
    }

    /// Waits for room in the queue. An error means that nobody listens any more: the source ends.
    pub async fn send(&self, event: SourceEvent) -> Result<(), Closed> {
        self.events.send((self.producer, event)).await.map_err(|_| Closed)
    }
}

/// The relay has given up the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the relay no longer listens to this source")
    }
}

impl std::error::Error for Closed {}

/// A source at work: runs until it fails or is dropped.
pub type Run = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Opens the first of `urls` whose kind this build knows. Answers its URL and what to spawn; an ending
/// of the source comes as [`SourceEvent::Ended`].
///
/// # Errors
/// If no URL is of a known kind, or its options are wrong: a sentence that names the part to change.
pub fn open(urls: &[String], sink: Sink, requests: mpsc::Receiver<SourceRequest>) -> Result<(String, Run), String> {
    let Some(url) = urls.iter().find(|url| url.starts_with("test:")) else {
        let schemes: Vec<&str> = urls.iter().map(|url| url.split(':').next().unwrap_or_default()).collect();
        return Err(format!("no source of kind {} can be opened by this version, only test:", schemes.join(", ")));
    };
    let options = test::TestOptions::parse(url).map_err(|error| error.to_string())?;
    let run = async move {
        let ended = sink.clone();
        test::run(options, sink, requests).await;
        let _ = ended.send(SourceEvent::Ended("the test camera stopped".into())).await;
    };
    Ok((url.clone(), Box::pin(run)))
}

/// A source URL for logs and lists: user name and password are masked.
pub fn public_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        Some(at) => format!("{scheme}://***{}", &rest[at..]),
        None => url.to_owned(),
    }
}
