//! The server: from a listening socket to requests that are checked and complete, and back to bytes.
//!
//! A request passes `gate` (who), `connection` and `head` (how much, well-formed), `policy` (from where) and `exchange`,
//! which has it answered and sends the answer. `render` writes heads with tiny_http; its server is not used, since it has
//! no bounds: nothing but the gate listens.
pub mod authority;
pub mod base;
pub mod certificate;
pub mod chunked;
mod connection;
mod cors;
mod exchange;
pub mod gate;
pub mod head;
pub mod limits;
pub mod listen;
mod outbox;
pub mod peers;
pub mod percent;
pub mod policy;
mod punycode;
mod render;
pub mod request;
pub mod response;
mod slots;
#[cfg_attr(not(feature = "tls"), path = "tls_absent.rs")]
pub mod tls;
pub mod transport;
