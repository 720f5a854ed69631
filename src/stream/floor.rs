//! Who may speak to a stream's loudspeaker: one at a time, whoever began first, until it is silent or gone. Pure.
use std::time::{Duration, Instant};

/// A talker that sends nothing for this long has let go: somebody who lets go of the button to talk stops sending.
pub const SILENCE: Duration = Duration::from_millis(600);

/// The floor of one stream. `K` names talkers.
#[derive(Clone, Copy, Debug)]
pub struct Floor<K> {
    /// The talker and when it was last heard.
    talker: Option<(K, Instant)>,
}

impl<K> Default for Floor<K> {
    fn default() -> Self {
        Self { talker: None }
    }
}

/// What becomes of sound that somebody sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is the first of a turn: the floor was free.
    Begins,
    Goes,
    /// Somebody else talks.
    Refused,
}

impl<K: Copy + PartialEq> Floor<K> {
    pub fn speak(&mut self, talker: K, now: Instant) -> Turn {
        let turn = match self.talker(now) {
            Some(other) if other != talker => return Turn::Refused,
            Some(_) => Turn::Goes,
            None => Turn::Begins,
        };
        self.talker = Some((talker, now));
        turn
    }

    /// Who has the floor.
    pub fn talker(&self, now: Instant) -> Option<K> {
        let (talker, heard) = self.talker?;
        (now.saturating_duration_since(heard) < SILENCE).then_some(talker)
    }

    /// Takes the floor from a talker that is gone.
    pub fn leave(&mut self, talker: K) {
        self.talker.take_if(|(current, _)| *current == talker);
    }

    /// Takes the floor from everybody: another loudspeaker is there.
    pub fn clear(&mut self) {
        self.talker = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_talks_at_a_time_and_the_next_when_the_first_is_silent_or_gone() {
        let mut floor = Floor::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(floor.speak(1, at(0)), Turn::Begins);
        assert_eq!((floor.speak(1, at(20)), floor.speak(2, at(20))), (Turn::Goes, Turn::Refused));
        assert_eq!((floor.talker(at(619)), floor.talker(at(620))), (Some(1), None));
        assert_eq!((floor.speak(2, at(620)), floor.speak(1, at(630))), (Turn::Begins, Turn::Refused));
        floor.leave(1);
        assert_eq!(floor.talker(at(640)), Some(2));
        floor.leave(2);
        assert_eq!((floor.talker(at(640)), floor.speak(1, at(640))), (None, Turn::Begins));
        floor.clear();
        assert_eq!(floor.speak(3, at(650)), Turn::Begins);
    }
}
