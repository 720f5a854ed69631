//! One peer as the engine sees it: its session, what it is sent and what it sends.
use crate::doctor::facts::{Advertised, RemoteCandidates};
use crate::engine::api::{Reply, TalkEvents};
use crate::engine::keys::TrackKey;
use crate::engine::media::Media;
use crate::engine::media::sender::Sender;
use crate::rtc::negotiate::Side;
use crate::rtc::ntp::ntp_at;
use crate::rtc::renegotiate::Agreement;
use crate::rtc::route::{Datagram, Socket};
use crate::rtc::rtcp;
use crate::rtc::session::Session;
use crate::stream::floor::SILENCE;
use crate::stream::intake::Intake;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Sender and receiver reports go out this often.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(1);
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

/// A session with what both sides described, what it is sent, and what it sends.
pub struct Peer {
    pub id: String,
    pub stream: String,
    pub role: Side,
    pub session: Session,
    /// What both sides have described so far.
    pub agreement: Agreement,
    pub senders: Vec<Sender>,
    /// What it sends: nothing, if it only watches.
    pub intake: Intake<TrackKey>,
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
    /// It is on the list of viewers for whom there may be something to send.
    pub is_to_be_pumped: bool,
    /// When it may be sent more.
    pub wake: Option<Instant>,
    pub budget: Budget,
    /// The session's allocation on a TURN server.
    pub allocation: Option<u32>,
    pub candidates: PeerCandidates,
    /// Who wants to hear of candidates that come after the answer.
    pub late: Option<Reply<Vec<String>>>,
    /// Who wants to hear whether this viewer's microphone is heard.
    pub talk_events: Option<TalkEvents>,
    /// When its sound was last refused.
    pub refused: Option<Instant>,
    /// What the peer was told of us, shared by all peers that were told the same.
    pub advertised: Arc<Advertised>,
}

/// What a peer told of itself.
#[derive(Default)]
pub struct PeerCandidates {
    /// Lines that were looked at, over all of its messages since the last ICE restart.
    pub lines: usize,
    /// Its addresses so far, for an allocation that comes later than they do.
    pub addresses: Vec<(SocketAddr, u32)>,
    /// Names whose address is looked for.
    pub names: Vec<HiddenCandidate>,
    /// For the doctor.
    pub facts: RemoteCandidates,
}

impl PeerCandidates {
    /// ICE was restarted: what the peer told before does not count any more.
    pub fn begin_again(&mut self) {
        self.lines = 0;
        self.addresses.clear();
        self.names.clear();
    }
}

/// A candidate whose address is not known yet.
pub struct HiddenCandidate {
    pub name: String,
    pub port: u16,
    pub priority: u32,
}

impl Peer {
    pub fn etag(&self) -> String {
        format!("\"{}-{}\"", &self.id[..16.min(self.id.len())], self.generation)
    }

    pub fn publishes(&self) -> bool {
        self.role == Side::Publisher
    }

    /// Tells a talker whether its microphone is heard.
    pub fn tell_talker(&mut self, heard: bool) {
        self.talk_events.take_if(|events| !events.tell(heard));
    }

    /// Was its sound refused a moment ago?
    pub fn is_refused(&self, now: Instant) -> bool {
        self.refused.is_some_and(|at| now.saturating_duration_since(at) < SILENCE)
    }

    /// A viewer with a microphone.
    pub fn talks(&self) -> bool {
        !self.publishes() && !self.intake.receivers.is_empty()
    }

    /// When this peer needs attention.
    pub fn deadline(&self) -> Option<Instant> {
        let report = self.connected.map(|_| self.report_due);
        [self.session.deadline(), report, self.intake.deadline(), self.wake].into_iter().flatten().min()
    }

    /// Writes the reports that are due: sender reports for what we send, receiver reports for what we get.
    pub fn report(&mut self, now: Instant, ntp: (Instant, u64), media: &Media, out: &mut Vec<Datagram>) {
        if self.connected.is_none() || self.report_due > now {
            return;
        }
        self.report_due = now + REPORT_INTERVAL;
        let mut compound = Vec::with_capacity(128);
        for sender in self.senders.iter().filter(|sender| sender.packets > 0) {
            let timestamp = sender
                .track
                .and_then(|key| media.get(key)?.timestamp_at(now))
                .and_then(|timestamp| sender.outbound.timestamp_of(timestamp));
            if let Some(timestamp) = timestamp {
                let (packets, octets) = (sender.packets as u32, sender.bytes as u32);
                rtcp::write_sender_report(&mut compound, sender.ssrc, ntp_at(ntp, now), timestamp, packets, octets);
                rtcp::write_cname(&mut compound, sender.ssrc, "porthole");
            }
        }
        if self.publishes() || self.intake.receivers.iter().any(|receiver| receiver.inbound.packets() > 0) {
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
