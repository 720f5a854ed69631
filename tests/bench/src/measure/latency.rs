//! How long packets are on their way from a publisher through the relay to a viewer: from the send call
//! of the one to the receive call of the other, two trips through the loopback included. With many viewers
//! also what forwarding costs when packets come one by one from the network instead of picture by picture
//! from a camera inside. The times of many contain the queue in the load generator, which reads for all of them
//! on one thread.
use super::Effort;
use crate::error::Error;
use crate::process::Cpu;
use crate::publisher::Publisher;
use crate::relay::PUBLISHED;
use crate::stage::{SHORT_PICTURES, Stage};
use crate::table::Figure;
use crate::viewer::{Hook, Viewer};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MANY: usize = 50;

/// Travel times that a viewer saw.
#[derive(Clone, Default)]
struct Times(Arc<Mutex<Vec<Duration>>>);

impl Times {
    fn hook(&self, publisher: &Publisher) -> Hook {
        let (times, departures) = (self.0.clone(), publisher.departures.clone());
        Box::new(move |packet, arrived| {
            if let (Some(time), Ok(mut times)) = (departures.travel_time(&packet.payload, arrived), times.lock()) {
                times.push(time);
            }
        })
    }

    fn take(&self) -> Vec<Duration> {
        self.0.lock().map(|mut times| std::mem::take(&mut *times)).unwrap_or_default()
    }
}

pub async fn measure(stage: &Stage, effort: Effort) -> Result<Vec<Figure>, Error> {
    let publisher = Publisher::start(&stage.relay, PUBLISHED, SHORT_PICTURES).await?;
    tokio::time::sleep(effort.settle).await;
    let mut figures = Vec::new();
    let mut crowd = Vec::new();
    for viewers in [1, MANY] {
        stage.fill(&mut crowd, PUBLISHED, viewers - 1).await?;
        let times = Times::default();
        crowd.push(Viewer::join(&stage.relay, PUBLISHED, Some(times.hook(&publisher))).await?);
        tokio::time::sleep(effort.settle).await;
        // What the viewer was given of the past when it joined.
        times.take();
        let received = || crowd.iter().map(Viewer::packets).sum::<u64>();
        let (cpu, status, packets) = (Cpu::of(stage.relay.pid())?, stage.status().await?, received());
        tokio::time::sleep(effort.window).await;
        let (cpu, packets) = (Cpu::of(stage.relay.pid())?.since(cpu), (received() - packets).max(1));
        let name = format!("publisher to one of {viewers}, ms p50 / p90 / p99");
        figures.push(Figure::spread(name, &times.take(), &[50, 90, 99], None));
        if viewers == MANY {
            let status = stage.status().await?.since(status);
            let each = cpu.total.as_secs_f64() * 1e6 / packets as f64;
            let sends = status.sends as f64 / status.packets_forwarded.max(1) as f64;
            figures.push(Figure::new(format!("published, CPU, µs for each packet at {viewers}"), each, 2));
            figures.push(Figure::new(format!("published, sends for each packet at {viewers}"), sends, 3));
        }
    }
    figures.push(Figure::new("published, packets lost", crowd.iter().map(Viewer::lost).sum::<u64>() as f64, 0));
    stage.dismiss(crowd).await?;
    publisher.stop()?;
    Ok(figures)
}
