//! The front: HTTP and WebSocket in go2rtc's dialect, WHIP and WHEP, the pages. It runs on a runtime of its own and
//! talks to the engine through [`EngineHandle`] only.
//!
//! Three rooms: the `server` knows nothing of what it serves; the `api` and the `pages` know its requests and responses;
//! `site` is both of them behind one door.
pub(crate) mod api;
pub mod checks;
mod pages;
pub(crate) mod server;
mod site;
#[cfg(test)]
mod tests;

pub use api::{Log, Saver};
pub use server::{PIECE_BYTES, Pieces};

use crate::config;
use crate::doctor::refusals::Refusals;
use crate::driver::handle::EngineHandle;
use crate::share::Book;
use api::Api;
use pages::Pages;
use server::gate::{self, Speaks};
use server::limits::{Limits, REFUSALS};
use server::{Base, Counts, Listed, Policy, Server, Tls, listen, peers};
use site::Site;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// Threads that may wait for the disk or for names.
const BLOCKING_THREADS: usize = 8;
/// They copy small buffers and write YAML and the log.
const BLOCKING_STACK: usize = 256 * 1024;
/// An idle blocking thread ends after this time.
const BLOCKING_KEEP: Duration = Duration::from_secs(2);

/// What the front needs besides the engine.
#[derive(Clone, Default)]
pub struct Services {
    /// `None`: there is no configuration file, changes last until the next start.
    pub saver: Option<Saver>,
    pub log: Option<Arc<dyn Log>>,
    /// Shown by `/api`.
    pub config_path: Option<PathBuf>,
    /// Where the system lets this program keep files.
    pub state_directory: Option<PathBuf>,
    /// Values of the `Link` fields that tell players of STUN and TURN servers.
    pub ice_links: Vec<String>,
    /// `None`: share links are off.
    pub shares: Option<Arc<Book>>,
    /// A file in which the system says what is wrong around the relay, a sentence a line.
    pub problems: Option<PathBuf>,
    /// This machine's name, allowed in `Host`.
    pub host_name: String,
}

/// The runtime that the front runs on: one thread, and few small ones for what may block.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .thread_name("http-blocking")
        .thread_stack_size(BLOCKING_STACK)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(BLOCKING_KEEP)
        .build()
}

/// The bound HTTP doors.
pub struct Front {
    /// `api.listen` and `api.tls_listen`.
    listeners: [Option<(TcpListener, Speaks)>; 2],
    server: Arc<Server>,
}

impl Front {
    /// Binds `api.listen` and `api.tls_listen`, and logs it. Must be called within the runtime. Errors name the setting
    /// at fault; whatever is wrong with HTTPS does not stop HTTP.
    pub fn bind(api: &config::Api, relay: EngineHandle, services: Services) -> io::Result<Front> {
        Self::with_limits(api, relay, services, Limits::default())
    }

    fn with_limits(
        settings: &config::Api,
        relay: EngineHandle,
        services: Services,
        limits: Limits,
    ) -> io::Result<Front> {
        let allow =
            peers::parse_allow(&settings.allow).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        for origin in settings.origin.iter().filter(|origin| Listed::parse(origin).is_none()) {
            log::warn!(target: "api", "api.origin: {origin:?} is no origin such as https://home.example, it lets nobody in");
        }
        for host in settings.hosts.iter().filter(|host| server::host(host).is_none()) {
            log::warn!(target: "api", "api.hosts: {host:?} is no name such as cameras.example");
        }
        let policy = Policy::new(&settings.hosts, &settings.origin, &services.host_name);
        let frame_origins = policy.frame_origins().collect();
        let mut listeners = [None, None];
        if !settings.listen.is_empty() {
            let listener = TcpListener::from_std(listen::bind("api.listen", &settings.listen)?)?;
            // Home Assistant waits for this text.
            log::info!(target: "api", "listen addr={}", settings.listen);
            listeners[0] = Some((listener, Speaks::Both));
        }
        let tls = Tls::new(settings, &services.host_name, certificates(&services));
        if let Some(tls) = &tls {
            if !settings.tls_listen.is_empty() && settings.tls_listen != settings.listen {
                match listen::bind("api.tls_listen", &settings.tls_listen).and_then(TcpListener::from_std) {
                    Ok(listener) => listeners[1] = Some((listener, Speaks::Https)),
                    Err(error) => log::error!(target: "api", "no HTTPS: {error}"),
                }
            }
            if let Some((listener, speaks)) = listeners.iter().rev().flatten().next() {
                let address = listener.local_addr()?;
                let plain = listeners[0].as_ref().and_then(|(listener, _)| listener.local_addr().ok());
                let same_host = plain.filter(|at| at.ip().is_unspecified() || at.ip() == address.ip());
                tls.set_ports(address.port(), same_host.map(|at| at.port()));
                let shared = if *speaks == Speaks::Both { &settings.listen } else { &settings.tls_listen };
                if tls.error().is_none() {
                    log::info!(target: "api", "tls listen addr={shared}");
                }
            }
        }
        let refused = Arc::new(Refusals::default());
        let base = Base::new(&settings.base_path);
        let pages = Pages {
            ice_links: services.ice_links.clone(),
            share_connects: match &services.shares {
                Some(shares) => Ok(shares.csp_sources().join(" ")),
                None => Err(api::SHARES_OFF),
            },
            frame_origins,
        };
        let api = Arc::new(Api {
            base: base.clone(),
            relay,
            saver: services.saver,
            log: services.log,
            config_path: services.config_path,
            ice_links: services.ice_links,
            shares: services.shares,
            problems: services.problems,
            tls: tls.clone(),
            refused: refused.clone(),
            changes: Default::default(),
            passing: Default::default(),
            sparing: Default::default(),
        });
        let (handler, counts) = (Arc::new(Site { api, pages }), Counts::new(REFUSALS));
        let server = Server { limits, policy, allow, base, tls, handler, refused, counts };
        Ok(Front { listeners, server: Arc::new(server) })
    }

    /// Where it listens; tells the port if `api.listen` says 0.
    #[cfg(test)]
    fn local_addr(&self) -> io::Result<std::net::SocketAddr> {
        self.listeners.iter().flatten().next().unwrap().0.local_addr()
    }

    /// Serves until `shutdown` completes; open connections end with it.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let [first, second] = self.listeners.map(|listener| accept(listener, self.server.clone()));
        tokio::select! {
            () = first => {}
            () = second => {}
            () = shutdown => {}
        }
    }
}

/// Where an authority of our own may be kept: the state directory, else beside the configuration file.
fn certificates(services: &Services) -> Option<PathBuf> {
    let beside = || services.config_path.as_deref().and_then(Path::parent).map(Path::to_owned);
    services.state_directory.clone().or_else(beside)
}

async fn accept(listener: Option<(TcpListener, Speaks)>, server: Arc<Server>) {
    match listener {
        Some((listener, speaks)) => gate::accept(listener, speaks, server).await,
        None => std::future::pending().await,
    }
}

/// Binds, calls `bound` and serves; without anything to listen to only waits for `shutdown`.
pub async fn serve(
    api: &config::Api,
    relay: EngineHandle,
    services: Services,
    bound: impl FnOnce(),
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    if api.listen.is_empty() && api.tls_listen.is_empty() {
        bound();
        shutdown.await;
    } else {
        let front = Front::bind(api, relay, services)?;
        bound();
        front.run(shutdown).await;
    }
    Ok(())
}
