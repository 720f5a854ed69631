//! Are pictures sent in another order than they are shown in? Encoders that look ahead do that (B-frames): players of live
//! pictures wait for none of it, and show a few pictures a second.

/// Pictures over which is counted; older ones count half.
const WINDOW: u32 = 256;
/// Pictures that have to go back before it is more than an accident of a clock.
const ENOUGH: u32 = 8;

#[derive(Debug, Default)]
pub struct Reorder {
    newest: Option<u32>,
    pictures: u32,
    /// Shown before one that was sent before, or made from one that is shown later.
    back: u32,
}

impl Reorder {
    /// A picture begins. `bidirectional`: it is made of slices that may look ahead.
    pub fn picture(&mut self, timestamp: u32, bidirectional: bool) {
        let earlier = self.newest.is_some_and(|newest| (timestamp.wrapping_sub(newest) as i32) < 0);
        self.newest = Some(timestamp);
        self.pictures += 1;
        self.back += u32::from(earlier || bidirectional);
        if self.pictures >= WINDOW {
            self.pictures /= 2;
            self.back /= 2;
        }
    }

    /// A sixteenth of the pictures or more.
    pub fn is_found(&self) -> bool {
        self.back >= ENOUGH && self.back * 16 >= self.pictures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pictures: impl IntoIterator<Item = (u32, bool)>) -> bool {
        let mut reorder = Reorder::default();
        pictures.into_iter().for_each(|(timestamp, bidirectional)| reorder.picture(timestamp, bidirectional));
        reorder.is_found()
    }

    #[test]
    fn timestamps_that_go_back_and_forth_are_reordering() {
        // I P B B P B B …
        assert!(found((0..30).flat_map(|i| [9, 3, 6].map(|at| ((3 * i + at) * 3000, false)))));
        assert!(!found((0..1000).map(|i| (i * 3000, false))));
    }

    #[test]
    fn slices_that_look_ahead_are_reordering_whatever_the_timestamps_say() {
        assert!(found((0..60).map(|i| (i * 3000, i % 3 != 0))));
    }

    #[test]
    fn a_clock_that_was_set_back_is_none_and_what_was_mended_is_forgotten() {
        assert!(!found((0..300).map(|i| ((i % 100) * 3000, false))));
        let mended = (0..90).map(|i| (i * 3000, i % 2 == 0)).chain((90..2000).map(|i| (i * 3000, false)));
        assert!(!found(mended));
    }
}
