//! The sources that run, each in a task of its own.
use crate::config::secrets::public_url;
use crate::engine::source::{ProducerId, SourceError, SourceEvent, SourceFacts, SourceRequest, SourceUrls};
use crate::gather::scope::Scope;
use crate::source::{self, FAREWELL, Sink, Surroundings};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// Events of sources that wait for the engine; a full queue slows the sources down.
const EVENTS: usize = 64;
/// Requests to a source that wait; further ones say nothing new.
const REQUESTS: usize = 16;
/// Time that sources are given to say goodbye to their cameras when the relay ends.
const LAST_FAREWELL: Duration = Duration::from_millis(400);

struct Running {
    task: JoinHandle<()>,
    requests: mpsc::Sender<SourceRequest>,
}

pub struct Sources {
    surroundings: Surroundings,
    running: HashMap<ProducerId, Running>,
    sender: mpsc::Sender<(ProducerId, SourceEvent)>,
    events: mpsc::Receiver<(ProducerId, SourceEvent)>,
}

impl Sources {
    pub fn new(surroundings: Surroundings) -> Self {
        let (sender, events) = mpsc::channel(EVENTS);
        Self { surroundings, running: HashMap::new(), sender, events }
    }

    /// Waits for the next event of any source.
    pub async fn next(&mut self) -> Option<(ProducerId, SourceEvent)> {
        self.events.recv().await
    }

    /// A further event that is already there.
    pub fn try_next(&mut self) -> Option<(ProducerId, SourceEvent)> {
        self.events.try_recv().ok()
    }

    /// Opens a source. Must be called inside a runtime.
    ///
    /// # Errors
    /// If it cannot even be tried.
    pub fn start(&mut self, id: ProducerId, url: &str, scope: Scope) -> Result<(), SourceError> {
        let (requests, receiver) = mpsc::channel(REQUESTS);
        let sink = Sink::new(id, self.sender.clone());
        let run = source::open(url, scope, &self.surroundings, sink.clone(), receiver)?;
        let task = tokio::spawn(supervise(run, sink));
        self.running.insert(id, Running { task, requests });
        Ok(())
    }

    /// Lets go of a source: it says goodbye to its camera and ends.
    pub fn stop(&mut self, id: ProducerId) {
        let Some(Running { task, requests }) = self.running.remove(&id) else { return };
        // Whose queue is gone ends.
        drop(requests);
        if !task.is_finished() {
            tokio::spawn(async move {
                let abort = task.abort_handle();
                if timeout(FAREWELL, task).await.is_err() {
                    abort.abort();
                }
            });
        }
    }

    /// Asks something of a source. A full queue holds a request for a keyframe already, and belongs to a camera that
    /// plays no sound in time.
    pub fn ask(&self, id: ProducerId, request: SourceRequest) {
        if let Some(running) = self.running.get(&id) {
            let _ = running.requests.try_send(request);
        }
    }

    /// Lets go of all. False if there was none.
    pub async fn farewell(self) -> bool {
        let sources: JoinSet<()> = self
            .running
            .into_values()
            .map(|Running { task, requests }| {
                drop(requests);
                async { drop(task.await) }
            })
            .collect();
        let any = !sources.is_empty();
        if any {
            let _ = timeout(LAST_FAREWELL, sources.join_all()).await;
        }
        any
    }
}

/// A source that fails inside ends like any other, or its viewers would wait for it for ever.
async fn supervise(run: source::Run, sink: Sink) {
    let mut task = JoinSet::new();
    task.spawn(run);
    let why = match task.join_next().await {
        Some(Ok(why)) => why,
        _ => "an internal fault ended the source".to_owned().into(),
    };
    // Nobody listens any more if the relay gave the source up.
    let _ = sink.send(SourceEvent::Ended(why)).await;
}

/// What the engine asks about URLs.
pub struct Urls;

impl SourceUrls for Urls {
    fn facts(&self, url: &str) -> SourceFacts {
        SourceFacts {
            public_url: public_url(url),
            format: source::format_name(url),
            protocol: source::protocol(url),
            exclusive: source::exclusive(url),
        }
    }

    fn check_scope(&self, url: &str, scope: Scope) -> Result<(), String> {
        source::check_scope(url, scope)
    }
}
