//! The way to TURN servers over UDP, TCP and TLS: [`Client`] is the protocol of [`crate::gather::turn`] with a link below.
mod client;
mod link;

pub use crate::gather::turn::{FromServer, Outcome, candidate};
pub use client::{Client, Server};
pub use link::{Inputs, Link};
