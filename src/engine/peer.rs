//! One peer as the engine sees it: its session, what it is sent and what it sends.
use crate::doctor::facts::{Advertised, RemoteCandidates};
use crate::engine::hidden::Hidden;
use crate::engine::track::Track;
use crate::media::codec::Kind;
use crate::rtc::negotiate;
use crate::rtc::ntp::ntp_at;
use crate::rtc::renegotiate::Agreement;
use crate::rtc::route::{Datagram, Socket};
use crate::rtc::rtcp::{self, ReportBlock};
use crate::rtc::sdp::RemoteCodec;
use crate::rtc::session::Session;
use crate::stream::floor::SILENCE;
use crate::stream::intake::Intake;
use crate::stream::outbound::{Outbound, Place};
use crate::stream::relay::Error;
use crate::stream::repeats::Repeats;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Sender and receiver reports go out this often.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// A viewer that asks for keyframes gets one from the ring at most this often.
pub const REPLAY_INTERVAL: Duration = Duration::from_millis(500);

/// What one m-line of a viewer is sent.
pub struct Sender {
    /// Index of the m-line in the peer's offers.
    pub media: usize,
    pub kind: Kind,
    /// What the viewer takes, in our order.
    pub codecs: Vec<RemoteCodec>,
    pub ssrc: u32,
    pub rtx_ssrc: Option<u32>,
    pub rtx_seq: u64,
    pub outbound: Outbound,
    pub track: Option<u32>,
    /// Payload type of the track in this session, and of its retransmissions.
    pub payload_type: u8,
    pub rtx_payload_type: Option<u8>,
    pub packets: u64,
    pub bytes: u64,
    pub retransmitted: u64,
    /// Sends that the system refused because they were too long for the way.
    pub too_long: u64,
    /// What was sent again.
    pub repeats: Repeats,
    pub nacked: u64,
    pub keyframe_requests: u64,
    pub wants_keyframe: bool,
    pub replayed: Option<Instant>,
    pub last_sent: Option<Instant>,
    pub report: Option<ReportBlock>,
    pub loss: Loss,
}

/// What the peer's reports say of loss, smoothed: one lost packet in a quiet second is no trouble.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loss {
    pub percent: f32,
    pub reports: u32,
}

impl Loss {
    /// Part of the newest report; four of them make up most of the figure.
    const NEWEST: f32 = 0.25;

    pub fn note(&mut self, fraction: u8) {
        let percent = f32::from(fraction) * 100.0 / 256.0;
        self.percent += (percent - self.percent) * Self::NEWEST;
        self.reports = self.reports.saturating_add(1);
    }
}

impl Sender {
    /// Chooses among a stream's tracks what fits this m-line.
    pub fn bind(&mut self, tracks: &HashMap<u32, Track>, among: &[u32]) {
        let found = among.iter().find_map(|key| {
            let track = tracks.get(key).filter(|track| track.info.codec.kind() == self.kind)?;
            Some((*key, negotiate::pick(&track.info, &self.codecs)?))
        });
        match found {
            Some((key, codec)) => {
                self.payload_type = codec.payload_type;
                self.rtx_payload_type = codec.rtx.filter(|_| self.rtx_ssrc.is_some());
                if self.track != Some(key) {
                    self.track = Some(key);
                    self.outbound.stop();
                }
            }
            None => {
                self.track = None;
                self.outbound.stop();
            }
        }
    }

    /// Goes back to a cursor and to counts from before packets that the kernel refused.
    pub fn back_to(&mut self, (cursor, packets, bytes): (Place, u64, u64)) {
        self.outbound.restore(cursor);
        (self.packets, self.bytes) = (packets, bytes);
    }

    pub fn idle_ticks(&self, now: Instant, clock_rate: u32) -> u32 {
        let idle = self.last_sent.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        (idle.as_millis() as u64 * u64::from(clock_rate) / 1000) as u32
    }
}

/// Where a session came from, for lists and logs.
#[derive(Clone, Debug)]
pub struct Origin {
    pub format: &'static str,
    pub protocol: &'static str,
    pub user_agent: String,
    pub remote: SocketAddr,
    /// Our address as the request named it.
    pub host: Option<IpAddr>,
}

pub struct Peer {
    pub id: String,
    pub stream: String,
    pub publishes: bool,
    pub session: Session,
    /// What both sides have described so far.
    pub agreement: Agreement,
    pub senders: Vec<Sender>,
    /// What it sends: nothing, if it only watches.
    pub intake: Intake,
    pub origin: Origin,
    pub created: Instant,
    pub connected: Option<Instant>,
    /// Routes by which datagrams of this peer are known.
    pub routes: Vec<(Socket, SocketAddr)>,
    /// ICE generation, for the entity tag.
    pub generation: u32,
    /// When ICE was last restarted.
    pub restarted: Option<Instant>,
    pub report_due: Instant,
    pub wake: Option<Instant>,
    /// [`Self::deadline`] as it was after the last step that concerned this peer.
    pub due: Option<Instant>,
    pub budget: Budget,
    pub offered_candidates: usize,
    /// The session's allocation on a TURN server.
    pub relay: Option<u32>,
    /// The peer's candidates so far, for an allocation that comes later than they do.
    pub remotes: Vec<(SocketAddr, u32)>,
    /// Those whose address is looked for.
    pub hidden: Vec<Hidden>,
    /// Who wants to hear of candidates that come after the answer.
    pub late: Option<oneshot::Sender<Result<Vec<String>, Error>>>,
    /// Who wants to hear whether what this viewer says goes on (true) or somebody else talks.
    pub turns: Option<mpsc::Sender<bool>>,
    /// When what it says was last refused.
    pub refused: Option<Instant>,
    /// What the peer was told of us, shared by all peers that were told the same.
    pub advertised: Arc<Advertised>,
    /// What it told of itself.
    pub remote: RemoteCandidates,
}

impl Peer {
    pub fn etag(&self) -> String {
        format!("\"{}-{}\"", &self.id[..16.min(self.id.len())], self.generation)
    }

    /// Tells a talker whether what it says is heard.
    pub fn tell_turn(&mut self, heard: bool) {
        if let Some(turns) = &self.turns
            && let Err(mpsc::error::TrySendError::Closed(_)) = turns.try_send(heard)
        {
            self.turns = None;
        }
    }

    /// Was what it says refused a moment ago?
    pub fn is_refused(&self, now: Instant) -> bool {
        self.refused.is_some_and(|at| now.saturating_duration_since(at) < SILENCE)
    }

    /// A viewer with a microphone.
    pub fn talks(&self) -> bool {
        !self.publishes && !self.intake.receivers.is_empty()
    }

    /// When this peer needs attention.
    pub fn deadline(&self) -> Option<Instant> {
        let report = self.connected.map(|_| self.report_due);
        [self.session.deadline(), report, self.intake.deadline(), self.wake].into_iter().flatten().min()
    }

    /// Writes the reports that are due: sender reports for what we send, receiver reports for what we get.
    pub fn report(&mut self, now: Instant, ntp: (Instant, u64), tracks: &HashMap<u32, Track>, out: &mut Vec<Datagram>) {
        if self.connected.is_none() || self.report_due > now {
            return;
        }
        self.report_due = now + REPORT_INTERVAL;
        let mut compound = Vec::with_capacity(128);
        for sender in self.senders.iter().filter(|sender| sender.packets > 0) {
            let timestamp = sender
                .track
                .and_then(|key| tracks.get(&key)?.timestamp_at(now))
                .and_then(|timestamp| sender.outbound.timestamp_of(timestamp));
            if let Some(timestamp) = timestamp {
                let (packets, octets) = (sender.packets as u32, sender.bytes as u32);
                rtcp::write_sender_report(&mut compound, sender.ssrc, ntp_at(ntp, now), timestamp, packets, octets);
                rtcp::write_cname(&mut compound, sender.ssrc, "porthole");
            }
        }
        if self.publishes || self.intake.receivers.iter().any(|receiver| receiver.inbound.packets() > 0) {
            self.intake.report(now, &mut compound);
        }
        if !compound.is_empty() {
            self.session.send_rtcp(&compound, out);
        }
    }

    /// Asks a publisher for missing packets and wanted keyframes, and tells it what arrived when.
    pub fn feedback(&mut self, now: Instant, out: &mut Vec<Datagram>) {
        let compound = self.intake.feedback(now);
        if !compound.is_empty() {
            self.session.send_rtcp(&compound, out);
        }
    }
}

/// Bytes that a session may send: a token bucket, so that a burst of cached pictures does not overrun
/// the queues between here and the viewer.
pub struct Budget {
    tokens: usize,
    at: Instant,
}

impl Budget {
    /// Bytes at once: fits the receive buffer that systems give a socket by default.
    const BURST: usize = 96 << 10;
    /// Bytes for each millisecond, 128 Mbit/s: far above any camera, below what switches of small networks carry.
    const PER_MS: usize = 16_000;
    /// Microseconds after which the bucket is full in any case.
    const FULL_AFTER_US: u128 = 10_000;
    /// How long to wait when nothing is left.
    pub const REFILL: Duration = Duration::from_millis(4);

    pub fn new(now: Instant) -> Self {
        Self { tokens: Self::BURST, at: now }
    }

    pub fn refill(&mut self, now: Instant) {
        // Bounded, so that a long pause does not overflow where words have 32 bits.
        let elapsed = now.saturating_duration_since(self.at).as_micros().min(Self::FULL_AFTER_US) as usize;
        self.tokens = (self.tokens + elapsed * Self::PER_MS / 1000).min(Self::BURST);
        self.at = now;
    }

    /// May `bytes` go out? A single packet always may while anything is left.
    pub fn take(&mut self, bytes: usize) -> bool {
        let any = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(bytes);
        any
    }
}
