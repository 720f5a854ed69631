//! An offer on its way from a request to the engine.
use super::state::Api;
use crate::engine::api::{Answer, Description, Error, Intent, Offer};
use crate::http::server::Request;

/// Hands an offer to the engine. `format` is how it came in, as `/api/streams` shows it.
///
/// # Errors
/// Whatever the engine has against it.
pub async fn offer(
    api: &Api,
    request: &Request,
    stream: String,
    intent: Intent,
    sdp: &str,
    format: &'static str,
) -> Result<Answer, Error> {
    let user_agent = request.user_agent.clone();
    let (remote, host) = (request.peer, request.host_address());
    let (sdp, layer) = (Description::from(sdp), request.query_text("rid").map(str::to_owned));
    api.relay.offer(Offer { stream, intent, sdp, layer, format, protocol: "http", user_agent, remote, host }).await
}
