//! A viewer or publisher with a real session: ICE, DTLS, SRTP, NACK and RTX, as a player has them.
use super::camera::{payload, read_payload};
use super::{Answered, Link};
use crate::engine::api::Error;
use crate::gather::candidate;
use crate::media::codec::Codec;
use crate::rtc::ice::{Credentials, UDP_PRIORITY};
use crate::rtc::route::{Route, Socket};
use crate::rtc::rtcp;
use crate::rtc::sdp::{self, Setup};
use crate::rtc::session::{Event, Identity, PeerTransport, Reason, Session, State};
use crate::rtc::srtp::RtpHeader;
use crate::stream::choice::Wanted;
use crate::stream::inbound::{Agreed, Header, Inbound};
use crate::stream::intake::{Intake, Receiver};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Viewer,
    Publisher,
}

const REPORTS: Duration = Duration::from_secs(1);
/// A decoder that can't go on for this long asks for a keyframe.
const IMPATIENT: Duration = Duration::from_millis(300);
/// Pictures that are remembered.
const REMEMBERED: usize = 4_000;
/// Packets that a publisher can send again.
const HISTORY: usize = 512;
const SSRC: u32 = 77;

/// What arrived of one picture.
#[derive(Default)]
struct Picture {
    have: BTreeSet<u16>,
    parts: u16,
    keyframe: bool,
}

pub struct Client {
    pub index: usize,
    pub address: SocketAddr,
    pub link: Link,
    role: Role,
    identity: Arc<Identity>,
    local: Credentials,
    pub answer: Answered,
    pub refused: Option<Error>,
    /// The session's id at the relay.
    pub id: String,
    session: Option<Session>,
    gone: bool,
    pub out: Vec<Vec<u8>>,
    intake: Intake<usize>,
    report_due: Instant,
    asked_keyframe: Instant,
    pub ended: Option<Reason>,
    pub connected: Option<Instant>,
    began: Instant,
    pictures: BTreeMap<u32, Picture>,
    /// Pictures of which all packets came.
    pub complete: u64,
    pub first_picture: Option<Instant>,
    /// The last picture that could be shown, and when: it is a keyframe, or the one before it was shown.
    pub shown: Option<(u32, Instant)>,
    /// The longest time between two pictures that were shown.
    pub longest_pause: Duration,
    /// What a publisher sends.
    sending: Option<Sending>,
}

struct Sending {
    every: Duration,
    next: Instant,
    picture: u32,
    gop: u32,
    seq: u64,
    wants_keyframe: bool,
    listens: bool,
    keyframes_asked: u32,
    history: VecDeque<(u16, Vec<u8>)>,
    payload_type: u8,
}

impl Client {
    pub fn new(index: usize, role: Role, link: Link, identity: &Arc<Identity>, now: Instant) -> Self {
        let local = identity.credentials().unwrap();
        Self {
            index,
            address: SocketAddr::from(([10, 0, (index >> 8) as u8, index as u8], 5000)),
            link,
            role,
            identity: identity.clone(),
            local,
            answer: Answered::default(),
            refused: None,
            id: String::new(),
            session: None,
            gone: false,
            out: Vec::new(),
            intake: Intake::new(index as u32 + 1),
            report_due: now,
            asked_keyframe: now,
            ended: None,
            connected: None,
            began: now,
            pictures: BTreeMap::new(),
            complete: 0,
            first_picture: None,
            shown: None,
            longest_pause: Duration::ZERO,
            sending: None,
        }
    }

    /// What it offers.
    pub fn description(&self) -> String {
        let Credentials { ufrag, pwd } = &self.local;
        let direction = if self.role == Role::Viewer { "recvonly" } else { "sendonly" };
        let ssrc = match self.role {
            Role::Viewer => String::new(),
            Role::Publisher => format!("a=ssrc:{SSRC} cname:world\r\n"),
        };
        format!(
            "v=0\r\no=- {} 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
             m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=mid:0\r\na={direction}\r\n\
             a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\na=fingerprint:{}\r\na=setup:actpass\r\n\
             a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
             a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n{ssrc}",
            self.index + 1,
            self.identity.fingerprint
        )
    }

    /// Begins the session once the relay's answer is there.
    pub fn take_answer(&mut self, now: Instant) {
        let Some(answer) = self.answer.take() else { return };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.refused = Some(error),
        };
        let remote = sdp::parse(&answer.sdp).unwrap();
        let media = &remote.medias[0];
        let codec = media.codecs.first().expect("a codec is accepted");
        let transport = PeerTransport {
            credentials: Credentials { ufrag: remote.ufrag.clone(), pwd: remote.pwd.clone() },
            fingerprints: remote.fingerprints.clone(),
        };
        let active = remote.setup == Some(Setup::Passive);
        let mut session = Session::new(&self.identity, now, true, active, 1, self.local.clone(), transport);
        let candidates = remote.candidates.iter().chain(answer.candidates.iter());
        let (relay, _) = candidates.filter_map(|line| candidate::read(line)).next().expect("a candidate for UDP");
        session.ice_mut().add_remote(now, Socket::Udp(0), relay, UDP_PRIORITY);
        match self.role {
            Role::Viewer => {
                let agreed = Agreed {
                    codec: Codec::Vp8,
                    payload_type: codec.payload_type,
                    rtx_payload_type: codec.rtx,
                    stream: Wanted::of(media, None),
                    nack: true,
                };
                self.intake.receivers.push(Receiver::new(Inbound::new(agreed), 0));
            }
            Role::Publisher => {
                self.sending = Some(Sending {
                    every: Duration::from_millis(40),
                    next: now,
                    picture: 0,
                    gop: 50,
                    seq: 1,
                    wants_keyframe: true,
                    listens: true,
                    keyframes_asked: 0,
                    history: VecDeque::new(),
                    payload_type: codec.payload_type,
                });
            }
        }
        self.id = answer.id;
        self.session = Some(session);
    }

    pub fn is_connected(&self) -> bool {
        self.connected.is_some() && self.session.as_ref().is_some_and(|session| session.state() == State::Connected)
    }

    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// It is gone without a word.
    pub fn vanish(&mut self) {
        self.gone = true;
        self.out.clear();
    }

    /// Says goodbye and goes.
    pub fn leave(&mut self, now: Instant) {
        let mut out = Vec::new();
        if let Some(session) = &mut self.session {
            session.shut(now, &mut out);
        }
        self.out.extend(out.into_iter().map(|datagram| datagram.bytes));
        self.ended = Some(Reason::ClosedByUs);
        self.session = None;
    }

    /// An address translator gives it another port.
    pub fn rebind(&mut self) {
        self.address.set_port(self.address.port() + 1);
    }

    /// A publisher whose encoder makes no keyframe any more, and none when it is asked.
    pub fn never_sends_keyframes(&mut self) {
        if let Some(sending) = &mut self.sending {
            sending.gop = u32::MAX;
            sending.listens = false;
            sending.wants_keyframe = false;
        }
    }

    /// Keyframes that a publisher was asked for.
    pub fn keyframes_asked(&self) -> u32 {
        self.sending.as_ref().map_or(0, |sending| sending.keyframes_asked)
    }

    /// Time from the offer to the first whole picture.
    pub fn first_picture_after(&self) -> Option<Duration> {
        self.first_picture.map(|at| at - self.began)
    }

    pub fn deadline(&self) -> Option<Instant> {
        if self.gone || self.ended.is_some() {
            return None;
        }
        let session = self.session.as_ref()?;
        let connected = self.connected.is_some();
        let sending = self.sending.as_ref().filter(|_| connected).map(|sending| sending.next);
        let report = connected.then_some(self.report_due);
        [session.deadline(), self.intake.deadline(), sending, report, self.impatient_at()].into_iter().flatten().min()
    }

    /// When a viewer that has pictures and can show none asks for a keyframe.
    fn impatient_at(&self) -> Option<Instant> {
        let (newest, _) = self.pictures.last_key_value()?;
        let (shown, at) = self.shown.map_or((None, self.connected?), |(number, at)| (Some(number), at));
        (shown.is_none_or(|shown| shown < *newest)).then(|| at.max(self.asked_keyframe) + IMPATIENT)
    }

    pub fn receive(&mut self, bytes: &[u8], now: Instant) {
        if self.gone {
            return;
        }
        let Some(session) = &mut self.session else { return };
        let relay = Route { socket: Socket::Udp(0), local: None, remote: super::RELAY.parse().unwrap() };
        let (mut out, mut events) = (Vec::new(), Vec::new());
        session.handle(now, relay, bytes, &mut out, &mut events);
        self.out.extend(out.into_iter().map(|datagram| datagram.bytes));
        self.follow(events, now);
    }

    pub fn tick(&mut self, now: Instant) {
        let Some(session) = &mut self.session else { return };
        let (mut out, mut events) = (Vec::new(), Vec::new());
        session.tick(now, &mut out, &mut events);
        self.out.extend(out.into_iter().map(|datagram| datagram.bytes));
        self.follow(events, now);
        if self.connected.is_none() {
            return;
        }
        let mut compound = Vec::new();
        if self.report_due <= now {
            self.report_due = now + REPORTS;
            self.intake.report(now, &mut compound);
        }
        if self.impatient_at().is_some_and(|at| at <= now) {
            self.asked_keyframe = now;
            self.intake.want_keyframe(0);
        }
        compound.extend_from_slice(&self.intake.feedback(now));
        self.send_rtcp(&compound);
        if self.sending.as_ref().is_some_and(|sending| sending.next <= now) {
            self.send_picture(now);
        }
    }

    fn send_rtcp(&mut self, compound: &[u8]) {
        let Some(session) = self.session.as_mut().filter(|_| !compound.is_empty()) else { return };
        let mut out = Vec::new();
        session.send_rtcp(compound, &mut out);
        self.out.extend(out.into_iter().map(|datagram| datagram.bytes));
    }

    fn follow(&mut self, events: Vec<Event>, now: Instant) {
        for event in events {
            match event {
                Event::Connected => {
                    self.connected = Some(now);
                    self.report_due = now + REPORTS;
                    if let Some(sending) = &mut self.sending {
                        sending.next = now;
                    }
                }
                Event::Rtp(packet) => {
                    let Some(header) = Header::read(&packet) else { continue };
                    let arrived = self.intake.rtp(now, &header, packet).and_then(|arrived| arrived.packet);
                    if let Some(packet) = arrived {
                        self.look(&packet.payload, now);
                    }
                }
                Event::Rtcp(compound) => self.on_rtcp(&compound),
                Event::Closed(reason) => self.ended = Some(reason),
            }
        }
    }

    /// A packet of a picture came.
    fn look(&mut self, bytes: &[u8], now: Instant) {
        let Some((number, part, parts, keyframe)) = read_payload(bytes) else { return };
        let picture = self.pictures.entry(number).or_default();
        (picture.parts, picture.keyframe) = (parts, keyframe);
        if !picture.have.insert(part) || picture.have.len() < usize::from(parts) {
            return;
        }
        self.complete += 1;
        self.first_picture.get_or_insert(now);
        self.show(now);
        while self.pictures.len() > REMEMBERED {
            self.pictures.pop_first();
        }
    }

    /// Shows what can be shown now.
    fn show(&mut self, now: Instant) {
        let whole = |picture: &Picture| picture.parts > 0 && picture.have.len() == usize::from(picture.parts);
        loop {
            let after = self.shown.map_or(0, |(number, _)| number + 1);
            let follows = self.shown.is_some() && self.pictures.get(&after).is_some_and(whole);
            let mut keyframes = self.pictures.range(after..).filter(|(_, picture)| picture.keyframe && whole(picture));
            let next = if follows { Some(after) } else { keyframes.next().map(|(number, _)| *number) };
            let Some(number) = next else { return };
            if let Some((_, at)) = self.shown {
                self.longest_pause = self.longest_pause.max(now - at);
            }
            self.shown = Some((number, now));
        }
    }

    /// Pictures between the first and the last that came of which some packet is missing.
    pub fn missing(&self) -> usize {
        let (Some((first, _)), Some((last, _))) = (self.pictures.first_key_value(), self.pictures.last_key_value())
        else {
            return 0;
        };
        let whole = |number: &u32| {
            let picture = self.pictures.get(number);
            picture.is_some_and(|picture| picture.have.len() == usize::from(picture.parts))
        };
        (*first..=*last).filter(|number| !whole(number)).count()
    }

    fn on_rtcp(&mut self, compound: &[u8]) {
        let Some(sending) = &mut self.sending else { return };
        let out = &mut self.out;
        rtcp::read(compound, |message| match message {
            rtcp::Message::Nack { lost, .. } => {
                let again = sending.history.iter().filter(|(seq, _)| lost.contains(seq));
                out.extend(again.map(|(_, bytes)| bytes.clone()));
            }
            rtcp::Message::KeyframeRequest { .. } => {
                sending.wants_keyframe |= sending.listens;
                sending.keyframes_asked += 1;
            }
            _ => {}
        });
    }

    /// A publisher's next picture, of four packets.
    fn send_picture(&mut self, now: Instant) {
        let (Some(sending), Some(session)) = (&mut self.sending, &mut self.session) else { return };
        sending.next = now + sending.every;
        let Some((_, protect)) = session.sender() else { return };
        let keyframe = std::mem::take(&mut sending.wants_keyframe) || sending.picture % sending.gop == 0;
        for part in 0..4 {
            sending.seq += 1;
            let header = RtpHeader {
                marker: part == 3,
                payload_type: sending.payload_type,
                seq: sending.seq,
                timestamp: sending.picture.wrapping_mul(3600),
                ssrc: SSRC,
            };
            let mut bytes = Vec::new();
            protect.write_packet(&mut bytes, &header, (&[], &payload(sending.picture, part, 4, keyframe))).unwrap();
            sending.history.push_back((sending.seq as u16, bytes.clone()));
            if sending.history.len() > HISTORY {
                sending.history.pop_front();
            }
            self.out.push(bytes);
        }
        sending.picture += 1;
    }
}
