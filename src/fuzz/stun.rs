//! STUN and TURN: messages of servers and peers.
use super::Target;
use super::script::{pieces, script};
use crate::gather::stun::{self, Message, Writer, attribute, kind};
use crate::rtc::digest::Digest;
use crate::rtc::ice::{self, Credentials, Ice};
use rtc_stun::attributes::AttrType;
use rtc_stun::message::{BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, Setter};
use std::time::{Duration, Instant};

pub const TARGETS: &[Target] = &[
    Target { name: "stun", max: 1500, run: message, seeds: messages },
    Target { name: "ice", max: 4096, run: checks, seeds: check_seeds },
    #[cfg(feature = "turn")]
    Target { name: "turn_answers", max: 4096, run: turn::answers, seeds: turn::seeds },
];

/// RFC 5769 section 2.2, without blanks.
const SAMPLE: &[u8] =
    b"\x01\x01\x00\x3c\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\x80\x22\x00\x0b\
    \x74\x65\x73\x74\x20\x76\x65\x63\x74\x6f\x72\x20\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43\x00\x08\x00\x14\
    \x2b\x91\xf5\x99\xfd\x9e\x90\xc3\x8c\x74\x89\xf9\x2a\xf9\xba\x53\xf0\x6b\xe7\xd7\x80\x28\x00\x04\xc0\x7d\x4c\x96";
const KEY: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

fn messages() -> Vec<Vec<u8>> {
    let writer = |kind| Writer::new(kind, &[7; 12]);
    vec![
        SAMPLE.to_vec(),
        writer(kind::BINDING).with(attribute::USERNAME, b"abcd:efgh").with(0x24, &[1; 4]).with(0x25, b"").finish(),
        writer(kind::BINDING | kind::FAILURE).with(attribute::ERROR_CODE, b"\0\0\x04\x01Unauthorized").finish(),
        writer(kind::ALLOCATE | kind::SUCCESS)
            .with_address(attribute::XOR_RELAYED_ADDRESS, ([203, 0, 113, 7], 50_000).into())
            .with(attribute::LIFETIME, &600u32.to_be_bytes())
            .finish(),
        writer(kind::DATA_INDICATION)
            .with_address(attribute::XOR_PEER_ADDRESS, ([0xfd00, 0, 0, 0, 0, 0, 0, 9], 9).into())
            .with(attribute::DATA, b"data")
            .finish(),
    ]
}

fn digest() -> Digest {
    Digest::new(rtc_crypto::default_provider().expect("there is a provider"))
}

/// A message reads as nothing, or as what another implementation reads, and is the same when it is written again.
fn message(bytes: &[u8]) {
    let ufrag = ice::requested_ufrag(bytes).map(str::len);
    assert!(ufrag.is_none_or(|len| len <= bytes.len()));
    let _ = (ice::is_stun(bytes), ice::answered_tag(bytes));
    let Some(message) = Message::read(bytes) else { return };
    let read: Vec<(u16, &[u8])> = message.attributes().map(|(_, kind, value)| (kind, value)).collect();
    for (kind, _) in &read {
        let _ = (message.text(*kind), message.number(*kind), message.address(*kind), message.xor_address(*kind));
    }
    if let Some((code, reason)) = message.error() {
        assert!((300..700 + 255).contains(&code) && reason.chars().count() <= 60 && !reason.contains(char::is_control));
    }
    let _ = (stun::binding_answer(&message), message.is_signed(&digest(), KEY));
    let mut foreign = rtc_stun::message::Message { raw: bytes.to_vec(), ..Default::default() };
    foreign.decode().expect("what is STUN to us is STUN to others");
    let theirs = foreign.attributes.0.iter().map(|attribute| (attribute.typ.0, attribute.value.as_slice()));
    // It takes an old number of XOR-MAPPED-ADDRESS for the present one.
    assert!(theirs.eq(read.iter().map(|(kind, value)| (if *kind == 0x8020 { 0x20 } else { *kind }, *value))));
    let writer = read
        .iter()
        .fold(Writer::new(message.kind, &message.transaction), |writer, (kind, value)| writer.with(*kind, value));
    let written = writer.finish();
    let again = Message::read(&written).expect("what we write is STUN");
    assert!(again.attributes().map(|(_, kind, value)| (kind, value)).eq(read.iter().copied()));
    if let Some(address) = message.xor_address(attribute::XOR_MAPPED_ADDRESS) {
        let written =
            Writer::new(kind::BINDING, &[3; 12]).with_address(attribute::XOR_MAPPED_ADDRESS, address).finish();
        let again = Message::read(&written).and_then(|message| message.xor_address(attribute::XOR_MAPPED_ADDRESS));
        assert_eq!(again, Some(address));
    }
}

fn check_seeds() -> Vec<Vec<u8>> {
    // user name, priority, controlling, nomination
    let attributes: &[u8] = b"\0\x06\x0abob0:alice\0\x24\x04\x6e\0\x1e\xff\x80\x2a\x08\0\0\0\0\0\0\0\x01\0\x25\0";
    vec![script(&[
        (0, attributes),
        (8, attributes),
        (1, b"\0\x20\x08\0\x01\xa1\x47\xe1\x12\xa6\x43"),
        (2, b"\0\x09\x04\0\0\x04\x57"),
    ])]
}

/// Checks of a peer that has the password: each is answered once at most, and their number has a bound.
fn checks(bytes: &[u8]) {
    let Ok(provider) = rtc_crypto::default_provider() else { return };
    let credentials = |name: &str| Credentials { ufrag: name.into(), pwd: format!("{name}-password-of-some-length") };
    let mut ice = Ice::new(provider.clone(), false, 2, credentials("bob0"), credentials("alice"));
    let mut now = Instant::now();
    let (mut sent, mut count) = (Vec::new(), 0);
    for (flags, piece) in pieces(bytes) {
        let route = crate::rtc::route::Route {
            socket: crate::rtc::route::Socket::Udp(0),
            local: None,
            remote: ([10, 0, 0, flags >> 5], 1 + u16::from(flags >> 3 & 3)).into(),
        };
        let before = sent.len();
        ice.handle(now, route, &signed(flags, piece, sent.last()), &mut sent);
        assert!(sent.len() <= before + 2, "an answer and a check of our own");
        now += Duration::from_millis(20 * u64::from(flags & 0x3f));
        let before = sent.len();
        ice.tick(now, &mut sent);
        count += sent.len() - before;
        sent.drain(..sent.len().saturating_sub(4));
        let _ = ice.pairs().count();
    }
    assert!(count <= 64 + bytes.len(), "{count} checks of our own");
}

/// A message with these attributes (type, length in one byte, value), signed as the peer signs: requests by our password,
/// answers to our latest request by theirs.
fn signed(flags: u8, mut rest: &[u8], latest: Option<&crate::rtc::route::Datagram>) -> Vec<u8> {
    let mut message = rtc_stun::message::Message::new();
    message.set_type([BINDING_REQUEST, BINDING_SUCCESS, BINDING_ERROR][usize::from(flags & 7) % 3]);
    message.write_header();
    if let (1 | 2, Some(id)) = (flags & 7, latest.and_then(|datagram| datagram.bytes.get(8..20))) {
        message.raw[8..20].copy_from_slice(id);
        message.transaction_id.0.copy_from_slice(id);
    }
    while let Some((&[high, low, length], after)) = rest.split_first_chunk::<3>() {
        let (value, after) = after.split_at(usize::from(length).min(after.len()));
        message.add(AttrType(u16::from_be_bytes([high, low])), value);
        rest = after;
    }
    let pwd = if flags & 7 == 0 { "bob0-password-of-some-length" } else { "alice-password-of-some-length" };
    if let Ok(provider) = rtc_crypto::default_provider() {
        let integrity = rtc_stun::integrity::MessageIntegrity::new_short_term_integrity_with_provider(
            pwd.to_owned(),
            provider.crypto(),
        );
        let _ = integrity.add_to(&mut message);
    }
    message.raw
}

#[cfg(feature = "turn")]
mod turn {
    use super::*;
    use crate::config::ice_uri::Transport;
    use crate::gather::ice_servers::Login;
    use crate::gather::turn::allocation::{Allocation, Outcome};
    use crate::gather::turn::frame;

    /// Messages that one answer may lead to: a permission and a channel for each peer.
    const MAX_SENT: usize = 4;

    pub fn seeds() -> Vec<Vec<u8>> {
        let refusal: &[u8] = b"\0\x09\x04\0\0\x04\x01\0\x14\x05realm\0\x15\x05nonce";
        let success: &[u8] = b"\0\x16\x08\0\x01\xe2\x42\xea\x12\xd5\x45\0\x0d\x04\0\0\x02\x58";
        let data: &[u8] = b"\0\x12\x08\0\x01\x21\x1b\x2b\x12\xa4\x4b\0\x13\x04data";
        vec![script(&[(0x12, refusal), (0x11, success), (0x11, b""), (0x11, b""), (3, data), (4, b"\x40\0\0\x04data")])]
    }

    /// Answers of a server, signed or not, to what it was asked last: they lead to few messages.
    pub fn answers(bytes: &[u8]) {
        let (digest, mut now) = (super::digest(), Instant::now());
        let login = Login { username: "user".into(), credential: "pass".into() };
        let mut allocation = Allocation::new(Transport::Udp, false, login, digest.clone(), now);
        allocation.permit(now, [10, 0, 0, 9].into());
        let mut asked = allocation.take_out().next_back().unwrap_or_default();
        for (flags, piece) in pieces(bytes) {
            let answer = if flags & 7 >= 4 { piece.to_vec() } else { answer(flags, piece, &asked, &digest) };
            if let Outcome::Data(_, data) = allocation.handle(now, &answer) {
                assert!(data.len() <= answer.len());
            }
            now += Duration::from_secs(u64::from(flags & 0xe0));
            allocation.tick(now);
            let sent: Vec<Vec<u8>> = allocation.take_out().collect();
            assert!(sent.len() <= 2 * MAX_SENT, "{} messages", sent.len());
            sent.iter().for_each(|message| assert!(Message::read(message).is_some()));
            asked = sent.into_iter().next_back().unwrap_or(asked);
            let mut out = Vec::new();
            if allocation.wrap(now, ([10, 0, 0, 9], 9).into(), b"data", &mut out) {
                let channel = frame::read_channel(&out).map(|(_, data)| data);
                assert!(channel.is_none_or(|data| data == b"data"));
            }
        }
    }

    fn answer(flags: u8, mut rest: &[u8], asked: &[u8], digest: &Digest) -> Vec<u8> {
        let Some(asked) = Message::read(asked) else { return Vec::new() };
        let kind = match flags & 3 {
            1 => asked.kind | kind::SUCCESS,
            2 => asked.kind | kind::FAILURE,
            3 => kind::DATA_INDICATION,
            _ => asked.kind,
        };
        let mut writer = Writer::new(kind, &asked.transaction);
        while let Some((&[high, low, length], after)) = rest.split_first_chunk::<3>() {
            let (value, after) = after.split_at(usize::from(length).min(after.len()));
            writer = writer.with(u16::from_be_bytes([high, low]), value);
            rest = after;
        }
        if flags & 0x10 == 0 {
            return writer.finish();
        }
        let key = digest.long_term_key("user", "realm", "pass").unwrap_or_default();
        writer.signed(digest, &key).unwrap_or_default()
    }
}
