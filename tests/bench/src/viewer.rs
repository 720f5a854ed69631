//! A viewer: joins by WHEP, counts what it gets and knows when it could have shown its first picture.
use crate::access_unit::FirstKeyframe;
use crate::error::{Context, Error};
use crate::http;
use crate::peer::{Peer, Step};
use crate::relay::Relay;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use str0m::Event;
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind};
use str0m::rtp::RtpPacket;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A viewer that sees nothing for so long is a failure of the relay.
const PICTURE_TIME: Duration = Duration::from_secs(20);

/// How long a viewer waited, counted from the moment at which it began to send its offer.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    pub answered: Duration,
    /// ICE and DTLS are done at the viewer.
    pub connected: Duration,
    /// All packets of a keyframe are there.
    pub keyframe: Duration,
}

/// What a viewer received since it joined; read while it runs.
#[derive(Debug, Default)]
pub struct Counters {
    packets: AtomicU64,
    /// Numbers from the first to the highest one received.
    expected: AtomicU64,
}

/// Sees each packet and when it came.
pub type Hook = Box<dyn FnMut(&RtpPacket, Instant) + Send>;

pub struct Viewer {
    pub start: Start,
    counters: Arc<Counters>,
    session: Option<String>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Error>>,
}

impl Viewer {
    /// Joins and waits for the first complete keyframe.
    pub async fn join(relay: &Relay, stream: &str, hook: Option<Hook>) -> Result<Self, Error> {
        let mut peer = Peer::new()?;
        let mut changes = peer.rtc.sdp_api();
        changes.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let (offer, pending) = changes.apply().ok_or_else(|| Error::new("the offer is empty"))?;
        let offer = offer.to_sdp_string();
        let offered = Instant::now();
        let path = relay.view_path(stream);
        let response = http::request(relay.http, "POST", &path, &offer).await?;
        if response.status / 100 != 2 {
            return Err(Error::new(format!("{path} answers {}: {}", response.status, response.body)));
        }
        let answered = offered.elapsed();
        let answer = SdpAnswer::from_sdp_string(&response.body).context("answer")?;
        peer.rtc.sdp_api().accept_answer(pending, answer).context("answer")?;

        let counters = Arc::new(Counters::default());
        let (stop, stopped) = oneshot::channel();
        let (started, start) = oneshot::channel();
        let watching = Watching { offered, answered, connected: None, counters: counters.clone(), hook, first: None };
        let task = tokio::spawn(watch(peer, watching, started, stopped));
        match timeout(PICTURE_TIME, start).await {
            Ok(Ok(start)) => Ok(Self { start, counters, session: response.location, stop, task }),
            Ok(Err(_)) => Err(task.await?.err().unwrap_or_else(|| Error::new("the relay closed the session"))),
            Err(_) => Err(Error::new(format!("{path}: no complete keyframe within {PICTURE_TIME:?}"))),
        }
    }

    pub fn packets(&self) -> u64 {
        self.counters.packets.load(Relaxed)
    }

    /// Packets that should be there by their numbers and are not.
    pub fn lost(&self) -> u64 {
        self.counters.expected.load(Relaxed).saturating_sub(self.packets())
    }

    /// Ends the session as a player would.
    pub async fn leave(self, relay: &Relay) -> Result<(), Error> {
        if let Some(session) = &self.session {
            // Some relays answer with a whole URL.
            let path = session.find("://").and_then(|at| Some(at + 3 + session[at + 3..].find('/')?));
            let _ = http::request(relay.http, "DELETE", &session[path.unwrap_or(0)..], "").await;
        }
        let _ = self.stop.send(());
        self.task.await?
    }
}

/// What the task of a viewer keeps.
struct Watching {
    offered: Instant,
    answered: Duration,
    connected: Option<Duration>,
    counters: Arc<Counters>,
    hook: Option<Hook>,
    /// Number of the first packet.
    first: Option<u64>,
}

async fn watch(
    mut peer: Peer,
    mut watching: Watching,
    started: oneshot::Sender<Start>,
    mut stopped: oneshot::Receiver<()>,
) -> Result<(), Error> {
    let mut started = Some(started);
    let mut keyframe = FirstKeyframe::default();
    loop {
        match peer.poll(|_| {})? {
            Step::Wait(until) => tokio::select! {
                done = peer.wait(until) => done?,
                _ = &mut stopped => break,
            },
            Step::Event(event) => match *event {
                Event::Connected => watching.connected = Some(watching.offered.elapsed()),
                Event::RtpPacket(packet) => {
                    watching.count(*packet.seq_no);
                    if let Some(hook) = &mut watching.hook {
                        hook(&packet, peer.arrived);
                    }
                    if started.is_some() && keyframe.completes(&packet) {
                        watching.tell(&mut started);
                    }
                }
                _ => {}
            },
        }
    }
    peer.close();
    Ok(())
}

impl Watching {
    fn count(&mut self, number: u64) {
        let first = *self.first.get_or_insert(number);
        self.counters.packets.fetch_add(1, Relaxed);
        self.counters.expected.fetch_max(number.saturating_sub(first) + 1, Relaxed);
    }

    fn tell(&self, started: &mut Option<oneshot::Sender<Start>>) {
        let keyframe = self.offered.elapsed();
        let connected = self.connected.unwrap_or(keyframe);
        if let Some(started) = started.take() {
            let _ = started.send(Start { answered: self.answered, connected, keyframe });
        }
    }
}
