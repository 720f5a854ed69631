//! Where things stand on the test card, in cells of 4x4 samples, for every size that the camera allows.
use super::code;
use super::font::{HEIGHT, text_width};
use crate::media::h264::mosaic::{CELL, LUMA_CELLS};

/// The card is drawn for 160x90 cells and scaled up in whole steps; what is smaller shows the essential only.
const DESIGN: (usize, usize) = (160, 90);
/// Clock texts from the longest to the shortest: `HH:MM:SS.mmm`, `MM:SS.mmm`, `SS.mmm`, the last one the whole second of a tiny picture.
const CLOCK_TEXTS: [(usize, usize); 4] = [(0, 12), (3, 9), (6, 6), (6, 2)];
/// Digits of the frame counter that people read.
pub const COUNTER_DIGITS: usize = 7;
/// What the camera calls itself.
pub const TITLE: &str = "PORTHOLE";

/// A rectangle of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    pub x: usize,
    pub y: usize,
    pub width: usize,
    pub height: usize,
}

/// A place for text: top left corner and scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    pub x: usize,
    pub y: usize,
    pub scale: usize,
}

/// What only a picture of the full design shows.
#[derive(Clone, Copy, Debug)]
pub struct Decoration {
    /// Cells for each unit of the design.
    pub unit: usize,
    /// Centre and outer radius of the porthole.
    pub porthole: (usize, usize, usize),
    pub subtitle: Text,
    pub frame_label: Text,
    pub utc_label: Text,
}

#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Visible cells; a cell that is cut counts.
    pub cells: (usize, usize),
    /// Both code rows, if the picture has room for them.
    pub code: Option<Rect>,
    /// The lower part, which holds all that follows.
    pub panel: Rect,
    pub clock: Text,
    /// First character and length of the part of `HH:MM:SS.mmm` that fits.
    pub clock_text: (usize, usize),
    pub counter: Option<Text>,
    /// Along which the box runs.
    pub track: Rect,
    pub title: Option<Text>,
    pub decoration: Option<Decoration>,
}

impl Layout {
    /// For a picture of `size` samples.
    pub fn new(size: (u32, u32)) -> Self {
        let cells = ((size.0 as usize).div_ceil(CELL), (size.1 as usize).div_ceil(CELL));
        let code_height = (size.1 as usize * 2 * code::ROW_PARTS).div_ceil(code::HEIGHT_PARTS * CELL);
        let coded = size.0 >= code::MIN_SIZE.0 && size.1 >= code::MIN_SIZE.1;
        let code = coded.then_some(Rect { x: 0, y: 0, width: cells.0, height: code_height });
        match (cells.0 / DESIGN.0).min(cells.1 / DESIGN.1) {
            0 => Self::compact(cells, code),
            unit => Self::full(cells, code, unit),
        }
    }

    fn full(cells: (usize, usize), code: Option<Rect>, unit: usize) -> Self {
        let origin = ((cells.0 - DESIGN.0 * unit) / 2, (cells.1 - DESIGN.1 * unit) / 2);
        let at = |x: usize, y: usize, scale: usize| Text { x: origin.0 + x * unit, y: origin.1 + y * unit, scale };
        let panel_y = (origin.1 + 46 * unit).next_multiple_of(LUMA_CELLS);
        let track = at(9, 83, unit);
        Self {
            cells,
            code,
            panel: Rect { x: 0, y: panel_y, width: cells.0, height: cells.1 - panel_y },
            clock: at(9, 50, 2 * unit),
            clock_text: CLOCK_TEXTS[0],
            counter: Some(at(44, 66, 2 * unit)),
            track: Rect { x: track.x, y: track.y, width: 142 * unit, height: 4 * unit },
            title: Some(at(52, 16, 2 * unit)),
            decoration: Some(Decoration {
                unit,
                porthole: (origin.0 + 26 * unit, origin.1 + 28 * unit, 16 * unit),
                subtitle: at(52, 34, unit),
                frame_label: at(9, 70, unit),
                utc_label: at(134, 70, unit),
            }),
        }
    }

    fn compact(cells: (usize, usize), code: Option<Rect>) -> Self {
        let fits = |text: &&(usize, usize)| text_width(text.1, 1) + 2 <= cells.0;
        let clock_text = *CLOCK_TEXTS.iter().find(fits).unwrap_or(&CLOCK_TEXTS[CLOCK_TEXTS.len() - 1]);
        let lines = if cells.1 >= 4 * HEIGHT { 2 } else { 1 };
        let panel_y = (cells.1 - lines * (HEIGHT + 1) - 3).max(LUMA_CELLS) / LUMA_CELLS * LUMA_CELLS;
        let top = code.map_or(0, |code| code.height);
        let room = panel_y.saturating_sub(top);
        let title_fits = text_width(TITLE.len(), 1) <= cells.0 && HEIGHT + 2 <= room;
        let centred = |characters: usize| cells.0.saturating_sub(text_width(characters, 1)) / 2;
        Self {
            cells,
            code,
            panel: Rect { x: 0, y: panel_y, width: cells.0, height: cells.1 - panel_y },
            clock: Text { x: centred(clock_text.1), y: cells.1 - HEIGHT - 3, scale: 1 },
            clock_text,
            counter: (lines == 2 && cells.0 > text_width(COUNTER_DIGITS, 1)).then(|| Text {
                x: centred(COUNTER_DIGITS),
                y: cells.1 - 2 * HEIGHT - 4,
                scale: 1,
            }),
            track: Rect { x: 0, y: cells.1 - 2, width: cells.0, height: 2 },
            title: title_fits.then(|| Text { x: centred(TITLE.len()), y: top + (room - HEIGHT) / 2, scale: 1 }),
            decoration: None,
        }
    }

    /// Rows of whole macroblocks between code and panel: what noise may fill.
    pub fn free_mb_rows(&self) -> std::ops::Range<usize> {
        let below_code = self.code.map_or(0, |code| code.height.div_ceil(LUMA_CELLS));
        below_code..self.panel.y / LUMA_CELLS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_stays_inside_pictures_of_all_sizes() {
        for width in (64..=1920).step_by(34) {
            for height in (64..=1088).step_by(30) {
                let layout = Layout::new((width, height));
                let inside = |x: usize, y: usize| assert!(x <= layout.cells.0 && y <= layout.cells.1, "{layout:?}");
                let text = |text: Text, characters| {
                    inside(text.x + text_width(characters, text.scale), text.y + HEIGHT * text.scale);
                };
                text(layout.clock, layout.clock_text.1);
                assert!(layout.clock.y >= layout.panel.y, "{layout:?}");
                layout.title.into_iter().for_each(|title| text(title, TITLE.len()));
                layout.counter.into_iter().for_each(|counter| text(counter, COUNTER_DIGITS));
                inside(layout.track.x + layout.track.width, layout.track.y + layout.track.height);
                assert!(!layout.free_mb_rows().is_empty(), "{layout:?}");
            }
        }
    }
}
