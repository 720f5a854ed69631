//! The API: go2rtc's addresses, WHIP and WHEP, the WebSocket.
mod effects;
mod errors;
mod go2rtc;
mod info;
pub mod passing;
pub mod routes;
#[cfg_attr(not(feature = "shares"), path = "share_absent.rs")]
pub mod share;
mod streams;
pub mod trickle;
pub mod websocket;
mod whip;
mod ws_messages;
