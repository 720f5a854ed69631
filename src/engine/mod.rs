//! The engine: who sees what, and when. A state machine without sockets, tasks or a clock: inputs come in with a moment
//! ([`Input`] and datagrams), what is to be done outside comes out ([`Output`]), and media is written into sockets that
//! somebody lends ([`io::Transport`]). One thread turns it; nothing here locks or waits for one peer.
//!
//! Four owners keep what there is: [`Sessions`], [`Streams`], [`Media`] (the packet path) and [`Reach`] (the addresses by
//! which we are reached). They know nothing of each other. What concerns several of them is done by the engine, in the
//! files beside this one; each calls only those before it in the order that `docs/architecture.md` gives.
mod accept;
pub mod api;
mod backchannel;
mod bind;
mod commands;
mod deferred;
mod events;
pub mod io;
mod journal;
mod keyframes;
pub mod keys;
mod lifecycle;
mod media;
mod offers;
mod panic_guard;
mod publishers;
mod reach;
mod remote_candidates;
mod renegotiate;
mod sessions;
mod settle;
pub mod source;
mod source_events;
mod streams;
#[cfg(test)]
mod tests;
mod timers;
mod transmit;
mod trickle;
mod turn;
mod view;

use crate::config::Config;
use crate::gather::ice_servers::Servers;
use crate::gather::policy::Policy;
use crate::rtc::digest::Digest;
use crate::rtc::route::{Datagram, Route, Socket};
use crate::rtc::session::{Event, Identity};
use deferred::DeferredAnswers;
use io::{Input, Output};
use journal::Journal;
use keys::{Keys, PeerKey};
use media::Media;
use media::send_buffer::SendBuffer;
use reach::Reach;
use sessions::Sessions;
use source::SourceUrls;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use streams::Streams;
use streams::stream::Waiting;

/// The engine looks around at least this often.
const IDLE: Duration = Duration::from_secs(30);

/// What the engine is given of the world that it runs in.
pub struct Environment {
    /// Who we are to every peer, with the source of random bytes.
    pub identity: Arc<Identity>,
    pub urls: Arc<dyn SourceUrls>,
    pub now: Instant,
    /// NTP time at `now`: the wall clock is asked once, since a board without a clock of its own jumps by decades when it
    /// hears the time.
    pub ntp: u64,
}

pub struct Engine {
    identity: Arc<Identity>,
    keys: Keys,
    sessions: Sessions,
    streams: Streams,
    media: Media,
    reach: Reach,
    deferred: DeferredAnswers,
    journal: Journal,
    /// When the engine began, with the NTP time of that moment.
    began: (Instant, u64),
    work: Work,
}

/// What the step at hand leaves to be done. Kept for its memory, and so that no step runs inside another.
#[derive(Default)]
struct Work {
    /// Datagrams to send.
    out: Vec<Datagram>,
    /// What a session told, to be followed up.
    events: Vec<Event>,
    outputs: VecDeque<Output>,
    /// Whoever waited for a stream that is live now, with its name.
    ready: VecDeque<(String, Waiting)>,
    /// Sessions in which a fault happened.
    faulty: Vec<PeerKey>,
    /// Viewers for whom there may be something to send.
    pump: Vec<PeerKey>,
    /// TCP connections to keep, and to end once everything is sent.
    keep: Vec<u32>,
    close: Vec<u32>,
    /// Allocations of sessions that ended, to be given back once everything is sent.
    give_back: Vec<u32>,
    buffer: SendBuffer,
}

impl Engine {
    /// # Errors
    /// If the settings contradict themselves.
    pub fn new(config: &Config, environment: Environment) -> Result<Self, String> {
        let Environment { identity, urls, now, ntp } = environment;
        let policy = Policy::new(&config.webrtc)?;
        let servers = Servers::new(&config.webrtc);
        let digest = Digest::new(identity.provider.clone());
        Ok(Self {
            keys: Keys::default(),
            sessions: Sessions::new(config.relay.sessions),
            streams: Streams::new(&config.streams, config.relay.linger, urls),
            media: Media::new(config.relay.buffer << 20),
            reach: Reach::new(policy, &servers, config.webrtc.mdns, digest, now),
            deferred: DeferredAnswers::default(),
            journal: Journal::new(config),
            began: (now, ntp),
            work: Work::default(),
            identity,
        })
    }

    /// Takes what happened outside.
    pub fn handle(&mut self, input: Input, now: Instant) {
        self.shielded(|engine| engine.take(input, now));
        self.settle(now);
    }

    fn take(&mut self, input: Input, now: Instant) {
        match input {
            Input::Command(command) => self.on_command(command, now),
            Input::Source(id, event) => self.on_source(id, event, now),
            Input::Network(mut network) => {
                let given_up = std::mem::take(&mut network.given_up);
                self.reach.set_network(network, now, &mut self.work.out);
                for socket in given_up {
                    self.on_unbound(socket, now);
                }
            }
            Input::Writable(connection) => {
                for key in self.sessions.over(Socket::Tcp(connection)) {
                    self.pump_soon(key);
                }
            }
            Input::Closed(connection) => self.on_lost_socket(Socket::Tcp(connection), now),
            Input::Connections(count) => self.reach.set_connections(count),
            Input::Resolved { server, result } => self.reach.resolved(server, result, now),
            Input::Name { name, ips } => self.on_name(&name, &ips, now),
            Input::Names(names) => self.reach.set_names(names),
            Input::Turn(number, message) => self.on_turn(number, &message, now),
        }
    }

    /// Takes a datagram from one of our media sockets; over TCP, what one frame holds.
    pub fn on_datagram(&mut self, route: Route, bytes: &[u8], now: Instant) {
        self.shielded(|engine| engine.take_datagram(now, route, bytes));
        self.settle(now);
    }

    /// When [`Self::tick`] is due, if nothing comes before.
    pub fn deadline(&mut self, now: Instant) -> Instant {
        let deadlines =
            [self.sessions.deadline(), self.streams.deadline(), self.reach.deadline(), self.deferred.deadline()];
        deadlines.into_iter().flatten().min().unwrap_or(now + IDLE)
    }

    /// Does everything that is due.
    pub fn tick(&mut self, now: Instant) {
        self.shielded(|engine| {
            engine.reach.tick(now, &mut engine.work.out);
            engine.tick_turn(now);
            engine.tick_deferred(now);
        });
        // Those that are due now, each once, whatever it makes due again.
        let due: Vec<PeerKey> = std::iter::from_fn(|| self.sessions.pop_due(now)).collect();
        for key in due {
            self.guarded(key, |engine| engine.tick_session(key, now));
        }
        for name in self.streams.due(now) {
            self.tick_stream(&name, now);
        }
        self.settle(now);
    }

    /// What is to be done outside; to be asked for before [`Self::transmit`], which may use what is opened.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.work.outputs.extend(self.streams.outputs().chain(self.reach.outputs()));
        self.work.outputs.pop_front()
    }

    /// Tells every peer that we go. What is left is [`Self::transmit`]ted afterwards. Answers whether there is anybody.
    pub fn farewell(&mut self, now: Instant) -> bool {
        for key in self.sessions.keys() {
            if let Some(peer) = self.sessions.get_mut(key) {
                peer.session.shut(now, &mut self.work.out);
            }
        }
        !self.work.out.is_empty()
    }
}
