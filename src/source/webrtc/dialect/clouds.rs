//! Cameras that are called by way of somebody else: a cloud, a bridge in front of it, a management server.
use super::kinesis::Kinesis;
use super::milestone::Milestone;
use super::wyze::Wyze;
use super::{Dialect, Target};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    Kinesis,
    SwitchBot,
    Wyze,
    Milestone,
}

impl Cloud {
    /// What `#format=` calls it.
    pub fn of(name: &str) -> Result<Option<Self>, String> {
        Ok(match name {
            "kinesis" => Some(Cloud::Kinesis),
            "switchbot" => Some(Cloud::SwitchBot),
            "wyze" => Some(Cloud::Wyze),
            "milestone" => Some(Cloud::Milestone),
            _ => None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Cloud::Kinesis => "webrtc/kinesis",
            Cloud::SwitchBot => "webrtc/switchbot",
            Cloud::Wyze => "webrtc/wyze",
            Cloud::Milestone => "webrtc/milestone",
        }
    }

    /// Signalling runs over a WebSocket; the bridge that Wyze's URL asks only tells where.
    pub fn is_websocket(self) -> bool {
        self != Cloud::Milestone
    }

    /// The URL itself is a WebSocket's.
    pub fn has_websocket_url(self) -> bool {
        matches!(self, Cloud::Kinesis | Cloud::SwitchBot)
    }

    pub fn dialect(self, target: &Target) -> Box<dyn Dialect> {
        match self {
            Cloud::Kinesis => Box::new(Kinesis::new(target)),
            Cloud::SwitchBot => Box::new(Kinesis::switchbot(target)),
            Cloud::Wyze => Box::new(Wyze::new(target)),
            Cloud::Milestone => Box::new(Milestone::new(target)),
        }
    }
}
