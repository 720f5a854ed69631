//! A TURN client over UDP (RFC 8656) without sockets or a clock: one allocation on one server, the permissions and
//! channels of the peers that it relays for.
pub mod allocation;
mod frame;
mod login;
mod peers;
#[cfg(test)]
mod tests;

pub use allocation::{Allocation, Outcome};
