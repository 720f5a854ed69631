//! One section of a session description: its attributes, checked and kept in the shape the relay needs.
use super::{
    Direction, Fingerprint, Hash, Ice, MAX_CANDIDATES, MAX_CODECS, MediaKind, RemoteCodec, RemoteMedia, SdpError, Setup,
};
use crate::media::codec::Codec;

/// Longest mid: 32 of them still fit one group line of an answer. Real ones have 1 to 36 bytes.
const MAX_MID: usize = 48;
/// Longest transport protocol and media type, in bytes.
const MAX_TOKEN: usize = 64;
/// Longest header extension URI that is kept; the known ones have up to 80 bytes.
const MAX_URI: usize = 256;
/// Longest cname that is kept; RTCP allows 255 bytes (RFC 3550 section 6.5).
const MAX_CNAME: usize = 255;
/// Longest candidate that is kept: an address or mDNS name and a few extensions.
const MAX_CANDIDATE: usize = 512;
/// Bounds of ufrag and password (RFC 8839 section 5.4).
const MIN_UFRAG: usize = 4;
const MIN_PWD: usize = 22;
const MAX_ICE_CHARS: usize = 256;
/// Most SSRCs of one m-line that are kept: three simulcast layers with retransmission need six.
const MAX_SSRCS: usize = 16;
/// Most header extensions of one section that are kept; browsers name about a dozen.
const MAX_EXTENSIONS: usize = 64;
/// Most parameters and bytes of one payload type's fmtp that are kept.
const MAX_PARAMETERS: usize = 32;
const MAX_FMTP: usize = 1024;

/// What an `a=rtpmap` line says about a payload type.
#[derive(Clone, Copy, Debug)]
enum Format {
    Known(Codec),
    Rtx,
    Foreign,
}

/// A section while it is read: the session's, or an m-line's.
#[derive(Debug)]
pub struct Section {
    pub line: usize,
    pub kind: MediaKind,
    pub mid: Option<String>,
    pub bundle: Option<Vec<String>>,
    pub ice: Ice,
    pub weak_fingerprint: bool,
    pub ice_lite: bool,
    pub trickle: bool,
    pub end_of_candidates: bool,
    name: String,
    protocol: String,
    port: u16,
    formats: Vec<String>,
    direction: Option<Direction>,
    bundle_only: bool,
    rtcp_mux: bool,
    rtcp_rsize: bool,
    rtpmaps: Vec<(u8, Format)>,
    fmtps: Vec<(u8, String)>,
    /// Payload type, or `None` for all of them, and the feedback in lower case.
    feedback: Vec<(Option<u8>, String)>,
    extensions: Vec<(u8, String)>,
    ssrcs: Vec<u32>,
    /// Media and retransmission SSRC (RFC 5576 section 4.2, RFC 4588 section 8.6).
    fid: Option<(u32, u32)>,
    cname: Option<String>,
}

impl Default for Section {
    /// The session section.
    fn default() -> Section {
        Section {
            line: 1,
            kind: MediaKind::Other,
            mid: None,
            bundle: None,
            ice: Ice::default(),
            weak_fingerprint: false,
            ice_lite: false,
            trickle: false,
            end_of_candidates: false,
            name: String::new(),
            protocol: String::new(),
            port: 0,
            formats: Vec::new(),
            direction: None,
            bundle_only: false,
            rtcp_mux: false,
            rtcp_rsize: false,
            rtpmaps: Vec::new(),
            fmtps: Vec::new(),
            feedback: Vec::new(),
            extensions: Vec::new(),
            ssrcs: Vec::new(),
            fid: None,
            cname: None,
        }
    }
}

impl Section {
    /// Reads an m-line: `<media> <port>[/<ports>] <protocol> <format>…` (RFC 8866 section 5.14).
    pub fn media(at: usize, value: &str) -> Result<Section, SdpError> {
        let mut words = value.split_ascii_whitespace();
        let (Some(name), Some(port), Some(protocol)) = (words.next(), words.next(), words.next()) else {
            return Err(SdpError::at(at, "an m-line needs a media type, a port, a protocol and formats"));
        };
        let formats: Vec<String> = words.map(str::to_owned).collect();
        let port = port.split('/').next().and_then(|p| p.parse().ok());
        let port = port.ok_or_else(|| SdpError::at(at, "the port of the m-line is not a number up to 65535"))?;
        if formats.len() > MAX_CODECS {
            return Err(SdpError::at(at, format!("more than {MAX_CODECS} formats in one m-line")));
        }
        let tokens = formats.iter().map(String::as_str).chain(protocol.split('/')).chain([name]);
        if protocol.len() > MAX_TOKEN || name.len() > MAX_TOKEN || !tokens.into_iter().all(is_token) {
            return Err(SdpError::at(at, "the m-line has characters that its fields may not have"));
        }
        Ok(Section {
            line: at,
            kind: MediaKind::parse(name),
            name: name.to_owned(),
            protocol: protocol.to_owned(),
            port,
            formats,
            ..Section::default()
        })
    }

    /// Whether the peer does not want this m-line.
    pub fn rejected(&self) -> bool {
        self.port == 0 && !self.bundle_only
    }

    /// Takes one attribute, `text` being what follows `a=`.
    ///
    /// # Errors
    /// If an attribute without which the session can't work is malformed; others are passed over.
    pub fn attribute(&mut self, at: usize, text: &str) -> Result<(), SdpError> {
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "mid" if is_mid(value) => self.mid = Some(value.to_owned()),
            "mid" => return Err(SdpError::at(at, format!("a=mid is not a token of 1 to {MAX_MID} characters"))),
            "group" => self.group(at, value)?,
            "ice-ufrag" => self.ice.ufrag = Some(ice_chars(at, "a=ice-ufrag", value, MIN_UFRAG)?),
            "ice-pwd" => self.ice.pwd = Some(ice_chars(at, "a=ice-pwd", value, MIN_PWD)?),
            "fingerprint" => self.fingerprint(at, value)?,
            "setup" => {
                let setup = Setup::parse(value);
                let setup = setup.ok_or_else(|| SdpError::at(at, "a=setup is not actpass, active or passive"))?;
                self.ice.setup = Some(setup);
            }
            "candidate" => self.candidate(value),
            "end-of-candidates" => self.end_of_candidates = true,
            "ice-lite" => self.ice_lite = true,
            "ice-options" => {
                self.trickle |= value.split([' ', ',']).any(|option| option.eq_ignore_ascii_case("trickle"));
            }
            "bundle-only" => self.bundle_only = true,
            "rtcp-mux" => self.rtcp_mux = true,
            "rtcp-rsize" => self.rtcp_rsize = true,
            "rtpmap" => self.rtpmap(at, value)?,
            "fmtp" => {
                if let Some((payload_type, parameters)) = with_payload_type(value) {
                    self.fmtps.push((payload_type, parameters.to_owned()));
                }
            }
            "rtcp-fb" => {
                let (format, feedback) = value.split_once(' ').unwrap_or((value, ""));
                let feedback = feedback.split_ascii_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
                match format.parse() {
                    Ok(payload_type) => self.feedback.push((Some(payload_type), feedback)),
                    Err(_) if format == "*" => self.feedback.push((None, feedback)),
                    Err(_) => {}
                }
            }
            "extmap" => self.extension(value),
            "ssrc" => self.ssrc(value),
            "ssrc-group" => self.ssrc_group(value),
            other => {
                if let Some(direction) = Direction::parse(other) {
                    self.direction = Some(direction);
                }
            }
        }
        Ok(())
    }

    /// The finished m-section; what the session says counts where the section is silent.
    pub fn to_media(&self, session: &Section, shares_transport: bool) -> RemoteMedia {
        let mut extensions = self.extensions.clone();
        extensions
            .extend(session.extensions.iter().filter(|(id, _)| !self.extensions.iter().any(|e| e.0 == *id)).cloned());
        let mut ssrcs = self.ssrcs.clone();
        if let Some((media, _)) = self.fid {
            ssrcs.retain(|&ssrc| ssrc != media);
            ssrcs.insert(0, media);
        }
        RemoteMedia {
            line: self.line,
            mid: self.mid.clone(),
            kind: self.kind,
            name: self.name.clone(),
            protocol: self.protocol.clone(),
            port: self.port,
            formats: self.formats.join(" "),
            direction: self.direction.or(session.direction).unwrap_or(Direction::SendRecv),
            codecs: self.codecs(),
            extensions,
            ssrcs,
            rtx_ssrc: self.fid.map(|(_, rtx)| rtx),
            cname: self.cname.clone(),
            rtcp_mux: self.rtcp_mux,
            rtcp_rsize: self.rtcp_rsize,
            rejected: self.rejected(),
            shares_transport,
            ice: self.ice.clone(),
        }
    }

    fn group(&mut self, at: usize, value: &str) -> Result<(), SdpError> {
        let mut words = value.split_ascii_whitespace();
        if words.next().is_some_and(|semantics| semantics.eq_ignore_ascii_case("BUNDLE")) && self.bundle.is_none() {
            let mids: Vec<String> = words.map(str::to_owned).collect();
            if !mids.iter().all(|mid| is_mid(mid)) {
                return Err(SdpError::at(at, "a=group:BUNDLE names something that can't be an a=mid"));
            }
            self.bundle = Some(mids);
        }
        Ok(())
    }

    /// Several may stand in one section; SHA-256 is preferred, else the first one that we know counts.
    fn fingerprint(&mut self, at: usize, value: &str) -> Result<(), SdpError> {
        let (name, digest) = value.split_once(' ').unwrap_or((value, ""));
        let Some(hash) = Hash::parse(name) else {
            self.weak_fingerprint = true;
            return Ok(());
        };
        let bytes: Option<Vec<u8>> = digest.trim().split(':').map(hex_byte).collect();
        let bytes = bytes.filter(|b| b.len() == hash.digest_len()).ok_or_else(|| {
            let (name, len) = (hash.as_str(), hash.digest_len());
            SdpError::at(at, format!("a=fingerprint:{name} is not {len} hexadecimal bytes between colons"))
        })?;
        let better = self.ice.fingerprint.as_ref().is_none_or(|f| f.hash != Hash::Sha256 && hash == Hash::Sha256);
        if better {
            self.ice.fingerprint = Some(Fingerprint { hash, bytes });
        }
        Ok(())
    }

    fn candidate(&mut self, value: &str) {
        let printable = value.bytes().all(|b| (0x20..0x7f).contains(&b));
        let component = value.split_ascii_whitespace().nth(1);
        let room = self.ice.candidates.len() < MAX_CANDIDATES && value.len() <= MAX_CANDIDATE;
        let candidate = format!("candidate:{value}");
        if printable && room && component == Some("1") && !self.ice.candidates.contains(&candidate) {
            self.ice.candidates.push(candidate);
        }
    }

    fn rtpmap(&mut self, at: usize, value: &str) -> Result<(), SdpError> {
        let Some((payload_type, encoding)) = with_payload_type(value) else {
            return Err(SdpError::at(at, "a=rtpmap does not begin with a payload type from 0 to 127"));
        };
        let mut parts = encoding.split('/').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let clock = parts.next().and_then(|clock| clock.parse::<u32>().ok());
        let channels = parts.next();
        let format = match Codec::from_sdp_name(name) {
            _ if name.eq_ignore_ascii_case("rtx") => Format::Rtx,
            Some(codec) if clock == Some(codec.clock_rate()) && has_channels(codec, channels) => Format::Known(codec),
            _ => Format::Foreign,
        };
        if !self.rtpmaps.iter().any(|(known, _)| *known == payload_type) {
            self.rtpmaps.push((payload_type, format));
        }
        Ok(())
    }

    fn extension(&mut self, value: &str) {
        let mut words = value.split_ascii_whitespace();
        let (Some(id), Some(uri)) = (words.next(), words.next()) else { return };
        let id = id.split('/').next().and_then(|id| id.parse::<u8>().ok()).filter(|&id| id != 0);
        let safe = uri.len() <= MAX_URI && uri.bytes().all(|b| b.is_ascii_graphic());
        if let Some(id) = id
            && safe
            && self.extensions.len() < MAX_EXTENSIONS
            && !self.extensions.iter().any(|(known, _)| *known == id)
        {
            self.extensions.push((id, uri.to_owned()));
        }
    }

    fn ssrc(&mut self, value: &str) {
        let (ssrc, attribute) = value.split_once(' ').unwrap_or((value, ""));
        let Ok(ssrc) = ssrc.parse::<u32>() else { return };
        if !self.ssrcs.contains(&ssrc) && self.ssrcs.len() < MAX_SSRCS {
            self.ssrcs.push(ssrc);
        }
        if let Some(cname) = attribute.trim().strip_prefix("cname:")
            && self.cname.is_none()
            && cname.len() <= MAX_CNAME
            && cname.bytes().all(|b| b.is_ascii_graphic())
        {
            self.cname = Some(cname.to_owned());
        }
    }

    fn ssrc_group(&mut self, value: &str) {
        let mut words = value.split_ascii_whitespace();
        let semantics = words.next().unwrap_or_default();
        let mut ssrc = || words.next().and_then(|word| word.parse::<u32>().ok());
        if semantics.eq_ignore_ascii_case("FID") && self.fid.is_none() {
            self.fid = ssrc().zip(ssrc());
        }
    }

    /// The formats of the m-line that are codecs we know, each with its parameters and feedback.
    fn codecs(&self) -> Vec<RemoteCodec> {
        let mut codecs: Vec<RemoteCodec> = Vec::new();
        for payload_type in self.formats.iter().filter_map(|format| format.parse::<u8>().ok()) {
            let repeated = codecs.iter().any(|c| c.payload_type == payload_type);
            if repeated || !is_rtp_payload_type(payload_type) {
                continue;
            }
            let Some(Format::Known(codec)) = self.format(payload_type) else { continue };
            if Some(codec.kind()) != self.kind.rtp() {
                continue;
            }
            let says = |feedback: &str| {
                self.feedback.iter().any(|(to, f)| to.is_none_or(|pt| pt == payload_type) && f == feedback)
            };
            codecs.push(RemoteCodec {
                payload_type,
                codec,
                fmtp: self.fmtp(payload_type),
                rtx: self.rtx(payload_type),
                nack: says("nack"),
                pli: says("nack pli"),
                fir: says("ccm fir"),
                remb: says("goog-remb"),
                transport_cc: says("transport-cc"),
            });
        }
        codecs
    }

    /// What a payload type is; 0 and 8 need no rtpmap (RFC 3551 section 6).
    fn format(&self, payload_type: u8) -> Option<Format> {
        let mapped = self.rtpmaps.iter().find(|(pt, _)| *pt == payload_type).map(|(_, format)| *format);
        mapped.or(match payload_type {
            0 => Some(Format::Known(Codec::Pcmu)),
            8 => Some(Format::Known(Codec::Pcma)),
            _ => None,
        })
    }

    /// All fmtp lines of a payload type as one; the first line to name a key wins.
    ///
    /// Creality's printers give a second line with nothing but `x-google-…` keys, which mean something only to
    /// the encoder that wrote them.
    fn fmtp(&self, payload_type: u8) -> String {
        let mut merged: Vec<(&str, &str)> = Vec::new();
        let mut len = 0;
        let lines = self.fmtps.iter().filter(|(pt, _)| *pt == payload_type);
        for pair in lines.flat_map(|(_, text)| text.split(';')).map(str::trim) {
            let key = pair.split('=').next().unwrap_or_default().trim();
            let vendor = key.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("x-google"));
            let known = merged.iter().any(|(k, _)| k.eq_ignore_ascii_case(key));
            let safe = pair.bytes().all(|b| b.is_ascii_graphic());
            let room = merged.len() < MAX_PARAMETERS && len + pair.len() < MAX_FMTP;
            if !key.is_empty() && !vendor && !known && safe && room {
                len += pair.len() + 1;
                merged.push((key, pair));
            }
        }
        merged.into_iter().map(|(_, pair)| pair).collect::<Vec<_>>().join(";")
    }

    /// The payload type that retransmits another one (RFC 4588 section 8.1).
    fn rtx(&self, payload_type: u8) -> Option<u8> {
        let rtx = self.rtpmaps.iter().filter(|(_, format)| matches!(format, Format::Rtx)).map(|(pt, _)| *pt);
        let mut offered = rtx.filter(|pt| is_rtp_payload_type(*pt) && self.formats.contains(&pt.to_string()));
        offered.find(|&rtx| {
            let apt = super::parameter(&self.fmtp(rtx), "apt").and_then(|apt| apt.parse::<u8>().ok());
            apt == Some(payload_type)
        })
    }
}

/// Payload types that can't be taken for RTCP on a shared port (RFC 5761 section 4).
fn is_rtp_payload_type(payload_type: u8) -> bool {
    payload_type < 64 || (96..128).contains(&payload_type)
}

/// A missing channel count is forgiven, a wrong one is another codec.
fn has_channels(codec: Codec, channels: Option<&str>) -> bool {
    channels.is_none_or(|written| written.parse() == Ok(codec.channels().unwrap_or(1)))
}

fn with_payload_type(value: &str) -> Option<(u8, &str)> {
    let (payload_type, rest) = value.split_once(' ')?;
    Some((payload_type.parse().ok().filter(|pt| *pt < 128)?, rest.trim()))
}

/// A `token` of RFC 8866 section 9.
fn is_token(word: &str) -> bool {
    let token = |b: u8| b.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]".contains(&b);
    !word.is_empty() && word.bytes().all(token)
}

fn is_mid(value: &str) -> bool {
    value.len() <= MAX_MID && is_token(value)
}

/// The message leaves the value out: it is a secret.
fn ice_chars(at: usize, name: &str, value: &str, min: usize) -> Result<String, SdpError> {
    let safe = value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/');
    if !safe || !(min..=MAX_ICE_CHARS).contains(&value.len()) {
        let what = format!("{name} is not {min} to {MAX_ICE_CHARS} letters, digits, + and /");
        return Err(SdpError::at(at, what));
    }
    Ok(value.to_owned())
}

fn hex_byte(text: &str) -> Option<u8> {
    let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_hexdigit());
    digits.then(|| u8::from_str_radix(text, 16).ok()).flatten()
}
