//! Streams: named meeting points of producers and viewers.
pub mod outbound;
pub mod relay;
