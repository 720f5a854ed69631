//! Media as the relay carries it: RTP payloads in order, never decoded, shared by all viewers.
pub mod codec;
mod cut;
pub mod h264;
pub mod keyframe;
mod numbering;
mod obus;
pub mod packet;
pub mod packetise;
pub(crate) mod parameters;
mod reorder;
pub mod ring;
pub mod shape;
pub mod track;
pub(crate) mod units;
