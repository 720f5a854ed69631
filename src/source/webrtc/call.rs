//! One call to a camera: what both sides describe, the session that follows, and the media that it brings. Pure:
//! descriptions, datagrams and time come in, datagrams and events go out.
use crate::media::codec::{Codec, Kind};
use crate::media::packet::Packet;
use crate::net::candidate;
use crate::net::route::{Datagram, Route, Socket};
use crate::rtc::answer::{self, Local, Ssrcs};
use crate::rtc::ice::Credentials;
use crate::rtc::negotiate;
use crate::rtc::ntp::ntp_at;
use crate::rtc::offer::{self, OfferedMedia};
use crate::rtc::rtcp;
use crate::rtc::sdp::{self, Direction, Hash, Remote, RemoteCodec, RemoteMedia, Setup};
use crate::rtc::session::{Event as SessionEvent, Identity, PeerTransport, Reason, Session, State};
use crate::rtc::srtp::{HEADER, write_header};
use crate::rtc::twcc;
use crate::source::{Sound, TrackInfo};
use crate::stream::inbound::{Agreed, Header, Inbound};
use crate::stream::intake::{Arrived, Intake, Receiver};
use crate::stream::voice::Voice;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Both sides have to be described within this time.
pub const SIGNALLING: Duration = Duration::from_secs(10);
/// A camera that sends nothing for this long is lost.
pub const SILENCE: Duration = Duration::from_secs(10);
/// Sound alone is announced when no picture came for this long.
const SOUND_ALONE: Duration = Duration::from_secs(1);
/// Reports go out this often.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Candidates of the camera that are looked at.
const MAX_CANDIDATES: usize = 32;

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

/// An m-line in which the camera sends.
struct Section {
    kind: Kind,
    codecs: Vec<RemoteCodec>,
    ssrc: Option<u32>,
    /// What it turned out to send.
    sends: Option<RemoteCodec>,
}

impl Section {
    fn codec(&self) -> Option<&RemoteCodec> {
        self.sends.as_ref().or(self.codecs.first())
    }
}

/// The m-line in which we may speak.
struct Backchannel {
    codecs: Vec<RemoteCodec>,
    voice: Voice,
    /// The codec of the last packet.
    rate: u32,
}

pub struct Call {
    identity: Arc<Identity>,
    local: Credentials,
    /// As the attribute writes it.
    fingerprint: String,
    session_id: u64,
    begun: Instant,
    offered: Vec<OfferedMedia>,
    sections: Vec<Section>,
    session: Option<Session>,
    intake: Intake,
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
            fingerprint: format!("sha-256 {}", identity.fingerprint),
            intake: Intake { ssrc: number(8).max(1), ..Intake::default() },
            backchannel: None,
            numbers: (number(12) as u16, number(16)),
            identity,
            begun: now,
            offered: Vec::new(),
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

    /// Our offer. `address` is ours towards the camera.
    pub fn offer(&mut self, medias: Vec<OfferedMedia>, address: Option<IpAddr>, candidates: &[String]) -> String {
        self.offered = medias;
        let ssrcs = vec![Ssrcs { ssrc: self.intake.ssrc, rtx_ssrc: None }; self.offered.len()];
        offer::write(&self.offered, address, &self.describe(Setup::ActPass, candidates, &ssrcs))
    }

    fn describe<'a>(&'a self, setup: Setup, candidates: &'a [String], ssrcs: &'a [Ssrcs]) -> Local<'a> {
        Local {
            session_id: self.session_id,
            version: 1,
            ufrag: &self.local.ufrag,
            pwd: &self.local.pwd,
            fingerprint: &self.fingerprint,
            setup,
            candidates,
            ssrcs,
            cname: "porthole",
            stream_id: "porthole",
            extensions: &[twcc::EXTENSION],
            transport_cc: true,
        }
    }

    /// The camera's answer to our offer. A second one changes nothing.
    ///
    /// # Errors
    /// If it is none, or sends nothing that can be passed on.
    pub fn take_answer(&mut self, text: &str, now: Instant) -> Result<(), String> {
        if self.session.is_some() {
            return Ok(());
        }
        let remote = sdp::parse(text).map_err(|error| format!("the camera's answer: {error}"))?;
        let agreed = negotiate::answered(&remote, &self.offered).map_err(|mismatch| mismatch.to_string())?;
        for agreed in agreed {
            match agreed.direction {
                Direction::RecvOnly => self.expect(agreed.kind, agreed.codecs, &remote.medias[agreed.media], now),
                _ => self.may_speak(agreed.codecs),
            }
        }
        // Whoever offers controls (RFC 8445 section 6.1.1).
        self.begin(&remote, true, remote.setup.reply(), now)
    }

    /// The camera's offer; answers ours to it.
    ///
    /// # Errors
    /// If it is none, or sends nothing that can be passed on.
    pub fn take_offer(&mut self, text: &str, candidates: &[String], now: Instant) -> Result<String, String> {
        let remote = sdp::parse(text).map_err(|error| format!("the camera's offer: {error}"))?;
        let accepted = negotiate::publisher(&remote).map_err(|mismatch| format!("the camera's offer: {mismatch}"))?;
        for media in &accepted {
            if media.direction.receives() {
                self.expect(media.kind, media.codecs.clone(), &remote.medias[media.media], now);
            }
            if media.direction.sends() {
                self.may_speak(media.codecs.clone());
            }
        }
        let setup = remote.setup.reply();
        let ssrcs = vec![Ssrcs { ssrc: self.intake.ssrc, rtx_ssrc: None }; accepted.len()];
        let text = answer::write(&remote, &accepted, &self.describe(setup, candidates, &ssrcs));
        self.begin(&remote, remote.ice_lite, setup, now)?;
        // More candidates of ours may follow.
        Ok(text.replace("a=end-of-candidates\r\n", ""))
    }

    /// Of each kind the first m-line counts.
    fn expect(&mut self, kind: Kind, codecs: Vec<RemoteCodec>, media: &RemoteMedia, now: Instant) {
        if self.sections.iter().any(|section| section.kind == kind) {
            return;
        }
        if let Some((extension, _)) = media.extensions.iter().find(|(_, uri)| uri == twcc::EXTENSION) {
            self.intake.twcc.get_or_insert_with(|| twcc::Feedback::new(*extension, now));
        }
        self.sections.push(Section { kind, codecs, ssrc: media.ssrcs.first().copied(), sends: None });
        self.sections.sort_by_key(|section| section.kind == Kind::Audio);
    }

    /// The camera plays sound: the first m-line counts.
    fn may_speak(&mut self, codecs: Vec<RemoteCodec>) {
        if self.backchannel.is_some() || codecs.is_empty() {
            return;
        }
        self.events.push(Event::Backchannel(codecs.iter().map(|codec| codec.codec).collect()));
        let (seq, timestamp) = self.numbers;
        let rate = codecs[0].codec.clock_rate();
        self.backchannel = Some(Backchannel { codecs, voice: Voice::new(self.intake.ssrc, seq, timestamp), rate });
    }

    /// Lets the camera play a packet of sound; one that it has no codec for, or that comes before the connection, is
    /// passed over.
    pub fn speak(&mut self, sound: &Sound, now: Instant) {
        let Some(Backchannel { codecs, voice, rate }) = &mut self.backchannel else { return };
        let Some(codec) = codecs.iter().find(|codec| codec.codec == sound.codec) else { return };
        let Some((route, protect)) = self.session.as_mut().and_then(Session::sender) else { return };
        *rate = sound.codec.clock_rate();
        let Some(spoken) = voice.number(sound.talker, sound.timestamp, *rate, sound.payload.len(), now) else { return };
        let mut bytes = Vec::with_capacity(HEADER + sound.payload.len() + protect.tag_len());
        write_header(&mut bytes, spoken.marker, codec.payload_type, spoken.seq as u16, spoken.timestamp, voice.ssrc);
        bytes.extend_from_slice(&sound.payload);
        if protect.protect(&mut bytes, 0, voice.ssrc, spoken.seq).is_ok() {
            self.out.push(Datagram { route, bytes });
        }
    }

    fn begin(&mut self, remote: &Remote, controlling: bool, setup: Setup, now: Instant) -> Result<(), String> {
        if remote.fingerprint.hash != Hash::Sha256 {
            return Err("the camera's a=fingerprint is not sha-256".into());
        }
        let transport = PeerTransport {
            credentials: Credentials { ufrag: remote.ufrag.clone(), pwd: remote.pwd.clone() },
            fingerprint: remote.fingerprint.bytes.clone(),
        };
        let active = setup == Setup::Active;
        // The only session on these sockets: any tag finds it.
        let session = Session::new(&self.identity, now, controlling, active, 1, self.local.clone(), transport)?;
        self.session = Some(session);
        for (address, priority) in self.remotes.clone() {
            self.check(address, priority, now);
        }
        remote.candidates.iter().for_each(|line| self.add_candidate(line, now));
        Ok(())
    }

    /// A candidate of the camera; what is none is passed over.
    pub fn add_candidate(&mut self, line: &str, now: Instant) {
        if self.candidates >= MAX_CANDIDATES {
            return;
        }
        self.candidates += 1;
        if let Some((address, priority)) = candidate::read(line) {
            self.remotes.push((address, priority));
            self.check(address, priority, now);
        } else if let Some(passive) = candidate::read_passive(line) {
            self.passive.push(passive);
        }
    }

    fn check(&mut self, address: SocketAddr, priority: u32, now: Instant) {
        let Some(session) = &mut self.session else { return };
        let family = usize::from(address.is_ipv6());
        for socket in self.sockets[family].into_iter().chain(self.relays[family]) {
            session.ice_mut().add_remote(now, socket, address, priority);
        }
    }

    /// The camera's addresses for UDP.
    pub fn remotes(&self) -> impl Iterator<Item = SocketAddr> {
        self.remotes.iter().map(|(address, _)| *address)
    }

    /// No address of the camera is one of IPv4.
    pub fn has_only_v6(&self) -> bool {
        !self.remotes.is_empty() && self.remotes().all(|remote| remote.is_ipv6())
    }

    /// Where the camera takes TCP connections, with its priority of each.
    pub fn passive(&self) -> impl Iterator<Item = (SocketAddr, u32)> {
        self.passive.iter().copied()
    }

    /// Checks the camera's addresses from ours on a TURN server too.
    pub fn add_relay(&mut self, socket: Socket, v6: bool, now: Instant) {
        self.relays[usize::from(v6)] = Some(socket);
        for (address, priority) in self.remotes.clone() {
            self.check(address, priority, now);
        }
    }

    /// Checks a connection that leads to one of the camera's addresses.
    pub fn add_connection(&mut self, socket: Socket, remote: SocketAddr, priority: u32, now: Instant) {
        if let Some(session) = &mut self.session {
            session.ice_mut().add_remote(now, socket, remote, priority);
        }
    }

    /// A way is needed no more.
    pub fn drop_socket(&mut self, socket: Socket, now: Instant) {
        for relay in &mut self.relays {
            relay.take_if(|relay| *relay == socket);
        }
        if let Some(session) = &mut self.session {
            session.lost_socket(now, socket, &mut self.out, &mut self.scratch);
        }
        self.follow(now);
    }

    /// A way broke: without another one the call is over.
    pub fn lose(&mut self, socket: Socket, why: &str, now: Instant) {
        let used = self.route().is_some_and(|route| route.socket == socket);
        self.drop_socket(socket, now);
        if used && self.route().is_none() && !self.over {
            self.end(why.to_owned());
        }
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
        self.intake.want_keyframe(track as u32);
        self.feedback(now);
    }

    /// Takes what the session told.
    fn follow(&mut self, now: Instant) {
        for event in std::mem::take(&mut self.scratch) {
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
    }

    fn on_rtp(&mut self, packet: bytes::BytesMut, now: Instant) {
        let Some(header) = Header::read(&packet) else { return };
        self.pin(&header);
        let Some(Arrived { track, packet: Some(packet), first }) = self.intake.rtp(now, &header, packet) else {
            return;
        };
        self.last_media = Some(now);
        let track = track as usize;
        let video = self.sections.get(track).is_some_and(|section| section.kind == Kind::Video);
        if first && video && !packet.keyframe {
            // We came in the middle of a group of pictures.
            self.want_keyframe(track, now);
        }
        if !self.announced {
            let waits = self.sections.iter().any(|section| section.kind == Kind::Video);
            let alone = self.connected.is_none_or(|at| now.saturating_duration_since(at) >= SOUND_ALONE);
            if video || !waits || alone {
                self.announce();
            }
        }
        if self.announced {
            self.events.push(Event::Packets { track, packets: vec![packet] });
        }
    }

    /// An answer may leave the camera a choice of codecs: its first packet tells which it is.
    fn pin(&mut self, header: &Header) {
        let known = |receiver: &Receiver| receiver.inbound.takes(header.payload_type);
        if self.intake.receivers.iter().any(known) {
            return;
        }
        let sends = |section: &Section| section.codecs.iter().position(|c| c.payload_type == header.payload_type);
        let found = self.sections.iter().enumerate().find_map(|(track, section)| Some((track, sends(section)?)));
        let Some((track, codec)) = found else { return };
        let section = &mut self.sections[track];
        let guessed = section.codec().map(|codec| codec.codec);
        let codec = section.codecs[codec].clone();
        // A camera that changes its payload type, not its codec, needs no new track.
        let other = self.announced && guessed != Some(codec.codec);
        let agreed = Agreed {
            codec: codec.codec,
            payload_type: codec.payload_type,
            rtx_payload_type: codec.rtx,
            ssrc: section.ssrc,
            nack: codec.nack,
        };
        section.sends = Some(codec);
        self.intake.receivers.retain(|receiver| receiver.track != track as u32);
        self.intake.receivers.push(Receiver::new(Inbound::new(agreed), track as u32));
        if other {
            self.announce();
        }
    }

    fn announce(&mut self) {
        self.announced = true;
        let infos = self.sections.iter().filter_map(|section| {
            let codec = section.codec()?;
            // What a camera writes of itself in fmtp is often wrong; H.264 says it in the pictures.
            let fmtp = if codec.codec == Codec::H264 { String::new() } else { codec.fmtp.clone() };
            Some(TrackInfo { codec: codec.codec, fmtp })
        });
        self.events.push(Event::Tracks(infos.collect()));
    }

    fn on_rtcp(&mut self, compound: &[u8], now: Instant) {
        let mut ties = Vec::new();
        rtcp::read(compound, |message| {
            if let rtcp::Message::SenderReport { ssrc, ntp, rtp } = message {
                ties = self.intake.sender_report(ssrc, ntp, rtp, now);
            }
        });
        if self.announced {
            let ties = ties.into_iter();
            self.events.extend(ties.map(|(track, at, timestamp)| Event::Clock {
                track: track as usize,
                at,
                timestamp,
            }));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    /// A relay that offers and a camera that answers, on one wire.
    struct Wire {
        relay: Call,
        camera: Call,
        now: Instant,
    }

    impl Wire {
        fn new(medias: Vec<OfferedMedia>) -> Self {
            let now = Instant::now();
            let identity = || Arc::new(Identity::generate().unwrap());
            let call = || Call::new(identity(), [Some(Socket::Udp(0)), None], now).unwrap();
            let (mut relay, mut camera) = (call(), call());
            let candidate = |port| [format!("candidate:1 1 udp 2130706431 192.0.2.1 {port} typ host")];
            let offer = relay.offer(medias, None, &candidate(1));
            // The camera sends what it was offered to send: it reads our wish as a publisher's offer.
            let offer = offer.replace("a=recvonly", "a=sendonly");
            let answer = camera.take_offer(&offer, &candidate(2), now).unwrap();
            relay.take_answer(&answer.replace("a=recvonly", "a=sendonly"), now).unwrap();
            Self { relay, camera, now }
        }

        /// Lets both talk until nothing is due within the time.
        fn run(&mut self, time: Duration) {
            let end = self.now + time;
            loop {
                for _ in 0..20 {
                    for datagram in std::mem::take(&mut self.relay.out) {
                        assert_eq!(datagram.route.remote, at(2));
                        let route = Route { socket: Socket::Udp(0), local: None, remote: at(1) };
                        self.camera.handle(self.now, route, &datagram.bytes);
                    }
                    for datagram in std::mem::take(&mut self.camera.out) {
                        let route = Route { socket: Socket::Udp(0), local: None, remote: at(2) };
                        self.relay.handle(self.now, route, &datagram.bytes);
                    }
                }
                let due = self.relay.deadline().into_iter().chain(self.camera.deadline()).min().unwrap_or(end + time);
                if due > end {
                    self.now = end;
                    return;
                }
                self.now = self.now.max(due);
                self.relay.tick(self.now);
                self.camera.tick(self.now);
            }
        }

        fn send(&mut self, payload_type: u8, seq: u16, payload: &[u8]) {
            let (route, protect) = self.camera.session.as_mut().unwrap().sender().unwrap();
            let mut bytes = Vec::new();
            write_header(&mut bytes, true, payload_type, seq, 90 * u32::from(seq), 7);
            bytes.extend_from_slice(payload);
            protect.protect(&mut bytes, 0, 7, u64::from(seq)).unwrap();
            self.camera.out.push(Datagram { route, bytes });
        }

        fn ended(&self) -> Option<&str> {
            self.relay
                .events
                .iter()
                .find_map(|event| if let Event::Ended(why) = event { Some(why.as_str()) } else { None })
        }
    }

    fn video() -> Vec<OfferedMedia> {
        vec![OfferedMedia::new(Kind::Video, Direction::RecvOnly, &[Codec::H264, Codec::Vp8])]
    }

    #[test]
    fn the_first_packet_tells_what_the_camera_sends_and_a_picture_without_its_beginning_is_asked_for() {
        let mut wire = Wire::new(video());
        wire.run(Duration::from_millis(500));
        assert!(wire.relay.is_connected() && wire.camera.is_connected());
        assert_eq!(
            (wire.relay.state(), wire.relay.route().map(|route| route.remote)),
            ("waiting for media", Some(at(2)))
        );
        wire.relay.events.clear();
        wire.send(97, 1, &[0x41, 1, 2, 3]);
        wire.run(Duration::from_millis(50));
        let [Event::Tracks(tracks), Event::Packets { track: 0, packets }] = &wire.relay.events[..] else {
            panic!("{:?}", wire.relay.events);
        };
        assert_eq!((tracks[0].codec, packets[0].payload.len(), packets[0].keyframe), (Codec::H264, 4, false));
        assert_eq!(wire.relay.state(), "connected");
    }

    #[test]
    fn a_camera_that_is_connected_and_silent_is_lost_after_ten_seconds() {
        let mut wire = Wire::new(video());
        wire.run(Duration::from_secs(9));
        assert_eq!(wire.ended(), None);
        wire.run(Duration::from_secs(2));
        assert!(wire.ended().unwrap().contains("no picture within 10 s"));
        let mut wire = Wire::new(video());
        wire.run(Duration::from_secs(1));
        wire.send(97, 1, &[0x65, 1]);
        wire.run(Duration::from_secs(9));
        assert_eq!(wire.ended(), None);
        wire.run(Duration::from_secs(3));
        assert!(wire.ended().unwrap().contains("nothing for 10 s"));
    }

    #[test]
    fn a_camera_that_never_answers_or_cannot_be_reached_is_given_up() {
        let now = Instant::now();
        let identity = Arc::new(Identity::generate().unwrap());
        let mut call = Call::new(identity, [Some(Socket::Udp(0)), None], now).unwrap();
        call.offer(video(), None, &[]);
        assert_eq!((call.deadline(), call.state()), (Some(now + SIGNALLING), "signalling"));
        call.tick(now + SIGNALLING);
        assert!(matches!(&call.events[..], [Event::Ended(why)] if why.contains("signalling") && why.contains("10 s")));
        let mut wire = Wire::new(video());
        for _ in 0..2000 {
            wire.relay.out.clear();
            let Some(due) = wire.relay.deadline() else { break };
            wire.now = due;
            wire.relay.tick(wire.now);
        }
        assert!(wire.ended().unwrap().contains("15 s"), "{:?}", wire.ended());
    }

    #[test]
    fn further_ways_are_checked_and_one_that_breaks_ends_the_call_only_where_it_was_the_last() {
        let mut wire = Wire::new(video());
        let (relay, tcp) = (Socket::Relay(3), Socket::Tcp(0));
        let seen = |call: &Call, socket| call.out.iter().any(|datagram| datagram.route.socket == socket);
        wire.relay.add_candidate("candidate:9 1 tcp 5 192.0.2.1 8555 typ host tcptype passive", wire.now);
        assert_eq!(wire.relay.passive().collect::<Vec<_>>(), [(at(8555), 5)]);
        wire.relay.add_relay(relay, false, wire.now);
        wire.relay.add_connection(tcp, at(8555), 5, wire.now);
        wire.relay.tick(wire.now);
        assert!(seen(&wire.relay, Socket::Udp(0)) && seen(&wire.relay, relay) && seen(&wire.relay, tcp));
        // All ways lead to one camera here; the first that works is taken.
        wire.relay.out.retain(|datagram| datagram.route.socket == Socket::Udp(0));
        for broken in [relay, tcp] {
            wire.relay.lose(broken, "broke", wire.now);
        }
        wire.run(Duration::from_millis(500));
        assert!(wire.relay.is_connected() && wire.ended().is_none());
        wire.relay.lose(Socket::Udp(0), "the last way broke", wire.now);
        assert_eq!(wire.ended(), Some("the last way broke"));
    }

    #[test]
    fn an_address_of_the_other_family_is_not_checked_from_a_relayed_one() {
        let mut wire = Wire::new(video());
        wire.relay.out.clear();
        wire.relay.add_relay(Socket::Relay(1), true, wire.now);
        wire.relay.tick(wire.now);
        assert!(wire.relay.out.iter().all(|datagram| datagram.route.socket == Socket::Udp(0)));
        // Once there is one of each family, both are used.
        wire.relay.add_candidate("candidate:7 1 udp 5 2001:db8::7 8555 typ host", wire.now);
        wire.relay.add_relay(Socket::Relay(0), false, wire.now);
        wire.relay.tick(wire.now);
        let seen: Vec<_> =
            wire.relay.out.iter().map(|datagram| (datagram.route.socket, datagram.route.remote)).collect();
        assert!(seen.contains(&(Socket::Relay(1), "[2001:db8::7]:8555".parse().unwrap())), "{seen:?}");
        assert!(seen.contains(&(Socket::Relay(0), at(2))), "{seen:?}");
        assert!(!wire.relay.has_only_v6());
    }

    #[test]
    fn the_end_of_a_call_is_told_to_the_camera() {
        let mut wire = Wire::new(video());
        wire.run(Duration::from_secs(1));
        wire.relay.hang_up(wire.now);
        wire.run(Duration::from_millis(10));
        assert!(
            matches!(wire.camera.events.last(), Some(Event::Ended(why)) if why.contains("closed")),
            "{:?}",
            wire.camera.events
        );
    }
}
