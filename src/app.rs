//! Wiring: from settings to a running relay, and its end.
use crate::config::Config;
use crate::logging::Ring;
use std::process::ExitCode;

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

/// Runs the relay until it is told to stop.
pub fn run(config: Config, _ring: Ring) -> ExitCode {
    log::info!(target: "app", "porthole version={} platform={}", env!("CARGO_PKG_VERSION"), platform());
    match &config.path {
        Some(path) => log::info!(target: "app", "config path={}", path.display()),
        None => log::info!(target: "app", "no config file, changes made through the API are not kept"),
    }
    ExitCode::SUCCESS
}
