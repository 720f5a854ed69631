//! Captures damaged at random, always in the same way: no damage causes a panic, a bad answer or a long wait.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::MAX_SDP;
use super::captures::{ALL, survive};
use crate::gather::candidate;

/// Texts of a usual test run; `PORTHOLE_FUZZ_ROUNDS` asks for more.
const ROUNDS: u64 = 400;
/// What one text may take on a busy machine: it is a hundred times what it needs.
const LONG: Duration = Duration::from_secs(2);
/// What is put in place of a word.
const WORDS: &[&str] = &[
    "",
    "0",
    "-1",
    "255",
    "65536",
    "4294967296",
    "99999999999999999999",
    "*",
    "~",
    ";",
    ",",
    "=",
    ":",
    " ",
    "\t",
    "\0",
    "é",
    "::1",
    "a=mid:0",
    "m=video 0 RTP/AVP 0",
    "send",
    "recv",
    "pt=",
    "SIM",
    "FID",
    "BUNDLE",
    "1 udp 1 ::1 1 typ host",
    "apt=96;apt=97",
];

/// Numbers that look random (PCG's multiplier, Knuth's increment).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list.get(self.below(list.len())).copied().unwrap_or_default()
    }
}

/// A capture with one to eight faults.
fn damaged(random: &mut Random) -> String {
    let capture = |random: &mut Random| ALL[random.below(ALL.len())].1;
    let mut lines: Vec<String> = capture(random).lines().map(str::to_owned).collect();
    for _ in 0..=random.below(8) {
        let (at, other) = (random.below(lines.len()), random.below(lines.len()));
        let Some(line) = lines.get(at).cloned() else { continue };
        match random.below(8) {
            0 => drop(lines.remove(at)),
            1 => lines.swap(at, other),
            2 => lines.insert(other, line),
            3 => lines.splice(at..at, std::iter::repeat_n(line, random.below(200))).for_each(drop),
            4 => {
                let foreign: Vec<&str> = capture(random).lines().collect();
                lines.insert(at, random.of(&foreign).to_owned());
            }
            5 => {
                let words: Vec<&str> = line.split([' ', ':', ';', '=', '/', ',']).collect();
                let word = random.of(&words);
                lines[at] = line.replacen(word, random.of(WORDS), 1 + random.below(3));
            }
            6 => lines[at] = line.chars().take(random.below(line.len())).collect(),
            _ => lines[at].push_str(&random.of(WORDS).repeat(random.below(300))),
        }
    }
    let mut text = lines.join(if random.below(2) == 0 { "\r\n" } else { "\n" });
    text.truncate(text.floor_char_boundary(MAX_SDP));
    text
}

#[test]
fn no_random_damage_to_a_capture_causes_a_panic_a_bad_answer_or_a_long_wait() {
    let asked = std::env::var("PORTHOLE_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    for seed in 0..asked.unwrap_or(ROUNDS) {
        let text = damaged(&mut Random(seed));
        let begun = Instant::now();
        let lives = catch_unwind(AssertUnwindSafe(|| {
            survive(&text);
            text.lines().filter_map(|line| line.strip_prefix("a=")).for_each(|line| drop(candidate::read_place(line)));
        }));
        assert!(lives.is_ok(), "seed {seed}:\n{text}");
        assert!(begun.elapsed() < LONG, "seed {seed}: {:?}\n{text}", begun.elapsed());
    }
}
