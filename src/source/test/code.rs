//! The rows of black and white blocks on top of the picture, by which tests know which frame they look at.
//!
//! The visible picture is divided into 40 columns, and its top into two rows of 2/45 of its height: blocks of
//! 16x16 samples at 640x360, and the same proportions at any other size, so that a scaled canvas or a
//! screenshot of the picture reads the same. White is 1. From the left:
//!
//! | columns | meaning |
//! |---|---|
//! | 0–3 | sync: 1 0 1 0 |
//! | 4–35 | a number of 32 bits, most significant bit first |
//! | 36–39 | check: XOR of the number's eight nibbles and 1010 |
//!
//! The upper row is the frame counter, the lower one milliseconds since 1970 (UTC) modulo 2^32. Pictures smaller
//! than 160x90 have no room for them. Readers: `tests/peers/counter.js`, `tests/peers/counter.py`.

/// Blocks in a row.
pub const COLUMNS: usize = 40;
/// A row's height is this many of `HEIGHT_PARTS` of the picture's.
pub const ROW_PARTS: usize = 2;
pub const HEIGHT_PARTS: usize = 45;
/// Smallest picture, in samples, whose blocks are at least one cell wide and high.
pub const MIN_SIZE: (u32, u32) = (160, 90);
const SYNC: u64 = 0b1010;

/// The blocks of one row: column 0 is the highest of 40 bits.
pub fn row(number: u32) -> u64 {
    let check = (0..8).fold(0b1010, |check, nibble| check ^ number >> (4 * nibble) & 0xf);
    SYNC << 36 | u64::from(number) << 4 | u64::from(check)
}

/// The block at `column` of a [`row`]: white?
pub fn white(row: u64, column: usize) -> bool {
    row >> (COLUMNS - 1 - column) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_sync_number_and_check() {
        assert_eq!(row(0), 0xa0_0000_000a);
        assert_eq!(row(0x1234_5678), 0xa1_2345_6782);
        assert!(white(row(0), 0) && !white(row(0), 1) && white(row(0), 38));
    }
}
