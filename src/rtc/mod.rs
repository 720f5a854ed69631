//! WebRTC: sessions with peers, assembled from the sans-I/O crates of webrtc-rs.
pub mod answer;
pub mod digest;
pub(crate) mod dtls;
pub mod h264_profile;
pub mod ice;
pub mod negotiate;
pub mod ntp;
pub mod offer;
pub mod renegotiate;
pub mod route;
pub mod rtcp;
pub mod sdp;
pub mod session;
pub mod srtp;
pub mod twcc;
