//! The send buffer of the packet path: packets of one peer are protected in place, one behind the
//! other, and leave in one segmented send where the kernel can (all segments of a run have one length,
//! only the last may be shorter).
use crate::engine::wire::Wire;
use crate::net::fragments;
use crate::rtc::route::{Route, Socket};

/// Largest run: what one UDP send may carry.
const MAX_RUN: usize = 64_000;

/// Longest datagram that leaves in a segmented send: it fits every path that IPv6 may take (MTU 1280). The kernel cuts longer ones
/// where their way is too narrow (IP fragmentation), but none of a segmented send.
const MAX_SEGMENT: usize = 1280 - 40 - 8;

/// The kernel takes no more now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

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

impl SendBuffer {
    pub fn new() -> Self {
        Self { bytes: Vec::with_capacity(MAX_RUN), segment: 0, count: 0, max_segments: 1, sends: 0, too_long: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forgets what was not sent.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// Room for a packet of `len` bytes: sends the run first if the packet can't join it.
    pub fn reserve(&mut self, wire: &mut Wire, route: &Route, len: usize) -> Result<(), Full> {
        let framing = if route.socket.is_tcp() { 2 } else { 0 };
        let joins = self.bytes.is_empty()
            || (self.bytes.len() + len + framing <= MAX_RUN
                && (route.socket.is_tcp() || (len <= self.segment && self.count < self.max_segments)));
        if !joins {
            self.flush(wire, route)?;
        }
        if self.bytes.is_empty() {
            self.segment = len;
            self.max_segments = match route.socket {
                Socket::Udp(_) if len > MAX_SEGMENT => 1,
                Socket::Udp(index) => wire.udp(index).map_or(1, |port| port.max_segments()),
                // Each packet gets the server's header in front.
                Socket::Tcp(_) | Socket::Relay(_) => 1,
            };
        }
        if route.socket.is_tcp() {
            self.bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        Ok(())
    }

    /// The buffer to append one packet to, after [`Self::reserve`]; it begins at the buffer's present length.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The packet that begins at `at` could not be made: it leaves the buffer, with its length in front.
    pub fn abandon(&mut self, route: &Route, at: usize) {
        self.bytes.truncate(at - if route.socket.is_tcp() { 2 } else { 0 });
    }

    /// The packet is complete. A shorter one ends its run.
    pub fn commit(&mut self, wire: &mut Wire, route: &Route, len: usize) -> Result<(), Full> {
        self.count += 1;
        if !route.socket.is_tcp() && len < self.segment { self.flush(wire, route) } else { Ok(()) }
    }

    /// Sends the run.
    pub fn flush(&mut self, wire: &mut Wire, route: &Route) -> Result<(), Full> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        self.sends += 1;
        let mut result = Ok(());
        match route.socket {
            Socket::Udp(index) => {
                let sent = wire.udp(index).map(|port| port.send(route, &self.bytes, self.segment));
                if let Some(Err(error)) = sent {
                    if error.kind() == std::io::ErrorKind::WouldBlock {
                        result = Err(Full);
                    } else {
                        self.too_long += u64::from(fragments::is_too_long(&error));
                        log::debug!(target: "webrtc", "send failed route={route} error={error}");
                    }
                }
            }
            Socket::Tcp(number) => wire.write(number, &self.bytes),
            Socket::Relay(number) => {
                if let Err(error) = wire.relays.send(number, route.remote, &self.bytes)
                    && error.kind() == std::io::ErrorKind::WouldBlock
                {
                    result = Err(Full);
                }
            }
        }
        self.clear();
        result
    }
}
