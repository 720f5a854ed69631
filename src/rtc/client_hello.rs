//! Which SRTP profiles a DTLS client offers, read from its ClientHello before the library sees it: the library, as a server,
//! takes the client's first one, and browsers put the slower one first (RFC 5764 section 4.1.1, RFC 6347 section 4.2). Pure.
use super::dtls_repeat::{CLIENT_HELLO, HANDSHAKE, RECORD_HEADER, split_record};

/// Bytes of the largest ClientHello that is looked into; those with keys for quantum computers have some 1,600.
const MAX_HELLO: usize = 8192;
const FRAGMENT_HEADER: usize = 12;
const USE_SRTP: u16 = 14;

/// The numbers of the profiles, in the client's order; none if it offers none or can't be read. `None` as long as a part of
/// the ClientHello is not among the datagrams.
pub fn offered_profiles(datagrams: &[Vec<u8>]) -> Option<Vec<u16>> {
    let mut length = None;
    let mut fragments: Vec<(usize, &[u8])> = Vec::new();
    for datagram in datagrams {
        let mut rest = datagram.as_slice();
        while let Some((record, after)) = split_record(rest) {
            rest = after;
            if record[0] == HANDSHAKE
                && let Some((total, offset, part)) = hello_fragment(&record[RECORD_HEADER..])
            {
                length.get_or_insert(total);
                fragments.push((offset, part));
            }
        }
    }
    let length = length?;
    if length > MAX_HELLO {
        return Some(Vec::new());
    }
    fragments.sort_by_key(|(offset, _)| *offset);
    let mut hello = Vec::with_capacity(length);
    for (offset, part) in fragments {
        // what lies behind a gap waits for what fills it
        let known = hello.len().checked_sub(offset).unwrap_or(part.len());
        hello.extend_from_slice(part.get(known..).unwrap_or_default());
    }
    (hello.len() >= length).then(|| profiles(&hello).unwrap_or_default())
}

/// Length of the whole message, place in it and bytes of a fragment of a ClientHello.
fn hello_fragment(handshake: &[u8]) -> Option<(usize, usize, &[u8])> {
    let number = |at: usize| {
        Some(u32::from_be_bytes([0, *handshake.get(at)?, *handshake.get(at + 1)?, *handshake.get(at + 2)?]) as usize)
    };
    let (length, offset, size) = (number(1)?, number(6)?, number(9)?);
    let part = handshake.get(FRAGMENT_HEADER..FRAGMENT_HEADER + size)?;
    (handshake[0] == CLIENT_HELLO).then_some((length, offset, part))
}

fn profiles(hello: &[u8]) -> Option<Vec<u16>> {
    // version and random
    let mut rest = hello.get(2 + 32..)?;
    // session, cookie, cipher suites, compression methods
    for width in [1, 1, 2, 1] {
        rest = vector(rest, width)?.1;
    }
    let mut extensions = vector(rest, 2)?.0;
    while let Some(kind) = extensions.first_chunk() {
        let (content, after) = vector(&extensions[2..], 2)?;
        if u16::from_be_bytes(*kind) == USE_SRTP {
            let list = vector(content, 2)?.0.chunks_exact(2);
            return Some(list.map(|number| u16::from_be_bytes([number[0], number[1]])).collect());
        }
        extensions = after;
    }
    None
}

/// What a length of so many bytes stands before, and what follows it.
fn vector(bytes: &[u8], width: usize) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(width)?;
    rest.split_at_checked(length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ClientHello with these extensions.
    fn hello(extensions: &[u8]) -> Vec<u8> {
        let mut hello = [&[0xfe, 0xfd], [7; 32].as_slice(), &[0, 0, 0, 2, 0xc0, 0x2b, 1, 0]].concat();
        hello.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
        [hello.as_slice(), extensions].concat()
    }

    fn datagram(hello: &[u8], from: usize, to: usize) -> Vec<u8> {
        let three = |number: usize| (number as u32).to_be_bytes()[1..].to_vec();
        let mut record = vec![HANDSHAKE, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
        record.extend_from_slice(&((FRAGMENT_HEADER + to - from) as u16).to_be_bytes());
        [
            record,
            vec![CLIENT_HELLO],
            three(hello.len()),
            vec![0, 0],
            three(from),
            three(to - from),
            hello[from..to].to_vec(),
        ]
        .concat()
    }

    /// Point formats, then use_srtp with counter mode and GCM, then something unknown.
    const EXTENSIONS: &[u8] = &[0, 11, 0, 2, 1, 0, 0, 14, 0, 7, 0, 4, 0, 1, 0, 7, 0, 0xff, 0xff, 0, 1, 9];

    #[test]
    fn the_profiles_are_told_in_the_clients_order() {
        let hello = hello(EXTENSIONS);
        assert_eq!(offered_profiles(&[datagram(&hello, 0, hello.len())]), Some(vec![1, 7]));
    }

    #[test]
    fn a_hello_in_parts_is_read_when_the_last_one_is_there_in_whatever_order() {
        let hello = hello(EXTENSIONS);
        let [first, second, third] =
            [(0, 30), (30, 50), (45, hello.len())].map(|(from, to)| datagram(&hello, from, to));
        assert_eq!(offered_profiles(&[]), None);
        assert_eq!(offered_profiles(std::slice::from_ref(&first)), None);
        assert_eq!(offered_profiles(&[first.clone(), third.clone(), first.clone()]), None);
        assert_eq!(offered_profiles(&[third, first.clone(), second, first]), Some(vec![1, 7]));
    }

    #[test]
    fn one_that_offers_none_or_is_damaged_or_too_large_tells_none() {
        let none = hello(&EXTENSIONS[..6]);
        assert_eq!(offered_profiles(&[datagram(&none, 0, none.len())]), Some(vec![]));
        let whole = hello(EXTENSIONS);
        for damaged in 34..whole.len() {
            let mut hello = whole.clone();
            hello[damaged] = 0xff;
            assert!(offered_profiles(&[datagram(&hello, 0, hello.len())]).is_some());
        }
        let large = [whole, vec![0; MAX_HELLO]].concat();
        assert_eq!(offered_profiles(&[datagram(&large, 0, 100)]), Some(vec![]));
    }

    #[test]
    fn what_is_no_hello_is_passed_over() {
        let hello = hello(EXTENSIONS);
        let whole = datagram(&hello, 0, hello.len());
        for cut in 0..whole.len() {
            assert_eq!(offered_profiles(&[whole[..cut].to_vec()]), None);
        }
        let alert = vec![21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40];
        assert_eq!(offered_profiles(std::slice::from_ref(&alert)), None);
        assert_eq!(offered_profiles(&[alert, whole]), Some(vec![1, 7]));
    }
}
