//! Milestone XProtect: a token for name and password, a session that offers, an answer by PATCH. It takes no
//! candidates from us but those in the answer.
use super::{Description, Dialect, Input, Step, Steps, json};
use crate::engine::source::{SourceError, SourceErrorKind};
use crate::net::connect::Place;
use crate::net::http_client::{Method, Request};
use crate::source::webrtc::url::Target;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::fmt::Write;

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    session_id: Value,
    #[serde(default, rename = "offerSDP")]
    offer_sdp: Option<String>,
}

/// What the next reply answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    Token,
    Session,
    Taken,
    Nothing,
}

pub struct Milestone {
    target: Target,
    token: String,
    session: String,
    waits: Waits,
}

impl Milestone {
    pub fn new(target: &Target) -> Self {
        Self { target: target.clone(), token: String::new(), session: String::new(), waits: Waits::Nothing }
    }

    /// An address below the base path.
    fn at(&self, path: &str) -> Place {
        let base = self.target.place.path.trim_end_matches('/');
        Place { path: format!("{base}{path}"), ..self.target.place.clone() }
    }

    fn request(&self, method: Method, path: &str, body: &Value) -> Request {
        Request::new(method, self.at(path))
            .with("authorization", format!("Bearer {}", self.token))
            .with("content-type", "application/json")
            .body(body.to_string())
    }

    /// What to play, as the session wants to hear it.
    fn wish(&self) -> Value {
        let param = |key| Some(self.target.param(key)).filter(|value| !value.is_empty());
        let mut wish = Map::new();
        wish.insert("cameraId".into(), json!(self.target.param("cameraId")));
        wish.extend(param("streamId").map(|id| ("streamId".to_owned(), json!(id))));
        let mut playback = Map::new();
        playback.extend(param("playbackTime").map(|time| ("playbackTime".to_owned(), json!(time))));
        playback.extend(self.target.has("skipGaps").then(|| ("skipGaps".to_owned(), json!(true))));
        playback.extend(param("speed").and_then(|speed| Some(("speed".to_owned(), json!(speed.parse::<f64>().ok()?)))));
        if !playback.is_empty() {
            wish.insert("playbackTimeNode".into(), Value::Object(playback));
        }
        Value::Object(wish)
    }
}

impl Dialect for Milestone {
    fn next(&mut self, input: Input<'_>) -> Steps {
        match (input, self.waits) {
            (Input::Begin, _) => {
                self.waits = Waits::Token;
                let (name, password) = (self.target.param("username"), self.target.param("password"));
                let form = format!(
                    "client_id=GrantValidatorClient&grant_type=password&username={}&password={}",
                    escaped(name),
                    escaped(password)
                );
                let request = Request::new(Method::Post, self.at("/IDP/connect/token"))
                    .with("content-type", "application/x-www-form-urlencoded")
                    .body(form);
                Ok(vec![Step::Request(request)])
            }
            (Input::Reply(reply), Waits::Token) => {
                // RFC 6749 section 5.2
                if matches!(reply.status, 400 | 401) {
                    let at = reply.place.authority();
                    return Err(SourceError::new(
                        SourceErrorKind::Denied,
                        format!("{at} refuses the #username or #password of the URL (status {})", reply.status),
                    ));
                }
                let reply = reply.expect(&[200])?;
                self.token = json::<Token>(&reply.body, "the answer to username and password")?.access_token;
                self.waits = Waits::Session;
                Ok(vec![Step::Request(self.request(Method::Post, "/REST/v1/WebRTC/Session", &self.wish()))])
            }
            (Input::Reply(reply), Waits::Session) => {
                let session: Session = json(&reply.expect(&[200, 201])?.body, "the new session")?;
                let offer: Description =
                    json(&session.offer_sdp.ok_or("the new session has no offer")?, "the session's offer")?;
                self.session =
                    session.session_id.as_str().map_or_else(|| session.session_id.to_string(), str::to_owned);
                self.waits = Waits::Nothing;
                Ok(vec![Step::TakeOffer(offer.of_type("offer", "the session's offer")?)])
            }
            (Input::Answer(sdp), _) => {
                let answer = json!({"type": "answer", "sdp": sdp}).to_string();
                self.waits = Waits::Taken;
                let path = format!("/REST/v1/WebRTC/Session/{}", escaped(&self.session));
                Ok(vec![Step::Request(self.request(Method::Patch, &path, &json!({"answerSDP": answer})))])
            }
            (Input::Reply(reply), Waits::Taken) => {
                reply.expect(&[200, 204])?;
                self.waits = Waits::Nothing;
                Ok(Vec::new())
            }
            _ => Ok(Vec::new()),
        }
    }

    fn trickles(&self) -> bool {
        false
    }
}

/// Percent-encoding for forms and paths (RFC 3986 section 2.3 names what may stand as it is).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            // Writing to a String can't fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}
