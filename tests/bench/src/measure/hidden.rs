//! What no clock shows: heap allocations and system calls for each forwarded packet.
use super::Effort;
use crate::error::{Context, Error};
use crate::relay::SHORT_GOP;
use crate::stage::Stage;
use crate::table::Figure;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Budgets for each forwarded packet.
const ALLOCATIONS: f64 = 0.2;
const SYSTEM_CALLS: f64 = 0.2;
/// strace takes this long to attach.
const ATTACH: Duration = Duration::from_millis(300);
/// Kinds of system calls that are shown.
const SHOWN: usize = 6;

/// The file in which the preloaded counter counts.
pub struct Counter(PathBuf);

impl Counter {
    pub fn create() -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("bench-allocations-{}", std::process::id()));
        std::fs::write(&path, 0u64.to_ne_bytes()).context("counter file")?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    fn read(&self) -> Result<u64, Error> {
        let bytes = std::fs::read(&self.0).context("counter file")?;
        Ok(bytes.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes)))
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub async fn measure(stage: &Stage, counter: &Counter, viewers: usize, effort: Effort) -> Result<Vec<Figure>, Error> {
    let mut crowd = Vec::new();
    stage.fill(&mut crowd, SHORT_GOP, viewers).await?;
    tokio::time::sleep(effort.settle).await;
    // The questions themselves allocate too: they are asked outside of what is counted.
    let before = stage.status().await?;
    let allocated = counter.read()?;
    tokio::time::sleep(effort.window).await;
    let allocated = counter.read()? - allocated;
    let packets = stage.status().await?.since(before);
    let per_packet = allocated as f64 / packets.packets_forwarded.max(1) as f64;
    let mut figures = vec![
        Figure::at_most(ALLOCATIONS, format!("heap allocations for each packet at {viewers}"), per_packet, 3),
        Figure::new(
            format!("sends for each packet at {viewers}"),
            packets.sends as f64 / packets.packets_forwarded.max(1) as f64,
            3,
        ),
    ];
    match system_calls(stage, effort.window).await? {
        Some((calls, packets)) => {
            let total: u64 = calls.iter().map(|(_, count)| count).sum();
            let each = |count: u64| count as f64 / packets.max(1) as f64;
            let name = format!("system calls for each packet at {viewers}");
            figures.push(Figure::at_most(SYSTEM_CALLS, name, each(total), 3));
            let shown = calls.iter().take(SHOWN).filter(|(_, count)| *count > 0);
            figures.extend(shown.map(|(name, count)| Figure::new(format!("- {name}"), each(*count), 4)));
        }
        None => println!("no strace here: system calls were not counted"),
    }
    stage.dismiss(crowd).await?;
    Ok(figures)
}

/// Lets strace count; the most frequent calls first, and the packets forwarded meanwhile.
async fn system_calls(stage: &Stage, window: Duration) -> Result<Option<(Vec<(String, u64)>, u64)>, Error> {
    let output = std::env::temp_dir().join(format!("bench-strace-{}", std::process::id()));
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-p", &stage.relay.pid().to_string(), "-o"]).arg(&output);
    let Ok(mut strace) = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else { return Ok(None) };
    tokio::time::sleep(ATTACH).await;
    let before = stage.status().await?;
    tokio::time::sleep(window).await;
    let packets = stage.status().await?.since(before).packets_forwarded;
    kill(Pid::from_raw(strace.id() as i32), Signal::SIGINT)?;
    strace.wait()?;
    let text = std::fs::read_to_string(&output).context("output of strace")?;
    let _ = std::fs::remove_file(&output);
    Ok(Some((parse(&text), packets)))
}

/// Rows of `strace -c`: share, seconds, µs for each call, calls, errors if any, name.
fn parse(text: &str) -> Vec<(String, u64)> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let name = fields.last().filter(|name| **name != "total")?;
        fields.first()?.parse::<f64>().ok()?;
        Some(((*name).to_owned(), fields.get(3)?.parse().ok()?))
    };
    let mut calls: Vec<(String, u64)> = text.lines().filter_map(row).collect();
    calls.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_strace_is_read() {
        let text = "% time     seconds  usecs/call     calls    errors syscall\n\
                    ------ ----------- ----------- --------- --------- ------------------\n \
                    60.00    0.001200          12       100           sendmsg\n \
                    40.00    0.000800           4       200        50 recvmmsg\n\
                    ------ ----------- ----------- --------- --------- ------------------\n\
                    100.00    0.002000           6       300        50 total\n";
        assert_eq!(parse(text), [("recvmmsg".to_owned(), 200), ("sendmsg".to_owned(), 100)]);
    }
}
