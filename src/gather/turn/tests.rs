//! The client against a scripted server.
mod spoiled;

use super::*;
use crate::config::ice_uri::Transport;
use crate::gather::ice_servers::Login;
use crate::gather::stun::{Message, Writer, attribute, kind};
use crate::gather::turn::allocation::Allocation;
use crate::rtc::digest::Digest;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const REALM: &str = "example.org";
const RELAYED: &str = "198.51.100.1:50000";
const PEER: &str = "203.0.113.9:4000";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

struct World {
    allocation: Allocation,
    digest: Digest,
    now: Instant,
}

/// What the server answers: attributes of a refusal, or of a success that is signed with this key.
enum Say<'a> {
    Refuse(&'a [u8], &'a [(u16, &'a [u8])]),
    Grant(&'a str, Vec<(u16, Vec<u8>)>),
}

impl World {
    fn new() -> Self {
        Self::over(Transport::Udp)
    }

    fn over(transport: Transport) -> Self {
        Self::asking(transport, false)
    }

    fn asking(transport: Transport, v6: bool) -> Self {
        let (digest, now) = (Digest::default(), Instant::now());
        let login = Login { username: "user".into(), credential: "pass".into() };
        Self { allocation: Allocation::new(transport, v6, login, digest.clone(), now), digest, now }
    }

    fn key(&self, password: &str) -> Vec<u8> {
        self.digest.long_term_key("user", REALM, password).unwrap()
    }

    fn sent(&mut self) -> Vec<Vec<u8>> {
        self.allocation.take_out().collect()
    }

    /// The one request that went out since the last look.
    fn request(&mut self) -> Vec<u8> {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    fn reply(&mut self, request: &[u8], say: Say<'_>) {
        let asked = Message::read(request).unwrap();
        let bytes = match say {
            Say::Refuse(code, attributes) => {
                let writer =
                    Writer::new(asked.kind | kind::FAILURE, &asked.transaction).with(attribute::ERROR_CODE, code);
                attributes.iter().fold(writer, |writer, (kind, value)| writer.with(*kind, value)).finish()
            }
            Say::Grant(password, attributes) => {
                let writer = Writer::new(asked.kind | kind::SUCCESS, &asked.transaction);
                let writer = attributes.iter().fold(writer, |writer, (kind, value)| writer.with(*kind, value));
                let writer = match asked.kind {
                    kind::ALLOCATE => writer.with_address(attribute::XOR_RELAYED_ADDRESS, at(RELAYED)),
                    _ => writer,
                };
                writer.signed(&self.digest, &self.key(password)).unwrap()
            }
        };
        assert_eq!(self.allocation.handle(self.now, &bytes), Outcome::Taken);
    }

    fn challenge(&mut self, nonce: &str) -> Vec<u8> {
        let request = self.request();
        let realm = [(attribute::REALM, REALM.as_bytes()), (attribute::NONCE, nonce.as_bytes())];
        self.reply(&request, Say::Refuse(b"\0\0\x04\x01Unauthorized", &realm));
        self.request()
    }

    fn allocate(&mut self) {
        let signed = self.challenge("n1");
        self.reply(&signed, Say::Grant("pass", vec![(attribute::LIFETIME, 600u32.to_be_bytes().to_vec())]));
        assert_eq!(self.allocation.relayed(), Some(at(RELAYED)));
    }

    fn pass(&mut self, time: Duration) -> Vec<Vec<u8>> {
        let end = self.now + time;
        while let Some(at) = self.allocation.deadline().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.allocation.tick(self.now);
        }
        self.now = end;
        self.sent()
    }

    fn error(&self) -> &str {
        self.allocation.over().expect("over").expect("an error")
    }
}

fn is(request: &[u8], kind: u16) -> bool {
    Message::read(request).unwrap().kind == kind
}

#[test]
fn the_second_request_is_signed_with_what_the_refusal_taught() {
    let mut world = World::new();
    let signed = world.challenge("n1");
    let message = Message::read(&signed).unwrap();
    assert_eq!(message.text(attribute::USERNAME), Some("user"));
    assert_eq!(message.text(attribute::REALM), Some(REALM));
    assert_eq!(message.text(attribute::NONCE), Some("n1"));
    assert!(message.is_signed(&world.digest, &world.key("pass")));
    assert_eq!(message.get(attribute::REQUESTED_TRANSPORT), Some(&[17, 0, 0, 0][..]));
    assert_eq!(message.get(attribute::REQUESTED_ADDRESS_FAMILY), None, "servers without IPv6 know it not");
    assert!(!signed.windows(4).any(|window| window == b"pass"));
}

#[test]
fn a_second_401_means_that_the_credential_is_wrong() {
    let mut world = World::new();
    let signed = world.challenge("n1");
    let again = [(attribute::REALM, REALM.as_bytes()), (attribute::NONCE, &b"n2"[..])];
    world.reply(&signed, Say::Refuse(b"\0\0\x04\x01Unauthorized", &again));
    assert_eq!(world.error(), "the server refuses the username or the credential");
    assert!(world.sent().is_empty());
}

#[test]
fn a_challenge_without_realm_or_nonce_is_no_challenge() {
    for attributes in [&[(attribute::REALM, REALM.as_bytes())][..], &[(attribute::NONCE, &b"n"[..])][..], &[]] {
        let mut world = World::new();
        let request = world.request();
        world.reply(&request, Say::Refuse(b"\0\0\x04\x01", attributes));
        assert!(world.allocation.over().is_some() && world.sent().is_empty());
    }
}

#[test]
fn a_success_that_another_key_signed_is_not_believed() {
    let mut world = World::new();
    let signed = world.challenge("n1");
    world.reply(&signed, Say::Grant("other", vec![]));
    assert_eq!(world.allocation.relayed(), None);
    world.pass(Duration::from_secs(9));
    assert!(world.error().contains("not signed with the credential"), "{}", world.error());
}

#[test]
fn a_stale_nonce_is_replaced_but_not_for_ever() {
    let mut world = World::new();
    let mut signed = world.challenge("n1");
    for number in 2..=3 {
        let nonce = format!("n{number}");
        let stale = [(attribute::NONCE, nonce.as_bytes()), (attribute::REALM, b"elsewhere")];
        world.reply(&signed, Say::Refuse(b"\0\0\x04\x26Stale Nonce", &stale));
        signed = world.request();
        let message = Message::read(&signed).unwrap();
        assert_eq!(message.text(attribute::NONCE), Some(nonce.as_str()));
        assert_eq!(message.text(attribute::REALM), Some(REALM), "the realm is not changed behind our back");
    }
    world.reply(&signed, Say::Refuse(b"\0\0\x04\x26", &[(attribute::NONCE, b"n4")]));
    assert_eq!(world.error(), "the server refuses every nonce of its own");
}

#[test]
fn a_redirection_is_told_and_not_followed() {
    let mut world = World::new();
    let request = world.request();
    let other = [0, 1, 0x0d, 0x96, 192, 0, 2, 9];
    world.reply(&request, Say::Refuse(b"\0\0\x03\0Try Alternate", &[(attribute::ALTERNATE_SERVER, &other)]));
    assert_eq!(world.error(), "the server sends us to 192.0.2.9:3478; write that address instead");
}

#[test]
fn no_quota_and_no_answer_are_said_in_words() {
    let mut world = World::new();
    let signed = world.challenge("n1");
    world.reply(&signed, Say::Refuse(b"\0\0\x04\x56Allocation Quota Reached", &[]));
    assert!(world.error().contains("no room"));
    let mut world = World::new();
    assert_eq!(world.pass(Duration::from_secs(9)).len(), 5, "at 0, 0.5, 1.5, 3.5 and 7.5 s");
    assert_eq!(world.error(), "the server did not answer within 8 s");
}

#[test]
fn truncated_and_foreign_answers_change_nothing() {
    let mut world = World::new();
    let signed = world.challenge("n1");
    let asked = Message::read(&signed).unwrap();
    let good = Writer::new(kind::ALLOCATE | kind::SUCCESS, &asked.transaction)
        .with_address(attribute::XOR_RELAYED_ADDRESS, at(RELAYED))
        .signed(&world.digest, &world.key("pass"))
        .unwrap();
    for length in 0..good.len() {
        world.allocation.handle(world.now, &good[..length]);
    }
    let other_method =
        Writer::new(kind::REFRESH | kind::SUCCESS, &asked.transaction).signed(&world.digest, &world.key("pass"));
    world.allocation.handle(world.now, &other_method.unwrap());
    let stranger =
        Writer::new(kind::ALLOCATE | kind::FAILURE, &[9; 12]).with(attribute::ERROR_CODE, b"\0\0\x04\x01").finish();
    world.allocation.handle(world.now, &stranger);
    assert!(world.allocation.is_allocating());
    world.allocation.handle(world.now, &good);
    assert_eq!(world.allocation.relayed(), Some(at(RELAYED)));
}

#[test]
fn an_answer_without_a_relayed_address_is_a_failure() {
    let mut world = World::new();
    let signed = world.challenge("n1");
    let asked = Message::read(&signed).unwrap();
    let empty = Writer::new(kind::ALLOCATE | kind::SUCCESS, &asked.transaction);
    let empty = empty.signed(&world.digest, &world.key("pass")).unwrap();
    world.allocation.handle(world.now, &empty);
    assert!(world.error().contains("no relayed address"));
}

#[test]
fn peers_are_permitted_once_there_is_an_allocation_and_again_before_that_runs_out() {
    let mut world = World::new();
    world.allocation.permit(world.now, at(PEER).ip());
    world.allocation.permit(world.now, "2001:db8::1".parse().unwrap());
    world.allocate();
    let request = world.request();
    assert!(is(&request, kind::CREATE_PERMISSION), "and none for the family that can't be relayed");
    world.reply(&request, Say::Grant("pass", vec![]));
    world.allocation.permit(world.now, at(PEER).ip());
    assert!(world.pass(Duration::from_secs(239)).is_empty());
    assert!(is(&world.pass(Duration::from_millis(1100))[0], kind::CREATE_PERMISSION));
}

#[test]
fn data_is_wrapped_in_indications_and_media_in_a_channel_when_it_is_bound() {
    let mut world = World::new();
    world.allocate();
    world.allocation.permit(world.now, at(PEER).ip());
    let permission = world.request();
    world.reply(&permission, Say::Grant("pass", vec![]));
    let mut out = Vec::new();
    assert!(world.allocation.wrap(world.now, at(PEER), b"\x16dtls", &mut out));
    let message = Message::read(&out).unwrap();
    assert_eq!((message.kind, message.get(attribute::DATA)), (kind::SEND_INDICATION, Some(&b"\x16dtls"[..])));
    assert_eq!(message.xor_address(attribute::XOR_PEER_ADDRESS), Some(at(PEER)));
    assert!(world.sent().is_empty(), "a handshake needs no channel");
    out.clear();
    assert!(world.allocation.wrap(world.now, at(PEER), b"\x80media", &mut out));
    assert!(is(&out, kind::SEND_INDICATION));
    let bind = world.request();
    assert!(is(&bind, kind::CHANNEL_BIND));
    world.reply(&bind, Say::Grant("pass", vec![]));
    out.clear();
    world.allocation.wrap(world.now, at(PEER), b"\x80media", &mut out);
    assert_eq!(out, b"\x40\0\0\x06\x80media");
    assert_eq!(world.allocation.handle(world.now, b"\x40\0\0\x02hi"), Outcome::Data(at(PEER), b"hi"));
    assert_eq!(world.allocation.handle(world.now, b"\x40\0\0\x03hi"), Outcome::Taken, "truncated");
    assert_eq!(world.allocation.handle(world.now, b"\x40\x01\0\x02hi"), Outcome::Taken, "a channel of nobody");
    let indication = |peer| {
        let writer = Writer::new(kind::DATA_INDICATION, &[1; 12]).with_address(attribute::XOR_PEER_ADDRESS, at(peer));
        writer.with(attribute::DATA, b"hi").finish()
    };
    assert_eq!(world.allocation.handle(world.now, &indication(PEER)), Outcome::Data(at(PEER), b"hi"));
    assert_eq!(world.allocation.handle(world.now, &indication("203.0.113.66:1")), Outcome::Taken, "not permitted");
}

#[test]
fn a_refused_channel_leaves_indications() {
    let mut world = World::new();
    world.allocate();
    let mut out = Vec::new();
    world.allocation.wrap(world.now, at(PEER), b"\x80", &mut out);
    let bind = world.request();
    world.reply(&bind, Say::Refuse(b"\0\0\x04\0Bad Request", &[]));
    out.clear();
    assert!(world.allocation.wrap(world.now, at(PEER), b"\x80", &mut out) && is(&out, kind::SEND_INDICATION));
    assert!(world.sent().is_empty());
}

#[test]
fn the_allocation_is_refreshed_at_half_its_life_and_its_loss_is_noticed() {
    let mut world = World::new();
    world.allocate();
    assert!(world.pass(Duration::from_secs(299)).is_empty());
    let refresh = world.pass(Duration::from_secs(1)).remove(0);
    assert!(is(&refresh, kind::REFRESH));
    world.reply(&refresh, Say::Grant("pass", vec![(attribute::LIFETIME, 1u32.to_be_bytes().to_vec())]));
    let refresh = world.pass(Duration::from_secs(30)).remove(0);
    world.reply(&refresh, Say::Refuse(b"\0\0\x04\x25Allocation Mismatch", &[]));
    assert_eq!(world.error(), "the server does not know the allocation any more");
}

#[test]
fn an_allocation_is_given_back_with_a_lifetime_of_nothing() {
    let mut world = World::new();
    world.allocate();
    world.allocation.release(world.now);
    let release = world.request();
    assert_eq!(Message::read(&release).unwrap().number(attribute::LIFETIME), Some(0));
    world.allocation.release(world.now);
    assert_eq!(world.sent(), [[0; 0]; 0], "once is enough, and its answer still counts");
    assert!(world.allocation.over().is_none() && world.allocation.relayed().is_none());
    world.reply(&release, Say::Grant("pass", vec![]));
    assert_eq!(world.allocation.over(), Some(None));
    let mut world = World::new();
    world.allocate();
    world.allocation.release(world.now);
    assert_eq!(world.pass(Duration::from_secs(3)).len(), 3, "at 0, 0.5 and 1.5 s");
    assert_eq!(world.allocation.over(), Some(None), "the server's own clock does the rest");
}

#[test]
fn over_a_stream_nothing_is_said_twice_and_the_patience_is_the_same() {
    let mut world = World::over(Transport::Tcp);
    assert_eq!(world.pass(Duration::from_secs(9)).len(), 1);
    assert_eq!(world.error(), "the server did not answer within 8 s");
    let mut world = World::over(Transport::Tcp);
    world.allocate();
    let refresh = world.pass(Duration::from_secs(301));
    assert!(refresh.len() == 1 && is(&refresh[0], kind::REFRESH));
}

#[test]
fn an_allocation_goes_with_its_way_to_the_server() {
    let mut world = World::over(Transport::Tcp);
    world.allocate();
    world.allocation.lose("the connection broke");
    assert_eq!((world.error(), world.allocation.relayed()), ("the connection broke", None));
    assert_eq!(world.allocation.deadline(), None);
    let mut world = World::over(Transport::Tcp);
    world.allocate();
    world.allocation.release(world.now);
    world.allocation.lose("the connection broke");
    assert_eq!(world.allocation.over(), Some(None), "it was given up already");
}

#[test]
fn an_address_for_peers_of_ipv6_is_asked_for_and_its_refusal_told() {
    let mut world = World::asking(Transport::Udp, true);
    let request = world.request();
    let family =
        |request: &[u8]| Message::read(request).unwrap().get(attribute::REQUESTED_ADDRESS_FAMILY).map(<[u8]>::to_vec);
    assert_eq!(family(&request), Some(vec![2, 0, 0, 0]));
    world
        .reply(&request, Say::Refuse(&[0, 0, 4, 1], &[(attribute::REALM, REALM.as_bytes()), (attribute::NONCE, b"n")]));
    let request = world.request();
    assert_eq!(family(&request), Some(vec![2, 0, 0, 0]), "with the login too");
    world.reply(&request, Say::Refuse(&[0, 0, 4, 40], &[]));
    assert_eq!(world.allocation.over(), Some(Some("the server gives no addresses of IPv6")));
}
