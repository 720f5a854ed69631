//! What both sides describe: our offer or answer, the camera's, and the session and m-lines that come of them.
use super::media::{Backchannel, Section};
use super::{Call, Event};
use crate::media::codec::Kind;
use crate::rtc::answer::{self, Local, Ssrcs};
use crate::rtc::ice::Credentials;
use crate::rtc::negotiate;
use crate::rtc::offer::{self, OfferedMedia};
use crate::rtc::sdp::{self, Direction, Extension, Remote, RemoteCodec, RemoteMedia, Setup};
use crate::rtc::session::{PeerTransport, Session};
use crate::rtc::twcc;
use crate::stream::choice::Wanted;
use crate::stream::voice::Voice;
use std::net::IpAddr;
use std::time::Instant;

impl Call {
    /// Our offer. `address` is ours towards the camera.
    pub fn offer(&mut self, medias: Vec<OfferedMedia>, address: Option<IpAddr>, candidates: &[String]) -> String {
        self.offered = medias;
        for media in self.offered.iter_mut().filter(|media| media.kind == Kind::Video) {
            media.layer.clone_from(&self.layer);
        }
        let ssrcs = vec![Ssrcs { ssrc: self.intake.ssrc, rtx_ssrc: None }; self.offered.len()];
        offer::write(&self.offered, address, &self.describe(Setup::ActPass, candidates, &ssrcs))
    }

    fn describe<'a>(&'a self, setup: Setup, candidates: &'a [String], ssrcs: &'a [Ssrcs]) -> Local<'a> {
        Local {
            session_id: self.session_id,
            version: 1,
            ufrag: &self.local.ufrag,
            pwd: &self.local.pwd,
            fingerprint: &self.fingerprint,
            setup,
            candidates,
            ssrcs,
            cname: "porthole",
            stream_id: "porthole",
            extensions: Extension::ALL,
            transport_cc: true,
        }
    }

    /// The camera's answer to our offer. A second one changes nothing.
    ///
    /// # Errors
    /// If it is none, or sends nothing that can be passed on.
    pub fn take_answer(&mut self, text: &str, now: Instant) -> Result<(), String> {
        if self.session.is_some() {
            return Ok(());
        }
        let remote = sdp::parse(text).map_err(|error| format!("the camera's answer: {error}"))?;
        let agreed = negotiate::answered(&remote, &self.offered).map_err(|mismatch| mismatch.to_string())?;
        for agreed in agreed {
            match agreed.direction {
                Direction::RecvOnly => {
                    let media = &remote.medias[agreed.media];
                    let asked = self.layer.as_deref().filter(|_| agreed.kind == Kind::Video);
                    let layer = agreed.codecs.first().map(|codec| negotiate::layer(media, codec, asked)).transpose();
                    let layer = layer.map_err(|mismatch| format!("the camera's answer: {mismatch}"))?.flatten();
                    self.expect(agreed.kind, agreed.codecs, media, layer.as_deref(), now);
                }
                _ => self.may_speak(agreed.codecs),
            }
        }
        // Whoever offers controls (RFC 8445 section 6.1.1).
        self.begin(&remote, true, Setup::after(remote.setup), now)
    }

    /// The camera's offer; answers ours to it.
    ///
    /// # Errors
    /// If it is none, or sends nothing that can be passed on.
    pub fn take_offer(&mut self, text: &str, candidates: &[String], now: Instant) -> Result<String, String> {
        let remote = sdp::parse(text).and_then(|remote| remote.multiplexes().map(|()| remote));
        let remote = remote.map_err(|error| format!("the camera's offer: {error}"))?;
        let accepted = negotiate::publisher(&remote, self.layer.as_deref())
            .map_err(|mismatch| format!("the camera's offer: {mismatch}"))?;
        for media in &accepted {
            if media.direction.receives() {
                let section = &remote.medias[media.media];
                self.expect(media.kind, media.codecs.clone(), section, media.layer.as_deref(), now);
            }
            if media.direction.sends() {
                self.may_speak(media.codecs.clone());
            }
        }
        let setup = Setup::answer_to(remote.setup, Setup::Active);
        let ssrcs = vec![Ssrcs { ssrc: self.intake.ssrc, rtx_ssrc: None }; accepted.len()];
        let text = answer::write(&remote, &accepted, &self.describe(setup, candidates, &ssrcs));
        self.begin(&remote, remote.ice_lite, setup, now)?;
        // More candidates of ours may follow.
        Ok(text.replace("a=end-of-candidates\r\n", ""))
    }

    /// Of each kind the first m-line counts.
    fn expect(&mut self, kind: Kind, codecs: Vec<RemoteCodec>, media: &RemoteMedia, layer: Option<&str>, now: Instant) {
        if self.sections.iter().any(|section| section.kind == kind) {
            return;
        }
        if let Some(extension) = media.extension(Extension::TransportCc) {
            self.intake.twcc.get_or_insert_with(|| twcc::Feedback::new(extension, now));
        }
        self.sections.push(Section { kind, codecs, stream: Wanted::of(media, layer), sends: None });
        self.sections.sort_by_key(|section| section.kind == Kind::Audio);
    }

    /// The camera plays sound: the first m-line counts.
    fn may_speak(&mut self, codecs: Vec<RemoteCodec>) {
        if self.backchannel.is_some() || codecs.is_empty() {
            return;
        }
        self.events.push(Event::Backchannel(codecs.iter().map(|codec| codec.codec).collect()));
        let (seq, timestamp) = self.numbers;
        let rate = codecs[0].codec.clock_rate();
        self.backchannel = Some(Backchannel { codecs, voice: Voice::new(self.intake.ssrc, seq, timestamp), rate });
    }

    fn begin(&mut self, remote: &Remote, controlling: bool, setup: Setup, now: Instant) -> Result<(), String> {
        let transport = PeerTransport {
            credentials: Credentials { ufrag: remote.ufrag.clone(), pwd: remote.pwd.clone() },
            fingerprints: remote.fingerprints.clone(),
        };
        let active = setup == Setup::Active;
        // The only session on these sockets: any tag finds it.
        let session = Session::new(&self.identity, now, controlling, active, 1, self.local.clone(), transport);
        self.session = Some(session);
        for (address, priority) in self.remotes.clone() {
            self.check(address, priority, now);
        }
        remote.candidates.iter().for_each(|line| self.add_candidate(line, now));
        Ok(())
    }
}
