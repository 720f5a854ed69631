//! Stands in for the TURN client in builds without the feature `turn`: no server gives the relay an address. Players are
//! told of the servers all the same.
use crate::config::ice_uri::Transport;
use crate::gather::ice_servers::Login;
use crate::rtc::digest::Digest;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Never comes.
#[derive(Debug)]
#[expect(dead_code, reason = "nothing comes")]
pub enum FromServer {
    Message(Vec<u8>),
    Closed(String),
}

#[expect(dead_code, reason = "nothing comes")]
pub enum Outcome<'a> {
    Taken,
    Data(SocketAddr, &'a [u8]),
}

/// Over before it begins.
pub struct Allocation;

impl Allocation {
    pub fn new(_: Transport, _: bool, _: Login, _: Digest, _: Instant) -> Self {
        Self
    }

    pub fn over(&self) -> Option<Option<&str>> {
        Some(Some("this build has no TURN, it was made without the cargo feature turn"))
    }

    pub fn is_allocating(&self) -> bool {
        false
    }

    pub fn relayed(&self) -> Option<SocketAddr> {
        None
    }

    pub fn deadline(&self) -> Option<Instant> {
        None
    }

    pub fn handle<'a>(&mut self, _: Instant, _: &'a [u8]) -> Outcome<'a> {
        Outcome::Taken
    }

    pub fn lose(&mut self, _: &str) {}

    pub fn tick(&mut self, _: Instant) {}

    pub fn permit(&mut self, _: Instant, _: IpAddr) {}

    pub fn release(&mut self, _: Instant) {}

    pub fn wrap(&mut self, _: Instant, _: SocketAddr, _: &[u8], _: &mut Vec<u8>) -> bool {
        false
    }

    pub fn take_out(&mut self) -> impl Iterator<Item = Vec<u8>> {
        std::iter::empty()
    }
}

/// Never asked for.
pub fn candidate(_: SocketAddr) -> String {
    String::new()
}
