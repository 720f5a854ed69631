//! One call to a camera: what both sides describe, the session that follows, and the media that it brings. Pure:
//! descriptions, datagrams and time come in, datagrams and events go out.
mod description;
mod media;
mod paths;
#[cfg(test)]
mod tests;

use crate::media::codec::Codec;
use crate::media::packet::Packet;
use crate::media::track::TrackInfo;
use crate::rtc::ice::Credentials;
use crate::rtc::ntp::ntp_at;
use crate::rtc::offer::OfferedMedia;
use crate::rtc::route::{Datagram, Route, Socket};
use crate::rtc::rtcp;
use crate::rtc::session::{Event as SessionEvent, Identity, Reason, Session, State};
use crate::stream::intake::Intake;
use media::{Backchannel, Section};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Both sides have to be described within this time.
pub const SIGNALLING: Duration = Duration::from_secs(10);
/// A camera that sends nothing for this long is lost.
pub const SILENCE: Duration = Duration::from_secs(10);
/// Reports go out this often.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// What came of a call.
#[derive(Debug)]
pub enum Event {
    Connected,
    /// The camera plays sound in one of these codecs.
    Backchannel(Vec<Codec>),
    /// The tracks are known, or others than before.
    Tracks(Vec<TrackInfo>),
    Packets {
        track: usize,
        packets: Vec<Packet>,
    },
    /// A track's clock showed this timestamp at that moment.
    Clock {
        track: usize,
        at: Instant,
        timestamp: u32,
    },
    /// The call is over.
    Ended(String),
}

pub struct Call {
    identity: Arc<Identity>,
    local: Credentials,
    /// As the attribute writes it.
    fingerprint: String,
    session_id: u64,
    begun: Instant,
    offered: Vec<OfferedMedia>,
    /// The layer to take of a picture that the camera has several of.
    layer: Option<String>,
    sections: Vec<Section>,
    session: Option<Session>,
    intake: Intake<usize>,
    backchannel: Option<Backchannel>,
    /// First sequence number and timestamp of what we say.
    numbers: (u16, u32),
    announced: bool,
    connected: Option<Instant>,
    last_media: Option<Instant>,
    report_due: Instant,
    over: bool,
    /// The camera's addresses for UDP, and those at which it takes TCP connections, with its priorities of them.
    remotes: Vec<(SocketAddr, u32)>,
    passive: Vec<(SocketAddr, u32)>,
    candidates: usize,
    /// Where our candidates are: one socket for each address family.
    sockets: [Option<Socket>; 2],
    /// Our addresses on TURN servers, likewise.
    relays: [Option<Socket>; 2],
    pub out: Vec<Datagram>,
    pub events: Vec<Event>,
    scratch: Vec<SessionEvent>,
}

impl Call {
    /// `sockets`: ours for IPv4 and IPv6.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn new(identity: Arc<Identity>, sockets: [Option<Socket>; 2], now: Instant) -> Result<Self, String> {
        let mut random = [0; 20];
        let local = identity.fill(&mut random).and_then(|()| identity.credentials());
        let local = local.map_err(|_| "the system gives no random numbers")?;
        let number = |at: usize| random[at..at + 4].iter().fold(0, |n, byte| n << 8 | u32::from(*byte));
        Ok(Self {
            local,
            session_id: u64::from(number(0)) << 30 | u64::from(number(4)) >> 2,
            fingerprint: identity.fingerprint.to_string(),
            intake: Intake::new(number(8).max(1)),
            backchannel: None,
            numbers: (number(12) as u16, number(16)),
            identity,
            begun: now,
            offered: Vec::new(),
            layer: None,
            sections: Vec::new(),
            session: None,
            announced: false,
            connected: None,
            last_media: None,
            report_due: now,
            over: false,
            remotes: Vec::new(),
            passive: Vec::new(),
            candidates: 0,
            sockets,
            relays: [None; 2],
            out: Vec::new(),
            events: Vec::new(),
            scratch: Vec::new(),
        })
    }

    /// Takes this layer of the camera's picture, where it sends several; an empty name takes the camera's choice.
    pub fn with_layer(self, name: &str) -> Self {
        Self { layer: Some(name.to_owned()).filter(|name| !name.is_empty()), ..self }
    }

    pub fn is_described(&self) -> bool {
        self.session.is_some()
    }

    /// Some way to the camera works.
    pub fn is_reachable(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.ice().is_reachable())
    }

    pub fn is_connected(&self) -> bool {
        self.connected.is_some()
    }

    /// Media flows.
    pub fn is_announced(&self) -> bool {
        self.announced
    }

    /// How far the call is, in a word for lists.
    pub fn state(&self) -> &'static str {
        match self.session.as_ref().map(Session::state) {
            None => "signalling",
            Some(State::Connected) if !self.announced => "waiting for media",
            Some(state) => state.name(),
        }
    }

    /// The way that media takes.
    pub fn route(&self) -> Option<Route> {
        self.session.as_ref()?.ice().selected()
    }

    /// Takes a datagram of one of our sockets.
    pub fn handle(&mut self, now: Instant, route: Route, bytes: &[u8]) {
        let Some(session) = &mut self.session else { return };
        session.handle(now, route, bytes, &mut self.out, &mut self.scratch);
        self.follow(now);
    }

    pub fn want_keyframe(&mut self, track: usize, now: Instant) {
        self.intake.want_keyframe(track);
        self.feedback(now);
    }

    /// Takes what the session told.
    fn follow(&mut self, now: Instant) {
        let mut told = std::mem::take(&mut self.scratch);
        for event in told.drain(..) {
            match event {
                SessionEvent::Connected => {
                    (self.connected, self.report_due) = (Some(now), now);
                    self.events.push(Event::Connected);
                }
                SessionEvent::Rtp(packet) => self.on_rtp(packet, now),
                SessionEvent::Rtcp(compound) => self.on_rtcp(&compound, now),
                SessionEvent::Closed(reason) => self.end(ended(reason)),
            }
        }
        // Kept for its memory.
        self.scratch = told;
    }

    fn end(&mut self, why: String) {
        self.over = true;
        self.events.push(Event::Ended(why));
    }

    /// When [`Self::tick`] is due; never again once the call is over.
    pub fn deadline(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let report = self.connected.map(|_| self.report_due);
        let session = self.session.as_ref().and_then(Session::deadline);
        [self.patience(), session, report, self.intake.deadline()].into_iter().flatten().min()
    }

    /// When the camera has been silent for too long.
    fn patience(&self) -> Option<Instant> {
        match (&self.session, self.last_media.or(self.connected)) {
            (None, _) => Some(self.begun + SIGNALLING),
            (Some(_), Some(since)) => Some(since + SILENCE),
            // The session has deadlines of its own until then.
            (Some(_), None) => None,
        }
    }

    /// Does what is due by `now`.
    pub fn tick(&mut self, now: Instant) {
        if self.patience().is_some_and(|at| at <= now) {
            let seconds = SILENCE.as_secs();
            let reason = match (&self.session, self.last_media) {
                (None, _) => format!("the signalling did not come to an end within {} s", SIGNALLING.as_secs()),
                (Some(_), None) => format!("connected, but the camera sent no picture within {seconds} s"),
                (Some(_), Some(_)) => format!("the camera sent nothing for {seconds} s"),
            };
            return self.end(reason);
        }
        if let Some(session) = &mut self.session {
            session.tick(now, &mut self.out, &mut self.scratch);
        }
        self.follow(now);
        if self.connected.is_some() && self.report_due <= now {
            self.report_due = now + REPORT_INTERVAL;
            let mut compound = Vec::with_capacity(128);
            if let Some(Backchannel { voice, rate, .. }) = &self.backchannel
                && let Some(timestamp) = voice.timestamp_at(now, *rate)
            {
                // A clock that starts with the call will do where nothing else is to be in step with it (RFC 3550 section 6.4.1).
                let ntp = ntp_at((self.begun, 0), now);
                rtcp::write_sender_report(&mut compound, voice.ssrc, ntp, timestamp, voice.packets, voice.bytes);
            }
            self.intake.report(now, &mut compound);
            if let Some(session) = &mut self.session {
                session.send_rtcp(&compound, &mut self.out);
            }
        }
        self.feedback(now);
    }

    fn feedback(&mut self, now: Instant) {
        let compound = self.intake.feedback(now);
        if let Some(session) = self.session.as_mut().filter(|_| !compound.is_empty()) {
            session.send_rtcp(&compound, &mut self.out);
        }
    }

    /// Tells the camera that the call ends.
    pub fn hang_up(&mut self, now: Instant) {
        if let Some(session) = &mut self.session {
            session.shut(now, &mut self.out);
        }
    }
}

/// Why a session with a camera ended: the words for viewers speak of browsers and firewalls.
fn ended(reason: Reason) -> String {
    match reason {
        Reason::NothingReceived => {
            "no packet of the camera arrived within 15 s; do a firewall or two networks keep it and this relay apart?"
                .into()
        }
        Reason::NoRoute => "the camera's packets arrive but ours do not reach it, within 15 s".into(),
        Reason::ConsentLost => "the camera stopped answering for 15 s; is it switched off?".into(),
        Reason::ClosedByPeer => "the camera closed the connection".into(),
        other => other.sentence().to_owned(),
    }
}
