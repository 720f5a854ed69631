//! Two agents on a simulated network.
mod spoiled;

use super::*;

fn credentials(name: &str) -> Credentials {
    Credentials { ufrag: name.into(), pwd: format!("{name}-password-of-some-length") }
}

struct Net {
    a: Ice,
    b: Ice,
    now: Instant,
    /// Which datagrams are lost, by a repeating pattern.
    lose: fn(usize) -> bool,
    count: usize,
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

impl Net {
    fn new(a_controls: bool, b_controls: bool, lose: fn(usize) -> bool) -> Net {
        let provider = rtc_crypto::default_provider().unwrap();
        let (a, b) = (credentials("alice"), credentials("bob0"));
        Net {
            a: Ice::new(provider.clone(), a_controls, 1, a.clone(), b.clone()),
            b: Ice::new(provider, b_controls, 2, b, a),
            now: Instant::now(),
            lose,
            count: 0,
        }
    }

    /// Carries datagrams for `time`; b only answers to whom it hears.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            let mut out = Vec::new();
            self.a.tick(self.now, &mut out);
            let mut to_b = out;
            let mut to_a = Vec::new();
            self.b.tick(self.now, &mut to_a);
            for _ in 0..4 {
                self.count += 1;
                for datagram in std::mem::take(&mut to_b) {
                    self.count += 1;
                    if !(self.lose)(self.count) {
                        self.b.handle(self.now, route("10.0.0.1:1000"), &datagram.bytes, &mut to_a);
                    }
                }
                for datagram in std::mem::take(&mut to_a) {
                    self.count += 1;
                    if !(self.lose)(self.count) {
                        self.a.handle(self.now, route("10.0.0.2:8555"), &datagram.bytes, &mut to_b);
                    }
                }
            }
            self.now += Duration::from_millis(10);
        }
    }
}

fn route(remote: &str) -> Route {
    Route { socket: Socket::Udp(0), local: None, remote: address(remote) }
}

#[test]
fn two_agents_find_each_other_and_agree() {
    let mut net = Net::new(true, false, |_| false);
    net.a.add_remote(net.now, Socket::Udp(0), address("10.0.0.2:8555"), 1);
    net.run(Duration::from_millis(30));
    assert_eq!(net.a.take_change().unwrap().remote, address("10.0.0.2:8555"));
    assert_eq!(net.b.take_change().unwrap().remote, address("10.0.0.1:1000"));
    assert!(net.a.take_change().is_none());
    net.run(Duration::from_secs(60));
    assert!(net.a.consent_deadline().unwrap() > net.now + Duration::from_secs(10));
    assert!(net.b.consent_deadline().unwrap() > net.now + Duration::from_secs(10));
}

#[test]
fn half_of_all_packets_may_be_lost() {
    let mut net = Net::new(true, false, |n| (n as u32).wrapping_mul(2_654_435_761) >> 31 == 1);
    net.a.add_remote(net.now, Socket::Udp(0), address("10.0.0.2:8555"), 1);
    net.run(Duration::from_secs(5));
    assert!(net.a.selected().is_some() && net.b.selected().is_some());
}

/// Answers come back later than the next check goes out, as on a link whose queues video has filled.
#[test]
fn a_slow_way_is_found_and_keeps_consent() {
    for delay in [120, 900] {
        let mut net = Net::new(true, false, |_| false);
        net.a.add_remote(net.now, Socket::Udp(0), address("10.0.0.2:8555"), 1);
        let mut flying: Vec<(Instant, bool, Vec<u8>)> = Vec::new();
        for _ in 0..6_000 {
            net.now += Duration::from_millis(10);
            let (now, later) = (net.now, net.now + Duration::from_millis(delay / 2));
            let (mut to_a, mut to_b) = (Vec::new(), Vec::new());
            net.a.tick(now, &mut to_b);
            net.b.tick(now, &mut to_a);
            let (landed, rest) = flying.into_iter().partition::<Vec<_>, _>(|(at, ..)| *at <= now);
            flying = rest;
            for (_, for_a, bytes) in landed {
                match for_a {
                    true => net.a.handle(now, route("10.0.0.2:8555"), &bytes, &mut to_b),
                    false => net.b.handle(now, route("10.0.0.1:1000"), &bytes, &mut to_a),
                };
            }
            flying.extend(to_a.into_iter().map(|datagram| (later, true, datagram.bytes)));
            flying.extend(to_b.into_iter().map(|datagram| (later, false, datagram.bytes)));
        }
        for side in [&net.a, &net.b] {
            assert!(side.consent_deadline().is_some_and(|at| at > net.now + Duration::from_secs(8)), "{delay} ms");
            let rtt = side.rtt().unwrap().as_millis() as u64;
            assert!((delay - 20..=delay + 20).contains(&rtt), "{rtt} of {delay} ms");
        }
    }
}

#[test]
fn a_pair_that_is_nominated_long_after_it_was_found_is_used_and_keeps_consent() {
    let mut net = Net::new(true, false, |_| false);
    net.a.add_remote(net.now, Socket::Udp(0), address("10.0.0.2:8555"), 1);
    net.b.add_remote(net.now, Socket::Udp(0), address("10.0.0.3:1000"), 0);
    net.b.pairs[0].state = State::Succeeded;
    net.b.pairs[0].answered = Some(net.now);
    net.run(Duration::from_secs(60));
    assert_eq!(net.b.selected().unwrap().remote, address("10.0.0.1:1000"));
    net.lose = |_| true;
    net.run(STALE);
    let (mut out, mut answers) = (Vec::new(), Vec::new());
    net.a.check(0, net.now, &mut out);
    net.b.handle(net.now, route("10.0.0.3:1000"), &out[0].bytes, &mut answers);
    assert_eq!(net.b.selected().unwrap().remote, address("10.0.0.3:1000"));
    assert!(net.b.consent_deadline().unwrap() > net.now, "not lost before it could be asked for");
    answers.clear();
    net.b.tick(net.now, &mut answers);
    assert!(answers.iter().any(|datagram| datagram.route.remote == address("10.0.0.3:1000")), "asked at once");
}

#[test]
fn several_checks_that_meet_one_conflict_leave_the_role_once() {
    let mut net = Net::new(true, true, |_| false);
    let mut out = Vec::new();
    for port in 1..=2 {
        net.a.add_remote(net.now, Socket::Udp(0), SocketAddr::from(([10, 0, 0, 2], port)), 1);
    }
    (net.a.tie_breaker, net.b.tie_breaker) = (1, 2);
    for _ in 0..2 {
        net.a.tick(net.now, &mut out);
        net.now += Duration::from_millis(50);
    }
    assert_eq!(out.len(), 2);
    for datagram in out {
        let mut answers = Vec::new();
        net.b.handle(net.now, route("10.0.0.1:1000"), &datagram.bytes, &mut answers);
        net.a.handle(net.now, datagram.route, &answers[0].bytes, &mut Vec::new());
    }
    assert!(!net.a.controlling && net.b.controlling);
}

#[test]
fn a_conflict_of_roles_is_settled() {
    for both in [true, false] {
        let mut net = Net::new(both, both, |_| false);
        net.a.add_remote(net.now, Socket::Udp(0), address("10.0.0.2:8555"), 1);
        net.b.add_remote(net.now, Socket::Udp(0), address("10.0.0.1:1000"), 1);
        net.run(Duration::from_secs(2));
        assert!(net.a.selected().is_some() && net.b.selected().is_some(), "both controlling: {both}");
    }
}

#[test]
fn consent_ends_when_nobody_answers() {
    let mut net = Net::new(true, false, |_| false);
    net.a.add_remote(net.now, Socket::Udp(0), address("10.0.0.2:8555"), 1);
    net.run(Duration::from_secs(1));
    net.lose = |_| true;
    net.run(Duration::from_secs(16));
    assert!(net.b.consent_deadline().unwrap() < net.now);
}

#[test]
fn a_publisher_that_sends_media_and_answers_no_check_keeps_its_consent() {
    let mut net = Net::new(true, false, |_| false);
    net.a.add_remote(net.now, Socket::Udp(0), address("10.0.0.2:8555"), 1);
    net.b.media_came(net.now);
    assert_eq!(net.b.consent_deadline(), None, "there is no consent before there is a route");
    net.run(Duration::from_secs(1));
    net.lose = |_| true;
    for _ in 0..20 {
        net.run(Duration::from_secs(1));
        net.b.media_came(net.now);
    }
    assert!(net.b.consent_deadline().unwrap() > net.now);
    net.run(Duration::from_secs(16));
    assert!(net.b.consent_deadline().unwrap() < net.now, "and loses it with the media");
}

#[test]
fn a_restart_keeps_the_route_until_there_is_a_new_one() {
    let mut net = Net::new(true, false, |_| false);
    net.a.add_remote(net.now, Socket::Udp(0), address("10.0.0.2:8555"), 1);
    net.run(Duration::from_millis(50));
    let old = net.b.selected();
    let (a, b) = (credentials("alice2"), credentials("bob02"));
    net.a.restart(a.clone(), b.clone());
    net.b.restart(b, a);
    assert_eq!(net.b.selected(), old);
    net.run(Duration::from_millis(200));
    assert_eq!(net.b.selected(), old);
    assert!(net.b.consent_deadline().unwrap() > net.now + Duration::from_secs(14));
}

#[test]
fn forged_and_damaged_messages_are_dropped_without_an_answer() {
    let mut net = Net::new(true, false, |_| false);
    net.a.add_remote(net.now, Socket::Udp(0), address("10.0.0.2:8555"), 1);
    let mut out = Vec::new();
    net.a.tick(net.now, &mut out);
    let good = out.remove(0).bytes;
    assert_eq!(requested_ufrag(&good), Some("bob0"));
    for at in 0..good.len() {
        requested_ufrag(&good[..at]);
        assert_eq!(net.b.handle(net.now, route("10.0.0.9:9"), &good[..at], &mut out), Outcome::Rejected);
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        requested_ufrag(&bad);
        if at < good.len() - 8 {
            assert_eq!(net.b.handle(net.now, route("10.0.0.9:9"), &bad, &mut out), Outcome::Rejected, "byte {at}");
        }
    }
    assert!(out.is_empty() && net.b.selected().is_none());
    assert_eq!(net.b.handle(net.now, route("10.0.0.9:9"), &good, &mut out), Outcome::Accepted);
    assert_eq!(out.len(), 2, "the answer and a check of our own");
}

#[test]
fn a_check_ends_with_the_fingerprint_that_others_expect() {
    let mut net = Net::new(true, false, |_| false);
    net.a.add_remote(net.now, Socket::Udp(0), address("10.0.0.2:8555"), UDP_PRIORITY);
    let mut out = Vec::new();
    net.a.tick(net.now, &mut out);
    let mut message = Message { raw: out.first().unwrap().bytes.to_vec(), ..Default::default() };
    message.decode().unwrap();
    rtc_stun::fingerprint::FINGERPRINT.check(&message).unwrap();
}

#[test]
fn checks_to_strangers_keep_their_distance_and_one_that_was_asked_for_comes_first() {
    let mut net = Net::new(true, false, |_| false);
    for port in 1..=6 {
        net.b.add_remote(net.now, Socket::Udp(0), SocketAddr::from(([10, 0, 0, 3], port)), u32::from(port));
    }
    let mut out = Vec::new();
    net.b.tick(net.now, &mut out);
    net.b.tick(net.now, &mut out);
    let to = |out: &[Datagram]| out.iter().map(|datagram| datagram.route.remote.port()).collect::<Vec<_>>();
    assert_eq!(to(&out), [6], "one at once, of the highest priority");
    assert_eq!(net.b.deadline(), Some(net.now + strangers::INTERVAL));
    net.a.add_remote(net.now, Socket::Udp(0), address("10.0.0.2:8555"), 1);
    let (mut checks, mut answers) = (Vec::new(), Vec::new());
    net.a.tick(net.now, &mut checks);
    net.b.handle(net.now, route("10.0.0.3:2"), &checks[0].bytes, &mut answers);
    assert_eq!(to(&answers), [2, 2], "the answer and a check at once");
    for _ in 0..2 {
        net.now += strangers::INTERVAL;
        net.b.tick(net.now, &mut out);
    }
    assert_eq!(to(&out), [6, 2, 5], "it is repeated before those that nobody asked from");
}
