//! The command line, read as Go's programs read theirs: units and scripts that were written for go2rtc call
//! `-config=FILE`.
use crate::config;
use std::ffi::OsString;

pub const USAGE: &str = "\
usage: porthole [-c CONFIG]...
       porthole check [FILE]...
       porthole doctor [-c CONFIG]... [URL]
       porthole board

  -c, -config CONFIG  a file, inline YAML in braces, or key.path=value; may be repeated, later ones win;
                      without it porthole.yaml, then /etc/porthole.yaml
  -d, -daemon         run in the background
  -v, -version        print the version
  -h, -help           print this text

One dash or two, and -c=CONFIG as well as -c CONFIG.

check reads the configuration, prints what is wrong with it and starts nothing. It ends with 1 where something
can't work, with 0 where there are warnings only.
doctor asks the running relay why there is no picture, and prints what is wrong and what to do about it. The relay is
the one of the configuration, else http://127.0.0.1:1984, or the one at URL. Exit code 0: nothing is wrong, 1: something
is, 2: no relay answers.
board prints what it recognises of this machine and which profile fits. Exit code 1: none does.
";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub enum Command {
    Run { config: Vec<String>, background: bool },
    Check { config: Vec<String> },
    Doctor { config: Vec<String>, url: Option<String> },
    Board,
    Version,
    Help,
}

/// Reads the arguments behind the program's name. The error is a sentence about the one that means nothing: a relay
/// that took it for something else would run with settings that nobody wanted.
pub fn command(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut arguments = arguments.into_iter().map(text);
    let (mut config, mut words) = (vec![], vec![]);
    let (mut background, mut only_words) = (false, false);
    while let Some(argument) = arguments.next().transpose()? {
        if argument == "--" && !only_words {
            only_words = true;
            continue;
        }
        let Some(option) = Some(&argument).filter(|_| !only_words).and_then(|argument| option(argument)) else {
            words.push(argument);
            continue;
        };
        match option.name {
            "c" | "config" => {
                let value = match option.value {
                    Some(value) => value.to_owned(),
                    None => arguments.next().transpose()?.ok_or(format!("{argument} needs a value"))?,
                };
                if let Some(refusal) = config::refusal(&value) {
                    return Err(format!("-{} {value:?}: {refusal}", option.name));
                }
                config.push(value);
            }
            "d" | "daemon" => background = option.is_on()?,
            "v" | "version" if option.is_on()? => return Ok(Command::Version),
            "h" | "help" if option.is_on()? => return Ok(Command::Help),
            "v" | "version" | "h" | "help" => {}
            _ => return Err(format!("unknown option {argument:?}")),
        }
    }
    let mut words = words.into_iter();
    let command = match words.next().as_deref() {
        None => return Ok(Command::Run { config, background }),
        Some("check") => {
            config.extend(words.by_ref());
            if config.iter().any(String::is_empty) {
                return Err("check \"\": expected a file".to_owned());
            }
            Command::Check { config }
        }
        Some("doctor") => Command::Doctor { config, url: words.next() },
        Some("board") if config.is_empty() => Command::Board,
        Some("board") => return Err("board takes no configuration".to_owned()),
        Some(word) => return Err(format!("{word:?} is no command; a configuration is named with -c")),
    };
    match words.next() {
        Some(word) => Err(format!("unexpected argument {word:?}")),
        None if background => Err("-daemon is for running the relay, not for a command".to_owned()),
        None => Ok(command),
    }
}

fn text(argument: OsString) -> Result<String, String> {
    argument.into_string().map_err(|argument| format!("argument {argument:?} is not UTF-8"))
}

/// `-name`, `--name`, and with `=value`.
struct Argument<'a> {
    name: &'a str,
    value: Option<&'a str>,
}

fn option(argument: &str) -> Option<Argument<'_>> {
    let bare = argument.strip_prefix('-').filter(|bare| !bare.is_empty())?;
    let bare = bare.strip_prefix('-').unwrap_or(bare);
    Some(match bare.split_once('=') {
        Some((name, value)) => Argument { name, value: Some(value) },
        None => Argument { name: bare, value: None },
    })
}

impl Argument<'_> {
    /// Switches take a value behind `=` only, in the words of Go.
    fn is_on(&self) -> Result<bool, String> {
        match self.value {
            None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some(other) => Err(format!("-{}={other}: expected true or false", self.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Command, String> {
        command(words.iter().map(OsString::from))
    }

    fn run(config: &[&str]) -> Result<Command, String> {
        Ok(Command::Run { config: config.iter().map(|word| (*word).to_owned()).collect(), background: false })
    }

    #[test]
    fn every_spelling_that_go_knows_names_the_configuration() {
        for name in ["-c", "--c", "-config", "--config"] {
            assert_eq!(parsed(&[name, "/etc/x.yaml"]), run(&["/etc/x.yaml"]), "{name}");
            assert_eq!(parsed(&[&format!("{name}=/etc/x.yaml")]), run(&["/etc/x.yaml"]), "{name}=");
        }
        assert_eq!(parsed(&["-config=api.listen=:1"]), run(&["api.listen=:1"]));
        assert_eq!(parsed(&["-c", "-version"]), run(&["-version"]), "what follows -c is its value, whatever it is");
    }

    #[test]
    fn config_may_be_given_many_times_and_keeps_its_order() {
        let words = ["-c", "a.yaml", "--config={api: {}}", "-config", "api.listen=:1"];
        assert_eq!(parsed(&words), run(&["a.yaml", "{api: {}}", "api.listen=:1"]));
        assert_eq!(parsed(&[]), run(&[]));
    }

    #[test]
    fn version_help_and_daemon_have_one_dash_or_two() {
        for (words, expected) in [
            (["-v", "-version", "--v", "--version", "-version=true"], Command::Version),
            (["-h", "-help", "--h", "--help", "-h=1"], Command::Help),
            (["-d", "-daemon", "--d", "--daemon", "-d=T"], Command::Run { config: vec![], background: true }),
        ] {
            for word in words {
                assert_eq!(parsed(&[word]).as_ref(), Ok(&expected), "{word}");
            }
        }
        assert_eq!(parsed(&["-daemon=false"]), run(&[]));
        assert!(parsed(&["-daemon=maybe"]).is_err() && parsed(&["-d", "check"]).is_err());
    }

    #[test]
    fn an_argument_that_means_nothing_is_named_and_starts_nothing() {
        for (words, sentence) in [
            (&["-x"][..], "unknown option \"-x\""),
            (&["-conf=/etc/x.yaml"], "unknown option \"-conf=/etc/x.yaml\""),
            (&["-cx.yaml"], "unknown option \"-cx.yaml\""),
            (&["---config=x"], "unknown option \"---config=x\""),
            (&["-=x"], "unknown option \"-=x\""),
            (&["-c"], "-c needs a value"),
            (&["-c", ""], "-c \"\": expected a file, inline YAML in braces, or key.path=value"),
            (&["-config="], "-config \"\": expected a file, inline YAML in braces, or key.path=value"),
            (&["file"], "\"file\" is no command; a configuration is named with -c"),
            (&["-"], "\"-\" is no command; a configuration is named with -c"),
            (&["--", "-c"], "\"-c\" is no command; a configuration is named with -c"),
            (&["check", "board", ""], "check \"\": expected a file"),
            (&["doctor", "a", "b"], "unexpected argument \"b\""),
            (&["board", "doctor"], "unexpected argument \"doctor\""),
            (&["board", "-c", "a"], "board takes no configuration"),
        ] {
            assert_eq!(parsed(words), Err(sentence.to_owned()), "{words:?}");
        }
        for key in ["onfig=/etc/x.yaml", "stream.a=test:", "api.lisen=:1"] {
            assert!(parsed(&["-c", key]).is_err(), "{key}");
        }
        assert!(parsed(&["-c", "api.lisen=:1"]).unwrap_err().contains("did you mean \"listen\"?"));
        assert_eq!(parsed(&["-c", "rtsp.listen=:8554"]), run(&["rtsp.listen=:8554"]), "go2rtc's own are no mistake");
        assert_eq!(parsed(&["-c", "streams.any name=test:"]), run(&["streams.any name=test:"]));
    }

    #[test]
    fn check_takes_files() {
        assert_eq!(parsed(&["check", "a", "b"]), Ok(Command::Check { config: vec!["a".into(), "b".into()] }));
        assert_eq!(parsed(&["-c=a", "check", "b"]), Ok(Command::Check { config: vec!["a".into(), "b".into()] }));
    }

    #[test]
    fn doctor_takes_a_configuration_or_an_address() {
        let (config, url) = (vec!["a".to_owned()], Some("printer.local".to_owned()));
        assert_eq!(parsed(&["doctor", "-config=a", "printer.local"]), Ok(Command::Doctor { config, url }));
        assert_eq!(parsed(&["doctor"]), Ok(Command::Doctor { config: vec![], url: None }));
    }
}
