//! The API: go2rtc's addresses, WHIP and WHEP, the WebSocket. It knows the server by requests and responses only.
mod effects;
mod errors;
mod go2rtc;
mod info;
mod offers;
mod passing;
mod routes;
#[cfg_attr(not(feature = "shares"), path = "share_absent.rs")]
mod share;
mod sources;
mod state;
mod streams;
pub(crate) mod trickle;
mod websocket;
mod whip;
pub(crate) mod ws_messages;

pub use routes::{answer, is_address, refusal};
pub use share::OFF as SHARES_OFF;
pub use state::{Api, Log, Saver};
pub use websocket::at as socket;
