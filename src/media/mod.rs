//! Media as the relay carries it: RTP payloads in order, never decoded, shared by all viewers.
pub mod codec;
pub mod packet;
pub mod ring;
