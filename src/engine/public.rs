//! Our public addresses in the engine: STUN servers are asked in the background from the media sockets themselves, and
//! what they say is told to peers. No answer waits for it.
use super::Engine;
use crate::gather::candidate::Candidate;
use crate::gather::ice_servers::{Servers, Uri};
use crate::gather::policy::wildcard;
use crate::gather::reflexive::{Lookup, REFRESH};
use crate::gather::scope::Scope;
use crate::net::resolve;
use crate::rtc::route::{Datagram, Route};
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Names that could not be resolved are tried again after this time; the others with the refresh.
const RESOLVE_AGAIN: Duration = Duration::from_secs(30);
/// What happens outside of the engine's own sockets.
#[derive(Debug)]
pub enum Outside {
    /// The addresses of a server's name.
    Resolved { server: Server, result: Result<Vec<SocketAddr>, String> },
    /// The addresses behind a browser's name.
    Name { name: String, ips: Vec<IpAddr> },
}

/// A server by its place among those of its kind.
#[derive(Clone, Copy, Debug)]
pub enum Server {
    Stun(usize),
    Turn(usize),
}

pub struct Public {
    uris: Vec<(Server, Uri)>,
    lookup: Lookup,
    inputs: mpsc::Sender<Outside>,
    resolve_due: Instant,
    any_unresolved: bool,
}

impl Public {
    /// Nothing happens where no server is configured.
    pub fn new(servers: &Servers, inputs: mpsc::Sender<Outside>, now: Instant) -> Self {
        let stun = servers.stun.iter().enumerate().map(|(number, uri)| (Server::Stun(number), uri.clone()));
        let turn = servers.turn.iter().enumerate().map(|(number, (uri, _))| (Server::Turn(number), uri.clone()));
        Self {
            uris: stun.chain(turn).collect(),
            lookup: Lookup::new(servers.stun.iter().map(Uri::to_string), now),
            inputs,
            resolve_due: now,
            any_unresolved: false,
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        (!self.uris.is_empty()).then(|| self.lookup.deadline().into_iter().chain([self.resolve_due]).min())?
    }

    /// The addresses alone, for `stun:PORT` candidates.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.lookup.found().map(|found| found.public.ip()).collect()
    }

    fn resolve(&mut self, now: Instant) {
        let wait = if self.any_unresolved { RESOLVE_AGAIN } else { REFRESH };
        (self.resolve_due, self.any_unresolved) = (now + wait, false);
        for (server, uri) in self.uris.clone() {
            let inputs = self.inputs.clone();
            tokio::spawn(async move {
                let result = resolve::server(&uri, Scope::Any).await;
                // Fails only when the engine ends.
                let _ = inputs.send(Outside::Resolved { server, result }).await;
            });
        }
    }

    /// For the status page.
    pub fn report(&self, now: Instant) -> (Value, Value) {
        let ago = |at: Instant| now.saturating_duration_since(at).as_secs();
        let addresses =
            self.lookup.found().map(|found| json!({"address": found.public.to_string(), "asked_s_ago": ago(found.at)}));
        let servers = self.lookup.servers.iter().map(|server| {
            json!({"url": server.name, "answered_s_ago": server.answered.map(ago), "error": server.last_error})
        });
        (addresses.collect(), servers.collect())
    }
}

impl Engine {
    pub(super) fn on_outside(&mut self, event: Outside, now: Instant) {
        match event {
            Outside::Resolved { server, result } => {
                self.public.any_unresolved |= result.is_err();
                if result.is_err() {
                    self.public.resolve_due = self.public.resolve_due.min(now + RESOLVE_AGAIN);
                }
                match server {
                    Server::Stun(number) => self.public.lookup.resolved(number, result, now),
                    Server::Turn(number) => self.wire.relays.resolved(number, result, now),
                }
            }
            Outside::Name { name, ips } => self.on_name(&name, &ips, now),
        }
    }

    pub(super) fn tick_public(&mut self, now: Instant) {
        if self.public.deadline().is_none_or(|at| at > now) {
            return;
        }
        if self.public.resolve_due <= now {
            self.public.resolve(now);
        }
        let mut requests = Vec::new();
        let identity = &self.identity;
        let id = || {
            let mut id = [0; 12];
            identity.fill(&mut id).ok().map(|()| id)
        };
        let reaches = |address| self.wire.socket_for(address).is_some();
        self.public.lookup.tick(now, reaches, id, &mut requests);
        for (remote, bytes) in requests {
            if let Some(socket) = self.wire.socket_for(remote) {
                self.out.push(Datagram { route: Route { socket, local: None, remote }, bytes });
            }
        }
        self.wire.send(&mut self.out);
    }

    /// The machine's addresses changed: so may have the public one.
    pub(super) fn refresh_public(&mut self, now: Instant) {
        self.public.lookup.refresh(now);
        self.tick_public(now);
    }

    /// Is it the answer of a STUN server?
    pub(super) fn takes_stun(&mut self, now: Instant, route: &Route, bytes: &[u8]) -> bool {
        // Binding success or error: nothing else is looked at twice.
        let answer = matches!(bytes.get(..2), Some([1, 1] | [1, 0x11]));
        if !answer {
            return false;
        }
        let ip = route.local.unwrap_or(wildcard(route.remote.is_ipv6()));
        let base = SocketAddr::new(ip, self.wire.local_port(route.socket));
        self.public.lookup.handle(now, route.remote, base, bytes)
    }

    /// What the policy tells a peer now. `host`: our address as the peer's request named it.
    pub(super) fn candidates(&self, host: Option<IpAddr>) -> Vec<Candidate> {
        self.wire.candidates(&self.public.addresses(), host)
    }

    /// Every candidate that a peer is told now: the policy's, our public address, the address on a TURN server.
    pub(super) fn candidate_lines(&self, relay: Option<u32>, host: Option<IpAddr>) -> Vec<String> {
        let told = self.candidates(host);
        let mut lines: Vec<String> = told.iter().map(ToString::to_string).collect();
        for found in self.public.lookup.found() {
            let own = self.wire.interfaces().iter().any(|interface| interface.ip == found.public.ip());
            if own || told.iter().any(|candidate| candidate.address == found.public) {
                continue;
            }
            lines.push(found.candidate());
        }
        lines.extend(relay.and_then(|number| self.wire.relays.line(number)));
        lines
    }

    /// A viewer is about to be told our public address: looks whether the mapping still is so, without waiting.
    pub(super) fn confirm_public(&mut self, now: Instant) {
        self.public.lookup.confirm(now);
        self.tick_public(now);
    }
}
