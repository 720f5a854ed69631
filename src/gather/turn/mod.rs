//! A TURN client (RFC 8656) without sockets or a clock. Nothing here knows who needs the relayed address, nor the way to
//! the server.
pub mod allocation;
pub(crate) mod frame;
pub mod framing;
pub(crate) mod login;
mod peers;
#[cfg(test)]
mod tests;

use crate::gather::policy::wildcard;
use crate::rtc::ice::RELAY_PRIORITY;
use std::net::SocketAddr;

pub use allocation::{Allocation, Outcome};

/// What comes from a server.
#[derive(Debug)]
pub enum FromServer {
    Message(Vec<u8>),
    /// The way to it is over, or never came about: why. A UDP socket never says so.
    Closed(String),
}

/// The candidate of an address on a server (RFC 8839 section 5.1), without `a=`. The related address says nothing of our
/// network.
pub fn candidate(relayed: SocketAddr) -> String {
    let family = if relayed.is_ipv4() { 4 } else { 6 };
    let related = wildcard(relayed.is_ipv6());
    let (ip, port) = (relayed.ip(), relayed.port());
    format!("candidate:relay{family} 1 udp {RELAY_PRIORITY} {ip} {port} typ relay raddr {related} rport 0")
}
