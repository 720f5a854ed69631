//! Streams: named meeting points of producers and viewers.
pub mod inbound;
pub mod outbound;
pub mod relay;
