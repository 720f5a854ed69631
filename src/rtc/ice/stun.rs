//! The few looks at STUN messages that come before the library's: what it is, and whose.
use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use rtc_stun::attributes::{ATTR_ERROR_CODE, ATTR_FINGERPRINT, ATTR_USERNAME};
use rtc_stun::fingerprint::FINGERPRINT_XOR_VALUE;
use rtc_stun::message::{ATTRIBUTE_HEADER_SIZE, Message, Setter};

/// ERROR-CODE (RFC 8489 section 14.8).
pub(super) struct ErrorCode(pub u16, pub &'static str);

impl Setter for ErrorCode {
    fn add_to(&self, message: &mut Message) -> rtc_shared::error::Result<()> {
        let mut value = vec![0, 0, (self.0 / 100) as u8, (self.0 % 100) as u8];
        value.extend_from_slice(self.1.as_bytes());
        message.add(ATTR_ERROR_CODE, &value);
        Ok(())
    }
}

/// FINGERPRINT (RFC 8489 section 14.7): the last attribute. The library's own comes with a table of 16 KiB, and messages
/// have a hundred bytes.
pub(super) struct Fingerprint;

impl Setter for Fingerprint {
    fn add_to(&self, message: &mut Message) -> rtc_shared::error::Result<()> {
        const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);
        let len = message.length;
        // what is summed up tells the length with this attribute
        message.length += (ATTRIBUTE_HEADER_SIZE + size_of::<u32>()) as u32;
        message.write_length();
        let value = CRC.checksum(&message.raw) ^ FINGERPRINT_XOR_VALUE;
        message.length = len;
        message.add(ATTR_FINGERPRINT, &value.to_be_bytes());
        Ok(())
    }
}

/// The local user name fragment that a Binding request names: whose it is, before anything is verified.
/// `None` for anything else, however damaged.
pub fn requested_ufrag(bytes: &[u8]) -> Option<&str> {
    if bytes.get(..2)? != [0, 1] {
        return None;
    }
    let mut at = 20;
    loop {
        let kind = u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]);
        let len = usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]));
        let value = bytes.get(at + 4..at + 4 + len)?;
        if kind == ATTR_USERNAME.0 {
            return std::str::from_utf8(value).ok()?.split(':').next();
        }
        at += 4 + len.next_multiple_of(4);
    }
}

/// The tag in the transaction id of an answer to one of our requests.
pub fn answered_tag(bytes: &[u8]) -> Option<u32> {
    let answer = matches!(bytes.get(..2)?, [1, 1] | [1, 0x11]);
    answer.then(|| Some(u32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?)))?
}

/// Longest message of a check that is looked into; they have some hundred bytes. Before it knows whose a message is, the library
/// keeps each of its attributes on its own.
const MAX_CHECK: usize = 1500;

/// Is it STUN (RFC 7983 and the magic cookie of RFC 8489), and no longer than checks are?
pub fn is_stun(bytes: &[u8]) -> bool {
    (20..=MAX_CHECK).contains(&bytes.len()) && bytes[0] < 4 && bytes[4..8] == [0x21, 0x12, 0xa4, 0x42]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_attributes_without_end_is_no_check() {
        let message =
            |attributes: usize| [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42], &vec![0; 12 + 4 * attributes][..]].concat();
        assert!(is_stun(&message(0)) && is_stun(&message(370)));
        assert!(!is_stun(&message(371)) && !is_stun(&message(16_000)));
    }
}
