//! Streams that WebSockets made of URLs (`/api/ws?src=URL&name=NAME`). They last until the next start; players with
//! addresses that change point them at another source the same way, and only them, never the operator's streams.
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Streams that can be made so: cameras of a house.
pub const MAX_PASSING: usize = 64;

/// Sources by the names of their streams.
#[derive(Debug, Default)]
pub struct Passing(Mutex<HashMap<String, String>>);

impl Passing {
    /// The source of a stream that was made so.
    pub fn source(&self, stream: &str) -> Option<String> {
        self.sources().get(stream).cloned()
    }

    /// Remembers a stream that is made, or pointed at another source. False: there are too many.
    pub fn note(&self, stream: &str, source: &str) -> bool {
        let mut sources = self.sources();
        let room = sources.len() < MAX_PASSING || sources.contains_key(stream);
        if room {
            sources.insert(stream.to_owned(), source.to_owned());
        }
        room
    }

    /// The stream was changed by another door: it is the operator's now.
    pub fn forget(&self, stream: &str) {
        self.sources().remove(stream);
    }

    fn sources(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passing_streams_are_bounded_and_can_be_pointed_elsewhere() {
        let passing = Passing::default();
        assert!((0..MAX_PASSING).all(|number| passing.note(&number.to_string(), "rtsp://a")));
        assert!(!passing.note("more", "rtsp://a"));
        assert!(passing.note("1", "rtsp://b"));
        assert_eq!(passing.source("1").as_deref(), Some("rtsp://b"));
        passing.forget("1");
        assert_eq!(passing.source("1"), None);
        assert!(passing.note("more", "rtsp://a"));
    }
}
