//! Stands in for the TURN client in builds without the feature `turn`: no server gives the relay an address. Players are
//! told of the servers all the same.
use crate::gather::ice_servers::{Login, Uri};
use crate::rtc::digest::Digest;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;
use tokio::sync::mpsc;

/// A server as far as it is known.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "nobody asks it")]
pub struct Server {
    pub uri: Uri,
    pub login: Login,
    pub addresses: Vec<SocketAddr>,
    pub v6: bool,
}

pub use crate::gather::turn::{FromServer, Outcome, candidate};

pub type Inputs = mpsc::Sender<(u32, FromServer)>;

/// Never opened.
pub enum Link {}

impl Link {
    /// # Errors
    /// Always.
    pub fn open(_: &Uri, _: &[SocketAddr], _: Option<IpAddr>, _: u32, _: Inputs) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn send_request(&self, _: &[u8]) -> io::Result<()> {
        match *self {}
    }

    pub fn send_data(&self, _: &[u8]) -> io::Result<()> {
        match *self {}
    }
}

/// Never made.
pub enum Client {}

impl Client {
    /// # Errors
    /// Always: the sentence says which build has TURN.
    pub fn open(_: &Server, _: Option<IpAddr>, _: Digest, _: Instant, _: u32, _: Inputs) -> io::Result<Self> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this build has no TURN, it was made without the cargo feature turn",
        ))
    }

    pub fn allocation(&self) -> &Self {
        match *self {}
    }

    pub fn relayed(&self) -> Option<SocketAddr> {
        match *self {}
    }

    pub fn over(&self) -> Option<Option<&str>> {
        match *self {}
    }

    pub fn deadline(&self) -> Option<Instant> {
        match *self {}
    }

    pub fn handle<'a>(&mut self, _: Instant, _: &'a FromServer) -> Outcome<'a> {
        match *self {}
    }

    pub fn tick(&mut self, _: Instant) {
        match *self {}
    }

    pub fn permit(&mut self, _: Instant, _: IpAddr) {
        match *self {}
    }

    pub fn release(&mut self, _: Instant) {
        match *self {}
    }

    pub fn send(&mut self, _: Instant, _: SocketAddr, _: &[u8]) -> io::Result<()> {
        match *self {}
    }
}
