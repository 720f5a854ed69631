//! What the test camera films: a porthole with a sea, a clock, a counter, a running box.
use super::canvas::{Canvas, Colour};
use super::code;
use super::font::{Face, advance};
use super::layout::{COUNTER_DIGITS, Decoration, Layout, Rect, TITLE, Text};
use super::options::{Pattern, TestOptions};
use crate::media::h264::mosaic::{CELL, Mosaic};
use std::f32::consts::TAU;
use std::time::Duration;

const WALL: Colour = Colour::rgb(28, 58, 92);
const PANEL: Colour = Colour::rgb(14, 28, 48);
const TEXT: Colour = Colour::rgb(255, 248, 232);
const SOFT_TEXT: Colour = Colour::rgb(150, 184, 214);
const ACCENT: Colour = Colour::rgb(255, 168, 60);
const TRACK: Colour = Colour::rgb(34, 58, 88);
const BRASS: Colour = Colour::rgb(214, 164, 72);
const BRASS_SHADE: Colour = Colour::rgb(140, 98, 36);
const SKY: Colour = Colour::rgb(158, 214, 240);
const SUN: Colour = Colour::rgb(255, 226, 110);
const FAR_SEA: Colour = Colour::rgb(52, 150, 190);
const NEAR_SEA: Colour = Colour::rgb(22, 100, 152);
/// 75 % colour bars from white to black.
const BARS: [Colour; 8] = [
    Colour::rgb(191, 191, 191),
    Colour::rgb(191, 191, 0),
    Colour::rgb(0, 191, 191),
    Colour::rgb(0, 191, 0),
    Colour::rgb(191, 0, 191),
    Colour::rgb(191, 0, 0),
    Colour::rgb(0, 0, 191),
    Colour::rgb(0, 0, 0),
];

/// How long the box takes from the left end to the right one and back.
const TRACK_PERIOD_MS: u32 = 4_000;
/// One wave passes in this time.
const WAVE_PERIOD_MS: u32 = 3_000;
const DIGITS: &str = "0123456789:.";

/// Draws one picture after the other; what doesn't move is drawn once.
#[derive(Debug)]
pub struct Card {
    layout: Layout,
    /// Code block above each visible cell column.
    code_columns: Vec<usize>,
    /// Visible height in samples.
    height: usize,
    background: Canvas,
    canvas: Canvas,
    clock: Line,
    counter: Option<Line>,
    porthole: Option<Porthole>,
}

impl Card {
    /// The card and a picture of its still parts.
    pub fn new(options: &TestOptions) -> (Self, Mosaic) {
        let layout = Layout::new(options.size);
        let mbs = options.format().mbs();
        let mut background = Canvas::new(mbs, WALL);
        if options.pattern == Pattern::Bars {
            for (index, colour) in BARS.into_iter().enumerate() {
                let from = index * layout.cells.0 / BARS.len();
                let bounds = background.bounds();
                background.fill(Rect { x: from, width: bounds.width - from, ..bounds }, colour);
            }
        }
        background.fill(layout.panel, PANEL);
        background.fill(layout.track, TRACK);
        let mut porthole = None;
        let mut write = |at: Text, text: &str, colour| {
            background.text(&Face::new(at.scale, text), at.x, at.y, text, colour);
        };
        if let Some(title) = layout.title.filter(|_| options.pattern == Pattern::Clock) {
            write(title, TITLE, TEXT);
        }
        if let Some(decoration) = &layout.decoration {
            let Decoration { unit, subtitle, frame_label, utc_label, .. } = *decoration;
            write(frame_label, "FRAME", SOFT_TEXT);
            write(utc_label, "UTC", SOFT_TEXT);
            if options.pattern == Pattern::Clock {
                let (width, height) = options.size;
                write(subtitle, &format!("{width}x{height} {} FPS", options.fps), SOFT_TEXT);
                porthole = Some(Porthole::new(decoration.porthole, unit, &mut background));
            }
        }
        let mut picture = Mosaic::new(mbs);
        background.develop(background.bounds(), &mut picture);
        let card = Self {
            layout,
            code_columns: (0..layout.cells.0).map(|x| code_column(x, options.size.0 as usize)).collect(),
            height: options.size.1 as usize,
            canvas: background.clone(),
            background,
            clock: Line::new(layout.clock, TEXT, layout.clock_text.1),
            // Chroma is too coarse for strokes one cell wide.
            counter: layout
                .counter
                .map(|at| Line::new(at, if at.scale > 1 { ACCENT } else { SOFT_TEXT }, COUNTER_DIGITS)),
            porthole,
        };
        (card, picture)
    }

    /// Draws frame `n` as of `wall_clock` (since 1970, UTC) into `picture`, which holds the frame before.
    pub fn draw(&mut self, n: u32, wall_clock: Duration, picture: &mut Mosaic) {
        if let Some(rect) = self.layout.code {
            self.draw_code(rect, n, wall_clock);
            self.canvas.develop(rect, picture);
        }
        let (from, length) = self.layout.clock_text;
        let clock = clock_text(wall_clock);
        self.clock.draw(&clock[from..from + length], &mut self.canvas, &self.background, picture);
        if let Some(counter) = &mut self.counter {
            let number = format!("{:0COUNTER_DIGITS$}", n % 10u32.pow(COUNTER_DIGITS as u32));
            counter.draw(&number, &mut self.canvas, &self.background, picture);
        }
        self.draw_track(wall_clock);
        self.canvas.develop(self.layout.track, picture);
        if let Some(porthole) = &self.porthole {
            porthole.draw_sea(&mut self.canvas, wall_clock);
            self.canvas.develop(porthole.sea, picture);
        }
    }

    fn draw_code(&mut self, rect: Rect, n: u32, wall_clock: Duration) {
        let rows = [code::row(n), code::row(wall_clock.as_millis() as u32)];
        for y in 0..rect.height {
            // By the cell's centre; a cell that the lower edge cuts belongs to the lower row.
            let row = ((y * CELL + CELL / 2) * code::HEIGHT_PARTS / (self.height * code::ROW_PARTS)).min(1);
            for (x, column) in self.code_columns.iter().enumerate() {
                let white = code::white(rows[row], *column);
                self.canvas.set(x, y, if white { Colour::WHITE } else { Colour::BLACK });
            }
        }
    }

    /// The box is eight times as long as high; its ends move by fractions of a cell.
    fn draw_track(&mut self, wall_clock: Duration) {
        let track = self.layout.track;
        let length = (track.height * 4).min(track.width / 4) as f32;
        let way = track.width as f32 - length;
        let phase = phase(wall_clock, TRACK_PERIOD_MS) * 2.0;
        let from = way * if phase < 1.0 { phase } else { 2.0 - phase };
        self.canvas.restore(track, &self.background);
        for x in 0..track.width {
            let covered = ((x + 1) as f32).min(from + length) - (x as f32).max(from);
            if covered > 0.0 {
                for y in track.y..track.y + track.height {
                    self.canvas.blend(track.x + x, y, ACCENT, (covered * 255.0) as u8);
                }
            }
        }
    }
}

/// Digits that change from frame to frame: only those that differ are drawn again.
#[derive(Debug)]
struct Line {
    at: Text,
    face: Face,
    colour: Colour,
    shown: Vec<char>,
}

impl Line {
    fn new(at: Text, colour: Colour, characters: usize) -> Self {
        Self { at, face: Face::new(at.scale, DIGITS), colour, shown: vec![' '; characters] }
    }

    fn draw(&mut self, text: &str, canvas: &mut Canvas, background: &Canvas, picture: &mut Mosaic) {
        let (width, height) = self.face.glyph_size();
        for (index, (character, shown)) in text.chars().zip(&mut self.shown).enumerate() {
            if character != *shown {
                let x = self.at.x + index * advance(self.at.scale);
                let rect = Rect { x, y: self.at.y, width, height };
                canvas.restore(rect, background);
                canvas.text(&self.face, x, self.at.y, character.encode_utf8(&mut [0; 4]), self.colour);
                canvas.develop(rect, picture);
                *shown = character;
            }
        }
    }
}

/// The window to the sea.
#[derive(Debug)]
struct Porthole {
    centre: (f32, f32),
    glass: f32,
    unit: f32,
    /// The part that moves.
    sea: Rect,
}

impl Porthole {
    /// Draws all that stands still; what moves lies within `sea`.
    fn new((x, y, radius): (usize, usize, usize), unit: usize, canvas: &mut Canvas) -> Self {
        let centre = (x as f32, y as f32);
        let glass = radius as f32 * 0.76;
        let half = glass.ceil() as usize;
        let sea = Rect { x: x - half, y, width: 2 * half, height: 8 * unit };
        let porthole = Self { centre, glass, unit: unit as f32, sea };
        let rim = (radius as f32 + glass) / 2.0;
        for cell_y in y - radius..y + radius {
            for cell_x in x - radius..x + radius {
                let at = (cell_x as f32 + 0.5, cell_y as f32 + 0.5);
                canvas.blend(cell_x, cell_y, BRASS, disc(at, centre, radius as f32));
                for rivet in 0..8 {
                    let angle = (rivet as f32 + 0.5) * TAU / 8.0;
                    let middle = (centre.0 + rim * angle.cos(), centre.1 + rim * angle.sin());
                    canvas.blend(cell_x, cell_y, BRASS_SHADE, disc(at, middle, unit as f32));
                }
                canvas.blend(cell_x, cell_y, BRASS_SHADE, disc(at, centre, glass + unit as f32 * 0.6));
            }
        }
        let whole = Rect { x: x - half, y: y - half, width: 2 * half, height: 2 * half };
        porthole.draw_view(canvas, whole, Duration::ZERO);
        porthole
    }

    fn draw_sea(&self, canvas: &mut Canvas, wall_clock: Duration) {
        self.draw_view(canvas, self.sea, wall_clock);
    }

    /// Sky, sun and two rows of waves, as far as they lie in `rect`.
    fn draw_view(&self, canvas: &mut Canvas, rect: Rect, wall_clock: Duration) {
        let swing = phase(wall_clock, WAVE_PERIOD_MS) * TAU;
        let sun = (self.centre.0 + 4.0 * self.unit, self.centre.1 - 4.0 * self.unit);
        for x in rect.x..rect.x + rect.width {
            let across = (x as f32 - self.centre.0) / self.unit;
            let far = self.centre.1 + self.unit * (2.5 + 1.2 * (across * 0.55 - swing).sin());
            let near = self.centre.1 + self.unit * (5.2 + 1.6 * (across * 0.4 + swing).sin());
            for y in rect.y..rect.y + rect.height {
                let at = (x as f32 + 0.5, y as f32 + 0.5);
                let glass = disc(at, self.centre, self.glass);
                if glass == 0 {
                    continue;
                }
                let below = |level: f32| ((y as f32 + 1.0 - level).clamp(0.0, 1.0) * 255.0) as u8;
                let view = SKY
                    .under(SUN, disc(at, sun, 3.2 * self.unit))
                    .under(FAR_SEA, below(far))
                    .under(NEAR_SEA, below(near));
                canvas.set(x, y, BRASS_SHADE.under(view, glass));
            }
        }
    }
}

/// The code block to which the centre of cell column `x` belongs in a picture `width` samples wide.
fn code_column(x: usize, width: usize) -> usize {
    ((x * CELL + CELL / 2) * code::COLUMNS / width).min(code::COLUMNS - 1)
}

/// Coverage of the cell around `at` by a disc, its edge one cell soft.
fn disc(at: (f32, f32), centre: (f32, f32), radius: f32) -> u8 {
    let distance = ((at.0 - centre.0).powi(2) + (at.1 - centre.1).powi(2)).sqrt();
    ((radius - distance + 0.5).clamp(0.0, 1.0) * 255.0) as u8
}

/// How far `wall_clock` is in a period of `ms`, from 0 to 1.
fn phase(wall_clock: Duration, ms: u32) -> f32 {
    (wall_clock.as_millis() % u128::from(ms)) as f32 / ms as f32
}

/// `HH:MM:SS.mmm`.
fn clock_text(wall_clock: Duration) -> String {
    let seconds = wall_clock.as_secs();
    let [hours, minutes, seconds] = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
    format!("{hours:02}:{minutes:02}:{seconds:02}.{:03}", wall_clock.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_shows_utc_with_milliseconds() {
        assert_eq!(clock_text(Duration::from_millis(1_700_000_000_042)), "22:13:20.042");
    }
}
