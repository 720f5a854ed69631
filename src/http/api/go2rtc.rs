//! `/api/webrtc`: an offer in, an answer out, in the four forms that clients of go2rtc use.
use super::errors::{Door, response};
use super::routes::App;
use super::whip;
use crate::http::server::head::Method;
use crate::http::server::request::Request;
use crate::http::server::response::Response;
use crate::stream::relay::{Answer, Description, Error, Intent, Offer};
use data_encoding::BASE64;
use serde_json::{Value, json};

const METHODS: &str = "POST, DELETE, OPTIONS";

pub async fn answer(app: &App, request: Request) -> Response {
    match request.method {
        Method::Options => {
            Response::new(204).with("Allow", METHODS).with("Accept-Post", whip::SDP).with_links(&app.services.ice_links)
        }
        Method::Delete => delete(app, &request).await,
        Method::Post => match (request.query_text("src"), request.query_text("dst")) {
            (Some(stream), _) => {
                let stream = stream.to_owned();
                offer_to_view(app, request, stream).await
            }
            (None, Some(stream)) => {
                let stream = stream.to_owned();
                whip::create(app, request, stream, Intent::Publish, "webrtc/whip").await
            }
            (None, None) => {
                Response::text(400, "say which stream: ?src=<stream> to watch it, ?dst=<stream> to publish it")
            }
        },
        _ => Response::method_not_allowed(METHODS),
    }
}

/// The form of an offer decides about the form of the answer.
async fn offer_to_view(app: &App, request: Request, stream: String) -> Response {
    match request.content_type.as_str() {
        whip::SDP => whip::create(app, request, stream, Intent::FromOffer, "webrtc/whep").await,
        "application/json" => {
            let message: Option<Value> = serde_json::from_slice(&request.body).ok();
            let Some(sdp) = message.as_ref().and_then(|message| message["sdp"].as_str()) else {
                return Response::text(400, "the body must be JSON like {\"type\":\"offer\",\"sdp\":\"v=0...\"}");
            };
            let sdp = sdp.to_owned();
            match offer(app, &request, stream, Intent::FromOffer, sdp, "webrtc/json").await {
                Ok(answer) => {
                    let text = json!({"type": "answer", "sdp": answer.sdp}).to_string() + "\n";
                    Response::new(200).body("application/json", text.into_bytes())
                }
                Err(error) => response(&error, Door::Compat),
            }
        }
        "application/x-www-form-urlencoded" => {
            let Some(sdp) = form_offer(&request.body) else {
                return Response::text(400, "the body must be a form whose field \"data\" is the offer in base64");
            };
            match offer(app, &request, stream, Intent::FromOffer, sdp, "webrtc/post").await {
                Ok(answer) => {
                    Response::new(200).body(&request.content_type, BASE64.encode(answer.sdp.as_bytes()).into_bytes())
                }
                Err(error) => response(&error, Door::Compat),
            }
        }
        _ => {
            let Ok(sdp) = String::from_utf8(request.body.clone()) else {
                return Response::text(400, "the body must be an SDP offer");
            };
            match offer(app, &request, stream, Intent::FromOffer, sdp, "webrtc/post").await {
                Ok(answer) => raw(&request.content_type, answer.sdp),
                Err(error) => response(&error, Door::Compat),
            }
        }
    }
}

/// Hands an offer to the engine.
pub async fn offer(
    app: &App,
    request: &Request,
    stream: String,
    intent: Intent,
    sdp: String,
    format: &'static str,
) -> Result<Answer, Error> {
    let user_agent = request.user_agent.clone();
    let (remote, host) = (request.peer, request.host_address());
    let (sdp, layer) = (Description::from(sdp.as_str()), request.query_text("rid").map(str::to_owned));
    app.relay.offer(Offer { stream, intent, sdp, layer, format, protocol: "http", user_agent, remote, host }).await
}

/// `data=<base64>`; a `+` that the client forgot to escape has become a space.
fn form_offer(body: &[u8]) -> Option<String> {
    let form = crate::http::server::percent::decode_form(std::str::from_utf8(body).ok()?);
    let (_, data) = form.into_iter().find(|(name, _)| name == "data")?;
    let data: String = data.replace(' ', "+").split_ascii_whitespace().collect();
    String::from_utf8(BASE64.decode(data.as_bytes()).ok()?).ok()
}

/// The answer under the type that the client used for its offer, unless a browser would take that for a page.
fn raw(content_type: &str, sdp: String) -> Response {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'+');
    let risky = ["html", "xml", "svg", "script"].iter().any(|word| content_type.contains(word));
    match content_type {
        "" => Response { body: sdp.into_bytes().into(), ..Response::new(200) },
        _ if risky || !content_type.bytes().all(harmless) => Response::new(200).body("text/plain", sdp.into_bytes()),
        _ => Response::new(200).body(content_type, sdp.into_bytes()),
    }
}

/// How sessions ended before they had addresses of their own.
async fn delete(app: &App, request: &Request) -> Response {
    let Some(id) = request.query_text("id") else {
        return Response::text(400, "say which session: ?id=<last part of its Location>");
    };
    match app.relay.close(id).await {
        Ok(()) => Response::new(200),
        Err(error) => response(&error, Door::Strict),
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
