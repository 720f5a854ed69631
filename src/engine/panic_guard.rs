//! A fault in what concerns one session ends this session and no other.
use super::Engine;
use super::keys::PeerKey;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Engine {
    /// Runs what concerns one session. After a fault the session is ended as soon as the step at hand is over.
    pub(super) fn guarded(&mut self, key: PeerKey, step: impl FnOnce(&mut Self)) {
        if self.guarded_as_it_is(key, step) {
            self.sessions.settle(key);
        }
    }

    /// The same for steps that move no deadline of the session. False: there was a fault.
    pub(super) fn guarded_as_it_is(&mut self, key: PeerKey, step: impl FnOnce(&mut Self)) -> bool {
        let done = self.shielded(step);
        if !done {
            log::error!(target: "webrtc", "internal fault, the session is closed session={key}");
            self.work.faulty.push(key);
        }
        done
    }

    /// Runs what concerns no session that exists; false if there was a fault. Whoever asked for the step sees their reply
    /// dropped.
    pub(super) fn shielded(&mut self, step: impl FnOnce(&mut Self)) -> bool {
        let before = self.work.out.len();
        let done = catch_unwind(AssertUnwindSafe(|| step(self))).is_ok();
        if !done {
            // What others had to say stays.
            self.work.out.truncate(before);
            self.work.events.clear();
            self.work.buffer.clear();
        }
        done
    }
}
