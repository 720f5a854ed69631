//! Which shares there are, from the settings and made through the API, and the task that awaits their visitors. Without
//! a share there is no task.
use super::attend;
use super::desk::Desk;
use super::link;
use crate::config::{Config, Share};
use crate::driver::handle::EngineHandle;
use crate::net::connect::Place;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Random bytes of a name and of a secret that are made here: 40 and 192 bits.
const NAME_BYTES: usize = 5;
const SECRET_BYTES: usize = 24;

/// A tracker and how it is going.
pub(super) struct Tracker {
    pub url: String,
    pub place: Place,
    pub state: Mutex<State>,
}

/// How it is going with a tracker; errors are sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Connecting,
    Connected,
    /// Connected, and it refuses something.
    Refusing(String),
    Failed(String),
}

pub struct Book {
    pub(super) relay: EngineHandle,
    pub(super) trackers: Vec<Tracker>,
    stun: Vec<String>,
    shares: Mutex<Shares>,
    /// Tells those who attend that a share came or went.
    pub(super) changes: watch::Sender<()>,
}

#[derive(Default)]
struct Shares {
    desk: Desk,
    task: Option<AbortHandle>,
}

/// A share as it is told to its owner.
#[derive(Clone, Debug)]
pub struct Told {
    pub share: Share,
    /// Page and fragment, below the relay's own address.
    pub link: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Exists,
    Full,
    /// The system gives no random numbers.
    NoSecret,
}

/// A panic elsewhere left the list as it was: whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn random(bytes: &mut [u8]) -> Result<(), Refusal> {
    SystemRandom::new().fill(bytes).map_err(|_| Refusal::NoSecret)
}

impl Book {
    /// `None`: the settings do not speak of share links. Entries that are wrong were reported when the settings were
    /// read; here they are left out.
    pub fn new(config: &Config, relay: EngineHandle) -> Option<Arc<Self>> {
        let settings = config.webtorrent.as_ref()?;
        let mut desk = Desk::default();
        for share in settings.shares.iter().filter(|share| link::check_share(share).is_ok()).take(link::MAX_SHARES) {
            desk.add(share.clone());
        }
        let trackers = link::trackers(settings).into_iter().filter_map(|url| {
            let place = link::check_tracker(&url).ok()?;
            Some(Tracker { url, place, state: Mutex::default() })
        });
        Some(Arc::new(Self {
            relay,
            trackers: trackers.collect(),
            stun: link::stun_servers(&config.webrtc),
            shares: Mutex::new(Shares { desk, task: None }),
            changes: watch::Sender::new(()),
        }))
    }

    /// Begins or ends to await visitors, as there are shares. Must be called within the runtime.
    pub fn attend(self: &Arc<Self>) {
        let mut shares = locked(&self.shares);
        let wanted = shares.desk.shares().next().is_some();
        match (&shares.task, wanted) {
            (None, true) => shares.task = Some(tokio::spawn(attend::attend(self.clone())).abort_handle()),
            (Some(task), false) => {
                task.abort();
                shares.task = None;
                self.trackers.iter().for_each(|tracker| *locked(&tracker.state) = State::default());
            }
            _ => {}
        }
    }

    pub(super) fn with_desk<T>(&self, action: impl FnOnce(&mut Desk) -> T) -> T {
        action(&mut locked(&self.shares).desk)
    }

    fn told(&self, share: &Share) -> Told {
        let trackers: Vec<String> = self.trackers.iter().map(|tracker| tracker.url.clone()).collect();
        Told { share: share.clone(), link: link::write(share, &trackers, &self.stun) }
    }

    pub fn all(&self) -> Vec<Told> {
        locked(&self.shares).desk.shares().map(|share| self.told(share)).collect()
    }

    /// The first share of a stream: to watch it, or to send to it.
    pub fn find(&self, stream: &str, publishes: bool) -> Option<Told> {
        self.all().into_iter().find(|told| told.share.stream == stream && told.share.publishes == publishes)
    }

    /// Makes a share of our own version, with a random name and secret; it lasts until the relay ends.
    pub fn add(self: &Arc<Self>, stream: &str, publishes: bool) -> Result<Told, Refusal> {
        let (mut name, mut secret) = ([0; NAME_BYTES], [0; SECRET_BYTES]);
        random(&mut name)?;
        random(&mut secret)?;
        let share = Share {
            name: HEXLOWER.encode(&name),
            pwd: BASE64URL_NOPAD.encode(&secret),
            stream: stream.to_owned(),
            publishes,
            go2rtc: false,
        };
        {
            let desk = &mut locked(&self.shares).desk;
            if desk.shares().any(|known| known.stream == stream && known.publishes == publishes) {
                return Err(Refusal::Exists);
            }
            if desk.shares().count() >= link::MAX_SHARES {
                return Err(Refusal::Full);
            }
            desk.add(share.clone());
        }
        self.attend();
        self.changes.send_replace(());
        Ok(self.told(&share))
    }

    /// Ends every share of a stream of that direction; was there one? One from the settings is back at the next start.
    pub fn remove(self: &Arc<Self>, stream: &str, publishes: bool) -> bool {
        let removed =
            self.with_desk(|desk| desk.remove(|share| share.stream == stream && share.publishes == publishes));
        self.attend();
        self.changes.send_replace(());
        removed
    }

    /// How the trackers are: `connecting`, `connected`, `refusing` or `failed`, the last two with an error.
    pub fn trackers(&self) -> Value {
        let shown = self.trackers.iter().map(|tracker| match &*locked(&tracker.state) {
            State::Connecting => json!({"url": tracker.url, "state": "connecting"}),
            State::Connected => json!({"url": tracker.url, "state": "connected"}),
            State::Refusing(error) => json!({"url": tracker.url, "state": "refusing", "error": error}),
            State::Failed(error) => json!({"url": tracker.url, "state": "failed", "error": error}),
        });
        shown.collect()
    }

    /// What the share page may connect to, for its security policy.
    pub fn csp_sources(&self) -> Vec<String> {
        self.trackers.iter().filter_map(|tracker| link::csp_source(&tracker.url)).collect()
    }
}

impl Tracker {
    /// Notes how it goes now; the answer says whether that is news.
    pub(super) fn note(&self, state: State) -> bool {
        let mut known = locked(&self.state);
        let news = *known != state;
        *known = state;
        news
    }
}
