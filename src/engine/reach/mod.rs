//! How peers reach us: the machine's addresses, the sockets on them, what the policy makes of both, our public address,
//! and addresses on TURN servers. Whatever a peer is told of us comes from here.
mod public_address;
mod turn_pool;

use super::io::{Network, Output, Server};
use super::keys::PeerKey;
use crate::gather::candidate::{Candidate, Protocol, ResolvedNames};
use crate::gather::ice_servers::Servers;
use crate::gather::interfaces::Interface;
use crate::gather::policy::{Policy, Verdict, wildcard};
use crate::gather::port_problem::PortProblem;
use crate::rtc::digest::Digest;
use crate::rtc::route::{Datagram, Route, Socket};
use public_address::PublicAddress;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;
pub use turn_pool::{Came, DIRECT_FOR, Due, TurnPool};

pub struct Reach {
    policy: Policy,
    network: Network,
    /// The addresses of the names among `webrtc.candidates`.
    names: Arc<ResolvedNames>,
    public: PublicAddress,
    digest: Digest,
    /// Are browsers' names looked up?
    mdns: bool,
    pub turn: TurnPool,
    /// TCP connections that are open.
    connections: usize,
    outputs: Vec<Output>,
}

impl Reach {
    pub fn new(policy: Policy, servers: &Servers, mdns: bool, digest: Digest, now: Instant) -> Self {
        Self {
            public: PublicAddress::new(servers, now),
            turn: TurnPool::new(servers, policy.listen.single(), digest.clone()),
            network: Network::default(),
            names: Arc::default(),
            policy,
            digest,
            mdns,
            connections: 0,
            outputs: Vec::new(),
        }
    }

    /// The machine's addresses changed: so may have the public one.
    pub fn set_network(&mut self, network: Network, now: Instant, out: &mut Vec<Datagram>) {
        self.network = network;
        self.public.refresh(now);
        self.tick(now, out);
    }

    pub fn set_connections(&mut self, count: usize) {
        self.connections = count;
    }

    /// TCP connections that are open.
    pub fn connections(&self) -> usize {
        self.connections
    }

    pub fn set_names(&mut self, names: Arc<ResolvedNames>) {
        self.names = names;
    }

    /// The addresses of a server's name came in, or will not.
    pub fn resolved(&mut self, server: Server, result: Result<Vec<SocketAddr>, String>, now: Instant) {
        if let Server::Turn(number) = server {
            self.turn.resolved(number, result.clone());
        }
        self.public.resolved(server, result, now);
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.public.deadline().into_iter().chain(self.turn.deadline()).min()
    }

    /// Asks STUN servers whose turn it is.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Datagram>) {
        let (network, digest) = (&self.network, &self.digest);
        let reaches = |address: SocketAddr| nearest(&network.udp, address.ip()).is_some();
        let requests = self.public.tick(now, reaches, || digest.transaction(), &mut self.outputs);
        for (remote, bytes) in requests {
            if let Some(socket) = self.socket_for(remote) {
                out.push(Datagram { route: Route { socket, local: None, remote }, bytes });
            }
        }
    }

    /// Takes the answer of a STUN server. False: it is none to a request of ours.
    pub fn takes_stun(&mut self, now: Instant, route: &Route, bytes: &[u8]) -> bool {
        // Binding success or error: nothing else is looked at twice.
        let answer = matches!(bytes.get(..2), Some([1, 1] | [1, 0x11]));
        if !answer {
            return false;
        }
        let ip = route.local.unwrap_or(wildcard(route.remote.is_ipv6()));
        let port = self.udp_port(route.socket).unwrap_or(0);
        self.public.handle(now, route.remote, SocketAddr::new(ip, port), bytes)
    }

    /// What the policy tells a peer now. `host`: our address as the peer's request named it.
    pub fn candidates(&self, host: Option<IpAddr>) -> Vec<Candidate> {
        let resolved = |name: &str| self.names.get(name).cloned().unwrap_or_default();
        let Network { interfaces, bound, .. } = &self.network;
        self.policy.candidates(interfaces, bound, &self.public.addresses(), &resolved, host)
    }

    /// Every candidate that a peer is told now: the policy's, our public address, the address of its allocation.
    pub fn candidate_lines(&self, allocation: Option<u32>, host: Option<IpAddr>) -> Vec<String> {
        let advertised = self.candidates(host);
        let mut lines: Vec<String> = advertised.iter().map(ToString::to_string).collect();
        for found in self.public.found() {
            let own = self.interfaces().iter().any(|interface| interface.ip == found.public.ip());
            if own || advertised.iter().any(|candidate| candidate.address == found.public) {
                continue;
            }
            lines.push(found.candidate());
        }
        lines.extend(allocation.and_then(|number| self.turn.candidate(number)));
        lines
    }

    /// An allocation for a session that begins, and a fresh look at our public address.
    pub fn begin_session(&mut self, key: PeerKey, peer: IpAddr, now: Instant, out: &mut Vec<Datagram>) -> Option<u32> {
        self.public.confirm(now);
        self.tick(now, out);
        let number = self.turn.take(key, now)?;
        // Browsers hide their addresses or tell them late; media mostly comes from where the offer came from.
        self.turn.permit(number, peer, now);
        Some(number)
    }

    /// What becomes of each address of the machine.
    pub fn explain(&self) -> Vec<Verdict> {
        self.policy.explain(&self.network.interfaces)
    }

    /// Asks for a browser's name on the networks whose addresses peers are told. False: names are not looked up.
    pub fn find_name(&mut self, name: &str) -> bool {
        if !self.mdns {
            return false;
        }
        let verdicts = self.explain();
        let own = verdicts.into_iter().filter(|verdict| verdict.advertised);
        let from: Vec<Ipv4Addr> = own
            .filter_map(|verdict| match verdict.address {
                IpAddr::V4(ip) => Some(ip),
                IpAddr::V6(_) => None,
            })
            .collect();
        self.outputs.push(Output::FindName { name: name.to_owned(), from });
        true
    }

    /// The sockets that are bound: `udp 0.0.0.0:8555`.
    pub fn listening(&self) -> Vec<String> {
        self.network.bound.iter().map(|(protocol, local)| format!("{} {local}", protocol.name())).collect()
    }

    /// What could not be bound.
    pub fn problems(&self) -> &[PortProblem] {
        &self.network.problems
    }

    /// Why nobody could connect now, if so.
    pub fn no_media_port(&self) -> Option<NoMediaPort> {
        self.network.bound.is_empty().then(|| NoMediaPort(self.network.problems.first().cloned()))
    }

    pub fn interfaces(&self) -> &[Interface] {
        &self.network.interfaces
    }

    /// The UDP socket from which an address can be reached.
    pub fn socket_for(&self, remote: SocketAddr) -> Option<Socket> {
        nearest(&self.network.udp, remote.ip())
    }

    /// Our port on a UDP socket.
    fn udp_port(&self, socket: Socket) -> Option<u16> {
        let Socket::Udp(index) = socket else { return None };
        self.network.udp.iter().find(|(number, _)| *number == index).map(|(_, local)| local.port())
    }

    /// Our port on the way of a session; a TCP connection has the port that it was accepted on.
    pub fn local_port(&self, route: &Route) -> u16 {
        let port = match route.socket {
            Socket::Udp(_) => self.udp_port(route.socket),
            Socket::Tcp(_) => {
                let ip = route.local.unwrap_or(wildcard(route.remote.is_ipv6()));
                self.network.bound.port(Protocol::Tcp, ip)
            }
            Socket::Relay(number) => self.turn.relayed(number).map(|relayed| relayed.port()),
        };
        port.unwrap_or(0)
    }

    /// Our public addresses and the STUN servers, for the status page.
    pub fn report(&self, now: Instant) -> (Value, Value) {
        self.public.report(now)
    }

    /// What is to be done outside.
    pub fn outputs(&mut self) -> impl Iterator<Item = Output> {
        self.outputs.drain(..).chain(self.turn.outputs())
    }
}

/// Why nobody can connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoMediaPort(pub Option<PortProblem>);

impl std::fmt::Display for NoMediaPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the relay has no media port: ")?;
        match &self.0 {
            Some(problem) => problem.fmt(f),
            None => {
                f.write_str("webrtc.listen and webrtc.filters leave none of the addresses that this machine has now")
            }
        }
    }
}

/// The UDP socket that is nearest to an address: in its network, as far as equal beginnings tell.
fn nearest(udp: &[(u8, SocketAddr)], remote: IpAddr) -> Option<Socket> {
    let reaches = |local: IpAddr| {
        local.is_ipv4() == remote.is_ipv4() && (local.is_loopback() == remote.is_loopback() || local.is_unspecified())
    };
    let all = udp.iter().filter(|(_, local)| reaches(local.ip()));
    all.max_by_key(|(_, local)| common_bits(local.ip(), remote)).map(|(index, _)| Socket::Udp(*index))
}

/// Leading bits that two addresses of one family share.
fn common_bits(a: IpAddr, b: IpAddr) -> u32 {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_reached_from_the_socket_in_its_network() {
        let udp: Vec<(u8, SocketAddr)> = [(0, "127.0.0.1:1"), (3, "192.168.1.2:1"), (5, "10.0.0.2:1"), (9, "[::]:1")]
            .map(|(index, local)| (index, local.parse().unwrap()))
            .into();
        let at = |remote: &str| nearest(&udp, remote.parse().unwrap());
        assert_eq!(at("127.0.0.9"), Some(Socket::Udp(0)));
        assert_eq!((at("192.168.1.77"), at("10.9.9.9")), (Some(Socket::Udp(3)), Some(Socket::Udp(5))));
        assert_eq!((at("fd00::1"), at("::1")), (Some(Socket::Udp(9)), Some(Socket::Udp(9))));
        assert_eq!(nearest(&udp[..1], "10.0.0.1".parse().unwrap()), None, "nothing leads there from loopback");
    }
}
