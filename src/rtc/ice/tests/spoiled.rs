//! Real checks, with spoiled copies of them in front, and what a peer may sign that means no good.
use super::*;
use crate::fuzz::{Random, rounds};
use rtc_stun::attributes::AttrType;
use rtc_stun::message::Message;

/// A check that is signed as `a` signs, with a random choice of attributes.
fn odd_check(net: &Net, random: &mut Random) -> Vec<u8> {
    let mut message = Message::new();
    message.set_type([BINDING_REQUEST, BINDING_SUCCESS, BINDING_ERROR][random.below(3)]);
    message.write_header();
    message.add(AttrType(0x0006), b"bob0:alice");
    for _ in 0..random.below(6) {
        let kind = [0x0009, 0x0020, 0x0024, 0x0025, 0x8029, 0x802a, 0x7777][random.below(7)];
        message.add(AttrType(kind), &random.bytes(12));
    }
    assert!(net.a.seal(&mut message, "bob0-password-of-some-length"));
    message.raw
}

#[test]
fn spoiled_and_odd_checks_are_answered_once_at_most_and_the_agents_agree_all_the_same() {
    for seed in rounds(10) {
        let mut random = Random::new(seed);
        let mut net = Net::new(true, false, |_| false);
        net.a.add_remote(net.now, Socket::Udp(0), address("10.0.0.2:8555"), 1);
        for _ in 0..20 {
            let mut to_b = Vec::new();
            net.a.tick(net.now, &mut to_b);
            for datagram in &to_b {
                for _ in 0..20 {
                    let mut bytes = datagram.bytes.clone();
                    random.spoil(&mut bytes);
                    let from = route(["10.0.0.1:1000", "10.0.0.66:6"][random.below(2)]);
                    let mut out = Vec::new();
                    net.b.handle(net.now, from, &bytes, &mut out);
                    assert!(out.len() <= 2, "round {seed}");
                }
                let mut to_a = Vec::new();
                net.b.handle(net.now, route("10.0.0.1:1000"), &datagram.bytes, &mut to_a);
                to_a.iter().for_each(|datagram| {
                    net.a.handle(net.now, route("10.0.0.2:8555"), &datagram.bytes, &mut Vec::new());
                });
            }
            net.now += Duration::from_millis(20);
        }
        for port in 1..200 {
            let (odd, mut out) = (odd_check(&net, &mut random), Vec::new());
            net.b.handle(net.now, route(&format!("10.0.0.66:{port}")), &odd, &mut out);
            assert!(out.len() <= 2 && net.b.pairs.len() <= MAX_PAIRS, "round {seed}");
        }
        net.run(Duration::from_secs(2));
        let reached = net.a.pairs().count() > 0 && net.a.selected().is_some();
        assert!(reached, "round {seed}");
    }
}
