//! A drawing surface of coloured cells, and how it becomes a 4:2:0 [`Mosaic`].
use super::font::{Face, advance};
use super::layout::Rect;
use crate::media::h264::mosaic::{LUMA_CELLS, Mosaic};

/// Y, Cb, Cr in BT.709, limited range, as the SPS tells decoders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub [u8; 3]);

impl Colour {
    pub const BLACK: Colour = Colour([16, 128, 128]);
    pub const WHITE: Colour = Colour([235, 128, 128]);

    /// From red, green and blue of 0 to 255.
    pub const fn rgb(r: i32, g: i32, b: i32) -> Colour {
        let y = 16 + ((47 * r + 157 * g + 16 * b + 128) >> 8);
        let cb = 128 + ((-26 * r - 86 * g + 112 * b + 128) >> 8);
        let cr = 128 + ((112 * r - 102 * g - 10 * b + 128) >> 8);
        Colour([y as u8, cb as u8, cr as u8])
    }

    /// `other` laid over this colour, `alpha` of 255 opaque.
    pub fn under(self, other: Colour, alpha: u8) -> Colour {
        let alpha = i32::from(alpha);
        Colour(std::array::from_fn(|i| {
            let (below, above) = (i32::from(self.0[i]), i32::from(other.0[i]));
            ((below * (255 - alpha) + above * alpha + 127) / 255) as u8
        }))
    }
}

/// Cells row by row, whole macroblocks.
#[derive(Clone, Debug)]
pub struct Canvas {
    width: usize,
    height: usize,
    cells: Vec<Colour>,
}

impl Canvas {
    pub fn new(mbs: (usize, usize), colour: Colour) -> Self {
        let (width, height) = (mbs.0 * LUMA_CELLS, mbs.1 * LUMA_CELLS);
        Self { width, height, cells: vec![colour; width * height] }
    }

    /// Everything.
    pub fn bounds(&self) -> Rect {
        Rect { x: 0, y: 0, width: self.width, height: self.height }
    }

    pub fn set(&mut self, x: usize, y: usize, colour: Colour) {
        self.cells[y * self.width + x] = colour;
    }

    pub fn blend(&mut self, x: usize, y: usize, colour: Colour, alpha: u8) {
        let cell = &mut self.cells[y * self.width + x];
        *cell = cell.under(colour, alpha);
    }

    pub fn fill(&mut self, rect: Rect, colour: Colour) {
        for y in rect.y..rect.y + rect.height {
            self.cells[y * self.width + rect.x..][..rect.width].fill(colour);
        }
    }

    /// Takes the cells of `rect` from `other`, a canvas of the same size.
    pub fn restore(&mut self, rect: Rect, other: &Canvas) {
        for y in rect.y..rect.y + rect.height {
            let from = y * self.width + rect.x;
            self.cells[from..from + rect.width].copy_from_slice(&other.cells[from..from + rect.width]);
        }
    }

    /// Writes `text` with its top left corner at (`x`, `y`); characters that the face doesn't know are blanks.
    pub fn text(&mut self, face: &Face, x: usize, y: usize, text: &str, colour: Colour) {
        let (width, _) = face.glyph_size();
        for (index, character) in text.chars().enumerate() {
            let left = x + index * advance(face.scale());
            for (row, coverage) in face.coverage(character).unwrap_or(&[]).chunks(width).enumerate() {
                for (column, alpha) in coverage.iter().enumerate().filter(|(_, alpha)| **alpha > 0) {
                    self.blend(left + column, y + row, colour, *alpha);
                }
            }
        }
    }

    /// Brings `rect` into the picture; a chroma cell is the mean of its four cells.
    pub fn develop(&self, rect: Rect, picture: &mut Mosaic) {
        for y in rect.y / 2..(rect.y + rect.height).div_ceil(2) {
            let (upper, lower) = self.cells[2 * y * self.width..][..2 * self.width].split_at(self.width);
            for x in rect.x / 2..(rect.x + rect.width).div_ceil(2) {
                let four = [upper[2 * x], upper[2 * x + 1], lower[2 * x], lower[2 * x + 1]].map(|colour| colour.0);
                let mean = |i: usize| (four.iter().map(|cell| u16::from(cell[i])).sum::<u16>() + 2) / 4;
                picture.set(x, y, four.map(|cell| cell[0]), [mean(1) as u8, mean(2) as u8]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_bt_709() {
        assert_eq!(Colour::rgb(255, 255, 255), Colour::WHITE);
        assert_eq!(Colour::rgb(0, 0, 0), Colour::BLACK);
        assert_eq!(Colour::rgb(255, 0, 0), Colour([63, 102, 240]));
    }

    #[test]
    fn an_opaque_colour_covers_and_a_clear_one_does_not() {
        assert_eq!(Colour::BLACK.under(Colour::WHITE, 255), Colour::WHITE);
        assert_eq!(Colour::BLACK.under(Colour::WHITE, 0), Colour::BLACK);
    }
}
