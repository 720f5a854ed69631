//! The server: from a listening socket to requests that are checked and complete, and back to bytes. What it serves is
//! behind [`Handler`]; whoever answers requests knows the types that stand here, and nothing else of it.
//!
//! A request passes `gate` (who), `connection` and `head` (how much, well-formed), `policy` (from where) and `exchange`,
//! which has it answered; `send` gives the client the answer. `render` writes heads with tiny_http, whose server is not
//! used, since it has no bounds: nothing but the gate listens.
pub(crate) mod authority;
mod base;
mod body;
pub mod certificate;
pub(crate) mod chunked;
mod closing;
mod connection;
mod cors;
mod exchange;
pub mod gate;
mod handler;
pub(crate) mod head;
pub mod limits;
pub mod listen;
mod outbox;
pub mod peers;
pub(crate) mod percent;
mod policy;
pub(crate) mod punycode;
mod refusal;
mod render;
pub(crate) mod request;
mod response;
mod send;
mod slots;
mod state;
#[cfg(test)]
pub mod tests;
#[cfg_attr(not(feature = "tls"), path = "tls_absent.rs")]
mod tls;
mod transport;
mod upgrade;

pub use authority::{Authority, Listed, Origin, host};
pub use base::Base;
pub use body::{PIECE_BYTES, Pieces};
pub use handler::{Answering, Handler, ServeSocket};
pub use percent::{decode_form, decode_path};
pub use policy::Policy;
pub use request::Request;
pub use response::Response;
pub use state::{Counts, Server};
pub use tiny_http::Method;
pub use tls::Tls;
pub use upgrade::WebSocket;
