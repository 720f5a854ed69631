//! TURN in the engine: one allocation for each session that may need one, on a socket of its own, since a server knows
//! an allocation by its 5-tuple (RFC 8656 section 2.2). A session that found a direct way gives its allocation back.
use super::Engine;
use super::peer::Peer;
use super::public::Outside;
use super::wire::Wire;
use crate::net::policy::wildcard;
use crate::net::route::{Route, Socket};
use crate::net::servers::{Login, Servers, Uri};
use crate::net::turn::{Allocation, Outcome};
use crate::rtc::digest::Digest;
use crate::rtc::ice::RELAY_PRIORITY;
use crate::stream::relay::{Answer, Error, Offer};
use serde_json::{Value, json};
use socket2::SockRef;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

/// An answer over HTTP waits so long for a relayed address; over a WebSocket it comes later.
const ANSWER_WAITS: Duration = Duration::from_millis(300);
/// Offers that wait for a relayed address; further ones are answered without it.
const MAX_HELD: usize = 16;
/// Allocations at one time, those that are being given back included.
const MAX_ALLOCATIONS: usize = 128;
/// A server that gave no allocation is left alone for this time.
const SERVER_RESTS: Duration = Duration::from_secs(30);
/// An allocation that no session took is given back.
const SPARE_LIVES: Duration = Duration::from_secs(60);
/// A session that is connected another way for so long needs its allocation no more.
const DIRECT_FOR: Duration = Duration::from_secs(10);
/// Longest datagram of a server: an RTP packet and an indication's header.
const MAX_DATAGRAM: usize = 4096;

struct TurnServer {
    name: String,
    login: Login,
    addresses: Vec<SocketAddr>,
    last_error: Option<String>,
    rests_until: Option<Instant>,
}

struct Relayed {
    allocation: Allocation,
    server: usize,
    socket: Arc<UdpSocket>,
    reader: AbortHandle,
    /// The session that it is for.
    owner: Option<u32>,
    since: Instant,
}

impl Relayed {
    /// Lets out what the allocation has to say. What the kernel refuses is sent again by its own schedule.
    fn flush(&mut self) {
        for bytes in self.allocation.take_out() {
            let _ = send(&self.socket, &bytes);
        }
    }
}

impl Drop for Relayed {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// An offer whose answer shall hold a relayed address.
struct Held {
    offer: Offer,
    reply: oneshot::Sender<Result<Answer, Error>>,
    until: Instant,
}

#[derive(Default)]
pub struct Relays {
    servers: Vec<TurnServer>,
    /// Where sockets are bound and where their datagrams go; `None` without servers.
    edge: Option<(Option<IpAddr>, Digest, mpsc::Sender<Outside>)>,
    all: HashMap<u32, Relayed>,
    next: u32,
    held: Vec<Held>,
    scratch: Vec<u8>,
}

impl Relays {
    /// `host`: the address that all media leaves from, where `webrtc.listen` names one.
    pub fn new(servers: &Servers, host: Option<IpAddr>, digest: Digest, inputs: mpsc::Sender<Outside>) -> Self {
        let server = |(uri, login): &(Uri, Login)| TurnServer {
            name: uri.to_string(),
            login: login.clone(),
            addresses: Vec::new(),
            last_error: None,
            rests_until: None,
        };
        let servers: Vec<TurnServer> = servers.turn.iter().map(server).collect();
        let edge = (!servers.is_empty()).then_some((host, digest, inputs));
        Self { servers, edge, ..Self::default() }
    }

    pub fn resolved(&mut self, server: usize, result: Result<Vec<SocketAddr>, String>, _now: Instant) {
        let Some(server) = self.servers.get_mut(server) else { return };
        match result {
            Ok(addresses) => server.addresses = addresses,
            Err(error) => server.last_error = Some(error),
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        let allocations = self.all.values().filter_map(|relayed| relayed.allocation.deadline());
        let held = self.held.iter().map(|held| held.until);
        let looks = self
            .all
            .values()
            .map(|relayed| relayed.since + if relayed.owner.is_some() { DIRECT_FOR } else { SPARE_LIVES });
        allocations.chain(held).chain(looks).min()
    }

    /// The allocation that no session has taken yet; asks for one if need be. `None`: no server gives one now.
    fn spare(&mut self, now: Instant) -> Option<u32> {
        let free = |(number, relayed): (&u32, &Relayed)| {
            let usable = relayed.allocation.is_allocating() || relayed.allocation.relayed().is_some();
            (relayed.owner.is_none() && usable).then_some(*number)
        };
        if let Some(number) = self.all.iter().find_map(free) {
            return Some(number);
        }
        if self.all.len() >= MAX_ALLOCATIONS {
            return None;
        }
        let (host, digest, inputs) = self.edge.as_ref()?;
        let fits = |address: &&SocketAddr| host.is_none_or(|host| host.is_ipv4() == address.is_ipv4());
        let ready = |server: &TurnServer| server.rests_until.is_none_or(|at| at <= now);
        let (index, server, address) = self.servers.iter().enumerate().find_map(|(index, server)| {
            let address = server.addresses.iter().find(fits).filter(|_| ready(server))?;
            Some((index, server, *address))
        })?;
        let number = self.next.wrapping_add(1).max(1);
        match open(*host, address, number, inputs.clone()) {
            Ok((socket, reader)) => {
                let allocation = Allocation::new(server.login.clone(), digest.clone(), now);
                let mut relayed = Relayed { allocation, server: index, socket, reader, owner: None, since: now };
                relayed.flush();
                self.next = number;
                self.all.insert(number, relayed);
                Some(number)
            }
            Err(error) => {
                self.rest(index, format!("no socket towards {address}: {error}"), now);
                None
            }
        }
    }

    fn rest(&mut self, server: usize, error: String, now: Instant) {
        let Some(server) = self.servers.get_mut(server) else { return };
        log::warn!(target: "webrtc", "no relayed address server={:?} error={error:?}", server.name);
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
            relayed.allocation.release(now);
            relayed.flush();
            if relayed.allocation.over().is_some() {
                self.all.remove(&number);
            }
        }
    }

    pub fn is_allocating(&self, number: u32) -> bool {
        self.all.get(&number).is_some_and(|relayed| relayed.allocation.is_allocating())
    }

    pub fn relayed(&self, number: u32) -> Option<SocketAddr> {
        self.all.get(&number)?.allocation.relayed()
    }

    /// Lets packets of a peer through. A proxy on this machine is no peer.
    pub fn permit(&mut self, number: u32, peer: IpAddr, now: Instant) {
        if peer.is_loopback() {
            return;
        }
        if let Some(relayed) = self.all.get_mut(&number) {
            relayed.allocation.permit(now, peer);
            relayed.flush();
        }
    }

    /// Sends through an allocation. A full kernel buffer answers `WouldBlock`.
    pub fn send(&mut self, number: u32, peer: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let Some(relayed) = self.all.get_mut(&number) else { return Ok(()) };
        self.scratch.clear();
        let wrapped = relayed.allocation.wrap(Instant::now(), peer, bytes, &mut self.scratch);
        relayed.flush();
        if wrapped { send(&relayed.socket, &self.scratch) } else { Ok(()) }
    }

    /// The relay candidate (RFC 8839 section 5.1), when there is one. The related address says nothing of our network.
    pub fn line(&self, number: u32) -> Option<String> {
        let relayed = self.relayed(number)?;
        let family = if relayed.is_ipv4() { 4 } else { 6 };
        let related = wildcard(relayed.is_ipv6());
        let (ip, port) = (relayed.ip(), relayed.port());
        Some(format!("candidate:relay{family} 1 udp {RELAY_PRIORITY} {ip} {port} typ relay raddr {related} rport 0"))
    }

    /// For the status page.
    pub fn report(&self) -> Value {
        let list = self.servers.iter().enumerate().map(|(index, server)| {
            let allocations = self.all.values().filter(|relayed| relayed.server == index).count();
            json!({"url": server.name, "allocations": allocations, "error": server.last_error})
        });
        list.collect()
    }
}

/// Sends past the runtime, which refuses to write to a socket before it has seen it ready.
fn send(socket: &UdpSocket, bytes: &[u8]) -> io::Result<()> {
    SockRef::from(socket).send(bytes).map(|_| ())
}

/// A socket towards one server, and the task that reads it.
fn open(
    host: Option<IpAddr>,
    server: SocketAddr,
    number: u32,
    inputs: mpsc::Sender<Outside>,
) -> io::Result<(Arc<UdpSocket>, AbortHandle)> {
    let socket = std::net::UdpSocket::bind((host.unwrap_or(wildcard(server.is_ipv6())), 0))?;
    socket.connect(server)?;
    socket.set_nonblocking(true)?;
    let socket = Arc::new(UdpSocket::from_std(socket)?);
    let source = socket.clone();
    let reader = tokio::spawn(async move {
        let mut buffer = vec![0; MAX_DATAGRAM];
        loop {
            match source.recv(&mut buffer).await {
                Ok(length) => {
                    let bytes = buffer[..length].to_vec();
                    if inputs.send(Outside::Relay { number, bytes }).await.is_err() {
                        return;
                    }
                }
                // The server is not there, for now: the requests' own schedule tells how long that is waited for.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    });
    Ok((socket, reader.abort_handle()))
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
    /// Keeps an offer back until its answer can hold a relayed address, where that is worth a moment.
    pub(super) fn hold(
        &mut self,
        offer: Offer,
        reply: oneshot::Sender<Result<Answer, Error>>,
        now: Instant,
    ) -> Option<(Offer, oneshot::Sender<Result<Answer, Error>>)> {
        let relays = &mut self.wire.relays;
        let wait = relays.spare(now).is_some_and(|number| relays.is_allocating(number));
        if !wait || offer.protocol != "http" || relays.held.len() >= MAX_HELD {
            return Some((offer, reply));
        }
        relays.held.push(Held { offer, reply, until: now + ANSWER_WAITS });
        None
    }

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

    pub(super) fn on_relay_datagram(&mut self, number: u32, bytes: &[u8], now: Instant) {
        let Some(relayed) = self.wire.relays.all.get_mut(&number) else { return };
        let before = relayed.allocation.relayed();
        let outcome = relayed.allocation.handle(now, bytes);
        relayed.flush();
        match outcome {
            Outcome::Data(remote, data) => {
                let local = before.map(|relayed| relayed.ip());
                self.on_datagram(now, Route { socket: Socket::Relay(number), local, remote }, data);
            }
            Outcome::Taken if before.is_none() && relayed.allocation.relayed().is_some() => {
                self.on_relay_ready(number, now)
            }
            Outcome::Taken => self.look_at_relay(number, now),
        }
    }

    fn on_relay_ready(&mut self, number: u32, now: Instant) {
        let line = self.wire.relays.line(number);
        let Some(relayed) = self.wire.relays.all.get(&number) else { return };
        let (server, owner) = (relayed.server, relayed.owner);
        let server = &mut self.wire.relays.servers[server];
        (server.last_error, server.rests_until) = (None, None);
        log::debug!(target: "webrtc", "relayed address={:?} server={:?}", relayed.allocation.relayed(), server.name);
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

    /// The spare allocation is ready: who waited longest gets it, the others get another one.
    fn answer_with_spare(&mut self, now: Instant) {
        let Some(oldest) = self.wire.relays.held.iter().map(|held| held.until).min() else { return };
        self.let_go(now, |held| held.until <= oldest);
        if !self.wire.relays.held.is_empty() {
            self.wire.relays.spare(now);
        }
    }

    /// Answers offers that were held back.
    fn let_go(&mut self, now: Instant, which: impl Fn(&Held) -> bool) {
        let (go, stay) = std::mem::take(&mut self.wire.relays.held).into_iter().partition(which);
        self.wire.relays.held = stay;
        for Held { offer, reply, .. } in go {
            self.answer_offer(offer, reply, now);
        }
    }

    /// Forgets an allocation that ended; its session goes on without it.
    fn look_at_relay(&mut self, number: u32, now: Instant) {
        let Some(relayed) = self.wire.relays.all.get(&number) else { return };
        let Some(error) = relayed.allocation.over() else { return };
        let (error, server, owner) = (error.map(str::to_owned), relayed.server, relayed.owner);
        self.wire.relays.all.remove(&number);
        if let Some(error) = error {
            self.wire.relays.rest(server, error, now);
        }
        if let Some(peer) = owner.and_then(|key| self.peers.get_mut(&key)) {
            peer.relay = None;
            if let Some(late) = peer.late.take() {
                let _ = late.send(Ok(Vec::new()));
            }
        }
        self.on_lost_socket(Socket::Relay(number), now);
        if owner.is_none() {
            self.let_go(now, |_| true);
        }
    }

    pub(super) fn tick_relays(&mut self, now: Instant) {
        if self.wire.relays.deadline().is_none_or(|at| at > now) {
            return;
        }
        self.let_go(now, |held| held.until <= now);
        for number in self.wire.relays.all.keys().copied().collect::<Vec<_>>() {
            let Some(relayed) = self.wire.relays.all.get_mut(&number) else { continue };
            if relayed.allocation.deadline().is_some_and(|at| at <= now) {
                relayed.allocation.tick(now);
                relayed.flush();
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
