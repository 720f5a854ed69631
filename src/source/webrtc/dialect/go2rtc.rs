//! go2rtc's WebSocket: our offer, its answer, candidates of both sides as they are found, and a voice for the camera
//! behind it.
use super::{Dialect, Input, Step, Steps, audio, json, video, voice};
use crate::net::connect::Place;
use crate::source::webrtc::url::Target;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Message {
    r#type: String,
    #[serde(default)]
    value: Value,
}

pub struct Go2rtc {
    place: Place,
    answered: bool,
}

impl Go2rtc {
    pub fn new(target: &Target) -> Self {
        Self { place: target.place.clone(), answered: false }
    }
}

fn send(kind: &str, value: &str) -> Step {
    Step::Send(json!({"type": kind, "value": value}).to_string())
}

impl Dialect for Go2rtc {
    fn next(&mut self, input: Input<'_>) -> Steps {
        match input {
            Input::Begin => Ok(vec![Step::Connect(self.place.clone()), Step::Offer(vec![video(), audio(), voice()])]),
            Input::Offer(sdp) => Ok(vec![send("webrtc/offer", sdp)]),
            Input::Candidate(line) => Ok(vec![send("webrtc/candidate", line)]),
            Input::Text(text) => {
                let message: Message = json(text, "the relay's message")?;
                let value = message.value.as_str().unwrap_or_default();
                match message.r#type.as_str() {
                    "webrtc/answer" if !self.answered => {
                        self.answered = true;
                        Ok(vec![Step::TakeAnswer(value.to_owned())])
                    }
                    // Some send it again when they have more candidates; those come by themselves too.
                    "webrtc/answer" => Ok(Vec::new()),
                    "webrtc/candidate" if value.is_empty() => Ok(Vec::new()),
                    "webrtc/candidate" => Ok(vec![Step::TakeCandidate(value.to_owned())]),
                    "error" => Err(format!("the other relay says: {value}").into()),
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
