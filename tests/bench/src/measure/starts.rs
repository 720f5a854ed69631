//! How long a viewer waits for its first picture, on a running stream.
use super::Effort;
use crate::error::Error;
use crate::relay::{LONG_GOP, SHORT_GOP};
use crate::stage::Stage;
use crate::table::Figure;
use crate::viewer::{Hook, Viewer};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Budgets in milliseconds.
const CONNECTED: f64 = 5.0;
const KEYFRAME: f64 = 30.0;
/// How far into a long group of pictures viewers join.
const INTO_GOP: Duration = Duration::from_secs(5);
/// Between two starts, so that they do not meet.
const PAUSE: Duration = Duration::from_millis(20);
const NAL_TYPE: u8 = 0x1f;
/// NAL unit types that begin a keyframe: IDR slice, parameter set; within a fragment the second byte tells.
const IDR: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

pub async fn measure(stage: &Stage, effort: Effort) -> Result<Vec<Figure>, Error> {
    let mut figures = short(stage, effort).await?;
    figures.extend(long(stage, effort).await?);
    Ok(figures)
}

async fn short(stage: &Stage, effort: Effort) -> Result<Vec<Figure>, Error> {
    let keeper = Viewer::join(&stage.relay, SHORT_GOP, None).await?;
    let starts = series(stage, SHORT_GOP, effort.starts).await?;
    keeper.leave(&stage.relay).await?;
    Ok(vec![
        Figure::spread("offer to answer, ms least / p50 / p90", &starts.answered, &[0, 50, 90], None),
        Figure::spread("offer to connected, ms least / p50 / p90", &starts.connected, &[0, 50, 90], Some(CONNECTED)),
        Figure::spread(
            "offer to keyframe, GOP 1 s, ms least / p50 / p90",
            &starts.keyframe,
            &[0, 50, 90],
            Some(KEYFRAME),
        ),
    ])
}

async fn long(stage: &Stage, effort: Effort) -> Result<Vec<Figure>, Error> {
    let seen = Arc::new(Mutex::new(Instant::now()));
    let noted = seen.clone();
    let hook: Hook = Box::new(move |packet, arrived| {
        if begins_keyframe(&packet.payload)
            && let Ok(mut seen) = noted.lock()
        {
            *seen = arrived;
        }
    });
    let keeper = Viewer::join(&stage.relay, LONG_GOP, Some(hook)).await?;
    let age = || seen.lock().map_or(Duration::ZERO, |seen| seen.elapsed());
    while age() < INTO_GOP {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let starts = series(stage, LONG_GOP, effort.starts).await?;
    let cold = keeper.start.keyframe;
    keeper.leave(&stage.relay).await?;
    Ok(vec![
        Figure::spread(
            "offer to keyframe, 5 s into GOP 10 s, ms least / p50 / p90",
            &starts.keyframe,
            &[0, 50, 90],
            Some(KEYFRAME),
        ),
        Figure::spread("offer to keyframe, source not running, ms", &[cold], &[50], None),
    ])
}

fn begins_keyframe(payload: &[u8]) -> bool {
    match payload {
        [first, second, ..] if first & NAL_TYPE == FU_A => second & NAL_TYPE == IDR,
        [first, _, _, inner, ..] if first & NAL_TYPE == STAP_A => [IDR, SPS].contains(&(inner & NAL_TYPE)),
        [first, ..] => [IDR, SPS].contains(&(first & NAL_TYPE)),
        [] => false,
    }
}

#[derive(Default)]
struct Series {
    answered: Vec<Duration>,
    connected: Vec<Duration>,
    keyframe: Vec<Duration>,
}

async fn series(stage: &Stage, stream: &str, count: usize) -> Result<Series, Error> {
    let mut series = Series::default();
    for _ in 0..count {
        let viewer = Viewer::join(&stage.relay, stream, None).await?;
        series.answered.push(viewer.start.answered);
        series.connected.push(viewer.start.connected);
        series.keyframe.push(viewer.start.keyframe);
        viewer.leave(&stage.relay).await?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(series)
}
