//! Puts a peer's handshake messages together from their fragments, which come in any order, twice, and cut differently when
//! they are repeated (RFC 6347 section 4.2.3). Nothing here is authentic yet: whoever can forge the peer's address can
//! send all of it. What comes later therefore takes the place of what came before, so that the peer's own repeat mends what
//! somebody else spoiled, and no bound can be used up by fragments that never become a message. Pure.
use super::hello;
use super::record::Fragment;
use std::collections::VecDeque;

/// Longest message: a chain of four RSA certificates has some 6 KiB.
const MAX_MESSAGE: usize = 16 * 1024;
/// Of all messages of a handshake together, those handed over included: the library keeps them.
const MAX_BYTES: usize = 32 * 1024;
/// How far a message may be ahead of the one that is next; the longest flight has five.
const MAX_AHEAD: usize = 8;
/// Messages of one side; with a cookie and everything optional there are nine.
const MAX_MESSAGES: u16 = 16;
/// Stretches of one message that are known while there are gaps between them.
const MAX_STRETCHES: usize = 32;

pub const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const HELLO_VERIFY_REQUEST: u8 = 3;
const CERTIFICATE: u8 = 11;
const SERVER_KEY_EXCHANGE: u8 = 12;
const CERTIFICATE_REQUEST: u8 = 13;
const SERVER_HELLO_DONE: u8 = 14;
const CERTIFICATE_VERIFY: u8 = 15;
const CLIENT_KEY_EXCHANGE: u8 = 16;

/// Certificates of a peer: its own and those that vouch for it.
const MAX_CERTIFICATES: usize = 8;

/// Can the peer's message of this number, before encryption, be of this kind, and does a flight end with it? As a server we
/// have to look after each of a client's last two: without a certificate there is no CertificateVerify.
fn ends_flight(kind: u8, number: u16, from_client: bool) -> Option<bool> {
    match (kind, number, from_client) {
        (CLIENT_HELLO, 0..=1, true) | (CLIENT_KEY_EXCHANGE | CERTIFICATE_VERIFY, 1.., true) => Some(true),
        (HELLO_VERIFY_REQUEST, 0, false) | (SERVER_HELLO_DONE, 1.., false) => Some(true),
        (SERVER_HELLO, 0..=1, false) | (SERVER_KEY_EXCHANGE | CERTIFICATE_REQUEST, 1.., false) => Some(false),
        (CERTIFICATE, 1.., _) => Some(false),
        _ => None,
    }
}

/// A whole message.
#[derive(Debug, PartialEq)]
pub struct Message {
    pub kind: u8,
    pub number: u16,
    pub body: Vec<u8>,
}

/// One that is being put together.
#[derive(Debug)]
struct Part {
    kind: u8,
    body: Vec<u8>,
    /// From where to where `body` is known; they don't touch.
    known: Vec<(usize, usize)>,
}

impl Part {
    fn learn(&mut self, fragment: &Fragment) {
        let (mut from, mut to) = (fragment.offset, fragment.offset + fragment.bytes.len());
        self.body[from..to].copy_from_slice(fragment.bytes);
        self.known.retain(|&(start, end)| {
            let apart = end < from || to < start;
            if !apart {
                (from, to) = (from.min(start), to.max(end));
            }
            apart
        });
        if self.known.len() == MAX_STRETCHES {
            self.known.remove(0);
        }
        self.known.push((from, to));
    }

    fn is_whole(&self) -> bool {
        self.known == [(0, self.body.len())]
    }

    /// Would the library read this without trouble? It takes its time for lists that say the same thing over and over.
    fn is_sound(&self, cookie: Option<&[u8]>) -> bool {
        match self.kind {
            CLIENT_HELLO => {
                hello::client_extensions(&self.body).is_some()
                    && cookie.is_none_or(|cookie| hello::cookie(&self.body) == Some(cookie))
            }
            SERVER_HELLO => hello::server_extensions(&self.body).is_some(),
            CERTIFICATE => is_sound_chain(&self.body),
            _ => true,
        }
    }
}

/// Is this a list of certificates, or of none, and not of too many (RFC 5246 section 7.4.2)?
fn is_sound_chain(message: &[u8]) -> bool {
    let Some((mut list, [])) = hello::vector(message, 3) else { return false };
    for _ in 0..MAX_CERTIFICATES {
        match hello::vector(list, 3) {
            Some((_, rest)) => list = rest,
            None => break,
        }
    }
    list.is_empty()
}

/// The messages of one side of a handshake, up to its first encrypted one.
#[derive(Debug)]
pub struct Messages {
    from_client: bool,
    /// The number of the first one in `waiting`.
    next: u16,
    waiting: VecDeque<Option<Part>>,
    /// Bytes of those handed over.
    given: usize,
    /// What a client has to repeat in its second message, if we asked for it.
    cookie: Option<Vec<u8>>,
}

impl Messages {
    pub fn new(from_client: bool) -> Self {
        Self { from_client, next: 0, waiting: VecDeque::new(), given: 0, cookie: None }
    }

    /// Takes a client's further ClientHello only with this cookie, which whoever forges its address never saw.
    pub fn require_cookie(&mut self, cookie: Vec<u8>) {
        self.cookie = Some(cookie);
        self.waiting.clear();
    }

    /// Has a client said its first message and nothing else?
    pub fn has_first_hello_only(&self) -> bool {
        self.from_client && self.next == 1
    }

    /// Bytes that are held.
    pub fn held(&self) -> usize {
        self.waiting.iter().flatten().map(|part| part.body.len()).sum()
    }

    /// Takes a fragment in. What is known already, or can't belong to this handshake, is passed over.
    pub fn take(&mut self, fragment: &Fragment) {
        let Some(ahead) = fragment.number.checked_sub(self.next).map(usize::from) else { return };
        let fits = ahead < MAX_AHEAD && fragment.number < MAX_MESSAGES && fragment.length <= MAX_MESSAGE;
        if !fits || ends_flight(fragment.kind, fragment.number, self.from_client).is_none() {
            return;
        }
        if self.waiting.len() <= ahead {
            self.waiting.resize_with(ahead + 1, || None);
        }
        let known = self.waiting[ahead].as_ref().map(|part| (part.kind, part.body.len()));
        if known != Some((fragment.kind, fragment.length)) {
            self.waiting[ahead] = None;
            if !self.make_room(ahead, fragment.length) {
                return;
            }
            let body = vec![0; fragment.length];
            self.waiting[ahead] = Some(Part { kind: fragment.kind, body, known: Vec::new() });
        }
        let slot = &mut self.waiting[ahead];
        if let Some(part) = slot {
            part.learn(fragment);
            if part.is_whole() && !part.is_sound(self.cookie.as_deref()) {
                *slot = None;
            }
        }
    }

    /// Those that come sooner go before those that come later, which are left to the peer's repeat.
    fn make_room(&mut self, ahead: usize, length: usize) -> bool {
        while self.given + self.held() + length > MAX_BYTES {
            let Some(last) = self.waiting.iter().rposition(Option::is_some).filter(|last| *last > ahead) else {
                return false;
            };
            self.waiting[last] = None;
        }
        true
    }

    /// The message that is next, if it is whole.
    pub fn first(&self) -> Option<(u8, &[u8])> {
        let part = self.waiting.front()?.as_ref()?;
        part.is_whole().then_some((part.kind, &part.body))
    }

    /// The messages from the next one to the last one that ends a flight, if all of them are whole.
    pub fn take_flight(&mut self) -> Vec<Message> {
        let whole = self.waiting.iter().map_while(|part| part.as_ref().filter(|part| part.is_whole()));
        let ends =
            (self.next..).zip(whole).filter(|(at, part)| ends_flight(part.kind, *at, self.from_client) == Some(true));
        let length = ends.last().map_or(0, |(at, _)| usize::from(at - self.next) + 1);
        let mut flight = Vec::new();
        for part in self.waiting.drain(..length).flatten() {
            self.given += part.body.len();
            flight.push(Message { kind: part.kind, number: self.next, body: part.body });
            self.next += 1;
        }
        flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those that follow on the hello, from which the tests count.
    fn after_hello(from_client: bool) -> Messages {
        Messages { next: 1, ..Messages::new(from_client) }
    }

    fn part(kind: u8, length: usize, number: u16, offset: usize, bytes: &[u8]) -> Fragment<'_> {
        Fragment { kind, length, number: 1 + number, offset, bytes }
    }

    /// A fragment of a ClientKeyExchange.
    fn key(length: usize, number: u16, offset: usize, bytes: &[u8]) -> Fragment<'_> {
        part(CLIENT_KEY_EXCHANGE, length, number, offset, bytes)
    }

    fn bodies(messages: &mut Messages) -> Vec<(u16, Vec<u8>)> {
        messages.take_flight().into_iter().map(|message| (message.number - 1, message.body)).collect()
    }

    #[test]
    fn a_message_is_put_together_in_whatever_order_its_parts_come_and_however_a_repeat_cuts_it() {
        let mut messages = after_hello(true);
        messages.take(&key(6, 0, 4, b"ef"));
        messages.take(&key(6, 0, 0, b"ab"));
        messages.take(&key(6, 0, 0, b"ab"));
        assert_eq!(bodies(&mut messages), []);
        messages.take(&key(6, 0, 1, b"bcde"));
        assert_eq!(bodies(&mut messages), [(0, b"abcdef".to_vec())]);
        messages.take(&key(6, 0, 0, b"abcdef"));
        assert_eq!((bodies(&mut messages), messages.held()), (vec![], 0), "it is handed over once");
    }

    #[test]
    fn a_flight_waits_for_its_last_message_and_for_every_one_before() {
        let mut messages = after_hello(false);
        messages.take(&part(SERVER_HELLO_DONE, 0, 2, 0, b""));
        messages.take(&part(SERVER_KEY_EXCHANGE, 1, 0, 0, b"k"));
        assert_eq!(bodies(&mut messages), []);
        messages.take(&part(CERTIFICATE, 3, 1, 0, &[0; 3]));
        assert_eq!(bodies(&mut messages), [(0, b"k".to_vec()), (1, vec![0; 3]), (2, vec![])]);
        assert_eq!(messages.next, 4);
    }

    #[test]
    fn what_the_peer_repeats_replaces_what_somebody_forged() {
        let mut messages = after_hello(true);
        messages.take(&key(9, 0, 0, b"?"));
        messages.take(&key(4, 0, 1, b"???"));
        messages.take(&part(CERTIFICATE, 4, 0, 0, &[0; 2]));
        messages.take(&key(4, 0, 0, b"true"));
        assert_eq!(bodies(&mut messages), [(0, b"true".to_vec())]);
    }

    #[test]
    fn what_can_never_be_a_message_of_this_handshake_is_not_held() {
        let mut messages = after_hello(true);
        let long = vec![0; 20];
        for refused in [
            key(MAX_MESSAGE + 1, 0, 0, &long),
            key(20, MAX_AHEAD as u16, 0, &long),
            key(20, u16::MAX - 1, 0, &long),
            part(SERVER_HELLO, 20, 0, 0, &long),
            part(0, 20, 0, 0, &long),
            part(20, 20, 0, 0, &long),
            part(CLIENT_HELLO, 20, 0, 0, &long),
            part(CERTIFICATE, 20, 0, 0, &[0xff; 20]),
        ] {
            messages.take(&refused);
            assert_eq!(messages.held(), 0, "{refused:?}");
        }
    }

    #[test]
    fn however_much_is_begun_the_bytes_held_are_bounded_and_the_next_message_finds_room() {
        let mut messages = after_hello(true);
        for number in (0..MAX_MESSAGES).rev().chain(0..MAX_MESSAGES) {
            messages.take(&key(MAX_MESSAGE, number, 5, b"?"));
            assert!(messages.held() <= MAX_BYTES);
        }
        messages.take(&key(4, 0, 0, b"true"));
        messages.take(&key(5000, 1, 0, &[7; 5000]));
        assert_eq!(bodies(&mut messages), [(0, b"true".to_vec()), (1, vec![7; 5000])]);
    }

    #[test]
    fn all_messages_of_a_handshake_have_one_bound_of_bytes_and_one_of_number() {
        let mut messages = after_hello(true);
        let mut given = 0;
        for number in 0..100 {
            messages.take(&key(MAX_MESSAGE / 4, number, 0, &[7; MAX_MESSAGE / 4]));
            given += bodies(&mut messages).iter().map(|(_, body)| body.len()).sum::<usize>();
        }
        assert_eq!(given, MAX_BYTES);
        let mut messages = after_hello(true);
        for number in 0..100 {
            messages.take(&key(1, number, 0, b"?"));
            bodies(&mut messages);
        }
        assert_eq!(messages.next, MAX_MESSAGES);
    }

    #[test]
    fn stretches_without_end_cost_no_more_and_do_not_keep_the_message_from_becoming_whole() {
        let mut messages = after_hello(true);
        for offset in (0..MAX_MESSAGE).step_by(2) {
            messages.take(&key(MAX_MESSAGE, 0, offset, b"?"));
            assert!(messages.waiting[0].as_ref().unwrap().known.len() <= MAX_STRETCHES);
        }
        for offset in (0..MAX_MESSAGE).step_by(1024) {
            messages.take(&key(MAX_MESSAGE, 0, offset, &[7; 1024]));
        }
        assert_eq!(bodies(&mut messages), [(0, vec![7; MAX_MESSAGE])]);
    }

    #[test]
    fn a_client_that_was_asked_for_a_cookie_is_heard_with_it_only() {
        let mut messages = after_hello(true);
        messages.require_cookie(b"abc".to_vec());
        for (cookie, heard) in [(&b""[..], 0), (b"abd", 0), (b"abc", 1)] {
            let mut hello = hello::tests::hello(hello::tests::EXTENSIONS);
            hello.splice(35..36, [&[cookie.len() as u8], cookie].concat());
            messages.take(&part(CLIENT_HELLO, hello.len(), 0, 0, &hello));
            assert_eq!(bodies(&mut messages).len(), heard);
        }
    }

    #[test]
    fn a_chain_has_a_few_certificates_or_none() {
        let chain = |count: usize| {
            let list = [0, 0, 2, 1, 1].repeat(count);
            [&(list.len() as u32).to_be_bytes()[1..], &list].concat()
        };
        assert!(is_sound_chain(&chain(0)) && is_sound_chain(&chain(1)) && is_sound_chain(&chain(MAX_CERTIFICATES)));
        assert!(!is_sound_chain(&chain(MAX_CERTIFICATES + 1)));
        assert!(
            !is_sound_chain(&chain(1)[..7]) && !is_sound_chain(&[chain(1), vec![0]].concat()) && !is_sound_chain(b"")
        );
    }
}
