//! The media sockets: binding by policy, receiving with the sender's route, sending.
use super::sockets::Sockets;
use super::tcp_connections::TcpConnections;
use crate::engine::io::{Network, SendError, ToServer, Transport};
use crate::gather::ice_servers::Uri;
use crate::gather::interfaces::Interface;
use crate::gather::policy::Policy;
use crate::net::address_watch;
use crate::net::fragments;
use crate::net::interfaces;
use crate::net::tcp::TcpInput;
use crate::net::turn::{FromServer, Inputs, Link};
use crate::net::udp::UdpPort;
use crate::rtc::route::{Route, Socket};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::sync::mpsc;

/// TCP events that wait for the engine; a full queue slows the readers down.
const TCP_QUEUE: usize = 256;
/// Messages of TURN servers that wait; a full queue leaves them to the kernel.
const TURN_QUEUE: usize = 256;

pub struct MediaSockets {
    policy: Policy,
    sockets: Sockets,
    pub connections: TcpConnections,
    tcp_events: mpsc::Receiver<TcpInput>,
    /// The ways to TURN servers, by the numbers of the allocations.
    links: HashMap<u32, Link>,
    turn_inputs: Inputs,
    turn_events: mpsc::Receiver<(u32, FromServer)>,
    /// The machine's addresses, as of the latest change.
    interfaces: Vec<Interface>,
    changes: mpsc::Receiver<()>,
    /// The socket that is looked at first, so that a flood on one does not silence the others.
    turn: usize,
}

impl MediaSockets {
    /// Binds what the policy says. Must be called inside the driver's runtime.
    pub fn bind(policy: Policy) -> Self {
        let (tcp_inputs, tcp_events) = mpsc::channel(TCP_QUEUE);
        let (turn_inputs, turn_events) = mpsc::channel(TURN_QUEUE);
        // Before the first look, so that nothing can change unseen.
        let changes = address_watch::start();
        let mut sockets = Self {
            policy,
            sockets: Sockets::default(),
            connections: TcpConnections::new(tcp_inputs),
            tcp_events,
            links: HashMap::new(),
            turn_inputs,
            turn_events,
            interfaces: interfaces::list(),
            changes,
            turn: 0,
        };
        sockets.adjust(Instant::now());
        sockets
    }

    fn adjust(&mut self, now: Instant) -> Vec<Socket> {
        let wanted = self.policy.sockets(&self.interfaces);
        self.sockets.adjust(&self.policy, &wanted, self.connections.inputs(), now)
    }

    /// What the engine is told of the machine and of the sockets.
    pub fn network(&self) -> Network {
        Network {
            interfaces: self.interfaces.clone(),
            bound: self.sockets.bound.clone(),
            udp: self.sockets.all_udp().map(|(index, port)| (index, port.local)).collect(),
            problems: self.sockets.problems().cloned().collect(),
            given_up: Vec::new(),
        }
    }

    /// Looks at the machine's addresses again and follows them.
    pub fn refresh(&mut self, now: Instant) -> Network {
        let old = std::mem::replace(&mut self.interfaces, interfaces::list());
        let usable = |list: &[Interface], wanted: &Interface| {
            list.iter().any(|i| !i.tentative && i.ip == wanted.ip && i.name == wanted.name)
        };
        for interface in old.iter().filter(|i| !i.tentative && !usable(&self.interfaces, i)) {
            log::info!(target: "net", "address gone interface={} ip={}", interface.name, interface.ip);
        }
        for interface in self.interfaces.iter().filter(|i| !i.tentative && !usable(&old, i)) {
            log::info!(target: "net", "address new interface={} ip={}", interface.name, interface.ip);
        }
        let given_up = self.adjust(now);
        Network { given_up, ..self.network() }
    }

    /// Waits for the next thing on any socket.
    pub async fn ready(&mut self) -> Ready {
        let (sockets, tcp, changes) = (&self.sockets, &mut self.tcp_events, &mut self.changes);
        let turn_events = &mut self.turn_events;
        self.turn = self.turn.wrapping_add(1);
        let count = sockets.all_udp().count();
        // The turns behind the last socket are TCP's and the TURN servers'.
        let first = self.turn % (count + 2);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(Some(())) = changes.poll_recv(cx) {
                return Poll::Ready(Ready::Network);
            }
            let ready = |cx: &mut Context<'_>, from: usize, to: usize| {
                for (index, port) in sockets.all_udp().skip(from).take(to.saturating_sub(from)) {
                    if port.poll_readable(cx).is_ready() {
                        return Some(Ready::Udp(index));
                    }
                }
                None
            };
            if let Some(event) = ready(cx, first, count) {
                return Poll::Ready(event);
            }
            let mut turn = |cx: &mut Context<'_>| match turn_events.poll_recv(cx) {
                Poll::Ready(Some((number, message))) => Some(Ready::Turn(number, message)),
                _ => None,
            };
            if first == count + 1
                && let Some(event) = turn(cx)
            {
                return Poll::Ready(event);
            }
            if let Poll::Ready(Some(input)) = tcp.poll_recv(cx) {
                return Poll::Ready(Ready::Tcp(input));
            }
            if let Some(event) = turn(cx) {
                return Poll::Ready(event);
            }
            ready(cx, 0, first).map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Further TCP events that are already there.
    pub fn next_tcp(&mut self) -> Option<TcpInput> {
        self.tcp_events.try_recv().ok()
    }

    /// Further messages of TURN servers that are already there.
    pub fn next_turn(&mut self) -> Option<(u32, FromServer)> {
        self.turn_events.try_recv().ok()
    }

    pub fn udp(&self, index: u8) -> Option<&Arc<UdpPort>> {
        self.sockets.udp(index)
    }

    /// Opens the way to a TURN server.
    ///
    /// # Errors
    /// If this machine has no socket or no route for any of the addresses.
    pub fn open_link(
        &mut self,
        number: u32,
        uri: &Uri,
        addresses: &[SocketAddr],
        from: Option<IpAddr>,
    ) -> io::Result<()> {
        let link = Link::open(uri, addresses, from, number, self.turn_inputs.clone())?;
        self.links.insert(number, link);
        Ok(())
    }

    pub fn close_link(&mut self, number: u32) {
        self.links.remove(&number);
    }
}

impl Transport for MediaSockets {
    fn send(&mut self, route: &Route, bytes: &[u8], segment: usize) -> Result<(), SendError> {
        match route.socket {
            Socket::Udp(index) => {
                let Some(port) = self.sockets.udp(index) else { return Err(SendError::Lost) };
                port.send(route, bytes, segment).map_err(|error| {
                    if error.kind() == io::ErrorKind::WouldBlock {
                        return SendError::Full;
                    }
                    log::debug!(target: "webrtc", "send failed route={route} error={error}");
                    if fragments::is_too_long(&error) { SendError::TooLong } else { SendError::Lost }
                })
            }
            Socket::Tcp(number) => {
                self.connections.write(number, bytes);
                Ok(())
            }
            Socket::Relay(_) => Err(SendError::Lost),
        }
    }

    fn max_segments(&self, socket: Socket) -> usize {
        match socket {
            Socket::Udp(index) => self.udp(index).map_or(1, |port| port.max_segments()),
            Socket::Tcp(_) | Socket::Relay(_) => 1,
        }
    }

    fn is_clear(&self, connection: u32) -> bool {
        self.connections.is_clear(connection)
    }

    fn keep(&mut self, connection: u32) {
        self.connections.keep(connection);
    }

    fn close(&mut self, connection: u32) {
        self.connections.close(connection);
    }

    fn send_to_server(&mut self, allocation: u32, message: ToServer<'_>) -> Result<(), SendError> {
        let Some(link) = self.links.get(&allocation) else { return Ok(()) };
        let sent = match message {
            ToServer::Request(bytes) => link.send_request(bytes),
            ToServer::Data(bytes) => link.send_data(bytes),
        };
        sent.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => SendError::Full,
            _ => SendError::Lost,
        })
    }
}

/// What [`MediaSockets::ready`] found.
pub enum Ready {
    Udp(u8),
    /// The machine's addresses may have changed.
    Network,
    Tcp(TcpInput),
    Turn(u32, FromServer),
}
