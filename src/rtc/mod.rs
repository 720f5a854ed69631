//! WebRTC: sessions with peers, assembled from the sans-I/O crates of webrtc-rs.
pub mod answer;
pub mod h264_profile;
pub mod negotiate;
pub mod sdp;
