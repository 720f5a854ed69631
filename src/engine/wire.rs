//! The media sockets of the engine: binding by policy, receiving with the sender's route, sending.
use super::relayed::Relays;
use super::sockets::Sockets;
use crate::base::places::{Full, Taken, client};
use crate::base::sparing::Sparing;
use crate::gather::interfaces::Interface;
use crate::gather::policy::{Candidate, Policy, Verdict};
use crate::net::address_watch;
use crate::net::interfaces;
use crate::net::mdns::Mdns;
use crate::net::resolve::Names;
use crate::net::tcp::{self, TcpConnection, TcpInput};
use crate::net::udp::UdpPort;
use crate::rtc::route::{Datagram, Route, Socket};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// TCP events that wait for the engine; a full queue slows the readers down.
const TCP_QUEUE: usize = 256;

pub struct Wire {
    policy: Policy,
    sockets: Sockets,
    connections: HashMap<u32, TcpConnection>,
    next_connection: u32,
    /// Which refused connections are told of.
    sparing: Sparing,
    tcp_inputs: mpsc::Sender<TcpInput>,
    tcp_events: mpsc::Receiver<TcpInput>,
    /// The machine's addresses, as of the latest change.
    interfaces: Vec<Interface>,
    changes: mpsc::Receiver<()>,
    names: Names,
    /// The socket that is looked at first, so that a flood on one does not silence the others.
    turn: usize,
    /// Allocations on TURN servers, with the ways to them.
    pub relays: Relays,
    /// Who asks for browsers' names, where the settings allow that.
    pub mdns: Option<Mdns>,
}

impl Wire {
    /// Binds what the policy says. Must be called inside the engine's runtime.
    pub fn bind(policy: Policy) -> Wire {
        let (tcp_inputs, tcp_events) = mpsc::channel(TCP_QUEUE);
        // Before the first look, so that nothing can change unseen.
        let changes = address_watch::start();
        let mut wire = Wire {
            names: Names::start(policy.names()),
            policy,
            sockets: Sockets::default(),
            connections: HashMap::new(),
            next_connection: 1,
            sparing: Sparing::default(),
            tcp_inputs,
            tcp_events,
            interfaces: interfaces::list(),
            changes,
            turn: 0,
            relays: Relays::default(),
            mdns: None,
        };
        wire.adjust(Instant::now());
        wire
    }

    fn adjust(&mut self, now: Instant) -> Vec<Socket> {
        let wanted = self.policy.sockets(&self.interfaces);
        self.sockets.adjust(&self.policy, &wanted, &self.tcp_inputs, now)
    }

    /// Looks at the machine's addresses again and follows them. Answers the sockets that are given up: no session may
    /// keep a route over them.
    pub fn refresh(&mut self, now: Instant) -> Vec<Socket> {
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
        self.adjust(now)
    }

    /// Where `webrtc.listen` binds to one address.
    pub fn single(&self) -> Option<IpAddr> {
        self.policy.listen.single()
    }

    /// Candidates to tell a peer now. `public`: our addresses as STUN servers see them; `host`: our address as its
    /// request named it.
    pub fn candidates(&self, public: &[IpAddr], host: Option<IpAddr>) -> Vec<Candidate> {
        let resolved = |name: &str| self.names.of(name);
        self.policy.candidates(&self.interfaces, &self.sockets.bound, public, &resolved, host)
    }

    /// What becomes of each address of the machine.
    pub fn explain(&self) -> Vec<Verdict> {
        self.policy.explain(&self.interfaces)
    }

    /// Asks for a browser's name on the networks whose addresses peers are told. False: names are not looked up.
    pub fn look_for(&self, name: &str) -> bool {
        let Some(mdns) = &self.mdns else { return false };
        let own =
            self.explain().into_iter().filter(|verdict| verdict.told).filter_map(|verdict| match verdict.address {
                IpAddr::V4(ip) => Some(ip),
                IpAddr::V6(_) => None,
            });
        mdns.ask(name.to_owned(), own.collect());
        true
    }

    /// The sockets that are bound: `udp 0.0.0.0:8555`.
    pub fn listening(&self) -> Vec<String> {
        self.sockets.bound.iter().map(|(protocol, local)| format!("{} {local}", protocol.name())).collect()
    }

    /// What could not be bound.
    pub fn problems(&self) -> Vec<&str> {
        self.sockets.problems()
    }

    /// Why nobody could connect now, if so.
    pub fn deaf(&self) -> Option<String> {
        if !self.sockets.bound.is_empty() {
            return None;
        }
        let why = self.problems().first().copied();
        Some(format!(
            "the relay has no media port: {}",
            why.unwrap_or("webrtc.listen and webrtc.filters leave none of the addresses that this machine has now")
        ))
    }

    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// The UDP socket from which an address can be reached.
    pub fn socket_for(&self, remote: SocketAddr) -> Option<Socket> {
        self.sockets.nearest(remote.ip())
    }

    /// Our port on a socket.
    pub fn local_port(&self, socket: Socket) -> u16 {
        match socket {
            Socket::Udp(index) => self.udp(index).map_or(0, |port| port.local.port()),
            Socket::Tcp(number) => {
                self.connections.get(&number).and_then(|c| c.local()).map_or(0, |address| address.port())
            }
            Socket::Relay(number) => self.relays.relayed(number).map_or(0, |address| address.port()),
        }
    }

    /// Waits for the next thing on any socket.
    pub async fn ready(&mut self) -> WireEvent {
        let (sockets, tcp, changes) = (&self.sockets, &mut self.tcp_events, &mut self.changes);
        self.turn = self.turn.wrapping_add(1);
        let count = sockets.all_udp().count();
        // The turn behind the last socket is TCP's.
        let first = self.turn % (count + 1);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(Some(())) = changes.poll_recv(cx) {
                return Poll::Ready(WireEvent::Network);
            }
            let ready = |cx: &mut Context<'_>, from: usize, to: usize| {
                for (index, port) in sockets.all_udp().skip(from).take(to.saturating_sub(from)) {
                    if port.poll_readable(cx).is_ready() {
                        return Some(WireEvent::Udp(index));
                    }
                }
                None
            };
            if let Some(event) = ready(cx, first, count) {
                return Poll::Ready(event);
            }
            if let Poll::Ready(Some(input)) = tcp.poll_recv(cx) {
                return Poll::Ready(WireEvent::Tcp(input));
            }
            ready(cx, 0, first).map_or(Poll::Pending, Poll::Ready)
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
        if let Err(full) = self.place_for(remote.ip()) {
            if let Some(left_out) = self.sparing.admit(remote.ip(), Instant::now()) {
                let whose = match full {
                    Full::All => "in all",
                    Full::Client => "from there",
                };
                log::warn!(target: "webrtc", "too many media connections {whose}, refused remote={remote}{left_out}");
            }
            return;
        }
        let number = self.next_connection;
        self.next_connection = self.next_connection.wrapping_add(1).max(1);
        self.connections.insert(number, TcpConnection::start(number, stream, remote, self.tcp_inputs.clone()));
    }

    /// May this address have a further media connection?
    fn place_for(&self, address: IpAddr) -> Result<(), Full> {
        let asking = client(address);
        let own = self.connections.values().filter(|connection| client(connection.remote.ip()) == asking).count();
        tcp::CONNECTIONS.check(Taken { network: self.connections.len(), local: 0, own }, false)
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
        self.sockets.udp(index)
    }

    /// Sends single datagrams: checks, handshakes, reports. What the kernel refuses is lost, as on any network.
    pub fn send(&mut self, datagrams: &mut Vec<Datagram>) {
        for datagram in datagrams.drain(..) {
            let Datagram { route, bytes } = datagram;
            match route.socket {
                Socket::Udp(index) => {
                    if let Some(Err(error)) = self.udp(index).map(|port| port.send(&route, &bytes, bytes.len())) {
                        log::debug!(target: "webrtc", "send failed route={route} error={error}");
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
    Udp(u8),
    /// The machine's addresses may have changed.
    Network,
    Tcp(TcpInput),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Webrtc;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn four_addresses_do_not_get_all_media_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let webrtc = Webrtc { listen: "127.0.0.1:0".into(), ..Webrtc::default() };
        let mut wire = Wire::bind(Policy::new(&webrtc).unwrap());
        let mut connect = async |remote: String| {
            let _other_end = TcpStream::connect(address).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            wire.open(stream, remote.parse().unwrap());
            wire.connections.len()
        };
        for client in 1..5 {
            for _ in 0..40 {
                connect(format!("[fd00:0:0:{client}::{client}]:5")).await;
            }
        }
        let before = connect("[fd00:0:0:1::99]:5".into()).await;
        assert!((64..128).contains(&before), "{before}");
        assert_eq!(connect("10.0.0.9:5".into()).await, before + 1);
    }
}
