//! `echo:<program> [words]`: a program whose output is the URL of the real source, run again at every dial, since
//! signed addresses of clouds hold for minutes. Only the configuration file can name one.

use super::{Sink, Surroundings, open};
use crate::engine::source::{SourceError, SourceRequest};
use crate::gather::scope::Scope;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Time for the program to end.
const DEADLINE: Duration = Duration::from_secs(10);
/// Longest output: a signed address with its list of servers has 8 KiB.
const MAX_OUTPUT: u64 = 64 << 10;
/// What is shown of a program's complaint.
const SHOWN: usize = 200;

/// The words of a command line: separated by white space, held together by single or double quotes. No shell reads them.
///
/// # Errors
/// If there is no word, or a quote that does not end.
pub fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, _) if c.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(quote) = quote {
        return Err(format!("echo: the quote {quote} does not end"));
    }
    words.extend(word);
    if words.is_empty() { Err("echo: names no program".into()) } else { Ok(words) }
}

/// Runs the program, then what it names, until that ends.
pub async fn run(
    command: Vec<String>,
    surroundings: Surroundings,
    sink: Sink,
    mut requests: mpsc::Receiver<SourceRequest>,
) -> SourceError {
    let asked = tokio::select! {
        asked = ask(&command, surroundings.echo_paths.as_deref()) => asked,
        () = async { while requests.recv().await.is_some() {} } => return "given up".to_owned().into(),
    };
    let opened = asked.map_err(SourceError::from).and_then(|url| {
        if url.starts_with("echo:") {
            return Err("echo: a program may not name another program".to_owned().into());
        }
        // the operator chose the program
        open(&url, Scope::Any, &surroundings, sink, requests)
    });
    match opened {
        Ok(run) => run.await,
        Err(error) => error,
    }
}

async fn ask(command: &[String], allowed: Option<&[String]>) -> Result<String, String> {
    let (program, words) = command.split_first().ok_or("echo: names no program")?;
    if allowed.is_some_and(|allowed| !allowed.contains(program)) {
        return Err(format!("echo: {program} is not among echo.allow_paths"));
    }
    let mut child = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that what it starts ends with it.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("echo: {program} cannot be run: {error}"))?;
    let _group = Group(child.id());
    let (mut out, mut complaint) = (String::new(), String::new());
    let reading = async {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let read = async {
            if let Some(stdout) = stdout {
                let _ = stdout.take(MAX_OUTPUT).read_to_string(&mut out).await;
            }
        };
        let overhear = async {
            if let Some(stderr) = stderr {
                let _ = stderr.take(MAX_OUTPUT).read_to_string(&mut complaint).await;
            }
        };
        tokio::join!(read, overhear);
        child.wait().await
    };
    let status = match timeout(DEADLINE, reading).await {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => return Err(format!("echo: {program} was lost: {error}")),
        Err(_) => return Err(format!("echo: {program} did not end within {} s", DEADLINE.as_secs())),
    };
    if !status.success() {
        let said: String = complaint.trim().chars().filter(|c| !c.is_control()).take(SHOWN).collect();
        return Err(format!("echo: {program} failed ({status}) {said}").trim_end().to_owned());
    }
    let url = out.trim();
    if url.is_empty() {
        return Err(format!("echo: {program} printed nothing, the URL of a source is expected"));
    }
    if url.chars().any(char::is_control) {
        return Err(format!("echo: {program} printed more than the one line with the URL of a source"));
    }
    Ok(url.to_owned())
}

/// The processes of one run: none is left when this is dropped, whether the program ended or not.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0.and_then(|id| i32::try_from(id).ok()) {
            // Fails where nobody is left.
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_words_and_quotes_and_no_shell() {
        assert_eq!(words("/bin/get 'a b' \"c\"d $HOME").unwrap(), ["/bin/get", "a b", "cd", "$HOME"]);
        assert_eq!(words(" x '' ").unwrap(), ["x", ""]);
        for wrong in ["", "  ", "x 'y"] {
            assert!(words(wrong).is_err(), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn the_output_is_the_url() {
        let ask = |line: &str| {
            let words = words(line).unwrap();
            async move { ask(&words, None).await }
        };
        assert_eq!(ask("/bin/echo test:?fps=5").await.as_deref(), Ok("test:?fps=5"));
        assert!(ask("/bin/sh -c 'echo no camera >&2; exit 3'").await.unwrap_err().contains("no camera"));
        assert!(ask("/bin/true").await.unwrap_err().contains("printed nothing"));
        assert!(ask("/bin/does-not-exist").await.unwrap_err().contains("cannot be run"));
    }

    #[tokio::test]
    async fn only_listed_programs_run_where_there_is_a_list() {
        let words = words("/bin/echo test:").unwrap();
        let allowed = ["/usr/local/bin/camera".to_owned()];
        assert!(ask(&words, Some(&allowed)).await.unwrap_err().contains("echo.allow_paths"));
        assert!(ask(&words, Some(&["/bin/echo".to_owned()])).await.is_ok());
    }
}
