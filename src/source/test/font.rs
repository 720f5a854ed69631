//! A five by seven bitmap font, smoothed where it is scaled up.

/// Size of a glyph in font pixels; one more column separates two glyphs.
pub const WIDTH: usize = 5;
pub const HEIGHT: usize = 7;

/// Rows from the top, five bits each; blank for characters that the card never shows.
fn glyph(character: char) -> [u8; HEIGHT] {
    match character {
        '0' => [0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e],
        '1' => [0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e],
        '2' => [0x0e, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1f],
        '3' => [0x1f, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0e],
        '4' => [0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02],
        '5' => [0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e],
        '6' => [0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e],
        '7' => [0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08],
        '8' => [0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e],
        '9' => [0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c],
        'A' => [0x0e, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11],
        'C' => [0x0e, 0x11, 0x10, 0x10, 0x10, 0x11, 0x0e],
        'E' => [0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f],
        'F' => [0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x10],
        'H' => [0x11, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11],
        'L' => [0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1f],
        'M' => [0x11, 0x1b, 0x15, 0x15, 0x11, 0x11, 0x11],
        'O' => [0x0e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e],
        'P' => [0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10, 0x10],
        'R' => [0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11],
        'S' => [0x0f, 0x10, 0x10, 0x0e, 0x01, 0x01, 0x1e],
        'T' => [0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04],
        'U' => [0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e],
        'x' => [0x00, 0x00, 0x11, 0x0a, 0x04, 0x0a, 0x11],
        ':' => [0x00, 0x06, 0x06, 0x00, 0x06, 0x06, 0x00],
        '.' => [0x00, 0x00, 0x00, 0x00, 0x00, 0x06, 0x06],
        _ => [0; HEIGHT],
    }
}

/// Distance of two glyphs' left edges in cells.
pub fn advance(scale: usize) -> usize {
    (WIDTH + 1) * scale
}

/// Width of a text of `characters` in cells at `scale` cells per font pixel.
pub fn text_width(characters: usize, scale: usize) -> usize {
    (characters * (WIDTH + 1)).saturating_sub(1) * scale
}

/// Glyphs at one scale, each cell's coverage by ink from 0 to 255.
#[derive(Debug)]
pub struct Face {
    scale: usize,
    glyphs: Vec<(char, Vec<u8>)>,
}

impl Face {
    /// Prerenders the characters of `alphabet` at `scale` cells per font pixel.
    pub fn new(scale: usize, alphabet: &str) -> Self {
        Self { scale, glyphs: alphabet.chars().map(|character| (character, render(character, scale))).collect() }
    }

    pub fn scale(&self) -> usize {
        self.scale
    }

    /// Width and height of one glyph in cells.
    pub fn glyph_size(&self) -> (usize, usize) {
        (WIDTH * self.scale, HEIGHT * self.scale)
    }

    /// Coverage of the glyph's cells row by row; `None` for what isn't in the alphabet, a blank.
    pub fn coverage(&self, character: char) -> Option<&[u8]> {
        self.glyphs.iter().find(|(known, _)| *known == character).map(|(_, cells)| &cells[..])
    }
}

/// Interpolates between the centres of font pixels and hardens the edge, which rounds the corners of diagonals.
fn render(character: char, scale: usize) -> Vec<u8> {
    let rows = glyph(character);
    let ink = |x: isize, y: isize| {
        let inside = (0..WIDTH as isize).contains(&x) && (0..HEIGHT as isize).contains(&y);
        if inside && rows[y as usize] >> (WIDTH as isize - 1 - x) & 1 == 1 { 1.0 } else { 0.0 }
    };
    let mut cells = Vec::with_capacity(WIDTH * HEIGHT * scale * scale);
    for row in 0..HEIGHT * scale {
        for column in 0..WIDTH * scale {
            let [x, y] = [column, row].map(|cell| (cell as f32 + 0.5) / scale as f32 - 0.5);
            let (left, top) = (x.floor(), y.floor());
            let (right_part, bottom_part) = (x - left, y - top);
            let (left, top) = (left as isize, top as isize);
            let upper = ink(left, top) * (1.0 - right_part) + ink(left + 1, top) * right_part;
            let lower = ink(left, top + 1) * (1.0 - right_part) + ink(left + 1, top + 1) * right_part;
            let value = upper * (1.0 - bottom_part) + lower * bottom_part;
            // Diagonals touch at corners only: ink is let run there where there are cells enough to see it.
            let edge = if scale > 2 { 0.4 } else { 0.5 };
            let hardened = ((value - edge) * scale.min(4) as f32 + 0.5).clamp(0.0, 1.0);
            cells.push((hardened * 255.0).round() as u8);
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_its_own_size_a_glyph_is_its_bitmap() {
        let face = Face::new(1, "1");
        let row: Vec<u8> = face.coverage('1').unwrap()[WIDTH..2 * WIDTH].to_vec();
        assert_eq!(row, [0, 255, 255, 0, 0]);
        assert!(face.coverage('2').is_none());
    }

    #[test]
    fn a_straight_stroke_stays_sharp_when_it_grows() {
        let face = Face::new(2, "L");
        assert_eq!(face.coverage('L').unwrap()[WIDTH * 4..][..WIDTH * 2], [255, 255, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
