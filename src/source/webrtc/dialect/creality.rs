//! Creality's printers (K1 Max, K2): one POST of Base64 JSON and its reply. A printer serves one session at a time.
use super::{Description, Dialect, Input, Step, Steps, base64, json, video};
use crate::net::connect::Place;
use crate::net::http_client::{Method, Request};
use crate::source::webrtc::url::Target;
use serde_json::json;

pub struct Creality {
    place: Place,
}

impl Creality {
    pub fn new(target: &Target) -> Self {
        Self { place: target.place.clone() }
    }
}

impl Dialect for Creality {
    fn next(&mut self, input: Input<'_>) -> Steps {
        match input {
            Input::Begin => Ok(vec![Step::Offer(vec![video()])]),
            Input::Offer(sdp) => {
                let body = data_encoding::BASE64.encode(json!({"type": "offer", "sdp": sdp}).to_string().as_bytes());
                // The printer's own page says it in this order, and the printer looks for it.
                let request = Request::new(Method::Post, self.place.clone()).with("content-type", "plain/text");
                Ok(vec![Step::Request(request.body(body))])
            }
            Input::Reply(reply) => {
                let body = reply.expect(&[200, 201])?.body.trim();
                if body.starts_with('{') {
                    return Err(
                        "the printer did not take our offer; is it a Creality camera at this path, and does nothing \
                                else hold its one session?"
                            .into(),
                    );
                }
                let text = base64(body, "the printer's answer")?;
                let answer: Description = json(&text, "the printer's answer")?;
                Ok(vec![Step::TakeAnswer(answer.of_type("answer", "the printer's answer")?)])
            }
            _ => Ok(Vec::new()),
        }
    }

    fn trickles(&self) -> bool {
        false
    }
}
