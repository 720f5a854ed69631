//! Reading session descriptions (RFC 8866) as WebRTC peers write them (RFC 8829).
//!
//! The reader forgives what does no harm (line ends, unknown attributes, odd case) and keeps only what
//! the relay uses. Whatever may be written back to a peer has been checked character by character here,
//! so that no answer can be made to contain a line that is not ours.
use std::fmt;

use crate::media::codec::{Codec, Kind};

pub use crate::media::track::parameter;

pub use layers::is_rid;
use section::Section;
pub use values::{Direction, Extension, Fingerprint, Hash, IceText, MediaKind, Setup};

#[cfg(test)]
pub mod captures;
mod formats;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod hostile;
mod layers;
mod section;
#[cfg(test)]
mod tests;
mod values;

/// Largest description: a browser's full offer with every codec has 6 to 12 KiB.
pub const MAX_SDP: usize = 64 * 1024;
/// Longest line in bytes; the longest seen are H.264 and H.265 parameter sets of some 300 bytes.
pub const MAX_LINE: usize = 2 * 1024;
/// Most lines: even in the largest description they have 20 bytes on average.
pub const MAX_LINES: usize = 4096;
/// Most m-lines: meeting pages that keep old ones stay below this, viewers have two or three.
pub const MAX_MEDIAS: usize = 32;
/// Most formats in one m-line: Chromium with all its codecs and their retransmissions names about 45.
pub const MAX_CODECS: usize = 64;
/// Most parameters in the `a=fmtp` lines of a description: a meeting page with every codec in each m-line has some 2,000.
pub const MAX_PARAMETERS: usize = 4096;
/// Candidates that are kept; further ones are passed over, since a peer that we can't reach may still reach us.
pub const MAX_CANDIDATES: usize = 32;

/// One payload type whose codec we know, with what the peer says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteCodec {
    pub payload_type: u8,
    pub codec: Codec,
    /// `key=value` pairs joined by `;`, without spaces and vendor (`x-google-…`) keys; may be empty.
    pub fmtp: String,
    /// Payload type of the retransmissions (RFC 4588).
    pub rtx: Option<u8>,
    pub nack: bool,
    pub pli: bool,
    pub fir: bool,
    pub remb: bool,
    pub transport_cc: bool,
}

/// Transport attributes that one m-section gives itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ice {
    pub ufrag: Option<String>,
    pub pwd: Option<String>,
    /// All with the strongest hash that was there; the certificate has to match one (RFC 8122 section 5).
    pub fingerprints: Vec<Fingerprint>,
    pub setup: Option<Setup>,
    /// Without `a=`.
    pub candidates: Vec<String>,
}

/// The RTP streams that the peer says it sends in one m-section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Of several layers the largest one's.
    pub ssrc: Option<u32>,
    /// What retransmits it.
    pub rtx_ssrc: Option<u32>,
    /// Layers that have names (`a=rid`), the preferred one first.
    pub layers: Vec<Layer>,
    /// Several layers of one picture come at one time.
    pub simulcast: bool,
    pub cname: Option<String>,
}

/// A layer with a name (RFC 8851).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    pub name: String,
    /// Payload types that it is held to; empty for all of the m-line's.
    pub formats: Vec<u8>,
}

impl Layer {
    pub fn holds(&self, payload_type: u8) -> bool {
        self.formats.is_empty() || self.formats.contains(&payload_type)
    }
}

/// One m-section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteMedia {
    /// Line number of the m-line, for messages.
    pub line: usize,
    pub mid: Option<String>,
    pub kind: MediaKind,
    /// Media type as written, for rejecting.
    pub name: String,
    pub protocol: String,
    pub port: u16,
    /// Format list as written, for rejecting.
    pub formats: String,
    pub direction: Direction,
    /// Only codecs that we know, in the peer's order.
    pub codecs: Vec<RemoteCodec>,
    /// Header extensions that we know, by the peer's numbers (RFC 8285), session-level ones included.
    pub extensions: Vec<(u8, Extension)>,
    pub sent: Sent,
    /// RTCP comes to the port of RTP (RFC 5761): the m-line says so, or one of its BUNDLE group, which has one transport.
    pub rtcp_mux: bool,
    pub rtcp_rsize: bool,
    /// Port 0 without `a=bundle-only` (RFC 9143 section 6): the peer does not want this m-line.
    pub rejected: bool,
    /// Uses the transport of [`Remote`]: by BUNDLE, or without it by the same ufrag.
    pub shares_transport: bool,
    pub ice: Ice,
}

impl RemoteMedia {
    /// Audio or video if we can carry this m-line at all: not rejected, RTP, on our transport.
    ///
    /// RFC 8829 section 5.1.2: every spelling of the RTP profile means DTLS-SRTP with feedback.
    pub fn usable(&self) -> Option<Kind> {
        let protocol = self.protocol.to_ascii_uppercase();
        let profile = ["UDP/TLS/", "TCP/TLS/", "TCP/DTLS/"].iter().find_map(|p| protocol.strip_prefix(p));
        let rtp = matches!(profile.unwrap_or(&protocol), "RTP/SAVPF" | "RTP/SAVP" | "RTP/AVPF" | "RTP/AVP");
        self.kind.rtp().filter(|_| rtp && !self.rejected && self.shares_transport)
    }

    /// The peer's number of a header extension.
    pub fn extension(&self, extension: Extension) -> Option<u8> {
        self.extensions.iter().find(|(_, known)| *known == extension).map(|(number, _)| *number)
    }
}

/// A peer's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    pub ufrag: String,
    pub pwd: String,
    /// At least one, all with one hash; the certificate has to match one of them.
    pub fingerprints: Vec<Fingerprint>,
    /// Never `HoldConn`.
    pub setup: Option<Setup>,
    pub ice_lite: bool,
    /// `a=ice-options` names trickle (RFC 8838 section 4).
    pub trickle: bool,
    pub end_of_candidates: bool,
    /// Without `a=`, no two the same, at most [`MAX_CANDIDATES`], only component 1 (we always multiplex RTCP).
    pub candidates: Vec<String>,
    pub medias: Vec<RemoteMedia>,
    /// Identification tags of the first BUNDLE group, empty if there is none.
    pub bundle: Vec<String>,
    /// Index of the m-line whose transport is used: the first one in BUNDLE that is not rejected (RFC 9143
    /// section 7.2), or without BUNDLE the first audio or video m-line.
    pub transport: usize,
}

impl Remote {
    /// Holds an offer's use of ports against ours: all comes to one, RTCP too. An offer without `a=rtcp-mux` wants a port for
    /// it, and may not be answered with it (RFC 5761 section 5.1.1).
    ///
    /// # Errors
    /// If no m-line that we could use has it.
    pub fn multiplexes(&self) -> Result<(), SdpError> {
        let mut usable = self.medias.iter().filter(|media| media.usable().is_some()).peekable();
        match usable.peek().map(|media| media.line) {
            Some(line) if !usable.any(|media| media.rtcp_mux) => Err(SdpError::at(
                line,
                "no a=rtcp-mux: RTP and RTCP share one port here; let the peer offer a=rtcp-mux in each m-line",
            )),
            _ => Ok(()),
        }
    }

    /// Whether m-line `media` is in the BUNDLE group.
    pub fn bundles(&self, media: &RemoteMedia) -> bool {
        media.mid.as_ref().is_some_and(|mid| self.bundle.contains(mid))
    }
}

/// What is wrong with a description, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SdpError {
    /// Counted from 1; `None` where the description as a whole is meant.
    pub line: Option<usize>,
    pub what: String,
}

impl SdpError {
    fn at(line: usize, what: impl Into<String>) -> SdpError {
        SdpError { line: Some(line), what: what.into() }
    }

    fn whole(what: impl Into<String>) -> SdpError {
        SdpError { line: None, what: what.into() }
    }
}

impl fmt::Display for SdpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line} of the session description: {}", self.what),
            None => write!(f, "session description: {}", self.what),
        }
    }
}

impl std::error::Error for SdpError {}

/// Reads a description.
///
/// # Errors
/// If it is not one, if it passes a bound of this module, if an attribute that we need is malformed, or if no
/// m-line has a transport: ICE credentials and a DTLS fingerprint.
pub fn parse(sdp: &str) -> Result<Remote, SdpError> {
    let (session, sections) = read(sdp)?;
    if sections.is_empty() {
        return Err(SdpError::whole("it has no m-line"));
    }
    let bundle = session.bundle.clone().unwrap_or_default();
    for (i, section) in sections.iter().enumerate() {
        if section.mid.is_some() && sections[..i].iter().any(|s| s.mid == section.mid) {
            return Err(SdpError::at(section.line, "another m-line has the same a=mid"));
        }
    }
    let transport = bundle
        .iter()
        .filter_map(|mid| sections.iter().position(|s| s.mid.as_ref() == Some(mid)))
        .find(|&i| !sections[i].rejected())
        .or_else(|| sections.iter().position(|s| !s.rejected() && s.kind.rtp().is_some()))
        .or_else(|| sections.iter().position(|s| !s.rejected()))
        .ok_or_else(|| SdpError::whole("every m-line has port 0, which refuses video and audio alike"))?;

    let bundled = |s: &Section| s.mid.as_ref().is_some_and(|mid| bundle.contains(mid));
    let ufrag_of = |s: &Section| s.ice.ufrag.clone().or_else(|| session.ice.ufrag.clone());
    let tagged = &sections[transport];
    let shares = |i: usize| {
        let section = &sections[i];
        i == transport
            || if bundled(tagged) {
                bundled(section)
            } else {
                ufrag_of(section).is_some_and(|ufrag| ufrag_of(tagged) == Some(ufrag))
            }
    };
    // Media level wins over session level (RFC 8839 section 5.4); bundled m-lines may speak for a silent first one.
    let speakers: Vec<&Section> = [tagged, &session]
        .into_iter()
        .chain((0..sections.len()).filter(|&i| shares(i) && !sections[i].rejected()).map(|i| &sections[i]))
        .collect();
    let missing = |what: &str| SdpError::at(tagged.line, format!("no {what} for this m-line or for the session"));

    let ufrag = speakers.iter().find_map(|s| s.ice.ufrag.clone()).ok_or_else(|| missing("a=ice-ufrag"))?;
    let pwd = speakers.iter().find_map(|s| s.ice.pwd.clone()).ok_or_else(|| missing("a=ice-pwd"))?;
    let fingerprints = speakers.iter().map(|s| &s.ice.fingerprints).find(|some| !some.is_empty());
    let fingerprints = fingerprints.cloned().ok_or_else(|| {
        if speakers.iter().any(|s| s.weak_fingerprint) {
            return missing("a=fingerprint with sha-256, sha-384 or sha-512");
        }
        let mut error = missing("a=fingerprint");
        error.what.push_str(": media without DTLS is not accepted");
        error
    })?;
    let bundle_multiplexes = sections.iter().any(|s| s.rtcp_mux && bundled(s));
    let mut medias: Vec<RemoteMedia> =
        sections.iter().enumerate().map(|(i, s)| s.to_media(&session, shares(i))).collect();
    for (media, section) in medias.iter_mut().zip(&sections) {
        media.rtcp_mux |= session.rtcp_mux || (bundle_multiplexes && bundled(section));
    }
    let setup = speakers.iter().find_map(|s| s.ice.setup);
    if setup == Some(Setup::HoldConn) {
        return Err(SdpError::at(
            tagged.line,
            "a=setup:holdconn wants no connection; write actpass, active or passive",
        ));
    }
    // Under BUNDLE the candidates of other m-lines lead to transports that the peer is about to give up
    // (RFC 9143 section 7.3.1): they count only where the first m-line has none.
    let (own, others) = speakers.split_at(2);
    let mut candidates = candidates_of(own, &ufrag);
    if candidates.is_empty() {
        candidates = candidates_of(others, &ufrag);
    }
    Ok(Remote {
        setup,
        ice_lite: session.ice_lite || tagged.ice_lite,
        trickle: speakers.iter().any(|s| s.trickle),
        end_of_candidates: speakers.iter().any(|s| s.end_of_candidates),
        medias,
        ufrag,
        pwd,
        fingerprints,
        candidates,
        transport,
        bundle,
    })
}

/// The candidates of all sections that have no other ufrag than this one.
fn candidates_of(sections: &[&Section], ufrag: &str) -> Vec<String> {
    let mut candidates = Vec::new();
    for section in sections.iter().filter(|s| s.ice.ufrag.as_ref().is_none_or(|own| own == ufrag)) {
        for candidate in &section.ice.candidates {
            if candidates.len() < MAX_CANDIDATES && !candidates.contains(candidate) {
                candidates.push(candidate.clone());
            }
        }
    }
    candidates
}

/// Splits a description into its session section and its m-sections.
fn read(sdp: &str) -> Result<(Section, Vec<Section>), SdpError> {
    if sdp.len() > MAX_SDP {
        return Err(SdpError::whole(format!("{} bytes are more than the {MAX_SDP} that are accepted", sdp.len())));
    }
    let mut session = Section::default();
    let mut sections: Vec<Section> = Vec::new();
    let mut begun = false;
    let mut parameters = 0;
    for (at, line) in sdp.split('\n').enumerate().map(|(i, line)| (i + 1, line.trim())) {
        if at > MAX_LINES {
            return Err(SdpError::at(at, format!("more than {MAX_LINES} lines")));
        }
        if line.is_empty() {
            continue;
        }
        if line.len() > MAX_LINE {
            return Err(SdpError::at(at, format!("{} bytes are more than the {MAX_LINE} of a line", line.len())));
        }
        let (letter, value) = match line.split_once('=') {
            Some((letter, value)) if letter.len() == 1 && (begun || letter == "v") => (letter, value),
            _ if begun => return Err(SdpError::at(at, "not of the form <letter>=<value>")),
            _ => return Err(SdpError::at(at, "a description begins with v=0")),
        };
        begun = true;
        match letter {
            "m" if sections.len() == MAX_MEDIAS => {
                return Err(SdpError::at(at, format!("more than {MAX_MEDIAS} m-lines")));
            }
            "m" => sections.push(Section::media(at, value)?),
            "a" => sections.last_mut().unwrap_or(&mut session).attribute(at, value, &mut parameters)?,
            _ => {}
        }
    }
    if begun { Ok((session, sections)) } else { Err(SdpError::whole("it is empty")) }
}
