//! The engine: one loop on one thread that owns every session, every stream and every media socket.
//! Questions come through [`Relay`](crate::stream::relay::Relay), packets from sockets and sources;
//! nothing here locks or waits for one peer.
mod answers;
mod claims;
mod clients;
mod commands;
mod examine;
mod fanout;
mod feed;
mod guard;
mod held;
mod hidden;
mod lifecycle;
mod offers;
mod peer;
mod producer;
mod public;
mod publishers;
mod pulse;
mod relayed;
mod reoffer;
mod report;
mod send;
mod sessions;
mod sockets;
mod streams;
mod talk;
#[cfg(test)]
mod tests;
mod track;
mod trickle;
mod wire;

use crate::base::pace::Pace;
use crate::base::sparing::Sparing;
use crate::config::Config;
use crate::doctor::explain::Explainer;
use crate::doctor::facts::Advertised;
use crate::doctor::history::History;
use crate::gather::ice_servers::Servers;
use crate::gather::policy::Policy;
use crate::net::mdns::Mdns;
use crate::net::tcp::TcpInput;
use crate::net::turn::Input;
use crate::net::udp::ReceiveBuffers;
use crate::rtc::digest::Digest;
use crate::rtc::route::{Datagram, Socket};
use crate::rtc::session::{Event, Identity};
use crate::source::webrtc::url;
use crate::source::{ProducerId, SourceEvent, Surroundings};
use crate::stream::relay::{Command, Error, ErrorKind};
use claims::Claims;
use held::Held;
use peer::Peer;
use public::{Outside, Public};
use relayed::Relays;
use send::SendBuffer;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use streams::Stream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use track::Track;
use wire::{Wire, WireEvent};

/// Events of sources that wait for the engine; a full queue slows the sources down.
const SOURCE_QUEUE: usize = 64;
/// Answers of name servers that wait.
const OUTSIDE_QUEUE: usize = 64;
/// Messages of TURN servers that wait; a full queue leaves them to the kernel.
const RELAYED_QUEUE: usize = 256;
/// Events of one kind that are taken before others get their turn.
const MAX_AT_ONCE: usize = 64;
/// Batches taken from one socket before others get their turn.
const MAX_BATCHES: usize = 16;
/// Streams in all, so that an API client cannot fill the memory with names.
const MAX_STREAMS: usize = 256;
/// Checks that the relay sends to addresses which never answered, over all sessions: one in this time on average, some
/// 15 kB a second, so that nobody makes a hammer of it by many offers …
const STRANGER_CHECK_EACH: Duration = Duration::from_millis(10);
/// … and so many at once: a page with many pictures begins that many sessions.
const STRANGER_CHECKS_AT_ONCE: u32 = 64;
/// The loop looks around at least this often.
const IDLE: Duration = Duration::from_secs(30);
/// Time that peers are given to hear of the end.
const FAREWELL: Duration = Duration::from_millis(50);

/// Time that sources are given to say goodbye to their cameras.
const SOURCES_FAREWELL: Duration = Duration::from_millis(400);

/// Both ends of the queue that sources write to.
type SourceQueue = (mpsc::Sender<(ProducerId, SourceEvent)>, mpsc::Receiver<(ProducerId, SourceEvent)>);

pub struct Engine {
    identity: Arc<Identity>,
    surroundings: Surroundings,
    wire: Wire,
    buffer: SendBuffer,
    receive: Option<ReceiveBuffers>,
    peers: HashMap<u32, Box<Peer>>,
    next_key: u32,
    by_id: HashMap<String, u32>,
    by_ufrag: HashMap<String, u32>,
    claims: Claims,
    streams: BTreeMap<String, Stream>,
    tracks: HashMap<u32, Track>,
    next_producer: u64,
    sources: SourceQueue,
    /// Datagrams to send and events to handle of the step at hand; kept for their memory.
    out: Vec<Datagram>,
    events: Vec<Event>,
    linger: Duration,
    max_sessions: usize,
    /// Bytes that all rings together may hold.
    ring_budget: usize,
    /// Checks of all sessions to addresses that never answered.
    checks: Pace,
    public: Public,
    held: Held,
    outside: mpsc::Receiver<Outside>,
    /// What TURN servers send, by the numbers of the allocations.
    relayed: mpsc::Receiver<(u32, Input)>,
    /// A moment and the NTP time it had: the wall clock is asked once, since a board without a clock of its own
    /// jumps by decades when it hears the time.
    ntp: (Instant, u64),
    packets_forwarded: u64,
    started: Instant,
    /// For the doctor: sessions that ended, why addresses are kept back, what peers are told now.
    history: History,
    /// Which lines about clients are written.
    sparing: Sparing,
    explainer: Explainer,
    told: Arc<Advertised>,
    /// Seconds since 1970 at which the first TURN credentials end, where their user name says so.
    turn_expires_s: Option<u64>,
}

impl Engine {
    /// Binds the media sockets and sets the streams up. Must be called inside the engine's runtime.
    pub fn new(config: &Config) -> Result<Self, String> {
        let policy = Policy::new(&config.webrtc)?;
        let filters = policy.holds_for_calls().then(|| Arc::new(policy.clone()));
        let mut wire = Wire::bind(policy);
        let identity = Arc::new(Identity::generate()?);
        let surroundings = Surroundings {
            identity: identity.clone(),
            ice_servers: url::servers(config.webrtc.ice_servers.clone().unwrap_or_default()).into(),
            echo_paths: config.echo_paths.clone().map(Into::into),
            filters,
        };
        let (inputs, outside) = mpsc::channel(OUTSIDE_QUEUE);
        let (messages, relayed) = mpsc::channel(RELAYED_QUEUE);
        let servers = Servers::new(&config.webrtc);
        wire.relays = Relays::new(&servers, wire.single(), Digest::new(identity.provider.clone()), messages);
        wire.mdns = config.webrtc.mdns.then(|| Mdns::start(inputs.clone(), |name, ips| Outside::Name { name, ips }));
        let public = Public::new(&servers, inputs, Instant::now());
        let streams = config.streams.iter().map(|(name, stream)| Stream {
            publishers: stream.publishers,
            ..Stream::new(name, stream.sources.clone())
        });
        Ok(Self {
            identity,
            surroundings,
            wire,
            buffer: SendBuffer::new(),
            receive: Some(ReceiveBuffers::new()),
            peers: HashMap::new(),
            next_key: 1,
            by_id: HashMap::new(),
            by_ufrag: HashMap::new(),
            claims: Claims::default(),
            streams: streams.map(|stream| (stream.name.clone(), stream)).collect(),
            tracks: HashMap::new(),
            next_producer: 1,
            sources: mpsc::channel(SOURCE_QUEUE),
            out: Vec::new(),
            events: Vec::new(),
            linger: config.relay.linger,
            max_sessions: config.relay.sessions,
            ring_budget: config.relay.buffer << 20,
            checks: Pace::new(STRANGER_CHECK_EACH, STRANGER_CHECKS_AT_ONCE),
            public,
            held: Held::default(),
            outside,
            relayed,
            ntp: (Instant::now(), crate::rtc::ntp::ntp_now()),
            packets_forwarded: 0,
            started: Instant::now(),
            history: History::default(),
            sparing: Sparing::default(),
            explainer: Explainer::new(config),
            told: Arc::default(),
            turn_expires_s: config.webrtc.ice_servers.iter().flatten().filter_map(|server| server.expires()).min(),
        })
    }

    /// Turns until `stop` says so or nobody asks any more.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>, mut stop: watch::Receiver<bool>) {
        loop {
            let deadline = self.deadline();
            tokio::select! {
                event = self.wire.ready() => self.on_wire(event),
                Some((producer, event)) = self.sources.1.recv() => {
                    self.shielded(|engine| engine.on_source(producer, event));
                    for _ in 0..MAX_AT_ONCE {
                        let Ok((producer, event)) = self.sources.1.try_recv() else { break };
                        self.shielded(|engine| engine.on_source(producer, event));
                    }
                }
                Some(event) = self.outside.recv() => {
                    let now = Instant::now();
                    self.shielded(|engine| engine.on_outside(event, now));
                    for _ in 0..MAX_AT_ONCE {
                        let Ok(event) = self.outside.try_recv() else { break };
                        self.shielded(|engine| engine.on_outside(event, now));
                    }
                }
                Some((number, input)) = self.relayed.recv() => {
                    let now = Instant::now();
                    self.shielded(|engine| engine.on_relay_input(number, &input, now));
                    for _ in 0..MAX_AT_ONCE {
                        let Ok((number, input)) = self.relayed.try_recv() else { break };
                        self.shielded(|engine| engine.on_relay_input(number, &input, now));
                    }
                }
                command = commands.recv() => match command {
                    Some(command) => {
                        self.shielded(|engine| engine.on_command(command));
                    }
                    None => break,
                },
                () = tokio::time::sleep_until(deadline.into()) => {}
                _ = stop.changed() => break,
            }
            // What an event made due is seen by the next turn's deadline.
            let now = Instant::now();
            if now >= deadline {
                self.tick(now);
            }
            self.fan_out(now);
        }
        self.farewell().await;
    }

    fn deadline(&self) -> Instant {
        let peers = self.peers.values().filter_map(|peer| peer.due);
        let streams = self.streams.values().filter_map(Stream::deadline);
        let outside = [self.public.deadline(), self.wire.relays.deadline(), self.held.deadline()];
        let outside = outside.into_iter().flatten();
        peers.chain(streams).chain(outside).min().unwrap_or_else(|| Instant::now() + IDLE)
    }

    fn on_wire(&mut self, event: WireEvent) {
        match event {
            WireEvent::Udp(index) => {
                let Some(port) = self.wire.udp(index).cloned() else { return };
                let mut buffers = self.receive.take().unwrap_or_else(ReceiveBuffers::new);
                let now = Instant::now();
                for _ in 0..MAX_BATCHES {
                    if !port.receive(&mut buffers, |route, bytes| self.on_datagram(now, route, bytes)) {
                        break;
                    }
                }
                self.receive = Some(buffers);
            }
            WireEvent::Network => {
                let now = Instant::now();
                for socket in self.wire.refresh(now) {
                    self.on_unbound(socket, now);
                }
                self.refresh_public(now);
            }
            WireEvent::Tcp(input) => {
                self.on_tcp(input);
                for _ in 0..MAX_AT_ONCE {
                    let Some(input) = self.wire.next_tcp() else { break };
                    self.on_tcp(input);
                }
            }
        }
    }

    fn on_tcp(&mut self, input: TcpInput) {
        let now = Instant::now();
        match input {
            TcpInput::Opened { stream, remote } => self.wire.open(stream, remote),
            TcpInput::Frame { connection, bytes } => {
                if let Some(route) = self.wire.tcp_route(connection) {
                    self.on_datagram(now, route, &bytes);
                }
            }
            TcpInput::Writable { connection } => {
                self.wire.resume(connection);
                for (_, key) in self.claims.over(Socket::Tcp(connection)) {
                    if let Some(peer) = self.peers.get_mut(&key) {
                        peer.wake = Some(now);
                        peer.due = Some(now);
                    }
                }
            }
            TcpInput::Closed { connection } => {
                self.wire.close(connection);
                self.on_lost_socket(Socket::Tcp(connection), now);
            }
        }
    }

    /// Does everything that is due.
    fn tick(&mut self, now: Instant) {
        self.shielded(|engine| {
            engine.tick_public(now);
            engine.tick_relays(now);
            engine.tick_held(now);
        });
        let due: Vec<u32> =
            self.peers.iter().filter(|(_, p)| p.due.is_some_and(|at| at <= now)).map(|(key, _)| *key).collect();
        for key in due {
            self.guarded(key, |engine| engine.tick_peer(key, now));
        }
        let due: Vec<String> = self
            .streams
            .values()
            .filter(|stream| stream.deadline().is_some_and(|at| at <= now))
            .map(|stream| stream.name.clone())
            .collect();
        for name in due {
            self.tick_stream(&name, now);
        }
    }

    fn tick_peer(&mut self, key: u32, now: Instant) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let woken = peer.wake.take_if(|at| *at <= now).is_some();
        let strange = peer.session.ice().stranger_checks();
        if !self.checks.is_ready(now) {
            peer.session.ice_mut().put_strangers_off(now);
        }
        peer.session.tick(now, &mut self.out, &mut self.events);
        if peer.session.ice().stranger_checks() != strange {
            self.checks.take(now);
        }
        peer.report(now, self.ntp, &self.tracks, &mut self.out);
        peer.feedback(now, &mut self.out);
        self.wire.send(&mut self.out);
        self.handle_events(key, now);
        if woken {
            self.pump(key, now);
        }
    }

    /// Tells every peer that we go, and lets the datagrams out.
    async fn farewell(mut self) {
        let now = Instant::now();
        for peer in self.peers.values_mut() {
            peer.session.shut(now, &mut self.out);
        }
        let any = !self.out.is_empty();
        self.wire.send(&mut self.out);
        let producers = self.streams.values_mut().flat_map(|stream| &mut stream.producers);
        let sources: JoinSet<()> = producers
            .filter_map(|producer| producer.running.take()?.release())
            .map(|task| async { drop(task.await) })
            .collect();
        if !sources.is_empty() {
            let _ = timeout(SOURCES_FAREWELL, sources.join_all()).await;
        } else if any {
            tokio::time::sleep(FAREWELL).await;
        }
    }
}

/// Keys of peers and tracks: never 0, not used again before 2^32 others.
fn new_key(next: &mut u32) -> u32 {
    let key = *next;
    *next = next.wrapping_add(1).max(1);
    key
}

/// The words that players look for.
fn stream_not_found() -> Error {
    Error::new(ErrorKind::NotFound, "stream not found")
}
