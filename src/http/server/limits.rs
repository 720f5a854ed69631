//! How much one client, and all clients together, may ask of the HTTP door. Each bound is a constant here;
//! [`Limits`] carries them so that tests can use shorter ones.
use crate::base::places::Places;
use std::time::Duration;

/// Request line and header fields of one request. Browsers stay under 2 KiB without cookies, but those of all the
/// services of one host come to every port of it, and a browser keeps 4 KiB of each.
pub const HEAD_BYTES: usize = 16 * 1024;
/// Header fields of one request; browsers send about 20.
pub const HEAD_FIELDS: usize = 64;
/// From the start of a connection to the end of its TLS handshake; of a plain one to its first byte.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// From the first byte of a request (of a new connection: from its start) to the end of its head.
pub const HEAD_TIME: Duration = Duration::from_secs(5);
/// Body of one request; the largest offers that browsers make are about 20 KiB.
pub const BODY_BYTES: usize = 256 * 1024;
/// From the end of the head to the end of the body.
pub const BODY_TIME: Duration = Duration::from_secs(10);
/// Connections at one time, WebSockets included. A browser has six for requests besides its WebSockets.
pub const CONNECTIONS: Places = Places { all: 80, each: 20, kept: 8 };
/// WebSockets and streams among the connections: they may stay for days, and others want to ask something meanwhile. The
/// player has a WebSocket for each picture, and does without where there is none.
pub const LASTING: Places = Places { all: 32, each: 14, kept: 4 };
/// A kept-alive connection that asks nothing is closed after this time.
pub const IDLE_TIME: Duration = Duration::from_secs(30);
/// A handler's time to answer. Above the engine's own signalling deadline, so that its better text wins.
pub const ANSWER_TIME: Duration = Duration::from_secs(30);
/// A client must take so much of a response ([`COPY_BYTES`]), and the last bytes that there are, within this time.
pub const WRITE_TIME: Duration = Duration::from_secs(10);
/// A client must take a whole response within this time, unless it is a stream.
pub const RESPONSE_TIME: Duration = Duration::from_secs(60);
/// A client that takes so much gets further time for the rest. Bodies of requests are read in pieces of this size.
pub const COPY_BYTES: usize = 4 * 1024;
/// One response that is no stream. The list of 200 streams with a viewer each has some 200 KiB, the log 512 KiB at most.
pub const RESPONSE_BYTES: usize = 2 * 1024 * 1024;
/// Responses that wait for their clients to read, all together, with the pieces of streams.
pub const UNREAD_BYTES: usize = 2 * RESPONSE_BYTES;
/// After a refusal what the client still sends is thrown away for so long, or it would see a reset instead of the text.
pub const LINGER_TIME: Duration = Duration::from_millis(500);
/// Refusals that are being written at one time; peers beyond that are dropped without a word.
pub const REFUSALS: usize = 16;
/// Seconds that `Retry-After` names when a bound is reached.
pub const RETRY_AFTER: u32 = 5;

/// The bounds that tests change.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub handshake_time: Duration,
    pub head_time: Duration,
    pub body_time: Duration,
    pub connections: Places,
    pub lasting: Places,
    /// Counts the programs of this machine one by one, as those of others.
    pub count_loopback: bool,
    pub idle_time: Duration,
    pub answer_time: Duration,
    pub write_time: Duration,
    /// Bytes of responses, see [`UNREAD_BYTES`].
    pub unread: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_time: HANDSHAKE_TIME,
            head_time: HEAD_TIME,
            body_time: BODY_TIME,
            connections: CONNECTIONS,
            lasting: LASTING,
            count_loopback: false,
            idle_time: IDLE_TIME,
            answer_time: ANSWER_TIME,
            write_time: WRITE_TIME,
            unread: UNREAD_BYTES,
        }
    }
}
