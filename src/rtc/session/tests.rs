//! Two sessions on a simulated network.
mod floods;
mod spoiled;

use super::*;
use crate::fuzz::Random;
use crate::rtc::ice::UDP_PRIORITY;
use crate::rtc::sdp::Hash;

fn credentials(name: &str) -> Credentials {
    Credentials { ufrag: name.into(), pwd: format!("{name}-password-of-some-length") }
}

fn digest(identity: &Identity) -> PeerTransport {
    PeerTransport { credentials: credentials(""), fingerprints: vec![identity.fingerprint.clone()] }
}

struct Pair {
    a: Session,
    b: Session,
    now: Instant,
    carried: usize,
    /// By the datagram's place and content.
    lose: fn(usize, &[u8]) -> bool,
    events: [Vec<Event>; 2],
}

impl Pair {
    fn new(wrong_fingerprint: bool, a_active: bool) -> Pair {
        Self::with(Hash::Sha256, wrong_fingerprint, a_active)
    }

    /// `a`'s certificate is told by this hash, and besides by one of another certificate.
    fn with(hash: Hash, wrong_fingerprint: bool, a_active: bool) -> Pair {
        let (ia, ib) = (
            Identity::generate(CryptoCost::AesInstructions).unwrap(),
            Identity::generate(CryptoCost::AesInstructions).unwrap(),
        );
        let now = Instant::now();
        let (ca, cb) = (credentials("aaaa"), credentials("bbbb"));
        let mut to_a = PeerTransport { credentials: ca.clone(), ..digest(&ia) };
        let other = Identity::generate(CryptoCost::AesInstructions).unwrap().fingerprint_with(hash);
        to_a.fingerprints = vec![other, ia.fingerprint_with(hash)];
        let to_b = PeerTransport { credentials: cb.clone(), ..digest(&ib) };
        if wrong_fingerprint {
            to_a.fingerprints[1].bytes[3] ^= 1;
        }
        let mut a = Session::new(&ia, now, true, a_active, 1, ca, to_b);
        let b = Session::new(&ib, now, false, !a_active, 2, cb, to_a);
        a.ice_mut().add_remote(now, Socket::Udp(0), "10.0.0.2:2".parse().unwrap(), UDP_PRIORITY);
        Pair { a, b, now, carried: 0, lose: |_, _| false, events: [vec![], vec![]] }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            let (mut to_a, mut to_b) = (Vec::new(), Vec::new());
            self.a.tick(self.now, &mut to_b, &mut self.events[0]);
            self.b.tick(self.now, &mut to_a, &mut self.events[1]);
            while !to_a.is_empty() || !to_b.is_empty() {
                for datagram in std::mem::take(&mut to_b) {
                    self.carried += 1;
                    if !(self.lose)(self.carried, &datagram.bytes) {
                        let from = Route { remote: "10.0.0.1:1".parse().unwrap(), ..datagram.route };
                        self.b.handle(self.now, from, &datagram.bytes, &mut to_a, &mut self.events[1]);
                    }
                }
                for datagram in std::mem::take(&mut to_a) {
                    self.carried += 1;
                    if !(self.lose)(self.carried, &datagram.bytes) {
                        let from = Route { remote: "10.0.0.2:2".parse().unwrap(), ..datagram.route };
                        self.a.handle(self.now, from, &datagram.bytes, &mut to_b, &mut self.events[0]);
                    }
                }
            }
            self.now += Duration::from_millis(5);
        }
    }
}

#[test]
fn two_sessions_connect_in_either_dtls_role_and_understand_each_other() {
    for a_active in [true, false] {
        let mut pair = Pair::new(false, a_active);
        pair.run(Duration::from_millis(50));
        assert_eq!((pair.a.state(), pair.b.state()), (State::Connected, State::Connected));
        let mut packet = Vec::new();
        crate::rtc::srtp::write_header(&mut packet, true, 96, 7, 8, 9);
        packet.extend_from_slice(b"picture");
        let plain = packet.clone();
        let (route, protect) = pair.a.sender().unwrap();
        protect.protect(&mut packet, 0, 9, 7).unwrap();
        pair.events[1].clear();
        pair.b.handle(pair.now, route, &packet, &mut Vec::new(), &mut pair.events[1]);
        assert!(matches!(&pair.events[1][..], [Event::Rtp(bytes)] if bytes[..] == plain[..]));
        let mut out = Vec::new();
        pair.a.shut(pair.now, &mut out);
        for datagram in out {
            pair.b.handle(pair.now, datagram.route, &datagram.bytes, &mut Vec::new(), &mut pair.events[1]);
        }
        assert!(matches!(pair.events[1].last(), Some(Event::Closed(Reason::ClosedByPeer))));
    }
}

#[test]
fn damaged_and_forged_datagrams_neither_fail_nor_fill_the_memory() {
    let mut pair = Pair::new(false, true);
    pair.run(Duration::from_millis(50));
    let from = pair.b.ice().selected().unwrap();
    let mut random = Random::new(1);
    for _ in 0..20_000 {
        let first = [0, 1, 20, 21, 22, 23, 128, 144, 160, 176, 191][random.below(11)];
        let mut bytes = random.bytes(80);
        bytes.insert(0, first);
        if bytes.len() > 20 && random.one_in(2) {
            match first {
                0 | 1 => bytes[1..8].copy_from_slice(&[1, 0, 8, 0x21, 0x12, 0xa4, 0x42]),
                20..=23 => bytes[1..13].copy_from_slice(&[254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 8]),
                _ => bytes[1] = [96, 200, 201, 205][random.below(4)],
            }
        }
        pair.events[1].clear();
        pair.b.handle(pair.now, from, &bytes, &mut Vec::new(), &mut pair.events[1]);
        assert!(pair.events[1].is_empty(), "{bytes:?}");
    }
    let packet = packet(&mut pair.a, 1);
    assert_eq!(pair.b.handle(pair.now, from, &packet, &mut Vec::new(), &mut pair.events[1]), Outcome::Accepted);
}

#[test]
fn a_third_of_all_packets_may_be_lost_while_connecting() {
    for a_active in [true, false] {
        for start in 0..20 {
            let mut pair = Pair::new(false, a_active);
            pair.carried = start * 1000;
            pair.lose = |n, _| ((n as u32).wrapping_mul(2_654_435_761) >> 16).is_multiple_of(3);
            pair.run(Duration::from_secs(9));
            assert_eq!((pair.a.state(), pair.b.state()), (State::Connected, State::Connected), "start {start}");
        }
    }
}

#[test]
fn a_certificate_may_be_named_by_any_strong_hash() {
    for hash in [Hash::Sha384, Hash::Sha512] {
        let mut pair = Pair::with(hash, false, true);
        pair.run(Duration::from_millis(50));
        assert_eq!((pair.a.state(), pair.b.state()), (State::Connected, State::Connected), "{hash:?}");
        let mut forged = Pair::with(hash, true, true);
        forged.run(Duration::from_millis(50));
        assert_ne!(forged.b.state(), State::Connected, "{hash:?}");
    }
}

#[test]
fn a_certificate_that_the_description_did_not_name_is_refused() {
    let mut pair = Pair::new(true, true);
    pair.run(Duration::from_secs(12));
    assert!(
        pair.events.iter().flatten().all(|event| !matches!(event, Event::Connected)) || pair.b.state() == State::Closed
    );
    assert!(
        pair.events[1].iter().any(|e| matches!(e, Event::Closed(Reason::HandshakeFailed | Reason::HandshakeTimeout)))
    );
    assert!(pair.b.sender().is_none());
}

#[test]
fn a_peer_that_never_comes_is_given_up_in_time() {
    let mut pair = Pair::new(false, true);
    pair.lose = |_, _| true;
    pair.run(ICE_DEADLINE - Duration::from_millis(100));
    assert_eq!(pair.b.state(), State::Checking);
    pair.run(Duration::from_millis(200));
    assert!(matches!(pair.events[1][..], [Event::Closed(Reason::NothingReceived)]));
}

fn packet(session: &mut Session, seq: u16) -> Vec<u8> {
    let mut packet = Vec::new();
    crate::rtc::srtp::write_header(&mut packet, true, 96, seq, 8, 9);
    packet.extend_from_slice(b"picture");
    session.sender().unwrap().1.protect(&mut packet, 0, 9, seq.into()).unwrap();
    packet
}

/// Media from `a`, which answers nothing more, reaches `b` for 20 s.
fn stream_without_answers(pair: &mut Pair) {
    pair.lose = |_, _| true;
    let packets: Vec<Vec<u8>> = (0..20).map(|seq| packet(&mut pair.a, seq)).collect();
    let from = Route { remote: "10.0.0.1:1".parse().unwrap(), ..pair.a.ice().selected().unwrap() };
    for packet in packets {
        pair.run(Duration::from_secs(1));
        pair.b.handle(pair.now, from, &packet, &mut Vec::new(), &mut pair.events[1]);
    }
}

#[test]
fn a_publisher_that_answers_no_check_stays_for_as_long_as_it_sends() {
    let mut pair = Pair::new(false, true);
    pair.run(Duration::from_millis(50));
    stream_without_answers(&mut pair);
    assert_eq!(pair.b.state(), State::Connected);
    assert_eq!(pair.events[1].iter().filter(|event| matches!(event, Event::Rtp(_))).count(), 20);
    pair.run(Duration::from_secs(16));
    assert!(matches!(pair.events[1].last(), Some(Event::Closed(Reason::ConsentLost))), "and goes with its media");
}

#[test]
fn who_is_sent_media_has_to_answer_checks_even_if_it_talks() {
    let mut pair = Pair::new(false, true);
    pair.run(Duration::from_millis(50));
    // The request for a sender alone is no packet.
    assert!(pair.b.sender().is_some());
    packet(&mut pair.b, 1);
    stream_without_answers(&mut pair);
    assert!(pair.events[1].iter().any(|event| matches!(event, Event::Closed(Reason::ConsentLost))));
}
