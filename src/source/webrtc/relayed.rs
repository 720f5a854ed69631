//! An address on a TURN server for one call, for cameras that no direct way leads to: asked of the servers that
//! the call was given, given back when the call ends or went another way.
use super::call::Call;
use super::url::IceServer;
use crate::gather::ice_servers::{Kind, MAX_SERVERS};
use crate::gather::scope::Scope;
use crate::net::resolve;
use crate::net::turn::{self, Client, FromServer, Inputs, Outcome, Server};
use crate::rtc::digest::Digest;
use crate::rtc::route::{Route, Socket};
use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Messages of servers that wait; a full queue leaves them to the kernel.
const INPUTS: usize = 128;
/// The next server is asked beside the ones before it when those gave nothing for so long: a network that swallows
/// everything but one of them shall not cost the camera's patience.
const NEXT_SERVER: Duration = Duration::from_secs(1);
/// A call that is connected another way for so long needs the address no more.
const DIRECT_FOR: Duration = Duration::from_secs(10);
/// Addresses of the camera that are let through; an allocation has room for as many.
const MAX_PEERS: usize = 32;

/// The addresses of a server by its number, or why there are none.
pub type Resolved = (usize, Result<Vec<SocketAddr>, String>);

/// What happened: a name was looked up, or a server said something.
pub enum Come {
    Resolved(Resolved),
    Received(u32, FromServer),
}

/// A server that was asked.
struct Attempt {
    number: u32,
    server: usize,
    client: Client,
}

pub struct Relayed {
    /// It is for a camera of IPv6.
    v6: bool,
    servers: Vec<Server>,
    digest: Option<Digest>,
    names: JoinSet<Resolved>,
    /// Servers whose addresses are known and that were not asked yet, the first to ask first.
    waiting: Vec<usize>,
    next_at: Option<Instant>,
    next_number: u32,
    /// Once one of them has an address for us it is the only one.
    attempts: Vec<Attempt>,
    /// The allocation is needed no more, or was: no other is asked for.
    settled: bool,
    /// The attempt whose address was told.
    told: Option<u32>,
    peers: Vec<IpAddr>,
    /// When the call was first seen to be connected another way.
    direct_since: Option<Instant>,
    /// What servers said that gave nothing: URI and reason.
    errors: Vec<(String, String)>,
    inputs: (Inputs, mpsc::Receiver<(u32, FromServer)>),
}

impl Relayed {
    /// For a camera of IPv6, or of IPv4. Numbers tell both apart: see [`Self::is_of`].
    pub fn new(v6: bool) -> Self {
        Self {
            v6,
            servers: Vec::new(),
            digest: None,
            names: JoinSet::new(),
            waiting: Vec::new(),
            next_at: None,
            next_number: u32::from(v6),
            attempts: Vec::new(),
            settled: false,
            told: None,
            peers: Vec::new(),
            direct_since: None,
            errors: Vec::new(),
            inputs: mpsc::channel(INPUTS),
        }
    }

    /// Is this the number of an allocation for a camera of IPv6?
    pub fn is_of(number: u32) -> bool {
        number % 2 == 1
    }

    /// Looks the TURN servers among these up and asks them, after those of a list before.
    pub fn begin(&mut self, servers: &[IceServer], scope: Scope, digest: &Digest) {
        let turn = servers.iter().filter(|server| matches!(server.uri.kind, Kind::Turn | Kind::Turns));
        self.digest = Some(digest.clone());
        for IceServer { uri, login } in turn.take(MAX_SERVERS) {
            let number = self.servers.len();
            self.servers.push(Server { uri: uri.clone(), login: login.clone(), addresses: Vec::new(), v6: self.v6 });
            let uri = uri.clone();
            self.names.spawn(async move { (number, resolve::server(&uri, scope).await) });
        }
    }

    /// Some server may still give an address.
    pub fn is_looking(&self) -> bool {
        let busy = !self.names.is_empty() || !self.waiting.is_empty() || !self.attempts.is_empty();
        !self.settled && busy && self.ready().is_none()
    }

    /// The attempt that has an address, and that.
    fn ready(&self) -> Option<(u32, SocketAddr)> {
        self.attempts.iter().find_map(|attempt| Some((attempt.number, attempt.client.allocation().relayed()?)))
    }

    /// Waits for the next thing.
    pub async fn next(&mut self) -> Come {
        let (names, inputs) = (&mut self.names, &mut self.inputs.1);
        tokio::select! {
            resolved = async { match names.join_next().await { Some(Ok(resolved)) => resolved, _ => pending().await } } => {
                Come::Resolved(resolved)
            }
            input = async { match inputs.recv().await { Some(input) => input, None => pending().await } } => {
                Come::Received(input.0, input.1)
            }
        }
    }

    pub fn handle(&mut self, come: Come, call: &mut Call, now: Instant) {
        match come {
            Come::Resolved((server, found)) => self.know(server, found, now),
            Come::Received(number, input) => self.take(number, &input, call, now),
        }
    }

    fn know(&mut self, number: usize, found: Result<Vec<SocketAddr>, String>, now: Instant) {
        match found {
            Ok(addresses) => {
                self.servers[number].addresses = addresses;
                let at = self.waiting.partition_point(|waiting| *waiting < number);
                self.waiting.insert(at, number);
                self.ask_next(now);
            }
            Err(error) => self.note(number, error),
        }
    }

    fn note(&mut self, server: usize, error: String) {
        let uri = self.servers[server].uri.to_string();
        log::warn!(target: "webrtc", "no relayed address for a camera server=\"{uri}\" error={error:?}");
        self.errors.push((uri, error));
    }

    /// Asks the servers whose turn it is.
    fn ask_next(&mut self, now: Instant) {
        while !self.settled
            && !self.waiting.is_empty()
            && self.ready().is_none()
            && self.next_at.is_none_or(|at| at <= now)
            && let Some(digest) = self.digest.clone()
        {
            let server = self.waiting.remove(0);
            let number = self.next_number;
            match Client::open(&self.servers[server], None, digest, now, number, self.inputs.0.clone()) {
                Ok(mut client) => {
                    self.peers.iter().for_each(|ip| client.permit(now, *ip));
                    self.next_number += 2;
                    self.next_at = Some(now + NEXT_SERVER);
                    self.attempts.push(Attempt { number, server, client });
                }
                Err(error) => self.note(server, error.to_string()),
            }
        }
    }

    /// Takes what a server sent: media and checks go to the call, an address to be told does too.
    fn take(&mut self, number: u32, input: &FromServer, call: &mut Call, now: Instant) {
        let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.number == number) else { return };
        let before = attempt.client.allocation().relayed();
        if let Outcome::Data(remote, data) = attempt.client.handle(now, input) {
            let route = Route { socket: Socket::Relay(number), local: before.map(|relayed| relayed.ip()), remote };
            return call.handle(now, route, data);
        }
        if let Some(relayed) = attempt.client.allocation().relayed().filter(|_| before.is_none()) {
            log::debug!(target: "webrtc", "relayed for a camera address={relayed} server=\"{}\"", self.servers[attempt.server].uri);
            // One is enough.
            for other in self.attempts.iter_mut().filter(|attempt| attempt.number != number) {
                other.client.release(now);
            }
            self.attempts.retain(|attempt| attempt.number == number);
            call.add_relay(Socket::Relay(number), relayed.is_ipv6(), now);
        }
        self.look_for_ended(call, now);
    }

    /// Lets the camera's addresses through, and gives the allocation back that a connected call does not use.
    pub fn look(&mut self, call: &Call, now: Instant) {
        if self.attempts.is_empty() && !self.is_looking() {
            return;
        }
        for ip in call.remotes().map(|remote| remote.ip()) {
            // What is on this machine, or on the server's, is no camera behind it.
            if self.peers.len() < MAX_PEERS && !ip.is_loopback() && !self.peers.contains(&ip) {
                self.peers.push(ip);
                self.attempts.iter_mut().for_each(|attempt| attempt.client.permit(now, ip));
            }
        }
        let route = call.route().filter(|_| call.is_connected());
        let ours = |socket| self.attempts.iter().any(|attempt| socket == Socket::Relay(attempt.number));
        let direct = route.is_some_and(|route| !ours(route.socket));
        self.direct_since = direct.then(|| self.direct_since.unwrap_or(now));
    }

    fn look_for_ended(&mut self, call: &mut Call, now: Instant) {
        let (over, kept) = std::mem::take(&mut self.attempts)
            .into_iter()
            .partition(|attempt| attempt.client.allocation().over().is_some());
        self.attempts = kept;
        let over: Vec<Attempt> = over;
        for Attempt { number, server, client } in over {
            if let Some(Some(error)) = client.allocation().over() {
                let error = error.to_owned();
                let why = format!("the TURN server {}: {error}", self.servers[server].uri);
                self.note(server, error);
                call.lose(Socket::Relay(number), &why, now);
            }
            self.next_at = None;
        }
        self.ask_next(now);
    }

    pub fn deadline(&self) -> Option<Instant> {
        let allocations = self.attempts.iter().filter_map(|attempt| attempt.client.allocation().deadline());
        let next = self.next_at.filter(|_| !self.waiting.is_empty() && self.ready().is_none() && !self.settled);
        let direct = self.direct_since.filter(|_| !self.settled).map(|since| since + DIRECT_FOR);
        allocations.chain(next).chain(direct).min()
    }

    pub fn tick(&mut self, call: &mut Call, now: Instant) {
        for attempt in &mut self.attempts {
            if attempt.client.allocation().deadline().is_some_and(|at| at <= now) {
                attempt.client.tick(now);
            }
        }
        if !self.settled && self.direct_since.is_some_and(|since| since + DIRECT_FOR <= now) {
            if let Some((number, _)) = self.ready() {
                call.drop_socket(Socket::Relay(number), now);
            }
            self.release(now);
        }
        self.look_for_ended(call, now);
    }

    /// Sends through the allocation; what a full queue refuses is lost, as on any network.
    pub fn send(&mut self, number: u32, peer: SocketAddr, bytes: &[u8], now: Instant) {
        if let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.number == number) {
            let _ = attempt.client.send(now, peer, bytes);
        }
    }

    /// The relay candidate, if it is new, once there is somebody to tell.
    pub fn take_candidate(&mut self, ready: bool) -> Option<String> {
        let (number, relayed) = self.ready().filter(|(number, _)| ready && self.told != Some(*number))?;
        self.told = Some(number);
        Some(turn::candidate(relayed))
    }

    /// What servers said that gave nothing, for the reason of a call that found no way.
    pub fn errors(&self) -> impl Iterator<Item = String> {
        self.errors.iter().map(|(uri, error)| format!("{uri}: {error}"))
    }

    fn release(&mut self, now: Instant) {
        self.settled = true;
        self.attempts.iter_mut().for_each(|attempt| attempt.client.release(now));
    }

    /// Gives everything back and waits until the servers know it.
    pub async fn give_back(&mut self) {
        self.release(Instant::now());
        loop {
            self.attempts.retain(|attempt| attempt.client.allocation().over().is_none());
            let deadlines = self.attempts.iter().filter_map(|attempt| attempt.client.allocation().deadline());
            let Some(due) = deadlines.min() else { return };
            tokio::select! {
                input = self.inputs.1.recv() => {
                    let Some((number, input)) = input else { return };
                    if let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.number == number) {
                        attempt.client.handle(Instant::now(), &input);
                    }
                }
                () = tokio::time::sleep_until(due.into()) => {
                    self.attempts.iter_mut().for_each(|attempt| attempt.client.tick(Instant::now()));
                }
            }
        }
    }
}
