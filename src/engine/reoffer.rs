//! Another offer in a session that there is: microphones come and go, and what is sent goes on under them.
use super::answers::{Incoming, incoming};
use super::peer::Sender;
use super::sessions::short;
use super::trickle::session_not_found;
use super::{Engine, stream_not_found};
use crate::rtc::answer::Ssrcs;
use crate::rtc::negotiate::{self, Accepted};
use crate::rtc::sdp::Remote;
use crate::stream::relay::{Answer, Description, Error, ErrorKind};
use std::time::Instant;

impl Engine {
    /// Answers another offer of a session; `None` if it is not one, because its transport is another or there is no such
    /// session any more. An offer that is refused changes nothing.
    pub(super) fn on_reoffer(&mut self, id: &str, sdp: &Description, now: Instant) -> Result<Option<Answer>, Error> {
        let Ok(key) = self.key_of(id) else { return Ok(None) };
        let remote = sdp.offer()?;
        let Some(peer) = self.peers.get(&key) else { return Ok(None) };
        let known = peer.session.ice().remote();
        match peer.agreement.continues(known, &remote) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(message) => return Err(Error::new(ErrorKind::Unprocessable, message)),
        }
        let remote_ip = peer.origin.remote.ip();
        let mut result = Err(Error::new(ErrorKind::Internal, "an internal fault ended the session"));
        self.guarded(key, |engine| result = engine.renegotiate(key, &remote, now));
        if let Err(error) = &result
            && let Some(left_out) = self.sparing.admit(remote_ip, now)
        {
            log::warn!(target: "webrtc", "offer refused session={} error={:?}{left_out}", short(id), error.message);
        }
        result.map(Some)
    }

    fn renegotiate(&mut self, key: u32, remote: &Remote, now: Instant) -> Result<Answer, Error> {
        let peer = self.peers.get(&key).ok_or_else(session_not_found)?;
        let (publishes, relay, host) = (peer.publishes, peer.relay, peer.origin.host);
        let name = peer.stream.clone();
        let accepted = if publishes {
            let receivers = peer.intake.receivers.iter();
            let layer = receivers.filter_map(|receiver| receiver.inbound.agreed.stream.layer.as_ref()).next();
            let accepted = negotiate::publisher(remote, layer.map(|layer| layer.name.as_str()));
            accepted.map_err(|mismatch| Error::new(ErrorKind::CodecMismatch, mismatch.to_string()))?
        } else {
            self.accept_viewer(self.streams.get(&name).ok_or_else(stream_not_found)?, remote)?
        };
        let incoming = incoming(remote, &accepted);
        let peer = self.peers.get(&key).ok_or_else(session_not_found)?;
        let expected = peer.intake.receivers.iter().map(|receiver| &receiver.inbound.agreed);
        let same = expected.eq(incoming.iter().map(|incoming| &incoming.agreed));
        if publishes && !same {
            let message = "what a publisher sends can't be changed within its session; publish anew";
            return Err(Error::new(ErrorKind::Unprocessable, message));
        }
        if !same {
            self.replace_microphones(key, &name, incoming);
        }
        let ssrcs = self.replace_senders(key, &accepted);
        let candidates = self.candidate_lines(relay, host);
        let peer = self.peers.get_mut(&key).ok_or_else(session_not_found)?;
        peer.agreement.renew(remote, &accepted);
        let peer = self.peers.get(&key).ok_or_else(session_not_found)?;
        let credentials = peer.session.ice().local();
        let sdp = self.write_answer(remote, &accepted, (&peer.agreement, publishes), credentials, &candidates, &ssrcs);
        let (id, etag, talks) = (peer.id.clone(), peer.etag(), peer.talks());
        if publishes {
            // What is said from now on is bound to the loudspeaker as it is now.
            self.streams.get_mut(&name).into_iter().for_each(|stream| stream.floor.clear());
        } else {
            self.bind(key);
            self.rest(&name, now);
        }
        log::debug!(target: "webrtc", "offered again stream={name:?} session={}", short(&id));
        // The way is known: its candidates are not told again.
        Ok(Answer { id, sdp, candidates: Vec::new(), more: false, etag, talks })
    }

    fn replace_microphones(&mut self, key: u32, stream: &str, incoming: Vec<Incoming>) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let mut before = std::mem::take(&mut peer.intake.receivers);
        let mut receivers = Vec::new();
        for incoming in incoming {
            let known = before.iter().position(|receiver| receiver.inbound.agreed == incoming.agreed);
            receivers.push(match known {
                Some(known) => before.swap_remove(known),
                None => self.receiver(incoming),
            });
        }
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.intake.receivers = receivers;
        }
        if !before.is_empty() {
            self.streams.get_mut(stream).into_iter().for_each(|stream| stream.floor.leave(key));
        }
        self.drop_tracks(&before.iter().map(|receiver| receiver.track).collect::<Vec<u32>>());
    }

    /// What a peer is sent: m-lines that it had go on with their SSRCs and numbers.
    fn replace_senders(&mut self, key: u32, accepted: &[Accepted]) -> Vec<Ssrcs> {
        let mut before = self.peers.get_mut(&key).map(|peer| std::mem::take(&mut peer.senders)).unwrap_or_default();
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
            if let Some(track) = self.tracks.get_mut(&track) {
                track.viewers.retain(|viewer| *viewer != key);
            }
        }
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.senders = senders;
        }
        ssrcs
    }
}
