//! Real handshakes, with spoiled copies of their datagrams among them.
use super::*;
use crate::fuzz::rounds;

/// Datagrams that one datagram may be answered with: a flight of ours, in parts, and a check.
const MAX_ANSWERS: usize = 8;
const MAX_HELD: usize = 40 << 10;

impl Pair {
    /// Hands a datagram over, from whom it seems to come.
    fn deliver(&mut self, to_a: bool, bytes: &[u8], answers: &mut Vec<(bool, Vec<u8>)>) {
        let (session, remote) = if to_a { (&mut self.a, "10.0.0.2:2") } else { (&mut self.b, "10.0.0.1:1") };
        let route = Route { socket: Socket::Udp(0), local: None, remote: remote.parse().unwrap() };
        let mut out = Vec::new();
        session.handle(self.now, route, bytes, &mut out, &mut self.events[usize::from(!to_a)]);
        assert!(out.len() <= MAX_ANSWERS && session.filter.held() <= MAX_HELD, "{} answers", out.len());
        answers.extend(out.into_iter().map(|datagram| (!to_a, datagram.bytes)));
    }

    fn tick(&mut self) -> Vec<(bool, Vec<u8>)> {
        self.now += Duration::from_millis(5);
        let (mut to_a, mut to_b) = (Vec::new(), Vec::new());
        self.a.tick(self.now, &mut to_b, &mut self.events[0]);
        self.b.tick(self.now, &mut to_a, &mut self.events[1]);
        let to = |to_a: bool, out: Vec<Datagram>| out.into_iter().map(move |datagram| (to_a, datagram.bytes));
        to(false, to_b).chain(to(true, to_a)).collect()
    }

    /// One round trip after the other for 2 s at most, and spoiled copies of what came, `before` it or after it; answers to
    /// them go where all answers go. Are both connected in the end?
    fn spoil(&mut self, random: &mut Random, before: bool) -> bool {
        for _ in 0..400 {
            let mut flying = self.tick();
            for _ in 0..16 {
                let mut answers = Vec::new();
                let spoiled: Vec<(bool, Vec<u8>)> = (0..flying.len() * 3)
                    .map(|_| {
                        let (to_a, mut bytes) = flying[random.below(flying.len())].clone();
                        random.spoil(&mut bytes);
                        (to_a, bytes)
                    })
                    .collect();
                let order = if before { [&spoiled, &flying] } else { [&flying, &spoiled] };
                for (to_a, bytes) in order.into_iter().flatten() {
                    self.deliver(*to_a, bytes, &mut answers);
                }
                flying = answers;
                if flying.is_empty() {
                    break;
                }
            }
            if [&self.a, &self.b].iter().all(|session| session.state() == State::Connected) {
                return true;
            }
        }
        false
    }
}

#[test]
fn spoiled_copies_of_a_handshake_do_no_harm_to_it_once_the_true_ones_came() {
    for seed in rounds(30) {
        let mut random = Random::new(seed);
        let mut pair = Pair::new(false, random.one_in(2));
        assert!(pair.spoil(&mut random, false), "round {seed}");
        // and to the session that follows
        for _ in 0..200 {
            let mut bytes = packet(&mut pair.a, 7);
            random.spoil(&mut bytes);
            pair.deliver(false, &bytes, &mut Vec::new());
        }
        assert_eq!((pair.a.state(), pair.b.state()), (State::Connected, State::Connected), "round {seed}");
    }
}

#[test]
fn spoiled_copies_that_come_first_cost_no_more_than_that_handshake() {
    for seed in rounds(30) {
        let mut random = Random::new(seed);
        let mut pair = Pair::new(false, random.one_in(2));
        pair.spoil(&mut random, true);
    }
    let mut pair = Pair::new(false, true);
    assert!(pair.spoil(&mut Random::new(0), false));
}
