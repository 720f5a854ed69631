//! Wyze's cameras through docker-wyze-bridge: it tells where the camera's Kinesis channel is.
use super::kinesis::Kinesis;
use super::{Dialect, Input, Step, Steps, json};
use crate::config::ice_list::Reading;
use crate::net::connect::Place;
use crate::net::http_client::{Method, Request};
use crate::source::webrtc::url::{Target, named};
use serde::Deserialize;

#[derive(Deserialize)]
struct Channel {
    #[serde(default)]
    result: String,
    #[serde(default, rename = "ClientId")]
    client_id: String,
    #[serde(default)]
    servers: Reading,
    #[serde(default, rename = "signalingUrl")]
    signaling_url: String,
}

pub struct Wyze {
    place: Place,
    kinesis: Option<Kinesis>,
}

impl Wyze {
    pub fn new(target: &Target) -> Self {
        Self { place: target.place.clone(), kinesis: None }
    }

    fn found(&mut self, body: &str) -> Steps {
        let channel: Channel = json(body, "the bridge's answer")?;
        if channel.result != "ok" {
            return Err("the bridge has no channel to this camera; its own page and log say more".into());
        }
        let place =
            Place::parse(&channel.signaling_url).map_err(|error| format!("the bridge's signalingUrl: {error}"))?;
        let mut steps = vec![Step::Servers(named(channel.servers, &self.place.authority()))];
        steps.extend(self.kinesis.insert(Kinesis::at(place, &channel.client_id)).next(Input::Begin)?);
        Ok(steps)
    }
}

impl Dialect for Wyze {
    fn next(&mut self, input: Input<'_>) -> Steps {
        match (&mut self.kinesis, input) {
            (Some(kinesis), input) => kinesis.next(input),
            (None, Input::Begin) => Ok(vec![Step::Request(Request::new(Method::Get, self.place.clone()))]),
            (None, Input::Reply(reply)) => {
                let body = reply.expect(&[200])?.body.clone();
                self.found(&body)
            }
            (None, _) => Ok(Vec::new()),
        }
    }

    fn trickles(&self) -> bool {
        true
    }
}
