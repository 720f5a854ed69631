//! Which STUN and TURN servers a call asks, and when: those that its URL names, else those of the camera's signalling
//! and, for go2rtc and WHEP where that names no TURN server, the relay's own. A camera nearby is called without these
//! first, so that a call inside the local network sends nothing out of it and waits for nobody.
use super::call::Call;
use super::url::{Format, IceServer, Target};
use crate::gather::ice_servers::Kind;
use crate::gather::scope::Scope;
use crate::net::connect;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A camera nearby that nothing was heard of for so long, counted from when both sides are described, may need the
/// relay's own servers. Slow ones begin their checks after half a second.
const DIRECT_FIRST: Duration = Duration::from_secs(1);

pub struct Servers {
    /// What the URL names, and where those may be who wrote it.
    url: Vec<IceServer>,
    scope: Scope,
    /// The relay's own, while they may still be asked.
    own: Option<Arc<[IceServer]>>,
    is_near: bool,
    /// Since when both sides are described.
    described: Option<Instant>,
    /// Somebody else named a list.
    named: bool,
}

impl Servers {
    /// `scope`: of who wrote the URL. `own`: the relay's. `way`: our address towards the camera's signalling, and that.
    pub fn new(target: &Target, scope: Scope, own: &Arc<[IceServer]>, way: Option<(IpAddr, IpAddr)>) -> Self {
        let may = matches!(target.format, Format::Go2rtc | Format::Whep) && !own.is_empty();
        Self {
            url: target.ice_servers.clone(),
            scope,
            own: may.then(|| own.clone()),
            is_near: way.is_none_or(|(ours, theirs)| is_near(ours, theirs)),
            described: None,
            named: false,
        }
    }

    /// What to ask before anything else, and where that may be: the operator's own servers anywhere.
    pub fn first(&mut self) -> (Vec<IceServer>, Scope) {
        let url = std::mem::take(&mut self.url);
        if !url.is_empty() {
            (self.own, self.named) = (None, true);
            return (url, self.scope);
        }
        (self.own.take_if(|_| !self.is_near).map_or_else(Vec::new, |own| own.to_vec()), Scope::Any)
    }

    /// What to ask of a list that the signalling names: the first list of somebody counts.
    pub fn name(&mut self, servers: Vec<IceServer>) -> Vec<IceServer> {
        if servers.is_empty() || std::mem::replace(&mut self.named, true) {
            return Vec::new();
        }
        let relays = |server: &IceServer| server.uri.kind != Kind::Stun;
        self.own.take_if(|_| servers.iter().any(relays));
        servers
    }

    /// What to ask now, since no direct way has led to the camera.
    pub fn late(&mut self, call: &Call, now: Instant) -> Vec<IceServer> {
        if call.is_described() {
            self.described.get_or_insert(now);
        }
        if call.is_reachable() {
            self.own = None;
        }
        match self.deadline() {
            Some(at) if at <= now => self.own.take().map_or_else(Vec::new, |own| own.to_vec()),
            _ => Vec::new(),
        }
    }

    /// When [`Self::late`] may have something.
    pub fn deadline(&self) -> Option<Instant> {
        self.described.filter(|_| self.own.is_some()).map(|since| since + DIRECT_FIRST)
    }
}

/// Does a call to there stay inside the local networks? Beside their addresses that goes for public ones of IPv6 with
/// the /64 of ours in front.
fn is_near(ours: IpAddr, theirs: IpAddr) -> bool {
    match (ours, theirs) {
        (IpAddr::V6(ours), IpAddr::V6(theirs)) if ours.segments()[..4] == theirs.segments()[..4] => true,
        _ => connect::is_local(theirs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::route::Socket;
    use crate::rtc::session::Identity;

    const NEAR: Option<(&str, &str)> = Some(("192.168.1.2", "192.168.1.3"));
    const FAR: Option<(&str, &str)> = Some(("192.168.1.2", "203.0.113.7"));
    const URL: &str = "#ice_servers=[{\"urls\":\"stun:url\"}]";

    fn list(name: &str) -> Vec<IceServer> {
        vec![IceServer { uri: crate::gather::ice_servers::Uri::parse(name).unwrap(), login: Default::default() }]
    }

    fn servers(url: &str, way: Option<(&str, &str)>) -> Servers {
        let way = way.map(|(ours, theirs)| (ours.parse().unwrap(), theirs.parse().unwrap()));
        Servers::new(&Target::parse(url).unwrap(), Scope::Others, &list("stun:own").into(), way)
    }

    fn described(now: Instant) -> Call {
        let identity = Arc::new(Identity::generate(crate::rtc::session::CryptoCost::AesInstructions).unwrap());
        let mut call = Call::new(identity, [Some(Socket::Udp(0)), None], now).unwrap();
        let mut other = Call::new(
            Arc::new(Identity::generate(crate::rtc::session::CryptoCost::AesInstructions).unwrap()),
            [Some(Socket::Udp(0)), None],
            now,
        )
        .unwrap();
        let media = crate::rtc::offer::OfferedMedia::new(
            crate::media::codec::Kind::Video,
            crate::rtc::sdp::Direction::SendOnly,
            &[crate::media::codec::Codec::H264],
        );
        call.take_offer(&other.offer(vec![media], None, &[]), &[], now).unwrap();
        call
    }

    #[test]
    fn the_urls_list_comes_first_then_the_signallings_and_the_relays_own_last() {
        let servers_of = |url: &str| {
            let mut servers = servers(url, FAR);
            (servers.first().0, servers.name(list("stun:signalling")), servers.name(list("stun:second")))
        };
        assert_eq!(servers_of(&format!("ws://cam/{URL}")), (list("stun:url"), vec![], vec![]));
        assert_eq!(servers_of("ws://cam/#format=kinesis"), (vec![], list("stun:signalling"), vec![]));
        assert_eq!(servers_of("http://cam/whep"), (list("stun:own"), list("stun:signalling"), vec![]));
        for format in ["creality", "milestone", "wyze"] {
            assert_eq!(servers(&format!("http://cam/#format={format}{URL}"), FAR).first().0, list("stun:url"));
            assert_eq!(servers(&format!("http://cam/#format={format}"), FAR).first().0, [], "{format}");
        }
        assert_eq!(servers("ws://cam/#format=openipc", FAR).first().0, []);
    }

    #[test]
    fn servers_of_a_url_are_where_its_writer_may_go_and_the_relays_own_anywhere() {
        assert_eq!(servers(&format!("ws://cam/{URL}"), FAR).first().1, Scope::Others);
        assert_eq!(servers("ws://cam/", FAR).first().1, Scope::Any);
    }

    #[test]
    fn a_camera_nearby_is_called_without_the_relays_own_until_no_way_led_to_it() {
        let now = Instant::now();
        let identity = Arc::new(Identity::generate(crate::rtc::session::CryptoCost::AesInstructions).unwrap());
        let silent = Call::new(identity, [Some(Socket::Udp(0)), None], now).unwrap();
        let call = described(now);
        for way in [NEAR, None] {
            let mut servers = servers("ws://cam/", way);
            assert_eq!((servers.first().0, servers.late(&silent, now), servers.deadline()), (vec![], vec![], None));
            assert_eq!(servers.late(&call, now), []);
            let due = servers.deadline().unwrap();
            assert_eq!((servers.late(&call, due), servers.deadline()), (list("stun:own"), None));
            assert_eq!(servers.late(&call, due + DIRECT_FIRST), [], "once");
        }
        let mut servers = servers("http://cam/", NEAR);
        assert_eq!((servers.first().0, servers.name(list("turn:link"))), (vec![], list("turn:link")));
        servers.late(&call, now);
        assert_eq!(servers.deadline(), None, "the camera's own list leads through a relay");
        let mut servers = super::tests::servers("http://cam/", NEAR);
        assert_eq!((servers.first().0, servers.name(list("stun:link"))), (vec![], list("stun:link")));
        servers.late(&call, now);
        assert_eq!(servers.late(&call, now + DIRECT_FIRST), list("stun:own"), "it does not");
    }

    #[test]
    fn nearby_is_what_local_networks_have_and_the_same_network_of_ipv6() {
        let near = |ours: &str, theirs: &str| is_near(ours.parse().unwrap(), theirs.parse().unwrap());
        assert!(near("127.0.0.1", "127.0.0.1") && near("10.0.0.1", "192.168.7.7") && near("::1", "::1"));
        assert!(near("fd00::1", "fd01::1") && near("2001:db8::1", "2001:db8::7:8:9:a"));
        assert!(!near("192.168.1.2", "203.0.113.7") && !near("2001:db8::1", "2001:db8:0:1::1"));
    }
}
