//! A relay with its streams, and a crowd that watches.
use crate::error::Error;
use crate::http;
use crate::publisher::Publisher;
use crate::relay::{Candidate, LONG_GOP, Relay, SHORT_GOP};
use crate::viewer::Viewer;
use std::path::Path;

/// Keyframes of the streams, in pictures at 30 each second.
pub const SHORT_PICTURES: u64 = 30;
const LONG_PICTURES: u64 = 300;

pub struct Stage {
    pub relay: Relay,
    publishers: Vec<Publisher>,
}

/// What the relay counts itself, where it does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Status {
    pub packets_forwarded: u64,
    /// System calls for sending them.
    pub sends: u64,
}

impl Status {
    pub fn since(self, earlier: Status) -> Status {
        Status {
            packets_forwarded: self.packets_forwarded - earlier.packets_forwarded,
            sends: self.sends - earlier.sends,
        }
    }
}

impl Stage {
    pub async fn set(candidate: &Candidate, environment: &[(&str, &Path)]) -> Result<Self, Error> {
        Ok(Self { relay: Relay::start(candidate, environment).await?, publishers: Vec::new() })
    }

    /// Gives a relay without a camera of its own the pictures.
    pub async fn supply(&mut self) -> Result<(), Error> {
        if !self.relay.has_camera() {
            self.publishers.push(Publisher::start(&self.relay, SHORT_GOP, SHORT_PICTURES).await?);
            self.publishers.push(Publisher::start(&self.relay, LONG_GOP, LONG_PICTURES).await?);
        }
        Ok(())
    }

    pub async fn status(&self) -> Result<Status, Error> {
        if !self.relay.has_camera() {
            return Ok(Status::default());
        }
        let text = http::request(self.relay.http, "GET", "/api/status", "").await?.body;
        let status: serde_json::Value = serde_json::from_str(&text)?;
        let count = |name: &str| status[name].as_u64().unwrap_or(0);
        Ok(Status { packets_forwarded: count("packets_forwarded"), sends: count("sends") })
    }

    /// Lets viewers in until `size` are there, one after the other.
    pub async fn fill(&self, crowd: &mut Vec<Viewer>, stream: &str, size: usize) -> Result<(), Error> {
        while crowd.len() < size {
            crowd.push(Viewer::join(&self.relay, stream, None).await?);
        }
        Ok(())
    }

    pub async fn dismiss(&self, crowd: Vec<Viewer>) -> Result<(), Error> {
        for viewer in crowd {
            viewer.leave(&self.relay).await?;
        }
        Ok(())
    }

    pub fn strike(self) -> Result<(), Error> {
        self.publishers.into_iter().try_for_each(Publisher::stop)
    }
}
