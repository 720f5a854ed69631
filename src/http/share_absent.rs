//! Stands in for `/api/webtorrent` in builds without the feature `shares`.
use super::request::Request;
use super::response::Response;
use super::routes::App;

pub const OFF: &str = "share links are off: this build has none, it was made without the cargo feature shares";

pub async fn answer(_: &App, _: &Request) -> Response {
    Response::text(501, OFF)
}
