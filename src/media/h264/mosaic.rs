//! A picture made of small flat cells: the most that DC coefficients alone can draw, and so the most that
//! our encoder codes without loss.

/// Side of a luma cell in samples.
pub const CELL: usize = 4;
/// Luma cells along a macroblock's side.
pub const LUMA_CELLS: usize = 4;
/// Chroma cells along a macroblock's side: a chroma cell covers 2x2 luma cells.
pub const CHROMA_CELLS: usize = 2;

/// The cells of one macroblock, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cells {
    pub luma: [u8; LUMA_CELLS * LUMA_CELLS],
    /// Cb and Cr.
    pub chroma: [[u8; CHROMA_CELLS * CHROMA_CELLS]; 2],
}

/// A 4:2:0 picture of whole macroblocks in which each 4x4 block of samples has one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mosaic {
    /// Width and height in macroblocks.
    mbs: (usize, usize),
    cells: Vec<Cells>,
}

impl Mosaic {
    /// A grey picture of `mbs.0` by `mbs.1` macroblocks.
    pub fn new(mbs: (usize, usize)) -> Self {
        let grey = Cells { luma: [128; 16], chroma: [[128; 4]; 2] };
        Self { mbs, cells: vec![grey; mbs.0 * mbs.1] }
    }

    /// Width and height in macroblocks.
    pub fn mbs(&self) -> (usize, usize) {
        self.mbs
    }

    /// All macroblocks in raster order.
    pub fn macroblocks(&self) -> &[Cells] {
        &self.cells
    }

    /// Luma at cell column `x`, row `y`.
    pub fn luma(&self, x: usize, y: usize) -> u8 {
        let cells = &self.cells[y / LUMA_CELLS * self.mbs.0 + x / LUMA_CELLS];
        cells.luma[y % LUMA_CELLS * LUMA_CELLS + x % LUMA_CELLS]
    }

    /// Cb (`plane` 0) or Cr (1) at chroma cell column `x`, row `y`.
    pub fn chroma(&self, plane: usize, x: usize, y: usize) -> u8 {
        let cells = &self.cells[y / CHROMA_CELLS * self.mbs.0 + x / CHROMA_CELLS];
        cells.chroma[plane][y % CHROMA_CELLS * CHROMA_CELLS + x % CHROMA_CELLS]
    }

    /// Sets one chroma cell, column `x` and row `y`, with the four luma cells under it, row by row.
    pub fn set(&mut self, x: usize, y: usize, luma: [u8; 4], chroma: [u8; 2]) {
        let cells = &mut self.cells[y / CHROMA_CELLS * self.mbs.0 + x / CHROMA_CELLS];
        let (x, y) = (x % CHROMA_CELLS, y % CHROMA_CELLS);
        let at = 2 * y * LUMA_CELLS + 2 * x;
        cells.luma[at..at + 2].copy_from_slice(&luma[..2]);
        cells.luma[at + LUMA_CELLS..at + LUMA_CELLS + 2].copy_from_slice(&luma[2..]);
        for (plane, value) in cells.chroma.iter_mut().zip(chroma) {
            plane[y * CHROMA_CELLS + x] = value;
        }
    }

    /// Sets a whole macroblock by its number in raster order.
    pub fn set_macroblock(&mut self, mb: usize, cells: Cells) {
        self.cells[mb] = cells;
    }

    /// Takes over all cells of `other`, a picture of the same size.
    pub fn copy_from(&mut self, other: &Mosaic) {
        self.cells.copy_from_slice(&other.cells);
    }
}
