//! A peer of the engine in a test. What it sends is handed over with the source address that the test chooses.
use super::*;
use crate::engine::io::{SendError, ToServer, Transport};
use crate::rtc::ice::{Credentials, UDP_PRIORITY};
use crate::rtc::sdp::{self, Setup};
use crate::rtc::session::{PeerTransport, Session, State};
use std::net::SocketAddr;

const PUBLISHER: &str = include_str!("../../../tests/captures/chromium_publisher.sdp");

pub struct Client {
    pub session: Session,
    pub key: PeerKey,
    pub id: String,
    address: SocketAddr,
}

/// What the engine sends.
#[derive(Default)]
struct Sent(Vec<(SocketAddr, Vec<u8>)>);

impl Transport for Sent {
    fn send(&mut self, route: &Route, bytes: &[u8], segment: usize) -> Result<(), SendError> {
        self.0.extend(bytes.chunks(segment).map(|datagram| (route.remote, datagram.to_vec())));
        Ok(())
    }

    fn max_segments(&self, _: Socket) -> usize {
        1
    }

    fn is_clear(&self, _: u32) -> bool {
        true
    }

    fn keep(&mut self, _: u32) {}

    fn close(&mut self, _: u32) {}

    fn send_to_server(&mut self, _: u32, _: ToServer<'_>) -> Result<(), SendError> {
        Ok(())
    }
}

impl Client {
    /// Offers a session. `address`: one of another client, to share it; a peer without one has its own.
    pub fn offer(engine: &mut Engine, intent: Intent, address: Option<SocketAddr>) -> Self {
        let identity = Identity::generate(CryptoCost::AesInstructions).unwrap();
        let local = identity.credentials().unwrap();
        let capture = if intent == Intent::Publish { PUBLISHER } else { OFFER };
        let sdp: String = capture
            .lines()
            .filter(|line| !["a=candidate:", "a=ssrc"].iter().any(|start| line.starts_with(start)))
            .map(|line| match line.split_once(':') {
                Some(("a=ice-ufrag", _)) => format!("a=ice-ufrag:{}\r\n", local.ufrag),
                Some(("a=ice-pwd", _)) => format!("a=ice-pwd:{}\r\n", local.pwd),
                Some(("a=fingerprint", _)) => format!("a=fingerprint:{}\r\n", identity.fingerprint),
                _ => format!("{line}\r\n"),
            })
            .collect();
        let answer = ask(engine, Offer { sdp: sdp.as_str().into(), ..super::offer("door", intent) }).expect("accepted");
        let remote = sdp::parse(&answer.sdp).unwrap();
        let transport = PeerTransport {
            credentials: Credentials { ufrag: remote.ufrag, pwd: remote.pwd },
            fingerprints: remote.fingerprints,
        };
        let active = remote.setup == Some(Setup::Passive);
        let mut session = Session::new(&identity, Instant::now(), true, active, 1, local, transport);
        session.ice_mut().add_remote(Instant::now(), Socket::Udp(0), RELAY.parse().unwrap(), UDP_PRIORITY);
        let key = super::key(engine, &answer);
        let own = SocketAddr::from(([127, 0, 0, 1], 10_000 + key.number() as u16));
        Self { session, key, id: answer.id, address: address.unwrap_or(own) }
    }

    pub fn connected(engine: &mut Engine, intent: Intent) -> Self {
        let mut client = Self::offer(engine, intent, None);
        client.connect(engine);
        client
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn connect(&mut self, engine: &mut Engine) {
        let mut now = Instant::now();
        let give_up = now + Duration::from_secs(10);
        let is_connected = |engine: &Engine, key| engine.sessions.get(key).is_some_and(|peer| peer.connected.is_some());
        while self.session.state() != State::Connected || !is_connected(engine, self.key) {
            assert!(now < give_up, "no connection within 10 s");
            let (mut out, mut sent) = (Vec::new(), Sent::default());
            self.session.tick(now, &mut out, &mut Vec::new());
            engine.tick(now);
            engine.transmit(now, &mut sent);
            for (_, bytes) in sent.0.into_iter().filter(|(to, _)| *to == self.address) {
                self.session.handle(now, from(RELAY.parse().unwrap()), &bytes, &mut out, &mut Vec::new());
            }
            for datagram in out {
                engine.on_datagram(from(self.address), &datagram.bytes, now);
            }
            now += Duration::from_millis(1);
        }
    }

    /// A check of this session that claims to come from an address, whoever has it.
    pub fn check_from(&mut self, engine: &mut Engine, address: SocketAddr) {
        let mut out = Vec::new();
        self.session.ice_mut().check_again(Instant::now(), &mut out);
        engine.on_datagram(from(address), &out[0].bytes, Instant::now());
    }

    /// A packet of what it publishes.
    pub fn publish(&mut self, engine: &mut Engine, seq: u16) {
        let receiver = &engine.sessions.get(self.key).unwrap().intake.receivers[0].inbound;
        let payload_type = (0..128).find(|number| receiver.takes(*number)).unwrap();
        // the stream that its offer named
        let ssrc = receiver.ssrc().unwrap_or(9);
        let mut packet = Vec::new();
        crate::rtc::srtp::write_header(&mut packet, true, payload_type, seq, 8, ssrc);
        packet.extend_from_slice(b"sound");
        self.session.sender().unwrap().1.protect(&mut packet, 0, ssrc, seq.into()).unwrap();
        engine.on_datagram(from(self.address), &packet, Instant::now());
    }

    /// Packets that arrived of what it publishes.
    pub fn arrived(&self, engine: &Engine) -> u64 {
        let peer = engine.sessions.get(self.key).unwrap();
        peer.intake.receivers.iter().map(|receiver| receiver.inbound.packets()).sum()
    }
}

pub fn from(remote: SocketAddr) -> Route {
    Route { socket: Socket::Udp(0), local: None, remote }
}
