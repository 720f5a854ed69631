//! Streams: named meeting points of producers and viewers.
pub mod relay;
