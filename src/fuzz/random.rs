//! Random inputs for the tests of stateful exchanges: the same ones in each run. PORTHOLE_FUZZ_ROUNDS asks for more of them.

/// Rounds of a test that makes so many in an ordinary run.
pub fn rounds(ordinary: u64) -> std::ops::Range<u64> {
    let asked = std::env::var("PORTHOLE_FUZZ_ROUNDS").ok();
    0..asked.map_or(ordinary, |rounds| rounds.parse().expect("PORTHOLE_FUZZ_ROUNDS is a number"))
}

/// Marsaglia's xorshift, which is enough to spoil bytes with.
pub struct Random(u64);

impl Random {
    /// The same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below this one.
    pub fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }

    /// Once in so many times.
    pub fn one_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }

    /// Random bytes, fewer than so many.
    pub fn bytes(&mut self, end: usize) -> Vec<u8> {
        (0..self.below(end)).map(|_| self.next() as u8).collect()
    }

    /// Spoils a message in one to three ways. What stands in front is hit most: there are the numbers and lengths.
    pub fn spoil(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            if bytes.is_empty() {
                return;
            }
            let reach = if self.one_in(2) { bytes.len().min(32) } else { bytes.len() };
            let at = self.below(reach);
            match self.below(6) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][self.below(6)],
                2 => bytes[at] = bytes[at].wrapping_add(1),
                3 => bytes.truncate(at),
                4 => {
                    let end = bytes.len().min(at + 64);
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                _ => {
                    let inserted = self.bytes(16);
                    bytes.splice(at..at, inserted);
                }
            }
        }
    }
}
