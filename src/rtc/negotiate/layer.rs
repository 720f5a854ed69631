//! Which layer of a picture that comes in several (simulcast, RFC 8853) is taken, and which ones the answer accepts.
use super::super::sdp::{Extension, RemoteCodec, RemoteMedia};
use super::Mismatch;

/// The layer to take by its name: the one that was asked for; else none where the description names an SSRC, which says it
/// better; else the one that the peer prefers. A peer without named layers sends one picture, whatever was asked for.
///
/// # Errors
/// If the layer that was asked for is not there, or nothing would tell its packets from others.
pub fn layer(media: &RemoteMedia, codec: &RemoteCodec, asked: Option<&str>) -> Result<Option<String>, Mismatch> {
    let there = || media.sent.layers.iter().filter(|layer| layer.holds(codec.payload_type));
    let told = media.extension(Extension::Rid).is_some();
    match asked.filter(|_| !media.sent.layers.is_empty()) {
        Some(asked) if (told || media.sent.layers.len() == 1) && there().any(|layer| layer.name == asked) => {
            Ok(Some(asked.to_owned()))
        }
        Some(asked) => {
            let names = there().filter(|_| told).map(|layer| layer.name.clone()).collect();
            Err(Mismatch::Layer { asked: asked.to_owned(), there: names })
        }
        None if media.sent.ssrc.is_some() || !told => Ok(None),
        None => Ok(there().next().map(|layer| layer.name.clone())),
    }
}

/// The layers that an answer accepts: only the one that is taken, so that the peer spares itself the others. One that
/// names an SSRC is OBS, which goes on only if all layers are accepted.
pub fn accepted<'a>(media: &'a RemoteMedia, taken: Option<&str>) -> Vec<&'a str> {
    let all = media.sent.ssrc.is_some();
    let names = media.sent.layers.iter().map(|layer| layer.name.as_str());
    names.filter(|name| all || taken == Some(*name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::answer;
    use crate::rtc::negotiate::publisher;
    use crate::rtc::sdp::{captures, parse};
    use crate::stream::choice::Wanted;

    const LAYERS: &str = "a=extmap:2 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n\
        a=extmap:5 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n\
        a=rid:0 send\r\na=rid:1 send\r\na=rid:2 send pt=97\r\na=simulcast:send 1;0;2\r\n";

    /// OBS, with layers; `named`: it names the SSRC of one.
    fn offer(named: bool) -> String {
        let text = captures::OBS_WHIP_PUBLISHER.to_owned() + LAYERS;
        let unnamed = |line: &&str| named || !line.starts_with("a=ssrc:2910482734");
        text.split_inclusive('\n').filter(unnamed).collect()
    }

    /// What is taken of the picture, and what the answer says of layers.
    fn taken(text: &str, asked: Option<&str>) -> (Wanted, Vec<String>) {
        let remote = parse(text).unwrap();
        let accepted = publisher(&remote, asked).unwrap();
        let local = answer::Local { extensions: Extension::ALL, ..captures::local(&[]) };
        let answer = answer::write(&remote, &accepted, &local);
        let layers =
            |line: &&str| ["a=rid", "a=sim"].iter().any(|start| line.starts_with(start)) || line.contains("stream-id");
        let lines = answer.lines().filter(layers).map(str::to_owned).collect();
        (Wanted::of(&remote.medias[1], accepted[1].layer.as_deref()), lines)
    }

    #[test]
    fn the_ssrc_that_an_offer_names_is_taken_and_all_layers_are_accepted_as_obs_wants() {
        let (wanted, lines) = taken(&offer(true), None);
        assert_eq!((wanted.ssrc, wanted.layer, wanted.simulcast), (Some(2910482734), None, true));
        assert_eq!(&lines[..2], LAYERS.lines().take(2).collect::<Vec<_>>());
        assert_eq!(&lines[2..], ["a=rid:1 recv", "a=rid:0 recv", "a=rid:2 recv", "a=simulcast:recv 1;0;2"]);
    }

    #[test]
    fn without_an_ssrc_the_layer_that_the_peer_prefers_is_taken_and_no_other_accepted() {
        let (wanted, lines) = taken(&offer(false), None);
        let layer = wanted.layer.unwrap();
        assert_eq!((layer.name.as_str(), layer.extension, layer.repaired, wanted.ssrc), ("1", 2, Some(5), None));
        assert_eq!(&lines[2..], ["a=rid:1 recv", "a=simulcast:recv 1"]);
    }

    #[test]
    fn the_layer_that_is_asked_for_is_taken() {
        for named in [true, false] {
            let (wanted, lines) = taken(&offer(named), Some("0"));
            assert_eq!((wanted.layer.unwrap().name.as_str(), wanted.ssrc), ("0", None));
            assert_eq!(lines.contains(&"a=simulcast:recv 0".to_owned()), !named, "{lines:?}");
        }
    }

    #[test]
    fn a_layer_that_is_not_there_is_refused_with_those_that_are() {
        let refused = |text: &str, asked| publisher(&parse(text).unwrap(), Some(asked)).unwrap_err().to_string();
        assert!(refused(&offer(true), "h").contains("no layer \"h\" comes (rid=): there are 1, 0"));
        assert!(refused(&offer(true), "2").contains("\"2\""), "it is held to another payload type");
        let untold = offer(false).replace("a=extmap:2", "a=extmap:0");
        assert!(refused(&untold, "0").contains("rtp-stream-id"));
        assert_eq!(taken(&untold, None).0, Wanted { simulcast: true, ..Wanted::default() });
        assert_eq!(
            taken(captures::OBS_WHIP_PUBLISHER, Some("h")).0.ssrc,
            Some(2910482734),
            "one picture is that picture"
        );
    }
}
