//! OpenIPC's streamer Majestic: the camera offers as soon as the WebSocket is open, under the name of an answer.
use super::{Description, Dialect, Input, JsonCandidate, Step, Steps, unexpected};
use crate::net::connect::Place;
use crate::source::webrtc::url::Target;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Frame {
    #[serde(default)]
    reply: String,
    #[serde(default)]
    data: Value,
}

pub struct OpenIpc {
    place: Place,
    offered: bool,
}

impl OpenIpc {
    pub fn new(target: &Target) -> Self {
        Self { place: target.place.clone(), offered: false }
    }
}

fn send(request: &str, data: &str) -> Step {
    Step::Send(json!({"req": request, "data": data}).to_string())
}

impl Dialect for OpenIpc {
    fn next(&mut self, input: Input<'_>) -> Steps {
        match input {
            Input::Begin => Ok(vec![Step::Connect(self.place.clone())]),
            Input::Answer(sdp) => Ok(vec![send("answer", sdp)]),
            Input::Candidate(line) => Ok(vec![send("candidate", line)]),
            Input::Text("") => Ok(Vec::new()),
            Input::Text(text) => {
                // Some versions talk of other things, too.
                let Ok(frame) = serde_json::from_str::<Frame>(text) else { return Ok(Vec::new()) };
                match frame.reply.as_str() {
                    "webrtc_answer" if !self.offered => {
                        self.offered = true;
                        let offer: Description = serde_json::from_value(frame.data)
                            .map_err(|error| unexpected("the camera's offer", &error))?;
                        // Its type is "offer" in some versions and "answer" in others.
                        Ok(vec![Step::TakeOffer(
                            Description { r#type: String::new(), ..offer }.of_type("", "the camera's offer")?,
                        )])
                    }
                    "webrtc_candidate" => {
                        // The candidate stands in an object, or as a text of its own.
                        let line = match serde_json::from_value::<JsonCandidate>(frame.data.clone()) {
                            Ok(candidate) => candidate.candidate,
                            Err(_) => frame.data.as_str().unwrap_or_default().to_owned(),
                        };
                        Ok((!line.is_empty()).then_some(Step::TakeCandidate(line)).into_iter().collect())
                    }
                    _ => Ok(Vec::new()),
                }
            }
            _ => Ok(Vec::new()),
        }
    }

    fn trickles(&self) -> bool {
        true
    }
}
