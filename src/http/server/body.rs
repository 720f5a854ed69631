//! What a response carries: bytes that are there, or a stream that is made while it is read.
use bytes::Bytes;
use futures_util::Stream;
use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;

/// What a producer gives at one time, or thereabouts, where it can choose: enough for a few packets of the network, and
/// little for somebody who does not read on.
pub const PIECE_BYTES: usize = 16 * 1024;

/// A stream of bytes. The next piece is asked for when the client has taken the one before it, and no piece is made for
/// a client that does not read. A producer with a pace of its own puts a bounded queue in between. When the client
/// leaves, the stream is dropped.
pub type Pieces = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// The body of a response.
pub enum Body {
    /// All of it, its length known.
    Bytes(Cow<'static, [u8]>),
    /// Sent as it comes, in chunks or, with HTTP/1.0, until the connection ends.
    Stream(Pieces),
}

impl Body {
    /// Bytes that only this response keeps in memory: what is part of the binary is there once, however many wait for it.
    pub fn owned_bytes(&self) -> usize {
        match self {
            Self::Bytes(Cow::Owned(bytes)) => bytes.len(),
            _ => 0,
        }
    }

    /// The bytes; none of a stream.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Stream(_) => b"",
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Stream(_) => f.write_str("a stream"),
        }
    }
}
