//! What the addresses of the API need.
use super::passing::Passing;
use crate::base::sparing::{LeftOut, Sparing};
use crate::doctor::refusals::Refusals;
use crate::driver::handle::EngineHandle;
use crate::http::server::{Base, Pieces, Request, Tls};
use crate::share::Book;
use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Writes a change of one stream into the configuration file; `None` removes the stream. Called on a thread that may
/// block.
pub type Saver = Arc<dyn Fn(&str, Option<&[String]>) -> Result<(), Box<dyn Error + Send + Sync>> + Send + Sync>;

/// The recent log.
pub trait Log: Send + Sync {
    /// One JSON object in each line.
    fn text(&self) -> String;
    /// The same lines, and then those that come.
    fn follow(&self) -> Pieces;
    /// Forgets all lines.
    fn clear(&self);
}

/// The API and what it keeps.
pub struct Api {
    /// What stands before the paths that clients are told.
    pub base: Base,
    /// The engine.
    pub relay: EngineHandle,
    /// `None`: there is no configuration file, changes last until the next start.
    pub saver: Option<Saver>,
    /// The recent log, if one is kept.
    pub log: Option<Arc<dyn Log>>,
    /// Shown by `/api`.
    pub config_path: Option<PathBuf>,
    /// Values of the `Link` fields that tell players of STUN and TURN servers.
    pub ice_links: Vec<String>,
    /// `None`: share links are off.
    #[cfg_attr(not(feature = "shares"), expect(dead_code, reason = "there are none"))]
    pub shares: Option<Arc<Book>>,
    /// A file in which the system says what is wrong around the relay, a sentence a line.
    pub problems: Option<PathBuf>,
    /// `None`: HTTP only.
    pub tls: Option<Arc<Tls>>,
    /// Whom the server turned away, for the doctor.
    pub refused: Arc<Refusals>,
    /// Changes of streams happen one after the other: each is one of the file and one of the engine.
    pub changes: tokio::sync::Mutex<()>,
    /// Streams that WebSockets made.
    pub passing: Passing,
    /// Which lines about clients are written.
    pub sparing: Mutex<Sparing>,
}

#[cfg_attr(not(feature = "shares"), expect(dead_code, reason = "only share links log what requests do"))]
impl Api {
    /// May a line be written that this request causes?
    pub fn may_log(&self, request: &Request) -> Option<LeftOut> {
        let mut sparing = self.sparing.lock().unwrap_or_else(PoisonError::into_inner);
        sparing.admit(request.peer.ip(), Instant::now())
    }
}
