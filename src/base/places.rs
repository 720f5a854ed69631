//! Places of a bounded number, such as connections, and how clients share them: nobody can take them all.
use std::net::{IpAddr, Ipv6Addr};

/// Whom an address stands for: itself, or with IPv6 its network, where one machine has as many addresses as it likes
/// (RFC 4291 section 2.5.4: an interface's part of an address has 64 bits).
pub fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => Ipv6Addr::from_bits(v6.to_bits() & (!0 << 64)).into(),
        address => address,
    }
}

/// How many places there are, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    pub all: usize,
    /// For one client of the network. Nor may it have more than it leaves free, so that the next one finds as many as this
    /// one took, and few clients cannot have all.
    pub each: usize,
    /// Left for this machine itself (Home Assistant, a reverse proxy) whatever the network does, and the other way round.
    pub kept: usize,
}

/// Who has places now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Clients of the network, the asking one included.
    pub network: usize,
    /// This machine's own programs. They are not told apart: a reverse proxy speaks for everybody.
    pub local: usize,
    /// The client that asks.
    pub own: usize,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    All,
    /// The client has its share.
    Client,
}

impl Places {
    /// Is there a further place? `local`: for a program of this machine.
    pub fn check(&self, taken: Taken, local: bool) -> Result<(), Full> {
        let of_its_kind = if local { taken.local } else { taken.network };
        let free = (self.all - self.kept).saturating_sub(of_its_kind);
        let free = free.min(self.all.saturating_sub(taken.network + taken.local));
        match free {
            0 => Err(Full::All),
            _ if !local && (taken.own >= self.each || taken.own >= free) => Err(Full::Client),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: Places = Places { all: 64, each: 16, kept: 8 };

    /// Places that each of so many clients gets, if they take all that they can, one after the other.
    fn greedy(clients: usize) -> Vec<usize> {
        let mut network = 0;
        let take = |_| {
            let mut own = 0;
            while PLACES.check(Taken { network, local: 0, own }, false).is_ok() {
                (network, own) = (network + 1, own + 1);
            }
            own
        };
        (0..clients).map(take).collect()
    }

    #[test]
    fn four_greedy_clients_leave_places_for_others() {
        let taken = greedy(4);
        assert_eq!(taken[0], PLACES.each);
        assert!(taken.iter().sum::<usize>() <= PLACES.all - PLACES.kept - 6, "{taken:?}");
        assert!(greedy(5)[4] > 0);
    }

    #[test]
    fn places_are_kept_for_this_machine_and_for_the_network() {
        let full = Taken { network: PLACES.all - PLACES.kept, ..Taken::default() };
        assert_eq!(PLACES.check(full, false), Err(Full::All));
        assert_eq!(PLACES.check(full, true), Ok(()));
        let full = Taken { local: PLACES.all - PLACES.kept, ..Taken::default() };
        assert_eq!(PLACES.check(full, true), Err(Full::All));
        assert_eq!(PLACES.check(full, false), Ok(()));
        let full = Taken { local: PLACES.kept, network: PLACES.all - PLACES.kept, own: 0 };
        assert_eq!(PLACES.check(full, true), Err(Full::All));
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_client() {
        let client = |address: &str| client(address.parse().unwrap()).to_string();
        assert_eq!(client("fd00:1:2:3::7"), "fd00:1:2:3::");
        assert_eq!(client("fd00:1:2:3:ffff::8"), "fd00:1:2:3::");
        assert_ne!(client("fd00:1:2:4::7"), client("fd00:1:2:3::7"));
        assert_eq!(client("::ffff:192.168.1.7"), "192.168.1.7");
        assert_ne!(client("192.168.1.7"), client("192.168.1.8"));
        assert_eq!(client("::1"), "::1");
    }
}
