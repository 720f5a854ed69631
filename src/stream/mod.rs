//! Streams: named meeting points of producers and viewers.
pub mod choice;
pub mod floor;
pub mod inbound;
pub mod intake;
pub mod outbound;
pub mod repeats;
pub mod voice;
