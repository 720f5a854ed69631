//! What comes to the DTLS library, and the messages that are looked into before.
use super::Target;
use super::script::{pieces, script};
use crate::rtc::dtls::{Filter, hello};

pub const TARGETS: &[Target] = &[
    Target { name: "client_hello", max: 2048, run: client_hello, seeds: hellos },
    Target { name: "dtls", max: 48 << 10, run: datagrams, seeds: flights },
];

/// Of messages that are held for the library, and of encrypted records.
const MAX_HELD: usize = 40 << 10;
/// All of a handshake's messages, and what stands around them.
const MAX_GIVEN: usize = 40 << 10;

/// One without extensions and one with some: formats of points, SRTP, something unknown.
fn hellos() -> Vec<Vec<u8>> {
    let extensions: &[u8] = &[0, 11, 0, 2, 1, 0, 0, 14, 0, 7, 0, 4, 0, 1, 0, 7, 0, 0xff, 0xff, 0, 1, 9];
    let hello = |cookie: &[u8], extensions: &[u8]| {
        let start: &[u8] = &[0xfe, 0xfd];
        let cookie = [&[cookie.len() as u8], cookie].concat();
        let length = (extensions.len() as u16).to_be_bytes();
        [start, &[7; 32], &[0], &cookie, &[0, 2, 0xc0, 0x2b, 1, 0], &length, extensions].concat()
    };
    let server =
        [&[0xfe, 0xfd], &[7; 32][..], &[1, 5, 0xc0, 0x2b, 0], &[0, extensions.len() as u8], extensions].concat();
    vec![hello(b"", &[]), hello(b"", extensions), hello(&[9; 20], extensions), server]
}

/// Extensions are few and none comes twice, or the message is refused.
fn client_hello(bytes: &[u8]) {
    for extensions in [hello::client_extensions(bytes), hello::server_extensions(bytes)].into_iter().flatten() {
        assert!(extensions.len() <= 64);
        let mut kinds: Vec<u16> = extensions.iter().map(|(kind, _)| *kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), extensions.len());
    }
    let profiles = hello::offered_profiles(bytes);
    assert!(2 * profiles.len() <= bytes.len());
    assert!(hello::cookie(bytes).is_none_or(|cookie| cookie.len() <= 255));
}

fn record(kind: u8, epoch: u8, number: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u16).to_be_bytes();
    [&[kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, number], &length[..], body].concat()
}

fn message(kind: u8, number: u8, body: &[u8], offset: usize, end: usize) -> Vec<u8> {
    let three = |number: usize| [(number >> 16) as u8, (number >> 8) as u8, number as u8];
    let header = [&[kind][..], &three(body.len()), &[0, number], &three(offset), &three(end - offset)].concat();
    record(22, 0, number, &[&header, &body[offset..end]].concat())
}

fn flights() -> Vec<Vec<u8>> {
    let hello = &hellos()[1];
    let whole = |kind, number, body: &[u8]| message(kind, number, body, 0, body.len());
    let certificate: &[u8] = &[0, 0, 6, 0, 0, 3, 1, 2, 3];
    let client = [
        (0, whole(1, 0, hello)),
        (0, message(1, 1, &hellos()[2], 0, 30)),
        (0, message(1, 1, &hellos()[2], 30, hellos()[2].len())),
        (0, [whole(11, 2, certificate), whole(16, 3, &[8; 66]), whole(15, 4, &[9; 72])].concat()),
        (0, [record(20, 0, 5, &[1]), record(22, 1, 0, &[5; 48])].concat()),
        (0x80, record(22, 0, 9, &[0; 12])),
    ];
    let server = [
        (1, whole(3, 0, b"\xfe\xff\x03abc")),
        (1, [whole(2, 1, &hellos()[3]), whole(11, 2, certificate), whole(12, 3, &[3; 80]), whole(14, 4, &[])].concat()),
        (1, [record(20, 0, 5, &[1]), record(22, 1, 0, &[5; 48]), record(21, 1, 1, &[7; 26])].concat()),
    ];
    let script_of = |pieces: &[(u8, Vec<u8>)]| {
        script(&pieces.iter().map(|(flags, piece)| (*flags, piece.as_slice())).collect::<Vec<_>>())
    };
    vec![script_of(&client), script_of(&server)]
}

/// Datagrams of a peer: what is held and what the library gets have bounds, and each record of it is sound.
fn datagrams(bytes: &[u8]) {
    let mut filter = Filter::new(bytes.first().is_some_and(|flags| flags & 1 == 1));
    let (mut given, mut secured) = (0, 0);
    for (flags, datagram) in pieces(bytes) {
        filter.take(datagram);
        assert!(filter.held() <= MAX_HELD, "{} bytes held", filter.held());
        let _ = (filter.client_hello().map(hello::offered_profiles), filter.awaits_cookie());
        if flags & 2 != 0 {
            // Ours, with the cookie that is asked for, is read as sound.
            filter.asked_for_cookie(&message(3, 0, b"\xfe\xff\x03abc", 0, 6));
        }
        if flags & 4 == 0
            && let Some(flight) = filter.flight()
        {
            given += flight.len();
            sound(&flight);
        }
        while let Some(record) = filter.secured() {
            secured += 1;
            sound(&record);
        }
        if flags & 0x80 != 0 {
            filter.finish();
        }
    }
    assert!(given <= MAX_GIVEN, "{given} bytes for the library");
    assert!(secured <= 1 + bytes.len() / 13);
}

/// Every byte belongs to a record.
fn sound(datagram: &[u8]) {
    let mut rest = datagram;
    while let Some((header, after)) = rest.split_first_chunk::<13>() {
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        rest = after.get(length..).expect("a whole record");
    }
    assert!(rest.is_empty());
}
