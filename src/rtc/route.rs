//! The way that a datagram took or shall take.
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// One of the relay's media sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Socket {
    /// Index into the table of bound UDP sockets.
    Udp(u8),
    /// Number of a TCP connection (RFC 4571 framing).
    Tcp(u32),
    /// Number of an allocation on a TURN server.
    Relay(u32),
}

impl Socket {
    pub fn is_tcp(self) -> bool {
        matches!(self, Socket::Tcp(_))
    }

    /// Its name in logs and figures.
    pub fn protocol(self) -> &'static str {
        match self {
            Socket::Udp(_) => "udp",
            Socket::Tcp(_) => "tcp",
            Socket::Relay(_) => "relay",
        }
    }
}

/// A socket, the peer's address and, where the kernel told, our own address that the peer used: an
/// answer must leave from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub socket: Socket,
    pub local: Option<IpAddr>,
    pub remote: SocketAddr,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.socket.protocol();
        match self.local {
            Some(local) => write!(f, "{protocol} {local} <-> {}", self.remote),
            None => write!(f, "{protocol} <-> {}", self.remote),
        }
    }
}

/// A datagram on its way out, without TCP framing.
#[derive(Debug)]
pub struct Datagram {
    pub route: Route,
    pub bytes: Vec<u8>,
}
