//! Whose a datagram may be that names no session. A source address proves nothing: several sessions may lay claim to one
//! route, and what comes over it is shown to each until one finds it authentic.
use crate::rtc::route::Socket;
use std::collections::HashMap;
use std::net::SocketAddr;

/// Where datagrams of a peer come from: our socket and its address.
pub type From = (Socket, SocketAddr);

/// Sessions that one route is shown to at most. One is the rule; a peer whose sessions share a port, or an address
/// translator that gives a dead session's address to a new one, makes it two or three.
pub const MAX_CLAIMANTS: usize = 4;

/// Keys of sessions; 0 is none's.
type Claimants = [u32; MAX_CLAIMANTS];

#[derive(Default)]
pub struct Claims(HashMap<From, Claimants>);

impl Claims {
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sessions that a datagram from there is shown to, the oldest claim first.
    pub fn of(&self, from: &From) -> impl Iterator<Item = u32> + Clone + use<> {
        self.0.get(from).copied().unwrap_or_default().into_iter().filter(|key| *key != 0)
    }

    /// A session lays claim to a route. Where too many do, the newcomer takes the place of the first that does not
    /// `hold`: to ask with a forged address is easy, so only who can show more keeps its place. False if all can.
    pub fn claim(&mut self, from: From, key: u32, holds: impl Fn(u32) -> bool) -> bool {
        let claimants = self.0.entry(from).or_default();
        if claimants.contains(&key) {
            return true;
        }
        if let Some(free) = claimants.iter_mut().find(|place| **place == 0) {
            *free = key;
            return true;
        }
        let Some(index) = claimants.iter().position(|claimant| !holds(*claimant)) else { return false };
        claimants[index..].rotate_left(1);
        claimants[MAX_CLAIMANTS - 1] = key;
        true
    }

    /// A session gives a route up; true if it was the last that claimed it.
    pub fn release(&mut self, from: &From, key: u32) -> bool {
        let Some(claimants) = self.0.get_mut(from) else { return false };
        let Some(index) = claimants.iter().position(|claimant| *claimant == key) else { return false };
        claimants[index..].rotate_left(1);
        claimants[MAX_CLAIMANTS - 1] = 0;
        let last = claimants[0] == 0;
        if last {
            self.0.remove(from);
        }
        last
    }

    /// Who claims a route over this socket.
    pub fn over(&self, socket: Socket) -> impl Iterator<Item = (From, u32)> {
        let routes = self.0.iter().filter(move |((over, _), _)| *over == socket);
        routes.flat_map(|(from, claimants)| claimants.iter().filter(|key| **key != 0).map(|key| (*from, *key)))
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

    fn of(claims: &Claims) -> Vec<u32> {
        claims.of(&from(1)).collect()
    }

    #[test]
    fn a_claim_is_laid_beside_those_before_it_and_the_last_to_leave_takes_the_route_along() {
        let mut claims = Claims::default();
        assert!([7, 8, 9, 7].into_iter().all(|key| claims.claim(from(1), key, |_| false)));
        assert_eq!(of(&claims), [7, 8, 9]);
        assert!(!claims.release(&from(1), 8) && !claims.release(&from(1), 8) && !claims.release(&from(2), 7));
        assert_eq!(of(&claims), [7, 9]);
        assert!(!claims.release(&from(1), 7) && claims.release(&from(1), 9));
        assert!(claims.is_empty());
    }

    #[test]
    fn who_can_show_more_than_a_source_address_keeps_its_place_however_many_come() {
        let mut claims = Claims::default();
        for key in 1..100 {
            assert!(claims.claim(from(1), key, |key| key == 2));
            assert!(of(&claims).len() <= MAX_CLAIMANTS);
        }
        assert_eq!(of(&claims), [2, 97, 98, 99]);
        assert!(!claims.claim(from(1), 100, |_| true));
        assert_eq!(of(&claims), [2, 97, 98, 99]);
    }

    #[test]
    fn a_socket_that_is_gone_takes_its_routes_along() {
        let mut claims = Claims::default();
        let other = (Socket::Tcp(3), from(1).1);
        assert!(
            claims.claim(from(1), 1, |_| false)
                && claims.claim(other, 1, |_| false)
                && claims.claim(other, 2, |_| false)
        );
        assert_eq!(claims.over(Socket::Tcp(3)).collect::<Vec<_>>(), [(other, 1), (other, 2)]);
        claims.forget(Socket::Tcp(3));
        assert_eq!((claims.of(&other).count(), of(&claims)), (0, vec![1]));
    }
}
