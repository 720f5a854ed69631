//! Where messages end on a stream: RFC 4571, TURN over TCP, and the names of multicast DNS.
use super::script::cuts;
use super::{Target, texts};
use crate::gather::mdns::message::{self, Family};
use crate::net::tcp;

pub const TARGETS: &[Target] = &[
    Target { name: "frames", max: 12 << 10, run: frames, seeds: || vec![b"\0\x03one\0\0\0\x05three".to_vec()] },
    Target { name: "mdns", max: 9000, run: names, seeds: name_seeds },
    #[cfg(feature = "turn")]
    Target { name: "turn_stream", max: 12 << 10, run: turn::stream, seeds: turn::seeds },
];

type Frames = (Vec<Vec<u8>>, bool);

/// Frames as they come out, and whether the stream was broken off.
fn taken(parts: &[&[u8]]) -> Frames {
    let (mut buffer, mut frames) = (Vec::new(), Vec::new());
    for part in parts {
        buffer.extend_from_slice(part);
        loop {
            match tcp::take_frame(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
    }
    (frames, false)
}

/// However a stream is cut, the same frames come out, and they are what would be written.
fn frames(bytes: &[u8]) {
    let whole = taken(&[bytes]);
    let [first, second] = cuts(bytes);
    assert_eq!(taken(&[&bytes[..first], &bytes[first..second], &bytes[second..]]), whole);
    assert_eq!(taken(&bytes.chunks(1 + first % 7).collect::<Vec<_>>()), whole);
    let mut written = Vec::new();
    whole.0.iter().for_each(|frame| tcp::frame(&mut written, frame));
    assert!(bytes.starts_with(&written));
}

fn name_seeds() -> Vec<Vec<u8>> {
    let name = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d.local";
    let mut response = message::question(name, Family::A);
    (response[2], response[7]) = (0x84, 2);
    // the owner is a pointer to the question
    response.extend_from_slice(b"\xc0\x0c\0\x01\x80\x01\0\0\0\x78\0\x04\xc0\xa8\x01\x05");
    response.extend_from_slice(b"\xc0\x0c\0\x1c\0\x01\0\0\0\x78\0\x10\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05");
    [vec![response], texts(&[name])].concat()
}

/// Names of a response are few, short and in lower case, and a name that hides an address is asked for in bounds.
fn names(bytes: &[u8]) {
    let found = message::answers(bytes);
    assert!(found.len() <= 32);
    for (name, _) in &found {
        assert!(name.len() <= 255 && !name.bytes().any(|byte| byte.is_ascii_uppercase()), "{name:?}");
    }
    let text = String::from_utf8_lossy(bytes);
    for name in found.iter().map(|(name, _)| name.as_str()).chain([&*text]).filter_map(message::hidden) {
        let question = message::question(&name, Family::Aaaa);
        assert!(question.len() == 12 + 1 + 36 + 1 + 5 + 1 + 4 && message::answers(&question).is_empty());
        let mut response = question;
        (response[2], response[7]) = (0x84, 1);
        response.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x01\0\x04\x0a\0\0\x05");
        assert_eq!(message::answers(&response), [(name, [10, 0, 0, 5].into())]);
    }
}

#[cfg(feature = "turn")]
mod turn {
    use super::*;
    use crate::gather::stun::{Message, Writer, attribute, kind};
    use crate::gather::turn::frame::{read_channel, read_indication, write_channel};
    use crate::gather::turn::framing::{MAX_MESSAGE, Splitter, padded};

    pub fn seeds() -> Vec<Vec<u8>> {
        let mut channel = Vec::new();
        write_channel(&mut channel, 0x4001, b"hello");
        let indication = Writer::new(kind::DATA_INDICATION, &[7; 12])
            .with_address(attribute::XOR_PEER_ADDRESS, ([10, 0, 0, 9], 9).into())
            .with(attribute::DATA, b"data")
            .finish();
        vec![[padded(&channel), padded(&indication), padded(&channel)].concat()]
    }

    fn split(parts: &[&[u8]]) -> Frames {
        let (mut splitter, mut messages) = (Splitter::default(), Vec::new());
        for part in parts {
            splitter.push(part);
            loop {
                match splitter.next() {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(_) => return (messages, true),
                }
            }
        }
        (messages, false)
    }

    /// However a stream is cut, the same messages come out, and they are what would be written.
    pub fn stream(bytes: &[u8]) {
        let whole = split(&[bytes]);
        let [first, second] = cuts(bytes);
        assert_eq!(split(&[&bytes[..first], &bytes[first..second], &bytes[second..]]), whole);
        assert_eq!(split(&bytes.chunks(1 + first % 7).collect::<Vec<_>>()), whole);
        let mut at = 0;
        for message in &whole.0 {
            assert!(message.len() <= MAX_MESSAGE && bytes[at..].starts_with(message));
            at += padded(message).len();
            if let Some((channel, data)) = read_channel(message) {
                let mut written = Vec::new();
                write_channel(&mut written, channel, data);
                assert_eq!(written, *message);
            }
            if let Some((_, data)) = Message::read(message).as_ref().and_then(read_indication) {
                assert!(data.len() < message.len());
            }
        }
        assert!(at <= bytes.len());
    }
}
