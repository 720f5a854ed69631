//! How long packets are on their way from a publisher through the relay to a viewer: from the send call
//! of the one to the receive call of the other, two trips through the loopback included.
use super::Effort;
use crate::error::Error;
use crate::publisher::Publisher;
use crate::relay::PUBLISHED;
use crate::stage::{SHORT_PICTURES, Stage};
use crate::table::Figure;
use crate::viewer::{Hook, Viewer};
use std::sync::{Arc, Mutex};

pub async fn measure(stage: &Stage, effort: Effort) -> Result<Vec<Figure>, Error> {
    let publisher = Publisher::start(&stage.relay, PUBLISHED, SHORT_PICTURES).await?;
    tokio::time::sleep(effort.settle).await;
    let times = Arc::new(Mutex::new(Vec::new()));
    let (taken, departures) = (times.clone(), publisher.departures.clone());
    let hook: Hook = Box::new(move |packet, arrived| {
        if let (Some(time), Ok(mut times)) = (departures.travel_time(&packet.payload, arrived), taken.lock()) {
            times.push(time);
        }
    });
    let viewer = Viewer::join(&stage.relay, PUBLISHED, Some(hook)).await?;
    tokio::time::sleep(effort.settle).await;
    if let Ok(mut times) = times.lock() {
        // What the viewer was given of the past when it joined.
        times.clear();
    }
    tokio::time::sleep(effort.window).await;
    let lost = viewer.lost();
    viewer.leave(&stage.relay).await?;
    publisher.stop()?;
    let times = times.lock().map(|times| times.clone()).unwrap_or_default();
    Ok(vec![
        Figure::spread("publisher to viewer, ms p50 / p90 / p99", &times, &[50, 90, 99], None),
        Figure::new("publisher to viewer, packets", times.len() as f64, 0),
        Figure::new("publisher to viewer, packets lost", lost as f64, 0),
    ])
}
