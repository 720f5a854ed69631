//! The media sockets of the engine: binding by policy, receiving with the sender's route, sending.
use crate::engine::relayed::Relays;
use crate::net::interfaces::{self, Interface};
use crate::net::policy::{Bound, Candidate, Policy};
use crate::net::route::{Datagram, Route, Socket};
use crate::net::tcp::{self, MAX_CONNECTIONS, MAX_CONNECTIONS_FROM_ONE, TcpConnection, TcpInput};
use crate::net::udp::{UdpPort, wildcard};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// TCP events that wait for the engine; a full queue slows the readers down.
const TCP_QUEUE: usize = 256;
/// The machine's addresses are asked for again when they are older than this.
const ADDRESSES_AGE: Duration = Duration::from_secs(1);
/// A flood of connections is told of this often.
const REFUSAL_LOGGED: Duration = Duration::from_secs(10);
/// Connections that the kernel keeps for us to accept.
const BACKLOG: i32 = 64;

pub struct Wire {
    policy: Policy,
    udp: Vec<Arc<UdpPort>>,
    connections: HashMap<u32, TcpConnection>,
    next_connection: u32,
    /// When a refused connection was last told of.
    refused: Option<Instant>,
    tcp_inputs: mpsc::Sender<TcpInput>,
    tcp_events: mpsc::Receiver<TcpInput>,
    bound: Bound,
    addresses: (Vec<Interface>, Option<Instant>),
    /// The socket that is looked at first, so that a flood on one does not silence the others.
    turn: usize,
    /// Sockets towards TURN servers.
    pub relays: Relays,
    /// What could not be bound, for the log and the status page.
    pub problems: Vec<String>,
    pub listening: Vec<String>,
}

impl Wire {
    /// Binds what the policy says. What can't be bound is a problem that is told, not a reason to end:
    /// the other protocol or family still serves. Must be called inside the engine's runtime.
    pub fn bind(policy: Policy) -> Wire {
        let (tcp_inputs, tcp_events) = mpsc::channel(TCP_QUEUE);
        let mut wire = Wire {
            policy,
            udp: Vec::new(),
            connections: HashMap::new(),
            next_connection: 1,
            refused: None,
            tcp_inputs,
            tcp_events,
            bound: Bound::default(),
            addresses: (Vec::new(), None),
            turn: 0,
            relays: Relays::default(),
            problems: Vec::new(),
            listening: Vec::new(),
        };
        let listen = wire.policy.listen;
        let families: Vec<IpAddr> = match listen.host {
            Some(host) => vec![host],
            None => vec![wildcard(false), wildcard(true)],
        };
        for ip in families {
            wire.bind_udp(SocketAddr::new(ip, listen.udp), listen.host.is_none());
            if let Some(port) = listen.tcp {
                wire.bind_tcp(SocketAddr::new(ip, port), listen.host.is_none());
            }
        }
        wire
    }

    fn bind_udp(&mut self, address: SocketAddr, optional: bool) {
        match UdpPort::bind(address, self.udp.len() as u8) {
            Ok(port) => {
                let number = Some(port.local.port());
                if address.is_ipv4() {
                    self.bound.udp4 = number
                } else {
                    self.bound.udp6 = number
                }
                self.listening.push(format!("udp {}", port.local));
                log::info!(target: "webrtc", "listen udp addr={}", port.local);
                self.udp.push(Arc::new(port));
            }
            Err(error) => self.problem("udp", address, error, optional),
        }
    }

    fn bind_tcp(&mut self, address: SocketAddr, optional: bool) {
        match listen_tcp(address) {
            Ok((listener, local)) => {
                if address.is_ipv4() {
                    self.bound.tcp4 = Some(local.port())
                } else {
                    self.bound.tcp6 = Some(local.port())
                }
                self.listening.push(format!("tcp {local}"));
                log::info!(target: "webrtc", "listen tcp addr={local}");
                tokio::spawn(tcp::accept(listener, self.tcp_inputs.clone()));
            }
            Err(error) => self.problem("tcp", address, error, optional),
        }
    }

    fn problem(&mut self, protocol: &str, address: SocketAddr, error: io::Error, optional: bool) {
        // A machine without IPv6 is nothing to warn about.
        let absent = matches!(error.raw_os_error(), Some(code) if code == nix::libc::EAFNOSUPPORT || code == nix::libc::EADDRNOTAVAIL);
        if optional && address.is_ipv6() && absent {
            log::debug!(target: "webrtc", "no IPv6 on this machine protocol={protocol}");
            return;
        }
        let problem = format!(
            "cannot listen on {protocol} {address}: {error}; change webrtc.listen or stop the program that uses this port"
        );
        log::error!(target: "webrtc", "{problem}");
        self.problems.push(problem);
    }

    /// Where `webrtc.listen` binds to one address.
    pub fn host(&self) -> Option<IpAddr> {
        self.policy.listen.host
    }

    /// Candidates to tell a peer now; `public`: our addresses as STUN servers see them.
    pub fn candidates(&mut self, public: &[IpAddr], now: Instant) -> Vec<Candidate> {
        if self.addresses.1.is_none_or(|at| now.saturating_duration_since(at) > ADDRESSES_AGE) {
            self.addresses = (interfaces::list(), Some(now));
        }
        self.policy.candidates(&self.addresses.0, public, &self.bound)
    }

    /// The UDP socket from which an address can be reached.
    pub fn socket_for(&self, remote: SocketAddr) -> Option<Socket> {
        let index = self.udp.iter().position(|port| port.local.is_ipv4() == remote.is_ipv4())?;
        Some(Socket::Udp(index as u8))
    }

    /// Our port on a socket.
    pub fn local_port(&self, socket: Socket) -> u16 {
        match socket {
            Socket::Udp(index) => self.udp.get(usize::from(index)).map_or(0, |port| port.local.port()),
            Socket::Tcp(number) => {
                self.connections.get(&number).and_then(|c| c.local()).map_or(0, |address| address.port())
            }
            Socket::Relay(number) => self.relays.relayed(number).map_or(0, |address| address.port()),
        }
    }

    /// Waits for the next thing on any socket.
    pub async fn ready(&mut self) -> WireEvent {
        let (udp, tcp) = (&self.udp, &mut self.tcp_events);
        let all = udp.len() + 1;
        self.turn = (self.turn + 1) % all;
        let first = self.turn;
        std::future::poll_fn(|cx| {
            for index in (first..first + all).map(|index| index % all) {
                match udp.get(index) {
                    Some(port) if port.poll_readable(cx).is_ready() => return Poll::Ready(WireEvent::Udp(index)),
                    Some(_) => {}
                    None => {
                        if let Poll::Ready(Some(input)) = tcp.poll_recv(cx) {
                            return Poll::Ready(WireEvent::Tcp(input));
                        }
                    }
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Further TCP events that are already there.
    pub fn next_tcp(&mut self) -> Option<TcpInput> {
        self.tcp_events.try_recv().ok()
    }

    /// Registers an accepted connection, or drops it where a bound is reached.
    pub fn open(&mut self, stream: TcpStream, remote: SocketAddr) {
        self.connections.retain(|_, connection| !connection.is_idle());
        let same = self.connections.values().filter(|c| c.remote.ip() == remote.ip()).count();
        if self.connections.len() >= MAX_CONNECTIONS || same >= MAX_CONNECTIONS_FROM_ONE {
            let now = Instant::now();
            if self.refused.is_none_or(|at| now.saturating_duration_since(at) > REFUSAL_LOGGED) {
                self.refused = Some(now);
                log::warn!(target: "webrtc", "too many media connections, refused remote={remote}");
            }
            return;
        }
        let number = self.next_connection;
        self.next_connection = self.next_connection.wrapping_add(1).max(1);
        self.connections.insert(number, TcpConnection::start(number, stream, remote, self.tcp_inputs.clone()));
    }

    /// The route of a TCP connection.
    pub fn tcp_route(&self, number: u32) -> Option<Route> {
        let connection = self.connections.get(&number)?;
        let local = connection.local().map(|address| address.ip().to_canonical());
        Some(Route { socket: Socket::Tcp(number), local, remote: connection.remote })
    }

    pub fn resume(&mut self, number: u32) {
        if let Some(connection) = self.connections.get_mut(&number)
            && connection.resume().is_err()
        {
            connection.break_off();
        }
    }

    /// Writes framed bytes. A connection that takes no more ends, and its session hears of that.
    pub fn write(&mut self, number: u32, framed: &[u8]) {
        if let Some(connection) = self.connections.get_mut(&number)
            && connection.write(framed).is_err()
        {
            connection.break_off();
        }
    }

    /// The connection is a session's.
    pub fn mark_known(&mut self, number: u32) {
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.known = true;
        }
    }

    pub fn close(&mut self, number: u32) {
        self.connections.remove(&number);
    }

    pub fn connection(&mut self, number: u32) -> Option<&mut TcpConnection> {
        self.connections.get_mut(&number)
    }

    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    pub fn udp(&self, index: u8) -> Option<&Arc<UdpPort>> {
        self.udp.get(usize::from(index))
    }

    /// Sends single datagrams: checks, handshakes, reports. What the kernel refuses is lost, as on any network.
    pub fn send(&mut self, datagrams: &mut Vec<Datagram>) {
        for datagram in datagrams.drain(..) {
            let Datagram { route, bytes } = datagram;
            match route.socket {
                Socket::Udp(index) => {
                    if let Some(Err(error)) = self.udp(index).map(|port| port.send(&route, &bytes, bytes.len())) {
                        log::trace!(target: "webrtc", "send failed route={route} error={error}");
                    }
                }
                Socket::Tcp(number) => {
                    let mut framed = Vec::with_capacity(bytes.len() + 2);
                    tcp::frame(&mut framed, &bytes);
                    self.write(number, &framed);
                }
                Socket::Relay(number) => drop(self.relays.send(number, route.remote, &bytes)),
            }
        }
    }
}

/// What [`Wire::ready`] found.
pub enum WireEvent {
    Udp(usize),
    Tcp(TcpInput),
}

fn listen_tcp(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for old connections to time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let local = listener.local_addr()?;
    Ok((listener, local))
}
