//! Writing our answer (RFC 8829 section 5.3, RFC 9429): one m-section for each of the offer's, in its order.
//!
//! All text that comes from the peer (mid, formats, fmtp, protocol) was checked when it was read; what we say
//! of ourselves comes in as [`Local`].
use std::fmt::Write;

use super::negotiate::{self, Accepted};
use super::sdp::{Extension, Remote, RemoteCodec, RemoteMedia, Setup, parameter};
use crate::media::codec::{Codec, Kind};

/// The SSRCs that we send one m-line's media with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ssrcs {
    pub ssrc: u32,
    /// Without one, retransmission payload types are left out of a section that sends.
    pub rtx_ssrc: Option<u32>,
}

/// What the answer says of ourselves.
#[derive(Clone, Copy, Debug)]
pub struct Local<'a> {
    /// Below 2^63 (RFC 8829 section 5.2.1), the same for the life of the session.
    pub session_id: u64,
    /// Goes up by one with every further answer.
    pub version: u64,
    pub ufrag: &'a str,
    pub pwd: &'a str,
    /// As the attribute writes it: `sha-256 AB:CD:…`.
    pub fingerprint: &'a str,
    /// Never `ActPass` in an answer; [`Setup::answer_to`] knows which.
    pub setup: Setup,
    /// `candidate:…`, without `a=`.
    pub candidates: &'a [String],
    /// One for each accepted m-line, in that order; not looked at where we don't send.
    pub ssrcs: &'a [Ssrcs],
    pub cname: &'a str,
    pub stream_id: &'a str,
    /// The header extensions that we read.
    pub extensions: &'a [Extension],
    /// Whether we give publishers transport-wide feedback.
    pub transport_cc: bool,
}

/// Writes the answer to `remote`: m-lines that are not in `accepted` are rejected with port 0.
pub fn write(remote: &Remote, accepted: &[Accepted], local: &Local) -> String {
    let mut answer = Lines(String::with_capacity(4096));
    answer.line("v=0");
    answer.line(format_args!("o=- {} {} IN IP4 0.0.0.0", local.session_id, local.version));
    answer.line("s=-");
    answer.line("t=0 0");
    let of_accepted = accepted.iter().filter_map(|a| remote.medias.get(a.media));
    let mids: Vec<&str> = of_accepted.filter(|m| remote.bundles(m)).filter_map(|m| m.mid.as_deref()).collect();
    if !mids.is_empty() {
        answer.line(format_args!("a=group:BUNDLE {}", mids.join(" ")));
    }
    answer.line("a=msid-semantic: WMS *");

    let mut has_candidates = false;
    for (index, media) in remote.medias.iter().enumerate() {
        let Some(position) = accepted.iter().position(|a| a.media == index) else {
            answer.rejected(media);
            continue;
        };
        answer.accepted(media, &accepted[position], local.ssrcs.get(position), local);
        answer.transport(remote.trickle, local);
        // In a BUNDLE group the first section speaks for all (RFC 9143 section 7.3.1).
        if !has_candidates || !remote.bundles(media) {
            answer.candidates(local);
            answer.line("a=end-of-candidates");
            has_candidates = true;
        }
    }
    answer.0
}

/// A description so far.
pub(super) struct Lines(pub(super) String);

impl Lines {
    pub(super) fn line(&mut self, text: impl std::fmt::Display) {
        // Writing to a String can't fail.
        let _ = write!(self.0, "{text}\r\n");
    }

    fn rejected(&mut self, media: &RemoteMedia) {
        // There has to be one, even where the offer named none (RFC 8866 section 9).
        let formats = if media.formats.is_empty() { "0" } else { &media.formats };
        self.line(format_args!("m={} 0 {} {formats}", media.name, media.protocol));
        self.line("c=IN IP4 0.0.0.0");
        if let Some(mid) = &media.mid {
            self.line(format_args!("a=mid:{mid}"));
        }
        self.line("a=inactive");
    }

    fn accepted(&mut self, media: &RemoteMedia, accepted: &Accepted, ssrcs: Option<&Ssrcs>, local: &Local) {
        let sends = accepted.direction.sends();
        let receives = accepted.direction.receives();
        let retransmits = !sends || ssrcs.is_some_and(|s| s.rtx_ssrc.is_some());
        let rtx = |codec: &RemoteCodec| codec.rtx.filter(|_| retransmits);

        self.media(&media.name, &media.protocol, &accepted.codecs, rtx);
        self.line("c=IN IP4 0.0.0.0");
        if let Some(mid) = &media.mid {
            self.line(format_args!("a=mid:{mid}"));
        }
        self.line(format_args!("a={}", accepted.direction.as_str()));
        self.line("a=rtcp-mux");
        if media.rtcp_rsize {
            self.line("a=rtcp-rsize");
        }
        let layered = receives && !media.sent.layers.is_empty();
        let read =
            |known: &Extension| local.extensions.contains(known) && (layered || *known == Extension::TransportCc);
        for (number, extension) in media.extensions.iter().filter(|(_, known)| read(known)) {
            self.line(format_args!("a=extmap:{number} {}", extension.uri()));
        }
        for codec in &accepted.codecs {
            let stereo = receives.then(|| sends_stereo(codec, sends));
            let codec = &RemoteCodec { fmtp: with_stereo(codec, stereo), ..codec.clone() };
            self.codec(codec, rtx(codec), receives, receives && local.transport_cc);
        }
        if receives {
            self.layers(&negotiate::accepted_layers(media, accepted.layer.as_deref()), media.sent.simulcast);
        }
        if sends {
            self.sender(accepted.kind, &accepted.codecs, ssrcs, local);
        }
    }

    /// An m-line that is not rejected.
    pub(super) fn media(
        &mut self,
        name: &str,
        protocol: &str,
        codecs: &[RemoteCodec],
        rtx: impl Fn(&RemoteCodec) -> Option<u8>,
    ) {
        let mut formats = String::new();
        for codec in codecs {
            for payload_type in [Some(codec.payload_type), rtx(codec)].into_iter().flatten() {
                let _ = write!(formats, " {payload_type}");
            }
        }
        self.line(format_args!("m={name} 9 {protocol}{formats}"));
    }

    /// A codec's lines; `remb` and `transport_cc` say whether we give that feedback.
    pub(super) fn codec(&mut self, codec: &RemoteCodec, rtx: Option<u8>, remb: bool, transport_cc: bool) {
        let payload_type = codec.payload_type;
        self.line(format_args!("a=rtpmap:{payload_type} {}", codec.codec.rtpmap()));
        for (wanted, feedback) in [
            (codec.nack, "nack"),
            (codec.pli, "nack pli"),
            (codec.fir, "ccm fir"),
            (codec.remb && remb, "goog-remb"),
            (codec.transport_cc && transport_cc, "transport-cc"),
        ] {
            if wanted {
                self.line(format_args!("a=rtcp-fb:{payload_type} {feedback}"));
            }
        }
        // sprop- parameters describe what their writer sends; repeated by us they would describe our media.
        let described = |pair: &&str| !pair.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("sprop-"));
        let fmtp = codec.fmtp.split(';').filter(described).collect::<Vec<_>>().join(";");
        if !fmtp.is_empty() {
            self.line(format_args!("a=fmtp:{payload_type} {fmtp}"));
        }
        if let Some(rtx) = rtx {
            self.line(format_args!("a=rtpmap:{rtx} rtx/{}", codec.codec.clock_rate()));
            self.line(format_args!("a=fmtp:{rtx} apt={payload_type}"));
        }
    }

    /// The layers of a picture that we let the peer send (RFC 8853 section 5.3.2).
    pub(super) fn layers(&mut self, names: &[&str], simulcast: bool) {
        for name in names {
            self.line(format_args!("a=rid:{name} recv"));
        }
        if simulcast && !names.is_empty() {
            self.line(format_args!("a=simulcast:recv {}", names.join(";")));
        }
    }

    /// Who sends in this section: RFC 8830 for msid, RFC 5576 for SSRCs, which players without msid need.
    pub(super) fn sender(&mut self, kind: Kind, codecs: &[RemoteCodec], ssrcs: Option<&Ssrcs>, local: &Local) {
        let kind = kind.name();
        let (cname, stream) = (local.cname, local.stream_id);
        self.line(format_args!("a=msid:{stream} {stream}-{kind}"));
        let Some(ssrcs) = ssrcs else { return };
        let rtx = ssrcs.rtx_ssrc.filter(|_| codecs.iter().any(|codec| codec.rtx.is_some()));
        if let Some(rtx) = rtx {
            self.line(format_args!("a=ssrc-group:FID {} {rtx}", ssrcs.ssrc));
        }
        for ssrc in [Some(ssrcs.ssrc), rtx].into_iter().flatten() {
            self.line(format_args!("a=ssrc:{ssrc} cname:{cname}"));
            self.line(format_args!("a=ssrc:{ssrc} msid:{stream} {stream}-{kind}"));
        }
    }

    pub(super) fn transport(&mut self, trickle: bool, local: &Local) {
        self.line(format_args!("a=ice-ufrag:{}", local.ufrag));
        self.line(format_args!("a=ice-pwd:{}", local.pwd));
        if trickle {
            self.line("a=ice-options:trickle");
        }
        self.line(format_args!("a=fingerprint:{}", local.fingerprint));
        self.line(format_args!("a=setup:{}", local.setup.as_str()));
    }

    pub(super) fn candidates(&mut self, local: &Local) {
        for candidate in local.candidates {
            self.line(format_args!("a={candidate}"));
        }
    }
}

/// Does the peer send two channels (RFC 7587 section 6.1)? `sprop-stereo` says so; `stereo` says what it wants to hear, but
/// who only sends can mean nothing but that.
fn sends_stereo(codec: &RemoteCodec, hears: bool) -> bool {
    let says = |key| parameter(&codec.fmtp, key) == Some("1");
    says("sprop-stereo") || (says("stereo") && !hears)
}

/// The parameters of Opus with what we want to hear, where we hear anything: without `stereo=1` browsers send one channel.
fn with_stereo(codec: &RemoteCodec, wanted: Option<bool>) -> String {
    let (Codec::Opus, Some(wanted)) = (codec.codec, wanted) else { return codec.fmtp.clone() };
    let is_stereo = |pair: &&str| pair.split('=').next().is_some_and(|key| key.trim().eq_ignore_ascii_case("stereo"));
    let others = codec.fmtp.split(';').filter(|pair| !pair.is_empty() && !is_stereo(pair));
    others.chain(wanted.then_some("stereo=1")).collect::<Vec<_>>().join(";")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::sdp::captures::{self, local, track};
    use crate::rtc::sdp::parse;

    fn to_viewer(capture: &str) -> String {
        let remote = parse(capture).unwrap();
        let source = [track(Codec::H264, "profile-level-id=42e01f"), track(Codec::Opus, "")];
        let accepted = negotiate::viewer(&remote, Some(&source), Some(&[])).unwrap();
        write(&remote, &accepted, &local(&captures::candidates()))
    }

    fn to_publisher(capture: &str, transport_cc: bool) -> String {
        let remote = parse(capture).unwrap();
        let accepted = negotiate::publisher(&remote, None).unwrap();
        write(&remote, &accepted, &Local { transport_cc, ..local(&captures::candidates()) })
    }

    #[test]
    fn a_small_viewer_gets_exactly_this() {
        let expected = "\
v=0
o=- 7 1 IN IP4 0.0.0.0
s=-
t=0 0
a=group:BUNDLE video
a=msid-semantic: WMS *
m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=mid:video
a=sendonly
a=rtcp-mux
a=rtpmap:96 H264/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=fmtp:96 profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1
a=msid:porthole porthole-video
a=ssrc:1001 cname:porthole
a=ssrc:1001 msid:porthole porthole-video
a=ice-ufrag:ours
a=ice-pwd:0123456789abcdefghijklmn
a=ice-options:trickle
a=fingerprint:FINGERPRINT
a=setup:active
a=candidate:1 1 udp 2130706431 192.168.1.20 8555 typ host
a=candidate:2 1 tcp 1671430143 192.168.1.20 8555 typ host tcptype passive
a=end-of-candidates
";
        let expected = expected.replace("FINGERPRINT", captures::FINGERPRINT).replace('\n', "\r\n");
        assert_eq!(to_viewer(captures::LIBDATACHANNEL_VIEWER), expected);
    }

    #[test]
    fn a_browser_is_told_where_media_and_retransmissions_come_from() {
        let answer = to_viewer(captures::CHROMIUM_VIEWER);
        assert!(answer.contains("m=video 9 UDP/TLS/RTP/SAVPF 109 114 "));
        for line in [
            "a=ssrc-group:FID 1001 1002",
            "a=rtpmap:114 rtx/90000",
            "a=fmtp:114 apt=109",
            "a=rtcp-fb:109 ccm fir",
            "a=extmap:4 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
            "a=ssrc:2001 cname:porthole",
            "a=rtcp-rsize",
        ] {
            assert!(answer.contains(&format!("{line}\r\n")), "{line}\n{answer}");
        }
        for never in
            ["goog-remb", "transport-cc\r\n", "abs-send-time", "sdes:mid", "ice-lite", "red/", "telephone-event"]
        {
            assert!(!answer.contains(never), "{never}");
        }
        assert_eq!(answer.matches("a=candidate:").count(), 2);
    }

    #[test]
    fn without_a_retransmission_ssrc_nothing_is_said_of_retransmission() {
        let remote = parse(captures::CHROMIUM_VIEWER).unwrap();
        let accepted = negotiate::viewer(&remote, None, Some(&[])).unwrap();
        let ssrcs = [Ssrcs { ssrc: 1, rtx_ssrc: None }, Ssrcs { ssrc: 2, rtx_ssrc: None }];
        let answer = write(&remote, &accepted, &Local { ssrcs: &ssrcs, ..local(&[]) });
        assert!(!answer.contains("rtx") && !answer.contains("FID") && !answer.contains("apt="));
    }

    #[test]
    fn a_publisher_is_answered_recvonly_with_the_feedback_that_we_give() {
        let answer = to_publisher(captures::CHROMIUM_PUBLISHER, false);
        assert!(answer.contains("m=video 9 UDP/TLS/RTP/SAVPF 106 107\r\n"), "{answer}");
        assert!(answer.contains("a=rtcp-fb:106 goog-remb\r\n") && !answer.contains("transport-cc"));
        // Only the m-line in which the page hears its viewers says who sends.
        let (sound, picture) = answer.split_once("m=video").unwrap();
        assert!(sound.contains("a=sendrecv") && sound.contains("a=msid:porthole porthole-audio"));
        assert!(!picture.contains("a=ssrc") && !picture.contains("a=msid:"));
        assert_eq!(answer.matches("a=recvonly\r\n").count(), 1);
        assert!(to_publisher(captures::CHROMIUM_PUBLISHER, true).contains("a=rtcp-fb:106 transport-cc\r\n"));
    }

    #[test]
    fn a_rejected_m_line_keeps_its_place_and_leaves_the_bundle() {
        let answer = to_publisher(captures::CHROMIUM_PUBLISHER, false);
        assert!(answer.contains("a=group:BUNDLE 0 1\r\n"));
        let rejected =
            "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=inactive\r\n";
        assert!(answer.ends_with(rejected), "{answer}");
    }

    #[test]
    fn a_rejected_m_line_without_a_format_gets_one() {
        let offer = captures::CHROMIUM_PUBLISHER.replace(" webrtc-datachannel", "");
        assert!(to_publisher(&offer, false).contains("m=application 0 UDP/DTLS/SCTP 0\r\n"));
    }

    #[test]
    fn what_a_publisher_says_of_its_own_media_is_not_repeated_as_ours() {
        let answer = to_publisher(captures::GSTREAMER_PUBLISHER, false);
        assert!(
            answer.contains("a=fmtp:96 packetization-mode=1;profile-level-id=42c01f;level-asymmetry-allowed=1\r\n")
        );
        assert!(!answer.contains("sprop") && !answer.contains("a=fmtp:98"));
    }

    #[test]
    fn who_sends_two_channels_is_asked_for_two() {
        let answered = |text: &str| {
            let answer = to_publisher(text, false);
            let line = answer.lines().find(|line| line.starts_with("a=fmtp:111 ")).unwrap();
            line.trim_start_matches("a=fmtp:111 ").to_owned()
        };
        let (obs, said) = (captures::OBS_WHIP_PUBLISHER, "stereo=1;sprop-stereo=1");
        assert!(obs.contains(said));
        let asks = |text: &str| answered(text).ends_with(";useinbandfec=1;stereo=1");
        assert!(asks(obs) && asks(&obs.replace(said, "sprop-stereo=1")) && asks(&obs.replace(said, "Stereo=1")));
        assert!(!answered(&obs.replace(said, "sprop-stereo=0")).contains("stereo"));
        // A viewer's microphone is not what it wants to hear.
        let hears = obs.replace(said, "stereo=1").replace("sendonly", "sendrecv");
        assert!(!answered(&hears).contains("stereo"));
        assert!(answered(&obs.replace("sendonly", "sendrecv")).contains("stereo=1"));
    }

    #[test]
    fn without_mid_and_bundle_each_section_has_the_candidates() {
        let unnamed: String = captures::AIORTC_VIEWER
            .split_inclusive('\n')
            .filter(|line| !line.starts_with("a=mid") && !line.starts_with("a=group"))
            .collect();
        let answer = to_viewer(&unnamed);
        assert!(!answer.contains("a=mid:") && !answer.contains("a=group"));
        assert_eq!(answer.matches("a=end-of-candidates").count(), 2);
    }
}
