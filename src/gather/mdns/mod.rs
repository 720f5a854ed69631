//! Multicast DNS (RFC 6762) without its socket: the messages, and when each name is asked for.
pub mod message;
pub mod questions;
