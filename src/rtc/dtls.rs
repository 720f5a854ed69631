//! What reaches the DTLS library of a peer's datagrams. The library keeps whatever could belong to a handshake, without end,
//! reads a message's fragments by recursion, takes an alert or a record number from anybody before the handshake ends, and
//! stops its timer for a repeat. So nothing comes to it from the network as it is:
//!
//! - Handshake messages are put together here and handed over a whole flight at a time, each message once, in records of
//!   our own. A flight that is not there yet does not touch the library's timer, so ours is repeated until the peer's comes;
//!   and a repeat of the peer's, which misses our flight, leads to nothing else (RFC 6347 section 4.2.4).
//! - The first encrypted record waits until there are keys to tell whether it is authentic.
//! - What is not encrypted and no part of a handshake is passed over (RFC 6347 section 4.1.2.7): junk from a forged
//!   address ends nothing, and counts for nothing.
//!
//! Pure: datagrams go in, records for the library come out.
pub mod hello;
mod messages;
mod record;

use messages::{CLIENT_HELLO, Messages};
use record::{ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE, Record};
use std::collections::VecDeque;

/// Encrypted records that wait for the library; a handshake has one, and of more the latest are kept.
const MAX_SECURED: usize = 4;
/// Longest body of an encrypted record: Finished has 48 bytes with GCM and 64 with CBC, alerts have fewer. The library takes
/// as many fragments as fit.
const MAX_SECURED_BODY: usize = 96;
/// Encrypted handshake records of a session have numbers below this. The library keeps what is in an authentic one, and takes
/// each number once. Peers count from 0 and repeat theirs a dozen times at most.
const MAX_SECURED_NUMBER: u64 = 64;

/// One peer's records on their way to the library.
#[derive(Debug)]
pub struct Filter {
    messages: Messages,
    /// Has the peer said that encrypted records follow, and does the library know?
    change: Change,
    secured: VecDeque<Vec<u8>>,
    /// Number of the next unencrypted record for the library.
    number: u64,
    done: bool,
}

#[derive(Debug, PartialEq)]
enum Change {
    Awaited,
    Seen,
    Told,
}

impl Filter {
    /// `active`: we are the DTLS client.
    pub fn new(active: bool) -> Self {
        Self {
            messages: Messages::new(!active),
            change: Change::Awaited,
            secured: VecDeque::new(),
            number: 0,
            done: false,
        }
    }

    /// Takes a datagram in. Tells whether the peer, a client, begins its first message anew although it was handed over: it
    /// misses the request for a cookie.
    pub fn take(&mut self, datagram: &[u8]) -> bool {
        let mut misses_request = false;
        for record in record::records(datagram) {
            match (record.epoch, record.kind) {
                _ if self.done && record.epoch == 0 => {}
                (0, HANDSHAKE) => {
                    for fragment in record::fragments(record.body) {
                        misses_request |= fragment.kind == CLIENT_HELLO
                            && (fragment.number, fragment.offset) == (0, 0)
                            && self.awaits_cookie();
                        self.messages.take(&fragment);
                    }
                }
                (0, CHANGE_CIPHER_SPEC) if record.body == [1] && self.change == Change::Awaited => {
                    self.change = Change::Seen;
                }
                (1, HANDSHAKE) if record.number < MAX_SECURED_NUMBER => self.take_secured(&record),
                (1, ALERT) => self.take_secured(&record),
                _ => {}
            }
        }
        misses_request
    }

    fn take_secured(&mut self, record: &Record) {
        if record.body.len() <= MAX_SECURED_BODY {
            if self.secured.len() == MAX_SECURED {
                self.secured.pop_front();
            }
            self.secured.push_back(record.whole.to_vec());
        }
    }

    /// The client's first message, once it is whole.
    pub fn client_hello(&self) -> Option<&[u8]> {
        let (kind, body) = self.messages.first()?;
        (kind == CLIENT_HELLO).then_some(body)
    }

    /// Has the library had nothing of the peer, a client, but its first message?
    pub fn awaits_cookie(&self) -> bool {
        self.messages.has_first_hello_only()
    }

    /// Our answer to the client's first message has left: of its further ones only those count that say the cookie in it.
    pub fn asked_for_cookie(&mut self, answer: &[u8]) {
        let fragment = record::records(answer).next().and_then(|record| record::fragments(record.body).next());
        // version, then the cookie
        if let Some((cookie, _)) = fragment.and_then(|fragment| hello::vector(fragment.bytes.get(2..)?, 1)) {
            self.messages.require_cookie(cookie.to_vec());
        }
    }

    /// The next flight of messages, once it is whole.
    pub fn flight(&mut self) -> Option<Vec<u8>> {
        let mut datagram = Vec::new();
        for message in self.messages.take_flight() {
            record::write_message(&mut datagram, self.number, message.kind, message.number, &message.body);
            self.number += 1;
        }
        (!datagram.is_empty()).then_some(datagram)
    }

    /// The next of the records that only a library with keys may have: the change of keys first, then encrypted ones.
    pub fn secured(&mut self) -> Option<Vec<u8>> {
        match self.change {
            Change::Awaited => None,
            Change::Seen => {
                self.change = Change::Told;
                self.number += 1;
                Some(record::change_cipher_spec(self.number - 1))
            }
            Change::Told => self.secured.pop_front(),
        }
    }

    /// The handshake has ended: all that still matters is encrypted.
    pub fn finish(&mut self) {
        self.done = true;
        self.messages = Messages::new(false);
    }

    /// Bytes that are held for the library.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn held(&self) -> usize {
        self.messages.held() + self.secured.iter().map(Vec::len).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::record::tests::{fragment, record};
    use super::*;

    const APPLICATION_DATA: u8 = 23;

    fn hello(number: u16) -> Vec<u8> {
        let hello = hello::tests::hello(hello::tests::EXTENSIONS);
        record(HANDSHAKE, 0, 9, &fragment(CLIENT_HELLO, hello.len(), number, 0, &hello))
    }

    fn finished(number: u8) -> Vec<u8> {
        record(HANDSHAKE, 1, number, &[number; 48])
    }

    const CHANGE: [u8; 14] = [CHANGE_CIPHER_SPEC, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 5, 0, 1, 1];

    #[test]
    fn the_library_gets_records_with_numbers_of_our_own() {
        let mut filter = Filter::new(false);
        filter.take(&hello(0));
        assert!(filter.client_hello().is_some());
        let flight = filter.flight().unwrap();
        assert_eq!((flight[10], &flight[11..]), (0, &hello(0)[11..]));
        filter.take(&hello(1));
        assert_eq!(filter.flight().unwrap()[10], 1);
        filter.take(&CHANGE);
        assert_eq!(filter.secured().unwrap()[10], 2);
    }

    #[test]
    fn a_client_that_begins_anew_misses_the_request_until_it_answers_it() {
        let mut filter = Filter::new(false);
        assert!(!filter.take(&hello(0)));
        filter.flight();
        assert!(filter.take(&hello(0)));
        assert_eq!(filter.flight(), None, "the library has it");
        filter.take(&hello(1));
        filter.flight();
        assert!(!filter.take(&hello(0)));
    }

    #[test]
    fn encrypted_records_wait_for_the_change_of_keys_and_the_latest_are_kept() {
        let mut filter = Filter::new(true);
        for number in 0..10 {
            filter.take(&finished(number));
        }
        assert_eq!(filter.secured(), None);
        filter.take(&[&CHANGE[..], &CHANGE].concat());
        assert_eq!(filter.secured().unwrap()[0], CHANGE_CIPHER_SPEC);
        for number in 6..10 {
            assert_eq!(filter.secured(), Some(finished(number)));
        }
        assert_eq!(filter.secured(), None);
        filter.take(&CHANGE);
        assert_eq!(filter.secured(), None, "the change is told once");
    }

    #[test]
    fn what_is_no_part_of_a_handshake_is_passed_over() {
        let mut filter = Filter::new(true);
        for junk in [
            record(ALERT, 0, 0, &[2, 40]),
            record(ALERT, 0, 0, &[1, 0]),
            record(APPLICATION_DATA, 0, 0, b"data"),
            record(APPLICATION_DATA, 1, 0, &[0; 48]),
            record(CHANGE_CIPHER_SPEC, 0, 0, &[2]),
            record(CHANGE_CIPHER_SPEC, 0, 0, &[1, 1]),
            record(CHANGE_CIPHER_SPEC, 1, 0, &[1]),
            record(HANDSHAKE, 2, 0, &[0; 48]),
            record(HANDSHAKE, 1, 0, &[0; MAX_SECURED_BODY + 1]),
            record(HANDSHAKE, 1, MAX_SECURED_NUMBER as u8, &[0; 48]),
            record(99, 0, 0, b"?"),
            vec![HANDSHAKE; 40],
        ] {
            filter.take(&junk);
            assert_eq!((filter.held(), filter.flight(), filter.secured()), (0, None, None), "{junk:?}");
        }
    }

    #[test]
    fn after_the_handshake_only_what_is_encrypted_goes_through() {
        let mut filter = Filter::new(false);
        filter.take(&CHANGE);
        filter.secured();
        filter.take(&hello(0));
        filter.finish();
        filter.take(&[hello(0), CHANGE.to_vec(), finished(3)].concat());
        assert_eq!((filter.flight(), filter.secured(), filter.secured()), (None, Some(finished(3)), None));
        assert_eq!(filter.held(), 0);
    }
}
