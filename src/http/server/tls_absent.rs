//! HTTPS in a binary without the feature `tls`: a setting that asks for it is an error in the log, and HTTP goes on.
use crate::config::{self, TlsMode};
use crate::http::server::certificate::WITHOUT_TLS;
use serde_json::Value;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpStream;

/// First byte of every TLS handshake.
pub const HANDSHAKE: u8 = 0x16;

/// There is none.
pub enum Tls {}

/// There is none with TLS.
pub type Stream = TcpStream;

/// What a connection with TLS stands on.
pub fn tcp(stream: &Stream) -> &TcpStream {
    stream
}

impl Tls {
    pub fn new(api: &config::Api, _: &str, _: Option<PathBuf>) -> Option<Arc<Self>> {
        if api.tls != TlsMode::Off || !api.tls_cert.is_empty() || !api.tls_key.is_empty() {
            log::error!(target: "api", "no HTTPS: {WITHOUT_TLS}");
        }
        None
    }

    pub fn set_ports(&self, _: u16, _: Option<u16>) {
        match *self {}
    }

    pub async fn accept(self: &Arc<Self>, _: TcpStream) -> io::Result<Stream> {
        match **self {}
    }

    pub fn status(&self) -> Value {
        match *self {}
    }

    pub fn error(&self) -> Option<String> {
        match *self {}
    }

    pub fn root(&self) -> Option<String> {
        match *self {}
    }
}
