//! Our address as the Internet sees it: asked of one STUN server after the other, for each address family, without
//! sockets or a clock. Requests leave from the media socket, so that the answer is the mapping of the media port.
use crate::gather::stun::{self, Message, Retry, TransactionId};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// One server is given so long before the next is asked.
const PATIENCE: Duration = Duration::from_secs(3);
/// A known address is asked for again after this time, …
pub const REFRESH: Duration = Duration::from_secs(300);
/// … or when no server answered, after this time.
const RETRY: Duration = Duration::from_secs(30);
/// A mapping that was confirmed within this time needs no new look when a viewer comes: the shortest life of UDP
/// mappings in the field is 30 s (RFC 4787 section 4.3 asks for 2 minutes).
const FRESH: Duration = Duration::from_secs(25);

/// Type preference 100 (RFC 8445 section 5.1.2.2), local preference as for hosts, component 1.
const PRIORITY: u32 = (100 << 24) | (65_535 << 8) | 255;

/// A server to ask; its number is its place in the settings.
#[derive(Debug)]
pub struct Server {
    /// As `ice_servers` names it.
    pub name: String,
    addresses: Vec<SocketAddr>,
    pub last_error: Option<String>,
    pub answered: Option<Instant>,
}

/// A public address and the socket address behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub public: SocketAddr,
    /// The local address that the answer came to.
    pub base: SocketAddr,
    pub at: Instant,
}

impl Found {
    /// The server-reflexive candidate (RFC 8839 section 5.1), without `a=`.
    pub fn candidate(&self) -> String {
        let (ip, port) = (self.public.ip(), self.public.port());
        let family = if ip.is_ipv4() { 4 } else { 6 };
        let (base, base_port) = (self.base.ip(), self.base.port());
        format!("candidate:srflx{family} 1 udp {PRIORITY} {ip} {port} typ srflx raddr {base} rport {base_port}")
    }
}

/// A request that is on its way.
#[derive(Debug)]
struct Asked {
    server: usize,
    to: SocketAddr,
    transaction: TransactionId,
    retry: Retry,
}

#[derive(Debug)]
struct Family {
    v6: bool,
    due: Instant,
    asked: Option<Asked>,
    /// Servers that did not answer in this round.
    tried: Vec<usize>,
    found: Option<Found>,
}

#[derive(Debug)]
pub struct Lookup {
    pub servers: Vec<Server>,
    families: [Family; 2],
}

impl Lookup {
    /// Nothing is asked before a server's addresses are known.
    pub fn new(names: impl Iterator<Item = String>, now: Instant) -> Self {
        let server = |name| Server { name, addresses: Vec::new(), last_error: None, answered: None };
        let family = |v6| Family { v6, due: now, asked: None, tried: Vec::new(), found: None };
        Self { servers: names.map(server).collect(), families: [false, true].map(family) }
    }

    /// The addresses of a server's name came in.
    pub fn resolved(&mut self, server: usize, result: Result<Vec<SocketAddr>, String>, now: Instant) {
        let Some(server) = self.servers.get_mut(server) else { return };
        match result {
            Ok(addresses) if server.addresses != addresses => {
                server.addresses = addresses;
                self.families.iter_mut().filter(|family| family.found.is_none()).for_each(|family| family.due = now);
            }
            Ok(_) => {}
            // Addresses that were good until now still may be.
            Err(error) => server.last_error = Some(error),
        }
    }

    /// Asks again at once: the machine's addresses changed.
    pub fn refresh(&mut self, now: Instant) {
        for family in &mut self.families {
            family.due = now;
        }
    }

    /// Somebody will be told the address: looks whether it still is so.
    pub fn confirm(&mut self, now: Instant) {
        let old = |family: &&mut Family| family.found.is_some_and(|f| now.saturating_duration_since(f.at) > FRESH);
        self.families.iter_mut().filter(old).for_each(|family| family.due = family.due.min(now));
    }

    pub fn found(&self) -> impl Iterator<Item = Found> {
        self.families.iter().filter_map(|family| family.found)
    }

    pub fn deadline(&self) -> Option<Instant> {
        let usable = |family: &&Family| {
            let fits = |server: &Server| server.addresses.iter().any(|a| a.is_ipv6() == family.v6);
            family.asked.is_some() || self.servers.iter().any(fits)
        };
        let due = |family: &Family| family.asked.as_ref().map_or(family.due, |asked| asked.retry.deadline());
        self.families.iter().filter(usable).map(due).min()
    }

    /// Writes the requests that are due, each with the server it is for. `reaches`: is there a socket for this address?
    pub fn tick(
        &mut self,
        now: Instant,
        reaches: impl Fn(SocketAddr) -> bool,
        mut id: impl FnMut() -> Option<TransactionId>,
        out: &mut Vec<(SocketAddr, Vec<u8>)>,
    ) {
        for family in &mut self.families {
            if let Some(asked) = family.asked.take_if(|asked| asked.retry.is_over(now)) {
                self.servers[asked.server].last_error =
                    Some(format!("{} did not answer within {} s", asked.to, PATIENCE.as_secs()));
                family.tried.push(asked.server);
            }
            if family.asked.is_none() && family.due <= now {
                family.begin(&self.servers, now, &reaches, &mut id);
            }
            if let Some(asked) = family.asked.as_mut().filter(|asked| asked.retry.deadline() <= now)
                && asked.retry.take(now)
            {
                out.push((asked.to, stun::binding_request(&asked.transaction)));
            }
        }
    }

    /// Takes an answer. False: it is none to a request of ours.
    pub fn handle(&mut self, now: Instant, from: SocketAddr, base: SocketAddr, bytes: &[u8]) -> bool {
        let Some(message) = Message::read(bytes) else { return false };
        let ours = |asked: &Asked| asked.transaction == message.transaction && asked.to == from;
        let Some(family) = self.families.iter_mut().find(|family| family.asked.as_ref().is_some_and(ours)) else {
            return false;
        };
        let Some(answer) = stun::binding_answer(&message) else { return false };
        let Some(asked) = family.asked.take() else { return false };
        let server = &mut self.servers[asked.server];
        match answer {
            Ok(public) if public.is_ipv6() == family.v6 => {
                if family.found.is_none_or(|found| found.public != public) {
                    log::info!(target: "webrtc", "public address={public} server={:?}", server.name);
                }
                (server.last_error, server.answered) = (None, Some(now));
                family.found = Some(Found { public, base, at: now });
                family.tried.clear();
                family.due = now + REFRESH;
            }
            Ok(_) => server.last_error = Some("the answer is an address of the other family".into()),
            Err(error) => server.last_error = Some(error),
        }
        if family.found.is_none_or(|found| found.at != now) {
            family.tried.push(asked.server);
            family.due = now;
        }
        true
    }
}

impl Family {
    /// Asks the next server of this round; when none is left, waits.
    fn begin(
        &mut self,
        servers: &[Server],
        now: Instant,
        reaches: &impl Fn(SocketAddr) -> bool,
        id: &mut impl FnMut() -> Option<TransactionId>,
    ) {
        let fits = |address: &SocketAddr| address.is_ipv6() == self.v6 && reaches(*address);
        let address = |server: &Server| server.addresses.iter().copied().find(fits);
        let mut next = servers.iter().enumerate().filter(|(number, _)| !self.tried.contains(number));
        let next = next.find_map(|(number, server)| Some((number, address(server)?)));
        match next.and_then(|(server, to)| Some((server, to, id()?))) {
            Some((server, to, transaction)) => {
                self.asked = Some(Asked { server, to, transaction, retry: Retry::new(now, PATIENCE) });
            }
            None => {
                self.tried.clear();
                self.due = now + RETRY;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gather::stun::{Writer, attribute, kind};

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    struct World {
        lookup: Lookup,
        start: Instant,
        ids: u8,
    }

    impl World {
        fn new(servers: &[&[&str]]) -> Self {
            let start = Instant::now();
            let names = (0..servers.len()).map(|number| format!("stun:{number}"));
            let mut lookup = Lookup::new(names, start);
            for (number, addresses) in servers.iter().enumerate() {
                lookup.resolved(number, Ok(addresses.iter().map(|text| at(text)).collect()), start);
            }
            Self { lookup, start, ids: 0 }
        }

        fn tick(&mut self, ms: u64) -> Vec<(SocketAddr, Vec<u8>)> {
            let (mut out, ids) = (Vec::new(), &mut self.ids);
            let id = || {
                *ids += 1;
                Some([*ids; 12])
            };
            self.lookup.tick(self.start + Duration::from_millis(ms), |to| to.port() != 9, id, &mut out);
            out
        }

        fn answer(&mut self, ms: u64, (to, request): &(SocketAddr, Vec<u8>), public: &str) -> bool {
            let id = request[8..20].try_into().unwrap();
            let answer = Writer::new(kind::BINDING | kind::SUCCESS, &id)
                .with_address(attribute::XOR_MAPPED_ADDRESS, at(public))
                .finish();
            self.lookup.handle(self.start + Duration::from_millis(ms), *to, at("10.0.0.1:8555"), &answer)
        }

        fn found(&self) -> Vec<String> {
            self.lookup.found().map(|found| found.public.to_string()).collect()
        }
    }

    #[test]
    fn both_families_are_asked_and_their_answers_kept() {
        let mut world = World::new(&[&["192.0.2.1:3478", "[2001:db8::1]:3478"]]);
        let requests = world.tick(0);
        assert_eq!(requests.len(), 2);
        assert!(world.answer(10, &requests[0], "203.0.113.7:8555"));
        assert!(world.answer(11, &requests[1], "[2001:db8::7]:8555"));
        assert!(!world.answer(12, &requests[1], "[2001:db8::8]:8555"), "answered already");
        assert_eq!(world.found(), ["203.0.113.7:8555", "[2001:db8::7]:8555"]);
        assert!(world.tick(299_000).is_empty());
        assert_eq!(world.tick(300_020).len(), 2, "asked again after five minutes");
    }

    #[test]
    fn a_silent_server_is_given_three_seconds_then_the_next_is_asked() {
        let mut world = World::new(&[&["192.0.2.1:1"], &[], &["192.0.2.3:3"]]);
        let times: Vec<(u64, SocketAddr)> =
            (0..350).map(|n| n * 10).flat_map(|ms| world.tick(ms).into_iter().map(move |(to, _)| (ms, to))).collect();
        let first = at("192.0.2.1:1");
        assert_eq!(times, [(0, first), (500, first), (1500, first), (3000, at("192.0.2.3:3"))]);
        assert_eq!(world.lookup.servers[0].last_error.as_deref(), Some("192.0.2.1:1 did not answer within 3 s"));
        let again = world.tick(3500);
        assert!(world.answer(3600, &again[0], "203.0.113.7:8555"));
        assert_eq!(world.found(), ["203.0.113.7:8555"]);
    }

    #[test]
    fn an_address_stays_known_while_no_server_answers_and_changes_when_one_does() {
        let mut world = World::new(&[&["192.0.2.1:1"]]);
        let request = world.tick(0).remove(0);
        world.answer(10, &request, "203.0.113.7:8555");
        world.lookup.refresh(world.start + Duration::from_secs(20));
        for ms in (20_000..24_000).step_by(100) {
            world.tick(ms);
        }
        assert_eq!(world.found(), ["203.0.113.7:8555"]);
        assert!(world.lookup.servers[0].last_error.is_some());
        let request = world.tick(60_000).remove(0);
        world.answer(60_010, &request, "203.0.113.9:8555");
        assert_eq!(world.found(), ["203.0.113.9:8555"]);
        assert!(world.lookup.servers[0].last_error.is_none());
    }

    #[test]
    fn only_the_server_that_was_asked_may_answer() {
        let mut world = World::new(&[&["192.0.2.1:1"]]);
        let (to, request) = world.tick(0).remove(0);
        assert!(!world.answer(10, &(at("192.0.2.9:1"), request.clone()), "203.0.113.66:1"));
        let mut forged = request.clone();
        forged[19] ^= 1;
        assert!(!world.answer(10, &(to, forged), "203.0.113.66:1"));
        assert!(world.found().is_empty());
    }

    #[test]
    fn a_refusal_leads_to_the_next_server_at_once() {
        let mut world = World::new(&[&["192.0.2.1:1"], &["192.0.2.2:2"]]);
        let (to, request) = world.tick(0).remove(0);
        let id = request[8..20].try_into().unwrap();
        let refusal =
            Writer::new(kind::BINDING | kind::FAILURE, &id).with(attribute::ERROR_CODE, b"\0\0\x04\0Bad").finish();
        assert!(world.lookup.handle(world.start, to, at("10.0.0.1:8555"), &refusal));
        assert_eq!(world.tick(1)[0].0, at("192.0.2.2:2"));
        assert_eq!(world.lookup.servers[0].last_error.as_deref(), Some("the server refuses: 400 Bad"));
    }

    #[test]
    fn servers_that_no_socket_reaches_are_passed_over_until_one_does() {
        let mut world = World::new(&[&["192.0.2.1:9", "192.0.2.1:10"], &["192.0.2.2:9"]]);
        assert_eq!(world.tick(0)[0].0, at("192.0.2.1:10"));
        let mut world = World::new(&[&["192.0.2.1:9"]]);
        assert!(world.tick(0).is_empty());
        world.lookup.resolved(0, Ok(vec![at("192.0.2.1:1")]), world.start);
        assert_eq!(world.tick(1).len(), 1);
    }

    #[test]
    fn an_old_mapping_is_confirmed_when_a_viewer_comes() {
        let mut world = World::new(&[&["192.0.2.1:1"]]);
        let request = world.tick(0).remove(0);
        world.answer(0, &request, "203.0.113.7:8555");
        world.lookup.confirm(world.start + Duration::from_secs(20));
        assert!(world.tick(20_000).is_empty());
        world.lookup.confirm(world.start + Duration::from_secs(40));
        assert_eq!(world.tick(40_000).len(), 1);
    }

    #[test]
    fn spoiled_answers_of_a_server_are_survived_and_its_true_one_is_taken() {
        for seed in crate::fuzz::rounds(200) {
            let mut random = crate::fuzz::Random::new(seed);
            let mut world = World::new(&[&["192.0.2.1:3478"]]);
            let asked = world.tick(0).remove(0);
            for _ in 0..20 {
                let kind = kind::BINDING | [kind::SUCCESS, kind::FAILURE][random.below(2)];
                let mut answer = Writer::new(kind, &asked.1[8..20].try_into().unwrap())
                    .with_address(attribute::XOR_MAPPED_ADDRESS, at("203.0.113.7:8555"))
                    .with(attribute::ERROR_CODE, b"\0\0\x04\x01no")
                    .finish();
                random.spoil(&mut answer);
                world.lookup.handle(world.start, asked.0, at("10.0.0.1:8555"), &answer);
                assert!(world.tick(0).len() <= 2, "round {seed}");
            }
            let patience = (RETRY + REFRESH).as_millis() as u64 * 2;
            for ms in (0..patience).step_by(500) {
                for asked in world.tick(ms) {
                    world.answer(ms, &asked, "203.0.113.7:8555");
                }
            }
            assert_eq!(world.found(), ["203.0.113.7:8555"], "round {seed}");
        }
    }
}
