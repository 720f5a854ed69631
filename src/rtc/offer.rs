//! Writing our offer to a camera that we call (RFC 8829 section 5.2): few m-lines, few codecs, since small cameras
//! read whatever comes with hand-written parsers.
use std::net::IpAddr;

use super::answer::{Lines, Local, Ssrcs};
use super::sdp::{Direction, Extension, RemoteCodec};
use crate::media::codec::{Codec, Kind};

/// Payload types of our offers. Those of H.264, H.265, Opus and G.711 are the ones of go2rtc, since cameras are tried
/// with it; the others are ours.
const H264: [(u8, &str); 3] = [(96, "42001f"), (97, "42e01f"), (98, "640032")];
/// Numbers of the header extensions that we offer.
const TRANSPORT_CC: u8 = 3;
const RID: u8 = 4;
const REPAIRED_RID: u8 = 5;

/// One m-line of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedMedia {
    pub kind: Kind,
    /// `RecvOnly` for what the camera shall send, `SendOnly` for a voice that it shall play.
    pub direction: Direction,
    pub codecs: Vec<RemoteCodec>,
    /// The layer that is wanted of a picture that the camera has several of.
    pub layer: Option<String>,
}

impl OfferedMedia {
    /// An m-line with these codecs, the preferred one first.
    pub fn new(kind: Kind, direction: Direction, codecs: &[Codec]) -> Self {
        let entries = codecs.iter().filter(|codec| codec.kind() == kind).flat_map(|codec| entries(*codec));
        let mut codecs: Vec<RemoteCodec> = entries.collect();
        // RFC 7587 section 6.1: without this a camera may send one channel of two.
        let hears = |entry: &&mut RemoteCodec| entry.codec == Codec::Opus && direction.receives();
        codecs.iter_mut().filter(hears).for_each(|entry| entry.fmtp.push_str(";stereo=1"));
        Self { kind, direction, codecs, layer: None }
    }
}

/// How a codec is offered: H.264 once for each profile that cameras have, all in packetization mode 1.
fn entries(codec: Codec) -> Vec<RemoteCodec> {
    let entry = |payload_type, rtx, fmtp: String| RemoteCodec {
        payload_type,
        codec,
        fmtp,
        rtx,
        nack: codec.kind() == Kind::Video,
        pli: codec.kind() == Kind::Video,
        fir: codec.kind() == Kind::Video,
        remb: codec.kind() == Kind::Video,
        transport_cc: codec.kind() == Kind::Video,
    };
    match codec {
        Codec::H264 => H264
            .iter()
            .map(|(payload_type, profile)| {
                let fmtp = format!("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile}");
                entry(*payload_type, Some(payload_type + 20), fmtp)
            })
            .collect(),
        Codec::H265 => vec![entry(100, Some(120), String::new())],
        Codec::Vp8 => vec![entry(102, Some(122), String::new())],
        Codec::Vp9 => vec![entry(103, Some(123), "profile-id=0".into())],
        Codec::Av1 => vec![entry(104, Some(124), String::new())],
        Codec::Opus => vec![entry(101, None, "minptime=10;useinbandfec=1".into())],
        Codec::Pcmu => vec![entry(0, None, String::new())],
        Codec::Pcma => vec![entry(8, None, String::new())],
    }
}

/// Which m-line of an offer with that many has this `a=mid`: they are numbered from 0.
pub fn place(mid: &str, medias: usize) -> Option<usize> {
    (0..medias).find(|place| place.to_string() == mid)
}

/// Writes the offer; `local.candidates` and `local.ssrcs` are looked at as in an answer, `local.setup` is `ActPass`.
/// `address` is ours, for cameras that read the c-line.
pub fn write(medias: &[OfferedMedia], address: Option<IpAddr>, local: &Local) -> String {
    let mut offer = Lines(String::with_capacity(4096));
    offer.line("v=0");
    offer.line(format_args!("o=- {} {} IN IP4 0.0.0.0", local.session_id, local.version));
    offer.line("s=-");
    offer.line("t=0 0");
    let mids: Vec<String> = (0..medias.len()).map(|mid| mid.to_string()).collect();
    offer.line(format_args!("a=group:BUNDLE {}", mids.join(" ")));
    offer.line("a=msid-semantic: WMS *");
    let connection = match address {
        Some(IpAddr::V4(ip)) => format!("c=IN IP4 {ip}"),
        Some(IpAddr::V6(ip)) => format!("c=IN IP6 {ip}"),
        None => "c=IN IP4 0.0.0.0".to_owned(),
    };
    for (mid, media) in medias.iter().enumerate() {
        let receives = media.direction.receives();
        let rtx = |codec: &RemoteCodec| codec.rtx.filter(|_| receives);
        let name = media.kind.name();
        offer.media(name, "UDP/TLS/RTP/SAVPF", &media.codecs, rtx);
        offer.line(&connection);
        offer.line(format_args!("a=mid:{mid}"));
        offer.line(format_args!("a={}", media.direction.as_str()));
        offer.line("a=rtcp-mux");
        offer.line("a=rtcp-rsize");
        if receives && media.kind == Kind::Video {
            offer.line(format_args!("a=extmap:{TRANSPORT_CC} {}", Extension::TransportCc.uri()));
        }
        if let Some(layer) = media.layer.as_deref().filter(|_| receives) {
            for (number, extension) in [(RID, Extension::Rid), (REPAIRED_RID, Extension::RepairedRid)] {
                offer.line(format_args!("a=extmap:{number} {}", extension.uri()));
            }
            // Of one layer `a=simulcast` has nothing to say, but cameras look for it.
            offer.layers(&[layer], true);
        }
        for codec in &media.codecs {
            offer.codec(codec, rtx(codec), receives, receives);
        }
        if media.direction.sends() {
            let ssrcs: Option<&Ssrcs> = local.ssrcs.get(mid);
            offer.sender(media.kind, &media.codecs, ssrcs, local);
        }
        offer.transport(true, local);
        if mid == 0 {
            offer.candidates(local);
        }
    }
    offer.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::sdp::captures::{self, local};
    use crate::rtc::sdp::{Setup, parse};

    fn offer(medias: &[OfferedMedia]) -> String {
        let candidates = captures::candidates();
        write(
            medias,
            "192.168.1.20".parse().ok(),
            &Local { setup: Setup::ActPass, ssrcs: &[captures::SSRCS[0]; 3], ..local(&candidates) },
        )
    }

    #[test]
    fn an_offer_says_what_the_camera_shall_send_and_reads_back_the_same() {
        let medias = [
            OfferedMedia::new(Kind::Video, Direction::RecvOnly, &[Codec::H264, Codec::H265]),
            OfferedMedia::new(Kind::Audio, Direction::RecvOnly, &[Codec::Opus, Codec::Pcmu, Codec::Pcma]),
            OfferedMedia::new(Kind::Audio, Direction::SendOnly, &[Codec::Pcma, Codec::H264]),
        ];
        let text = offer(&medias);
        let remote = parse(&text).unwrap();
        assert_eq!(
            (remote.setup, remote.bundle.len(), remote.candidates.len()),
            (Some(Setup::ActPass), 3, 2),
            "{text}"
        );
        for (media, read) in medias.iter().zip(&remote.medias) {
            assert_eq!((read.usable(), read.direction), (Some(media.kind), media.direction));
            let types = |codecs: &[RemoteCodec]| codecs.iter().map(|c| c.payload_type).collect::<Vec<_>>();
            assert_eq!(types(&read.codecs), types(&media.codecs));
        }
        assert_eq!(text.matches("stereo=1").count(), 1, "for what comes only");
        assert_eq!(remote.medias[0].codecs[1].rtx, Some(117));
        assert!(remote.medias[2].sent.ssrc.is_some() && remote.medias[0].sent.ssrc.is_none(), "{text}");
        assert!(!text.contains("a=end-of-candidates"), "further ones may come");
        assert!(text.contains("c=IN IP4 192.168.1.20\r\n"));
    }

    #[test]
    fn a_layer_that_is_wanted_is_all_that_the_camera_may_send() {
        let mut video = OfferedMedia::new(Kind::Video, Direction::RecvOnly, &[Codec::H264]);
        assert!(!offer(&[video.clone()]).contains("rid"));
        video.layer = Some("h".into());
        let text = offer(&[video]);
        for line in ["a=rid:h recv", "a=simulcast:recv h", "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"] {
            assert!(text.contains(&format!("{line}\r\n")), "{line}\n{text}");
        }
    }

    #[test]
    fn no_payload_type_is_used_twice() {
        let mut seen: Vec<u8> = Codec::ALL
            .iter()
            .flat_map(|codec| entries(*codec))
            .flat_map(|c| [Some(c.payload_type), c.rtx])
            .flatten()
            .collect();
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), all);
        assert!(seen.iter().all(|t| *t < 35 || (96..128).contains(t)));
    }
}
