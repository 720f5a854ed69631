//! What hostile bytes may do to each parser, one function for each: it takes any bytes and panics where a promise is broken.
//! The unit tests call them with seeds, kept inputs and a minute of random damage; the guided fuzzer of `tests/fuzz` calls
//! them for hours. Nothing of this is part of the program.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a broken promise is told by a panic"
)]
mod addresses;
mod config;
mod descriptions;
mod dialects;
mod dtls;
mod framing;
mod http;
mod media;
#[cfg(test)]
mod random;
#[cfg(test)]
mod replay;
mod rtcp;
mod rtp;
mod script;
#[cfg(feature = "shares")]
mod shares;
mod stun;

#[cfg(test)]
pub use random::{Random, rounds};

/// One parser with its promises.
pub struct Target {
    /// As commands and folders name it.
    pub name: &'static str,
    /// The longest input that the parser's callers let through, or a little more.
    pub max: usize,
    /// Panics where a promise is broken.
    pub run: fn(&[u8]),
    /// Sound inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every parser that reads what others wrote.
pub fn targets() -> impl Iterator<Item = &'static Target> {
    const GROUPS: &[&[Target]] = &[
        addresses::TARGETS,
        config::TARGETS,
        descriptions::TARGETS,
        dialects::TARGETS,
        dtls::TARGETS,
        framing::TARGETS,
        http::TARGETS,
        media::TARGETS,
        rtcp::TARGETS,
        rtp::TARGETS,
        #[cfg(feature = "shares")]
        shares::TARGETS,
        stun::TARGETS,
    ];
    GROUPS.iter().copied().flatten()
}

/// Texts as seeds.
fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
