//! STUN messages as clients of servers need them (RFC 8489): written, read, signed, and sent again until there is an
//! answer. ICE's own checks are in `rtc::ice`. Whatever comes from the network reads as a value or as `None`.
use crate::base::host;
use crate::rtc::digest::{Digest, MAC};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

pub const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
pub const HEADER: usize = 20;

/// Message types: a method with the class bits of RFC 8489 section 5.
pub mod kind {
    pub const BINDING: u16 = 0x0001;
    pub const ALLOCATE: u16 = 0x0003;
    pub const REFRESH: u16 = 0x0004;
    pub const SEND_INDICATION: u16 = 0x0016;
    pub const DATA_INDICATION: u16 = 0x0017;
    pub const CREATE_PERMISSION: u16 = 0x0008;
    pub const CHANNEL_BIND: u16 = 0x0009;
    pub const SUCCESS: u16 = 0x0100;
    pub const FAILURE: u16 = 0x0110;
}

pub mod attribute {
    pub const MAPPED_ADDRESS: u16 = 0x0001;
    pub const USERNAME: u16 = 0x0006;
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub const ERROR_CODE: u16 = 0x0009;
    pub const CHANNEL_NUMBER: u16 = 0x000c;
    pub const LIFETIME: u16 = 0x000d;
    pub const XOR_PEER_ADDRESS: u16 = 0x0012;
    pub const DATA: u16 = 0x0013;
    pub const REALM: u16 = 0x0014;
    pub const NONCE: u16 = 0x0015;
    pub const XOR_RELAYED_ADDRESS: u16 = 0x0016;
    pub const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
    pub const REQUESTED_TRANSPORT: u16 = 0x0019;
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub const ALTERNATE_SERVER: u16 = 0x8023;
}

pub type TransactionId = [u8; 12];

/// When an unanswered request goes out again: after 0.5 s, then after twice the time before (RFC 8489 section 6.2.1).
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    wait: Duration,
    due: Instant,
    until: Instant,
}

impl Retry {
    const FIRST: Duration = Duration::from_millis(500);

    /// The request goes out at once; it counts as lost `patience` later.
    pub fn new(now: Instant, patience: Duration) -> Self {
        Self { wait: Self::FIRST, due: now, until: now + patience }
    }

    /// The same over a stream, which loses nothing: the request goes out once (RFC 8489 section 6.2.2).
    pub fn once(now: Instant, patience: Duration) -> Self {
        Self { wait: patience, ..Self::new(now, patience) }
    }

    pub fn deadline(&self) -> Instant {
        self.due.min(self.until)
    }

    pub fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }

    /// Is the request due now? Then the next time is set.
    pub fn take(&mut self, now: Instant) -> bool {
        let due = now >= self.due && !self.is_over(now);
        if due {
            self.due = now + self.wait;
            self.wait *= 2;
        }
        due
    }
}

/// A message that is being written.
pub struct Writer(Vec<u8>);

impl Writer {
    pub fn new(kind: u16, transaction: &TransactionId) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&COOKIE);
        bytes.extend_from_slice(transaction);
        Self(bytes)
    }

    /// Values longer than 65,535 bytes do not exist; one would be cut.
    pub fn with(mut self, attribute: u16, value: &[u8]) -> Self {
        let value = &value[..value.len().min(usize::from(u16::MAX))];
        self.0.extend_from_slice(&attribute.to_be_bytes());
        self.0.extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// An address XORed with the cookie and the transaction id (RFC 8489 section 14.2).
    pub fn with_address(self, attribute: u16, address: SocketAddr) -> Self {
        let mut value = vec![0, if address.is_ipv4() { 1 } else { 2 }];
        value.extend_from_slice(&address.port().to_be_bytes());
        match address.ip() {
            IpAddr::V4(ip) => value.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => value.extend_from_slice(&ip.octets()),
        }
        let pad: Vec<u8> = self.0[4..HEADER].to_vec();
        value[2] ^= pad[0];
        value[3] ^= pad[1];
        value[4..].iter_mut().zip(&pad).for_each(|(byte, pad)| *byte ^= pad);
        self.with(attribute, &value)
    }

    /// Signs what was written (RFC 8489 section 14.5) and ends the message. `None`: the provider has no HMAC-SHA1.
    pub fn signed(self, digest: &Digest, key: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = self.0;
        write_length(&mut bytes, 4 + MAC);
        let tag = digest.sign(key, &[&bytes])?;
        Some(Writer(bytes).with(attribute::MESSAGE_INTEGRITY, &tag).finish())
    }

    pub fn finish(self) -> Vec<u8> {
        let mut bytes = self.0;
        write_length(&mut bytes, 0);
        bytes
    }
}

/// Length of the body, with `more` bytes that are still to come.
fn write_length(bytes: &mut [u8], more: usize) {
    let length = (bytes.len() - HEADER + more) as u16;
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
}

/// A complete message that came in; its attributes are read where they stand.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub kind: u16,
    pub transaction: TransactionId,
    bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// `None` if it is no STUN, or its length or the length of an attribute is wrong.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (kind, length) = (u16_at(bytes, 0)?, usize::from(u16_at(bytes, 2)?));
        if kind & 0xc000 != 0 || bytes.get(4..8)? != COOKIE || bytes.len() != HEADER + length || length % 4 != 0 {
            return None;
        }
        let message = Self { kind, transaction: bytes.get(8..HEADER)?.try_into().ok()?, bytes };
        let mut at = HEADER;
        while at < bytes.len() {
            let length = usize::from(u16_at(bytes, at + 2)?);
            at += 4 + length.next_multiple_of(4);
        }
        (at == bytes.len()).then_some(message)
    }

    pub(crate) fn attributes(&self) -> impl Iterator<Item = (usize, u16, &'a [u8])> {
        let (bytes, mut at) = (self.bytes, HEADER);
        std::iter::from_fn(move || {
            let (here, kind, length) = (at, u16_at(bytes, at)?, usize::from(u16_at(bytes, at + 2)?));
            at += 4 + length.next_multiple_of(4);
            Some((here, kind, bytes.get(here + 4..here + 4 + length)?))
        })
    }

    /// The first attribute of that type.
    pub fn get(&self, attribute: u16) -> Option<&'a [u8]> {
        self.attributes().find(|(_, kind, _)| *kind == attribute).map(|(.., value)| value)
    }

    pub fn text(&self, attribute: u16) -> Option<&'a str> {
        std::str::from_utf8(self.get(attribute)?).ok()
    }

    pub fn number(&self, attribute: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.get(attribute)?.try_into().ok()?))
    }

    /// An XORed address.
    pub fn xor_address(&self, attribute: u16) -> Option<SocketAddr> {
        let mut value = self.get(attribute)?.to_vec();
        let pad = self.bytes.get(4..HEADER)?;
        value.iter_mut().skip(4).zip(pad).for_each(|(byte, pad)| *byte ^= pad);
        value.iter_mut().skip(2).take(2).zip(pad).for_each(|(byte, pad)| *byte ^= pad);
        address(&value)
    }

    /// A plain address: what servers of RFC 3489 answer, and ALTERNATE-SERVER.
    pub fn address(&self, attribute: u16) -> Option<SocketAddr> {
        address(self.get(attribute)?)
    }

    /// Number and reason of an error (RFC 8489 section 14.8). The reason is the server's word: bounded, printable.
    pub fn error(&self) -> Option<(u16, String)> {
        let value = self.get(attribute::ERROR_CODE)?;
        let (class, number) = (*value.get(2)? & 7, *value.get(3)?);
        let reason = String::from_utf8_lossy(&value[4..]);
        let reason = reason.chars().filter(|c| !c.is_control()).take(60).collect();
        (3..=6).contains(&class).then(|| (u16::from(class) * 100 + u16::from(number), reason))
    }

    /// Is it signed with this key? What stands behind the signature is not covered.
    pub fn is_signed(&self, digest: &Digest, key: &[u8]) -> bool {
        let signature = self.attributes().find(|(_, kind, _)| *kind == attribute::MESSAGE_INTEGRITY);
        let Some((at, _, tag)) = signature else { return false };
        let length = (at - HEADER + 4 + MAC) as u16;
        digest.verify(key, &[&self.bytes[..2], &length.to_be_bytes(), &self.bytes[4..at]], tag)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn address(value: &[u8]) -> Option<SocketAddr> {
    let port = u16_at(value, 2)?;
    let ip: IpAddr = match (value.get(1)?, &value[4..]) {
        (1, ip) => Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?).into(),
        (2, ip) => Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?).into(),
        _ => return None,
    };
    (port != 0).then_some(SocketAddr::new(host::of_one(ip)?, port))
}

/// A Binding request to a server (RFC 8489 section 7.3.1): the answer tells how the sender is seen from there.
pub fn binding_request(transaction: &TransactionId) -> Vec<u8> {
    Writer::new(kind::BINDING, transaction).finish()
}

/// What a server says to a Binding request: our address as it sees it, or why it tells none.
pub fn binding_answer(message: &Message<'_>) -> Option<Result<SocketAddr, String>> {
    const SUCCESS: u16 = kind::BINDING | kind::SUCCESS;
    const FAILURE: u16 = kind::BINDING | kind::FAILURE;
    match message.kind {
        SUCCESS => {
            let seen = message.xor_address(attribute::XOR_MAPPED_ADDRESS);
            let seen = seen.or_else(|| message.address(attribute::MAPPED_ADDRESS));
            Some(seen.ok_or_else(|| "the answer holds no address".into()))
        }
        FAILURE => {
            let (code, reason) = message.error().unwrap_or((0, "without a reason".into()));
            Some(Err(format!("the server refuses: {code} {reason}")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        data_encoding::HEXLOWER.decode(text.replace(char::is_whitespace, "").as_bytes()).unwrap()
    }

    /// RFC 5769 section 2.2: the sample response over IPv4.
    const SAMPLE: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae 8022000b7465737420766563746f7220
        002000080001a147e112a643 000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7 80280004c07d4c96";

    #[test]
    fn the_sample_of_rfc_5769_is_read_and_its_signature_holds() {
        let bytes = hex(SAMPLE);
        let message = Message::read(&bytes).unwrap();
        assert_eq!(binding_answer(&message), Some(Ok("192.0.2.1:32853".parse().unwrap())));
        assert!(message.is_signed(&Digest::default(), b"VOkJxbRl1RmTxUk/WvJxBt"));
        assert!(!message.is_signed(&Digest::default(), b"another"));
    }

    #[test]
    fn truncated_and_damaged_messages_are_nothing_or_unsigned() {
        let good = hex(SAMPLE);
        for at in 0..good.len() {
            assert!(Message::read(&good[..at]).is_none(), "{at} bytes");
            let mut bad = good.clone();
            bad[at] ^= 0x41;
            if let Some(message) = Message::read(&bad) {
                // The fingerprint behind the signature is not looked at, and the software's name is signed.
                let signed = message.is_signed(&Digest::default(), b"VOkJxbRl1RmTxUk/WvJxBt");
                assert!(!signed || at >= good.len() - 8, "byte {at}");
                let _ = (binding_answer(&message), message.error());
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["203.0.113.7:8555", "[2001:db8::7]:8555"] {
            let address = text.parse().unwrap();
            let writer = Writer::new(kind::BINDING | kind::SUCCESS, &[7; 12])
                .with(attribute::REALM, b"abc")
                .with_address(attribute::XOR_MAPPED_ADDRESS, address);
            let bytes = writer.signed(&Digest::default(), b"key").unwrap();
            let message = Message::read(&bytes).unwrap();
            assert_eq!(binding_answer(&message), Some(Ok(address)));
            assert_eq!(message.text(attribute::REALM), Some("abc"));
            assert!(message.is_signed(&Digest::default(), b"key"));
        }
    }

    #[test]
    fn an_error_is_a_number_and_a_printable_reason() {
        let refusal = |value: &[u8]| {
            let bytes =
                Writer::new(kind::BINDING | kind::FAILURE, &[0; 12]).with(attribute::ERROR_CODE, value).finish();
            binding_answer(&Message::read(&bytes).unwrap()).unwrap().unwrap_err()
        };
        assert_eq!(refusal(b"\0\0\x04\x14Un\nknown"), "the server refuses: 420 Unknown");
        assert_eq!(refusal(b"\0\0\x04"), "the server refuses: 0 without a reason");
        assert_eq!(refusal(b"\0\0\x01\x14"), "the server refuses: 0 without a reason");
    }

    #[test]
    fn a_request_goes_out_at_0_and_half_a_second_and_one_and_a_half_seconds() {
        let start = Instant::now();
        let mut retry = Retry::new(start, Duration::from_secs(3));
        let mut sent = Vec::new();
        for tick in 0..400 {
            let now = start + Duration::from_millis(tick * 10);
            if retry.take(now) {
                sent.push(tick * 10);
            }
            assert_eq!(retry.is_over(now), tick >= 300);
        }
        assert_eq!(sent, [0, 500, 1500]);
        assert_eq!(retry.deadline(), start + Duration::from_secs(3));
    }
}
