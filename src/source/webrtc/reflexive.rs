//! Our public address for one call, asked of STUN servers from the call's own sockets.
use super::sockets::Sockets;
use super::url::IceServer;
use crate::gather::ice_servers::{Kind, Uri};
use crate::gather::reflexive::{Found, Lookup};
use crate::gather::scope::Scope;
use crate::net::resolve;
use crate::rtc::digest::Digest;
use crate::rtc::route::{Datagram, Route};
use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;
use tokio::task::JoinSet;

/// The addresses of a server by its number, or why there are none.
type Resolved = (usize, Result<Vec<SocketAddr>, String>);

#[derive(Default)]
pub struct Reflexive {
    lookup: Option<(Lookup, Digest)>,
    names: JoinSet<Resolved>,
    /// Public addresses that were told.
    told: Vec<SocketAddr>,
}

impl Reflexive {
    /// Asks the STUN servers among these; those of a second list would say the same.
    pub fn begin(&mut self, servers: &[IceServer], scope: Scope, digest: &Digest, now: Instant) {
        let stun: Vec<Uri> =
            servers.iter().filter(|server| server.uri.kind == Kind::Stun).map(|server| server.uri.clone()).collect();
        if stun.is_empty() || self.lookup.is_some() {
            return;
        }
        self.lookup = Some((Lookup::new(stun.iter().map(Uri::to_string), now), digest.clone()));
        for (number, uri) in stun.into_iter().enumerate() {
            self.names.spawn(async move { (number, resolve::server(&uri, scope).await) });
        }
    }

    /// Some server may still answer.
    pub fn is_looking(&self) -> bool {
        self.lookup.as_ref().is_some_and(|(lookup, _)| lookup.found().next().is_none())
    }

    /// Waits for the addresses of a server's name.
    pub async fn resolved(&mut self) -> Resolved {
        match self.names.join_next().await {
            Some(Ok(resolved)) => resolved,
            Some(Err(_)) | None => pending().await,
        }
    }

    pub fn know(&mut self, server: usize, found: Result<Vec<SocketAddr>, String>, now: Instant) {
        if let Some((lookup, _)) = &mut self.lookup {
            lookup.resolved(server, found, now);
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.lookup.as_ref()?.0.deadline()
    }

    pub fn tick(&mut self, now: Instant, sockets: &Sockets, out: &mut Vec<Datagram>) {
        let Some((lookup, digest)) = &mut self.lookup else { return };
        let socket = |to: SocketAddr| sockets.all()[usize::from(to.is_ipv6())];
        let mut asked = Vec::new();
        lookup.tick(now, |to| socket(to).is_some(), || digest.transaction(), &mut asked);
        out.extend(asked.into_iter().filter_map(|(remote, bytes)| {
            Some(Datagram { route: Route { socket: socket(remote)?, local: None, remote }, bytes })
        }));
    }

    /// Takes an answer. False: it is none to a request of ours.
    pub fn handle(&mut self, now: Instant, route: &Route, bytes: &[u8]) -> bool {
        let Some((lookup, _)) = &mut self.lookup else { return false };
        let base = SocketAddr::new(route.local.unwrap_or(IpAddr::from([0, 0, 0, 0])), 0);
        lookup.handle(now, route.remote, base, bytes)
    }

    /// Candidates that are new, once there is somebody to tell.
    pub fn take_candidates(&mut self, ready: bool) -> Vec<String> {
        let Some((lookup, _)) = self.lookup.as_ref().filter(|_| ready) else { return Vec::new() };
        let new: Vec<Found> = lookup.found().filter(|found| !self.told.contains(&found.public)).collect();
        self.told.extend(new.iter().map(|found| found.public));
        new.iter().map(Found::candidate).collect()
    }
}
