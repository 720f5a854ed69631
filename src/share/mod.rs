//! Share links: a stream is watched, or sent to, from outside without an open port. The relay and the visitor's page
//! both keep a WebSocket to a WebTorrent tracker, which passes on one sealed offer and one sealed answer; media goes
//! its own way. `seal`, `tracker` and `desk` know no sockets; `attend` has them.
mod attend;
mod book;
mod checks;
pub(crate) mod desk;
mod link;
mod seal;
mod tracker;

pub use book::{Book, Refusal, Told};
pub use checks::findings;
