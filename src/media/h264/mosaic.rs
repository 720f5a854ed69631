//! A picture made of small flat cells: the most that DC coefficients alone can draw, and so the most that
//! our encoder codes without loss.

/// Side of a luma cell in samples.
pub const CELL: usize = 4;
/// Luma cells along a macroblock's side.
pub const LUMA_CELLS: usize = 4;
/// Chroma cells along a macroblock's side: a chroma cell covers 2x2 luma cells.
pub const CHROMA_CELLS: usize = 2;

/// A 4:2:0 picture of whole macroblocks in which each 4x4 block of samples has one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mosaic {
    /// Width and height in macroblocks.
    mbs: (usize, usize),
    luma: Vec<u8>,
    /// Cb and Cr.
    chroma: [Vec<u8>; 2],
}

/// The cells of one macroblock, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cells {
    pub luma: [u8; LUMA_CELLS * LUMA_CELLS],
    pub chroma: [[u8; CHROMA_CELLS * CHROMA_CELLS]; 2],
}

impl Mosaic {
    /// A grey picture of `mbs.0` by `mbs.1` macroblocks.
    pub fn new(mbs: (usize, usize)) -> Self {
        let count = mbs.0 * mbs.1;
        let chroma = vec![128; count * CHROMA_CELLS * CHROMA_CELLS];
        Self { mbs, luma: vec![128; count * LUMA_CELLS * LUMA_CELLS], chroma: [chroma.clone(), chroma] }
    }

    /// Width and height in macroblocks.
    pub fn mbs(&self) -> (usize, usize) {
        self.mbs
    }

    /// Luma at cell column `x`, row `y`.
    pub fn luma(&self, x: usize, y: usize) -> u8 {
        self.luma[y * self.mbs.0 * LUMA_CELLS + x]
    }

    /// Cb (`plane` 0) or Cr (1) at chroma cell column `x`, row `y`.
    pub fn chroma(&self, plane: usize, x: usize, y: usize) -> u8 {
        self.chroma[plane][y * self.mbs.0 * CHROMA_CELLS + x]
    }

    pub fn set_luma(&mut self, x: usize, y: usize, value: u8) {
        self.luma[y * self.mbs.0 * LUMA_CELLS + x] = value;
    }

    pub fn set_chroma(&mut self, x: usize, y: usize, values: [u8; 2]) {
        let at = y * self.mbs.0 * CHROMA_CELLS + x;
        self.chroma[0][at] = values[0];
        self.chroma[1][at] = values[1];
    }

    /// The cells of the macroblock at column `x`, row `y`.
    pub fn macroblock(&self, x: usize, y: usize) -> Cells {
        let mut cells = Cells { luma: [0; 16], chroma: [[0; 4]; 2] };
        for row in 0..LUMA_CELLS {
            let from = (y * LUMA_CELLS + row) * self.mbs.0 * LUMA_CELLS + x * LUMA_CELLS;
            cells.luma[row * LUMA_CELLS..][..LUMA_CELLS].copy_from_slice(&self.luma[from..from + LUMA_CELLS]);
        }
        for (plane, values) in self.chroma.iter().zip(&mut cells.chroma) {
            for row in 0..CHROMA_CELLS {
                let from = (y * CHROMA_CELLS + row) * self.mbs.0 * CHROMA_CELLS + x * CHROMA_CELLS;
                values[row * CHROMA_CELLS..][..CHROMA_CELLS].copy_from_slice(&plane[from..from + CHROMA_CELLS]);
            }
        }
        cells
    }

    /// Is the macroblock at column `x`, row `y` the same in `other`, a picture of the same size?
    pub fn same_macroblock(&self, other: &Mosaic, x: usize, y: usize) -> bool {
        let same = |ours: &[u8], theirs: &[u8], cells: usize| {
            let stride = self.mbs.0 * cells;
            let from = y * cells * stride + x * cells;
            (0..cells).all(|row| {
                let at = from + row * stride;
                ours[at..at + cells] == theirs[at..at + cells]
            })
        };
        same(&self.luma, &other.luma, LUMA_CELLS)
            && self.chroma.iter().zip(&other.chroma).all(|(ours, theirs)| same(ours, theirs, CHROMA_CELLS))
    }

    /// Takes over all cells of `other`, a picture of the same size.
    pub fn copy_from(&mut self, other: &Mosaic) {
        self.luma.copy_from_slice(&other.luma);
        for (to, from) in self.chroma.iter_mut().zip(&other.chroma) {
            to.copy_from_slice(from);
        }
    }
}
