//! Stands in for `/api/webtorrent` in builds without the feature `shares`.
use super::state::Api;
use crate::http::server::{Request, Response};

/// Why there are no share links.
pub const OFF: &str = "share links are off: this build has none, it was made without the cargo feature shares";

/// Answers at `/api/webtorrent`.
pub async fn answer(_: &Api, _: &Request) -> Response {
    Response::text(501, OFF)
}
