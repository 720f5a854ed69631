//! What somebody sends who may write whatever address he likes, or a peer that never means to finish its handshake.
use super::*;

/// A record of epoch 0 or 1.
fn record(kind: u8, epoch: u8, number: u64, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 254, 253];
    record.extend_from_slice(&(u64::from(epoch) << 48 | number).to_be_bytes());
    record.extend_from_slice(&(body.len() as u16).to_be_bytes());
    [record.as_slice(), body].concat()
}

/// A fragment that says it has one byte and has none.
fn empty_fragment(message: u8, length: u16, offset: u16) -> Vec<u8> {
    let [[l1, l0], [o1, o0]] = [length.to_be_bytes(), offset.to_be_bytes()];
    record(22, 0, (length - offset).into(), &[1, 0, l1, l0, 0, message, 0, o1, o0, 0, 0, 1])
}

impl Pair {
    /// Two that have got so far when `carried` datagrams arrived and all others are lost.
    fn after(carried: usize, a_active: bool) -> Pair {
        let mut pair = Pair::new(false, a_active);
        pair.carried = 1000 - carried;
        pair.lose = |n, _| n > 1000;
        pair.run(Duration::from_millis(20));
        pair
    }

    /// Gives both of them a datagram that seems to come from the other one. The number of their answers.
    fn forge(&mut self, bytes: &[u8]) -> usize {
        let mut out = Vec::new();
        for (session, events) in [&mut self.a, &mut self.b].into_iter().zip(&mut self.events) {
            let remote = "10.0.0.9:9".parse().unwrap();
            session.handle(self.now, Route { socket: Socket::Udp(0), local: None, remote }, bytes, &mut out, events);
            assert!(session.filter.held() <= 40 << 10, "{}", session.filter.held());
        }
        out.len()
    }

    fn connects(&mut self) {
        self.lose = |_, _| false;
        self.run(Duration::from_secs(4));
        assert_eq!((self.a.state(), self.b.state()), (State::Connected, State::Connected));
    }
}

/// Every few datagrams of the way from nothing to the connection.
const STAGES: std::ops::Range<usize> = 0..16;

#[test]
fn a_burst_of_empty_fragments_in_reverse_order_harms_nobody_at_any_stage() {
    for (stage, a_active) in STAGES.step_by(5).flat_map(|stage| [(stage, true), (stage, false)]) {
        let mut pair = Pair::after(stage, a_active);
        for message in [0, 2] {
            for offset in (0..6_000).rev() {
                assert_eq!(pair.forge(&empty_fragment(message, 6_001, offset)), 0);
            }
        }
        pair.connects();
    }
}

#[test]
fn encrypted_records_before_there_are_keys_are_not_gathered() {
    for (stage, a_active) in STAGES.step_by(5).flat_map(|stage| [(stage, true), (stage, false)]) {
        let mut pair = Pair::after(stage, a_active);
        for number in 0..300 {
            for body in [&[0; 1][..], &[0; 48], &[0; 1300]] {
                for kind in [20, 21, 22, 23] {
                    pair.forge(&record(kind, 1, number % 100, body));
                }
            }
        }
        pair.connects();
    }
}

#[test]
fn junk_ends_no_handshake_and_uses_up_none_of_its_repeats() {
    const LAST: u64 = (1 << 48) - 1;
    let hello = [1, 0, 0, 40, 0, 0, 0, 0, 0, 0, 0, 20, 254, 253, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7];
    let junk = [
        record(21, 0, LAST, &[1, 0]),
        record(21, 0, LAST, &[2, 40]),
        record(21, 0, LAST, &[2]),
        record(20, 0, LAST, &[7]),
        record(23, 0, LAST, b"data"),
        record(22, 0, LAST, &hello),
        record(22, 0, LAST, &[0xff; 40]),
        record(22, 1, LAST, &[0; 48]),
        record(22, 9, LAST, &[0; 48]),
        record(99, 0, LAST, b"?"),
        vec![22; 13],
    ];
    for (stage, a_active) in STAGES.flat_map(|stage| [(stage, true), (stage, false)]) {
        let mut pair = Pair::after(stage, a_active);
        for _ in 0..100 {
            junk.iter().for_each(|junk| {
                pair.forge(junk);
            });
            pair.run(Duration::from_millis(10));
        }
        pair.connects();
    }
}

#[test]
fn a_client_that_misses_the_request_for_a_cookie_is_sent_it_again() {
    let mut pair = Pair::new(false, true);
    pair.lose = |n, bytes| n < 12 && bytes[0] == 22 && bytes[13] == 3;
    pair.run(Duration::from_millis(40));
    assert_eq!(pair.b.state(), State::Handshaking);
    pair.run(Duration::from_secs(2));
    assert_eq!((pair.a.state(), pair.b.state()), (State::Connected, State::Connected));
}

#[test]
fn a_client_that_misses_the_last_flight_is_sent_it_again_but_not_without_end() {
    let mut pair = Pair::new(false, true);
    // the last flight begins with the change of keys, and nobody else's does
    pair.lose = |_, bytes| bytes[0] == 20;
    pair.run(Duration::from_secs(9));
    assert_eq!((pair.a.state(), pair.b.state()), (State::Handshaking, State::Connected));
    let sent = pair.b.handshake().sent;
    assert!((5..16).contains(&sent), "{sent}");

    let mut pair = Pair::new(false, true);
    pair.lose = |n, bytes| n < 18 && bytes[0] == 20;
    pair.run(Duration::from_secs(5));
    assert_eq!((pair.a.state(), pair.b.state()), (State::Connected, State::Connected));
}

#[test]
fn a_connected_session_answers_no_junk() {
    let mut pair = Pair::new(false, true);
    pair.connects();
    for kind in 19..=26 {
        for epoch in 0..3 {
            for length in [0, 1, 2, 12, 48, 96, 1300] {
                for number in 0..10 {
                    assert_eq!(pair.forge(&record(kind, epoch, number, &vec![1; length])), 0);
                }
            }
        }
    }
    assert_eq!(pair.a.filter.held() + pair.b.filter.held(), 0);
    pair.connects();
}
