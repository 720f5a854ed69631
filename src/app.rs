//! Wiring: from settings to a running relay, and its end.
use crate::board::notify::Notifier;
use crate::config::{Config, Keeper};
use crate::driver::Driver;
use crate::driver::handle::EngineHandle;
use crate::gather::ice_servers;
use crate::http::{self, Services};
use crate::logging::Ring;
use crate::reload;
use crate::share::Book;
use futures_util::stream;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Stack of the engine's thread: the deepest path is a DTLS handshake.
const ENGINE_STACK: usize = 1 << 20;
/// An engine that does not answer for this long does not turn.
const PULSE: Duration = Duration::from_secs(5);
/// Time that the engine is given to say goodbye to its peers.
const ENGINE_FAREWELL: Duration = Duration::from_millis(500);

/// Operating system and processor in the words that container images use: `linux/arm64`.
pub fn platform() -> String {
    let processor = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86_64" => "amd64",
        "x86" => "386",
        other => other,
    };
    format!("{}/{processor}", std::env::consts::OS)
}

/// Runs the relay until it is told to stop. `arguments` are what the configuration was loaded from.
pub fn run(config: Config, arguments: &[String], ring: Ring) -> ExitCode {
    log::info!(target: "app", "porthole version={} platform={}", env!("CARGO_PKG_VERSION"), platform());
    match &config.path {
        Some(path) => log::info!(target: "config", "config path={}", path.display()),
        None => log::info!(target: "config", "no config file, changes made through the API are not kept"),
    }
    match start(config, arguments, ring) {
        Ok(()) => {
            log::info!(target: "app", "stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            log::error!(target: "app", "{error}");
            ExitCode::FAILURE
        }
    }
}

/// The engine has a thread and a runtime of its own, so that no page or API call delays a picture.
fn start(config: Config, arguments: &[String], ring: Ring) -> Result<(), String> {
    let notifier = Notifier::from_environment();
    let (relay, commands) = EngineHandle::new();
    let (stop, stopping) = watch::channel(false);
    let (ended, engine_ended) = std::sync::mpsc::channel::<()>();
    let (alive, engine_gone) = tokio::sync::oneshot::channel::<()>();
    let (bound, binding) = std::sync::mpsc::channel();
    let engine_config = config.clone();
    thread::Builder::new()
        .name("engine".into())
        .stack_size(ENGINE_STACK)
        .spawn(move || {
            // Dropped when the thread ends, however it ends.
            let (_ended, _alive) = (ended, alive);
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(bound.send(Err(format!("the engine cannot start: {error}")))),
            };
            runtime.block_on(async move {
                match Driver::new(&engine_config) {
                    Ok(driver) => {
                        drop(bound.send(Ok(())));
                        driver.run(commands, stopping).await;
                    }
                    Err(error) => drop(bound.send(Err(error))),
                }
            });
        })
        .map_err(|error| format!("the engine cannot start: {error}"))?;
    binding.recv().map_err(|_| "the engine ended while it started".to_owned())??;

    let front = http::runtime().map_err(|error| format!("the HTTP server cannot start: {error}"))?;
    let due = watch::Sender::new(None);
    let file = config.path.clone().map(|path| Arc::new(File { keeper: Keeper::new(path), due }));
    let services = services(&config, file.as_ref(), ring, &relay);
    let served = front.block_on(async {
        let told = shutdown().map_err(|error| format!("no signals: {error}"))?;
        let reloads = signal(SignalKind::hangup()).map_err(|error| format!("no signals: {error}"))?;
        if let Some(shares) = &services.shares {
            shares.attend();
        }
        let mut failed = false;
        let attended = relay.clone();
        // Without its engine the relay is an empty page: who started it shall see that it ended.
        let shutdown = async {
            tokio::select! {
                () = told => {}
                _ = engine_gone => failed = true,
                () = beat(&notifier, &attended) => {}
                () = reload_at(reloads, arguments, config.clone(), &attended, &notifier, file.as_ref()) => {}
                () = keep(file.as_ref()) => {}
            }
            notifier.stopping(failed);
        };
        http::serve(&config.api, relay, services, || notifier.ready(), shutdown)
            .await
            .map_err(|error| error.to_string())?;
        if failed { Err("an internal fault ended the engine".to_owned()) } else { Ok(()) }
    });
    if let Some(file) = &file {
        file.flush();
    }
    let _ = stop.send(true);
    let _ = engine_ended.recv_timeout(ENGINE_FAREWELL);
    front.shutdown_background();
    served
}

/// The configuration file and what waits to be written into it.
struct File {
    keeper: Keeper,
    /// When the next writing is due.
    due: watch::Sender<Option<Instant>>,
}

impl File {
    fn saver(file: &Arc<Self>) -> http::Saver {
        let file = file.clone();
        Arc::new(move |name: &str, sources: Option<&[String]>| {
            let due = file.keeper.change(name, sources, Instant::now())?;
            file.due.send_replace(due);
            Ok(())
        })
    }

    /// Writes what waits now.
    fn flush(&self) {
        if let Err(error) = self.keeper.flush(Instant::now()) {
            log::error!(target: "config", "streams that were changed are not saved: {error}");
        }
    }
}

/// Writes what waits whenever it is due. Never completes.
async fn keep(file: Option<&Arc<File>>) {
    let Some(file) = file else { return std::future::pending().await };
    let mut dues = file.due.subscribe();
    // The sender is in the file itself.
    while dues.changed().await.is_ok() {
        let Some(due) = *dues.borrow_and_update() else { continue };
        tokio::time::sleep_until(due.into()).await;
        let file = file.clone();
        // A fault leaves it waiting.
        let _ = tokio::task::spawn_blocking(move || file.flush()).await;
    }
}

fn services(config: &Config, file: Option<&Arc<File>>, ring: Ring, relay: &EngineHandle) -> Services {
    Services {
        saver: file.map(File::saver),
        log: Some(Arc::new(RecentLog(ring))),
        config_path: config.path.clone(),
        // systemd separates several with colons.
        state_directory: std::env::var("STATE_DIRECTORY")
            .ok()
            .and_then(|list| list.split(':').next().filter(|first| !first.is_empty()).map(PathBuf::from)),
        ice_links: ice_servers::links(config.webrtc.ice_servers.as_deref().unwrap_or_default()),
        shares: Book::new(config, relay.clone()),
        problems: std::env::var_os("PORTHOLE_PROBLEMS").filter(|path| !path.is_empty()).map(PathBuf::from),
        host_name: nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default(),
    }
}

struct RecentLog(Ring);

impl http::Log for RecentLog {
    fn text(&self) -> String {
        self.0.json_lines()
    }

    fn follow(&self) -> http::Pieces {
        Box::pin(stream::unfold(self.0.follow(), |mut follower| async {
            let lines = follower.read(http::PIECE_BYTES).await;
            Some((lines.into(), follower))
        }))
    }

    fn clear(&self) {
        self.0.clear();
    }
}

/// Feeds the watchdogs for as long as the engine answers, and what is due in it is done. Never
/// completes.
async fn beat(notifier: &Notifier, relay: &EngineHandle) {
    let Some(interval) = notifier.interval else { return std::future::pending().await };
    loop {
        match tokio::time::timeout(PULSE, relay.pulse()).await {
            Ok(Ok(None)) => notifier.alive(),
            Ok(Ok(Some(overdue))) => log::error!(target: "app", "the watchdog is not fed, overdue: {overdue}"),
            Ok(Err(error)) => log::error!(target: "app", "the watchdog is not fed error={error}"),
            Err(_) => log::error!(target: "app", "the watchdog is not fed, the engine does not answer"),
        }
        tokio::time::sleep(interval).await;
    }
}

/// Reads the configuration again at every SIGHUP. Never completes.
async fn reload_at(
    mut signals: Signal,
    arguments: &[String],
    mut config: Config,
    relay: &EngineHandle,
    notifier: &Notifier,
    file: Option<&Arc<File>>,
) {
    while signals.recv().await.is_some() {
        // What was changed through the API is in the file first, or it would be undone.
        if let Some(file) = file {
            file.flush();
        }
        let (now, sentence) = reload::reload(arguments, config, relay).await;
        config = now;
        notifier.status(&sentence);
    }
    std::future::pending().await
}

/// Completes at SIGTERM or SIGINT.
fn shutdown() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        log::info!(target: "app", "stopping signal={name}");
    })
}
