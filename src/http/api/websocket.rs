//! `/api/ws`: offers and candidates over one WebSocket. The session that an offer creates outlives the socket; a further
//! offer with its transport, on the same socket or with its id on another one, is answered within it.
use super::effects::may_change;
use super::passing::MAX_PASSING;
use super::routes::SOCKETS;
use super::sources;
use super::state::Api;
use super::streams::MAX_NAME;
use super::trickle::MAX_CANDIDATES;
use super::ws_messages::{self, Ask, Dialect};
use crate::config::secrets::public_url;
use crate::engine::api::{Answer, Description, Error, ErrorKind, Intent, Offer, Trickle};
use crate::gather::scope::Scope;
use crate::http::server::{Request, Response, ServeSocket, WebSocket};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::fmt;
use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tungstenite::protocol::Message;

/// Keeps proxies from closing a quiet socket (nginx does after 60 s).
const PING_EVERY: Duration = Duration::from_secs(25);
/// A client that is silent for so long, pongs included, is gone.
const SILENCE: Duration = Duration::from_secs(90);
const WRITE_TIME: Duration = Duration::from_secs(5);
/// Offers of one socket that wait for an answer; sources may take seconds.
const MAX_OFFERS: usize = 4;

/// What serves a socket at this address, if one is there. `path` is decoded.
pub fn at(api: &Arc<Api>, request: &Request, path: &str) -> Result<ServeSocket, Response> {
    if !SOCKETS.contains(&path) {
        return Err(Response::text(404, "WebSockets are at /api/ws?src=<stream>"));
    }
    let client = Client::new(request, api.clone());
    Ok(Box::new(|socket| Box::pin(serve(socket, client))))
}

/// Serves an opened socket to its end.
async fn serve(socket: WebSocket, client: Client) {
    let peer = client.remote;
    let mut socket = Socket {
        socket,
        client,
        offers: JoinSet::new(),
        late: JoinSet::new(),
        newest: 0,
        target: None,
        early: Vec::new(),
        turns: None,
    };
    if let Err(why) = socket.run().await {
        log::debug!(target: "api", "{peer} websocket: {why}");
    }
}

/// Why a socket ended without its client's goodbye.
#[derive(Debug)]
enum Ended {
    /// The connection broke, or its frames are no WebSocket's.
    Protocol(tungstenite::Error),
    /// What was to answer an offer failed.
    Fault(JoinError),
    /// A message that is not a JSON object.
    NoJson,
    /// No sign of life.
    Silent,
    /// The client takes nothing.
    NotRead,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => error.fmt(f),
            Self::Fault(error) => error.fmt(f),
            Self::NoJson => f.write_str("a message that is not a JSON object"),
            Self::Silent => f.write_str("no sign of life"),
            Self::NotRead => f.write_str("the client does not read"),
        }
    }
}

impl std::error::Error for Ended {}

impl From<tungstenite::Error> for Ended {
    fn from(error: tungstenite::Error) -> Self {
        Self::Protocol(error)
    }
}

impl From<JoinError> for Ended {
    fn from(error: JoinError) -> Self {
        Self::Fault(error)
    }
}

/// What the handshake said about the client.
#[derive(Clone)]
struct Client {
    api: Arc<Api>,
    /// May it make streams? If not, why.
    may_change: Result<(), Error>,
    stream: String,
    intent: Intent,
    /// A URL in place of a name: the source to add as `stream` if nobody knows it yet.
    source: Option<String>,
    /// The layer to take of what is published.
    layer: Option<String>,
    user_agent: String,
    remote: SocketAddr,
    host: Option<IpAddr>,
}

impl Client {
    fn new(request: &Request, api: Arc<Api>) -> Self {
        let (stream, intent) = match (request.query_text("src"), request.query_text("dst")) {
            (None, Some(dst)) => (dst, Intent::Publish),
            (src, _) => (src.unwrap_or_default(), Intent::FromOffer),
        };
        let is_url = intent == Intent::FromOffer && sources::check(stream).is_ok();
        let source = is_url.then(|| stream.to_owned());
        let name = request.query_text("name").filter(|name| is_url && name.len() <= MAX_NAME);
        let may_change = may_change(request);
        Self {
            api,
            may_change,
            stream: name.unwrap_or(stream).to_owned(),
            intent,
            source,
            layer: request.query_text("rid").map(str::to_owned),
            user_agent: request.user_agent.clone(),
            remote: request.peer,
            host: request.host_address(),
        }
    }

    /// `session`: one whose offer this may be.
    async fn offer(mut self, sdp: &str, session: Option<String>) -> Result<Answer, Error> {
        let sdp = Description::from(sdp);
        if let Some(id) = session
            && let Some(answer) = self.api.relay.reoffer(&id, sdp.clone()).await?
        {
            return Ok(answer);
        }
        self.resolve().await?;
        let offer = Offer {
            stream: self.stream,
            intent: self.intent,
            sdp,
            layer: self.layer,
            format: "webrtc",
            protocol: "ws",
            user_agent: self.user_agent,
            remote: self.remote,
            host: self.host,
        };
        self.api.relay.offer(offer).await
    }

    /// A URL that is not a stream's name becomes a stream, unsaved. One that has this source already is left alone:
    /// its viewers go on. One that was not made so stays what it is.
    async fn resolve(&mut self) -> Result<(), Error> {
        let Some(source) = self.source.clone() else { return Ok(()) };
        if self.known(&source).await?.is_some() {
            self.stream = source;
            return Ok(());
        }
        let refuse = |kind, text: String| Err(Error::new(kind, text));
        let api = self.api.clone();
        // What is found here is still so when it is changed.
        let _turn = api.changes.lock().await;
        if let Some(stream) = self.known(&self.stream).await? {
            let producers = stream["producers"].as_array().map(Vec::as_slice).unwrap_or_default();
            let has = |source: &str| producers.iter().any(|producer| producer["url"] == public_url(source));
            let ours = self.api.passing.source(&self.stream).filter(|ours| producers.len() == 1 && has(ours));
            match ours {
                Some(ours) if ours == source => return Ok(()),
                Some(_) => {}
                None if has(&source) => return Ok(()),
                None => {
                    let text = format!("{:?} has another source; PUT /api/streams changes it", self.stream);
                    return refuse(ErrorKind::Conflict, text);
                }
            }
        }
        self.may_change.clone()?;
        if !self.api.passing.note(&self.stream, &source) {
            let text = format!("{MAX_PASSING} streams were made of URLs already; DELETE /api/streams removes them");
            return refuse(ErrorKind::Full, text);
        }
        let scope = Scope::of_client(self.remote.ip());
        let put = self.api.relay.put_stream(&self.stream, vec![source], scope).await;
        if put.is_err() {
            self.api.passing.forget(&self.stream);
        }
        put
    }

    async fn known(&self, name: &str) -> Result<Option<Value>, Error> {
        match self.api.relay.stream(name).await {
            Ok(stream) => Ok(Some(stream)),
            Err(Error { kind: ErrorKind::NotFound, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// How an offer went.
struct Answered {
    number: u64,
    dialect: Dialect,
    result: Result<Answer, Error>,
}

struct Socket {
    socket: WebSocket,
    client: Client,
    offers: JoinSet<Answered>,
    /// Candidates that come after their answers.
    late: JoinSet<Vec<String>>,
    /// Number of the newest offer; its session gets the candidates.
    newest: u64,
    target: Option<String>,
    /// Candidates that came before their answer.
    early: Vec<String>,
    /// How a viewer's words fare.
    turns: Option<mpsc::Receiver<bool>>,
}

impl Socket {
    /// A close by the client is no error.
    async fn run(&mut self) -> Result<(), Ended> {
        let mut heard = Instant::now();
        let mut ping = interval_at(heard + PING_EVERY, PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = self.socket.next() => {
                    heard = Instant::now();
                    match message {
                        None | Some(Ok(Message::Close(_))) => return Ok(()),
                        Some(Ok(Message::Text(text))) => self.take(text.as_bytes()).await?,
                        Some(Ok(Message::Binary(bytes))) => self.take(&bytes).await?,
                        Some(Ok(_)) => {}
                        Some(Err(error)) => return Err(error.into()),
                    }
                }
                Some(answered) = self.offers.join_next(), if !self.offers.is_empty() => {
                    match answered {
                        Ok(answered) => self.answered(answered).await?,
                        Err(error) => return Err(error.into()),
                    }
                }
                Some(late) = self.late.join_next(), if !self.late.is_empty() => {
                    for line in late.unwrap_or_default() {
                        self.say(ws_messages::candidate(&line)).await?;
                    }
                }
                heard = async { match &mut self.turns { Some(turns) => turns.recv().await, None => pending().await } } => {
                    match heard {
                        Some(heard) => self.say(ws_messages::turn(heard)).await?,
                        None => self.turns = None,
                    }
                }
                _ = ping.tick() => {
                    if heard.elapsed() >= SILENCE {
                        return Err(Ended::Silent);
                    }
                    self.write(Message::Ping(Default::default())).await?;
                }
            }
        }
    }

    async fn take(&mut self, message: &[u8]) -> Result<(), Ended> {
        match ws_messages::parse(message) {
            None => {
                self.write(Message::Close(None)).await?;
                Err(Ended::NoJson)
            }
            Some(Ask::Ignored) => Ok(()),
            Some(Ask::Refused(text)) => self.say(ws_messages::error(&text)).await,
            Some(Ask::Offer { dialect, .. }) if self.offers.len() >= MAX_OFFERS => {
                self.say(ws_messages::error(&format!("{}: too many offers at one time", dialect.request()))).await
            }
            Some(Ask::Offer { dialect, sdp, session }) => {
                self.newest += 1;
                let (number, client) = (self.newest, self.client.clone());
                let session = session.or_else(|| self.target.clone());
                self.offers
                    .spawn(async move { Answered { number, dialect, result: client.offer(&sdp, session).await } });
                Ok(())
            }
            Some(Ask::Candidate(line)) => {
                match self.target.clone() {
                    Some(id) if self.offers.is_empty() => self.trickle(&id, vec![line]).await,
                    _ if self.early.len() < MAX_CANDIDATES => self.early.push(line),
                    _ => {}
                }
                Ok(())
            }
        }
    }

    async fn answered(&mut self, answered: Answered) -> Result<(), Ended> {
        let Answered { number, dialect, result } = answered;
        match result {
            Ok(answer) => {
                let id = answer.id.clone();
                self.say(dialect.answer(&answer.sdp, &answer.id)).await?;
                if number == self.newest {
                    let early = std::mem::take(&mut self.early);
                    if !early.is_empty() {
                        self.trickle(&answer.id, early).await;
                    }
                    let goes_on = self.target.as_ref() == Some(&answer.id);
                    self.turns = match self.turns.take() {
                        _ if !answer.talks => None,
                        Some(turns) if goes_on => Some(turns),
                        _ => self.client.api.relay.talk_events(&answer.id).await.ok(),
                    };
                    self.target = Some(answer.id);
                }
                for line in &answer.candidates {
                    self.say(ws_messages::candidate(line)).await?;
                }
                if answer.more {
                    let relay = self.client.api.relay.clone();
                    self.late.spawn(async move { relay.late_candidates(&id).await.unwrap_or_default() });
                }
                Ok(())
            }
            Err(error) => self.say(ws_messages::error(&format!("{}: {}", dialect.request(), error.message))).await,
        }
    }

    /// A candidate that cannot be used is no failure: there are others, and clients would show it as one.
    async fn trickle(&self, id: &str, candidates: Vec<String>) {
        let trickle = Trickle { candidates, ..Trickle::default() };
        if let Err(error) = self.client.api.relay.trickle(id, trickle).await {
            log::debug!(target: "api", "{} websocket candidate: {error}", self.client.remote);
        }
    }

    async fn say(&mut self, text: String) -> Result<(), Ended> {
        self.write(Message::Text(text.into())).await
    }

    async fn write(&mut self, message: Message) -> Result<(), Ended> {
        match timeout(WRITE_TIME, self.socket.send(message)).await {
            Ok(sent) => sent.map_err(Ended::Protocol),
            Err(_) => Err(Ended::NotRead),
        }
    }
}
