//! Addresses on TURN servers: one allocation for each session that may need one, each on a way of its own to the server,
//! since a server knows an allocation by its 5-tuple (RFC 8656 section 2.2). No sockets and no clock: what is to be
//! opened, closed and said comes out.
use crate::engine::io::{Output, SendError, ToServer, Transport};
use crate::engine::keys::PeerKey;
use crate::gather::ice_servers::{Login, Servers, Uri};
use crate::gather::turn::{Allocation, FromServer, Outcome, candidate};
use crate::rtc::digest::Digest;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Allocations at one time, those that are being given back included.
const MAX_ALLOCATIONS: usize = 128;
/// A server that gave no allocation is left alone for this time.
const SERVER_RESTS: Duration = Duration::from_secs(30);
/// An allocation that no session took is given back.
const SPARE_LIVES: Duration = Duration::from_secs(60);
/// A session that is connected another way for this long needs its allocation no more.
pub const DIRECT_FOR: Duration = Duration::from_secs(10);

struct TurnServer {
    uri: Uri,
    login: Login,
    /// Of its name, the best first.
    addresses: Vec<SocketAddr>,
    last_error: Option<String>,
    /// Set when it gave no allocation, until it gives one.
    rests_until: Option<Instant>,
}

struct Pooled {
    allocation: Allocation,
    server: usize,
    /// The session that it is for.
    owner: Option<PeerKey>,
    since: Instant,
}

/// What a message from a server was.
pub enum Came<'m> {
    /// Nothing that changes anything for sessions.
    Nothing,
    /// From a peer, to our address on the server.
    Data { local: Option<IpAddr>, remote: SocketAddr, bytes: &'m [u8] },
    /// The allocation has its address.
    Ready,
    /// The allocation may have ended: see [`TurnPool::take_ended`].
    Changed,
}

/// An allocation that is over.
pub struct Ended {
    pub owner: Option<PeerKey>,
}

/// What time asks of an allocation's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Does this session still need it?
    Review(PeerKey, u32),
    /// It may have ended.
    Look(u32),
}

#[derive(Default)]
pub struct TurnPool {
    servers: Vec<TurnServer>,
    /// The address that all media leaves from, where `webrtc.listen` names one.
    host: Option<IpAddr>,
    /// `None` without servers.
    digest: Option<Digest>,
    all: HashMap<u32, Pooled>,
    last: u32,
    scratch: Vec<u8>,
    /// What allocations have to say.
    requests: Vec<(u32, Vec<u8>)>,
    outputs: Vec<Output>,
}

impl TurnPool {
    /// `host`: the address that all media leaves from, where `webrtc.listen` names one.
    pub fn new(servers: &Servers, host: Option<IpAddr>, digest: Digest) -> Self {
        let server = |(uri, login): &(Uri, Login)| TurnServer {
            uri: uri.clone(),
            login: login.clone(),
            addresses: Vec::new(),
            last_error: None,
            rests_until: None,
        };
        let servers: Vec<TurnServer> = servers.turn.iter().map(server).collect();
        let digest = (!servers.is_empty()).then_some(digest);
        Self { servers, host, digest, ..Self::default() }
    }

    /// The addresses of a server's name came in.
    pub fn resolved(&mut self, server: usize, result: Result<Vec<SocketAddr>, String>) {
        let Some(server) = self.servers.get_mut(server) else { return };
        match result {
            Ok(addresses) => server.addresses = addresses,
            Err(error) => server.last_error = Some(error),
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        let allocations = self.all.values().filter_map(|pooled| pooled.allocation.deadline());
        let reviews = self
            .all
            .values()
            .map(|pooled| pooled.since + if pooled.owner.is_some() { DIRECT_FOR } else { SPARE_LIVES });
        allocations.chain(reviews).min()
    }

    /// The allocation that no session has taken yet; asks for one if need be. `None`: no server gives one now.
    fn spare(&mut self, now: Instant) -> Option<u32> {
        let free = |(number, pooled): (&u32, &Pooled)| {
            let usable = pooled.allocation.is_allocating() || pooled.allocation.relayed().is_some();
            (pooled.owner.is_none() && usable).then_some(*number)
        };
        if let Some(number) = self.all.iter().find_map(free) {
            return Some(number);
        }
        while self.all.len() < MAX_ALLOCATIONS {
            let digest = self.digest.clone()?;
            let ready = |(_, server): &(usize, &TurnServer)| {
                !server.addresses.is_empty() && server.rests_until.is_none_or(|at| at <= now)
            };
            // The first, but those that failed last time are tried last: a network may let only some of them through.
            let servers = self.servers.iter().enumerate().filter(ready);
            let (index, server) = servers.min_by_key(|(_, server)| server.rests_until.is_some())?;
            let fits = |address: &SocketAddr| self.host.is_none_or(|host| host.is_ipv4() == address.is_ipv4());
            let addresses: Vec<SocketAddr> = server.addresses.iter().copied().filter(fits).collect();
            let number = self.last.wrapping_add(1).max(1);
            let allocation = Allocation::new(server.uri.transport, false, server.login.clone(), digest, now);
            if let Some(Some(error)) = allocation.over() {
                let error = error.to_owned();
                self.rest(index, error, now);
                continue;
            }
            self.outputs.push(Output::OpenTurn { number, uri: server.uri.clone(), addresses, from: self.host });
            self.last = number;
            self.all.insert(number, Pooled { allocation, server: index, owner: None, since: now });
            self.gather_requests(number);
            return Some(number);
        }
        None
    }

    /// Is a relayed address to be expected that is not there yet? Asks for one if need be.
    pub fn is_allocation_pending(&mut self, now: Instant) -> bool {
        self.spare(now).is_some_and(|number| self.is_allocating(number))
    }

    fn rest(&mut self, server: usize, error: String, now: Instant) {
        let Some(server) = self.servers.get_mut(server) else { return };
        log::warn!(target: "webrtc", "no relayed address server=\"{}\" error={error:?}", server.uri);
        server.last_error = Some(error);
        server.rests_until = Some(now + SERVER_RESTS);
    }

    /// Gives the spare allocation to a session.
    pub fn take(&mut self, owner: PeerKey, now: Instant) -> Option<u32> {
        let number = self.spare(now)?;
        let pooled = self.all.get_mut(&number)?;
        pooled.owner = Some(owner);
        pooled.since = now;
        Some(number)
    }

    /// Gives an allocation back to its server.
    pub fn release(&mut self, number: u32, now: Instant) {
        if let Some(pooled) = self.all.get_mut(&number) {
            (pooled.owner, pooled.since) = (None, now);
            pooled.allocation.release(now);
            self.gather_requests(number);
            if self.all.get(&number).is_some_and(|pooled| pooled.allocation.over().is_some()) {
                self.forget(number);
            }
        }
    }

    fn forget(&mut self, number: u32) -> Option<Pooled> {
        self.outputs.push(Output::CloseTurn(number));
        self.requests.retain(|(of, _)| *of != number);
        self.all.remove(&number)
    }

    pub fn is_allocating(&self, number: u32) -> bool {
        self.all.get(&number).is_some_and(|pooled| pooled.allocation.is_allocating())
    }

    /// Our address on the server, when there is one.
    pub fn relayed(&self, number: u32) -> Option<SocketAddr> {
        self.all.get(&number)?.allocation.relayed()
    }

    /// Lets packets of a peer through. A proxy on this machine is no peer.
    pub fn permit(&mut self, number: u32, peer: IpAddr, now: Instant) {
        if let Some(pooled) = self.all.get_mut(&number).filter(|_| !peer.is_loopback()) {
            pooled.allocation.permit(now, peer);
            self.gather_requests(number);
        }
    }

    /// Sends to a peer through an allocation; where no way leads to the peer, the bytes are lost as on any network.
    ///
    /// # Errors
    /// If the way to the server takes no more now.
    pub fn send(
        &mut self,
        number: u32,
        peer: SocketAddr,
        bytes: &[u8],
        now: Instant,
        transport: &mut dyn Transport,
    ) -> Result<(), SendError> {
        let Some(pooled) = self.all.get_mut(&number) else { return Ok(()) };
        self.scratch.clear();
        let wrapped = pooled.allocation.wrap(now, peer, bytes, &mut self.scratch);
        self.gather_requests(number);
        self.flush(transport);
        if wrapped { transport.send_to_server(number, ToServer::Data(&self.scratch)) } else { Ok(()) }
    }

    fn gather_requests(&mut self, number: u32) {
        if let Some(pooled) = self.all.get_mut(&number) {
            self.requests.extend(pooled.allocation.take_out().map(|message| (number, message)));
        }
    }

    /// Says what allocations have to say, once the way to the server is open. What the kernel refuses is sent again by
    /// their own schedule.
    pub fn flush(&mut self, transport: &mut dyn Transport) {
        let is_to_be_opened = |output: &Output| matches!(output, Output::OpenTurn { .. });
        if self.outputs.iter().any(is_to_be_opened) {
            return;
        }
        for (number, message) in self.requests.drain(..) {
            let _ = transport.send_to_server(number, ToServer::Request(&message));
        }
    }

    /// What is to be opened and closed.
    pub fn outputs(&mut self) -> impl Iterator<Item = Output> {
        self.outputs.drain(..)
    }

    /// The relay candidate, when there is one.
    pub fn candidate(&self, number: u32) -> Option<String> {
        self.relayed(number).map(candidate)
    }

    /// Takes what came from the server of an allocation.
    pub fn handle<'m>(&mut self, number: u32, input: &'m FromServer, now: Instant) -> Came<'m> {
        let Some(pooled) = self.all.get_mut(&number) else { return Came::Nothing };
        let before = pooled.allocation.relayed();
        let outcome = match input {
            FromServer::Message(bytes) => pooled.allocation.handle(now, bytes),
            FromServer::Closed(error) => {
                pooled.allocation.lose(error);
                Outcome::Taken
            }
        };
        if let Outcome::Data(remote, bytes) = outcome {
            return Came::Data { local: before.map(|relayed| relayed.ip()), remote, bytes };
        }
        let ready = before.is_none() && pooled.allocation.relayed().is_some();
        self.gather_requests(number);
        if ready { Came::Ready } else { Came::Changed }
    }

    /// An allocation has its address: its server works. Answers the session that it is for.
    pub fn note_ready(&mut self, number: u32) -> Option<PeerKey> {
        let pooled = self.all.get(&number)?;
        let server = self.servers.get_mut(pooled.server)?;
        (server.last_error, server.rests_until) = (None, None);
        let address = pooled.allocation.relayed();
        log::debug!(target: "webrtc", "relayed address={address:?} server=\"{}\"", server.uri);
        pooled.owner
    }

    /// Forgets an allocation that is over, if it is.
    pub fn take_ended(&mut self, number: u32, now: Instant) -> Option<Ended> {
        let error = self.all.get(&number)?.allocation.over()?.map(str::to_owned);
        let Pooled { server, owner, .. } = self.forget(number)?;
        if let Some(error) = error {
            self.rest(server, error, now);
        }
        Some(Ended { owner })
    }

    /// Does what is due, and answers what is to be looked at.
    pub fn tick(&mut self, now: Instant) -> Vec<Due> {
        let mut due = Vec::new();
        if self.deadline().is_none_or(|at| at > now) {
            return due;
        }
        for number in self.all.keys().copied().collect::<Vec<_>>() {
            let Some(pooled) = self.all.get_mut(&number) else { continue };
            if pooled.allocation.deadline().is_some_and(|at| at <= now) {
                pooled.allocation.tick(now);
            }
            let age = now.saturating_duration_since(pooled.since);
            match pooled.owner {
                None if age >= SPARE_LIVES => self.release(number, now),
                Some(key) if age >= DIRECT_FOR => {
                    pooled.since = now;
                    due.push(Due::Review(key, number));
                }
                _ => {}
            }
            self.gather_requests(number);
            due.push(Due::Look(number));
        }
        due
    }

    /// For the status page.
    pub fn report(&self) -> Value {
        let list = self.servers.iter().enumerate().map(|(index, server)| {
            let allocations = self.all.values().filter(|pooled| pooled.server == index).count();
            json!({"url": server.uri.to_string(), "allocations": allocations, "error": server.last_error})
        });
        list.collect()
    }
}
