//! WebRTC: sessions with peers, assembled from the sans-I/O crates of webrtc-rs.
mod dtls_repeat;
pub mod ice;
pub mod rtcp;
pub mod session;
pub mod srtp;
