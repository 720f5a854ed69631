//! How much one client, and all clients together, may ask of the HTTP door. Each bound is a constant here;
//! [`Limits`] carries them so that tests can use shorter ones.
use std::time::Duration;

/// Request line and header fields of one request. Browsers stay under 2 KiB; a URL with several sources fits.
pub const HEAD_BYTES: usize = 8 * 1024;
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
/// Connections at one time, WebSockets included.
pub const CONNECTIONS: usize = 64;
/// Connections of one address. Loopback is exempt: it may be a reverse proxy that speaks for everybody.
pub const CONNECTIONS_PER_ADDRESS: usize = 16;
/// A kept-alive connection that asks nothing is closed after this time.
pub const IDLE_TIME: Duration = Duration::from_secs(30);
/// A handler's time to answer. Above the engine's own signalling deadline, so that its better text wins.
pub const ANSWER_TIME: Duration = Duration::from_secs(30);
/// A client must take each piece of a response ([`COPY_BYTES`]) within this time.
pub const WRITE_TIME: Duration = Duration::from_secs(10);
/// A client must take a whole response within this time.
pub const RESPONSE_TIME: Duration = Duration::from_secs(60);
/// Responses are copied to the client in pieces of this size.
pub const COPY_BYTES: usize = 4 * 1024;
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
    pub connections: usize,
    pub per_address: usize,
    /// Applies the bound for one address to loopback too.
    pub count_loopback: bool,
    pub idle_time: Duration,
    pub answer_time: Duration,
    pub write_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_time: HANDSHAKE_TIME,
            head_time: HEAD_TIME,
            body_time: BODY_TIME,
            connections: CONNECTIONS,
            per_address: CONNECTIONS_PER_ADDRESS,
            count_loopback: false,
            idle_time: IDLE_TIME,
            answer_time: ANSWER_TIME,
            write_time: WRITE_TIME,
        }
    }
}
