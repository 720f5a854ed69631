//! Sequence numbers where a packet that comes in may go out as several, or as none: numbers without holes but those of
//! packets that are missing, each of which has a place for one packet if it comes after all.
use std::collections::BTreeMap;

/// Missing packets that have a place; a jump beyond it is a new beginning, for the ring too.
const MAX_GAP: u64 = 4_096;
/// Places that are kept; what is missing longer is asked for no more.
const MAX_MISSING: usize = 1_024;

/// Where a packet stands among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Newest; takes as many numbers as it likes from [`Numbering::next`].
    Newest,
    /// Comes after others that it should have been before: it has this number, and no other.
    Late(u64),
    /// Known already, or given up.
    Useless,
}

#[derive(Debug, Default)]
pub struct Numbering {
    /// What should come next, and what goes out next.
    expected: Option<(u64, u64)>,
    missing: BTreeMap<u64, u64>,
}

impl Numbering {
    /// Are packets missing between the newest one and this?
    pub fn is_ahead(&self, seq: u64) -> bool {
        self.expected.is_some_and(|(expected, _)| seq > expected)
    }

    /// Is this number out of any relation with those before?
    pub fn is_elsewhere(&self, seq: u64) -> bool {
        self.expected.is_some_and(|(expected, _)| seq.abs_diff(expected) > MAX_GAP)
    }

    /// Takes a packet in.
    pub fn arrive(&mut self, seq: u64) -> Place {
        let (expected, next) = self.expected.unwrap_or((seq, seq));
        if self.is_elsewhere(seq) {
            self.missing.clear();
            // As far away as it was, so that the ring begins anew as well.
            self.expected = Some((seq + 1, next.wrapping_add(seq.wrapping_sub(expected))));
            return Place::Newest;
        }
        if seq < expected {
            return self.missing.remove(&seq).map_or(Place::Useless, Place::Late);
        }
        let gap = seq - expected;
        for i in gap.saturating_sub(MAX_MISSING as u64)..gap {
            self.missing.insert(expected + i, next + i);
            if self.missing.len() > MAX_MISSING {
                self.missing.pop_first();
            }
        }
        self.expected = Some((seq + 1, next + gap));
        Place::Newest
    }

    /// The next number to go out.
    pub fn next(&mut self) -> u64 {
        let Some((_, next)) = &mut self.expected else { return 0 };
        *next += 1;
        *next - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_become_several_or_none_and_leave_no_hole() {
        let mut numbering = Numbering::default();
        let mut out = Vec::new();
        for (seq, pieces) in [(100, 1), (101, 3), (102, 0), (103, 2)] {
            assert_eq!(numbering.arrive(seq), Place::Newest);
            out.extend((0..pieces).map(|_| numbering.next()));
        }
        assert_eq!(out, [100, 101, 102, 103, 104, 105]);
    }

    #[test]
    fn a_missing_packet_keeps_one_place_that_is_used_once() {
        let mut numbering = Numbering::default();
        numbering.arrive(100);
        assert_eq!((numbering.next(), numbering.next()), (100, 101));
        assert!(numbering.is_ahead(103) && !numbering.is_ahead(101));
        assert_eq!(numbering.arrive(103), Place::Newest);
        assert_eq!(numbering.next(), 104);
        assert_eq!(numbering.arrive(102), Place::Late(103));
        assert_eq!(numbering.arrive(102), Place::Useless);
        assert_eq!(numbering.arrive(99), Place::Useless);
        assert_eq!(numbering.arrive(101), Place::Late(102));
    }

    #[test]
    fn a_jump_stays_a_jump() {
        let mut numbering = Numbering::default();
        numbering.arrive(100_000);
        assert_eq!((numbering.next(), numbering.next()), (100_000, 100_001));
        numbering.arrive(200_000);
        assert_eq!(numbering.next(), 200_001);
        numbering.arrive(3);
        let far = numbering.next();
        assert!(200_002 - far > MAX_GAP);
        assert_eq!(numbering.arrive(4), Place::Newest);
        assert_eq!(numbering.next(), far + 1);
    }

    #[test]
    fn what_is_missing_is_forgotten_in_the_end() {
        let mut numbering = Numbering::default();
        for i in 0..100 {
            numbering.arrive(1000 * i);
            numbering.next();
        }
        assert!(numbering.missing.len() <= MAX_MISSING);
    }
}
