//! A pair: one way between the peer and us, and what is known of it.
use crate::rtc::route::Route;
use std::net::IpAddr;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Waiting,
    InProgress,
    Succeeded,
    Failed,
}

/// A check that is on its way.
#[derive(Debug)]
pub struct Check {
    pub transaction: [u8; 12],
    pub at: Instant,
    /// Our role in it.
    pub controlling: bool,
}

#[derive(Debug)]
pub struct Pair {
    pub route: Route,
    pub priority: u64,
    pub state: State,
    pub nominated: bool,
    pub outstanding: Vec<Check>,
    pub checks: u32,
    /// When the next check, retry or consent request is due.
    pub due: Instant,
    /// Last authenticated answer to one of our requests, and last authenticated request.
    pub answered: Option<Instant>,
    pub asked: Option<Instant>,
    /// Smoothed time between a request and its answer.
    pub rtt: Option<Duration>,
    pub tally: Tally,
}

/// What went over one pair, for those who ask why there is no picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Authentic requests of the peer.
    pub requests: u32,
    /// Our own requests, and the peer's answers to them.
    pub checks: u32,
    pub answers: u32,
}

/// Requests that came to one of our addresses.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// `None`: the kernel did not tell.
    pub local: Option<IpAddr>,
    /// `udp`, `tcp` or `relay`.
    pub protocol: &'static str,
    pub requests: u32,
    pub last: Instant,
}

/// One pair as it stands.
#[derive(Clone, Copy, Debug)]
pub struct PairView {
    pub route: Route,
    pub tally: Tally,
    pub rtt: Option<Duration>,
    pub selected: bool,
}

impl Pair {
    /// Last sign of life.
    pub fn heard(&self) -> Option<Instant> {
        self.answered.max(self.asked)
    }

    pub fn is_silent(&self, now: Instant, time: Duration) -> bool {
        self.heard().is_none_or(|at| now.saturating_duration_since(at) >= time)
    }
}
