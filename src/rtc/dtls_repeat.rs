//! Recognises DTLS datagrams that repeat what was already received. The library stops its
//! retransmission timer for any handshake record, also for one that brings nothing new; two sides that
//! both lost a flight would then wait for each other for ever. A repeat is a sign that the peer misses
//! our flight, so it is kept away from the library and our timer runs on (RFC 6347 section 4.2.4).

/// Handshake fragments remembered; a whole handshake has about ten.
const MAX_SEEN: usize = 48;

const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const RECORD_HEADER: usize = 13;

/// What one handshake fragment is known by: message number and offset. Change-cipher-spec has neither.
type Fragment = (u16, u32);
const CCS: Fragment = (u16::MAX, 0);

#[derive(Debug, Default)]
pub struct Repeats {
    seen: Vec<Fragment>,
}

impl Repeats {
    /// Is everything in this datagram known? Takes what is new into account. Encrypted records always
    /// count as new, and so does a first ClientHello, which a server answers again.
    pub fn is_repeat(&mut self, datagram: &[u8]) -> bool {
        let mut repeat = true;
        let mut rest = datagram;
        while let Some((record, after)) = split_record(rest) {
            rest = after;
            let message = &record[RECORD_HEADER..];
            let fragment = match (record[0], u16::from_be_bytes([record[3], record[4]])) {
                (HANDSHAKE, 0) => fragment(message),
                (CHANGE_CIPHER_SPEC, 0) => Some(CCS),
                _ => None,
            };
            match fragment {
                Some((0, _)) if message[0] == CLIENT_HELLO && self.seen.len() < 2 => {
                    self.remember((0, 0));
                    repeat = false;
                }
                Some(fragment) if self.seen.contains(&fragment) => {}
                Some(fragment) => {
                    self.remember(fragment);
                    repeat = false;
                }
                None => repeat = false,
            }
        }
        repeat && rest.is_empty() && !datagram.is_empty()
    }

    fn remember(&mut self, fragment: Fragment) {
        if self.seen.len() < MAX_SEEN && !self.seen.contains(&fragment) {
            self.seen.push(fragment);
        }
    }
}

/// The first record of a datagram, header included, and what follows it.
pub(super) fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = usize::from(u16::from_be_bytes([*bytes.get(11)?, *bytes.get(12)?]));
    (bytes.len() >= RECORD_HEADER + len).then(|| bytes.split_at(RECORD_HEADER + len))
}

fn fragment(handshake: &[u8]) -> Option<Fragment> {
    let number = u16::from_be_bytes([*handshake.get(4)?, *handshake.get(5)?]);
    let offset = u32::from_be_bytes([0, *handshake.get(6)?, *handshake.get(7)?, *handshake.get(8)?]);
    Some((number, offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, epoch: u8, number: u8, offset: u8) -> Vec<u8> {
        let body = [1, 0, 0, 4, 0, number, 0, 0, offset, 0, 0, 1, 0xff];
        let mut record = vec![kind, 254, 253, 0, epoch, 0, 0, 0, 0, 0, 0, 0, body.len() as u8];
        record.extend_from_slice(&body);
        record
    }

    #[test]
    fn a_repeated_flight_is_a_repeat_and_anything_new_in_it_is_not() {
        let mut repeats = Repeats::default();
        let flight = [record(HANDSHAKE, 0, 1, 0), record(HANDSHAKE, 0, 2, 0)].concat();
        assert!(!repeats.is_repeat(&flight));
        assert!(repeats.is_repeat(&flight));
        assert!(!repeats.is_repeat(&[flight.clone(), record(HANDSHAKE, 0, 2, 9)].concat()));
        assert!(!repeats.is_repeat(&[flight.clone(), record(CHANGE_CIPHER_SPEC, 0, 0, 0)].concat()));
        assert!(!repeats.is_repeat(&[flight, record(HANDSHAKE, 1, 9, 0)].concat()));
    }

    #[test]
    fn the_first_message_may_come_again_until_something_follows() {
        let mut repeats = Repeats::default();
        let hello = record(HANDSHAKE, 0, 0, 0);
        assert!(!repeats.is_repeat(&hello));
        assert!(!repeats.is_repeat(&hello));
        repeats.is_repeat(&record(HANDSHAKE, 0, 1, 0));
        assert!(repeats.is_repeat(&hello));
    }

    #[test]
    fn a_repeated_request_for_a_cookie_is_a_repeat() {
        let mut repeats = Repeats::default();
        let mut request = record(HANDSHAKE, 0, 0, 0);
        request[RECORD_HEADER] = 3;
        assert!(!repeats.is_repeat(&request));
        assert!(repeats.is_repeat(&request));
    }

    #[test]
    fn damaged_datagrams_are_left_to_the_library() {
        let mut repeats = Repeats::default();
        let whole = record(HANDSHAKE, 0, 1, 0);
        repeats.is_repeat(&whole);
        for cut in 0..whole.len() {
            assert!(!repeats.is_repeat(&whole[..cut]));
        }
    }
}
