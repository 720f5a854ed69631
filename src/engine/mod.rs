//! The engine: one loop on one thread that owns every session, every stream and every media socket.
//! Questions come through [`Relay`](crate::stream::relay::Relay), packets from sockets and sources;
//! nothing here locks or waits for one peer.
mod examine;
mod fanout;
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

use crate::config::Config;
use crate::doctor::explain::Explainer;
use crate::doctor::facts::Advertised;
use crate::doctor::history::History;
use crate::media::codec::Kind;
use crate::net::mdns::Mdns;
use crate::net::policy::Policy;
use crate::net::route::{Datagram, Socket};
use crate::net::servers::Servers;
use crate::net::tcp::TcpInput;
use crate::net::turn::Input;
use crate::net::udp::ReceiveBuffers;
use crate::rtc::digest::Digest;
use crate::rtc::session::{Event, Identity};
use crate::source::webrtc::url;
use crate::source::{ProducerId, SourceEvent, SourceRequest, Surroundings};
use crate::stream::relay::{Command, Error, ErrorKind};
use fanout::Output;
use held::Held;
use peer::Peer;
use producer::Producer;
use public::{Outside, Public};
use relayed::Relays;
use send::SendBuffer;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use streams::{Stream, Wish};
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
    by_route: HashMap<(Socket, SocketAddr), u32>,
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
    explainer: Explainer,
    told: Arc<Advertised>,
    /// Seconds since 1970 at which the first TURN credentials end, where their user name says so.
    turn_expires_s: Option<u64>,
}

impl Engine {
    /// Binds the media sockets and sets the streams up. Must be called inside the engine's runtime.
    pub fn new(config: &Config) -> Result<Self, String> {
        let mut wire = Wire::bind(Policy::new(&config.webrtc)?);
        let identity = Arc::new(Identity::generate()?);
        let surroundings = Surroundings {
            identity: identity.clone(),
            ice_servers: url::servers(config.webrtc.ice_servers.clone().unwrap_or_default()).into(),
            echo_paths: config.echo_paths.clone().map(Into::into),
        };
        let (inputs, outside) = mpsc::channel(OUTSIDE_QUEUE);
        let (messages, relayed) = mpsc::channel(RELAYED_QUEUE);
        let servers = Servers::new(&config.webrtc);
        wire.relays = Relays::new(&servers, wire.single(), Digest::new(identity.provider.clone()), messages);
        wire.mdns = config.webrtc.mdns.then(|| Mdns::start(inputs.clone(), |name, ips| Outside::Name { name, ips }));
        let public = Public::new(&servers, inputs, Instant::now());
        let streams = config
            .streams
            .iter()
            .map(|(name, stream)| Stream { policy: stream.policy, ..Stream::new(name, stream.sources.clone()) });
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
            by_route: HashMap::new(),
            streams: streams.map(|stream| (stream.name.clone(), stream)).collect(),
            tracks: HashMap::new(),
            next_producer: 1,
            sources: mpsc::channel(SOURCE_QUEUE),
            out: Vec::new(),
            events: Vec::new(),
            linger: config.relay.linger,
            max_sessions: config.relay.sessions,
            ring_budget: config.relay.buffer << 20,
            public,
            held: Held::default(),
            outside,
            relayed,
            ntp: (Instant::now(), crate::rtc::ntp::ntp_now()),
            packets_forwarded: 0,
            started: Instant::now(),
            history: History::default(),
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
                let key = self.by_route.iter().find(|((socket, _), _)| *socket == Socket::Tcp(connection));
                if let Some(peer) = key.and_then(|(_, key)| self.peers.get_mut(key)) {
                    peer.wake = Some(now);
                    peer.due = Some(now);
                }
            }
            TcpInput::Closed { connection } => {
                self.wire.close(connection);
                self.on_lost_socket(Socket::Tcp(connection), now);
            }
        }
    }

    fn on_source(&mut self, producer: ProducerId, event: SourceEvent) {
        let now = Instant::now();
        let found = self.streams.values_mut().find_map(|stream| {
            let is = |p: &Producer| p.running.as_ref().is_some_and(|running| running.id == producer);
            let index = stream.producers.iter().position(is)?;
            Some((stream, index))
        });
        let Some((stream, index)) = found else { return };
        let Some(running) = &mut stream.producers[index].running else { return };
        match event {
            SourceEvent::Packets { track, packets } => {
                if let Some(track) = running.tracks.get(track).and_then(|key| self.tracks.get_mut(key)) {
                    for packet in packets {
                        track.push(packet, now);
                    }
                }
            }
            SourceEvent::Clock { track, at, timestamp } => {
                if let Some(track) = running.tracks.get(track).and_then(|key| self.tracks.get_mut(key)) {
                    track.set_clock(at, timestamp);
                }
            }
            SourceEvent::Progress(progress) => running.progress = progress,
            SourceEvent::Backchannel(codecs) => running.backchannel = codecs,
            SourceEvent::Tracks(infos) => {
                let keys: Vec<u32> = infos.iter().map(|_| new_key(&mut self.next_key)).collect();
                let old = std::mem::replace(&mut running.tracks, keys.clone());
                running.live.get_or_insert(now);
                (stream.producers[index].last_error, stream.producers[index].down_since) = (None, None);
                let name = stream.name.clone();
                for (key, info) in keys.iter().zip(infos) {
                    self.add_track(*key, Track::new(info, true));
                }
                self.drop_tracks(&old);
                self.on_live(&name);
            }
            SourceEvent::Ended(error) => {
                let name = stream.name.clone();
                self.on_source_failed(&name, index, error, now);
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
        peer.session.tick(now, &mut self.out, &mut self.events);
        peer.report(now, self.ntp, &self.tracks, &mut self.out);
        peer.feedback(now, &mut self.out);
        self.wire.send(&mut self.out);
        self.handle_events(key, now);
        if woken {
            self.pump(key, now);
        }
    }

    /// Brings what producers sent to their viewers.
    fn fan_out(&mut self, now: Instant) {
        let dirty: Vec<u32> = self.tracks.iter().filter(|(_, track)| track.dirty).map(|(key, _)| *key).collect();
        for key in dirty {
            let viewers = self.tracks.get_mut(&key).map(|track| std::mem::take(&mut track.viewers)).unwrap_or_default();
            for viewer in &viewers {
                self.pump(*viewer, now);
            }
            if let Some(track) = self.tracks.get_mut(&key) {
                track.dirty = false;
                track.late.clear();
                // Whoever joined or left meanwhile counts.
                let joined = std::mem::take(&mut track.viewers);
                track.viewers = viewers;
                track.viewers.extend(joined);
                track.viewers.retain(|viewer| self.peers.contains_key(viewer));
            }
        }
    }

    fn pump(&mut self, key: u32, now: Instant) {
        self.guarded(key, |engine| {
            let Some(peer) = engine.peers.get_mut(&key) else { return };
            let before: u64 = peer.senders.iter().map(|sender| sender.packets).sum();
            let mut output = Output { tracks: &engine.tracks, wire: &mut engine.wire, buffer: &mut engine.buffer, now };
            let wanted = fanout::pump(peer, &mut output);
            let after: u64 = peer.senders.iter().map(|sender| sender.packets).sum();
            engine.packets_forwarded += after - before;
            for track in wanted {
                engine.ask_keyframe(track, now);
            }
        });
    }

    /// Asks the producer of a track for a keyframe, if it can and was not asked just now.
    fn ask_keyframe(&mut self, track_key: u32, now: Instant) {
        if !self.tracks.get_mut(&track_key).is_some_and(|track| track.ask_keyframe(now)) {
            return;
        }
        for stream in self.streams.values() {
            if let Some((key, tracks)) = &stream.publisher
                && tracks.contains(&track_key)
            {
                if let Some(peer) = self.peers.get_mut(key) {
                    peer.intake.want_keyframe(track_key);
                    peer.feedback(now, &mut self.out);
                    peer.due = peer.deadline();
                    self.wire.send(&mut self.out);
                }
                return;
            }
            for running in stream.producers.iter().filter_map(|producer| producer.running.as_ref()) {
                if let Some(track) = running.tracks.iter().position(|key| *key == track_key) {
                    // A full queue holds a request already.
                    let _ = running.requests.try_send(SourceRequest::Keyframe { track });
                    return;
                }
            }
        }
    }

    fn drop_tracks(&mut self, keys: &[u32]) {
        for key in keys {
            self.tracks.remove(key);
        }
        self.share_buffer();
    }

    fn add_track(&mut self, key: u32, track: Track) {
        self.tracks.insert(key, track);
        self.share_buffer();
    }

    /// Gives every video track its share of the memory for packets; sound needs next to nothing.
    fn share_buffer(&mut self) {
        let videos = self.tracks.values().filter(|track| track.info.codec.kind() == Kind::Video).count();
        for track in self.tracks.values_mut() {
            track.ring.set_max_bytes(self.ring_budget / videos.max(1));
        }
    }

    fn on_command(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Offer { offer, reply } => self.on_offer(offer, reply, now),
            Command::Reoffer { id, sdp, reply } => drop(reply.send(self.on_reoffer(&id, &sdp, now))),
            Command::Turns { id, reply } => drop(reply.send(self.on_turns(&id))),
            Command::Trickle { id, trickle, reply } => drop(reply.send(self.on_trickle(&id, trickle, now))),
            Command::LateCandidates { id, reply } => self.on_late_candidates(&id, reply),
            Command::Close { id, reply } => drop(reply.send(self.on_close(&id))),
            Command::Etag { id, reply } => drop(reply.send(self.peer_by_id(&id).map(Peer::etag))),
            Command::Streams { reply } => {
                let all = self.streams.values().filter(|stream| !stream.deleted);
                let all = all.map(|stream| (stream.name.clone(), self.report(stream, now)));
                drop(reply.send(Ok(Value::Object(all.collect()))));
            }
            Command::Stream { name, reply } => drop(reply.send(self.describe(&name))),
            Command::Probe { name, video, audio, microphone, reply } => {
                self.on_probe(&name, Wish { video, audio, microphone }, reply, now);
            }
            Command::PutStream { name, sources, policy, reply } => {
                drop(reply.send(self.put_stream(&name, sources, policy, now)));
            }
            Command::DeleteStream { name, reply } => {
                self.delete_stream(&name, now);
                drop(reply.send(Ok(())));
            }
            Command::Session { id, reply } => {
                let found = self.peer_by_id(&id).map(|peer| {
                    let stream = self.streams.get(&peer.stream);
                    let waits = self.key_of(&id).is_ok_and(|key| stream.is_some_and(|stream| stream.has_waiting(key)));
                    report::session(peer, stream, waits, &self.tracks, |socket| self.wire.local_port(socket), now)
                });
                drop(reply.send(found));
            }
            Command::Doctor { clock, reply } => {
                let report = self.examine(clock, now);
                drop(reply.send(Ok(report)));
            }
            Command::Pulse { reply } => drop(reply.send(Ok(self.overdue(now)))),
            Command::Status { reply } => {
                let status = self.status(now);
                drop(reply.send(Ok(status)));
            }
        }
    }

    fn status(&mut self, now: Instant) -> Value {
        let candidates = self.candidate_lines(None, None);
        let (public, stun_servers) = self.public.report(now);
        json!({
            "listen": self.wire.listening(),
            "problems": self.wire.problems(),
            "candidates": candidates,
            "public": public,
            "stun_servers": stun_servers,
            "turn_servers": self.wire.relays.report(),
            "addresses": report::addresses(&self.wire.explain()),
            "sessions": self.peers.len(),
            "max_sessions": self.max_sessions,
            "streams": self.streams.len(),
            "tcp_connections": self.wire.connections(),
            "ring_bytes": self.tracks.values().map(|track| track.ring.bytes()).sum::<usize>(),
            "packets_forwarded": self.packets_forwarded,
            "sends": self.buffer.sends,
            "uptime_s": now.saturating_duration_since(self.started).as_secs(),
        })
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
