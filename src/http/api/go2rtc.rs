//! `/api/webrtc`: an offer in, an answer out, in the four forms that clients of go2rtc use.
use super::errors::{Contract, response};
use super::offers::offer;
use super::state::Api;
use super::whip;
use crate::engine::api::Intent;
use crate::http::server::{Method, Request, Response, decode_form};
use data_encoding::BASE64;
use serde_json::{Value, json};

const METHODS: &str = "POST, DELETE, OPTIONS";

/// Answers at `/api/webrtc`.
pub async fn answer(api: &Api, request: Request) -> Response {
    match request.method {
        Method::Options => {
            Response::new(204).with("Allow", METHODS).with("Accept-Post", whip::SDP).with_links(&api.ice_links)
        }
        Method::Delete => delete(api, &request).await,
        Method::Post => match (request.query_text("src"), request.query_text("dst")) {
            (Some(stream), _) => {
                let stream = stream.to_owned();
                offer_to_view(api, request, stream).await
            }
            (None, Some(stream)) => {
                let stream = stream.to_owned();
                whip::create(api, request, stream, Intent::Publish, "webrtc/whip").await
            }
            (None, None) => {
                Response::text(400, "say which stream: ?src=<stream> to watch it, ?dst=<stream> to publish it")
            }
        },
        _ => Response::method_not_allowed(METHODS),
    }
}

/// The form of an offer decides about the form of the answer.
async fn offer_to_view(api: &Api, request: Request, stream: String) -> Response {
    match request.content_type.as_str() {
        whip::SDP => whip::create(api, request, stream, Intent::FromOffer, "webrtc/whep").await,
        "application/json" => {
            let message: Option<Value> = serde_json::from_slice(&request.body).ok();
            let Some(sdp) = message.as_ref().and_then(|message| message["sdp"].as_str()) else {
                return Response::text(400, "the body must be JSON like {\"type\":\"offer\",\"sdp\":\"v=0...\"}");
            };
            match offer(api, &request, stream, Intent::FromOffer, sdp, "webrtc/json").await {
                Ok(answer) => {
                    let text = json!({"type": "answer", "sdp": answer.sdp}).to_string() + "\n";
                    Response::new(200).body("application/json", text.into_bytes())
                }
                Err(error) => response(&error, Contract::Go2rtc),
            }
        }
        "application/x-www-form-urlencoded" => {
            let Some(sdp) = form_offer(&request.body) else {
                return Response::text(400, "the body must be a form whose field \"data\" is the offer in base64");
            };
            match offer(api, &request, stream, Intent::FromOffer, &sdp, "webrtc/post").await {
                Ok(answer) => {
                    Response::new(200).body(&request.content_type, BASE64.encode(answer.sdp.as_bytes()).into_bytes())
                }
                Err(error) => response(&error, Contract::Go2rtc),
            }
        }
        _ => {
            let Ok(sdp) = std::str::from_utf8(&request.body) else {
                return Response::text(400, "the body must be an SDP offer");
            };
            match offer(api, &request, stream, Intent::FromOffer, sdp, "webrtc/post").await {
                Ok(answer) => raw(&request.content_type, answer.sdp),
                Err(error) => response(&error, Contract::Go2rtc),
            }
        }
    }
}

/// `data=<base64>`; a `+` that the client forgot to escape has become a space.
fn form_offer(body: &[u8]) -> Option<String> {
    let form = decode_form(std::str::from_utf8(body).ok()?);
    let (_, data) = form.into_iter().find(|(name, _)| name == "data")?;
    let data: String = data.replace(' ', "+").split_ascii_whitespace().collect();
    String::from_utf8(BASE64.decode(data.as_bytes()).ok()?).ok()
}

/// The answer under the type that the client used for its offer, unless a browser would take that for a page.
fn raw(content_type: &str, sdp: String) -> Response {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'+');
    let risky = ["html", "xml", "svg", "script"].iter().any(|word| content_type.contains(word));
    match content_type {
        "" => Response::untyped(sdp.into_bytes()),
        _ if risky || !content_type.bytes().all(harmless) => Response::new(200).body("text/plain", sdp.into_bytes()),
        _ => Response::new(200).body(content_type, sdp.into_bytes()),
    }
}

/// How sessions ended before they had addresses of their own.
async fn delete(api: &Api, request: &Request) -> Response {
    let Some(id) = request.query_text("id") else {
        return Response::text(400, "say which session: ?id=<last part of its Location>");
    };
    match api.relay.close(id).await {
        Ok(()) => Response::new(200),
        Err(error) => response(&error, Contract::Whip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_offer_survives_an_unescaped_plus() {
        let sdp = "v=0\r\n>>>???~~~";
        let data = BASE64.encode(sdp.as_bytes());
        assert!(data.contains('+') || data.contains('/'));
        assert_eq!(form_offer(format!("data={data}").as_bytes()).as_deref(), Some(sdp));
        assert_eq!(form_offer(b"data=%%%"), None);
        assert_eq!(form_offer(b"other=1"), None);
    }

    #[test]
    fn an_answer_is_never_served_as_a_page() {
        assert_eq!(raw("text/html", "v=0".into()).field("Content-Type"), Some("text/plain"));
        assert_eq!(raw("text/plain", "v=0".into()).field("Content-Type"), Some("text/plain"));
        assert_eq!(raw("plain/text", "v=0".into()).field("Content-Type"), Some("plain/text"));
        assert_eq!(raw("", "v=0".into()).field("Content-Type"), None);
    }
}
