//! CAVLC of one block of transform coefficients (9.2), for the two kinds of block that a [`super::mosaic`]
//! needs: sixteen luma DC levels and four chroma DC levels.
use super::bitwriter::BitWriter;

/// Largest magnitude of a level that `level_prefix` 15 can carry in every state; more needs a High profile.
pub const MAX_LEVEL: i32 = 2062;

/// Context of `coeff_token` (9.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// `0 <= nC < 2`: no neighbour has coefficients of its own.
    Sparse,
    /// `8 <= nC`: a neighbour is I_PCM, which counts as sixteen coefficients.
    Dense,
    /// `nC == -1`: chroma DC of a 4:2:0 picture.
    ChromaDc,
}

/// A code word: length in bits and value.
type Code = (u8, u8);

/// Table 9-5, column `0 <= nC < 2`: `[TotalCoeff][TrailingOnes]`.
const TOKEN_SPARSE: [[Code; 4]; 17] = [
    [(1, 1), (0, 0), (0, 0), (0, 0)],
    [(6, 5), (2, 1), (0, 0), (0, 0)],
    [(8, 7), (6, 4), (3, 1), (0, 0)],
    [(9, 7), (8, 6), (7, 5), (5, 3)],
    [(10, 7), (9, 6), (8, 5), (6, 3)],
    [(11, 7), (10, 6), (9, 5), (7, 4)],
    [(13, 15), (11, 6), (10, 5), (8, 4)],
    [(13, 11), (13, 14), (11, 5), (9, 4)],
    [(13, 8), (13, 10), (13, 13), (10, 4)],
    [(14, 15), (14, 14), (13, 9), (11, 4)],
    [(14, 11), (14, 10), (14, 13), (13, 12)],
    [(15, 15), (15, 14), (14, 9), (14, 12)],
    [(15, 11), (15, 10), (15, 13), (14, 8)],
    [(16, 15), (15, 1), (15, 9), (15, 12)],
    [(16, 11), (16, 14), (16, 13), (15, 8)],
    [(16, 7), (16, 10), (16, 9), (16, 12)],
    [(16, 4), (16, 6), (16, 5), (16, 8)],
];

/// Table 9-5, column `nC == -1`.
const TOKEN_CHROMA_DC: [[Code; 4]; 5] = [
    [(2, 1), (0, 0), (0, 0), (0, 0)],
    [(6, 7), (1, 1), (0, 0), (0, 0)],
    [(6, 4), (6, 6), (3, 1), (0, 0)],
    [(6, 3), (7, 3), (7, 2), (6, 5)],
    [(6, 2), (8, 3), (8, 2), (7, 0)],
];

/// Tables 9-7 and 9-8: `[TotalCoeff - 1][total_zeros]`.
const TOTAL_ZEROS: [&[Code]; 15] = [
    &[
        (1, 1),
        (3, 3),
        (3, 2),
        (4, 3),
        (4, 2),
        (5, 3),
        (5, 2),
        (6, 3),
        (6, 2),
        (7, 3),
        (7, 2),
        (8, 3),
        (8, 2),
        (9, 3),
        (9, 2),
        (9, 1),
    ],
    &[
        (3, 7),
        (3, 6),
        (3, 5),
        (3, 4),
        (3, 3),
        (4, 5),
        (4, 4),
        (4, 3),
        (4, 2),
        (5, 3),
        (5, 2),
        (6, 3),
        (6, 2),
        (6, 1),
        (6, 0),
    ],
    &[(4, 5), (3, 7), (3, 6), (3, 5), (4, 4), (4, 3), (3, 4), (3, 3), (4, 2), (5, 3), (5, 2), (6, 1), (5, 1), (6, 0)],
    &[(5, 3), (3, 7), (4, 5), (4, 4), (3, 6), (3, 5), (3, 4), (4, 3), (3, 3), (4, 2), (5, 2), (5, 1), (5, 0)],
    &[(4, 5), (4, 4), (4, 3), (3, 7), (3, 6), (3, 5), (3, 4), (3, 3), (4, 2), (5, 1), (4, 1), (5, 0)],
    &[(6, 1), (5, 1), (3, 7), (3, 6), (3, 5), (3, 4), (3, 3), (3, 2), (4, 1), (3, 1), (6, 0)],
    &[(6, 1), (5, 1), (3, 5), (3, 4), (3, 3), (2, 3), (3, 2), (4, 1), (3, 1), (6, 0)],
    &[(6, 1), (4, 1), (5, 1), (3, 3), (2, 3), (2, 2), (3, 2), (3, 1), (6, 0)],
    &[(6, 1), (6, 0), (4, 1), (2, 3), (2, 2), (3, 1), (2, 1), (5, 1)],
    &[(5, 1), (5, 0), (3, 1), (2, 3), (2, 2), (2, 1), (4, 1)],
    &[(4, 0), (4, 1), (3, 1), (3, 2), (1, 1), (3, 3)],
    &[(4, 0), (4, 1), (2, 1), (1, 1), (3, 1)],
    &[(3, 0), (3, 1), (1, 1), (2, 1)],
    &[(2, 0), (2, 1), (1, 1)],
    &[(1, 0), (1, 1)],
];

/// Table 9-9 (a).
const TOTAL_ZEROS_CHROMA_DC: [&[Code]; 3] =
    [&[(1, 1), (2, 1), (3, 1), (3, 0)], &[(1, 1), (2, 1), (2, 0)], &[(1, 1), (1, 0)]];

/// Table 9-10: `[zerosLeft - 1][run_before]`, the last row for seven and more.
const RUN_BEFORE: [&[Code]; 7] = [
    &[(1, 1), (1, 0)],
    &[(1, 1), (2, 1), (2, 0)],
    &[(2, 3), (2, 2), (2, 1), (2, 0)],
    &[(2, 3), (2, 2), (2, 1), (3, 1), (3, 0)],
    &[(2, 3), (2, 2), (3, 3), (3, 2), (3, 1), (3, 0)],
    &[(2, 3), (3, 0), (3, 1), (3, 3), (3, 2), (3, 5), (3, 4)],
    &[
        (3, 7),
        (3, 6),
        (3, 5),
        (3, 4),
        (3, 3),
        (3, 2),
        (3, 1),
        (4, 1),
        (5, 1),
        (6, 1),
        (7, 1),
        (8, 1),
        (9, 1),
        (10, 1),
        (11, 1),
    ],
];

fn put(writer: &mut BitWriter, (length, value): Code) {
    writer.bits(u32::from(value), u32::from(length));
}

/// `residual_block_cavlc` (7.3.5.3.2): `levels` in scan order, sixteen of them or four for
/// [`Context::ChromaDc`], each at most [`MAX_LEVEL`] in magnitude.
pub fn write_block(writer: &mut BitWriter, levels: &[i32], context: Context) {
    // Levels and the zeros before each, from the highest frequency down.
    let mut coded = [(0i32, 0usize); 16];
    let mut total = 0;
    let mut last = levels.len();
    for (position, &level) in levels.iter().enumerate().rev().filter(|(_, level)| **level != 0) {
        if total > 0 {
            coded[total - 1].1 = last - position - 1;
        }
        coded[total] = (level, position);
        last = position;
        total += 1;
    }
    let coded = &coded[..total];
    let trailing_ones = coded.iter().take(3).take_while(|(level, _)| level.abs() == 1).count();
    match context {
        Context::Sparse => put(writer, TOKEN_SPARSE[total][trailing_ones]),
        Context::ChromaDc => put(writer, TOKEN_CHROMA_DC[total][trailing_ones]),
        Context::Dense if total == 0 => writer.bits(3, 6),
        Context::Dense => writer.bits(((total - 1) << 2 | trailing_ones) as u32, 6),
    }
    for (level, _) in &coded[..trailing_ones] {
        writer.flag(*level < 0);
    }
    write_levels(writer, &coded[trailing_ones..], total, trailing_ones);
    if total == 0 || total == levels.len() {
        return;
    }
    let zeros: usize = coded.iter().map(|(_, run)| run).sum();
    match context {
        Context::ChromaDc => put(writer, TOTAL_ZEROS_CHROMA_DC[total - 1][zeros]),
        _ => put(writer, TOTAL_ZEROS[total - 1][zeros]),
    }
    let mut left = zeros;
    for (_, run) in &coded[..total - 1] {
        if left == 0 {
            break;
        }
        put(writer, RUN_BEFORE[left.min(7) - 1][*run]);
        left -= run;
    }
}

/// `level_prefix` and `level_suffix` (9.2.2.1) of the levels after the trailing ones.
fn write_levels(writer: &mut BitWriter, levels: &[(i32, usize)], total: usize, trailing_ones: usize) {
    let mut suffix_length = u32::from(total > 10 && trailing_ones < 3);
    for (index, &(level, _)) in levels.iter().enumerate() {
        debug_assert!(level.abs() <= MAX_LEVEL);
        let mut code = level.unsigned_abs() * 2 - 2 + u32::from(level < 0);
        if index == 0 && trailing_ones < 3 {
            code -= 2;
        }
        let (prefix, suffix, bits) = match suffix_length {
            0 if code < 14 => (code, 0, 0),
            0 if code < 30 => (14, code - 14, 4),
            0 => (15, code - 30, 12),
            n if code < 15 << n => (code >> n, code & ((1 << n) - 1), n),
            n => (15, code - (15 << n), 12),
        };
        writer.bits(1, prefix + 1);
        writer.bits(suffix, bits);
        suffix_length = suffix_length.max(1);
        if level.unsigned_abs() > 3 << (suffix_length - 1) && suffix_length < 6 {
            suffix_length += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No word of a table may begin another one, or decoders lose their way.
    fn assert_prefix_free(codes: impl Iterator<Item = Code>) {
        let codes: Vec<Code> = codes.filter(|(length, _)| *length > 0).collect();
        for (i, a) in codes.iter().enumerate() {
            for b in &codes[i + 1..] {
                let shared = a.0.min(b.0);
                assert_ne!(u16::from(a.1) >> (a.0 - shared), u16::from(b.1) >> (b.0 - shared), "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn every_table_can_be_decoded() {
        assert_prefix_free(TOKEN_SPARSE.into_iter().flatten());
        assert_prefix_free(TOKEN_CHROMA_DC.into_iter().flatten());
        for (index, table) in TOTAL_ZEROS.iter().enumerate() {
            assert_eq!(table.len(), 16 - index);
            assert_prefix_free(table.iter().copied());
        }
        TOTAL_ZEROS_CHROMA_DC.iter().for_each(|table| assert_prefix_free(table.iter().copied()));
        RUN_BEFORE.iter().for_each(|table| assert_prefix_free(table.iter().copied()));
    }

    #[test]
    fn a_block_is_coded_as_in_the_known_worked_example() {
        // The example of Richardson's "H.264 and MPEG-4 Video Compression": 0, 3, 0, 1, -1, -1, 0, 1, 0…
        let mut levels = [0; 16];
        levels[..8].copy_from_slice(&[0, 3, 0, 1, -1, -1, 0, 1]);
        let mut writer = BitWriter::nal(0, 8);
        write_block(&mut writer, &levels, Context::Sparse);
        // 0000100 0 1 1 1 0010 111 10 1 1 01, then the stop bit
        assert_eq!(writer.finish(), [0, 0b0000_1000, 0b1110_0101, 0b1110_1101, 0b1000_0000]);
    }
}
