//! The way to the engine for the doors (HTTP, WebSocket, share links): questions go in, answers come out. All streams and
//! sessions live on the engine's thread; nothing here locks.
use crate::config::Stream;
use crate::engine::api::{
    Answer, Command, Description, Error, ErrorKind, Offer, Reply, TalkEvents, Trickle, Trickled, Waiter,
};
use crate::gather::scope::Scope;
use serde_json::Value;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot};

/// Talk events that wait for one talker; further ones are dropped.
const TALK_EVENTS: usize = 4;

impl<T> Waiter<T> for oneshot::Sender<Result<T, Error>> {
    fn is_gone(&self) -> bool {
        self.is_closed()
    }

    fn answer(self: Box<Self>, answer: Result<T, Error>) -> Result<(), Result<T, Error>> {
        (*self).send(answer)
    }
}

/// Questions that may wait for the engine at one time; more wait in their callers.
pub const COMMAND_QUEUE: usize = 64;

/// A handle to the engine; cheap to clone.
#[derive(Clone, Debug)]
pub struct EngineHandle {
    commands: mpsc::Sender<Command>,
}

impl EngineHandle {
    /// The handle and the engine's end of it.
    pub fn new() -> (EngineHandle, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(COMMAND_QUEUE);
        (EngineHandle { commands }, receiver)
    }

    async fn ask<T: Send + 'static>(&self, question: impl FnOnce(Reply<T>) -> Command) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let reply = Reply::new(reply);
        let stopping = || Error::new(ErrorKind::Internal, "the relay is shutting down");
        self.commands.send(question(reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }

    /// Answers an offer. Host candidates only, so nothing waits for the network; a source that must be
    /// dialled first may take up to the signalling deadline.
    pub async fn offer(&self, offer: Offer) -> Result<Answer, Error> {
        self.ask(|reply| Command::Offer { offer, reply }).await
    }

    /// Answers another offer in a session, which goes on; `None` if the offer is not of this session and wants one of its own.
    pub async fn reoffer(&self, id: &str, sdp: Description) -> Result<Option<Answer>, Error> {
        self.ask(|reply| Command::Reoffer { id: id.to_owned(), sdp, reply }).await
    }

    /// Whether a viewer's microphone is heard: `false` each time its sound is refused because somebody else talks, `true`
    /// once it is heard after all. If it is being refused now, the first event says so.
    pub async fn talk_events(&self, id: &str) -> Result<mpsc::Receiver<bool>, Error> {
        let (sender, receiver) = mpsc::channel(TALK_EVENTS);
        let events =
            TalkEvents::new(move |heard| !matches!(sender.try_send(heard), Err(mpsc::error::TrySendError::Closed(_))));
        self.ask(|reply| Command::Talk { id: id.to_owned(), events, reply }).await?;
        Ok(receiver)
    }

    pub async fn trickle(&self, id: &str, trickle: Trickle) -> Result<Trickled, Error> {
        self.ask(|reply| Command::Trickle { id: id.to_owned(), trickle, reply }).await
    }

    /// Candidates of a session that were not known when it was answered; waits until they are, or never will be.
    pub async fn late_candidates(&self, id: &str) -> Result<Vec<String>, Error> {
        self.ask(|reply| Command::LateCandidates { id: id.to_owned(), reply }).await
    }

    /// Ends a session; both ends are free when this returns.
    pub async fn close(&self, id: &str) -> Result<(), Error> {
        self.ask(|reply| Command::Close { id: id.to_owned(), reply }).await
    }

    pub async fn etag(&self, id: &str) -> Result<String, Error> {
        self.ask(|reply| Command::Etag { id: id.to_owned(), reply }).await
    }

    pub async fn streams(&self) -> Result<Value, Error> {
        self.ask(|reply| Command::Streams { reply }).await
    }

    pub async fn stream(&self, name: &str) -> Result<Value, Error> {
        self.ask(|reply| Command::Stream { name: name.to_owned(), reply }).await
    }

    /// Each of `video`, `audio`, `microphone` is the query value when the parameter is present (`""` = any).
    pub async fn probe(
        &self,
        name: &str,
        video: Option<String>,
        audio: Option<String>,
        microphone: Option<String>,
    ) -> Result<Value, Error> {
        self.ask(|reply| Command::Probe { name: name.to_owned(), video, audio, microphone, reply }).await
    }

    /// Fails with what [`Self::put_stream`] would fail with, and changes nothing.
    pub async fn may_put(&self, name: &str, sources: Vec<String>, scope: Scope) -> Result<(), Error> {
        self.ask(|reply| Command::MayPut { name: name.to_owned(), sources, scope, reply }).await
    }

    /// Makes or changes a stream at somebody's wish; `scope` says where sources that are new may lead.
    pub async fn put_stream(&self, name: &str, sources: Vec<String>, scope: Scope) -> Result<(), Error> {
        self.ask(|reply| Command::PutStream { name: name.to_owned(), sources, scope, publishers: None, reply }).await
    }

    /// Makes a stream what the configuration says.
    pub async fn set_stream(&self, name: &str, stream: Stream) -> Result<(), Error> {
        let (Stream { sources, publishers }, scope) = (stream, Scope::Any);
        self.ask(|reply| Command::PutStream {
            name: name.to_owned(),
            sources,
            scope,
            publishers: Some(publishers),
            reply,
        })
        .await
    }

    pub async fn delete_stream(&self, name: &str) -> Result<(), Error> {
        self.ask(|reply| Command::DeleteStream { name: name.to_owned(), reply }).await
    }

    /// `{state, stream, path:{protocol,local,remote}|null, codecs, sent:{packets,bytes,retransmitted}, loss, rtt_ms, reason}`.
    pub async fn session(&self, id: &str) -> Result<Value, Error> {
        self.ask(|reply| Command::Session { id: id.to_owned(), reply }).await
    }

    /// `{machine, streams, sessions, past, findings}`; see `doctor`.
    pub async fn doctor(&self, asker_clock_s: Option<u64>) -> Result<Value, Error> {
        let clock_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.ask(|reply| Command::Doctor { clock_s, asker_clock_s, reply }).await
    }

    /// Answers as soon as the engine's loop turns: `None`, or what should have been done long ago.
    pub async fn pulse(&self) -> Result<Option<String>, Error> {
        self.ask(|reply| Command::Pulse { reply }).await
    }

    /// `{listen:[…], candidates:[…], sessions, streams, …}`.
    pub async fn status(&self) -> Result<Value, Error> {
        self.ask(|reply| Command::Status { reply }).await
    }
}
