//! When each name is asked for (RFC 6762 section 5.2), and when it is given up. Time comes in from outside.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Names that are asked for at one time; further ones are not.
pub const MAX_NAMES: usize = 32;
/// Moments of the questions, counted from the first; responders keep silent for a second after each answer.
const ASKED_AT: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(3)];
/// A browser that did not answer by then is not there, or another network's.
const GIVEN_UP: Duration = Duration::from_secs(5);

struct Open {
    since: Instant,
    asked: usize,
}

impl Open {
    fn due(&self) -> Instant {
        self.since + ASKED_AT.get(self.asked).copied().unwrap_or(GIVEN_UP)
    }
}

#[derive(Default)]
pub struct Questions(BTreeMap<String, Open>);

impl Questions {
    /// A name that is asked for already is not asked for twice.
    pub fn ask(&mut self, name: String, now: Instant) {
        if self.0.len() < MAX_NAMES {
            self.0.entry(name).or_insert(Open { since: now, asked: 0 });
        }
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.0.values().map(Open::due).min()
    }

    /// The names to ask for now. Those without an answer are forgotten in the end.
    pub fn due(&mut self, now: Instant) -> Vec<String> {
        self.0.retain(|_, open| open.asked < ASKED_AT.len() || open.due() > now);
        let mut names = Vec::new();
        for (name, open) in self.0.iter_mut().filter(|(_, open)| open.asked < ASKED_AT.len() && open.due() <= now) {
            open.asked += 1;
            names.push(name.clone());
        }
        names
    }

    /// Was it asked for? Then it is no more.
    pub fn answered(&mut self, name: &str) -> bool {
        self.0.remove(name).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_asked_for_three_times_and_given_up() {
        let (mut questions, began) = (Questions::default(), Instant::now());
        questions.ask("a.local".into(), began);
        questions.ask("a.local".into(), began + Duration::from_millis(10));
        let mut asked = Vec::new();
        while let Some(at) = questions.deadline() {
            assert!(questions.due(at - Duration::from_millis(1)).is_empty());
            if !questions.due(at).is_empty() {
                asked.push((at - began).as_secs());
            }
            assert!(at <= began + GIVEN_UP);
        }
        assert_eq!(asked, [0, 1, 3]);
        assert!(questions.is_empty());
    }

    #[test]
    fn an_answer_ends_the_asking_and_names_have_a_bound() {
        let (mut questions, now) = (Questions::default(), Instant::now());
        for number in 0..2 * MAX_NAMES {
            questions.ask(format!("{number:03}.local"), now);
        }
        assert_eq!(questions.due(now).len(), MAX_NAMES);
        assert!(questions.answered("000.local") && !questions.answered("000.local"));
        assert!(!questions.answered("040.local"), "one too many");
        assert_eq!(questions.due(now + Duration::from_secs(1)).len(), MAX_NAMES - 1);
    }
}
