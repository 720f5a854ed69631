//! Processor time and memory of a relay with more and more viewers.
use super::Effort;
use crate::error::Error;
use crate::process::{Cpu, Memory};
use crate::relay::SHORT_GOP;
use crate::stage::Stage;
use crate::table::Figure;
use crate::viewer::Viewer;
use std::time::Instant;

const SIZES: [usize; 3] = [1, 10, 50];
/// Budgets: milliseconds for a viewer-second at the largest crowd, KiB for each further viewer, KiB without any.
const CPU: f64 = 1.0;
const FURTHER: f64 = 48.0;
const IDLE: f64 = 5.0 * 1024.0;

struct Round {
    viewers: usize,
    seconds: f64,
    cpu: Cpu,
    packets: u64,
    memory: Memory,
}

impl Round {
    fn milliseconds(&self) -> f64 {
        self.cpu.total.as_secs_f64() * 1000.0 / self.seconds
    }
}

pub async fn measure(stage: &mut Stage, effort: Effort) -> Result<Vec<Figure>, Error> {
    tokio::time::sleep(effort.settle).await;
    let idle = Memory::of(stage.relay.pid())?;
    stage.supply().await?;
    let mut crowd = Vec::new();
    let mut rounds = Vec::new();
    let mut own = 0.0;
    for viewers in SIZES {
        stage.fill(&mut crowd, SHORT_GOP, viewers).await?;
        tokio::time::sleep(effort.settle).await;
        let before = Cpu::of(std::process::id())?;
        rounds.push(round(stage, &crowd, effort).await?);
        own = Cpu::of(std::process::id())?.since(before).total.as_secs_f64() / effort.window.as_secs_f64();
    }
    let lost: u64 = crowd.iter().map(Viewer::lost).sum();
    let received: u64 = crowd.iter().map(Viewer::packets).sum();
    stage.dismiss(crowd).await?;
    tokio::time::sleep(effort.settle).await;
    let after = Memory::of(stage.relay.pid())?;

    let mut figures = Vec::new();
    let first = &rounds[0];
    for round in &rounds {
        let n = round.viewers;
        let each = round.milliseconds() / n as f64;
        let name = format!("CPU, ms for each viewer-second at {n}");
        let limit = if n == SIZES[2] { CPU } else { f64::INFINITY };
        figures.push(if limit.is_finite() {
            Figure::at_most(limit, name, each, 2)
        } else {
            Figure::new(name, each, 2)
        });
        if n > 1 {
            let further = (round.milliseconds() - first.milliseconds()) / (n - 1) as f64;
            figures.push(Figure::new(format!("CPU, ms for each further viewer-second at {n}"), further, 2));
        }
    }
    let full = &rounds[SIZES.len() - 1];
    let packets = full.packets.max(1) as f64;
    figures.extend([
        Figure::new("CPU, µs for each packet at 50", full.cpu.total.as_secs_f64() * 1e6 / packets, 2),
        Figure::new("of that in the kernel, %", full.cpu.system_share() * 100.0, 0),
        Figure::new("packets for each viewer-second", packets / full.seconds / full.viewers as f64, 1),
        Figure::new("packets lost, of all", lost as f64, 0),
        Figure::new("packets received, of all", received as f64, 0),
        Figure::at_most(IDLE, "memory idle, KiB resident", idle.resident as f64, 0),
        Figure::new("memory idle, KiB of heap and stacks", idle.anonymous as f64, 0),
        Figure::new("memory idle, KiB proportional", idle.proportional as f64, 0),
        Figure::new("memory with 1 viewer, KiB resident", first.memory.resident as f64, 0),
        Figure::new("memory with 50 viewers, KiB resident", full.memory.resident as f64, 0),
        Figure::at_most(FURTHER, "memory, KiB for each further viewer", further_memory(first, full), 1),
        Figure::new("memory after all left, KiB resident", after.resident as f64, 0),
        Figure::new("load generator, cores at 50", own, 2),
    ]);
    Ok(figures)
}

fn further_memory(first: &Round, full: &Round) -> f64 {
    (full.memory.resident as f64 - first.memory.resident as f64) / (full.viewers - first.viewers) as f64
}

async fn round(stage: &Stage, crowd: &[Viewer], effort: Effort) -> Result<Round, Error> {
    let pid = stage.relay.pid();
    let received = || crowd.iter().map(Viewer::packets).sum::<u64>();
    let (start, cpu, packets) = (Instant::now(), Cpu::of(pid)?, received());
    tokio::time::sleep(effort.window).await;
    let (cpu, packets) = (Cpu::of(pid)?.since(cpu), received() - packets);
    let seconds = start.elapsed().as_secs_f64();
    Ok(Round { viewers: crowd.len(), seconds, cpu, packets, memory: Memory::of(pid)? })
}
