//! What the relay knows about itself and about each session, as plain data: no clock, no sockets, no secrets.
//! The engine fills it in, [`verdict`](super::verdict) judges it, `/api/doctor` shows it. Times are ages in
//! milliseconds at the moment when the facts were taken.
use crate::base::source_error::SourceErrorKind;
use crate::gather::port_problem::PortProblem;
use crate::rtc::negotiate::Mismatch;
use serde::{Serialize, Serializer};
use std::net::SocketAddr;
use std::sync::Arc;

/// Lines of one list that a session keeps: local addresses, pairs, candidates of the peer.
pub const MAX_LINES: usize = 16;
/// Characters of a text that came from the network.
pub const MAX_TEXT: usize = 200;
/// Characters of a sentence of ours, which may name every codec of both sides and what a camera said.
pub const MAX_SENTENCE: usize = 600;

/// How far an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Lan,
    Loopback,
    /// A bridge of Docker, libvirt and the like: only this machine reaches it.
    Container,
    /// In 172.16.0.0/12 without being known as a container's: Docker's range, and some homes use it.
    ContainerRange,
    Vpn,
    LinkLocal,
}

impl Scope {
    /// Nobody on the local network reaches such an address, as far as one can tell.
    fn is_inside(self, guess: bool) -> bool {
        matches!(self, Scope::Container | Scope::Vpn) || (guess && self == Scope::ContainerRange)
    }
}

/// One address of the machine and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Address {
    pub interface: String,
    pub ip: String,
    pub scope: Scope,
    pub advertised: bool,
    /// What keeps it back, in words.
    pub removed_by: Option<String>,
    /// The setting that does, with its line where the file has it; `None`: a rule of the relay itself.
    pub setting: Option<String>,
}

/// What peers are told of us. One value serves all sessions that were told the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Advertised {
    /// `udp 192.168.1.2:8555`, best first; what is no address of ours has its type behind it (`srflx`, `relay`).
    pub candidates: Vec<String>,
    pub addresses: Vec<Address>,
    /// Addresses that are none of the machine's are among them: written down, a router's, a TURN server's.
    pub foreign: bool,
}

impl Advertised {
    /// Every address that peers are told leads only into this machine's containers or a VPN. `guess`: something
    /// failed already, so Docker's range counts too.
    pub fn only_inside(&self, guess: bool) -> bool {
        let mut told = self.addresses.iter().filter(|address| address.advertised).peekable();
        !self.foreign && told.peek().is_some() && told.all(|address| address.scope.is_inside(guess))
    }

    /// `a, b, c`: the addresses without their protocols, each once.
    pub fn list(&self) -> String {
        let mut list: Vec<&str> = Vec::new();
        for address in self.candidates.iter().filter_map(|line| line.split(' ').nth(1)) {
            if !list.contains(&address) {
                list.push(address);
            }
        }
        list.join(", ")
    }

    pub fn has_udp(&self) -> bool {
        self.candidates.iter().any(|line| line.starts_with("udp "))
    }
}

/// The peer's candidates.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RemoteCandidates {
    /// `udp 192.168.1.9:50000 host`, the first [`MAX_LINES`].
    pub lines: Vec<String>,
    /// Candidates with an address, and those that hide it behind a `.local` name.
    pub addresses: u32,
    pub names: u32,
    /// Any of them speaks UDP.
    pub udp: bool,
}

impl RemoteCandidates {
    /// Takes note of a candidate line (RFC 8839 section 5.1), with or without `a=`.
    pub fn note(&mut self, line: &str) {
        let line = line.strip_prefix("a=").unwrap_or(line);
        let fields: Vec<&str> = line.split_ascii_whitespace().take(8).collect();
        let [_, component, protocol, _, host, port, rest @ ..] = &fields[..] else { return };
        if *component != "1" {
            return;
        }
        let protocol = protocol.to_ascii_lowercase();
        if host.to_ascii_lowercase().ends_with(".local") {
            self.names = self.names.saturating_add(1);
        } else {
            self.addresses = self.addresses.saturating_add(1);
        }
        self.udp |= protocol == "udp";
        if self.lines.len() < MAX_LINES {
            let kind = rest.get(1).copied().unwrap_or_default();
            let place = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
            self.lines.push(clip(format!("{protocol} {place} {kind}").trim_end()));
        }
    }

    /// Takes note of the address that was found behind a name.
    pub fn note_found(&mut self, address: SocketAddr) {
        self.addresses = self.addresses.saturating_add(1);
        if self.lines.len() < MAX_LINES {
            self.lines.push(format!("udp {address} host, by its name"));
        }
    }
}

/// STUN requests that came to one of our addresses.
#[derive(Clone, Debug, Serialize)]
pub struct Arrivals {
    /// `udp 192.168.1.2`; `any` where the kernel did not tell.
    pub local: String,
    pub requests: u32,
    pub last_ms: u64,
}

/// One way between the two.
#[derive(Clone, Debug, Serialize)]
pub struct Pair {
    pub local: String,
    pub remote: String,
    /// Requests of the peer, our own checks, and its answers to them.
    pub requests: u32,
    pub checks: u32,
    pub answers: u32,
    pub rtt_ms: Option<u64>,
    pub selected: bool,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Ice {
    pub remote: RemoteCandidates,
    pub arrivals: Vec<Arrivals>,
    pub pairs: Vec<Pair>,
    /// Over all pairs that ever were.
    pub requests: u32,
    pub checks: u32,
    pub answers: u32,
    /// `udp`, `tcp` or `relay`, once a way was chosen.
    pub selected: Option<&'static str>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Dtls {
    /// Since a way was chosen, and how long the handshake took.
    pub began_ms: Option<u64>,
    pub took_ms: Option<u64>,
    /// Datagrams.
    pub sent: u32,
    pub received: u32,
}

/// One m-line: what we send to a viewer, or receive from a publisher.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Media {
    pub kind: &'static str,
    /// `None`: no track of the stream fits.
    pub codec: Option<String>,
    /// What the peer takes.
    pub offered: Vec<String>,
    pub packets: u64,
    pub retransmitted: u64,
    pub nacked: u64,
    pub keyframe_requests: u64,
    /// Sends that the system refused because they were too long for the way.
    pub too_long: u64,
    /// Smoothed, from this many reports of the viewer; for a publisher over the whole session.
    pub loss_percent: f32,
    pub reports: u32,
    /// Something was sent to this viewer, or the publisher's first keyframe came.
    pub begun: bool,
    pub track: Track,
}

/// The producer's side of an m-line.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Track {
    pub packets: u64,
    pub last_packet_ms: Option<u64>,
    pub last_keyframe_ms: Option<u64>,
    /// Between the last two keyframes.
    pub keyframes_apart_ms: Option<u64>,
    /// Requests for a keyframe since the last one came.
    pub keyframes_asked: u32,
    /// Keyframes come, but not what a decoder needs first (SPS, PPS).
    pub undecodable: bool,
    /// Pictures are sent in another order than they are shown in (B-frames).
    pub reordered: bool,
}

/// The stream that a session belongs to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stream {
    pub name: String,
    pub state: &'static str,
    /// It has sources; without any it waits for a publisher.
    pub has_source: bool,
    pub video: Option<String>,
    pub last_error: Option<String>,
    #[serde(skip)]
    pub error_kind: Option<SourceErrorKind>,
    pub failures: u32,
    /// Since its source is down.
    pub down_ms: Option<u64>,
    pub viewers: usize,
}

/// How far a session is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    #[default]
    Checking,
    Handshaking,
    Connected,
    /// The offer itself was refused.
    Refused,
}

/// Why an offer was refused, as far as it can be helped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    Codecs,
    Source,
    Full,
    /// No media socket is bound.
    NoPort,
}

/// Everything known about one session, live or ended, or about an offer that was refused.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Session {
    /// The beginning of the id; the whole one is a secret.
    pub id: String,
    pub publishes: bool,
    /// Door that the offer came by, the client's own words about itself, and where it asked from.
    pub door: &'static str,
    pub client: String,
    pub from: String,
    pub age_ms: u64,
    pub phase: Phase,
    pub connected_ms: Option<u64>,
    pub refusal: Option<Refusal>,
    /// What keeps the relay from a media port, where that is why it refused.
    #[serde(skip)]
    pub port: Option<PortProblem>,
    /// What does not fit, where that is why it refused.
    #[serde(skip)]
    pub mismatch: Option<Mismatch>,
    /// Why it ended or was refused.
    pub reason: Option<String>,
    /// It ended because a deadline passed, not because somebody closed it.
    pub failed: bool,
    /// It published, and somebody else has its place.
    pub replaced: bool,
    /// It publishes when those before it have left.
    pub waits: bool,
    pub advertised: Arc<Advertised>,
    pub ice: Ice,
    pub dtls: Dtls,
    pub media: Vec<Media>,
    pub stream: Stream,
}

/// The machine and the relay on it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Machine {
    pub listen: Vec<String>,
    /// What could not be bound.
    #[serde(serialize_with = "as_text")]
    pub problems: Vec<PortProblem>,
    pub advertised: Arc<Advertised>,
    pub sessions: usize,
    pub max_sessions: usize,
    pub uptime_s: u64,
    /// Seconds since 1970 by this machine's clock.
    pub clock_s: u64,
    /// The same by the clock of whoever looks, where it was told.
    pub asker_clock_s: Option<u64>,
    /// End of the first TURN credentials that carry one.
    pub turn_expires_s: Option<u64>,
}

fn as_text<S: Serializer>(problems: &[PortProblem], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(problems.iter().map(ToString::to_string))
}

/// A text from the network, bounded.
pub fn clip(text: &str) -> String {
    bounded(text, MAX_TEXT)
}

/// A reason in words of ours, which may repeat some of the network's: bounded where a whole one fits.
pub fn clip_sentence(text: &str) -> String {
    bounded(text, MAX_SENTENCE)
}

fn bounded(text: &str, characters: usize) -> String {
    text.chars().filter(|character| !character.is_control()).take(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_names_and_addresses_are_told_apart() {
        let mut remote = RemoteCandidates::default();
        remote.note("a=candidate:1 1 UDP 2122 4a1f.local 50000 typ host generation 0");
        remote.note("candidate:1 1 udp 2122 192.168.1.9 50001 typ host");
        remote.note("candidate:1 2 udp 2122 192.168.1.9 50002 typ host");
        remote.note("candidate:1 1 tcp 2122 fe80::1 9 typ host tcptype active");
        remote.note("nonsense");
        assert_eq!((remote.names, remote.addresses, remote.udp), (1, 2, true));
        assert_eq!(remote.lines, ["udp 4a1f.local:50000 host", "udp 192.168.1.9:50001 host", "tcp [fe80::1]:9 host"]);
    }

    #[test]
    fn lists_and_texts_are_bounded() {
        let mut remote = RemoteCandidates::default();
        for _ in 0..100 {
            remote.note(&format!("candidate:1 1 udp 1 {} 1 typ host", "x".repeat(1000)));
        }
        assert_eq!(remote.lines.len(), MAX_LINES);
        assert!(remote.lines.iter().all(|line| line.len() <= MAX_TEXT));
        assert_eq!(clip("a\x1b[2Jb\n"), "a[2Jb");
    }
}
