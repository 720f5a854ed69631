//! Lines of the log that others can cause: so many for each client, and a count of those that were left out. A log may
//! lie on flash, and what one client fills it with hides what the operator looks for.
use crate::base::places::client;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// In the long run a client is worth a line in this time.
const EACH: Duration = Duration::from_secs(1);
/// Lines at one time: a page with forty cameras that come and go is no flood.
const BURST: u32 = 100;
/// Clients that are told apart; further ones are one.
const MAX_CLIENTS: usize = 64;

#[derive(Debug, Default)]
pub struct Sparing {
    clients: HashMap<IpAddr, Heard>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    /// When all its lines will be paid for.
    paid: Instant,
    left_out: u32,
}

/// How many lines of the same client were left out before this one. Shown at the end of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut(u32);

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { Ok(()) } else { write!(f, " left_out={}", self.0) }
    }
}

impl Sparing {
    /// May a line be written that `address` caused?
    pub fn admit(&mut self, address: IpAddr, now: Instant) -> Option<LeftOut> {
        let key = self.key(address, now);
        let heard = self.clients.entry(key).or_insert(Heard { paid: now, left_out: 0 });
        if heard.paid > now + EACH * (BURST - 1) {
            heard.left_out = heard.left_out.saturating_add(1);
            return None;
        }
        heard.paid = heard.paid.max(now) + EACH;
        Some(LeftOut(std::mem::take(&mut heard.left_out)))
    }

    fn key(&mut self, address: IpAddr, now: Instant) -> IpAddr {
        let key = client(address);
        if !self.clients.contains_key(&key) && self.clients.len() >= MAX_CLIENTS {
            self.clients.retain(|_, heard| heard.paid > now);
        }
        let room = self.clients.len() < MAX_CLIENTS || self.clients.contains_key(&key);
        if room { key } else { Ipv4Addr::UNSPECIFIED.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_becomes_a_line_a_second_that_counts_it_and_hides_no_other_client() {
        let (mut sparing, start) = (Sparing::default(), Instant::now());
        let flood = |number: u32| -> IpAddr { Ipv4Addr::from_bits(0x0a000000 + number).into() };
        let mut lines = Vec::new();
        for ms in 0..10_000 {
            lines.extend(sparing.admit(flood(1), start + Duration::from_millis(ms)));
        }
        assert!((BURST + 5..=BURST + 11).contains(&(lines.len() as u32)), "{}", lines.len());
        assert_eq!((lines[0].to_string(), lines.last().unwrap().to_string()), (String::new(), " left_out=999".into()));
        assert_eq!(sparing.admit(flood(2), start), Some(LeftOut(0)));
    }

    #[test]
    fn many_clients_are_bounded_together_and_forgotten() {
        let (mut sparing, start) = (Sparing::default(), Instant::now());
        let all = (0..10_000).filter(|n| sparing.admit(Ipv4Addr::from_bits(*n).into(), start).is_some()).count();
        assert!(all <= MAX_CLIENTS + BURST as usize, "{all}");
        assert!(sparing.clients.len() <= MAX_CLIENTS + 1);
        let later = start + EACH * (BURST + 1);
        assert!(sparing.admit(Ipv4Addr::from_bits(20_000).into(), later).is_some());
        assert_eq!(sparing.clients.len(), 1);
    }
}
