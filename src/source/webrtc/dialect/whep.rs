//! WHEP (draft-ietf-wish-whep): our offer by POST, the answer in its reply, further candidates by PATCH where the
//! server takes them, DELETE at the end.
use super::{Dialect, Input, Step, Steps, audio, video, voice};
use crate::config::ice_list::Reading;
use crate::net::connect::Place;
use crate::net::http_client::{Method, Reply, Request};
use crate::source::webrtc::url::{Target, named};

pub struct Whep {
    place: Place,
    bearer: String,
    /// Sound goes both ways: the URL says `#talk`.
    talk: bool,
    session: Option<Place>,
    etag: Option<String>,
    /// Credentials of the offer, for fragments.
    fragment: String,
    /// The server takes no candidates after the offer.
    whole: bool,
}

impl Whep {
    pub fn new(target: &Target) -> Self {
        Self {
            place: target.place.clone(),
            bearer: target.param("bearer").to_owned(),
            talk: target.has("talk"),
            session: None,
            etag: None,
            fragment: String::new(),
            whole: false,
        }
    }

    /// The secret is for the host that the URL names, and for nobody that this one sends us to.
    fn request(&self, method: Method, place: Place) -> Request {
        let named = place.is_same_origin(&self.place);
        let request = Request::new(method, place);
        match named && !self.bearer.is_empty() {
            true => request.with("authorization", format!("Bearer {}", self.bearer)),
            false => request,
        }
    }

    fn answered(&mut self, reply: &Reply) -> Steps {
        let body = reply.expect(&[200, 201])?.body.clone();
        if !body.trim_start().starts_with("v=0") {
            return Err(format!("{} answered, but not with a session description", reply.place.authority()).into());
        }
        self.session = reply.field("location").and_then(|location| session(reply, location));
        if let Some(session) = self.session.as_mut().filter(|session| session.is_same_origin(&self.place)) {
            session.login = self.place.login.clone();
        }
        self.etag = reply.field("etag").map(str::to_owned);
        let servers = named(Reading::of_links(reply.fields("link")), &reply.place.authority());
        let mut steps = Vec::new();
        if !servers.is_empty() {
            steps.push(Step::Servers(servers));
        }
        steps.push(Step::TakeAnswer(body));
        Ok(steps)
    }
}

impl Dialect for Whep {
    fn next(&mut self, input: Input<'_>) -> Steps {
        match input {
            Input::Begin => {
                let mut medias = vec![video(), audio()];
                medias.extend(self.talk.then(voice));
                Ok(vec![Step::Offer(medias)])
            }
            Input::Offer(sdp) => {
                let ours = |line: &&str| ["a=ice-ufrag:", "a=ice-pwd:"].iter().any(|start| line.starts_with(start));
                self.fragment = sdp.lines().filter(ours).take(2).map(|line| format!("{line}\r\n")).collect();
                let request = self.request(Method::Post, self.place.clone());
                let request = request.with("content-type", "application/sdp").with("accept", "application/sdp");
                Ok(vec![Step::Request(request.body(sdp))])
            }
            Input::Reply(reply) if self.session.is_none() && !self.whole => {
                let steps = self.answered(reply)?;
                self.whole = self.session.is_none();
                Ok(steps)
            }
            Input::Reply(reply) => {
                // Trickle is optional: a server without it has our candidates from the offer.
                self.whole |= reply.status >= 400;
                Ok(Vec::new())
            }
            Input::Candidate(line) if !self.whole => {
                let Some(session) = self.session.clone() else { return Ok(Vec::new()) };
                let body = format!("{}m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na={line}\r\n", self.fragment);
                let request = self.request(Method::Patch, session);
                let request = request.with("content-type", "application/trickle-ice-sdpfrag");
                let request = request.with("if-match", self.etag.clone().unwrap_or_else(|| "*".into()));
                Ok(vec![Step::Request(request.body(body))])
            }
            Input::End => {
                let session = self.session.take();
                Ok(session.map(|session| Step::Request(self.request(Method::Delete, session))).into_iter().collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    fn trickles(&self) -> bool {
        false
    }
}

/// The session's address (RFC 9725 section 4.2): of the server that answered, and no other. Without one it can't be
/// told of candidates or of the end, which costs no picture.
fn session(reply: &Reply, location: &str) -> Option<Place> {
    let at = reply.place.authority();
    let found = match location.trim().is_empty() {
        true => Err("is empty".into()),
        false => reply.place.join(location),
    };
    match found {
        Ok(session) if session.is_same_origin(&reply.place) => return Some(session),
        Ok(session) => log::debug!(target: "webrtc", "session of {at} is not used, it is at {}", session.authority()),
        Err(error) => log::debug!(target: "webrtc", "session of {at} is not used, its address: {error}"),
    }
    None
}
