//! Names of what the engine keeps. Sessions and tracks share one counter, because `/api/streams` shows both as ids and
//! clients join them by number.
use std::fmt;
use std::num::NonZeroU32;

/// A session. The transaction ids of its STUN requests begin with it, so that answers find the session again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(NonZeroU32);

/// A track of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackKey(NonZeroU32);

impl PeerKey {
    /// The session that a number names, if it can name one.
    pub fn from_number(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    pub fn number(self) -> u32 {
        self.0.get()
    }
}

impl TrackKey {
    pub fn number(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Gives out keys: none is 0, and none comes again before 2^32 others.
#[derive(Debug)]
pub struct Keys(NonZeroU32);

impl Default for Keys {
    fn default() -> Self {
        Self(NonZeroU32::MIN)
    }
}

impl Keys {
    fn next(&mut self) -> NonZeroU32 {
        let key = self.0;
        self.0 = key.checked_add(1).unwrap_or(NonZeroU32::MIN);
        key
    }

    pub fn peer(&mut self) -> PeerKey {
        PeerKey(self.next())
    }

    pub fn track(&mut self) -> TrackKey {
        TrackKey(self.next())
    }
}
