//! The words of a session description that have a type of their own.
use std::fmt;

use crate::media::codec::Kind;

/// Which way media flows, from the point of view of whoever wrote the description (RFC 8866 section 6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The attribute's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Direction> {
        [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive]
            .into_iter()
            .find(|d| d.as_str().eq_ignore_ascii_case(name))
    }
}

/// Who begins the DTLS handshake (RFC 8842 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    ActPass,
    Active,
    Passive,
    HoldConn,
}

impl Setup {
    /// Our part when a peer's offer says this; `choice` where it leaves that to us. Who says nothing begins (RFC 4145
    /// section 4), or does as we say.
    pub fn answer_to(offered: Option<Setup>, choice: Setup) -> Setup {
        match offered {
            Some(Setup::Passive) => Setup::Active,
            Some(Setup::ActPass) => choice,
            Some(Setup::Active | Setup::HoldConn) | None => Setup::Passive,
        }
    }

    /// Our part when the answer to our offer says this. One that leaves the choice to us, who offered it, is of a stack that
    /// begins; one that says nothing waits (RFC 4145 section 4).
    pub fn after(answered: Option<Setup>) -> Setup {
        match answered {
            Some(Setup::Active | Setup::ActPass | Setup::HoldConn) => Setup::Passive,
            Some(Setup::Passive) | None => Setup::Active,
        }
    }

    /// The attribute's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Setup::ActPass => "actpass",
            Setup::Active => "active",
            Setup::Passive => "passive",
            Setup::HoldConn => "holdconn",
        }
    }

    pub(super) fn parse(value: &str) -> Option<Setup> {
        [Setup::ActPass, Setup::Active, Setup::Passive, Setup::HoldConn]
            .into_iter()
            .find(|s| s.as_str().eq_ignore_ascii_case(value))
    }
}

/// The two halves of ICE credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IceText {
    Ufrag,
    Pwd,
}

impl IceText {
    /// RFC 8839 section 5.4.
    const MAX: usize = 256;

    /// The attribute's name.
    pub fn name(self) -> &'static str {
        match self {
            IceText::Ufrag => "ice-ufrag",
            IceText::Pwd => "ice-pwd",
        }
    }

    /// What a peer calls itself. Small stacks use the characters of other base64 alphabets; like browsers we take them, and
    /// never use them ourselves.
    ///
    /// # Errors
    /// If it has other characters or a length that RFC 8839 section 5.4 does not allow. The text leaves the value out: it
    /// may be a secret.
    pub fn check(self, value: &str) -> Result<&str, String> {
        self.of_length(value, if self == IceText::Ufrag { 4 } else { 22 })
    }

    /// The same in a fragment (RFC 8840 section 9), where short ones were always taken: whoever restarts with them harms
    /// itself alone.
    pub fn check_in_fragment(self, value: &str) -> Result<&str, String> {
        self.of_length(value, 1)
    }

    fn of_length(self, value: &str, min: usize) -> Result<&str, String> {
        let safe = value.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=_-#".contains(&b));
        if safe && (min..=IceText::MAX).contains(&value.len()) {
            return Ok(value);
        }
        Err(format!("{} is not {min} to {} letters, digits, + and /", self.name(), IceText::MAX))
    }
}

/// Hash functions that may name a certificate (RFC 8122 section 5 without the broken ones), the strongest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    pub fn as_str(self) -> &'static str {
        match self {
            Hash::Sha256 => "sha-256",
            Hash::Sha384 => "sha-384",
            Hash::Sha512 => "sha-512",
        }
    }

    /// Digest length in bytes.
    pub fn digest_len(self) -> usize {
        match self {
            Hash::Sha256 => 32,
            Hash::Sha384 => 48,
            Hash::Sha512 => 64,
        }
    }

    fn algorithm(self) -> &'static ring::digest::Algorithm {
        match self {
            Hash::Sha256 => &ring::digest::SHA256,
            Hash::Sha384 => &ring::digest::SHA384,
            Hash::Sha512 => &ring::digest::SHA512,
        }
    }

    pub(super) fn parse(name: &str) -> Option<Hash> {
        [Hash::Sha256, Hash::Sha384, Hash::Sha512].into_iter().find(|h| h.as_str().eq_ignore_ascii_case(name))
    }
}

/// A certificate's fingerprint; shown as the attribute writes it (`sha-256 AB:CD:…`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    pub hash: Hash,
    /// Exactly [`Hash::digest_len`] bytes.
    pub bytes: Vec<u8>,
}

impl Fingerprint {
    /// Of a certificate in DER.
    pub fn of(hash: Hash, certificate: &[u8]) -> Self {
        Self { hash, bytes: ring::digest::digest(hash.algorithm(), certificate).as_ref().to_vec() }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hash.as_str())?;
        for (i, byte) in self.bytes.iter().enumerate() {
            write!(f, "{}{byte:02X}", if i == 0 { ' ' } else { ':' })?;
        }
        Ok(())
    }
}

/// RTP header extensions that the relay reads (RFC 8285); others are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Transport-wide sequence numbers (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    TransportCc,
    /// Name of the layer that a packet belongs to (RFC 8852).
    Rid,
    /// Name of the layer that a retransmission belongs to (RFC 8852).
    RepairedRid,
}

impl Extension {
    pub const ALL: &[Extension] = &[Extension::TransportCc, Extension::Rid, Extension::RepairedRid];

    pub fn uri(self) -> &'static str {
        match self {
            Extension::TransportCc => "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
            Extension::Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Extension::RepairedRid => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
        }
    }

    pub(super) fn parse(uri: &str) -> Option<Extension> {
        Extension::ALL.iter().copied().find(|extension| extension.uri() == uri)
    }
}

/// An m-line's media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    Audio,
    Video,
    Application,
    Other,
}

impl MediaKind {
    /// Audio or video, `None` for what carries no RTP of ours.
    pub fn rtp(self) -> Option<Kind> {
        match self {
            MediaKind::Audio => Some(Kind::Audio),
            MediaKind::Video => Some(Kind::Video),
            MediaKind::Application | MediaKind::Other => None,
        }
    }

    pub(super) fn parse(name: &str) -> MediaKind {
        match name.to_ascii_lowercase().as_str() {
            "audio" => MediaKind::Audio,
            "video" => MediaKind::Video,
            "application" => MediaKind::Application,
            _ => MediaKind::Other,
        }
    }
}
