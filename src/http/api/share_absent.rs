//! Stands in for `/api/webtorrent` in builds without the feature `shares`.
use super::routes::App;
use crate::http::server::request::Request;
use crate::http::server::response::Response;

pub const OFF: &str = "share links are off: this build has none, it was made without the cargo feature shares";

pub async fn answer(_: &App, _: &Request) -> Response {
    Response::text(501, OFF)
}
