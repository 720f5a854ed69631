//! What of a session stays the same when its peer offers again (RFC 8829 section 5.3.2, RFC 3264 section 8). Pure.
use super::ice::Credentials;
use super::negotiate::Accepted;
use super::sdp::{Fingerprint, MediaKind, Remote, Setup};

/// What both sides have agreed on so far.
#[derive(Clone, Debug)]
pub struct Agreement {
    /// Ours, for the life of the session.
    pub session_id: u64,
    /// Of our last answer.
    pub version: u64,
    /// Our DTLS role.
    pub setup: Setup,
    fingerprints: Vec<Fingerprint>,
    /// Kind and `a=mid` of each m-line; one that was rejected may become another (RFC 8829 section 5.2.2).
    medias: Vec<Option<(MediaKind, Option<String>)>>,
}

impl Agreement {
    /// Of a first offer and what was accepted of it; `choice` is our DTLS role where the offer leaves that to us.
    pub fn new(session_id: u64, remote: &Remote, accepted: &[Accepted], choice: Setup) -> Self {
        let mut agreement = Self {
            session_id,
            version: 0,
            setup: Setup::answer_to(remote.setup, choice),
            fingerprints: remote.fingerprints.clone(),
            medias: Vec::new(),
        };
        agreement.renew(remote, accepted);
        agreement
    }

    /// Is this another offer of the session whose peer has these credentials? One with other credentials wants a session of
    /// its own.
    ///
    /// # Errors
    /// If it is, but changes what can't be changed.
    pub fn continues(&self, peer: &Credentials, remote: &Remote) -> Result<bool, String> {
        if remote.ufrag != peer.ufrag {
            return Ok(false);
        }
        if remote.pwd != peer.pwd {
            return Err("the ice-ufrag is this session's but the ice-pwd is not; an ICE restart changes both".into());
        }
        if remote.fingerprints != self.fingerprints {
            return Err(
                "the ICE credentials are this session's but a=fingerprint is not; a certificate lasts as long as \
                        its session"
                    .into(),
            );
        }
        if remote.setup == Some(self.setup) {
            return Err(format!("a=setup:{} is our own part in this session", self.setup.as_str()));
        }
        if remote.medias.len() < self.medias.len() {
            return Err(format!(
                "the offer has {} m-lines and the session {}; one that is not wanted any more stays, with port 0",
                remote.medias.len(),
                self.medias.len()
            ));
        }
        for (media, known) in remote.medias.iter().zip(&self.medias) {
            if known.as_ref().is_some_and(|(kind, mid)| (*kind, mid) != (media.kind, &media.mid)) {
                return Err(format!(
                    "line {} of the session description: this m-line was of another kind or had another a=mid",
                    media.line
                ));
            }
        }
        Ok(true)
    }

    /// Takes what an offer changed; the answer to it is one version on.
    pub fn renew(&mut self, remote: &Remote, accepted: &[Accepted]) {
        self.version += 1;
        let is_accepted = |index| accepted.iter().any(|media| media.media == index);
        let medias = remote.medias.iter().enumerate();
        self.medias = medias.map(|(i, media)| is_accepted(i).then(|| (media.kind, media.mid.clone()))).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::negotiate;
    use crate::rtc::sdp::{captures, parse};

    fn first() -> (Agreement, Credentials, String) {
        let text = captures::CHROMIUM_VIEWER.to_owned();
        let remote = parse(&text).unwrap();
        let accepted = negotiate::viewer(&remote, None, None).unwrap();
        let peer = Credentials { ufrag: remote.ufrag.clone(), pwd: remote.pwd.clone() };
        (Agreement::new(7, &remote, &accepted, Setup::Active), peer, text)
    }

    fn continues(text: &str) -> Result<bool, String> {
        let (agreement, peer, _) = first();
        agreement.continues(&peer, &parse(text).unwrap())
    }

    #[test]
    fn an_offer_with_the_same_transport_is_of_the_same_session() {
        let (mut agreement, peer, text) = first();
        assert_eq!((agreement.session_id, agreement.version, agreement.setup), (7, 1, Setup::Active));
        let more = text.clone() + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:2\r\na=sendonly\r\n";
        assert_eq!(continues(&more), Ok(true));
        assert_eq!(continues(&text.replace("recvonly", "sendrecv")), Ok(true));
        assert_eq!(continues(&text.replace(&peer.ufrag, "Else")), Ok(false));
        let remote = parse(&text).unwrap();
        agreement.renew(&remote, &negotiate::viewer(&remote, None, None).unwrap());
        assert_eq!(agreement.version, 2);
    }

    #[test]
    fn what_a_session_cannot_change_is_said() {
        let (_, peer, text) = first();
        let says = |text: &str| continues(text).unwrap_err();
        assert!(says(&text.replace(&peer.pwd, "anotherPasswordOf22Chars")).contains("ice-pwd"));
        let (_, digest) = text.split_once("a=fingerprint:sha-256 ").unwrap();
        assert!(says(&text.replace(&digest[..2], "00")).contains("a=fingerprint"));
        assert!(says(&text.replace("a=setup:actpass", "a=setup:active")).contains("a=setup:active"));
        let (video, _) = text.split_once("m=audio").unwrap();
        assert!(says(video).contains("port 0"));
        assert!(says(&text.replace("m=audio", "m=video")).contains("another kind"));
        assert!(
            says(&text.replace("a=mid:1", "a=mid:sound").replace("BUNDLE 0 1", "BUNDLE 0 sound")).contains("a=mid")
        );
    }

    #[test]
    fn an_m_line_that_was_rejected_may_become_another() {
        let (_, peer, text) = first();
        let rejected = text.replace("m=audio 9", "m=audio 0");
        let remote = parse(&rejected).unwrap();
        let agreement = Agreement::new(7, &remote, &negotiate::viewer(&remote, None, None).unwrap(), Setup::Active);
        let renamed = text.replace("a=mid:1", "a=mid:5").replace("BUNDLE 0 1", "BUNDLE 0 5");
        assert_eq!(agreement.continues(&peer, &parse(&renamed).unwrap()), Ok(true));
    }
}
