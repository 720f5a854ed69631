//! WebRTC: sessions with peers, assembled from the sans-I/O crates of webrtc-rs.
pub mod h264_profile;
