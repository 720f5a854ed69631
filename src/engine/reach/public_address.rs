//! Our public addresses: STUN servers are asked in the background from the media sockets themselves, and what they say is
//! told to peers. No answer waits for it.
use crate::engine::io::{Output, Server};
use crate::gather::ice_servers::{Servers, Uri};
use crate::gather::reflexive::{Found, Lookup, REFRESH};
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Names that could not be resolved are tried again after this time; the others with the refresh.
const RESOLVE_AGAIN: Duration = Duration::from_secs(30);

pub struct PublicAddress {
    uris: Vec<(Server, Uri)>,
    lookup: Lookup,
    resolve_due: Instant,
    any_unresolved: bool,
}

impl PublicAddress {
    /// Nothing happens where no server is configured.
    pub fn new(servers: &Servers, now: Instant) -> Self {
        let stun = servers.stun.iter().enumerate().map(|(number, uri)| (Server::Stun(number), uri.clone()));
        let turn = servers.turn.iter().enumerate().map(|(number, (uri, _))| (Server::Turn(number), uri.clone()));
        Self {
            uris: stun.chain(turn).collect(),
            lookup: Lookup::new(servers.stun.iter().map(Uri::to_string), now),
            resolve_due: now,
            any_unresolved: false,
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        (!self.uris.is_empty()).then(|| self.lookup.deadline().into_iter().chain([self.resolve_due]).min())?
    }

    pub fn found(&self) -> impl Iterator<Item = Found> {
        self.lookup.found()
    }

    /// The addresses alone, for `stun:PORT` candidates.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.lookup.found().map(|found| found.public.ip()).collect()
    }

    /// The addresses of a server's name came in, or will not.
    pub fn resolved(&mut self, server: Server, result: Result<Vec<SocketAddr>, String>, now: Instant) {
        if result.is_err() {
            self.any_unresolved = true;
            self.resolve_due = self.resolve_due.min(now + RESOLVE_AGAIN);
        }
        if let Server::Stun(number) = server {
            self.lookup.resolved(number, result, now);
        }
    }

    /// Does what is due: names to look up, and requests to send. `reaches`: is there a socket for this address?
    pub fn tick(
        &mut self,
        now: Instant,
        reaches: impl Fn(SocketAddr) -> bool,
        id: impl FnMut() -> Option<[u8; 12]>,
        outputs: &mut Vec<Output>,
    ) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut requests = Vec::new();
        if self.deadline().is_none_or(|at| at > now) {
            return requests;
        }
        if self.resolve_due <= now {
            let wait = if self.any_unresolved { RESOLVE_AGAIN } else { REFRESH };
            (self.resolve_due, self.any_unresolved) = (now + wait, false);
            outputs.extend(self.uris.iter().map(|(server, uri)| Output::Resolve { server: *server, uri: uri.clone() }));
        }
        self.lookup.tick(now, reaches, id, &mut requests);
        requests
    }

    /// The machine's addresses changed: so may have the public one.
    pub fn refresh(&mut self, now: Instant) {
        self.lookup.refresh(now);
    }

    /// A peer is about to be told our public address: looks whether the mapping still is so, without waiting.
    pub fn confirm(&mut self, now: Instant) {
        self.lookup.confirm(now);
    }

    /// Takes an answer. False: it is none to a request of ours.
    pub fn handle(&mut self, now: Instant, from: SocketAddr, base: SocketAddr, bytes: &[u8]) -> bool {
        self.lookup.handle(now, from, base, bytes)
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
