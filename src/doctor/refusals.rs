//! Whom the HTTP door turned away because of where the request came from, and the line of configuration that would let
//! it in. Bounded: a stranger who tries many names pushes out its own.
use super::verdict::{Code, Verdict};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Refusals remembered.
const MAX_REFUSALS: usize = 16;
/// Characters of a refused name.
const MAX_NAME: usize = 100;
/// As for sessions: what is older is history.
const RECENT: Duration = super::history::RECENT;

/// What was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A page's `Origin`.
    Origin,
    /// The name that the relay was called by.
    Host,
    /// An address outside of the local network.
    Peer,
}

#[derive(Debug)]
struct Refusal {
    kind: Kind,
    name: String,
    times: u32,
    last: Instant,
}

/// The last refusals; shared by all connections of the door.
#[derive(Debug, Default)]
pub struct Refusals {
    list: Mutex<VecDeque<Refusal>>,
}

impl Refusals {
    pub fn note(&self, kind: Kind, name: &str, now: Instant) {
        // Quotes and backslashes would end the configuration line early that the name is put into.
        let plain = |character: &char| character.is_ascii_graphic() && !matches!(character, '"' | '\\');
        let name: String = name.to_ascii_lowercase().chars().filter(plain).take(MAX_NAME).collect();
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let known = list.iter().position(|refusal| refusal.kind == kind && refusal.name == name);
        let times = known.and_then(|at| list.remove(at)).map_or(1, |refusal| refusal.times.saturating_add(1));
        list.truncate(MAX_REFUSALS - 1);
        list.push_front(Refusal { kind, name, times, last: now });
    }

    /// The latest first, and how many of them are recent.
    pub fn report(&self, now: Instant) -> (Vec<Value>, usize) {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let age = |refusal: &Refusal| now.saturating_duration_since(refusal.last);
        let recent = list.iter().filter(|refusal| age(refusal) < RECENT).count();
        let shown = list.iter().map(|refusal| {
            json!({
                "kind": refusal.kind.name(),
                "name": refusal.name,
                "times": refusal.times,
                "ago_ms": age(refusal).as_millis() as u64,
                "verdict": refusal.verdict(),
            })
        });
        (shown.collect(), recent)
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Origin => "origin",
            Kind::Host => "host",
            Kind::Peer => "peer",
        }
    }
}

impl Refusal {
    fn verdict(&self) -> Verdict {
        let name = &self.name;
        let line = |key: &str| format!("If you trust it, add to porthole.yaml:  api: {{{key}: [\"{name}\"]}}");
        match self.kind {
            Kind::Origin if !name.contains("://") => Verdict::new(
                Code::D11,
                format!("A page without an address of its own (origin \"{name}\") asked and was turned away."),
                "Open the page from a server, not from a file or a sandboxed frame.",
            ),
            Kind::Origin => Verdict::new(
                Code::D11,
                format!("A page of \"{name}\" asked for pictures and was turned away."),
                line("origin"),
            ),
            Kind::Host => Verdict::new(
                Code::D11,
                format!("Somebody called this relay \"{name}\", which is not one of its names, and was turned away."),
                line("hosts"),
            ),
            Kind::Peer => Verdict::new(
                Code::D11,
                format!("{name} is outside of the local network and was turned away."),
                line("allow"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d11_shows_the_exact_origin_and_the_line_to_add() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        refusals.note(Kind::Origin, "http://Fluidd.example:80", now);
        refusals.note(Kind::Origin, "http://fluidd.example:80", now);
        let (list, recent) = refusals.report(now);
        assert_eq!((list.len(), recent, &list[0]["times"]), (1, 1, &json!(2)));
        assert_eq!(list[0]["verdict"]["code"], "D11");
        let remedy = list[0]["verdict"]["remedy"].as_str().unwrap();
        assert!(remedy.contains("api: {origin: [\"http://fluidd.example:80\"]}"), "{remedy}");
        assert_eq!(refusals.report(now + RECENT).1, 0);
    }

    #[test]
    fn names_are_bounded_and_cannot_leave_their_quotes() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        for number in 0..100 {
            refusals.note(Kind::Host, &format!("a{number}\"]}}\n\\{}", "x".repeat(1000)), now);
        }
        let (list, _) = refusals.report(now);
        assert_eq!(list.len(), MAX_REFUSALS);
        let name = list[0]["name"].as_str().unwrap();
        assert!(name.len() == MAX_NAME && !name.contains(['"', '\\', '\n']), "{name}");
    }
}
