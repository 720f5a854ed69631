//! A TURN client (RFC 8656) over UDP, TCP and TLS: `allocation` is the protocol without sockets or a clock, [`Client`]
//! is it with the way to its server. Nothing here knows who needs the relayed address.
mod allocation;
mod client;
mod frame;
mod framing;
mod link;
mod login;
mod peers;
#[cfg(test)]
mod tests;

use crate::net::policy::wildcard;
use crate::rtc::ice::RELAY_PRIORITY;
use std::net::SocketAddr;

pub use allocation::Outcome;
pub use client::{Client, Server};
pub use link::{Input, Inputs};

/// The candidate of an address on a server (RFC 8839 section 5.1), without `a=`. The related address says nothing of our
/// network.
pub fn candidate(relayed: SocketAddr) -> String {
    let family = if relayed.is_ipv4() { 4 } else { 6 };
    let related = wildcard(relayed.is_ipv6());
    let (ip, port) = (relayed.ip(), relayed.port());
    format!("candidate:relay{family} 1 udp {RELAY_PRIORITY} {ip} {port} typ relay raddr {related} rport 0")
}
