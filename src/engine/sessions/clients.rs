//! Whom a session counts for, and how many one client may have: it must not use up everybody's.
use super::Sessions;
use crate::base::places;
use crate::engine::api::{BY_SHARE_LINK, Error, ErrorKind};
use std::fmt;
use std::net::IpAddr;

/// One client may have this part of all sessions, …
const SHARE: usize = 4;
/// … or so many where that is less: the pictures of a page that shows all of a small house. Even then that part is left for
/// others.
const LEAST: usize = 8;
/// Sessions of one client that have not connected yet.
const MAX_UNFINISHED: usize = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// This machine. A proxy here speaks for everybody, so it is not counted.
    Here,
    /// An address of IPv4, or a network of IPv6.
    At(IpAddr),
    /// Visitors by share links: they tell their addresses themselves, so all of them are one.
    ByShareLink,
}

impl Client {
    /// `format` and `ip`: of an offer.
    pub fn of(format: &str, ip: IpAddr) -> Self {
        match places::client(ip) {
            _ if format == BY_SHARE_LINK => Client::ByShareLink,
            _ if ip.to_canonical().is_loopback() => Client::Here,
            network => Client::At(network),
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Client::Here => f.write_str("this machine"),
            Client::At(ip @ IpAddr::V4(_)) => write!(f, "{ip}"),
            Client::At(ip @ IpAddr::V6(_)) => write!(f, "{ip}/64"),
            Client::ByShareLink => f.write_str("visitors by share links"),
        }
    }
}

impl Sessions {
    /// May this client have one session more? `waits`: its offers that wait for a source.
    ///
    /// # Errors
    /// A sentence that says what to change.
    pub fn admit(&self, client: Client, waits: usize) -> Result<(), Error> {
        let all = self.max;
        let full = |message| Err(Error::new(ErrorKind::Full, message));
        if self.peers.len() >= all {
            return full(format!("all {all} sessions are in use; close one, or raise relay.sessions"));
        }
        if client == Client::Here {
            return Ok(());
        }
        let own = || {
            let is = |ip, format| Client::of(format, ip) == client;
            self.peers.values().filter(move |peer| is(peer.origin.remote.ip(), peer.origin.format))
        };
        let share = share(all);
        if own().count() + waits >= share {
            return full(format!(
                "{client} has {share} of all {all} sessions already, and one client may have no more; close one, or raise \
                 relay.sessions"
            ));
        }
        if own().filter(|peer| peer.connected.is_none()).count() >= MAX_UNFINISHED {
            return full(format!("{client} already has {MAX_UNFINISHED} sessions that never connected; wait 15 s"));
        }
        Ok(())
    }
}

/// Sessions that one client may have of `all`.
fn share(all: usize) -> usize {
    (all / SHARE).max(LEAST).min(all - all / SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::engine::api::{Answer, Intent, Offer};
    use crate::engine::tests::{self, engine, offer, remove};
    use crate::world::Slot;
    use std::time::Instant;

    fn ask(engine: &mut Engine, format: &'static str, ip: &str) -> Result<Answer, Error> {
        let remote = (ip.parse::<IpAddr>().unwrap(), 9).into();
        tests::ask(engine, Offer { format, remote, ..offer("door", Intent::View) })
    }

    /// How many sessions a client gets, asking from each of these addresses in turn.
    fn gets(engine: &mut Engine, format: &'static str, ips: &[&str]) -> (usize, String) {
        for count in 0.. {
            if let Err(error) = ask(engine, format, ips[count % ips.len()]) {
                assert_eq!(error.kind, ErrorKind::Full);
                return (count, error.message);
            }
        }
        unreachable!()
    }

    #[test]
    fn one_client_has_a_quarter_of_all_sessions_whichever_of_its_addresses_it_asks_from() {
        let mut engine = engine("{door: }");
        engine.sessions.set_max(48);
        for (ips, name) in [
            (&["10.0.0.1", "::ffff:10.0.0.1"][..], "10.0.0.1 "),
            (&["2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:0:9::3"], "2001:db8::/64 "),
        ] {
            let (count, why) = gets(&mut engine, "webrtc/whep", ips);
            assert_eq!((count, why.starts_with(name), why.contains("relay.sessions")), (12, true, true), "{why}");
        }
        let (key, peer) = engine.sessions.iter().next().unwrap();
        let ip = peer.origin.remote.ip().to_string();
        remove(&mut engine, key);
        assert!(ask(&mut engine, "webrtc/whep", &ip).is_ok(), "the place of one that is gone is free");
        // A visitor says any address, and this machine's with pleasure.
        let (count, why) = gets(&mut engine, BY_SHARE_LINK, &["127.0.0.1", "10.0.0.2", "10.0.0.3"]);
        assert_eq!((count, why.contains("share links")), (12, true), "{why}");
        assert!(ask(&mut engine, "webrtc/whep", "10.0.0.9").is_ok());
        let (count, why) = gets(&mut engine, "webrtc/whep", &["127.0.0.1", "::1", "::ffff:127.0.0.1"]);
        assert_eq!((count, why.starts_with("all 48")), (11, true), "a proxy speaks for everybody");
    }

    #[test]
    fn a_small_relay_has_a_wall_s_worth_of_sessions_for_a_client_and_a_large_one_bounds_unfinished_ones() {
        let mut engine = engine("{door: }");
        assert_eq!((engine.sessions.max(), gets(&mut engine, "webrtc/whep", &["10.0.0.1"]).0), (16, LEAST));
        engine.sessions.set_max(1024);
        let (count, why) = gets(&mut engine, "webrtc/whep", &["10.0.0.2"]);
        assert_eq!((count, why.contains("never connected")), (MAX_UNFINISHED, true));
    }

    #[test]
    fn the_smallest_relay_has_room_for_a_second_client() {
        let shares = [1, 4, 8, 12, 16, 128].map(|all| (all, share(all)));
        assert_eq!(shares, [(1, 1), (4, 3), (8, 6), (12, 8), (16, 8), (128, 32)]);
    }

    #[test]
    fn offers_that_wait_for_a_source_count_like_sessions() {
        let mut engine = engine("{door: 'test:'}");
        let mut replies = Vec::new();
        for _ in 0..LEAST {
            let slot = Slot::default();
            let remote = "10.0.0.1:1".parse().unwrap();
            engine.on_offer(Offer { remote, ..offer("door", Intent::View) }, slot.reply(), Instant::now());
            assert!(slot.take().is_none(), "it waits");
            replies.push(slot);
        }
        assert!(ask(&mut engine, "webrtc/whep", "10.0.0.1").unwrap_err().message.contains("no more"));
    }
}
