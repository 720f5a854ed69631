//! Stands in for TLS in builds without the feature `tls`: what needs it says so instead of falling back to plain text.
use std::io;

/// Whose certificates count; see the module with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    Roots,
    Anybody,
}

/// Never made.
pub type TlsStream<S> = S;

pub fn inner<S>(stream: &TlsStream<S>) -> &S {
    stream
}

/// # Errors
/// Always: the sentence says which build speaks TLS.
pub async fn connect<S>(_: S, host: &str, _: Trust) -> io::Result<TlsStream<S>> {
    let text = format!("{host} wants TLS, and this is the minimal build: use the full one, or an address without TLS");
    Err(io::Error::new(io::ErrorKind::Unsupported, text))
}
