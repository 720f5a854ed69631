//! The source `test:`, a camera without a camera: it tells the time, counts its frames and can be asked for any
//! size, rate and bitrate. For a first look, for tests and for benchmarks.
mod camera;
mod canvas;
mod card;
mod code;
mod font;
mod layout;
pub mod options;
mod tone;

pub use camera::TestCamera;
pub use options::TestOptions;

use super::{Closed, Sink};
use crate::engine::source::{SourceEvent, SourceRequest};
use crate::media::codec::Codec;
use crate::media::packet::Packet;
use crate::media::packetise::H264Packetiser;
use crate::media::track::TrackInfo;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tone::Tone;

/// Films until the relay stops listening to `sink` or drops the other end of `requests`.
///
/// Track 0 is H.264, track 1 G.711 if the options want it. A sink that is full costs frames, not
/// memory: timestamps follow the clock, frames that are too late are not made.
pub async fn run(options: TestOptions, sink: Sink, mut requests: mpsc::Receiver<SourceRequest>) {
    // Closed is how a source ends, not a failure.
    let Err(Closed) = film(&options, &sink, &mut requests).await;
}

async fn film(
    options: &TestOptions,
    sink: &Sink,
    requests: &mut mpsc::Receiver<SourceRequest>,
) -> Result<std::convert::Infallible, Closed> {
    let mut tracks = vec![TrackInfo { codec: Codec::H264, fmtp: options.format().fmtp() }];
    tracks.extend(options.audio.map(|codec| TrackInfo { codec, fmtp: String::new() }));
    sink.send(SourceEvent::Tracks(tracks)).await?;
    let mut video = Video::new(options);
    let mut audio = options.audio.map(Audio::new);
    let start = Instant::now();
    let mut frames = pace(Duration::from_secs(1) / options.fps);
    let mut sounds = pace(tone::PACKET);
    loop {
        let event = tokio::select! {
            request = requests.recv() => match request {
                Some(SourceRequest::Sound(_)) => continue,
                Some(SourceRequest::Keyframe { .. }) => {
                    video.camera.request_keyframe();
                    continue;
                }
                None => return Err(Closed),
            },
            _ = frames.tick() => SourceEvent::Packets { track: 0, packets: video.packets(start.elapsed(), wall_clock()) },
            _ = sounds.tick(), if audio.is_some() => {
                let packets = audio.as_mut().map(|audio| audio.packets(start.elapsed(), wall_clock()));
                SourceEvent::Packets { track: 1, packets: packets.unwrap_or_default() }
            }
        };
        sink.send(event).await?;
    }
}

fn pace(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    interval
}

/// Time since 1970; a clock that stands before that shows midnight.
fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Camera, packetiser and frame counter.
struct Video {
    camera: TestCamera,
    packetiser: H264Packetiser,
    n: u32,
}

impl Video {
    fn new(options: &TestOptions) -> Self {
        Self { camera: TestCamera::new(options), packetiser: H264Packetiser::default(), n: 0 }
    }

    /// The next frame, `elapsed` after the start.
    fn packets(&mut self, elapsed: Duration, wall_clock: Duration) -> Vec<Packet> {
        let nals = self.camera.frame(self.n, wall_clock);
        self.n = self.n.wrapping_add(1);
        let timestamp = elapsed.as_micros() * u128::from(Codec::H264.clock_rate()) / 1_000_000;
        self.packetiser.access_unit(timestamp as u32, nals.iter().map(Vec::as_slice))
    }
}

/// Beeps and the number of the next packet.
struct Audio {
    tone: Tone,
    seq: u64,
    /// In packets since the start.
    next: u32,
}

impl Audio {
    fn new(codec: Codec) -> Self {
        Self { tone: Tone::new(codec), seq: 0, next: 0 }
    }

    /// One packet, its timestamp a whole number of packets after the start, later than the last one's. The marker
    /// tells where silence was left out (RFC 3551, 4.1).
    fn packets(&mut self, elapsed: Duration, wall_clock: Duration) -> Vec<Packet> {
        let now = (elapsed + tone::PACKET / 2).as_millis() / tone::PACKET.as_millis();
        let marker = self.seq == 0 || now as u32 > self.next + 1;
        let index = self.next.max(now as u32);
        self.next = index + 1;
        self.seq += 1;
        let timestamp = index.wrapping_mul(tone::SAMPLES as u32);
        vec![Packet { seq: self.seq - 1, timestamp, marker, keyframe: true, payload: self.tone.packet(wall_clock) }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::source::ProducerId;

    struct Filming {
        events: mpsc::Receiver<(ProducerId, SourceEvent)>,
        requests: mpsc::Sender<SourceRequest>,
        task: tokio::task::JoinHandle<()>,
    }

    fn film_in_background(source: &str) -> Filming {
        let (sink, events) = mpsc::channel(8);
        let (requests, receiver) = mpsc::channel(4);
        let options = TestOptions::parse(source).unwrap();
        let task = tokio::spawn(run(options, Sink::new(ProducerId(7), sink), receiver));
        Filming { events, requests, task }
    }

    impl Filming {
        async fn packets(&mut self, wanted: usize) -> Vec<Packet> {
            loop {
                match self.events.recv().await {
                    Some((ProducerId(7), SourceEvent::Packets { track, packets })) if track == wanted => {
                        return packets;
                    }
                    Some(_) => {}
                    None => panic!("the camera ended"),
                }
            }
        }
    }

    #[tokio::test]
    async fn tracks_come_first_and_then_a_keyframe() {
        let mut filming = film_in_background("test:?fps=60&audio=pcmu");
        let Some((_, SourceEvent::Tracks(tracks))) = filming.events.recv().await else { panic!("no tracks") };
        assert_eq!(tracks.iter().map(|track| track.codec).collect::<Vec<_>>(), [Codec::H264, Codec::Pcmu]);
        assert!(tracks[0].fmtp.contains("profile-level-id=42e0"));
        let first = filming.packets(0).await;
        assert!(first[0].keyframe && first[first.len() - 1].marker);
    }

    #[tokio::test]
    async fn timestamps_follow_the_clock_on_both_tracks() {
        let mut filming = film_in_background("test:?fps=50&audio=pcma");
        let first = filming.packets(0).await[0].timestamp;
        for _ in 0..9 {
            filming.packets(0).await;
        }
        let ticks = filming.packets(0).await[0].timestamp - first;
        assert!((15_000..90_000).contains(&ticks), "ten frames at 50 fps took {ticks} ticks of 90 kHz");
        let sounds = [filming.packets(1).await, filming.packets(1).await].concat();
        assert_eq!((sounds[1].timestamp - sounds[0].timestamp) % 160, 0);
        assert!(sounds[1].timestamp > sounds[0].timestamp && sounds[1].seq == sounds[0].seq + 1);
    }

    #[tokio::test]
    async fn a_keyframe_follows_a_request() {
        let mut filming = film_in_background("test:?fps=60&gop=60s");
        assert!(filming.packets(0).await[0].keyframe);
        filming.requests.send(SourceRequest::Keyframe { track: 0 }).await.unwrap();
        let mut frames = 1;
        while !filming.packets(0).await[0].keyframe {
            frames += 1;
        }
        assert!(frames <= 31, "{frames}");
    }

    #[tokio::test]
    async fn the_camera_ends_when_either_side_of_it_is_dropped() {
        let Filming { events, requests, task } = film_in_background("test:?fps=60");
        drop(events);
        task.await.unwrap();
        drop(requests);
        let Filming { mut events, requests, task } = film_in_background("test:?fps=60");
        drop(requests);
        while events.recv().await.is_some() {}
        task.await.unwrap();
    }
}
