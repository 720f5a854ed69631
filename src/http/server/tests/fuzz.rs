//! Damaged requests, the same ones in every run.
use crate::http::server::chunked::Chunked;
use crate::http::server::head::{Framing, Head, parse};
use crate::http::server::limits::BODY_BYTES;

pub const SEED: u64 = 1984;

/// xorshift64*: small, and the same everywhere.
pub struct Chance(pub u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<'t, T: ?Sized>(&mut self, list: &[&'t T]) -> &'t T {
        list[self.below(list.len())]
    }

    /// Replaces, removes, repeats and inserts pieces.
    pub fn damage(&mut self, bytes: &mut Vec<u8>, pieces: &[&[u8]]) {
        for _ in 0..=self.below(3) {
            let from = self.below(bytes.len() + 1);
            let to = (from + self.below(6)).min(bytes.len());
            match self.below(4) {
                0 => bytes[from..to].iter_mut().for_each(|byte| *byte = self.next() as u8),
                1 => drop(bytes.drain(from..to)),
                2 => {
                    let again = bytes[from..to].to_vec();
                    bytes.splice(to..to, again);
                }
                _ => drop(bytes.splice(from..to, self.pick(pieces).iter().copied())),
            }
        }
    }
}

const LINES: [&[u8]; 5] = [
    b"GET /a?b=c HTTP/1.1\r\n",
    b"POST /cam/whep HTTP/1.1\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"GET HTTP://x?a HTTP/1.1\r\n",
    b"GET / HTTP/1.0\r\n",
];
const FIELDS: [&[u8]; 12] = [
    b"Host: x\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 00005\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close, Upgrade\r\n",
    b"Upgrade: websocket\r\n",
    b"Origin: http://x\r\n",
    b"Expect: 100-continue\r\n",
    b"Accept-Encoding: gzip\r\n",
    b"Cookie: a=\xff\x01\r\n",
    b"If-None-Match: \"a\"\r\n",
    b" folded\r\n",
];
const PIECES: [&[u8]; 10] =
    [b"\r\n", b"\n", b"\r", b"\0", b":", b" ", b",", b"\r\n\r\n", b"://", b"Content-Length: 1\r\n"];

fn check(head: &Head, bytes: &[u8]) {
    assert!(head.target.starts_with('/') || head.target == "*", "{head:?}");
    assert!(head.target.bytes().all(|byte| byte.is_ascii_graphic()), "{head:?}");
    for (_, value) in &head.fields {
        assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{head:?}");
    }
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let count = |name: &str| text.lines().filter(|line| line.split(':').next() == Some(name)).count();
    let (lengths, codings) = (count("content-length"), count("transfer-encoding"));
    assert!(lengths + codings <= 1, "two ways to read it: {text:?}");
    match head.framing {
        Framing::Length(length) => assert!(length <= BODY_BYTES && codings == 0, "{text:?}"),
        Framing::Chunked => assert!(codings == 1 && text.contains("http/1.1"), "{text:?}"),
    }
    assert!(count("host") <= 1 && count("origin") <= 1, "{text:?}");
}

#[test]
fn damaged_heads_are_refused_or_have_one_meaning() {
    let mut chance = Chance(SEED);
    let mut taken = 0;
    for _ in 0..30_000 {
        let mut bytes = chance.pick(&LINES).to_vec();
        for _ in 0..chance.below(6) {
            bytes.extend_from_slice(chance.pick(&FIELDS));
        }
        bytes.extend_from_slice(b"Host: y\r\n\r\n5\r\nhello\r\n");
        if chance.below(4) > 0 {
            chance.damage(&mut bytes, &PIECES);
        }
        let Ok(Some((head, length))) = parse(&bytes) else { continue };
        taken += 1;
        check(&head, &bytes[..length]);
        // However it comes in pieces, it is this request, and no earlier end is seen.
        let (again, same) = parse(&bytes[..length]).unwrap().unwrap();
        assert_eq!((again.target, again.framing, same), (head.target, head.framing, length));
        let cut = chance.below(length);
        assert!(!matches!(parse(&bytes[..cut]), Ok(Some(_))), "{:?} at {cut}", String::from_utf8_lossy(&bytes));
    }
    assert!(taken > 1_000, "{taken}");
}

/// The body, and how many bytes it took.
fn unchunk(pieces: &[&[u8]]) -> Result<Option<(Vec<u8>, usize)>, u16> {
    let (mut decoder, mut body, mut rest, mut used) = (Chunked::default(), Vec::new(), Vec::new(), 0);
    for piece in pieces {
        rest.extend_from_slice(piece);
        let length = decoder.feed(&rest, &mut body).map_err(|refusal| refusal.status())?;
        rest.drain(..length);
        used += length;
        if decoder.is_done() {
            return Ok(Some((body, used)));
        }
    }
    Ok(None)
}

#[test]
fn damaged_chunks_mean_the_same_in_any_pieces() {
    let mut chance = Chance(SEED);
    let mut taken = 0;
    for _ in 0..20_000 {
        let mut bytes = b"5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n".to_vec();
        chance.damage(&mut bytes, &[b"\r\n", b"\n", b"0\r\n", b"fffffffffffffffff", b"-1", b"+", b" ", b";"]);
        let whole = unchunk(&[&bytes]);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(whole, unchunk(&single), "{:?}", String::from_utf8_lossy(&bytes));
        if let Ok(Some((body, _))) = whole {
            assert!(body.len() <= BODY_BYTES);
            taken += 1;
        }
    }
    assert!(taken > 1_000, "{taken}");
}
