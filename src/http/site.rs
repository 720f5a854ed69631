//! Everything that is served: addresses of the API, and pages.
use super::api::{self, Api};
use super::pages::{self, Pages};
use super::server::{Answering, Handler, Request, Response, ServeSocket, decode_path};
use std::sync::Arc;

/// The API and the pages.
pub struct Site {
    pub api: Arc<Api>,
    pub pages: Pages,
}

impl Handler for Site {
    fn answer(&self, request: Request) -> Answering<'_, Response> {
        Box::pin(async move {
            let Some(path) = decode_path(&request.path) else { return undecodable() };
            if let Some(refusal) = api::refusal(&request, &path) {
                return refusal;
            }
            match api::is_address(&request, &path) {
                true => api::answer(&self.api, request, &path).await,
                false => pages::answer(&self.pages, &request, &path),
            }
        })
    }

    fn socket(&self, request: Request) -> Result<ServeSocket, Response> {
        let path = decode_path(&request.path).ok_or_else(undecodable)?;
        api::socket(&self.api, &request, &path)
    }
}

fn undecodable() -> Response {
    Response::text(400, "the path must be percent-encoded UTF-8 without control characters")
}
