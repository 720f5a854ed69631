//! Multicast DNS messages (RFC 6762 section 18, RFC 1035 section 4) as far as one question needs them: what address does
//! a browser's name stand for? Whatever comes from the network reads as answers or as none.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HEADER: usize = 12;
/// First byte of the flags: a response, and no other operation than a query's.
const RESPONSE: u8 = 0x80;
const OPCODE: u8 = 0x78;
const RCODE: u8 = 0x0f;
/// The Internet's class; the bit above it is the cache's (RFC 6762 section 10.2).
const CLASS: u16 = 1;
const CLASS_BITS: u16 = 0x7fff;
/// Records of one message that are looked at.
const MAX_RECORDS: usize = 32;
/// Labels of one name, those that pointers lead to included.
const MAX_LABELS: usize = 16;
/// Longest name (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 255;

/// Types of records that hold addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    A = 1,
    Aaaa = 28,
}

/// Is it a name by which browsers hide an address: a random UUID (RFC 9562 section 4) and `.local`? In lower case, if so.
pub fn hidden(host: &str) -> Option<String> {
    let (name, top) = host.split_at_checked(36)?;
    let fits = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    let good = top.eq_ignore_ascii_case(".local") && name.bytes().enumerate().all(fits);
    good.then(|| host.to_ascii_lowercase())
}

/// A question for one name. Each has a message of its own: some responders read no more than one.
pub fn question(name: &str, family: Family) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes[5] = 1;
    for label in name.split('.') {
        // Names from [`hidden`] have short labels; one that is longer would not be read as one.
        bytes.push(label.len().min(63) as u8);
        bytes.extend_from_slice(&label.as_bytes()[..label.len().min(63)]);
    }
    bytes.push(0);
    bytes.extend_from_slice(&(family as u16).to_be_bytes());
    bytes.extend_from_slice(&CLASS.to_be_bytes());
    bytes
}

/// Names, in lower case, and addresses that a response tells. A record that ends its life tells nothing.
pub fn answers(bytes: &[u8]) -> Vec<(String, IpAddr)> {
    let mut found = Vec::new();
    let _ = read(bytes, &mut found);
    found
}

/// `None` where the message ends too early or makes no sense; what was found before it counts.
fn read(bytes: &[u8], found: &mut Vec<(String, IpAddr)>) -> Option<()> {
    let (high, low) = (*bytes.get(2)?, *bytes.get(3)?);
    if high & RESPONSE == 0 || high & OPCODE != 0 || low & RCODE != 0 {
        return None;
    }
    let count = |at| u16_at(bytes, at).map(usize::from);
    let (questions, records) = (count(4)?, count(6)? + count(8)? + count(10)?);
    let mut at = HEADER;
    for _ in 0..questions.min(MAX_RECORDS) {
        at = name(bytes, at)?.1 + 4;
    }
    if questions > MAX_RECORDS {
        return None;
    }
    for _ in 0..records.min(MAX_RECORDS) {
        let (owner, body) = name(bytes, at)?;
        let (kind, class) = (u16_at(bytes, body)?, u16_at(bytes, body + 2)?);
        let lives = bytes.get(body + 4..body + 8)?.iter().any(|byte| *byte != 0);
        let length = usize::from(u16_at(bytes, body + 8)?);
        let data = bytes.get(body + 10..body + 10 + length)?;
        at = body + 10 + length;
        if class & CLASS_BITS != CLASS || !lives {
            continue;
        }
        let ip: Option<IpAddr> = match kind {
            1 => <[u8; 4]>::try_from(data).ok().map(|octets| Ipv4Addr::from(octets).into()),
            28 => <[u8; 16]>::try_from(data).ok().map(|octets| Ipv6Addr::from(octets).into()),
            _ => None,
        };
        found.extend(ip.map(|ip| (owner, ip.to_canonical())));
    }
    Some(())
}

/// A name in lower case, and where what follows it begins. Pointers lead backwards only (RFC 1035 section 4.1.4).
fn name(bytes: &[u8], start: usize) -> Option<(String, usize)> {
    let (mut text, mut at, mut after) = (String::new(), start, None);
    for _ in 0..MAX_LABELS {
        let length = usize::from(*bytes.get(at)?);
        match length {
            0 => return Some((text, after.unwrap_or(at + 1))),
            1..64 => {
                let label = bytes.get(at + 1..at + 1 + length)?;
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&String::from_utf8_lossy(label).to_ascii_lowercase());
                at += 1 + length;
            }
            0xc0.. => {
                after.get_or_insert(at + 2);
                let to = usize::from(u16_at(bytes, at)? & 0x3fff);
                if to >= at {
                    return None;
                }
                at = to;
            }
            _ => return None,
        }
        if text.len() > MAX_NAME {
            return None;
        }
    }
    None
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d.local";

    /// A response with the question repeated and a record for each address, whose owner is a pointer to the question.
    fn response(name: &str, ips: &[&str], ttl: u32) -> Vec<u8> {
        let mut bytes = question(name, Family::A);
        (bytes[2], bytes[7]) = (0x84, ips.len() as u8);
        for ip in ips {
            let data = match ip.parse().unwrap() {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            let kind = if data.len() == 4 { Family::A } else { Family::Aaaa };
            bytes.extend_from_slice(&[0xc0, HEADER as u8]);
            bytes.extend_from_slice(&(kind as u16).to_be_bytes());
            bytes.extend_from_slice(&[0x80, 1]);
            bytes.extend_from_slice(&ttl.to_be_bytes());
            bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
            bytes.extend_from_slice(&data);
        }
        bytes
    }

    #[test]
    fn only_random_names_are_asked_for() {
        assert_eq!(hidden(NAME).as_deref(), Some(NAME));
        assert_eq!(hidden(&NAME.to_uppercase()).as_deref(), Some(NAME));
        for other in [
            "",
            "local",
            "printer.local",
            "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d",
            "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d.local.example.org",
            "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4g.local",
            "0a1b2c3d44e5f-4a6b-8c7d-9e0f1a2b3c4d.local",
            "äöüäöüäöüäöüäöüäöü.local",
        ] {
            assert_eq!(hidden(other), None, "{other}");
        }
    }

    #[test]
    fn a_question_is_one_name_one_type_and_the_internets_class() {
        let bytes = question("ab-c.local", Family::Aaaa);
        assert_eq!(bytes, b"\0\0\0\0\0\x01\0\0\0\0\0\0\x04ab-c\x05local\0\0\x1c\0\x01");
    }

    #[test]
    fn addresses_are_read_with_the_names_that_they_belong_to() {
        let ips = ["192.168.1.9", "fd00::9"];
        let expected: Vec<_> = ips.iter().map(|ip| (NAME.to_owned(), ip.parse().unwrap())).collect();
        assert_eq!(answers(&response(NAME, &ips, 120)), expected);
        assert_eq!(answers(&response(&NAME.to_uppercase(), &ips, 120)), expected);
        assert_eq!(answers(&response(NAME, &["::ffff:192.168.1.9"], 1))[0].1, expected[0].1);
        assert_eq!(answers(&response(NAME, &ips, 0)), [], "the browser closed the page");
        let mut other_class = response(NAME, &["192.168.1.9"], 120);
        let at = question(NAME, Family::A).len() + 5;
        other_class[at] = 3;
        assert_eq!(answers(&other_class), []);
        assert_eq!(answers(&question(NAME, Family::A)), [], "a question answers nothing");
    }

    #[test]
    fn truncated_and_damaged_messages_end_the_reading_and_nothing_else() {
        let good = response(NAME, &["192.168.1.9", "fd00::9"], 120);
        for length in 0..good.len() {
            assert!(answers(&good[..length]).len() < 2);
            for bit in 0..8 {
                let mut damaged = good.clone();
                damaged[length] ^= 1 << bit;
                answers(&damaged);
            }
        }
    }

    #[test]
    fn names_that_point_at_themselves_end() {
        for body in [&b"\xc0\x0c\0\x01\0\x01"[..], b"\x01a\xc0\x0c", b"\xc0\xff", b"\x80", b"\xc0"] {
            let mut bytes = vec![0, 0, 0x84, 0, 0, 0, 0, 9, 0, 0, 0, 0];
            bytes.extend_from_slice(body);
            assert_eq!(answers(&bytes), [], "{body:?}");
        }
        let mut deep = vec![0, 0, 0x84, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        deep.extend(std::iter::repeat_n([1, b'a'], 4000).flatten());
        assert_eq!(answers(&deep), []);
    }
}
