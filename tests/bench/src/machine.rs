//! The machine that the figures belong to.
use std::fs;

/// Processor, kernel and what else was going on.
pub fn describe() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = ["model name", "Model", "Hardware"].iter().find_map(|name| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("unknown");
    let buffer = read("/proc/sys/net/core/rmem_max");
    format!(
        "{cores} x {} ({}), Linux {}, load {load} at start, rmem_max {}",
        model.as_deref().unwrap_or("unknown CPU"),
        std::env::consts::ARCH,
        kernel.trim(),
        buffer.trim()
    )
}
