//! What a step left to be done when it is over, so that no step runs inside another.
use super::Engine;
use std::time::Instant;

impl Engine {
    /// Follows up what the step before left: sessions that end by a fault, and whoever waited for a stream.
    pub(super) fn settle(&mut self, now: Instant) {
        loop {
            if let Some(key) = self.work.faulty.pop() {
                self.shielded(|engine| engine.end_faulty(key, now));
            } else if let Some((name, waiting)) = self.work.ready.pop_front() {
                self.shielded(|engine| engine.on_ready(&name, waiting, now));
            } else {
                return;
            }
        }
    }
}
