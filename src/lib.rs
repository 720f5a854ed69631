//! Porthole, a camera relay for the local network: cameras and 3D printers in, WebRTC out, one fixed media port.
//! The binary is [`main`]; the rest of the library is for its tests.
#![cfg_attr(
    test,
    allow(
        clippy::expect_used,
        clippy::panic,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unreachable,
        clippy::unwrap_used,
        reason = "a test ends so where it fails"
    )
)]

mod app;
mod arguments;
mod base;
mod board;
mod check;
mod config;
mod doctor;
mod driver;
mod engine;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod gather;
mod http;
#[cfg(test)]
mod layers;
mod logging;
mod media;
mod net;
mod reload;
mod rtc;
#[cfg_attr(not(feature = "shares"), path = "share_absent.rs")]
mod share;
mod source;
mod stream;
#[cfg(test)]
mod world;

use arguments::{Command, USAGE};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{ExitCode, Stdio};

/// Exit code of a command line that makes no sense.
const EXIT_USAGE: u8 = 2;

/// From the command line to the exit code of the process.
pub fn main() -> ExitCode {
    match arguments::command(std::env::args_os().skip(1)) {
        Ok(Command::Run { config, background: false }) => run(&config),
        Ok(Command::Run { config, background: true }) => run_in_background(&config),
        Ok(Command::Check { config }) => check(&config),
        Ok(Command::Doctor { config, url }) => doctor(&config, url.as_deref()),
        Ok(Command::Board) => board(),
        Ok(Command::Version) => {
            say(&format!("porthole {} {}\n", env!("CARGO_PKG_VERSION"), app::platform()));
            ExitCode::SUCCESS
        }
        Ok(Command::Help) => {
            say(USAGE);
            ExitCode::SUCCESS
        }
        Err(sentence) => {
            complain(&format!("{sentence}\n\n{USAGE}"));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn run(arguments: &[String]) -> ExitCode {
    match check::system(arguments) {
        Ok(check::Checked { config, warnings, errors }) => {
            let ring = logging::init(&config.log);
            for warning in warnings {
                log::warn!(target: "config", "{warning}");
            }
            for error in errors {
                log::error!(target: "config", "{error}");
            }
            let code = app::run(config, arguments, ring);
            log::logger().flush();
            code
        }
        Err(e) => {
            complain(&format!("{e}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Leaves a relay running and ends. One that init started is in the background already, and init watches it.
fn run_in_background(arguments: &[String]) -> ExitCode {
    if std::os::unix::process::parent_id() <= 1 {
        return run(arguments);
    }
    // Afterwards nobody sees what is wrong with the configuration.
    if let Err(e) = check::system(arguments) {
        complain(&format!("{e}\n"));
        return ExitCode::FAILURE;
    }
    match in_background(arguments) {
        Ok(process) => {
            say(&format!("Running in daemon mode with PID: {process}\n"));
            ExitCode::SUCCESS
        }
        Err(e) => {
            complain(&format!("can't run in the background: {e}\n"));
            ExitCode::FAILURE
        }
    }
}

/// The same program in a process group of its own, which a key in this terminal does not end.
fn in_background(arguments: &[String]) -> io::Result<u32> {
    let mut program = std::process::Command::new(std::env::current_exe()?);
    program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    Ok(program.args(arguments.iter().flat_map(|config| ["-c", config])).spawn()?.id())
}

fn check(arguments: &[String]) -> ExitCode {
    match check::system(arguments) {
        Ok(loaded) => {
            for line in loaded.warnings.iter().chain(&loaded.errors) {
                complain(&format!("{line}\n"));
            }
            if loaded.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(e) => {
            complain(&format!("{e}\n"));
            ExitCode::FAILURE
        }
    }
}

fn doctor(arguments: &[String], url: Option<&str>) -> ExitCode {
    let config = match check::system(arguments) {
        Ok(loaded) => Some(loaded.config),
        Err(e) => {
            // A relay may run all the same, with another configuration.
            complain(&format!("{e}\n"));
            None
        }
    };
    let report = doctor::ask::ask(url, config.as_ref());
    say(&report.text);
    ExitCode::from(report.code)
}

fn board() -> ExitCode {
    let facts = board::facts::Facts::read(std::path::Path::new("/"));
    say(&board::profile::report(&facts));
    if board::profile::fitting(&facts).is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// To standard output; unlike `print!` this does not panic when it is closed.
fn say(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// To standard error, which may be closed too.
fn complain(text: &str) {
    use std::io::Write;
    let _ = std::io::stderr().write_all(format!("porthole: {text}").as_bytes());
}
