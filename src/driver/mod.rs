//! The driver: the only one that owns sockets, tasks, the clock and randomness. It turns the [`Engine`] on one thread:
//! what happens goes in, what is to be done comes out, and media is written into the sockets that it lends.
mod crypto_cost;
pub mod handle;
mod sockets;
mod sources;
mod tcp_connections;
mod transport;

use crate::config::Config;
use crate::engine::api::Command;
use crate::engine::io::{Input, Output};
use crate::engine::source::SourceEvent;
use crate::engine::{Engine, Environment};
use crate::gather::policy::Policy;
use crate::gather::scope::Scope;
use crate::gather::turn::FromServer;
use crate::net::mdns::Mdns;
use crate::net::resolve::{self, Names};
use crate::net::tcp::TcpInput;
use crate::net::udp::ReceiveBuffers;
use crate::rtc::ntp::ntp_of;
use crate::rtc::session::Identity;
use crate::source::Surroundings;
use crate::source::webrtc::url;
use sources::{Sources, Urls};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};
use transport::{MediaSockets, Ready};

/// Answers of name servers that wait.
const ANSWERS: usize = 64;
/// Events of one kind that are taken before others get their turn.
const MAX_AT_ONCE: usize = 64;
/// Batches taken from one socket before others get their turn.
const MAX_BATCHES: usize = 16;
/// Time that peers are given to hear of the end.
const FAREWELL: Duration = Duration::from_millis(50);

pub struct Driver {
    engine: Engine,
    sockets: MediaSockets,
    sources: Sources,
    receive: ReceiveBuffers,
    /// What name servers and the local network answered.
    answers: (mpsc::Sender<Input>, mpsc::Receiver<Input>),
    /// The addresses of names among `webrtc.candidates`.
    names: Names,
    /// Asks for browsers' names, where the settings allow that.
    mdns: Option<Mdns>,
    /// TCP connections as the engine knows it.
    connections: usize,
}

impl Driver {
    /// Binds the media sockets and sets the streams up. Must be called inside the driver's runtime.
    ///
    /// # Errors
    /// If the settings contradict themselves, or the system gives no random numbers.
    pub fn new(config: &Config) -> Result<Self, String> {
        let policy = Policy::new(&config.webrtc)?;
        let identity = Arc::new(Identity::generate(crypto_cost::of_this_machine())?);
        let surroundings = Surroundings {
            identity: identity.clone(),
            ice_servers: url::servers(config.webrtc.ice_servers.clone().unwrap_or_default()).into(),
            echo_paths: config.echo_paths.clone().map(Into::into),
            filters: policy.holds_for_calls().then(|| Arc::new(policy.clone())),
        };
        let answers = mpsc::channel(ANSWERS);
        let mdns = config.webrtc.mdns;
        let (now, since_1970) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH));
        let ntp = ntp_of(since_1970.unwrap_or_default());
        let environment = Environment { identity, urls: Arc::new(Urls), now, ntp };
        let mut driver = Self {
            engine: Engine::new(config, environment)?,
            names: Names::start(policy.names()),
            sockets: MediaSockets::bind(policy),
            sources: Sources::new(surroundings),
            receive: ReceiveBuffers::new(),
            mdns: mdns.then(|| Mdns::start(answers.0.clone(), |name, ips| Input::Name { name, ips })),
            answers,
            connections: 0,
        };
        let network = driver.sockets.network();
        driver.engine.handle(Input::Network(network), now);
        Ok(driver)
    }

    /// Turns until `stop` says so or nobody asks any more.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>, mut stop: watch::Receiver<bool>) {
        // What is wanted from the beginning: names of servers are looked up before somebody needs them.
        self.finish_turn(Instant::now());
        loop {
            let deadline = self.engine.deadline(Instant::now());
            tokio::select! {
                event = self.sockets.ready() => self.on_ready(event),
                Some((id, event)) = self.sources.next() => {
                    let now = Instant::now();
                    self.engine.handle(Input::Source(id, event), now);
                    for _ in 0..MAX_AT_ONCE {
                        let Some((id, event)) = self.sources.try_next() else { break };
                        self.engine.handle(Input::Source(id, event), now);
                    }
                }
                Some(answer) = self.answers.1.recv() => {
                    let now = Instant::now();
                    self.engine.handle(answer, now);
                    for _ in 0..MAX_AT_ONCE {
                        let Ok(answer) = self.answers.1.try_recv() else { break };
                        self.engine.handle(answer, now);
                    }
                }
                names = self.names.changed() => self.engine.handle(Input::Names(names), Instant::now()),
                command = commands.recv() => match command {
                    Some(command) => self.engine.handle(Input::Command(command), Instant::now()),
                    None => break,
                },
                () = tokio::time::sleep_until(deadline.into()) => {}
                _ = stop.changed() => break,
            }
            // What an event made due is seen by the next turn's deadline.
            let now = Instant::now();
            if now >= deadline {
                self.engine.tick(now);
            }
            self.finish_turn(now);
        }
        self.farewell().await;
    }

    /// Does what the engine wants done, and sends what it has to say.
    fn finish_turn(&mut self, now: Instant) {
        self.carry_out(now);
        self.engine.transmit(now, &mut self.sockets);
        // Sending may want something done too: a way that is given up, or another one.
        if self.carry_out(now) {
            self.engine.transmit(now, &mut self.sockets);
        }
        let open = self.sockets.connections.len();
        if std::mem::replace(&mut self.connections, open) != open {
            self.engine.handle(Input::Connections(open), now);
        }
    }

    /// False: nothing was to be done.
    fn carry_out(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some(output) = self.engine.poll_output() {
            any = true;
            match output {
                Output::StartSource { id, url, scope } => {
                    if let Err(error) = self.sources.start(id, &url, scope) {
                        self.engine.handle(Input::Source(id, SourceEvent::Ended(error)), now);
                    }
                }
                Output::StopSource(id) => self.sources.stop(id),
                Output::AskSource(id, request) => self.sources.ask(id, request),
                Output::Resolve { server, uri } => {
                    let answers = self.answers.0.clone();
                    tokio::spawn(async move {
                        let result = resolve::server(&uri, Scope::Any).await;
                        // Fails only when the driver ends.
                        let _ = answers.send(Input::Resolved { server, result }).await;
                    });
                }
                Output::FindName { name, from } => {
                    if let Some(mdns) = &self.mdns {
                        mdns.ask(name, from);
                    }
                }
                Output::OpenTurn { number, uri, addresses, from } => {
                    if let Err(error) = self.sockets.open_link(number, &uri, &addresses, from) {
                        self.engine.handle(Input::Turn(number, FromServer::Closed(error.to_string())), now);
                    }
                }
                Output::CloseTurn(number) => self.sockets.close_link(number),
            }
        }
        any
    }

    fn on_ready(&mut self, event: Ready) {
        let now = Instant::now();
        match event {
            Ready::Udp(index) => self.on_udp(index, now),
            Ready::Network => {
                let network = self.sockets.refresh(now);
                self.engine.handle(Input::Network(network), now);
            }
            Ready::Tcp(input) => {
                self.on_tcp(input, now);
                for _ in 0..MAX_AT_ONCE {
                    let Some(input) = self.sockets.next_tcp() else { break };
                    self.on_tcp(input, now);
                }
            }
            Ready::Turn(number, message) => {
                self.engine.handle(Input::Turn(number, message), now);
                for _ in 0..MAX_AT_ONCE {
                    let Some((number, message)) = self.sockets.next_turn() else { break };
                    self.engine.handle(Input::Turn(number, message), now);
                }
            }
        }
    }

    fn on_udp(&mut self, index: u8, now: Instant) {
        let Some(port) = self.sockets.udp(index).cloned() else { return };
        for _ in 0..MAX_BATCHES {
            let engine = &mut self.engine;
            if !port.receive(&mut self.receive, |route, bytes| engine.on_datagram(route, bytes, now)) {
                break;
            }
            // Answers do not pile up while more comes in.
            self.engine.send_datagrams(now, &mut self.sockets);
        }
    }

    fn on_tcp(&mut self, input: TcpInput, now: Instant) {
        match input {
            TcpInput::Opened { stream, remote } => self.sockets.connections.open(stream, remote),
            TcpInput::Frame { connection, bytes } => {
                if let Some(route) = self.sockets.connections.route(connection) {
                    self.engine.on_datagram(route, &bytes, now);
                    // A connection that proved whose it is makes no room for the next one.
                    self.engine.send_datagrams(now, &mut self.sockets);
                }
            }
            TcpInput::Writable { connection } => {
                self.sockets.connections.resume(connection);
                self.engine.handle(Input::Writable(connection), now);
            }
            TcpInput::Closed { connection } => {
                self.sockets.connections.close(connection);
                self.engine.handle(Input::Closed(connection), now);
            }
        }
    }

    /// Tells every peer and camera that we go, and lets the datagrams out.
    async fn farewell(mut self) {
        let now = Instant::now();
        let any = self.engine.farewell(now);
        self.engine.transmit(now, &mut self.sockets);
        if !self.sources.farewell().await && any {
            tokio::time::sleep(FAREWELL).await;
        }
    }
}
