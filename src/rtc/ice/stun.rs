//! The few looks at STUN messages that come before the library's: what it is, and whose.
use rtc::stun::attributes::{ATTR_ERROR_CODE, ATTR_USERNAME};
use rtc::stun::message::{Message, Setter};

/// ERROR-CODE (RFC 8489 section 14.8).
pub(super) struct ErrorCode(pub u16, pub &'static str);

impl Setter for ErrorCode {
    fn add_to(&self, message: &mut Message) -> rtc::shared::error::Result<()> {
        let mut value = vec![0, 0, (self.0 / 100) as u8, (self.0 % 100) as u8];
        value.extend_from_slice(self.1.as_bytes());
        message.add(ATTR_ERROR_CODE, &value);
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

/// Is it STUN (RFC 7983 and the magic cookie of RFC 8489)?
pub fn is_stun(bytes: &[u8]) -> bool {
    bytes.len() >= 20 && bytes[0] < 4 && bytes[4..8] == [0x21, 0x12, 0xa4, 0x42]
}
