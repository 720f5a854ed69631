//! A world to try the engine in: cameras, viewers and publishers of ours around it, over a simulated network, in virtual
//! time. No socket, no task and no clock; what the network does to each datagram follows from a seed, so that a failure
//! comes again. Keys and names are random all the same: they decide nothing.
mod camera;
mod client;
mod network;
mod tests;

use crate::config::{self, Config};
use crate::engine::api::{Answer, Command, Error, Intent, Offer, Reply, Waiter};
use crate::engine::io::{Input, Network, Output};
use crate::engine::source::{ProducerId, SourceEvent, SourceFacts, SourceUrls};
use crate::engine::{Engine, Environment};
use crate::fuzz::Random;
use crate::gather::scope::Scope;
use crate::rtc::route::{Route, Socket};
use crate::rtc::session::{CryptoCost, Identity};
pub use camera::{Camera, Plan};
pub use client::{Client, Role};
pub use network::Link;
use network::{InFlight, Outbox, To};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Where the relay listens.
pub const RELAY: &str = "192.168.1.2:8555";

/// More pictures than one run of a camera makes.
const PICTURES_OF_A_RUN: u32 = 1_000_000;

pub struct World {
    pub engine: Engine,
    pub now: Instant,
    began: Instant,
    random: Random,
    in_flight: InFlight,
    pub clients: Vec<Client>,
    /// Who all clients are.
    identity: Arc<Identity>,
    cameras: BTreeMap<ProducerId, Camera>,
    /// What a camera does, by its URL.
    plans: HashMap<String, Plan>,
    /// Sources that were opened.
    pub opened: u64,
    /// Datagrams of the relay to nobody.
    pub astray: u64,
}

struct Urls;

impl SourceUrls for Urls {
    fn facts(&self, url: &str) -> SourceFacts {
        SourceFacts { public_url: url.into(), format: "test".into(), protocol: "", exclusive: None }
    }

    fn check_scope(&self, _: &str, _: Scope) -> Result<(), String> {
        Ok(())
    }
}

/// Where an answer is put.
pub struct Slot<T>(Arc<Mutex<Option<Result<T, Error>>>>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Send + 'static> Slot<T> {
    pub fn reply(&self) -> Reply<T> {
        Reply::new(Slot(self.0.clone()))
    }

    pub fn take(&self) -> Option<Result<T, Error>> {
        self.0.lock().unwrap().take()
    }
}

impl<T> Waiter<T> for Slot<T> {
    fn is_gone(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    fn answer(self: Box<Self>, answer: Result<T, Error>) -> Result<(), Result<T, Error>> {
        if self.is_gone() {
            return Err(answer);
        }
        *self.0.lock().unwrap() = Some(answer);
        Ok(())
    }
}

pub fn config(text: &str) -> Config {
    let edge = config::Edge {
        read: &|_| Err(std::io::ErrorKind::NotFound.into()),
        variable: &|_| None,
        memory: None,
        interfaces: None,
    };
    config::load(&[text.to_owned()], &edge).unwrap().config
}

impl World {
    /// `streams`: as the configuration writes them.
    pub fn new(seed: u64, streams: &str) -> Self {
        Self::with(seed, &format!("{{streams: {streams}}}"))
    }

    /// `settings`: a whole configuration.
    pub fn with(seed: u64, settings: &str) -> Self {
        let now = Instant::now();
        let identity = || Arc::new(Identity::generate(CryptoCost::AesInstructions).unwrap());
        let environment = Environment { identity: identity(), urls: Arc::new(Urls), now, ntp: 0xeb00_0000 << 32 };
        let mut world = Self {
            engine: Engine::new(&config(settings), environment).unwrap(),
            now,
            began: now,
            random: Random::new(seed),
            in_flight: InFlight::default(),
            clients: Vec::new(),
            identity: identity(),
            cameras: BTreeMap::new(),
            plans: HashMap::new(),
            opened: 0,
            astray: 0,
        };
        let relay: SocketAddr = RELAY.parse().unwrap();
        world.input(Input::Network(Network::of_one("eth0", relay)));
        world
    }

    /// What the camera behind this URL does when it is called.
    pub fn plan(&mut self, url: &str, plan: Plan) {
        self.plans.insert(url.to_owned(), plan);
    }

    /// Virtual time since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.now - self.began
    }

    pub fn input(&mut self, input: Input) {
        self.engine.handle(input, self.now);
        self.turn();
    }

    /// Asks the engine; panics if it does not answer at once.
    pub fn ask<T: Send + 'static>(&mut self, question: impl FnOnce(Reply<T>) -> Command) -> Result<T, Error> {
        let slot = Slot::default();
        self.input(Input::Command(question(slot.reply())));
        slot.take().expect("answered at once")
    }

    /// Offers a session; the answer comes at once, or when the stream's source is there.
    pub fn offer(&mut self, stream: &str, role: Role, link: Link) -> usize {
        let index = self.clients.len();
        let client = Client::new(index, role, link, &self.identity, self.now);
        let intent = if role == Role::Publisher { Intent::Publish } else { Intent::View };
        let offer = Offer {
            stream: stream.into(),
            intent,
            sdp: client.description().as_str().into(),
            layer: None,
            format: "webrtc/whep",
            protocol: "ws",
            user_agent: "world".into(),
            remote: client.address,
            host: None,
        };
        let reply = client.answer.reply();
        self.clients.push(client);
        self.input(Input::Command(Command::Offer { offer, reply }));
        index
    }

    pub fn view(&mut self, stream: &str, link: Link) -> usize {
        self.offer(stream, Role::Viewer, link)
    }

    pub fn publish(&mut self, stream: &str, link: Link) -> usize {
        self.offer(stream, Role::Publisher, link)
    }

    /// Ends a client's session by its id, as DELETE does.
    pub fn close(&mut self, index: usize) {
        let id = self.clients[index].id.clone();
        self.ask(|reply| Command::Close { id, reply }).unwrap();
    }

    /// A client is gone without a word.
    pub fn vanish(&mut self, index: usize) {
        self.clients[index].vanish();
    }

    pub fn streams(&mut self) -> Value {
        self.ask(|reply| Command::Streams { reply }).unwrap()
    }

    pub fn status(&mut self) -> Value {
        self.ask(|reply| Command::Status { reply }).unwrap()
    }

    /// What the doctor says.
    pub fn doctor(&mut self) -> Value {
        self.ask(|reply| Command::Doctor { clock_s: 1_900_000_000, asker_clock_s: None, reply }).unwrap()
    }

    /// Lets time pass, and everything happen that is due meanwhile.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until something is so; panics if it is not within this time.
    pub fn run_until(&mut self, time: Duration, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.now + time;
        while !done(self) {
            assert!(self.step(end), "not within {time:?}, at {:?}", self.elapsed());
        }
    }

    /// Lets the next thing happen that is due before `end`. False: nothing is.
    fn step(&mut self, end: Instant) -> bool {
        let next = [
            Some(self.engine.deadline(self.now)),
            self.in_flight.next(),
            self.clients.iter().filter_map(Client::deadline).min(),
            self.cameras.values().filter_map(Camera::deadline).min(),
        ];
        let next = next.into_iter().flatten().min().unwrap_or(end).max(self.now);
        if next > end {
            return false;
        }
        self.now = next;
        while let Some((to, bytes)) = self.in_flight.pop(self.now) {
            self.arrive(to, &bytes);
        }
        if self.engine.deadline(self.now) <= self.now {
            self.engine.tick(self.now);
        }
        for index in 0..self.clients.len() {
            if self.clients[index].deadline().is_some_and(|at| at <= self.now) {
                self.clients[index].tick(self.now);
            }
        }
        self.turn_cameras();
        self.turn();
        // A moment is over when nothing more is due in it: time goes on even where somebody asks for the same one again.
        self.now += Duration::from_micros(1);
        true
    }

    fn arrive(&mut self, to: To, bytes: &[u8]) {
        match to {
            To::Relay { from } => {
                let local = Some(RELAY.parse::<SocketAddr>().unwrap().ip());
                let route = Route { socket: Socket::Udp(0), local, remote: from };
                self.engine.on_datagram(route, bytes, self.now);
            }
            To::Client(index) => self.clients[index].receive(bytes, self.now),
        }
    }

    fn turn_cameras(&mut self) {
        let due: Vec<ProducerId> = self
            .cameras
            .iter()
            .filter(|(_, c)| c.deadline().is_some_and(|at| at <= self.now))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let Some(camera) = self.cameras.get_mut(&id) else { continue };
            for event in camera.tick(self.now) {
                let ended = matches!(event, SourceEvent::Ended(_));
                self.engine.handle(Input::Source(id, event), self.now);
                if ended {
                    self.cameras.remove(&id);
                }
            }
        }
    }

    /// Carries out what the engine and the clients want, until nobody wants anything.
    fn turn(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::StartSource { id, url, .. } => {
                    self.opened += 1;
                    let plan = self.plans.get(&url).cloned().unwrap_or_default();
                    // Numbers that rise from one run to the next, so that pictures are told apart.
                    let first = self.opened as u32 * PICTURES_OF_A_RUN;
                    self.cameras.insert(id, Camera::new(plan, first, self.now));
                }
                Output::StopSource(id) => drop(self.cameras.remove(&id)),
                Output::AskSource(id, request) => {
                    if let Some(camera) = self.cameras.get_mut(&id) {
                        camera.ask(&request);
                    }
                }
                Output::Resolve { .. } | Output::FindName { .. } | Output::OpenTurn { .. } | Output::CloseTurn(_) => {}
            }
        }
        let mut outbox = Outbox {
            now: self.now,
            clients: &self.clients,
            random: &mut self.random,
            in_flight: &mut self.in_flight,
            astray: &mut self.astray,
        };
        self.engine.transmit(self.now, &mut outbox);
        for index in 0..self.clients.len() {
            self.clients[index].take_answer(self.now);
            let client = &mut self.clients[index];
            for bytes in std::mem::take(&mut client.out) {
                let (from, link) = (client.address, client.link);
                self.in_flight.send(To::Relay { from }, bytes, &link, self.now, &mut self.random);
            }
        }
    }

    /// Sources that run.
    pub fn running(&self) -> usize {
        self.cameras.len()
    }

    /// The answer to a client's offer, or why there is none.
    pub fn refusal(&self, index: usize) -> Option<Error> {
        self.clients[index].refused.clone()
    }

    /// The session as `/api/session` shows it.
    pub fn session(&mut self, index: usize) -> Result<Value, Error> {
        let id = self.clients[index].id.clone();
        self.ask(|reply| Command::Session { id, reply })
    }

    /// Waits until a client's session is connected on both sides.
    pub fn connect(&mut self, index: usize) {
        self.run_until(Duration::from_secs(10), |world| world.clients[index].is_connected());
        // One of both sides is a flight ahead.
        let both = |world: &mut Self| world.session(index).is_ok_and(|session| session["state"] == "connected");
        self.run_until(Duration::from_secs(1), both);
    }
}

/// What an offer is answered with, for [`Client`]s.
pub type Answered = Slot<Answer>;
