//! A lossless H.264 encoder for [`Mosaic`] pictures: constrained baseline, CAVLC, no deblocking.
//!
//! Each changed macroblock is Intra_16x16 with DC prediction and nothing but DC coefficients: one byte where the
//! prediction is right, some twenty bytes for a piece of a digit, where I_PCM takes 385. An unchanged
//! macroblock of a P picture is skipped. I_PCM serves those who *want* many bytes.
//!
//! Why nothing is lost: at QP 10 the decoder's luma path (8.5.2, 8.5.10) comes to `r = (8 f + 32) >> 6` with
//! `f = H c H`, H the 4x4 Hadamard matrix and c the coded levels. Its inverse is `c = H r H / 2`, whole
//! or half. All sixteen halves occur together (the entries of H r H have equal parity), and
//! rounding them by a pattern whose own transform is flat changes each f by 2 only, which the last shift
//! swallows. Chroma (8.5.11) comes to `r = (16 f + 32) >> 6`, `c = H r H`, always whole.
use super::bitwriter::BitWriter;
use super::cavlc::{self, Context};
use super::mosaic::{CHROMA_CELLS, Cells, LUMA_CELLS, Mosaic};
use super::nal;
use super::parameters::FRAME_NUM_BITS;

/// Bytes of one I_PCM macroblock's samples (4:2:0, 8 bits).
pub const PCM_BYTES: usize = 384;

/// `mb_type` numbers in I slices (table 7-11); P slices count theirs from 5 (7.4.5).
const MB_INTRA_16X16_DC: u32 = 3;
const MB_CHROMA_DC: u32 = 4;
const MB_PCM: u32 = 25;
const MB_INTRA_IN_P: u32 = 5;

/// Frame zig-zag scan of a 4x4 block (table 8-2): raster index at each scan position.
const ZIGZAG: [usize; 16] = [0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15];

/// Which half steps are rounded up: a bent function, whose Hadamard transform is ±4 everywhere.
const ROUND_UP: [bool; 16] =
    [true, true, true, false, true, true, true, false, true, true, true, false, false, false, false, true];

/// Keeps what a decoder keeps: the last picture and the counters of the slice header.
#[derive(Debug)]
pub struct Encoder {
    shown: Mosaic,
    frame_num: u32,
    idr_pic_id: u32,
    /// Size of the last NAL unit in bytes: a guess for the next one.
    last_size: usize,
}

impl Encoder {
    /// For pictures of `mbs.0` by `mbs.1` macroblocks.
    pub fn new(mbs: (usize, usize)) -> Self {
        Self { shown: Mosaic::new(mbs), frame_num: 0, idr_pic_id: 0, last_size: 0 }
    }

    /// Codes `picture` as an IDR picture in one slice, a NAL unit. `pcm` tells, macroblock by macroblock, which ones go as I_PCM.
    pub fn idr(&mut self, picture: &Mosaic, pcm: &[bool]) -> Vec<u8> {
        self.frame_num = 0;
        self.idr_pic_id ^= 1; // two IDR pictures in a row must differ (7.4.3)
        self.slice(picture, pcm, true)
    }

    /// Codes `picture` as its difference from the last one: P slice, reference for the next.
    pub fn p(&mut self, picture: &Mosaic, pcm: &[bool]) -> Vec<u8> {
        self.frame_num = (self.frame_num + 1) % (1 << FRAME_NUM_BITS);
        self.slice(picture, pcm, false)
    }

    fn slice(&mut self, picture: &Mosaic, pcm: &[bool], idr: bool) -> Vec<u8> {
        let header = 3 << 5 | if idr { nal::IDR } else { nal::SLICE };
        let mut w = BitWriter::nal(header, self.last_size + 1024);
        self.slice_header(&mut w, idr);
        let (width, height) = picture.mbs();
        let mut skipped = 0;
        for y in 0..height {
            for x in 0..width {
                let at = y * width + x;
                let cells = &picture.macroblocks()[at];
                if !idr {
                    if !pcm[at] && *cells == self.shown.macroblocks()[at] {
                        skipped += 1;
                        continue;
                    }
                    w.ue(skipped); // mb_skip_run
                    skipped = 0;
                }
                let base = if idr { 0 } else { MB_INTRA_IN_P };
                if pcm[at] {
                    w.ue(base + MB_PCM);
                    write_pcm(&mut w, cells);
                } else {
                    let beside_pcm = (x > 0 && pcm[at - 1]) || (y > 0 && pcm[at - width]);
                    write_intra(&mut w, base, cells, picture, (x, y), beside_pcm);
                }
            }
        }
        if skipped > 0 {
            w.ue(skipped);
        }
        self.shown.copy_from(picture);
        let nal = w.finish();
        self.last_size = nal.len();
        nal
    }

    /// `slice_header` (7.3.3) for our parameter sets.
    fn slice_header(&self, w: &mut BitWriter, idr: bool) {
        w.ue(0); // first_mb_in_slice
        w.ue(if idr { 7 } else { 5 }); // slice_type: all slices of the picture are I, or P
        w.ue(0); // pic_parameter_set_id
        w.bits(self.frame_num, FRAME_NUM_BITS);
        if idr {
            w.ue(self.idr_pic_id);
            w.flag(false); // no_output_of_prior_pics_flag
            w.flag(false); // long_term_reference_flag
        } else {
            w.flag(false); // num_ref_idx_active_override_flag
            w.flag(false); // ref_pic_list_modification_flag_l0
            w.flag(false); // adaptive_ref_pic_marking_mode_flag
        }
        w.se(0); // slice_qp_delta
        w.ue(1); // disable_deblocking_filter_idc
    }
}

/// `pcm_sample_luma` and `pcm_sample_chroma` (7.3.5).
fn write_pcm(w: &mut BitWriter, cells: &Cells) {
    let mut samples = [0; PCM_BYTES];
    let (luma, chroma) = samples.split_at_mut(256);
    for (index, sample) in luma.iter_mut().enumerate() {
        *sample = cells.luma[index / 64 * LUMA_CELLS + index % 16 / 4];
    }
    for (index, sample) in chroma.iter_mut().enumerate() {
        let (plane, index) = (index / 64, index % 64);
        *sample = cells.chroma[plane][index / 32 * CHROMA_CELLS + index % 8 / 4];
    }
    w.aligned_bytes(&samples);
}

/// One Intra_16x16 macroblock (7.3.5) with DC prediction and DC levels only.
fn write_intra(w: &mut BitWriter, base: u32, cells: &Cells, picture: &Mosaic, at: (usize, usize), beside_pcm: bool) {
    let luma = luma_levels(cells, luma_prediction(picture, at));
    let chroma: [[i32; 4]; 2] = std::array::from_fn(|plane| chroma_levels(cells, picture, plane, at));
    let coloured = chroma.iter().flatten().any(|level| *level != 0);
    w.ue(base + MB_INTRA_16X16_DC + if coloured { MB_CHROMA_DC } else { 0 });
    w.ue(0); // intra_chroma_pred_mode: DC
    w.se(0); // mb_qp_delta
    // The neighbours' counts (9.2.1) are 16 for I_PCM and 0 for all else that we write.
    cavlc::write_block(w, &luma, if beside_pcm { Context::Dense } else { Context::Sparse });
    if coloured {
        for levels in &chroma {
            cavlc::write_block(w, levels, Context::ChromaDc);
        }
    }
}

/// Intra_16x16_DC prediction (8.3.3.3) from cells: each stands for four equal samples.
fn luma_prediction(picture: &Mosaic, (x, y): (usize, usize)) -> i32 {
    let (x, y) = (x * LUMA_CELLS, y * LUMA_CELLS);
    let above = || (0..LUMA_CELLS).map(|i| i32::from(picture.luma(x + i, y - 1))).sum::<i32>();
    let left = || (0..LUMA_CELLS).map(|i| i32::from(picture.luma(x - 1, y + i))).sum::<i32>();
    match (x > 0, y > 0) {
        (true, true) => (4 * (above() + left()) + 16) >> 5,
        (true, false) => (4 * left() + 8) >> 4,
        (false, true) => (4 * above() + 8) >> 4,
        (false, false) => 128,
    }
}

/// Levels in scan order that turn `prediction` into the macroblock's luma.
fn luma_levels(cells: &Cells, prediction: i32) -> [i32; 16] {
    let mut f: [i32; 16] = std::array::from_fn(|i| i32::from(cells.luma[i]) - prediction);
    if f.iter().all(|r| *r == 0) {
        return f;
    }
    for row in 0..4 {
        hadamard(&mut f, row * 4, 1);
    }
    for column in 0..4 {
        hadamard(&mut f, column, 4);
    }
    ZIGZAG.map(|i| (f[i] + i32::from(ROUND_UP[i])) >> 1)
}

/// Four values from `start`, `step` apart, by the matrix of 8.5.10.
fn hadamard(values: &mut [i32; 16], start: usize, step: usize) {
    let [a, b, c, d] = [0, 1, 2, 3].map(|i| values[start + i * step]);
    values[start] = a + b + c + d;
    values[start + step] = a + b - c - d;
    values[start + 2 * step] = a - b - c + d;
    values[start + 3 * step] = a - b + c - d;
}

/// Chroma DC prediction (8.3.4.1 to 8.3.4.3) and the levels in raster order (8.5.11.1).
fn chroma_levels(cells: &Cells, picture: &Mosaic, plane: usize, (x, y): (usize, usize)) -> [i32; 4] {
    let (x, y) = (x * CHROMA_CELLS, y * CHROMA_CELLS);
    let r: [i32; 4] = std::array::from_fn(|i| {
        let (column, row) = (i % CHROMA_CELLS, i / CHROMA_CELLS);
        let above = (y > 0).then(|| i32::from(picture.chroma(plane, x + column, y - 1)));
        let left = (x > 0).then(|| i32::from(picture.chroma(plane, x - 1, y + row)));
        let prediction = match (i, above, left) {
            (0 | 3, Some(above), Some(left)) => (4 * (above + left) + 4) >> 3,
            (1, Some(above), _) => above,
            (2, _, Some(left)) => left,
            (_, above, left) => above.or(left).unwrap_or(128),
        };
        i32::from(cells.chroma[plane][i]) - prediction
    });
    [r[0] + r[1] + r[2] + r[3], r[0] - r[1] + r[2] - r[3], r[0] + r[1] - r[2] - r[3], r[0] - r[1] - r[2] + r[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The decoder's side of 8.5.2 and 8.5.10 at QP 10, down to the residual of each cell.
    fn decode_luma(levels: [i32; 16]) -> [i32; 16] {
        let mut f = [0; 16];
        for (level, at) in levels.into_iter().zip(ZIGZAG) {
            f[at] = level;
        }
        (0..4).for_each(|row| hadamard(&mut f, row * 4, 1));
        (0..4).for_each(|column| hadamard(&mut f, column, 4));
        f.map(|f| (((f * 256 + 16) >> 5) + 32) >> 6)
    }

    #[test]
    fn every_cell_comes_back_exactly_as_it_went_in() {
        let mut state = 1u32;
        for round in 0..20_000 {
            let luma = std::array::from_fn(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let value = (state >> 24) as u8;
                if round % 2 == 0 { value } else { value / 128 * 255 }
            });
            let levels = luma_levels(&Cells { luma, chroma: [[0; 4]; 2] }, round % 256);
            assert!(levels.iter().all(|level| level.abs() <= cavlc::MAX_LEVEL));
            assert_eq!(decode_luma(levels), luma.map(|value| i32::from(value) - round % 256));
        }
    }

    #[test]
    fn an_unchanged_picture_costs_a_handful_of_bytes() {
        let picture = Mosaic::new((40, 23));
        let mut encoder = Encoder::new((40, 23));
        let pcm = vec![false; 40 * 23];
        assert!(encoder.idr(&picture, &pcm).len() < 40 * 23 + 16);
        assert!(encoder.p(&picture, &pcm).len() < 12);
    }
}
