//! Amazon Kinesis Video Streams and what is built on it (SwitchBot): frames of JSON over a signed WebSocket address,
//! payloads in Base64.
use super::{Description, Dialect, Input, JsonCandidate, Step, Steps, audio, base64, json, video};
use crate::net::connect::Place;
use crate::source::webrtc::url::Target;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What the service and the camera send.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Frame {
    #[serde(default)]
    message_type: String,
    #[serde(default)]
    message_payload: String,
    #[serde(default)]
    status_response: Option<StatusResponse>,
}

/// The service's word that a frame of ours could not be delivered.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusResponse {
    #[serde(default)]
    status_code: Value,
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    description: String,
}

pub struct Kinesis {
    place: Place,
    client_id: String,
    /// SwitchBot's cameras want to hear more in the offer, and send no sound.
    extra: Map<String, Value>,
    sound: bool,
    answered: bool,
}

impl Kinesis {
    pub fn new(target: &Target) -> Self {
        Self::at(target.place.clone(), target.param("client_id"))
    }

    pub fn at(place: Place, client_id: &str) -> Self {
        Self { place, client_id: client_id.to_owned(), extra: Map::new(), sound: true, answered: false }
    }

    pub fn switchbot(target: &Target) -> Self {
        let resolution = match target.param("resolution") {
            "sd" => 1,
            "auto" => 2,
            _ => 0,
        };
        let play_type: i64 = target.param("play_type").parse().unwrap_or(0);
        let extra = [("resolution".to_owned(), json!(resolution)), ("play_type".to_owned(), json!(play_type))];
        Self { extra: extra.into_iter().collect(), sound: false, ..Self::new(target) }
    }

    fn frame(&self, action: &str, payload: &Value) -> Step {
        let payload = data_encoding::BASE64.encode(payload.to_string().as_bytes());
        let mut frame = json!({"action": action, "messagePayload": payload});
        if !self.client_id.is_empty() {
            frame["recipientClientId"] = json!(self.client_id);
        }
        Step::Send(frame.to_string())
    }

    fn take(&mut self, frame: Frame) -> Steps {
        match frame.message_type.as_str() {
            "SDP_ANSWER" if !self.answered => {
                let text = base64(&frame.message_payload, "the camera's answer")?;
                let answer: Description = json(&text, "the camera's answer")?;
                self.answered = true;
                Ok(vec![Step::TakeAnswer(answer.of_type("answer", "the camera's answer")?)])
            }
            "ICE_CANDIDATE" => {
                let text = base64(&frame.message_payload, "the camera's candidate")?;
                let candidate: JsonCandidate = json(&text, "the camera's candidate")?;
                let there = !candidate.candidate.is_empty();
                Ok(there.then_some(Step::TakeCandidate(candidate.candidate)).into_iter().collect())
            }
            "GO_AWAY" | "RECONNECT_ICE_SERVER" if !self.answered => {
                Err("the signalling service asks to come again before the camera answered".into())
            }
            _ => match frame.status_response {
                Some(StatusResponse { status_code, error_type, description }) => Err(format!(
                    "the signalling service refuses: {} {error_type} {description}",
                    status_code.as_str().map_or_else(|| status_code.to_string(), str::to_owned)
                )
                .into()),
                None => Ok(Vec::new()),
            },
        }
    }
}

impl Dialect for Kinesis {
    fn next(&mut self, input: Input<'_>) -> Steps {
        match input {
            Input::Begin => {
                let medias = if self.sound { vec![video(), audio()] } else { vec![video()] };
                Ok(vec![Step::Connect(self.place.clone()), Step::Offer(medias)])
            }
            Input::Offer(sdp) => {
                let mut payload = Map::from_iter([("type".to_owned(), json!("offer")), ("sdp".to_owned(), json!(sdp))]);
                payload.extend(self.extra.clone());
                Ok(vec![self.frame("SDP_OFFER", &Value::Object(payload))])
            }
            Input::Candidate(line) => {
                let candidate = json!({"candidate": line, "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": null});
                Ok(vec![self.frame("ICE_CANDIDATE", &candidate)])
            }
            // The service sends empty frames to keep the way open, and now and then half a one.
            Input::Text(text) => match serde_json::from_str::<Frame>(text) {
                Ok(frame) => self.take(frame),
                Err(_) => Ok(Vec::new()),
            },
            _ => Ok(Vec::new()),
        }
    }

    fn trickles(&self) -> bool {
        true
    }
}
