//! What Porthole costs: processor time, memory and waiting, measured with a foreign WebRTC stack over loopback,
//! beside other relays where they are installed. Prints figures and judges nobody: the exit code is 0 unless
//! something breaks. `tests/bench/run` builds everything and starts it.
mod access_unit;
mod error;
mod http;
mod machine;
mod measure;
mod peer;
mod process;
mod publisher;
mod relay;
mod stage;
mod table;
mod viewer;

use crate::error::{Context, Error};
use lexopt::prelude::{Long, Short, ValueExt};
use measure::hidden::Counter;
use measure::{Effort, hidden, latency, load, starts};
use relay::{Candidate, Product, SHORT_GOP};
use stage::Stage;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use table::{Figure, Table};

const USAGE: &str = "\
usage: tests/bench/run [--quick] [--hold VIEWERS SECONDS]

  --quick                  shorter windows and fewer starts
  --hold VIEWERS SECONDS   only keep so many viewers watching, for a profiler
  --program FILE           the porthole to measure
  --counter FILE           the library that counts allocations
";

struct Arguments {
    effort: Effort,
    program: PathBuf,
    counter: Option<PathBuf>,
    hold: Option<(usize, Duration)>,
}

fn main() -> ExitCode {
    let result = arguments().and_then(|arguments| {
        let Some(arguments) = arguments else {
            print!("{USAGE}");
            return Ok(());
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(run(&arguments))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `None` asks for the usage.
fn arguments() -> Result<Option<Arguments>, Error> {
    let mut arguments =
        Arguments { effort: Effort::full(), program: "target/release/porthole".into(), counter: None, hold: None };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("quick") => arguments.effort = Effort::quick(),
            Long("program") => arguments.program = parser.value()?.into(),
            Long("counter") => arguments.counter = Some(parser.value()?.into()),
            Long("hold") => {
                let viewers = parser.value()?.parse()?;
                arguments.hold = Some((viewers, Duration::from_secs(parser.value()?.parse()?)));
            }
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(arguments))
}

async fn run(arguments: &Arguments) -> Result<(), Error> {
    let porthole = Candidate { product: Product::Porthole, program: arguments.program.clone() };
    if let Some((viewers, time)) = arguments.hold {
        return hold(&porthole, viewers, time).await;
    }
    println!("machine: {}", machine::describe());
    let others = Candidate::installed();
    if others.is_empty() {
        println!("no other relay is installed (go2rtc, mediamtx): nothing to compare with");
    }
    let mut table = Table::default();
    let mut figures = common(&porthole, arguments.effort).await?;
    figures.extend(inside(&porthole, arguments).await?);
    table.add(porthole.product.name(), figures);
    for other in &others {
        match common(other, arguments.effort).await {
            Ok(figures) => table.add(other.product.name(), figures),
            Err(error) => println!("{} was not measured: {error}", other.product.name()),
        }
    }
    println!("load: viewers of str0m in one process, 3 Mbit/s, 30 pictures each second, 1 s GOP, loopback\n");
    table.print();
    Ok(())
}

/// What can be measured of every relay.
async fn common(candidate: &Candidate, effort: Effort) -> Result<Vec<Figure>, Error> {
    let mut stage = Stage::set(candidate, &[]).await?;
    println!("command: {}", stage.relay.command);
    let mut figures = load::measure(&mut stage, effort).await.context("load")?;
    figures.extend(starts::measure(&stage, effort).await.context("starts")?);
    figures.extend(latency::measure(&stage, effort).await.context("latency")?);
    stage.strike()?;
    Ok(figures)
}

/// What needs a look into the process; a second run, because looking slows it down.
async fn inside(porthole: &Candidate, arguments: &Arguments) -> Result<Vec<Figure>, Error> {
    const VIEWERS: usize = 50;
    let Some(library) = &arguments.counter else {
        println!("no --counter library: allocations and system calls were not counted");
        return Ok(Vec::new());
    };
    let counter = Counter::create()?;
    let environment = [("LD_PRELOAD", library.as_path()), ("COUNT_ALLOCATIONS", counter.path())];
    let stage = Stage::set(porthole, &environment).await?;
    let figures = hidden::measure(&stage, &counter, VIEWERS, arguments.effort).await.context("inside")?;
    stage.strike()?;
    Ok(figures)
}

/// Keeps a crowd watching, for `perf record -p PID` and the like.
async fn hold(porthole: &Candidate, viewers: usize, time: Duration) -> Result<(), Error> {
    let stage = Stage::set(porthole, &[]).await?;
    let mut crowd = Vec::new();
    stage.fill(&mut crowd, SHORT_GOP, viewers).await?;
    println!("relay {} has {viewers} viewers for {} s", stage.relay.pid(), time.as_secs());
    tokio::time::sleep(time).await;
    stage.dismiss(crowd).await?;
    stage.strike()
}
