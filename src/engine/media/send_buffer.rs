//! The send buffer of the packet path: packets of one peer are protected in place, one behind the
//! other, and leave in one segmented send where the kernel can (all segments of a run have one length,
//! only the last may be shorter).
use crate::engine::io::{SendError, Transport};
use crate::engine::reach::TurnPool;
use crate::rtc::route::{Route, Socket};
use crate::rtc::srtp::{HEADER, Protect, RtpHeader};
use std::time::Instant;

/// Largest run: what one UDP send may carry.
const MAX_RUN: usize = 64_000;

/// Longest datagram that leaves in a segmented send: it fits every path that IPv6 may take (MTU 1280). The kernel cuts longer ones
/// where their way is too narrow (IP fragmentation), but none of a segmented send.
const MAX_SEGMENT: usize = 1280 - 40 - 8;

/// The kernel takes no more now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The ways out, lent for one round.
pub struct Way<'w> {
    pub transport: &'w mut dyn Transport,
    pub turn: &'w mut TurnPool,
    pub now: Instant,
}

pub struct SendBuffer {
    bytes: Vec<u8>,
    segment: usize,
    count: usize,
    max_segments: usize,
    /// Sends made, for the benchmark's "system calls for each packet".
    pub sends: u64,
    /// Sends that the kernel refused for their length.
    pub too_long: u64,
}

impl Default for SendBuffer {
    fn default() -> Self {
        Self { bytes: Vec::with_capacity(MAX_RUN), segment: 0, count: 0, max_segments: 1, sends: 0, too_long: 0 }
    }
}

impl SendBuffer {
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forgets what was not sent.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// Writes one protected RTP packet behind those that wait: `head` and `payload` are its payload. A packet that can't
    /// join the run sends it first; a packet that is shorter than those before it ends the run. Answers false if it could
    /// not be protected, which leaves everything as it was.
    ///
    /// # Errors
    /// If the kernel takes no more: what was in the run is lost.
    pub fn write(
        &mut self,
        way: &mut Way<'_>,
        route: &Route,
        header: &RtpHeader,
        (head, payload): (&[u8], &[u8]),
        protect: &mut Protect,
    ) -> Result<bool, Full> {
        let len = HEADER + head.len() + payload.len() + protect.tag_len();
        self.reserve(way, route, len)?;
        if protect.write_packet(&mut self.bytes, header, (head, payload)).is_err() {
            self.bytes.truncate(self.bytes.len() - framing(route));
            return Ok(false);
        }
        self.count += 1;
        if !route.socket.is_tcp() && len < self.segment {
            self.flush(way, route)?;
        }
        Ok(true)
    }

    /// Room for a packet of `len` bytes: sends the run first if the packet can't join it.
    fn reserve(&mut self, way: &mut Way<'_>, route: &Route, len: usize) -> Result<(), Full> {
        let joins = self.bytes.is_empty()
            || (self.bytes.len() + len + framing(route) <= MAX_RUN
                && (route.socket.is_tcp() || (len <= self.segment && self.count < self.max_segments)));
        if !joins {
            self.flush(way, route)?;
        }
        if self.bytes.is_empty() {
            self.segment = len;
            self.max_segments = match route.socket {
                Socket::Udp(_) if len > MAX_SEGMENT => 1,
                Socket::Udp(_) => way.transport.max_segments(route.socket),
                // Each packet gets the server's header in front.
                Socket::Tcp(_) | Socket::Relay(_) => 1,
            };
        }
        if route.socket.is_tcp() {
            self.bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        Ok(())
    }

    /// Sends the run.
    pub fn flush(&mut self, way: &mut Way<'_>, route: &Route) -> Result<(), Full> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        self.sends += 1;
        let sent = match route.socket {
            Socket::Udp(_) | Socket::Tcp(_) => way.transport.send(route, &self.bytes, self.segment),
            Socket::Relay(number) => way.turn.send(number, route.remote, &self.bytes, way.now, way.transport),
        };
        self.too_long += u64::from(sent == Err(SendError::TooLong));
        let result = if sent == Err(SendError::Full) { Err(Full) } else { Ok(()) };
        self.clear();
        result
    }
}

/// Bytes before each packet (RFC 4571).
fn framing(route: &Route) -> usize {
    if route.socket.is_tcp() { 2 } else { 0 }
}
