//! Where one message ends and the next begins on a stream: STUN tells its own length (RFC 8489 section 6.2.2), and so
//! does ChannelData, which is padded to four bytes there (RFC 8656 section 12.5).
use crate::gather::stun::{COOKIE, HEADER};
use crate::gather::turn::frame::{CHANNEL_HEADER, FIRST_CHANNEL, LAST_CHANNEL};
use std::fmt;

/// Longest message of a server: an RTP packet and an indication's header.
pub const MAX_MESSAGE: usize = 4096;

/// What came is neither STUN nor ChannelData, or longer than any of them: nobody knows where the next message begins,
/// and the connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign;

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what answers there does not speak TURN")
    }
}

/// Cuts a stream into messages. Holds less than one message and what was pushed last.
#[derive(Default)]
pub struct Splitter(Vec<u8>);

impl Splitter {
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next complete message, without its padding. After an error there is none any more.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, Foreign> {
        let Some(length) = length(&self.0)? else { return Ok(None) };
        let padded = length.next_multiple_of(4);
        if self.0.len() < padded {
            return Ok(None);
        }
        let message = self.0[..length].to_vec();
        self.0.drain(..padded);
        Ok(Some(message))
    }
}

/// Length of the message that begins here; `None`: too little of it came to tell.
fn length(bytes: &[u8]) -> Result<Option<usize>, Foreign> {
    let Some(&[high, low, third, fourth]) = bytes.first_chunk::<4>() else { return Ok(None) };
    let (kind, body) = (u16::from_be_bytes([high, low]), usize::from(u16::from_be_bytes([third, fourth])));
    let length = match kind {
        FIRST_CHANNEL..=LAST_CHANNEL => CHANNEL_HEADER + body,
        0..0x4000 => {
            let cookie = &bytes[4..bytes.len().min(8)];
            if body % 4 != 0 || !COOKIE.starts_with(cookie) {
                return Err(Foreign);
            }
            HEADER + body
        }
        _ => return Err(Foreign),
    };
    if length > MAX_MESSAGE { Err(Foreign) } else { Ok(Some(length)) }
}

/// A message as it travels on a stream.
pub fn padded(message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.len().next_multiple_of(4));
    bytes.extend_from_slice(message);
    bytes.resize(message.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::frame::write_channel;
    use super::*;
    use crate::gather::stun::{Writer, attribute, kind};

    fn channel(data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_channel(&mut bytes, FIRST_CHANNEL, data);
        bytes
    }

    fn stun(value: &[u8]) -> Vec<u8> {
        Writer::new(kind::DATA_INDICATION, &[7; 12]).with(attribute::DATA, value).finish()
    }

    #[test]
    fn messages_come_out_as_they_went_in_however_the_stream_is_cut() {
        let sent =
            [channel(b""), channel(b"a"), stun(b"hello"), channel(b"abcd"), channel(&[9; 1201]), stun(&[1; 1300])];
        let wire: Vec<u8> = sent.iter().flat_map(|message| padded(message)).collect();
        for step in [1, 2, 3, 5, 19, 700, wire.len()] {
            let (mut splitter, mut seen) = (Splitter::default(), Vec::new());
            for piece in wire.chunks(step) {
                splitter.push(piece);
                while let Some(message) = splitter.next().unwrap() {
                    seen.push(message);
                }
            }
            assert_eq!(seen, sent, "in pieces of {step}");
            assert!(splitter.0.is_empty());
        }
    }

    #[test]
    fn channel_data_is_padded_on_a_stream_and_stun_needs_none() {
        assert_eq!(padded(&channel(b"abcde")), b"\x40\0\0\x05abcde\0\0\0");
        assert_eq!(padded(&channel(b"abcd")), b"\x40\0\0\x04abcd");
        assert_eq!(padded(&stun(b"abcde")), stun(b"abcde"));
    }

    #[test]
    fn whatever_is_no_turn_is_known_at_its_first_bytes() {
        for foreign in [
            &b"HTTP/1.1 400 Bad Request"[..],
            b"\x15\x03\x03\0\x02\x02\x28",
            b"\xff\xff\xff\xff",
            b"\x50\0\0\0",
            b"\0\x01\0\x03",
            b"\0\x01\0\x04\x21\x12\xa4\x43",
            b"\0\x01\0\0GET",
        ] {
            let mut splitter = Splitter::default();
            splitter.push(foreign);
            assert_eq!(splitter.next(), Err(Foreign), "{foreign:?}");
            splitter.push(&channel(b"abcd"));
            assert_eq!(splitter.next(), Err(Foreign), "it is not looked for a new beginning");
        }
        let mut splitter = Splitter::default();
        splitter.push(b"\0\x01\0\x04\x21\x12");
        assert_eq!(splitter.next(), Ok(None), "the cookie may still come");
    }

    #[test]
    fn a_length_that_is_never_wanted_is_not_waited_for() {
        for long in [&b"\x40\0\xff\xff"[..], b"\0\x01\xff\xfc\x21\x12\xa4\x42"] {
            let mut splitter = Splitter::default();
            splitter.push(long);
            assert_eq!(splitter.next(), Err(Foreign));
        }
        let mut splitter = Splitter::default();
        splitter.push(&padded(&channel(&[0; MAX_MESSAGE - CHANNEL_HEADER])));
        assert_eq!(splitter.next().unwrap().map(|message| message.len()), Some(MAX_MESSAGE));
    }

    #[test]
    fn random_bytes_never_fill_the_memory() {
        let mut seed = 1u32;
        for _ in 0..2000 {
            let mut splitter = Splitter::default();
            for _ in 0..20 {
                let piece: Vec<u8> = (0..997)
                    .map(|_| {
                        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        (seed >> 24) as u8
                    })
                    .collect();
                splitter.push(&piece);
                let broken = loop {
                    match splitter.next() {
                        Ok(Some(message)) => assert!(message.len() <= MAX_MESSAGE),
                        Ok(None) => break false,
                        Err(_) => break true,
                    }
                };
                if broken {
                    break;
                }
                assert!(splitter.0.len() < MAX_MESSAGE + 997);
            }
        }
    }
}
