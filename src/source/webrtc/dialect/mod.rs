//! How cameras are called. A dialect is a small machine without sockets or clocks: it is told what happened and
//! answers what to do next, so that its whole exchange can be played without a network.
#[cfg_attr(not(feature = "clouds"), path = "clouds_absent.rs")]
mod clouds;
mod creality;
#[cfg(all(test, feature = "clouds"))]
mod fuzz;
mod go2rtc;
#[cfg(feature = "clouds")]
mod kinesis;
#[cfg(feature = "clouds")]
mod milestone;
mod openipc;
#[cfg(all(test, feature = "clouds"))]
mod tests;
mod whep;
#[cfg(feature = "clouds")]
mod wyze;

use super::url::{Format, IceServer, Target};
use crate::engine::source::SourceError;
use crate::media::codec::{Codec, Kind};
use crate::net::connect::Place;
use crate::net::http_client::{Reply, Request};
use crate::rtc::offer::OfferedMedia;
use crate::rtc::sdp::Direction;
pub use clouds::Cloud;

/// What a dialect is told.
#[derive(Debug)]
pub enum Input<'a> {
    /// First of all, once.
    Begin,
    /// Our offer, complete but for candidates that come later.
    Offer(&'a str),
    /// Our answer to the camera's offer.
    Answer(&'a str),
    /// A further candidate of ours, without `a=`: after the offer or answer.
    Candidate(&'a str),
    /// A text of the WebSocket.
    Text(&'a str),
    /// The reply to the latest request.
    Reply(&'a Reply),
    /// The call ends; only requests may follow.
    End,
}

/// What a dialect wants done, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Opens the WebSocket.
    Connect(Place),
    /// Sends a text over it.
    Send(String),
    /// Sends a request; the reply comes as [`Input::Reply`].
    Request(Request),
    /// The servers that the signalling names to find a way with; those of the URL come before them.
    Servers(Vec<IceServer>),
    /// Makes our offer; it comes as [`Input::Offer`].
    Offer(Vec<OfferedMedia>),
    /// The camera's answer.
    TakeAnswer(String),
    /// The camera's offer; our answer comes as [`Input::Answer`].
    TakeOffer(String),
    /// A candidate of the camera, with or without `a=`.
    TakeCandidate(String),
}

/// Next steps, or why the exchange failed.
pub type Steps = Result<Vec<Step>, SourceError>;

pub trait Dialect: Send {
    fn next(&mut self, input: Input<'_>) -> Steps;

    /// Candidates that come later can be told: without this the offer waits a moment for them.
    fn trickles(&self) -> bool;
}

/// The dialect that a URL asks for.
pub fn of(target: &Target) -> Box<dyn Dialect> {
    match target.format {
        Format::Go2rtc => Box::new(go2rtc::Go2rtc::new(target)),
        Format::Whep => Box::new(whep::Whep::new(target)),
        Format::Creality => Box::new(creality::Creality::new(target)),
        Format::OpenIpc => Box::new(openipc::OpenIpc::new(target)),
        Format::Cloud(cloud) => cloud.dialect(target),
    }
}

/// Longest reason in bytes that is told of a failed exchange: cameras' own words may be a message of 128 KiB.
const MAX_REASON: usize = 400;

/// A reason as logs and lists show it: the beginning, on one line.
pub fn brief(reason: &str) -> String {
    let end = (0..=reason.len().min(MAX_REASON)).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
    let mut shown: String = reason[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if end < reason.len() {
        shown.push('…');
    }
    shown
}

/// Any video, cameras' codecs first.
fn video() -> OfferedMedia {
    let codecs = [Codec::H264, Codec::H265, Codec::Vp8, Codec::Vp9, Codec::Av1];
    OfferedMedia::new(Kind::Video, Direction::RecvOnly, &codecs)
}

/// Any sound.
fn audio() -> OfferedMedia {
    OfferedMedia::new(Kind::Audio, Direction::RecvOnly, &[Codec::Opus, Codec::Pcmu, Codec::Pcma])
}

/// A voice for the camera to play.
fn voice() -> OfferedMedia {
    OfferedMedia::new(Kind::Audio, Direction::SendOnly, &[Codec::Opus, Codec::Pcmu, Codec::Pcma])
}

/// Reads JSON that a camera sent.
fn json<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| unexpected(what, &error))
}

/// Says where JSON is wrong, or what it lacks. What stands there is told to nobody: it may be another server's answer than
/// a camera's.
fn unexpected(what: &str, error: &serde_json::Error) -> String {
    let text = error.to_string();
    // names a field of ours and nothing else
    let lack = text.strip_prefix("missing field ").and_then(|rest| rest.split(" at line ").next());
    let lack = lack.map(|field| format!("no field {field}, ")).unwrap_or_default();
    format!("{what} is not the JSON that is expected ({lack}line {} column {})", error.line(), error.column())
}

/// Reads Base64 of text, as strict as the standard alphabet but for line ends around it.
fn base64(text: &str, what: &str) -> Result<String, String> {
    let bytes = data_encoding::BASE64
        .decode(text.trim().as_bytes())
        .map_err(|error| format!("{what} is not whole Base64 ({error})"))?;
    String::from_utf8(bytes).map_err(|_| format!("{what} is Base64 of something that is no text"))
}

/// A session description in the JSON that browsers use: `{"type": "answer", "sdp": "…"}`.
#[derive(serde::Deserialize)]
struct Description {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    sdp: String,
}

impl Description {
    /// The text, if it is of this type; cameras that name no type mean it.
    fn of_type(self, wanted: &str, what: &str) -> Result<String, String> {
        match self.r#type.as_str() {
            _ if self.sdp.is_empty() => Err(format!("{what} is empty, it holds no session description")),
            "" => Ok(self.sdp),
            named if named.eq_ignore_ascii_case(wanted) => Ok(self.sdp),
            _ => Err(format!("{what} is of another type than {wanted:?}")),
        }
    }
}

/// A candidate in the JSON that browsers use. An empty one ends the list.
#[derive(serde::Deserialize)]
struct JsonCandidate {
    #[serde(default)]
    candidate: String,
}
