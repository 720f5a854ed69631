//! Which of a peer's RTP streams a track is made of. A publisher may send several layers of one picture at one time,
//! under one payload type: one of them is taken, and none of the others ever gets between. Pure.
use super::inbound::Header;
use crate::rtc::sdp::{Extension, RemoteMedia};
use std::time::{Duration, Instant};

/// Where nothing was said of the streams, another one takes over when the known one was silent this long; and one that was
/// named and does not come is waited for so long.
const SILENCE: Duration = Duration::from_millis(500);

/// What the description says of the stream to take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub ssrc: Option<u32>,
    pub rtx_ssrc: Option<u32>,
    /// The layer, where it is told by its name.
    pub layer: Option<Named>,
    /// Other layers come beside it.
    pub simulcast: bool,
}

/// A layer with a name, and the numbers of the header extensions that say it (RFC 8852).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    pub extension: u8,
    pub repaired: Option<u8>,
}

impl Wanted {
    /// Of an m-section that the peer sends in; `layer` where one was chosen by name.
    pub fn of(media: &RemoteMedia, layer: Option<&str>) -> Self {
        let named = layer.zip(media.extension(Extension::Rid)).map(|(name, extension)| Named {
            name: name.to_owned(),
            extension,
            repaired: media.extension(Extension::RepairedRid),
        });
        let (ssrc, rtx_ssrc) = if named.is_some() { (None, None) } else { (media.sent.ssrc, media.sent.rtx_ssrc) };
        Self { ssrc, rtx_ssrc, layer: named, simulcast: media.sent.simulcast }
    }
}

/// Where a packet belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// To the stream that is taken.
    Taken,
    /// The same, and it is another stream than before.
    Begins,
    /// To another stream.
    Other,
}

#[derive(Debug)]
pub struct Choice {
    wanted: Wanted,
    /// The stream that is taken.
    ssrc: Option<u32>,
    rtx: Option<u32>,
    last_arrival: Option<Instant>,
    /// A packet of [`Self::ssrc`] came.
    came: bool,
    /// The peer says names of layers in its packets.
    says_names: bool,
    /// When the first packet of a stream came that is not the named one.
    waits: Option<Instant>,
}

impl Choice {
    pub fn new(wanted: Wanted) -> Self {
        Self {
            ssrc: wanted.ssrc,
            rtx: wanted.rtx_ssrc,
            wanted,
            last_arrival: None,
            came: false,
            says_names: false,
            waits: None,
        }
    }

    /// The stream that is taken, or will be when it comes.
    pub fn ssrc(&self) -> Option<u32> {
        self.ssrc
    }

    /// Decides about a packet of media.
    pub fn media(&mut self, now: Instant, header: &Header, packet: &[u8]) -> Verdict {
        let known = self.ssrc == Some(header.ssrc);
        if !known {
            if !self.changes(now, header, packet) {
                return Verdict::Other;
            }
            self.ssrc = Some(header.ssrc);
            self.rtx = self.wanted.rtx_ssrc.filter(|_| self.wanted.ssrc == self.ssrc);
        }
        let begins = !known && self.came;
        (self.last_arrival, self.came) = (Some(now), true);
        if begins { Verdict::Begins } else { Verdict::Taken }
    }

    /// Is this stream taken from now on?
    fn changes(&mut self, now: Instant, header: &Header, packet: &[u8]) -> bool {
        let silent = self.last_arrival.is_none_or(|at| now.saturating_duration_since(at) > SILENCE);
        if let Some(Named { name, extension, .. }) = &self.wanted.layer {
            return match header.extension(packet, *extension) {
                Some(said) => {
                    self.says_names = true;
                    said == name.as_bytes() && silent
                }
                // A peer that sends one layer only need not name it.
                None => !self.says_names && !self.came,
            };
        }
        match self.wanted.ssrc {
            Some(named) if named == header.ssrc => true,
            Some(_) if self.wanted.simulcast || self.came => false,
            // Small stacks name a stream and send another one.
            Some(_) => now.saturating_duration_since(*self.waits.get_or_insert(now)) > SILENCE,
            None => !self.came || (silent && !self.wanted.simulcast),
        }
    }

    /// Does this retransmission belong to the stream that is taken? One of another layer has numbers of that layer.
    pub fn retransmission(&mut self, header: &Header, packet: &[u8]) -> bool {
        if self.rtx == Some(header.ssrc) {
            return true;
        }
        if let Some(Named { name, repaired: Some(repaired), .. }) = &self.wanted.layer
            && let Some(said) = header.extension(packet, *repaired)
        {
            self.says_names = true;
            self.rtx = Some(header.ssrc).filter(|_| said == name.as_bytes()).or(self.rtx);
            return self.rtx == Some(header.ssrc);
        }
        // Nothing tells them apart: there is nothing to tell apart either, unless layers come side by side.
        self.rtx.is_none() && !self.wanted.simulcast
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RID: u8 = 2;
    const REPAIRED: u8 = 3;

    /// A packet of a stream; `said`: a header extension and its value.
    fn packet(ssrc: u32, said: Option<(u8, &str)>) -> Vec<u8> {
        let mut bytes = Vec::new();
        crate::rtc::srtp::write_header(&mut bytes, false, 96, 1, 0, ssrc);
        if let Some((number, value)) = said {
            bytes[0] |= 0x10;
            let words = (value.len() + 4) / 4;
            bytes.extend_from_slice(&[0xbe, 0xde, 0, words as u8, number << 4 | (value.len() as u8 - 1)]);
            bytes.extend_from_slice(value.as_bytes());
            bytes.resize(16 + 4 * words, 0);
        }
        bytes.push(b'x');
        bytes
    }

    struct Peer {
        choice: Choice,
        now: Instant,
    }

    impl Peer {
        fn new(wanted: Wanted) -> Self {
            Self { choice: Choice::new(wanted), now: Instant::now() }
        }

        fn sends(&mut self, ssrc: u32, rid: Option<&str>) -> Verdict {
            let bytes = packet(ssrc, rid.map(|name| (RID, name)));
            self.choice.media(self.now, &Header::read(&bytes).unwrap(), &bytes)
        }

        fn repairs(&mut self, ssrc: u32, rid: Option<&str>) -> bool {
            let bytes = packet(ssrc, rid.map(|name| (REPAIRED, name)));
            self.choice.retransmission(&Header::read(&bytes).unwrap(), &bytes)
        }

        fn waits(&mut self, milliseconds: u64) {
            self.now += Duration::from_millis(milliseconds);
        }
    }

    fn layers(ssrc: Option<u32>, name: Option<&str>) -> Wanted {
        let layer = name.map(|name| Named { name: name.into(), extension: RID, repaired: Some(REPAIRED) });
        Wanted { ssrc, rtx_ssrc: ssrc.map(|ssrc| ssrc + 100), layer, simulcast: true }
    }

    #[test]
    fn the_stream_that_the_description_names_is_taken_though_others_come_first_and_stays_after_a_pause() {
        let mut peer = Peer::new(layers(Some(3), None));
        for _ in 0..2 {
            assert_eq!(peer.sends(1, Some("0")), Verdict::Other);
            assert_eq!(peer.sends(2, Some("1")), Verdict::Other);
            peer.waits(2000);
        }
        assert_eq!(peer.sends(3, Some("2")), Verdict::Taken);
        peer.waits(2000);
        assert_eq!(peer.sends(1, None), Verdict::Other);
        assert_eq!(peer.sends(3, None), Verdict::Taken);
    }

    #[test]
    fn a_layer_is_told_by_its_name_and_stays_when_names_are_no_more_said() {
        let mut peer = Peer::new(layers(None, Some("h")));
        assert_eq!(peer.sends(1, Some("q")), Verdict::Other);
        assert_eq!(peer.sends(9, None), Verdict::Other, "who says names says them at first");
        assert_eq!(peer.sends(2, Some("h")), Verdict::Taken);
        peer.waits(2000);
        assert_eq!(peer.sends(1, None), Verdict::Other);
        assert_eq!(peer.sends(3, Some("f")), Verdict::Other);
        assert_eq!(peer.sends(2, None), Verdict::Taken);
    }

    #[test]
    fn a_layer_that_begins_anew_with_another_ssrc_is_the_same_layer() {
        let mut peer = Peer::new(layers(None, Some("h")));
        assert_eq!(peer.sends(2, Some("h")), Verdict::Taken);
        assert_eq!(peer.sends(7, Some("h")), Verdict::Other, "two at one time are not mixed");
        peer.waits(600);
        assert_eq!(peer.sends(7, Some("h")), Verdict::Begins);
    }

    #[test]
    fn a_peer_that_says_no_names_and_sends_one_layer_is_heard() {
        let mut peer = Peer::new(layers(None, Some("h")));
        assert_eq!(peer.sends(5, None), Verdict::Taken);
    }

    #[test]
    fn retransmissions_of_other_layers_are_refused() {
        let mut peer = Peer::new(layers(Some(3), None));
        peer.sends(3, None);
        assert_eq!([101, 102, 103].map(|ssrc| peer.repairs(ssrc, None)), [false, false, true]);
        let mut peer = Peer::new(layers(None, Some("h")));
        peer.sends(2, Some("h"));
        assert!(!peer.repairs(101, Some("q")));
        assert!(!peer.repairs(102, None), "nothing says whose it is");
        assert!(peer.repairs(102, Some("h")) && peer.repairs(102, None), "known from then on");
        let mut peer = Peer::new(layers(None, None));
        peer.sends(1, None);
        assert!(!peer.repairs(101, None));
    }

    #[test]
    fn without_names_the_first_layer_stays() {
        let mut peer = Peer::new(layers(None, None));
        assert_eq!(peer.sends(1, None), Verdict::Taken);
        peer.waits(2000);
        assert_eq!(peer.sends(2, None), Verdict::Other);
    }

    #[test]
    fn a_single_stream_may_begin_anew_where_nothing_named_it() {
        let mut peer = Peer::new(Wanted::default());
        assert_eq!(peer.sends(1, None), Verdict::Taken);
        assert!(peer.repairs(50, None));
        assert_eq!(peer.sends(2, None), Verdict::Other);
        peer.waits(600);
        assert_eq!(peer.sends(2, None), Verdict::Begins);
    }

    #[test]
    fn a_peer_that_names_one_stream_and_sends_another_one_is_heard_after_a_moment() {
        let mut peer = Peer::new(Wanted { ssrc: Some(1), rtx_ssrc: Some(101), ..Wanted::default() });
        assert_eq!(peer.sends(5, None), Verdict::Other);
        peer.waits(600);
        assert_eq!(peer.sends(5, None), Verdict::Taken);
        assert!(peer.repairs(77, None), "the named retransmissions were those of the named stream");
        assert_eq!(peer.sends(1, None), Verdict::Begins, "it comes after all");
        assert!(peer.repairs(101, None) && !peer.repairs(77, None));
        peer.waits(2000);
        assert_eq!(peer.sends(5, None), Verdict::Other);
    }
}
