//! A relay that calls and a camera that answers, on one wire.
use super::*;
use crate::media::codec::Kind;
use crate::rtc::sdp::Direction;
use crate::rtc::srtp::write_header;

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
        Self::answered(medias, |answer| answer)
    }

    /// `change`: of the camera's answer.
    fn answered(medias: Vec<OfferedMedia>, change: impl FnOnce(String) -> String) -> Self {
        let now = Instant::now();
        let identity = || Arc::new(Identity::generate(crate::rtc::session::CryptoCost::AesInstructions).unwrap());
        let call = || Call::new(identity(), [Some(Socket::Udp(0)), None], now).unwrap();
        let (mut relay, mut camera) = (call(), call());
        let candidate = |port| [format!("candidate:1 1 udp 2130706431 192.0.2.1 {port} typ host")];
        let offer = relay.offer(medias, None, &candidate(1));
        // The camera sends what it was offered to send: it reads our wish as a publisher's offer.
        let offer = offer.replace("a=recvonly", "a=sendonly");
        let answer = camera.take_offer(&offer, &candidate(2), now).unwrap();
        relay.take_answer(&change(answer.replace("a=recvonly", "a=sendonly")), now).unwrap();
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

    /// Lets the relay begin a few checks, one after the other.
    fn check(&mut self) {
        for _ in 0..6 {
            self.relay.tick(self.now);
            self.now += Duration::from_millis(50);
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
        self.relay.events.iter().find_map(|event| if let Event::Ended(why) = event { Some(why.as_str()) } else { None })
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
    assert_eq!((wire.relay.state(), wire.relay.route().map(|route| route.remote)), ("waiting for media", Some(at(2))));
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
fn parameter_sets_of_a_camera_s_answer_are_told_and_its_profile_is_not() {
    let sets = "sprop-parameter-sets=Z0LAHpWgFAFuQA==,aM48gA==";
    let mut wire = Wire::answered(video(), |answer| {
        answer.replace("packetization-mode=1;", &format!("packetization-mode=1;{sets};"))
    });
    wire.run(Duration::from_millis(500));
    wire.relay.events.clear();
    wire.send(97, 1, &[0x65, 0x88, 2, 3]);
    wire.run(Duration::from_millis(50));
    let Some(Event::Tracks(tracks)) = wire.relay.events.first() else { panic!("{:?}", wire.relay.events) };
    assert_eq!(tracks[0].fmtp, sets);
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
    let identity = Arc::new(Identity::generate(crate::rtc::session::CryptoCost::AesInstructions).unwrap());
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
    wire.check();
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
    wire.check();
    assert!(wire.relay.out.iter().all(|datagram| datagram.route.socket == Socket::Udp(0)));
    // Once there is one of each family, both are used.
    wire.relay.add_candidate("candidate:7 1 udp 5 2001:db8::7 8555 typ host", wire.now);
    wire.relay.add_relay(Socket::Relay(0), false, wire.now);
    wire.check();
    let seen: Vec<_> = wire.relay.out.iter().map(|datagram| (datagram.route.socket, datagram.route.remote)).collect();
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
