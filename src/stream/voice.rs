//! The sound that we send to a camera: packets of one talker after the other become one RTP stream (RFC 3550 section
//! 5.1), whose numbers and clock go on across them. Pure.
use std::time::{Duration, Instant};

/// A talker's clock may jump ahead so far within its turn; beyond it is another clock.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// What a packet's header says on our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoken {
    /// Beyond 16 bits, as SRTP counts.
    pub seq: u64,
    pub timestamp: u32,
    /// The first packet after silence (RFC 3551 section 4.1).
    pub marker: bool,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    talker: u32,
    theirs: u32,
    ours: u32,
    at: Instant,
}

/// Numbers one stream of sound.
#[derive(Clone, Debug)]
pub struct Voice {
    pub ssrc: u32,
    next: u64,
    start: u32,
    last: Option<Last>,
    pub packets: u32,
    pub bytes: u32,
}

impl Voice {
    /// `seq` and `start` are the first sequence number and timestamp.
    pub fn new(ssrc: u32, seq: u16, start: u32) -> Self {
        // The top bit stays clear, so that the first packets cannot roll over before the receiver has seen one.
        Self { ssrc, next: u64::from(seq & 0x7fff), start, last: None, packets: 0, bytes: 0 }
    }

    /// The header of a packet of `len` bytes that a talker's clock, of `rate` Hz, gave this timestamp; `None` if it comes
    /// too late, behind a newer one.
    pub fn number(&mut self, talker: u32, theirs: u32, rate: u32, len: usize, now: Instant) -> Option<Spoken> {
        let late = |last: &Last| last.talker == talker && (1..rate).contains(&last.theirs.wrapping_sub(theirs));
        if self.last.as_ref().is_some_and(late) {
            return None;
        }
        let follows = self.last.filter(|last| last.talker == talker).map(|last| theirs.wrapping_sub(last.theirs));
        let step = follows.filter(|step| u64::from(*step) < u64::from(rate) * MAX_PAUSE.as_secs());
        let timestamp = match (self.last, step) {
            (Some(last), Some(step)) => last.ours.wrapping_add(step),
            // Another clock: the time that passed tells how far ours goes on.
            (Some(last), None) => last.ours.wrapping_add(ticks(now.saturating_duration_since(last.at), rate).max(1)),
            (None, _) => self.start,
        };
        self.last = Some(Last { talker, theirs, ours: timestamp, at: now });
        self.next += 1;
        self.packets = self.packets.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(len as u32);
        Some(Spoken { seq: self.next - 1, timestamp, marker: step.is_none() })
    }

    /// What the clock shows now, for a sender report; `None` before the first packet.
    pub fn timestamp_at(&self, now: Instant, rate: u32) -> Option<u32> {
        let last = self.last?;
        Some(last.ours.wrapping_add(ticks(now.saturating_duration_since(last.at), rate)))
    }
}

fn ticks(time: Duration, rate: u32) -> u32 {
    (time.as_millis() as u64 * u64::from(rate) / 1000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn talkers_that_follow_each_other_are_one_stream() {
        let mut voice = Voice::new(7, 0xffff, 1000);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut number = |talker, theirs, ms| {
            let spoken = voice.number(talker, theirs, 8000, 160, at(ms))?;
            Some((spoken.seq, spoken.timestamp, spoken.marker))
        };
        assert_eq!(number(1, u32::MAX - 79, 0), Some((0x7fff, 1000, true)));
        assert_eq!(number(1, 80, 20), Some((0x8000, 1160, false)));
        assert_eq!(number(1, 0, 21), None);
        // The same talker after a pause of its own clock, then another one 100 ms later.
        assert_eq!(number(1, 8080, 1020), Some((0x8001, 9160, false)));
        assert_eq!(number(2, 50_005, 1120), Some((0x8002, 9960, true)));
        // A clock that jumps far back or ahead is another one.
        assert_eq!(number(2, 4, 1140), Some((0x8003, 10_120, true)));
        assert_eq!(number(2, 1_000_000, 1160), Some((0x8004, 10_280, true)));
        assert_eq!(voice.timestamp_at(at(1260), 8000), Some(11_080));
        assert_eq!((voice.packets, voice.bytes), (6, 960));
    }
}
