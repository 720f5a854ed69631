//! A viewer's side of one track: a cursor in the ring, and the numbering that the viewer sees.
//! However the cursor moves (a late start, a skip to a newer keyframe, a replayed keyframe, another
//! producer) the viewer sees one RTP stream whose sequence numbers and timestamps go on.
use crate::media::packet::Packet;
use crate::media::ring::Ring;

/// Cached pictures reach a late viewer with their timestamps this many times closer together, so
/// that its player decodes them as fast as they come instead of playing the past in real time.
const FAST_FORWARD: u32 = 32;
/// Pieces of numbering remembered for retransmission; older packets are beyond any player's patience.
const MAX_SEGMENTS: usize = 4;

/// One piece of numbering without a jump: ring sequence numbers from `src` on are sent as `out` on.
#[derive(Clone, Copy, Debug)]
struct Segment {
    track: u32,
    generation: u32,
    src: u64,
    out: u64,
    /// Timestamp of the newest packet when the piece began, and what the viewer sees for it.
    base_src: u32,
    base_out: u32,
    /// Packets up to `base_src` are shown this many ticks later than `base_out` …
    ahead: u32,
    /// … less their age divided by this.
    shrink: u32,
}

impl Segment {
    fn timestamp(&self, src: u32) -> u32 {
        let distance = src.wrapping_sub(self.base_src) as i32;
        if distance > 0 {
            self.base_out.wrapping_add(distance as u32)
        } else {
            self.base_out.wrapping_add(self.ahead).wrapping_sub(distance.unsigned_abs() / self.shrink)
        }
    }
}

/// How one packet looks to the viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// Extended sequence number: its low 16 bits go into the header, the whole is the SRTP index.
    pub seq: u64,
    pub timestamp: u32,
}

/// A cursor's place: next number in the ring, next number for the viewer, last timestamp.
pub type Place = (Option<u64>, u64, u32);

/// The cursor. Pure: the ring comes in with each call.
#[derive(Debug)]
pub struct Outbound {
    segments: [Option<Segment>; MAX_SEGMENTS],
    /// Next ring sequence number to send; `None` while waiting for a keyframe or a producer.
    next: Option<u64>,
    next_out: u64,
    last_timestamp: u32,
    clock_rate: u32,
}

impl Outbound {
    /// `first_seq` and `first_timestamp` are where the viewer's numbering begins, random by RFC 3550
    /// section 5.1; `first_seq` below 2^15, so that the first packets can't wrap unseen (RFC 3711 section 3.3.1).
    pub fn new(first_seq: u16, first_timestamp: u32, clock_rate: u32) -> Self {
        Self {
            segments: [None; MAX_SEGMENTS],
            next: None,
            next_out: u64::from(first_seq & 0x7fff),
            last_timestamp: first_timestamp,
            clock_rate,
        }
    }

    /// Ring sequence number that is sent next; `None` while there is nothing to begin with.
    pub fn next(&self) -> Option<u64> {
        self.next
    }

    /// The place in the ring is gone: the ring began anew, or the packets there were dropped.
    pub fn is_stale(&self, track: u32, ring: &Ring) -> bool {
        let Some(next) = self.next else { return true };
        self.current().is_none_or(|s| s.track != track || s.generation != ring.generation()) || next < ring.tail()
    }

    /// A place to come back to with [`Self::restore`] when packets did not get out.
    pub fn place(&self) -> Place {
        (self.next, self.next_out, self.last_timestamp)
    }

    /// Goes back to a place of the same piece of numbering; the same packets get the same numbers again.
    pub fn restore(&mut self, place: Place) {
        (self.next, self.next_out, self.last_timestamp) = place;
    }

    /// Forgets the place in the ring; the numbering stays for the next [`Self::start`].
    pub fn stop(&mut self) {
        self.next = None;
    }

    /// Begins, or begins again, at ring number `src` of `track`. `idle_ticks` are the clock ticks
    /// since the last packet went out: a viewer's timestamps advance with time while a camera is away.
    pub fn start(&mut self, track: u32, ring: &Ring, src: u64, idle_ticks: u32) {
        let Some(newest) = ring.newest_timestamp() else { return };
        let from = ring.get(src).map_or(newest, |packet| packet.timestamp);
        let span = newest.wrapping_sub(from);
        let same = self.current().filter(|s| s.track == track && s.generation == ring.generation()).copied();
        let segment = match same {
            // The same ring: the numbering of live packets stays as it was.
            Some(old) => {
                let base_out = old.base_out.wrapping_add(newest.wrapping_sub(old.base_src));
                let step =
                    ring.frame_interval().filter(|ticks| *ticks < self.clock_rate).unwrap_or(self.clock_rate / 30);
                let passed = self.last_timestamp.wrapping_sub(base_out) as i32;
                let (ahead, shrink) = if passed >= 0 {
                    // Pictures that were sent before are sent again within half of the time that is left
                    // until the next one.
                    let half = (step.saturating_sub(passed.unsigned_abs()) / 2).max(1);
                    (passed.unsigned_abs().wrapping_add(half), span / half + 1)
                } else {
                    // A viewer that is still catching up must not go back in time.
                    (0, FAST_FORWARD.max(span / passed.unsigned_abs() + 1))
                };
                Segment { track, generation: ring.generation(), src, out: 0, base_src: newest, base_out, ahead, shrink }
            }
            None => Segment {
                track,
                generation: ring.generation(),
                src,
                out: 0,
                base_src: newest,
                base_out: self.last_timestamp.wrapping_add(idle_ticks.max(1)).wrapping_add(span / FAST_FORWARD + 1),
                ahead: 0,
                shrink: FAST_FORWARD,
            },
        };
        self.segments.rotate_right(1);
        self.segments[0] = Some(Segment { out: self.next_out, ..segment });
        self.next = Some(src);
    }

    fn current(&self) -> Option<&Segment> {
        self.segments[0].as_ref()
    }

    /// The next packet in the ring and how the viewer sees it; gaps are passed over (they are sent by
    /// [`Self::late`] if they are filled). Call [`Self::advance`] once it is on its way.
    pub fn peek<'a>(&mut self, ring: &'a Ring) -> Option<(&'a Packet, Numbered)> {
        let segment = *self.current()?;
        if segment.generation != ring.generation() {
            return None;
        }
        let mut src = self.next?;
        while src < ring.head() {
            if let Some(packet) = ring.get(src) {
                self.next = Some(src);
                return Some((
                    packet,
                    Numbered { seq: segment.out + (src - segment.src), timestamp: segment.timestamp(packet.timestamp) },
                ));
            }
            src += 1;
        }
        self.next = Some(src);
        None
    }

    /// The packet of the last [`Self::peek`] was sent as `sent`.
    pub fn advance(&mut self, sent: Numbered) {
        if let Some(next) = &mut self.next {
            *next += 1;
        }
        self.next_out = sent.seq + 1;
        if sent.timestamp.wrapping_sub(self.last_timestamp) as i32 > 0 {
            self.last_timestamp = sent.timestamp;
        }
    }

    /// Numbering for a packet that filled a gap which this cursor had passed; `None` if it was never due here.
    pub fn late(&mut self, packet: &Packet) -> Option<Numbered> {
        let segment = *self.current()?;
        if packet.seq < segment.src || packet.seq >= self.next? {
            return None;
        }
        let seq = segment.out + (packet.seq - segment.src);
        // The cursor may have passed the gap without sending what follows it: the number is used up now.
        self.next_out = self.next_out.max(seq + 1);
        Some(Numbered { seq, timestamp: segment.timestamp(packet.timestamp) })
    }

    /// Finds what a 16-bit number of a NACK meant (RFC 4585 section 6.2.1): the packet, exactly as it
    /// was sent. `ring` looks a track's ring up.
    pub fn lost<'a>(&self, number: u16, ring: impl Fn(u32) -> Option<&'a Ring>) -> Option<(&'a Packet, Numbered)> {
        let newest = self.next_out.checked_sub(1)?;
        let back = u64::from((newest as u16).wrapping_sub(number));
        let seq = newest.checked_sub(back)?;
        let segment = self.segments.iter().flatten().find(|segment| segment.out <= seq)?;
        let ring = ring(segment.track).filter(|ring| ring.generation() == segment.generation)?;
        let packet = ring.get(segment.src + (seq - segment.out))?;
        Some((packet, Numbered { seq, timestamp: segment.timestamp(packet.timestamp) }))
    }

    /// The viewer's timestamp for a moment at which the track's clock shows `src` (for sender reports).
    pub fn timestamp_of(&self, src: u32) -> Option<u32> {
        let segment = self.current()?;
        Some(segment.base_out.wrapping_add(src.wrapping_sub(segment.base_src)))
    }

    /// Packets between the cursor and the newest one.
    pub fn behind(&self, ring: &Ring) -> u64 {
        self.next.map_or(0, |next| ring.head().saturating_sub(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::ring::MAX_BYTES;
    use bytes::Bytes;
    use std::time::Instant;

    fn ring(seqs: std::ops::Range<u64>, keyframe_every: u64) -> Ring {
        let mut ring = Ring::new(MAX_BYTES);
        for seq in seqs {
            push(&mut ring, seq, keyframe_every);
        }
        ring
    }

    fn push(ring: &mut Ring, seq: u64, keyframe_every: u64) {
        let packet = Packet {
            seq,
            timestamp: (seq as u32).wrapping_mul(3000),
            marker: true,
            keyframe: seq.is_multiple_of(keyframe_every),
            payload: Bytes::from_static(b"x"),
        };
        ring.push(packet, Instant::now());
    }

    fn drain(out: &mut Outbound, ring: &Ring) -> Vec<(u64, Numbered)> {
        let mut sent = Vec::new();
        while let Some((packet, numbered)) = out.peek(ring) {
            sent.push((packet.seq, numbered));
            out.advance(numbered);
        }
        sent
    }

    fn rises(sent: &[(u64, Numbered)]) {
        for pair in sent.windows(2) {
            assert_eq!(pair[1].1.seq, pair[0].1.seq + 1, "sequence numbers go on");
            assert!((pair[1].1.timestamp.wrapping_sub(pair[0].1.timestamp) as i32) > 0, "timestamps rise: {pair:?}");
        }
    }

    #[test]
    fn a_late_viewer_gets_the_past_fast_and_the_present_in_real_time() {
        let mut ring = ring(1000..1150, 1000);
        let mut out = Outbound::new(7, u32::MAX - 5, 90_000);
        out.start(1, &ring, 1000, 0);
        let mut sent = drain(&mut out, &ring);
        assert_eq!(sent.len(), 150);
        for seq in 1150..1160 {
            push(&mut ring, seq, 1000);
            sent.extend(drain(&mut out, &ring));
        }
        rises(&sent);
        assert_eq!(sent[0].1.seq, 7);
        let past = sent[149].1.timestamp.wrapping_sub(sent[0].1.timestamp);
        assert_eq!(past, 149 * 3000 / 32);
        assert_eq!(sent[155].1.timestamp.wrapping_sub(sent[154].1.timestamp), 3000);
    }

    #[test]
    fn a_replayed_keyframe_goes_on_in_numbers_and_time() {
        let mut ring = ring(0..90, 60);
        let mut out = Outbound::new(0, 0, 90_000);
        out.start(1, &ring, 60, 0);
        let mut sent = drain(&mut out, &ring);
        out.start(1, &ring, 60, 0);
        sent.extend(drain(&mut out, &ring));
        push(&mut ring, 90, 60);
        sent.extend(drain(&mut out, &ring));
        rises(&sent);
        assert_eq!(sent.len(), 61);
        let live = sent[60].1.timestamp.wrapping_sub(sent[29].1.timestamp);
        assert_eq!(live, 3000, "the next live picture keeps its place in time");
    }

    #[test]
    fn a_nack_finds_the_packet_as_it_was_sent_also_before_a_jump() {
        let ring = ring(100..200, 50);
        let mut out = Outbound::new(32_000, 5, 90_000);
        out.start(1, &ring, 150, 0);
        let first = drain(&mut out, &ring);
        out.start(1, &ring, 150, 0);
        let second = drain(&mut out, &ring);
        for (src, numbered) in first.iter().chain(&second) {
            let (packet, again) = out.lost(numbered.seq as u16, |_| Some(&ring)).expect("found");
            assert_eq!((packet.seq, again), (*src, *numbered));
        }
        assert!(out.lost(31_999, |_| Some(&ring)).is_none());
        assert!(out.lost(second.last().unwrap().1.seq as u16 + 1, |_| Some(&ring)).is_none());
    }

    #[test]
    fn another_producer_goes_on_where_the_first_one_stopped() {
        let old = ring(0..10, 10);
        let new = ring(50_000..50_020, 10);
        let mut out = Outbound::new(1, 1, 90_000);
        out.start(1, &old, 0, 0);
        let mut sent = drain(&mut out, &old);
        out.start(2, &new, 50_010, 90_000);
        sent.extend(drain(&mut out, &new));
        rises(&sent);
        let pause = sent[10].1.timestamp.wrapping_sub(sent[9].1.timestamp);
        assert!((90_000..100_000).contains(&pause), "a second away is a second in time: {pause}");
    }

    #[test]
    fn keyframes_replayed_before_anything_new_came_or_while_catching_up_never_go_back_in_time() {
        let ring = ring(0..90, 60);
        let mut out = Outbound::new(0, 0, 90_000);
        out.start(1, &ring, 60, 0);
        let mut sent = Vec::new();
        for _ in 0..10 {
            let (packet, numbered) = out.peek(&ring).unwrap();
            sent.push((packet.seq, numbered));
            out.advance(numbered);
        }
        for _ in 0..4 {
            out.start(1, &ring, 60, 0);
            sent.extend(drain(&mut out, &ring));
        }
        rises(&sent);
    }

    #[test]
    fn a_number_that_a_late_packet_took_is_not_given_again() {
        let mut ring = ring(0..3, 10);
        push(&mut ring, 4, 10);
        let mut out = Outbound::new(1, 1, 90_000);
        out.start(1, &ring, 0, 0);
        for _ in 0..3 {
            let (_, numbered) = out.peek(&ring).unwrap();
            out.advance(numbered);
        }
        assert!(out.peek(&ring).is_some(), "looked at, but the budget ended");
        push(&mut ring, 3, 10);
        let late = out.late(ring.get(3).unwrap()).unwrap();
        for seq in 5..=10 {
            push(&mut ring, seq, 10);
        }
        out.start(1, &ring, 10, 0);
        let (_, keyframe) = out.peek(&ring).unwrap();
        assert!(keyframe.seq > late.seq, "{keyframe:?} after {late:?}");
    }

    #[test]
    fn a_gap_is_passed_over_and_sent_when_it_is_filled() {
        let mut ring = ring(0..3, 10);
        push(&mut ring, 4, 10);
        let mut out = Outbound::new(1, 1, 90_000);
        out.start(1, &ring, 0, 0);
        let sent = drain(&mut out, &ring);
        assert_eq!(sent.iter().map(|s| s.1.seq).collect::<Vec<_>>(), [1, 2, 3, 5]);
        push(&mut ring, 3, 10);
        let late = out.late(ring.get(3).unwrap()).unwrap();
        assert_eq!(late.seq, 4);
        assert!(late.timestamp > sent[2].1.timestamp && late.timestamp < sent[3].1.timestamp);
    }
}
