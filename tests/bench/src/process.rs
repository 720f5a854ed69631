//! What the kernel knows about a running process: processor time and memory.
use crate::error::{Context, Error};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use std::fs;
use std::time::Duration;

/// Kernel pages of a process in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Resident, as `top` shows it (`VmRSS`).
    pub resident: u64,
    /// Of that, heap and stacks (`RssAnon`); the rest is the program file.
    pub anonymous: u64,
    /// Resident, with pages that other processes use too counted in parts (`Pss`).
    pub proportional: u64,
}

/// Processor time since the start, of threads that ended too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// From the process's own clock, in nanoseconds; `/proc/PID/stat` counts in steps of 10 ms.
    pub total: Duration,
    /// In clock ticks as `/proc/PID/stat` has them: what was spent in the program and what in the kernel.
    pub user: u64,
    pub system: u64,
}

impl Cpu {
    pub fn of(pid: u32) -> Result<Self, Error> {
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid as i32)).context("processor clock of the relay")?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name in parentheses may hold blanks; utime and stime are fields 14 and 15 (proc_pid_stat(5)).
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |field: usize| fields.get(field - 3).and_then(|ticks| ticks.parse().ok()).unwrap_or(0);
        Ok(Self { total: clock_gettime(clock)?.into(), user: ticks(14), system: ticks(15) })
    }

    pub fn since(self, earlier: Cpu) -> Cpu {
        Cpu {
            total: self.total.saturating_sub(earlier.total),
            user: self.user - earlier.user,
            system: self.system - earlier.system,
        }
    }

    /// Part that the kernel spent, from 0 to 1.
    pub fn system_share(self) -> f64 {
        self.system as f64 / (self.user + self.system).max(1) as f64
    }
}

impl Memory {
    pub fn of(pid: u32) -> Result<Self, Error> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).context("memory of the relay")?;
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        Ok(Self {
            resident: kib(&status, "VmRSS:"),
            anonymous: kib(&status, "RssAnon:"),
            proportional: kib(&rollup, "Pss:"),
        })
    }
}

fn kib(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_time() {
        let pid = std::process::id();
        assert!(Memory::of(pid).unwrap().resident > 500);
        assert!(Cpu::of(pid).unwrap().total > Duration::ZERO);
    }
}
