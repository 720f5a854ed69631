//! What lies between the relay and its clients: datagrams that are late, lost, doubled or too long.
use super::Client;
use crate::engine::io::{SendError, ToServer, Transport};
use crate::fuzz::Random;
use crate::rtc::route::{Route, Socket};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What the way between the relay and one client does, in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub delay: Duration,
    /// Up to this much more, chosen anew for each datagram.
    pub jitter: Duration,
    /// Of a thousand datagrams.
    pub lost: usize,
    pub doubled: usize,
    /// Of a thousand datagrams these come 30 ms later than they would.
    pub overtaken: usize,
    /// Longest datagram that passes.
    pub mtu: usize,
    /// Nothing passes.
    pub cut: bool,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(2),
            jitter: Duration::ZERO,
            lost: 0,
            doubled: 0,
            overtaken: 0,
            mtu: 1_472,
            cut: false,
        }
    }
}

impl Link {
    pub fn losing(per_thousand: usize) -> Self {
        Self {
            lost: per_thousand,
            delay: Duration::from_millis(10),
            jitter: Duration::from_millis(4),
            ..Self::default()
        }
    }
}

/// How much later an overtaken datagram comes.
const OVERTAKEN_BY: Duration = Duration::from_millis(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum To {
    Relay { from: SocketAddr },
    Client(usize),
}

/// When it arrives, which one it is of all, where, and what it is.
type Flying = (Instant, u64, To, Vec<u8>);

/// Datagrams on their way, in the order in which they arrive.
#[derive(Default)]
pub struct InFlight {
    heap: BinaryHeap<Reverse<Flying>>,
    count: u64,
}

impl InFlight {
    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    pub fn pop(&mut self, now: Instant) -> Option<(To, Vec<u8>)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, _, to, bytes))| (to, bytes))
    }

    pub fn send(&mut self, to: To, bytes: Vec<u8>, link: &Link, now: Instant, random: &mut Random) {
        if link.cut || bytes.len() > link.mtu || random.below(1000) < link.lost {
            return;
        }
        let copies = if random.below(1000) < link.doubled { 2 } else { 1 };
        for _ in 0..copies {
            let jitter = Duration::from_micros(random.below(link.jitter.as_micros() as usize + 1) as u64);
            let overtaken = if random.below(1000) < link.overtaken { OVERTAKEN_BY } else { Duration::ZERO };
            self.count += 1;
            self.heap.push(Reverse((now + link.delay + jitter + overtaken, self.count, to, bytes.clone())));
        }
    }
}

/// The relay's sockets.
pub struct Outbox<'w> {
    pub now: Instant,
    pub clients: &'w [Client],
    pub random: &'w mut Random,
    pub in_flight: &'w mut InFlight,
    /// Datagrams to addresses that nobody has.
    pub astray: &'w mut u64,
}

impl Transport for Outbox<'_> {
    fn send(&mut self, route: &Route, bytes: &[u8], segment: usize) -> Result<(), SendError> {
        let Some(client) = self.clients.iter().find(|client| client.address == route.remote && !client.is_gone())
        else {
            *self.astray += 1;
            return Ok(());
        };
        for datagram in bytes.chunks(segment) {
            let to = To::Client(client.index);
            self.in_flight.send(to, datagram.to_vec(), &client.link, self.now, self.random);
        }
        Ok(())
    }

    fn max_segments(&self, _: Socket) -> usize {
        16
    }

    fn is_clear(&self, _: u32) -> bool {
        true
    }

    fn keep(&mut self, _: u32) {}

    fn close(&mut self, _: u32) {}

    fn send_to_server(&mut self, _: u32, _: ToServer<'_>) -> Result<(), SendError> {
        Ok(())
    }
}
