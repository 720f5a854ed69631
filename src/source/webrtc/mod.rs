//! Cameras that are called by WebRTC: `webrtc:<url>#format=…`. A dialect says what to send, a call does what both
//! sides described, and this loop gives them sockets and a clock.
mod call;
mod connections;
pub(crate) mod dialect;
mod reflexive;
mod relayed;
mod servers;
mod sockets;
pub mod url;
mod ways;

use super::{Closed, Sink, Surroundings};
use crate::engine::source::{Progress, SourceError, SourceEvent, SourceRequest};
use crate::gather::policy::{Doors, Policy};
use crate::gather::scope::Scope;
use crate::net::connect::{self, Connection, Place};
use crate::net::http_client::{self, Reply};
use crate::net::interfaces;
use crate::net::tls::Trust;
use crate::net::websocket;
use crate::rtc::digest::Digest;
use call::{Call, Event, SIGNALLING};
use dialect::{Dialect, Input, Step};
use futures_util::{SinkExt, StreamExt};
use reflexive::Reflexive;
use servers::Servers;
use sockets::Sockets;
use std::collections::VecDeque;
use std::future::{Future, pending};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tungstenite::Message;
use url::{IceServer, Target};
use ways::Ways;

/// Longest message of a signalling WebSocket, as for those that come to us: a description with its JSON is below 64 KiB.
const MAX_MESSAGE: usize = 128 << 10;
/// Pings and the like of a camera while it is called, which takes seconds.
const MAX_PINGS: u32 = 1000;
/// Steps of a dialect that wait for the one before them.
pub(crate) const MAX_STEPS: usize = 128;
/// Time to tell the camera of the end.
const FAREWELL: Duration = Duration::from_secs(2);
/// Where candidates cannot be told later, the offer waits for STUN servers so long, …
const GATHERING: Duration = Duration::from_millis(500);
/// … and for TURN servers, which take more round trips.
const GATHERING_RELAYED: Duration = Duration::from_secs(1);
/// Datagram batches that are taken before the queue to the relay is served.
const MAX_BATCHES: usize = 4;

type Socket = WebSocketStream<Connection>;

/// What a step that takes time comes to.
enum Done {
    Connected(Box<Socket>),
    Replied(Reply),
}

type Doing = Pin<Box<dyn Future<Output = Result<Done, SourceError>> + Send>>;

/// Calls the camera and passes on what it sends, until the relay gives it up or it is lost; answers why.
pub async fn run(
    target: Target,
    scope: Scope,
    surroundings: Surroundings,
    sink: Sink,
    mut requests: mpsc::Receiver<SourceRequest>,
) -> SourceError {
    let begun = Instant::now();
    for problem in &target.problems {
        log::warn!(target: "webrtc", "#ice_servers of {}: {problem}", target.place.authority());
    }
    let way = tokio::select! {
        way = timeout(SIGNALLING, connect::way(&target.place)) => way.ok().flatten(),
        _ = closed(&mut requests) => return given_up().into(),
    };
    let towards = way.map(|(ours, _)| ours);
    let doors = match &surroundings.filters {
        Some(filters) => filters.doors(&interfaces::list(), towards),
        None => Doors::open(),
    };
    let prepared = Sockets::bind(&doors).and_then(|sockets| {
        let call = Call::new(surroundings.identity.clone(), sockets.all(), begun)?.with_layer(target.param("rid"));
        Ok((sockets, call))
    });
    let (sockets, call) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return error.into(),
    };
    let digest = Digest::new(surroundings.identity.provider.clone());
    let mut line = Line {
        servers: Servers::new(&target, scope, &surroundings.ice_servers, way),
        dialect: dialect::of(&target),
        trust: target.trust,
        scope,
        call,
        sockets,
        towards,
        filters: surroundings.filters,
        reflexive: Reflexive::default(),
        ways: Ways::new(towards.is_some_and(|ip| ip.is_loopback()), doors.tcp, digest.clone()),
        gathering: None,
        socket: None,
        pings: 0,
        steps: VecDeque::new(),
        doing: None,
        described: false,
        digest,
        progress: Progress::default(),
        sink,
    };
    let mut why = line.talk(&mut requests).await.unwrap_or_else(|error| error);
    if line.call.is_described() && !line.call.is_connected() {
        why.message = line.ways.explain(why.message);
    }
    line.hang_up().await;
    why
}

/// Waits until the relay gives the source up.
async fn closed(requests: &mut mpsc::Receiver<SourceRequest>) {
    while requests.recv().await.is_some() {}
}

fn given_up() -> String {
    Closed.to_string()
}

/// One call with all that it needs.
struct Line {
    dialect: Box<dyn Dialect>,
    trust: Trust,
    /// Where the next step of the signalling may lead.
    scope: Scope,
    call: Call,
    sockets: Sockets,
    /// Our address by which the camera is reached.
    towards: Option<IpAddr>,
    /// Those that hold for this call.
    filters: Option<Arc<Policy>>,
    reflexive: Reflexive,
    ways: Ways,
    servers: Servers,
    /// Since when descriptions wait for candidates.
    gathering: Option<Instant>,
    socket: Option<Box<Socket>>,
    pings: u32,
    steps: VecDeque<Step>,
    doing: Option<Doing>,
    /// Our offer or answer is out: candidates may follow.
    described: bool,
    digest: Digest,
    progress: Progress,
    sink: Sink,
}

impl Line {
    /// Until the end, which is always an error or the relay's wish.
    async fn talk(&mut self, requests: &mut mpsc::Receiver<SourceRequest>) -> Result<SourceError, SourceError> {
        let (servers, scope) = self.servers.first();
        self.ask(&servers, scope, Instant::now());
        self.tell(Input::Begin)?;
        loop {
            self.work().await?;
            let now = Instant::now();
            let servers = self.servers.late(&self.call, now);
            self.ask(&servers, Scope::Any, now);
            self.ways.look(&mut self.call, now);
            self.pass_on().await?;
            let now = Instant::now();
            let ways = [self.ways.deadline(now), self.reflexive.deadline(), self.servers.deadline()];
            let deadlines = [self.call.deadline(), self.gathered_at()].into_iter().chain(ways);
            let deadline = deadlines.flatten().min().unwrap_or(now + SIGNALLING);
            tokio::select! {
                done = async { match &mut self.doing { Some(doing) => doing.await, None => pending().await } } => {
                    self.doing = None;
                    self.done(done?)?;
                }
                message = async { match &mut self.socket { Some(socket) => socket.next().await, None => pending().await } } => {
                    self.hear(message)?;
                }
                () = self.sockets.readable() => {
                    let (call, reflexive) = (&mut self.call, &mut self.reflexive);
                    for _ in 0..MAX_BATCHES {
                        let mut any = false;
                        self.sockets.receive(|route, bytes| {
                            any = true;
                            if !reflexive.handle(now, &route, bytes) {
                                call.handle(now, route, bytes);
                            }
                        });
                        if !any {
                            break;
                        }
                    }
                }
                (server, found) = self.reflexive.resolved() => self.reflexive.know(server, found, now),
                come = self.ways.next() => self.ways.handle(come, &mut self.call, Instant::now()),
                request = requests.recv() => match request {
                    Some(SourceRequest::Keyframe { track }) => self.call.want_keyframe(track, now),
                    Some(SourceRequest::Sound(sound)) => self.call.speak(&sound, now),
                    None => return Ok(given_up().into()),
                },
                () = sleep_until(deadline.into()) => {
                    self.call.tick(now.max(deadline));
                    self.reflexive.tick(now.max(deadline), &self.sockets, &mut self.call.out);
                    self.ways.tick(&mut self.call, now.max(deadline));
                }
            }
        }
    }

    fn tell(&mut self, input: Input<'_>) -> Result<(), SourceError> {
        let steps =
            self.dialect.next(input).map_err(|error| SourceError::new(error.kind, dialect::brief(&error.message)))?;
        self.steps.extend(steps);
        if self.steps.len() > MAX_STEPS {
            return Err("the camera floods us with messages".into());
        }
        Ok(())
    }

    /// Does the steps that are due, up to one that takes time.
    async fn work(&mut self) -> Result<(), SourceError> {
        for line in self.new_candidates(self.described) {
            self.tell(Input::Candidate(&line))?;
        }
        while self.doing.is_none() {
            // A description waits for candidates that cannot be told later.
            let waits = matches!(self.steps.front(), Some(Step::Offer(_) | Step::TakeOffer(_)));
            if waits && self.gathered_at().is_some() {
                break;
            }
            let Some(step) = self.steps.pop_front() else { break };
            let now = Instant::now();
            match step {
                Step::Connect(place) => self.doing = Some(Box::pin(connect(place, self.trust, self.scope))),
                Step::Request(request) => {
                    let reply = http_client::fetch(request, self.trust, self.scope);
                    self.doing = Some(Box::pin(async move { Ok(Done::Replied(reply.await?)) }));
                }
                Step::Send(text) => {
                    let Some(socket) = &mut self.socket else { continue };
                    let sent = timeout(SIGNALLING, socket.send(Message::text(text))).await;
                    if !matches!(sent, Ok(Ok(()))) && !self.call.is_connected() {
                        return Err("the camera's signalling takes no more messages".into());
                    }
                }
                Step::Servers(servers) => {
                    let servers = self.servers.name(servers);
                    self.ask(&servers, self.scope, now);
                }
                Step::Offer(medias) => {
                    let candidates = self.candidates();
                    let offer = self.call.offer(medias, self.towards, &candidates);
                    self.described = true;
                    self.tell(Input::Offer(&offer))?;
                    self.trickle(&candidates)?;
                }
                Step::TakeAnswer(answer) => self.call.take_answer(&answer, now)?,
                Step::TakeOffer(offer) => {
                    let candidates = self.candidates();
                    let answer = self.call.take_offer(&offer, &candidates, now)?;
                    self.described = true;
                    self.tell(Input::Answer(&answer))?;
                    self.trickle(&candidates)?;
                }
                Step::TakeCandidate(line) => self.call.add_candidate(&line, now),
            }
        }
        Ok(())
    }

    /// Asks these servers for addresses of ours, those of them where `scope` lets us go.
    fn ask(&mut self, servers: &[IceServer], scope: Scope, now: Instant) {
        if servers.is_empty() {
            return;
        }
        self.reflexive.begin(servers, scope, &self.digest, now);
        self.ways.begin(servers, scope);
        self.gathering = (!self.dialect.trickles() && !self.described).then_some(now);
    }

    /// Until when descriptions wait for candidates that cannot be told later.
    fn gathered_at(&self) -> Option<Instant> {
        let since = self.gathering?;
        let public = self.reflexive.is_looking().then_some(since + GATHERING);
        let relayed = self.ways.is_looking().then_some(since + GATHERING_RELAYED);
        public.max(relayed).filter(|until| *until > Instant::now())
    }

    /// What was found since the last time, once there is somebody to tell.
    fn new_candidates(&mut self, ready: bool) -> Vec<String> {
        let mut candidates = self.reflexive.take_candidates(ready);
        candidates.extend(self.ways.take_candidates(ready));
        candidates
    }

    /// What is known of ourselves for an offer or answer.
    fn candidates(&mut self) -> Vec<String> {
        let mut candidates = self.sockets.candidates(&interfaces::list(), self.towards, self.filters.as_deref());
        candidates.extend(self.new_candidates(true));
        candidates
    }

    /// Those who expect candidates one by one get them so too: some look at no others.
    fn trickle(&mut self, candidates: &[String]) -> Result<(), SourceError> {
        if self.dialect.trickles() {
            for line in candidates {
                self.tell(Input::Candidate(line))?;
            }
        }
        Ok(())
    }

    fn done(&mut self, done: Done) -> Result<(), SourceError> {
        match done {
            Done::Connected(socket) => {
                self.towards = socket.get_ref().local().or(self.towards);
                self.scope = self.scope.after(socket.get_ref().remote().map(|remote| remote.ip()), interfaces::own);
                self.socket = Some(socket);
                Ok(())
            }
            Done::Replied(reply) => {
                self.scope = self.scope.after(reply.from, interfaces::own);
                self.tell(Input::Reply(&reply))
            }
        }
    }

    fn hear(&mut self, message: Option<Result<Message, tungstenite::Error>>) -> Result<(), SourceError> {
        match message {
            Some(Ok(Message::Text(text))) => self.tell(Input::Text(text.as_str())),
            Some(Ok(Message::Binary(bytes))) => match std::str::from_utf8(&bytes) {
                Ok(text) => self.tell(Input::Text(text)),
                Err(_) => Ok(()),
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                self.pings += 1;
                if self.pings > MAX_PINGS { Err("the camera floods us with pings".into()) } else { Ok(()) }
            }
            // Signalling has done its work: media does not need it.
            _ if self.call.is_connected() => {
                self.socket = None;
                Ok(())
            }
            Some(Ok(Message::Close(frame))) => {
                let said = frame.map(|frame| frame.reason.to_string()).filter(|reason| !reason.is_empty());
                let said = said.map(|reason| format!(": {reason}")).unwrap_or_default();
                self.lost(format!("the camera closed the signalling{said}"))
            }
            Some(Err(error)) => self.lost(format!("the signalling broke: {error}")),
            None => self.lost("the camera closed the signalling".into()),
        }
    }

    /// The WebSocket is gone. Some close it as soon as both sides are described.
    fn lost(&mut self, why: String) -> Result<(), SourceError> {
        self.socket = None;
        if self.call.is_described() { Ok(()) } else { Err(why.into()) }
    }

    /// Sends what the call has to say, and tells the relay what it brought.
    async fn pass_on(&mut self) -> Result<(), SourceError> {
        self.ways.send(&self.sockets, &mut self.call.out, Instant::now());
        let mut events = std::mem::take(&mut self.call.events);
        for event in events.drain(..) {
            let event = match event {
                Event::Connected => continue,
                Event::Backchannel(codecs) => SourceEvent::Backchannel(codecs),
                Event::Tracks(tracks) => SourceEvent::Tracks(tracks),
                Event::Packets { track, packets } => SourceEvent::Packets { track, packets },
                Event::Clock { track, at, timestamp } => SourceEvent::Clock { track, at, timestamp },
                Event::Ended(why) => return Err(why.into()),
            };
            self.sink.send(event).await.map_err(|closed| closed.to_string())?;
        }
        // Kept for its memory.
        self.call.events = events;
        let progress = Progress { state: self.call.state(), route: self.call.route() };
        if progress != self.progress {
            self.progress = progress.clone();
            self.sink.send(SourceEvent::Progress(progress)).await.map_err(|closed| closed.to_string())?;
        }
        // Once media flows there is nothing left to say, and clouds count open channels.
        if self.call.is_announced()
            && self.doing.is_none()
            && let Some(mut socket) = self.socket.take()
        {
            let _ = timeout(FAREWELL, socket.close(None)).await;
        }
        Ok(())
    }

    /// Tells the camera and its signalling that the call is over.
    async fn hang_up(&mut self) {
        let now = Instant::now();
        self.call.hang_up(now);
        self.ways.send(&self.sockets, &mut self.call.out, now);
        let farewell = async {
            for step in self.dialect.next(Input::End).unwrap_or_default() {
                if let Step::Request(request) = step {
                    let _ = http_client::fetch(request, self.trust, self.scope).await;
                }
            }
            if let Some(socket) = &mut self.socket {
                let _ = socket.close(None).await;
            }
        };
        // Whatever the camera's signalling does, the servers are told too.
        let _ = timeout(FAREWELL, async { tokio::join!(farewell, self.ways.give_back()) }).await;
    }
}

/// Opens the WebSocket.
async fn connect(place: Place, trust: Trust, scope: Scope) -> Result<Done, SourceError> {
    Ok(Done::Connected(Box::new(websocket::open(&place, trust, scope, MAX_MESSAGE).await?)))
}
