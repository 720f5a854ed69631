//! WebRTC: sessions with peers, assembled from the sans-I/O crates of webrtc-rs.
pub mod ice;
pub mod rtcp;
pub mod srtp;
