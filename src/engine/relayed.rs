//! TURN in the engine: one allocation for each session that may need one, on a socket of its own, since a server knows
//! an allocation by its 5-tuple (RFC 8656 section 2.2). A session that found a direct way gives its allocation back.
use super::Engine;
use super::peer::Peer;
use super::wire::Wire;
use crate::gather::ice_servers::Servers;
use crate::net::turn::{Client, Input, Inputs, Outcome, Server, candidate};
use crate::rtc::digest::Digest;
use crate::rtc::route::{Route, Socket};
use crate::stream::relay::Error;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Allocations at one time, those that are being given back included.
const MAX_ALLOCATIONS: usize = 128;
/// A server that gave no allocation is left alone for this time.
const SERVER_RESTS: Duration = Duration::from_secs(30);
/// An allocation that no session took is given back.
const SPARE_LIVES: Duration = Duration::from_secs(60);
/// A session that is connected another way for so long needs its allocation no more.
const DIRECT_FOR: Duration = Duration::from_secs(10);

struct TurnServer {
    server: Server,
    last_error: Option<String>,
    /// Set when it gave no allocation, until it gives one.
    rests_until: Option<Instant>,
}

struct Relayed {
    client: Client,
    server: usize,
    /// The session that it is for.
    owner: Option<u32>,
    since: Instant,
}

impl Relayed {
    fn is_allocating(&self) -> bool {
        self.client.allocation().is_allocating()
    }

    fn address(&self) -> Option<SocketAddr> {
        self.client.allocation().relayed()
    }
}

#[derive(Default)]
pub struct Relays {
    servers: Vec<TurnServer>,
    /// Where sockets are bound and where their messages go; `None` without servers.
    edge: Option<(Option<IpAddr>, Digest, Inputs)>,
    all: HashMap<u32, Relayed>,
    next: u32,
}

impl Relays {
    /// `host`: the address that all media leaves from, where `webrtc.listen` names one.
    pub fn new(servers: &Servers, host: Option<IpAddr>, digest: Digest, inputs: Inputs) -> Self {
        let server = |(uri, login): &(_, _)| {
            let (uri, login) = (Clone::clone(uri), Clone::clone(login));
            TurnServer {
                server: Server { uri, login, addresses: Vec::new(), v6: false },
                last_error: None,
                rests_until: None,
            }
        };
        let servers: Vec<TurnServer> = servers.turn.iter().map(server).collect();
        let edge = (!servers.is_empty()).then_some((host, digest, inputs));
        Self { servers, edge, ..Self::default() }
    }

    pub fn resolved(&mut self, server: usize, result: Result<Vec<SocketAddr>, String>, _now: Instant) {
        let Some(server) = self.servers.get_mut(server) else { return };
        match result {
            Ok(addresses) => server.server.addresses = addresses,
            Err(error) => server.last_error = Some(error),
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        let allocations = self.all.values().filter_map(|relayed| relayed.client.allocation().deadline());
        let looks = self
            .all
            .values()
            .map(|relayed| relayed.since + if relayed.owner.is_some() { DIRECT_FOR } else { SPARE_LIVES });
        allocations.chain(looks).min()
    }

    /// The allocation that no session has taken yet; asks for one if need be. `None`: no server gives one now.
    fn spare(&mut self, now: Instant) -> Option<u32> {
        let free = |(number, relayed): (&u32, &Relayed)| {
            let usable = relayed.is_allocating() || relayed.address().is_some();
            (relayed.owner.is_none() && usable).then_some(*number)
        };
        if let Some(number) = self.all.iter().find_map(free) {
            return Some(number);
        }
        while self.all.len() < MAX_ALLOCATIONS {
            let (host, digest, inputs) = self.edge.as_ref()?;
            let ready = |(_, server): &(usize, &TurnServer)| {
                !server.server.addresses.is_empty() && server.rests_until.is_none_or(|at| at <= now)
            };
            // The first, but those that failed last time are tried last: a network may let only some of them through.
            let servers = self.servers.iter().enumerate().filter(ready);
            let (index, server) = servers.min_by_key(|(_, server)| server.rests_until.is_some())?;
            let number = self.next.wrapping_add(1).max(1);
            match Client::open(&server.server, *host, digest.clone(), now, number, inputs.clone()) {
                Ok(client) => {
                    self.next = number;
                    self.all.insert(number, Relayed { client, server: index, owner: None, since: now });
                    return Some(number);
                }
                Err(error) => self.rest(index, error.to_string(), now),
            }
        }
        None
    }

    /// Is a relayed address to be expected that is not there yet? Asks for one if need be.
    pub fn soon(&mut self, now: Instant) -> bool {
        self.spare(now).is_some_and(|number| self.is_allocating(number))
    }

    fn rest(&mut self, server: usize, error: String, now: Instant) {
        let Some(server) = self.servers.get_mut(server) else { return };
        log::warn!(target: "webrtc", "no relayed address server=\"{}\" error={error:?}", server.server.uri);
        server.last_error = Some(error);
        server.rests_until = Some(now + SERVER_RESTS);
    }

    /// Gives the spare allocation to a session.
    pub fn take(&mut self, owner: u32, now: Instant) -> Option<u32> {
        let number = self.spare(now)?;
        let relayed = self.all.get_mut(&number)?;
        relayed.owner = Some(owner);
        relayed.since = now;
        Some(number)
    }

    pub fn release(&mut self, number: u32, now: Instant) {
        if let Some(relayed) = self.all.get_mut(&number) {
            (relayed.owner, relayed.since) = (None, now);
            relayed.client.release(now);
            if relayed.client.allocation().over().is_some() {
                self.all.remove(&number);
            }
        }
    }

    pub fn is_allocating(&self, number: u32) -> bool {
        self.all.get(&number).is_some_and(Relayed::is_allocating)
    }

    pub fn relayed(&self, number: u32) -> Option<SocketAddr> {
        self.all.get(&number)?.address()
    }

    /// Lets packets of a peer through. A proxy on this machine is no peer.
    pub fn permit(&mut self, number: u32, peer: IpAddr, now: Instant) {
        if let Some(relayed) = self.all.get_mut(&number).filter(|_| !peer.is_loopback()) {
            relayed.client.permit(now, peer);
        }
    }

    /// Sends through an allocation. A full queue or kernel buffer answers `WouldBlock`.
    pub fn send(&mut self, number: u32, peer: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let Some(relayed) = self.all.get_mut(&number) else { return Ok(()) };
        relayed.client.send(Instant::now(), peer, bytes)
    }

    /// The relay candidate, when there is one.
    pub fn line(&self, number: u32) -> Option<String> {
        self.relayed(number).map(candidate)
    }

    /// For the status page.
    pub fn report(&self) -> Value {
        let list = self.servers.iter().enumerate().map(|(index, server)| {
            let allocations = self.all.values().filter(|relayed| relayed.server == index).count();
            json!({"url": server.server.uri.to_string(), "allocations": allocations, "error": server.last_error})
        });
        list.collect()
    }
}

/// Lets a session check one candidate of its peer through its allocation.
pub(super) fn add_relayed(wire: &mut Wire, peer: &mut Peer, address: SocketAddr, priority: u32, now: Instant) {
    let Some(number) = peer.relay else { return };
    wire.relays.permit(number, address.ip(), now);
    if wire.relays.relayed(number).is_some_and(|relayed| relayed.is_ipv4() == address.is_ipv4()) {
        peer.session.ice_mut().add_remote(now, Socket::Relay(number), address, priority);
    }
}

impl Engine {
    /// Candidates of a session that come after its answer.
    pub(super) fn on_late_candidates(&mut self, id: &str, reply: oneshot::Sender<Result<Vec<String>, Error>>) {
        let found = self.key_of(id).map(|key| self.peers.get_mut(&key));
        match found {
            Ok(Some(peer)) => match peer.relay {
                Some(number) if self.wire.relays.is_allocating(number) => peer.late = Some(reply),
                Some(number) => drop(reply.send(Ok(self.wire.relays.line(number).into_iter().collect()))),
                None => drop(reply.send(Ok(Vec::new()))),
            },
            Ok(None) => {}
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    pub(super) fn on_relay_input(&mut self, number: u32, input: &Input, now: Instant) {
        let Some(relayed) = self.wire.relays.all.get_mut(&number) else { return };
        let before = relayed.address();
        match relayed.client.handle(now, input) {
            Outcome::Data(remote, data) => {
                let local = before.map(|relayed| relayed.ip());
                self.on_datagram(now, Route { socket: Socket::Relay(number), local, remote }, data);
            }
            Outcome::Taken if before.is_none() && relayed.address().is_some() => self.on_relay_ready(number, now),
            Outcome::Taken => self.look_at_relay(number, now),
        }
    }

    fn on_relay_ready(&mut self, number: u32, now: Instant) {
        let line = self.wire.relays.line(number);
        let Some(relayed) = self.wire.relays.all.get(&number) else { return };
        let (server, owner) = (relayed.server, relayed.owner);
        let server = &mut self.wire.relays.servers[server];
        (server.last_error, server.rests_until) = (None, None);
        let address = relayed.address();
        log::debug!(target: "webrtc", "relayed address={address:?} server=\"{}\"", server.server.uri);
        match owner.and_then(|key| self.peers.get_mut(&key)) {
            Some(peer) => {
                for (address, priority) in peer.remotes.clone() {
                    add_relayed(&mut self.wire, peer, address, priority, now);
                }
                peer.due = Some(now);
                if let Some(late) = peer.late.take() {
                    let _ = late.send(Ok(line.into_iter().collect()));
                }
            }
            None => self.answer_with_spare(now),
        }
    }

    /// Forgets an allocation that ended; its session goes on without it, or with another server's.
    fn look_at_relay(&mut self, number: u32, now: Instant) {
        let Some(relayed) = self.wire.relays.all.get(&number) else { return };
        let Some(error) = relayed.client.allocation().over() else { return };
        let (error, server, owner) = (error.map(str::to_owned), relayed.server, relayed.owner);
        self.wire.relays.all.remove(&number);
        if let Some(error) = error {
            self.wire.relays.rest(server, error, now);
        }
        if let Some((key, peer)) = owner.and_then(|key| Some((key, self.peers.get_mut(&key)?))) {
            // A session with a direct way needs none any more.
            let way = peer.session.ice().selected().filter(|_| peer.connected.is_some());
            let direct = way.is_some_and(|route| route.socket != Socket::Relay(number));
            peer.relay = if direct { None } else { self.wire.relays.take(key, now) };
            match peer.relay {
                // Who asks is answered when that one is known.
                Some(other) => self.on_relay_replaced(key, other, now),
                None => drop(peer.late.take().map(|late| late.send(Ok(Vec::new())))),
            }
        }
        self.on_lost_socket(Socket::Relay(number), now);
        if owner.is_none() {
            self.answer_without_spare(now);
        }
    }

    /// A session has another allocation than before, which may be there already.
    fn on_relay_replaced(&mut self, key: u32, number: u32, now: Instant) {
        let Some(peer) = self.peers.get(&key) else { return };
        self.wire.relays.permit(number, peer.origin.remote.ip(), now);
        if self.wire.relays.relayed(number).is_some() {
            self.on_relay_ready(number, now);
        }
    }

    pub(super) fn tick_relays(&mut self, now: Instant) {
        if self.wire.relays.deadline().is_none_or(|at| at > now) {
            return;
        }
        for number in self.wire.relays.all.keys().copied().collect::<Vec<_>>() {
            let Some(relayed) = self.wire.relays.all.get_mut(&number) else { continue };
            if relayed.client.allocation().deadline().is_some_and(|at| at <= now) {
                relayed.client.tick(now);
            }
            let age = now.saturating_duration_since(relayed.since);
            match relayed.owner {
                None if age >= SPARE_LIVES => self.wire.relays.release(number, now),
                Some(key) if age >= DIRECT_FOR => {
                    relayed.since = now;
                    self.drop_unused(key, number, now);
                }
                _ => {}
            }
            self.look_at_relay(number, now);
        }
    }

    /// Gives an allocation back whose session is connected another way, or is gone.
    fn drop_unused(&mut self, key: u32, number: u32, now: Instant) {
        let used =
            |peer: &Peer| peer.session.ice().selected().is_some_and(|route| route.socket == Socket::Relay(number));
        let Some(peer) = self.peers.get_mut(&key) else { return self.wire.relays.release(number, now) };
        let settled = peer.connected.is_some_and(|at| now.saturating_duration_since(at) >= DIRECT_FOR);
        if settled && !used(peer) {
            peer.relay = None;
            self.wire.relays.release(number, now);
            self.on_lost_socket(Socket::Relay(number), now);
        }
    }
}
