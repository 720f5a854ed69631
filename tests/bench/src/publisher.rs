//! A publisher: brings a stream to the relay by WHIP and notes when each packet left. It runs on a
//! thread of its own, so that sending a picture does not delay the viewer that waits for it.
use crate::error::{Context, Error};
use crate::http;
use crate::peer::{Peer, Step};
use crate::relay::Relay;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::rtp::RtpWrite;
use str0m::{Event, Rtc};
use tokio::sync::oneshot;

/// 3 Mbit/s at 30 frames each second.
const FRAME_TIME: Duration = Duration::from_nanos(1_000_000_000 / 30);
const PACKETS: u64 = 11;
const PACKET: usize = 1136;
const TICKS_PER_FRAME: u32 = 3000;
/// NAL unit headers: a slice of a keyframe, a slice of another picture.
const IDR_SLICE: u8 = 0x65;
const SLICE: u8 = 0x41;
/// A publisher that is not connected by then never will be.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// When packets left, in nanoseconds since `epoch`, by the low 16 bits of their number; 0 if never.
pub struct Departures {
    epoch: Instant,
    times: Vec<AtomicU64>,
}

impl Departures {
    fn new() -> Arc<Self> {
        let times = (0..1 << 16).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { epoch: Instant::now(), times })
    }

    fn note(&self, number: u16) {
        self.times[usize::from(number)].store(self.epoch.elapsed().as_nanos() as u64, Relaxed);
    }

    /// How long the packet whose payload this is was on its way.
    pub fn travel_time(&self, payload: &[u8], arrived: Instant) -> Option<Duration> {
        let number = u16::from_be_bytes([*payload.get(1)?, *payload.get(2)?]);
        let left = self.times[usize::from(number)].load(Relaxed);
        let arrived = arrived.saturating_duration_since(self.epoch);
        (left > 0).then(|| arrived.checked_sub(Duration::from_nanos(left)))?
    }
}

pub struct Publisher {
    pub departures: Arc<Departures>,
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<Result<(), Error>>,
}

impl Publisher {
    /// Publishes pictures to `stream`, one in `gop` of them a keyframe. Answers when the first one was sent.
    pub async fn start(relay: &Relay, stream: &str, gop: u64) -> Result<Self, Error> {
        let departures = Departures::new();
        let (stop, stopped) = oneshot::channel();
        let (live, is_live) = oneshot::channel();
        let door = (relay.http, relay.publish_path(stream));
        let noted = departures.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async move {
                let film = Film { departures: noted, gop, frame: 0, live: Some(live) };
                publish(door, film, stopped).await
            })
        });
        if is_live.await.is_err() {
            let error = thread.join().map_err(|_| Error::new("the publisher panicked"))?;
            return Err(error.err().unwrap_or_else(|| Error::new("the publisher ended early")));
        }
        Ok(Self { departures, stop, thread })
    }

    pub fn stop(self) -> Result<(), Error> {
        let _ = self.stop.send(());
        self.thread.join().map_err(|_| Error::new("the publisher panicked"))?
    }
}

async fn publish(
    (server, path): (std::net::SocketAddr, String),
    mut film: Film,
    mut stopped: oneshot::Receiver<()>,
) -> Result<(), Error> {
    let mut peer = Peer::new()?;
    let mut changes = peer.rtc.sdp_api();
    let mid = changes.add_media(MediaKind::Video, Direction::SendOnly, None, None, None);
    let (offer, pending) = changes.apply().ok_or_else(|| Error::new("the offer is empty"))?;
    let response = http::request(server, "POST", &path, &offer.to_sdp_string()).await?;
    if response.status / 100 != 2 {
        return Err(Error::new(format!("{path} answers {}: {}", response.status, response.body)));
    }
    let answer = SdpAnswer::from_sdp_string(&response.body).context("answer")?;
    peer.rtc.sdp_api().accept_answer(pending, answer).context("answer")?;

    let departures = film.departures.clone();
    let note = |datagram: &[u8]| {
        // RFC 5761 section 4: 192..=223 in the second byte is RTCP.
        if datagram.first().is_some_and(|first| first >> 6 == 2) && !(192..=223).contains(&datagram[1]) {
            departures.note(u16::from_be_bytes([datagram[2], datagram[3]]));
        }
    };
    let deadline = Instant::now() + CONNECT_TIME;
    let mut next: Option<(Instant, Pt)> = None;
    loop {
        match peer.poll(note)? {
            Step::Event(event) => {
                if matches!(*event, Event::Connected) {
                    let media = peer.rtc.media(mid).ok_or_else(|| Error::new("the track is gone"))?;
                    let payload_type = *media.remote_pts().first().ok_or_else(|| Error::new("no common codec"))?;
                    next = Some((Instant::now(), payload_type));
                }
            }
            Step::Wait(until) => {
                if next.is_none() && Instant::now() > deadline {
                    return Err(Error::new(format!("{path}: not connected within {CONNECT_TIME:?}")));
                }
                let due = next.map_or(deadline, |(due, _)| due);
                if let Some((due, payload_type)) = next.filter(|(due, _)| *due <= Instant::now()) {
                    film.write(&mut peer.rtc, mid, payload_type)?;
                    next = Some((due + FRAME_TIME, payload_type));
                    continue;
                }
                tokio::select! {
                    done = peer.wait(until.min(due)) => done?,
                    _ = &mut stopped => break,
                }
            }
        }
    }
    peer.close();
    Ok(())
}

/// What is published: packets of noise that carry their numbers.
struct Film {
    departures: Arc<Departures>,
    gop: u64,
    frame: u64,
    live: Option<oneshot::Sender<()>>,
}

impl Film {
    fn write(&mut self, rtc: &mut Rtc, mid: Mid, payload_type: Pt) -> Result<(), Error> {
        let now = Instant::now();
        let mut direct = rtc.direct_api();
        let stream = direct.stream_tx_by_mid(mid, None).ok_or_else(|| Error::new("no stream to send on"))?;
        let keyframe = self.frame.is_multiple_of(self.gop);
        for part in 0..PACKETS {
            let number = 1 + self.frame * PACKETS + part;
            let mut payload = vec![0x5a; PACKET];
            payload[0] = if keyframe { IDR_SLICE } else { SLICE };
            payload[1..3].copy_from_slice(&(number as u16).to_be_bytes());
            let timestamp = (self.frame as u32).wrapping_mul(TICKS_PER_FRAME);
            let packet = RtpWrite::new(payload_type, number.into(), timestamp, now, payload);
            stream.write_rtp(packet.marker(part + 1 == PACKETS).nackable(true));
        }
        rtc.handle_input(str0m::Input::Timeout(now))?;
        self.frame += 1;
        if let Some(live) = self.live.take() {
            let _ = live.send(());
        }
        Ok(())
    }
}
