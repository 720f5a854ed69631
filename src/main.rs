//! `porthole`: arguments to command to exit code.
mod app;
mod board;
mod config;
mod doctor;
mod engine;
mod http;
mod logging;
mod media;
mod net;
mod reload;
mod rtc;
#[cfg_attr(not(feature = "shares"), path = "share_absent.rs")]
mod share;
mod source;
mod stream;

use lexopt::prelude::{Long, Short, Value, ValueExt};
use std::ffi::OsString;
use std::process::ExitCode;

const USAGE: &str = "\
usage: porthole [-c CONFIG]...
       porthole check [FILE]...
       porthole doctor [-c CONFIG]... [URL]
       porthole board

  -c, --config CONFIG  a file, inline YAML in braces, or key.path=value; may be repeated, later ones win;
                       without it porthole.yaml, then /etc/porthole.yaml
  -v, --version        print the version
  -h, --help           print this text

check reads the configuration, prints what is wrong with it and starts nothing. It ends with 1 where something
can't work, with 0 where there are warnings only.
doctor asks the running relay why there is no picture, and prints what is wrong and what to do about it. The relay is
the one of the configuration, else http://127.0.0.1:1984, or the one at URL. Exit code 0: nothing is wrong, 1: something
is, 2: no relay answers.
board prints what it recognises of this machine and which profile fits. Exit code 1: none does.
";

/// Exit code of a command line that makes no sense.
const EXIT_USAGE: u8 = 2;

/// What the command line asks for.
#[derive(Debug, PartialEq)]
enum Command {
    Run { config: Vec<String> },
    Check { config: Vec<String> },
    Doctor { config: Vec<String>, url: Option<String> },
    Board,
    Version,
    Help,
}

fn main() -> ExitCode {
    match command(std::env::args_os().skip(1)) {
        Ok(Command::Run { config }) => run(&config),
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
        Err(e) => {
            complain(&format!("{e}\n\n{USAGE}"));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn command(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(arguments.into_iter().collect::<Vec<_>>());
    let mut config = vec![];
    let (mut checks, mut doctor, mut board, mut url) = (false, false, false, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('c') | Long("config") if !board => config.push(parser.value()?.string()?),
            Short('v') | Long("version") => return Ok(Command::Version),
            Short('h') | Long("help") => return Ok(Command::Help),
            Value(word) if word == "check" && !checks && !doctor && !board => checks = true,
            Value(word) if word == "doctor" && !checks && !doctor && !board => doctor = true,
            Value(word) if word == "board" && !checks && !doctor && !board && config.is_empty() => board = true,
            Value(word) if doctor && url.is_none() => url = Some(word.string()?),
            Value(file) if checks => config.push(file.string()?),
            other => return Err(other.unexpected()),
        }
    }
    Ok(match (checks, doctor) {
        (true, _) => Command::Check { config },
        (_, true) => Command::Doctor { config, url },
        _ if board => Command::Board,
        _ => Command::Run { config },
    })
}

fn run(arguments: &[String]) -> ExitCode {
    match config::load(arguments, &config::Edge::system()) {
        Ok(config::Loaded { config, warnings, errors }) => {
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

fn check(arguments: &[String]) -> ExitCode {
    match config::load(arguments, &config::Edge::system()) {
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
    let config = match config::load(arguments, &config::Edge::system()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Command, String> {
        command(words.iter().map(OsString::from)).map_err(|e| e.to_string())
    }

    #[test]
    fn config_may_be_given_many_times_and_keeps_its_order() {
        let config = vec!["a.yaml".to_owned(), "{api: {}}".into(), "api.listen=:1".into()];
        let words = ["-c", "a.yaml", "--config={api: {}}", "--config", "api.listen=:1"];
        assert_eq!(parsed(&words), Ok(Command::Run { config }));
        assert_eq!(parsed(&[]), Ok(Command::Run { config: vec![] }));
    }

    #[test]
    fn check_takes_files() {
        assert_eq!(parsed(&["check", "a", "b"]), Ok(Command::Check { config: vec!["a".into(), "b".into()] }));
    }

    #[test]
    fn doctor_takes_a_configuration_or_an_address() {
        let (config, url) = (vec!["a".to_owned()], Some("printer.local".to_owned()));
        assert_eq!(parsed(&["doctor", "-c", "a", "printer.local"]), Ok(Command::Doctor { config, url }));
        assert_eq!(parsed(&["doctor"]), Ok(Command::Doctor { config: vec![], url: None }));
        assert!(parsed(&["doctor", "a", "b"]).is_err());
    }

    #[test]
    fn board_takes_nothing() {
        assert_eq!(parsed(&["board"]), Ok(Command::Board));
        assert!(parsed(&["board", "-c", "a"]).is_err() && parsed(&["-c", "a", "board"]).is_err());
        assert!(parsed(&["board", "doctor"]).is_err());
    }

    #[test]
    fn what_is_unknown_is_named() {
        assert_eq!(parsed(&["--daemon"]), Err("invalid option '--daemon'".into()));
        assert_eq!(parsed(&["-x"]), Err("invalid option '-x'".into()));
        assert_eq!(parsed(&["file"]), Err("unexpected argument \"file\"".into()));
        assert!(parsed(&["-c"]).is_err());
        assert_eq!(parsed(&["-v"]), Ok(Command::Version));
    }
}
