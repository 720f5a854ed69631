//! A source address proves nothing: what is sent in another one's name harms nobody.
use super::client::{Client, from};
use super::*;

#[test]
fn checks_with_a_forged_source_address_take_no_packet_away_from_who_has_the_address() {
    let mut engine = engine("{door: , yard: }");
    let mut publisher = Client::connected(&mut engine, Intent::Publish);
    publisher.publish(&mut engine, 1);
    let mut attackers: Vec<Client> = (0..6).map(|_| Client::offer(&mut engine, Intent::View, None)).collect();
    attackers.push(Client::connected(&mut engine, Intent::View));
    for seq in 2..10 {
        for attacker in &mut attackers {
            attacker.check_from(&mut engine, publisher.address());
        }
        publisher.publish(&mut engine, seq);
    }
    assert_eq!(publisher.arrived(&engine), 9);
    for attacker in attackers {
        engine.on_close(&attacker.id, Instant::now()).unwrap();
    }
    publisher.publish(&mut engine, 10);
    assert_eq!(publisher.arrived(&engine), 10, "and nothing of it is left when they go");
}

#[test]
fn forged_packets_of_many_ssrcs_make_no_session_deaf() {
    let mut engine = engine("{door: }");
    let mut publisher = Client::connected(&mut engine, Intent::Publish);
    for ssrc in 100..400u32 {
        for second in [96, 200, 201] {
            let mut packet = vec![0x80, second, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1];
            let at = if second == 96 { 8 } else { 4 };
            packet[at..at + 4].copy_from_slice(&ssrc.to_be_bytes());
            packet.resize(42, 7);
            engine.on_datagram(from(publisher.address()), &packet, Instant::now());
        }
    }
    publisher.publish(&mut engine, 1);
    publisher.publish(&mut engine, 2);
    assert_eq!(publisher.arrived(&engine), 2);
}

#[test]
fn a_session_at_the_address_of_one_that_was_heard_of_a_moment_ago_connects_and_both_are_heard() {
    let mut engine = engine("{door: {policy: append}}");
    let mut before = Client::connected(&mut engine, Intent::Publish);
    before.publish(&mut engine, 1);
    let mut after = Client::offer(&mut engine, Intent::Publish, Some(before.address()));
    after.connect(&mut engine);
    for seq in 1..4 {
        after.publish(&mut engine, seq);
        before.publish(&mut engine, seq + 1);
    }
    assert_eq!((after.arrived(&engine), before.arrived(&engine)), (3, 4));
    for client in [before, after] {
        engine.on_close(&client.id, Instant::now()).unwrap();
    }
    nothing_left(&engine);
}
