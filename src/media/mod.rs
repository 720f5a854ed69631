//! Media as the relay carries it: RTP payloads in order, never decoded, shared by all viewers.
pub mod codec;
pub mod h264;
pub mod keyframe;
pub mod packet;
pub mod packetise;
pub mod ring;
