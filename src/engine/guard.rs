//! A fault in one step ends what the step was for, and nothing else.
use super::Engine;
use crate::rtc::session::Reason;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Engine {
    /// Runs what concerns one session so that a fault in it ends this session and no other.
    pub(super) fn guarded(&mut self, key: u32, step: impl FnOnce(&mut Self)) {
        if self.shielded(step) {
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.due = peer.deadline();
            }
        } else {
            log::error!(target: "webrtc", "internal fault, the session is closed session={key}");
            self.remove_peer(key, Reason::Fault);
        }
    }

    /// Runs what concerns no session that exists; false if there was a fault. Whoever asked for the step sees
    /// its reply dropped.
    pub(super) fn shielded(&mut self, step: impl FnOnce(&mut Self)) -> bool {
        let done = catch_unwind(AssertUnwindSafe(|| step(self))).is_ok();
        if !done {
            self.out.clear();
            self.events.clear();
            self.buffer.clear();
        }
        done
    }
}
