//! What all connections of the server share.
use super::base::Base;
use super::handler::Handler;
use super::limits::Limits;
use super::outbox::Outbox;
use super::peers::Network;
use super::policy::Policy;
use super::refusal::{Kind, Refusal};
use super::slots::{Slot, Slots};
use super::tls::Tls;
use crate::base::places::{Full, Places};
use crate::doctor::refusals::Refusals;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The settings, the counters and what is served.
pub struct Server {
    pub limits: Limits,
    pub policy: Policy,
    /// Networks beyond the local ones whose peers may connect.
    pub allow: Vec<Network>,
    pub base: Base,
    /// `None`: HTTP only.
    pub tls: Option<Arc<Tls>>,
    pub handler: Arc<dyn Handler>,
    /// Whom the server turned away, for the doctor.
    pub refused: Arc<Refusals>,
    pub counts: Counts,
}

/// What is in use now.
pub struct Counts {
    connections: Arc<Slots>,
    lasting: Arc<Slots>,
    pub outbox: Arc<Outbox>,
    /// Refusals that may be written at one time.
    pub refusals: Arc<Semaphore>,
}

impl Counts {
    /// Nobody is here yet. `refusals` may be written at one time.
    pub fn new(refusals: usize) -> Self {
        let (connections, lasting, outbox) = (Arc::default(), Arc::default(), Arc::default());
        Self { connections, lasting, outbox, refusals: Arc::new(Semaphore::new(refusals)) }
    }
}

impl Server {
    /// A place for a connection.
    pub fn connection(&self, peer: IpAddr) -> Result<Slot, Refusal> {
        self.place(&self.counts.connections, self.limits.connections, peer, "connections")
    }

    /// A place for one that stays: a WebSocket or a stream.
    pub fn lasting(&self, peer: IpAddr) -> Result<Slot, Refusal> {
        self.place(&self.counts.lasting, self.limits.lasting, peer, "places for WebSockets and streams")
    }

    fn place(&self, slots: &Arc<Slots>, places: Places, peer: IpAddr, name: &str) -> Result<Slot, Refusal> {
        slots.take(peer, places, !self.limits.count_loopback).map_err(|full| {
            let text = match full {
                Full::All => format!("all {name} are in use; close some pages or try again later"),
                Full::Client => format!("your address has its share of the {name} already; close some pages first"),
            };
            Refusal::new(Kind::Crowded, text)
        })
    }
}
