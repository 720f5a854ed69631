//! A peer of the engine in a test. What it sends is handed over with the source address that the test chooses; what the
//! engine sends comes back through a socket on loopback.
use super::*;
use crate::rtc::ice::{Credentials, UDP_PRIORITY};
use crate::rtc::route::{Route, Socket};
use crate::rtc::sdp::{self, Setup};
use crate::rtc::session::{Identity, PeerTransport, Session, State};
use std::net::{SocketAddr, UdpSocket};

const PUBLISHER: &str = include_str!("../../../tests/captures/chromium_publisher.sdp");

pub struct Client {
    pub session: Session,
    pub key: u32,
    pub id: String,
    socket: Arc<UdpSocket>,
    engine: SocketAddr,
}

impl Client {
    /// Offers a session. `socket`: one of another client, to share its address; a peer without one has its own.
    pub fn offer(engine: &mut Engine, intent: Intent, socket: Option<Arc<UdpSocket>>) -> Self {
        let identity = Identity::generate().unwrap();
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
        let (reply, mut answer) = oneshot::channel();
        engine.on_offer(Offer { sdp: sdp.as_str().into(), ..super::offer("door", intent) }, reply, Instant::now());
        let answer = answer.try_recv().expect("answered at once").expect("accepted");
        let remote = sdp::parse(&answer.sdp).unwrap();
        let socket = socket.unwrap_or_else(|| Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap()));
        socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let transport = PeerTransport {
            credentials: Credentials { ufrag: remote.ufrag, pwd: remote.pwd },
            fingerprints: remote.fingerprints,
        };
        let active = remote.setup == Some(Setup::Passive);
        let mut session = Session::new(&identity, Instant::now(), true, active, 1, local, transport);
        let engine_at = engine.wire.udp(0).unwrap().local;
        session.ice_mut().add_remote(Instant::now(), Socket::Udp(0), engine_at, UDP_PRIORITY);
        Self { session, key: engine.by_id[&answer.id], id: answer.id, socket, engine: engine_at }
    }

    pub async fn connected(engine: &mut Engine, intent: Intent) -> Self {
        let mut client = Self::offer(engine, intent, None);
        client.connect(engine).await;
        client
    }

    pub fn socket(&self) -> Option<Arc<UdpSocket>> {
        Some(self.socket.clone())
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub async fn connect(&mut self, engine: &mut Engine) {
        let give_up = Instant::now() + Duration::from_secs(10);
        let is_connected = |engine: &Engine, key| engine.peers.get(&key).is_some_and(|peer| peer.connected.is_some());
        while self.session.state() != State::Connected || !is_connected(engine, self.key) {
            assert!(Instant::now() < give_up, "no connection within 10 s");
            // the runtime learns that the engine's socket takes datagrams
            tokio::task::yield_now().await;
            let now = Instant::now();
            let mut out = Vec::new();
            self.session.tick(now, &mut out, &mut Vec::new());
            engine.tick(now);
            let mut bytes = [0; 2048];
            while let Ok((len, _)) = self.socket.recv_from(&mut bytes) {
                self.session.handle(Instant::now(), from(self.engine), &bytes[..len], &mut out, &mut Vec::new());
            }
            for datagram in out {
                engine.on_datagram(Instant::now(), from(self.address()), &datagram.bytes);
            }
        }
    }

    /// A check of this session that claims to come from an address, whoever has it.
    pub fn check_from(&mut self, engine: &mut Engine, address: SocketAddr) {
        let mut out = Vec::new();
        self.session.ice_mut().check_again(Instant::now(), &mut out);
        engine.on_datagram(Instant::now(), from(address), &out[0].bytes);
    }

    /// A packet of what it publishes.
    pub fn publish(&mut self, engine: &mut Engine, seq: u16) {
        let receiver = &engine.peers[&self.key].intake.receivers[0].inbound;
        let payload_type = (0..128).find(|number| receiver.takes(*number)).unwrap();
        // the stream that its offer named
        let ssrc = receiver.ssrc().unwrap_or(9);
        let mut packet = Vec::new();
        crate::rtc::srtp::write_header(&mut packet, true, payload_type, seq, 8, ssrc);
        packet.extend_from_slice(b"sound");
        self.session.sender().unwrap().1.protect(&mut packet, 0, ssrc, seq.into()).unwrap();
        engine.on_datagram(Instant::now(), from(self.address()), &packet);
    }

    /// Packets that arrived of what it publishes.
    pub fn arrived(&self, engine: &Engine) -> u64 {
        engine.peers[&self.key].intake.receivers.iter().map(|receiver| receiver.inbound.packets()).sum()
    }
}

pub fn from(remote: SocketAddr) -> Route {
    Route { socket: Socket::Udp(0), local: None, remote }
}
