//! Another offer in a session that there is: microphones come and go, and what is sent goes on under them.
use super::Engine;
use super::accept::{Incoming, incoming};
use super::api::{Answer, Description, Error, ErrorKind};
use super::keys::{PeerKey, TrackKey};
use super::media::sender::Sender;
use super::sessions::short;
use super::streams::stream_not_found;
use crate::rtc::answer::Ssrcs;
use crate::rtc::negotiate::{self, Accepted, Side};
use crate::rtc::sdp::Remote;
use std::time::Instant;

impl Engine {
    /// Answers another offer of a session; `None` if it is not one, because its transport is another or there is no such
    /// session any more. An offer that is refused changes nothing.
    pub(super) fn on_reoffer(&mut self, id: &str, sdp: &Description, now: Instant) -> Result<Option<Answer>, Error> {
        let Ok(key) = self.sessions.key_of(id) else { return Ok(None) };
        let remote = sdp.offer()?;
        let Some(peer) = self.sessions.get(key) else { return Ok(None) };
        let known = peer.session.ice().remote();
        match peer.agreement.continues(known, &remote) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(message) => return Err(Error::new(ErrorKind::Unprocessable, message)),
        }
        let client = peer.origin.remote.ip();
        let mut result = Err(Error::new(ErrorKind::Internal, "an internal fault ended the session"));
        self.guarded(key, |engine| result = engine.renegotiate(key, &remote, now));
        if let Err(error) = &result
            && let Some(left_out) = self.journal.admit(client, now)
        {
            log::warn!(target: "webrtc", "offer refused session={} error={:?}{left_out}", short(id), error.message);
        }
        result.map(Some)
    }

    fn renegotiate(&mut self, key: PeerKey, remote: &Remote, now: Instant) -> Result<Answer, Error> {
        let peer = self.sessions.expect(key)?;
        let (role, allocation, host) = (peer.role, peer.allocation, peer.origin.host);
        let name = peer.stream.clone();
        let accepted = self.accept_again(key, &name, remote)?;
        let incoming = incoming(remote, &accepted);
        let peer = self.sessions.expect(key)?;
        let expected = peer.intake.receivers.iter().map(|receiver| &receiver.inbound.agreed);
        let same = expected.eq(incoming.iter().map(|incoming| &incoming.agreed));
        if role == Side::Publisher && !same {
            let message = "what a publisher sends can't be changed within its session; publish anew";
            return Err(Error::new(ErrorKind::Unprocessable, message));
        }
        if !same {
            self.replace_microphones(key, &name, incoming);
        }
        let ssrcs = self.replace_senders(key, &accepted);
        let candidates = self.reach.candidate_lines(allocation, host);
        self.sessions.expect(key)?.agreement.renew(remote, &accepted);
        let peer = self.sessions.by_key(key)?;
        let credentials = peer.session.ice().local();
        let sdp = self.write_answer(remote, &accepted, (&peer.agreement, role), credentials, &candidates, &ssrcs);
        let (id, etag, talks) = (peer.id.clone(), peer.etag(), peer.talks());
        match role {
            // What is said from now on is bound to the loudspeaker as it is now.
            Side::Publisher => self.streams.get_mut(&name).into_iter().for_each(|stream| stream.floor.clear()),
            Side::Viewer => {
                self.bind(key);
                self.rest(&name, now);
            }
        }
        log::debug!(target: "webrtc", "offered again stream={name:?} session={}", short(&id));
        // The way is known: its candidates are not told again.
        Ok(Answer { id, sdp, candidates: Vec::new(), more: false, etag, talks })
    }

    /// What is accepted of another offer, in the same role and with the same layer as before.
    fn accept_again(&self, key: PeerKey, stream: &str, remote: &Remote) -> Result<Vec<Accepted>, Error> {
        let peer = self.sessions.by_key(key)?;
        if peer.role == Side::Viewer {
            return self.accept_viewer(self.streams.get(stream).ok_or_else(stream_not_found)?, remote);
        }
        let mut layers = peer.intake.receivers.iter().filter_map(|r| r.inbound.agreed.stream.layer.as_ref());
        let accepted = negotiate::publisher(remote, layers.next().map(|layer| layer.name.as_str()));
        accepted.map_err(Error::from)
    }

    fn replace_microphones(&mut self, key: PeerKey, stream: &str, incoming: Vec<Incoming>) {
        let Some(peer) = self.sessions.get_mut(key) else { return };
        let mut before = std::mem::take(&mut peer.intake.receivers);
        let mut receivers = Vec::new();
        for incoming in incoming {
            let known = before.iter().position(|receiver| receiver.inbound.agreed == incoming.agreed);
            receivers.push(match known {
                Some(known) => before.swap_remove(known),
                None => self.receiver(incoming),
            });
        }
        if let Some(peer) = self.sessions.get_mut(key) {
            peer.intake.receivers = receivers;
        }
        if !before.is_empty() {
            self.streams.get_mut(stream).into_iter().for_each(|stream| stream.floor.leave(key));
        }
        self.media.remove(&before.iter().map(|receiver| receiver.track).collect::<Vec<TrackKey>>());
    }

    /// What a peer is sent: m-lines that it had go on with their SSRCs and numbers.
    fn replace_senders(&mut self, key: PeerKey, accepted: &[Accepted]) -> Vec<Ssrcs> {
        let mut before = self.sessions.get_mut(key).map(|peer| std::mem::take(&mut peer.senders)).unwrap_or_default();
        let (mut senders, mut ssrcs) = (Vec::new(), Vec::new());
        for media in accepted {
            let is = |sender: &Sender| (sender.media, sender.kind) == (media.media, media.kind);
            let known = before.iter().position(is).filter(|_| media.direction.sends());
            let known = known.map(|known| before.swap_remove(known));
            let pair = match &known {
                Some(sender) => Ssrcs { ssrc: sender.ssrc, rtx_ssrc: sender.rtx_ssrc },
                None => self.new_ssrcs(media.kind),
            };
            ssrcs.push(pair);
            if media.direction.sends() {
                let mut sender = known.unwrap_or_else(|| self.new_sender(media, pair));
                sender.codecs.clone_from(&media.codecs);
                senders.push(sender);
            }
        }
        for track in before.iter().filter_map(|sender| sender.track) {
            self.media.unwatch(track, key);
        }
        if let Some(peer) = self.sessions.get_mut(key) {
            peer.senders = senders;
        }
        ssrcs
    }
}
