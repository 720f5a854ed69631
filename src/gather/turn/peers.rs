//! Who may be relayed for: a permission for each address (RFC 8656 section 9), a channel for whoever gets media
//! (section 12). Both run out on the server and are asked for again before.
use crate::gather::turn::frame::FIRST_CHANNEL;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Addresses that one allocation has permissions for: as many as a session looks at candidates.
pub const MAX_PERMISSIONS: usize = 32;
/// Channels of one allocation; a session has one selected pair, and few before it.
pub const MAX_CHANNELS: usize = 8;
/// Permissions live 5 minutes (RFC 8656 section 9), channels 10: both are renewed in time for two tries.
const RENEW: Duration = Duration::from_secs(240);
/// A request that nobody answered is made again after this time.
const AGAIN: Duration = Duration::from_secs(5);

/// What is still to be asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    Permission(IpAddr),
    Channel(u16, SocketAddr),
}

struct Entry<T> {
    what: T,
    granted: bool,
    /// When to ask; `None`: asked and not answered yet, or refused for good.
    due: Option<Instant>,
}

#[derive(Default)]
pub struct Peers {
    permissions: Vec<Entry<IpAddr>>,
    channels: Vec<Entry<(u16, SocketAddr)>>,
}

impl Peers {
    pub fn permit(&mut self, now: Instant, ip: IpAddr) {
        if self.permissions.len() < MAX_PERMISSIONS && self.permissions.iter().all(|entry| entry.what != ip) {
            self.permissions.push(Entry { what: ip, granted: false, due: Some(now) });
        }
    }

    /// Forgets peers that the relayed address can't reach: they were wanted before it was known.
    pub fn keep_family(&mut self, relayed: SocketAddr) {
        self.permissions.retain(|entry| entry.what.is_ipv4() == relayed.is_ipv4());
    }

    pub fn is_permitted(&self, ip: IpAddr) -> bool {
        self.permissions.iter().any(|entry| entry.what == ip)
    }

    /// Wants a channel to a peer; a number is never given to another one.
    pub fn bind(&mut self, now: Instant, peer: SocketAddr) {
        if self.channels.len() < MAX_CHANNELS && self.channels.iter().all(|entry| entry.what.1 != peer) {
            let number = FIRST_CHANNEL + self.channels.len() as u16;
            self.channels.push(Entry { what: (number, peer), granted: false, due: Some(now) });
        }
    }

    /// The bound channel to a peer.
    pub fn channel_to(&self, peer: SocketAddr) -> Option<u16> {
        self.channels.iter().find(|entry| entry.granted && entry.what.1 == peer).map(|entry| entry.what.0)
    }

    /// The peer behind a channel. One whose answer is still on its way counts: data may overtake it.
    pub fn peer_of(&self, channel: u16) -> Option<SocketAddr> {
        self.channels.iter().find(|entry| entry.what.0 == channel).map(|entry| entry.what.1)
    }

    pub fn deadline(&self) -> Option<Instant> {
        let permissions = self.permissions.iter().filter_map(|entry| entry.due);
        permissions.chain(self.channels.iter().filter_map(|entry| entry.due)).min()
    }

    /// Takes one thing that is due to be asked for.
    pub fn take_due(&mut self, now: Instant) -> Option<Want> {
        if let Some(entry) = self.permissions.iter_mut().find(|entry| entry.due.is_some_and(|at| at <= now)) {
            entry.due = None;
            return Some(Want::Permission(entry.what));
        }
        let entry = self.channels.iter_mut().find(|entry| entry.due.is_some_and(|at| at <= now))?;
        entry.due = None;
        Some(Want::Channel(entry.what.0, entry.what.1))
    }

    pub fn granted(&mut self, now: Instant, want: Want) {
        self.settle(want, true, Some(now + RENEW));
    }

    /// `for_good`: the server said no; otherwise nobody answered, and what was granted may still hold.
    pub fn failed(&mut self, now: Instant, want: Want, for_good: bool) {
        match for_good {
            true => self.settle(want, false, None),
            false => {
                let granted = match want {
                    Want::Permission(ip) => self.permissions.iter().any(|entry| entry.what == ip && entry.granted),
                    Want::Channel(_, peer) => self.channel_to(peer).is_some(),
                };
                self.settle(want, granted, Some(now + AGAIN));
            }
        }
    }

    fn settle(&mut self, want: Want, granted: bool, due: Option<Instant>) {
        match want {
            Want::Permission(ip) => {
                for entry in self.permissions.iter_mut().filter(|entry| entry.what == ip) {
                    (entry.granted, entry.due) = (granted, due);
                }
            }
            Want::Channel(number, _) => {
                for entry in self.channels.iter_mut().filter(|entry| entry.what.0 == number) {
                    (entry.granted, entry.due) = (granted, due);
                }
            }
        }
    }
}
