//! The engine's edge: what comes in with a moment, what goes out, and the one thing that must not wait in a queue, which
//! is media: it is written into sockets that somebody lends for the moment.
use super::api::Command;
use super::source::{ProducerId, SourceEvent, SourceRequest};
use crate::gather::candidate::{Bound, ResolvedNames};
use crate::gather::ice_servers::Uri;
use crate::gather::interfaces::Interface;
use crate::gather::port_problem::PortProblem;
use crate::gather::scope::Scope;
use crate::gather::turn::FromServer;
use crate::rtc::route::{Route, Socket};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// What happened outside. Datagrams have a door of their own, [`Engine::on_datagram`](super::Engine::on_datagram), since
/// they are borrowed.
#[derive(Debug)]
pub enum Input {
    Command(Command),
    Source(ProducerId, SourceEvent),
    /// The machine's addresses and the sockets on them, at the start and after each change.
    Network(Network),
    /// A TCP connection takes more again.
    Writable(u32),
    /// A TCP connection ended.
    Closed(u32),
    /// So many TCP connections are open now.
    Connections(usize),
    /// The addresses of a server's name, or why there are none.
    Resolved {
        server: Server,
        result: Result<Vec<SocketAddr>, String>,
    },
    /// The addresses behind a browser's `.local` name.
    Name {
        name: String,
        ips: Vec<IpAddr>,
    },
    /// The addresses of the names among `webrtc.candidates`.
    Names(Arc<ResolvedNames>),
    /// From a TURN server, by the number of the allocation.
    Turn(u32, FromServer),
}

/// What is to be done outside.
#[derive(Debug)]
pub enum Output {
    StartSource {
        id: ProducerId,
        url: String,
        scope: Scope,
    },
    /// It says goodbye to its camera and ends; its further events are ignored.
    StopSource(ProducerId),
    AskSource(ProducerId, SourceRequest),
    /// Looks a server's name up.
    Resolve {
        server: Server,
        uri: Uri,
    },
    /// Asks the local network for a browser's `.local` name, from these addresses of ours.
    FindName {
        name: String,
        from: Vec<Ipv4Addr>,
    },
    /// Opens the way to a TURN server, at the first of its addresses that can be reached. `from`: the local address,
    /// where one is prescribed.
    OpenTurn {
        number: u32,
        uri: Uri,
        addresses: Vec<SocketAddr>,
        from: Option<IpAddr>,
    },
    CloseTurn(u32),
}

/// A server of `webrtc.ice_servers` by its place among those of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Stun(usize),
    Turn(usize),
}

/// The machine's addresses and our sockets on them.
#[derive(Clone, Debug, Default)]
pub struct Network {
    pub interfaces: Vec<Interface>,
    pub bound: Bound,
    /// The UDP sockets with their numbers.
    pub udp: Vec<(u8, SocketAddr)>,
    /// What could not be bound.
    pub problems: Vec<PortProblem>,
    /// Numbers of sockets that are given up: no session may keep a route over them.
    pub given_up: Vec<Socket>,
}

impl Network {
    /// A UDP socket of one address, for worlds without sockets.
    #[cfg(test)]
    pub fn of_one(name: &str, local: SocketAddr) -> Self {
        let mut bound = Bound::default();
        bound.add(crate::gather::candidate::Protocol::Udp, local);
        Self { interfaces: vec![Interface::new(name, local.ip())], bound, udp: vec![(0, local)], ..Self::default() }
    }
}

/// Why a run of datagrams was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The socket takes no more now.
    Full,
    /// Longer than what the way takes.
    TooLong,
    /// The system says that it can't be sent; it is lost, as on any network.
    Lost,
}

/// The media sockets, lent for the moment. None of this waits.
pub trait Transport {
    /// Sends `bytes` as datagrams of `segment` bytes each, the last one as long as it is. Over TCP the bytes are framed
    /// already (RFC 4571), and what the system does not take at once waits in the transport.
    ///
    /// # Errors
    /// What was not sent is lost, unless it is sent again later.
    fn send(&mut self, route: &Route, bytes: &[u8], segment: usize) -> Result<(), SendError>;

    /// Datagrams that one send over this socket may carry.
    fn max_segments(&self, socket: Socket) -> usize;

    /// Does nothing wait on this TCP connection, so that media may be written?
    fn is_clear(&self, connection: u32) -> bool;

    /// The TCP connection is a session's: it is not closed for having said nothing.
    fn keep(&mut self, connection: u32);

    /// Ends a TCP connection, after what was sent before.
    fn close(&mut self, connection: u32);

    /// Sends a message to the TURN server of an allocation.
    ///
    /// # Errors
    /// If there is no room now.
    fn send_to_server(&mut self, allocation: u32, message: ToServer<'_>) -> Result<(), SendError>;
}

/// A message to a TURN server.
#[derive(Clone, Copy, Debug)]
pub enum ToServer<'m> {
    /// What the allocation itself has to say: some room is kept for it.
    Request(&'m [u8]),
    /// What is meant for a peer.
    Data(&'m [u8]),
}
