//! The front: HTTP and WebSocket in go2rtc's dialect, WHIP and WHEP, the pages. It runs on a runtime of its own and
//! talks to the engine through [`Relay`] only.
pub mod api;
pub mod checks;
mod pages;
mod server;
#[cfg(test)]
mod tests;

use crate::config;
use crate::doctor::refusals::Refusals;
use crate::share::Book;
use crate::stream::relay::Relay;
use api::passing::Passing;
use api::routes::App;
use server::authority::{self, Listed};
use server::base::Base;
use server::gate::{self, Gate, Speaks};
use server::limits::{Limits, REFUSALS};
use server::policy::Policy;
use server::tls::Tls;
use server::{listen, peers};
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

/// Threads that may wait for the disk or for names.
const BLOCKING_THREADS: usize = 8;
/// They copy small buffers and write YAML and the log.
const BLOCKING_STACK: usize = 256 * 1024;
/// An idle blocking thread ends after this time.
const BLOCKING_KEEP: Duration = Duration::from_secs(2);

/// Writes a change of one stream into the configuration file; `None` removes the stream. The error is shown to the
/// caller of the API. Called on a thread that may block.
pub type Saver = Arc<dyn Fn(&str, Option<&[String]>) -> Result<(), String> + Send + Sync>;

/// The recent log.
pub trait Log: Send + Sync {
    /// One JSON object in each line.
    fn text(&self) -> String;
    fn clear(&self);
}

/// What the front needs besides the engine.
#[derive(Clone, Default)]
pub struct Services {
    /// `None`: there is no configuration file, changes last until the next start.
    pub saver: Option<Saver>,
    pub log: Option<Arc<dyn Log>>,
    /// Shown by `/api`.
    pub config_path: Option<PathBuf>,
    /// Where the system lets this program keep files.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only an authority is kept there"))]
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
    gate: Arc<Gate>,
}

impl Front {
    /// Binds `api.listen` and `api.tls_listen`, and logs it. Must be called within the runtime. Errors name the setting
    /// at fault; whatever is wrong with HTTPS does not stop HTTP.
    pub fn bind(api: &config::Api, relay: Relay, services: Services) -> io::Result<Front> {
        Self::with_limits(api, relay, services, Limits::default())
    }

    fn with_limits(api: &config::Api, relay: Relay, services: Services, limits: Limits) -> io::Result<Front> {
        let allow = peers::parse_allow(&api.allow).map_err(|text| io::Error::new(io::ErrorKind::InvalidInput, text))?;
        for origin in api.origin.iter().filter(|origin| Listed::parse(origin).is_none()) {
            log::warn!(target: "api", "api.origin: {origin:?} is no origin such as https://home.example, it lets nobody in");
        }
        for host in api.hosts.iter().filter(|host| authority::host(host).is_none()) {
            log::warn!(target: "api", "api.hosts: {host:?} is no name such as cameras.example");
        }
        let policy = Policy::new(&api.hosts, &api.origin, &services.host_name);
        let frame_origins = policy.frame_origins().collect();
        let mut listeners = [None, None];
        if !api.listen.is_empty() {
            let listener = TcpListener::from_std(listen::bind("api.listen", &api.listen)?)?;
            // Home Assistant waits for this text.
            log::info!(target: "api", "listen addr={}", api.listen);
            listeners[0] = Some((listener, Speaks::Both));
        }
        let tls = Tls::new(api, &services);
        if let Some(tls) = &tls {
            if !api.tls_listen.is_empty() && api.tls_listen != api.listen {
                match listen::bind("api.tls_listen", &api.tls_listen).and_then(TcpListener::from_std) {
                    Ok(listener) => listeners[1] = Some((listener, Speaks::Https)),
                    Err(error) => log::error!(target: "api", "no HTTPS: {error}"),
                }
            }
            if let Some((listener, speaks)) = listeners.iter().rev().flatten().next() {
                let address = listener.local_addr()?;
                let plain = listeners[0].as_ref().and_then(|(listener, _)| listener.local_addr().ok());
                let same_host = plain.filter(|at| at.ip().is_unspecified() || at.ip() == address.ip());
                tls.set_ports(address.port(), same_host.map(|at| at.port()));
                let shared = if *speaks == Speaks::Both { &api.listen } else { &api.tls_listen };
                if tls.error().is_none() {
                    log::info!(target: "api", "tls listen addr={shared}");
                }
            }
        }
        let app = Arc::new(App {
            base: Base::new(&api.base_path),
            relay,
            services,
            tls,
            frame_origins,
            refusals: Refusals::default(),
            changes: Default::default(),
            passing: Passing::default(),
            sparing: Mutex::default(),
        });
        let (connections, websockets, outbox) = (Arc::default(), Arc::default(), Arc::default());
        let refusals = Arc::new(Semaphore::new(REFUSALS));
        let gate = Gate { limits, policy, allow, app, connections, websockets, outbox, refusals };
        Ok(Front { listeners, gate: Arc::new(gate) })
    }

    /// Where it listens; tells the port if `api.listen` says 0.
    #[cfg(test)]
    fn local_addr(&self) -> io::Result<std::net::SocketAddr> {
        self.listeners.iter().flatten().next().unwrap().0.local_addr()
    }

    /// Serves until `shutdown` completes; open connections end with it.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let [first, second] = self.listeners.map(|listener| accept(listener, self.gate.clone()));
        tokio::select! {
            () = first => {}
            () = second => {}
            () = shutdown => {}
        }
    }
}

async fn accept(listener: Option<(TcpListener, Speaks)>, gate: Arc<Gate>) {
    match listener {
        Some((listener, speaks)) => gate::accept(listener, speaks, gate).await,
        None => std::future::pending().await,
    }
}

/// Binds, calls `bound` and serves; without anything to listen to only waits for `shutdown`.
pub async fn serve(
    api: &config::Api,
    relay: Relay,
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
