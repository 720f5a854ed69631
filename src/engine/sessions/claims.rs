//! Whose a datagram may be that names no session. A source address proves nothing: several sessions may lay claim to one
//! route, and what comes over it is shown to each until one finds it authentic.
use crate::engine::keys::PeerKey;
use crate::rtc::route::Socket;
use std::collections::HashMap;
use std::net::SocketAddr;

/// Where datagrams of a peer come from: our socket and its address.
pub type From = (Socket, SocketAddr);

/// Sessions that one route is shown to at most. One is the rule; a peer whose sessions share a port, or an address
/// translator that gives a dead session's address to a new one, makes it two or three.
pub const MAX_CLAIMANTS: usize = 4;

/// The sessions that claim one route, the oldest claim first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keys {
    keys: [Option<PeerKey>; MAX_CLAIMANTS],
    /// Those before it were given out.
    next: usize,
}

impl Keys {
    pub fn of_one(key: Option<PeerKey>) -> Self {
        let mut keys = Self::default();
        keys.keys[0] = key;
        keys
    }

    pub fn len(&self) -> usize {
        self.keys.iter().flatten().count()
    }

    /// The first that fits comes first.
    pub fn prefer(&mut self, fits: impl Fn(PeerKey) -> bool) {
        if let Some(index) = self.keys.iter().position(|key| key.is_some_and(&fits)) {
            self.keys[..=index].rotate_right(1);
        }
    }

    /// Takes one out: those behind it move up.
    fn remove(&mut self, index: usize) {
        self.keys[index..].rotate_left(1);
        self.keys[MAX_CLAIMANTS - 1] = None;
    }
}

impl Iterator for Keys {
    type Item = PeerKey;

    fn next(&mut self) -> Option<PeerKey> {
        let key = (*self.keys.get(self.next)?)?;
        self.next += 1;
        Some(key)
    }
}

#[derive(Default)]
pub struct Claims(HashMap<From, Keys>);

impl Claims {
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sessions that a datagram from there is shown to, the oldest claim first.
    pub fn of(&self, from: &From) -> Keys {
        self.0.get(from).copied().unwrap_or_default()
    }

    /// A session lays claim to a route. Where too many do, the newcomer takes the place of the first that does not
    /// `hold`: to ask with a forged address is easy, so only who can show more keeps its place. False if all can.
    pub fn claim(&mut self, from: From, key: PeerKey, holds: impl Fn(PeerKey) -> bool) -> bool {
        let claimants = self.0.entry(from).or_default();
        if claimants.keys.contains(&Some(key)) {
            return true;
        }
        if let Some(free) = claimants.keys.iter_mut().find(|place| place.is_none()) {
            *free = Some(key);
            return true;
        }
        let weak = |claimant: &Option<PeerKey>| claimant.is_some_and(|claimant| !holds(claimant));
        let Some(index) = claimants.keys.iter().position(weak) else { return false };
        claimants.remove(index);
        claimants.keys[MAX_CLAIMANTS - 1] = Some(key);
        true
    }

    /// A session gives a route up; true if it was the last that claimed it.
    pub fn release(&mut self, from: &From, key: PeerKey) -> bool {
        let Some(claimants) = self.0.get_mut(from) else { return false };
        let Some(index) = claimants.keys.iter().position(|claimant| *claimant == Some(key)) else { return false };
        claimants.remove(index);
        let last = claimants.len() == 0;
        if last {
            self.0.remove(from);
        }
        last
    }

    /// Who claims a route over this socket.
    pub fn over(&self, socket: Socket) -> impl Iterator<Item = (From, PeerKey)> {
        let routes = self.0.iter().filter(move |((over, _), _)| *over == socket);
        routes.flat_map(|(from, claimants)| claimants.map(|key| (*from, key)))
    }

    /// A socket is gone, and all routes over it.
    pub fn forget(&mut self, socket: Socket) {
        self.0.retain(|(over, _), _| *over != socket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(port: u16) -> From {
        (Socket::Udp(0), SocketAddr::from(([10, 0, 0, 1], port)))
    }

    fn key(number: u32) -> PeerKey {
        PeerKey::from_number(number).unwrap()
    }

    fn of(claims: &Claims) -> Vec<u32> {
        claims.of(&from(1)).map(PeerKey::number).collect()
    }

    #[test]
    fn a_claim_is_laid_beside_those_before_it_and_the_last_to_leave_takes_the_route_along() {
        let mut claims = Claims::default();
        assert!([7, 8, 9, 7].into_iter().all(|number| claims.claim(from(1), key(number), |_| false)));
        assert_eq!(of(&claims), [7, 8, 9]);
        assert!(
            !claims.release(&from(1), key(8)) && !claims.release(&from(1), key(8)) && !claims.release(&from(2), key(7))
        );
        assert_eq!(of(&claims), [7, 9]);
        assert!(!claims.release(&from(1), key(7)) && claims.release(&from(1), key(9)));
        assert!(claims.is_empty());
    }

    #[test]
    fn who_can_show_more_than_a_source_address_keeps_its_place_however_many_come() {
        let mut claims = Claims::default();
        for number in 1..100 {
            assert!(claims.claim(from(1), key(number), |claimant| claimant == key(2)));
            assert!(of(&claims).len() <= MAX_CLAIMANTS);
        }
        assert_eq!(of(&claims), [2, 97, 98, 99]);
        assert!(!claims.claim(from(1), key(100), |_| true));
        assert_eq!(of(&claims), [2, 97, 98, 99]);
    }

    #[test]
    fn a_socket_that_is_gone_takes_its_routes_along() {
        let mut claims = Claims::default();
        let other = (Socket::Tcp(3), from(1).1);
        assert!(
            claims.claim(from(1), key(1), |_| false)
                && claims.claim(other, key(1), |_| false)
                && claims.claim(other, key(2), |_| false)
        );
        assert_eq!(claims.over(Socket::Tcp(3)).collect::<Vec<_>>(), [(other, key(1)), (other, key(2))]);
        claims.forget(Socket::Tcp(3));
        assert_eq!((claims.of(&other).count(), of(&claims)), (0, vec![1]));
    }
}
