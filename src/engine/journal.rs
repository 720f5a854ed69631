//! What the engine remembers for the doctor and the log: sessions that ended, offers that were refused, what peers are
//! told of us, and how many lines each client may cause.
use super::reach::Reach;
use crate::base::sparing::{LeftOut, Sparing};
use crate::config::Config;
use crate::doctor::explain::Explainer;
use crate::doctor::facts::{Advertised, Session};
use crate::doctor::history::{History, Past};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

pub struct Journal {
    history: History,
    /// Which lines about clients are written.
    sparing: Sparing,
    explainer: Explainer,
    /// What peers were told last.
    advertised: Arc<Advertised>,
    /// Seconds since 1970 at which the first TURN credentials end, where their user name says so.
    pub turn_expires_s: Option<u64>,
}

impl Journal {
    pub fn new(config: &Config) -> Self {
        Self {
            history: History::default(),
            sparing: Sparing::default(),
            explainer: Explainer::new(config),
            advertised: Arc::default(),
            turn_expires_s: config.webrtc.ice_servers.iter().flatten().filter_map(|server| server.expires()).min(),
        }
    }

    /// May a line be written that this client caused?
    pub fn admit(&mut self, client: IpAddr, now: Instant) -> Option<LeftOut> {
        self.sparing.admit(client, now)
    }

    /// What a peer is told of us, from the candidate lines of its answer; the same value as the last one while it is the
    /// same.
    pub fn advertised(&mut self, reach: &Reach, lines: &[String]) -> Arc<Advertised> {
        let fresh = self.explainer.advertised(reach.interfaces(), &reach.explain(), lines);
        if *self.advertised != fresh {
            self.advertised = Arc::new(fresh);
        }
        self.advertised.clone()
    }

    pub fn remember(&mut self, facts: Session, now: Instant) {
        self.history.add(facts, now);
    }

    pub fn past(&self) -> impl Iterator<Item = &Past> {
        self.history.iter()
    }
}
