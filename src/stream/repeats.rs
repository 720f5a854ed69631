//! What a viewer was sent again: each packet a few times and a round trip apart, so that whoever asks without end gets no
//! more than a few times what the stream is. Pure.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often one packet is sent again to one viewer. With a twentieth of all packets lost, one in sixty million is lost
/// each time.
const MAX_REPEATS: u8 = 5;
/// Packets that are remembered: at a twentieth lost, some ten seconds of a fast stream.
const MAX_REMEMBERED: usize = 512;
/// The round trip while none is known: that of most local networks is shorter.
const DEFAULT_ROUND_TRIP: Duration = Duration::from_millis(20);
/// Bounds of what a known one counts for: timers are no finer, and nobody waits longer for a picture.
const SHORTEST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub struct Repeats {
    sent: BTreeMap<u64, (u8, Instant)>,
    /// Packets before this one were forgotten, and are not sent again.
    floor: u64,
}

impl Repeats {
    /// May the packet with this number, as the viewer knows it, be sent again now? Counts as sent if so.
    pub fn take(&mut self, seq: u64, now: Instant, round_trip: Option<Duration>) -> bool {
        if seq < self.floor {
            return false;
        }
        let apart = round_trip.map_or(DEFAULT_ROUND_TRIP, |trip| trip.clamp(SHORTEST, LONGEST));
        if let Some((times, at)) = self.sent.get_mut(&seq) {
            let may = *times < MAX_REPEATS && now.saturating_duration_since(*at) >= apart;
            if may {
                (*times, *at) = (*times + 1, now);
            }
            return may;
        }
        self.sent.insert(seq, (1, now));
        if self.sent.len() > MAX_REMEMBERED
            && let Some((oldest, _)) = self.sent.pop_first()
        {
            self.floor = oldest + 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_sent_again_a_few_times_and_a_round_trip_apart() {
        let start = Instant::now();
        let times = |trip: Option<u64>| -> Vec<u64> {
            let mut repeats = Repeats::default();
            let trip = trip.map(Duration::from_millis);
            (0..1000).filter(|ms| repeats.take(7, start + Duration::from_millis(*ms), trip)).collect()
        };
        assert_eq!(times(None), [0, 20, 40, 60, 80]);
        assert_eq!(times(Some(0)), [0, 5, 10, 15, 20]);
        assert_eq!(times(Some(80)), [0, 80, 160, 240, 320]);
        assert_eq!(times(Some(10_000)), [0, 250, 500, 750]);
    }

    #[test]
    fn whoever_asks_for_everything_again_and_again_gets_it_a_few_times_at_most() {
        let start = Instant::now();
        let mut repeats = Repeats::default();
        let mut sent = 0;
        for round in 0..20 {
            let now = start + Duration::from_millis(50 * round);
            sent += (0..2_000).filter(|seq| repeats.take(*seq, now, None)).count();
            assert!(repeats.sent.len() <= MAX_REMEMBERED);
        }
        assert!(sent <= 2_000 * usize::from(MAX_REPEATS), "{sent}");
        assert!(repeats.take(2_000, start, None), "what is newer is still sent");
    }
}
