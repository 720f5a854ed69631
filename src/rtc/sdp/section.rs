//! One section of a session description: its attributes, checked and kept in the shape the relay needs.
use super::formats::Formats;
use super::layers::Layers;
use super::{
    Direction, Extension, Fingerprint, Hash, Ice, IceText, MAX_CANDIDATES, MAX_CODECS, MAX_MEDIAS, MediaKind,
    RemoteMedia, SdpError, Setup,
};

/// Longest mid: 32 of them still fit one group line of an answer. Real ones have 1 to 36 bytes.
const MAX_MID: usize = 48;
/// Longest transport protocol and media type, in bytes.
const MAX_TOKEN: usize = 64;
/// Longest candidate that is kept: an address or mDNS name and a few extensions.
const MAX_CANDIDATE: usize = 512;
/// Candidate lines of one section that are looked at: some peers write each one again for every m-line and component.
const MAX_CANDIDATE_LINES: usize = 4 * MAX_CANDIDATES;
/// Most fingerprints of one section that are kept: a peer has one certificate, or one of each kind of key.
const MAX_FINGERPRINTS: usize = 4;
/// Longest name of an attribute that means something to us; longer ones are passed over.
const MAX_NAME: usize = 24;

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
    /// As written.
    format_list: String,
    formats: Formats,
    direction: Option<Direction>,
    bundle_only: bool,
    pub rtcp_mux: bool,
    rtcp_rsize: bool,
    candidate_lines: usize,
    extensions: Vec<(u8, Extension)>,
    layers: Layers,
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
            format_list: String::new(),
            formats: Formats::default(),
            direction: None,
            bundle_only: false,
            rtcp_mux: false,
            rtcp_rsize: false,
            candidate_lines: 0,
            extensions: Vec::new(),
            layers: Layers::default(),
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
        let formats: Vec<&str> = words.collect();
        let port = port.split('/').next().and_then(|p| p.parse().ok());
        let port = port.ok_or_else(|| SdpError::at(at, "the port of the m-line is not a number up to 65535"))?;
        if formats.len() > MAX_CODECS {
            return Err(SdpError::at(at, format!("more than {MAX_CODECS} formats in one m-line")));
        }
        let tokens = formats.iter().copied().chain(protocol.split('/')).chain([name]);
        if protocol.len() > MAX_TOKEN || name.len() > MAX_TOKEN || !tokens.into_iter().all(is_token) {
            return Err(SdpError::at(at, "the m-line has characters that its fields may not have"));
        }
        Ok(Section {
            line: at,
            kind: MediaKind::parse(name),
            name: name.to_owned(),
            protocol: protocol.to_owned(),
            port,
            format_list: formats.join(" "),
            formats: Formats::new(formats.iter().copied()),
            ..Section::default()
        })
    }

    /// Whether the peer does not want this m-line.
    pub fn rejected(&self) -> bool {
        self.port == 0 && !self.bundle_only
    }

    /// Takes one attribute, `text` being what follows `a=`; `parameters` counts those of all `a=fmtp` so far.
    ///
    /// # Errors
    /// If an attribute without which the session can't work is malformed; others are passed over.
    pub fn attribute(&mut self, at: usize, text: &str, parameters: &mut usize) -> Result<(), SdpError> {
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let (name, value) = (name.trim(), value.trim());
        let mut lower = [0; MAX_NAME];
        let Some(lower) = lower.get_mut(..name.len()) else { return Ok(()) };
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        match str::from_utf8(lower).unwrap_or_default() {
            "mid" if is_mid(value) => self.mid = Some(value.to_owned()),
            "mid" => return Err(SdpError::at(at, format!("a=mid is not a token of 1 to {MAX_MID} characters"))),
            "group" => self.group(at, value)?,
            "ice-ufrag" => self.ice.ufrag = Some(ice_text(at, IceText::Ufrag, value)?),
            "ice-pwd" => self.ice.pwd = Some(ice_text(at, IceText::Pwd, value)?),
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
            // RFC 8858: the same, and nothing else is possible.
            "rtcp-mux" | "rtcp-mux-only" => self.rtcp_mux = true,
            "rtcp-rsize" => self.rtcp_rsize = true,
            "rtpmap" => self.formats.rtpmap(at, value)?,
            "fmtp" => self.formats.fmtp(at, value, parameters)?,
            "rtcp-fb" => self.formats.feedback(value),
            "extmap" => self.extension(value),
            "ssrc" => self.layers.ssrc(value),
            "ssrc-group" => self.layers.ssrc_group(value),
            "rid" => self.layers.rid(value),
            "simulcast" => self.layers.simulcast(value),
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
        let known = |new: &&(u8, Extension)| self.extensions.iter().any(|(id, kind)| *id == new.0 || *kind == new.1);
        extensions.extend(session.extensions.iter().filter(|new| !known(new)));
        RemoteMedia {
            line: self.line,
            mid: self.mid.clone(),
            kind: self.kind,
            name: self.name.clone(),
            protocol: self.protocol.clone(),
            port: self.port,
            formats: self.format_list.clone(),
            direction: self.direction.or(session.direction).unwrap_or(Direction::SendRecv),
            codecs: self.formats.codecs(self.kind.rtp()),
            extensions,
            sent: self.layers.finish(),
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
            let mids: Vec<String> = words.take(MAX_MEDIAS + 1).map(str::to_owned).collect();
            if mids.len() > MAX_MEDIAS {
                return Err(SdpError::at(at, format!("a=group:BUNDLE names more than {MAX_MEDIAS} m-lines")));
            }
            if !mids.iter().all(|mid| is_mid(mid)) {
                return Err(SdpError::at(at, "a=group:BUNDLE names something that can't be an a=mid"));
            }
            self.bundle = Some(mids);
        }
        Ok(())
    }

    /// Several may stand in one section: those with the strongest hash count (RFC 8122 section 5).
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
        let fingerprints = &mut self.ice.fingerprints;
        fingerprints.retain(|known| known.hash >= hash);
        let room = fingerprints.len() < MAX_FINGERPRINTS;
        if room && fingerprints.iter().all(|known| known.hash == hash && known.bytes != bytes) {
            fingerprints.push(Fingerprint { hash, bytes });
        }
        Ok(())
    }

    fn candidate(&mut self, value: &str) {
        self.candidate_lines += 1;
        if self.candidate_lines > MAX_CANDIDATE_LINES || value.len() > MAX_CANDIDATE {
            return;
        }
        let printable = value.bytes().all(|b| (0x20..0x7f).contains(&b));
        let component = value.split_ascii_whitespace().nth(1);
        let candidate = format!("candidate:{value}");
        let room = self.ice.candidates.len() < MAX_CANDIDATES;
        if printable && room && component == Some("1") && !self.ice.candidates.contains(&candidate) {
            self.ice.candidates.push(candidate);
        }
    }

    fn extension(&mut self, value: &str) {
        let mut words = value.split_ascii_whitespace();
        let (Some(id), Some(uri)) = (words.next(), words.next()) else { return };
        let id = id.split('/').next().and_then(|id| id.parse::<u8>().ok()).filter(|&id| id != 0);
        let Some(extension) = id.zip(Extension::parse(uri)) else { return };
        if !self.extensions.iter().any(|(id, kind)| *id == extension.0 || *kind == extension.1) {
            self.extensions.push(extension);
        }
    }
}

/// A `token` of RFC 8866 section 9.
fn is_token(word: &str) -> bool {
    let token = |b: u8| b.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]".contains(&b);
    !word.is_empty() && word.bytes().all(token)
}

fn is_mid(value: &str) -> bool {
    value.len() <= MAX_MID && is_token(value)
}

fn ice_text(at: usize, kind: IceText, value: &str) -> Result<String, SdpError> {
    kind.check(value).map(str::to_owned).map_err(|what| SdpError::at(at, format!("a={what}")))
}

fn hex_byte(text: &str) -> Option<u8> {
    let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_hexdigit());
    digits.then(|| u8::from_str_radix(text, 16).ok()).flatten()
}
