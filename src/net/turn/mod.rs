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

pub use allocation::Outcome;
pub use client::{Client, Server};
pub use link::Input;
