//! From facts to one verdict: a code, one sentence, one remedy. Pure; the first cause in the chain wins, because what
//! comes later is its consequence: a session without a way has no keys, one without keys has no picture.
use super::facts::{Advertised, Machine, Media, Phase, Refusal, Session, Stream};
use crate::base::source_error::SourceErrorKind;
use crate::gather::port_problem::PortProblem;
use crate::rtc::negotiate::Mismatch;
use serde::Serialize;

/// A session gets this long before its silence says something, live or ended.
const PATIENCE_MS: u64 = 3_000;
/// A source that sent nothing for this long is silent.
const SOURCE_SILENT_MS: u64 = 5_000;
/// Longest wait for a first keyframe that is nothing to talk about.
const KEYFRAME_MS: u64 = 5_000;
/// Loss from here on is visible, though most of it is repaired; fewer reports or packets say nothing.
const LOSS_PERCENT: f32 = 5.0;
const LOSS_REPORTS: u32 = 4;
const LOSS_PACKETS: u64 = 200;
/// Clocks further apart than this break TURN credentials and certificates.
const CLOCK_APART_S: u64 = 120;
/// This program did not exist before (2025-01-01): a clock that shows an earlier time was never set.
const CLOCK_FLOOR_S: u64 = 1_735_689_600;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Code {
    /// No packet of the peer arrives.
    D01,
    /// The same, and the browser hides its addresses behind `.local` names.
    D02,
    /// The peer's packets arrive, ours do not.
    D03,
    /// No address is left to advertise.
    D04,
    /// Only addresses of containers or a VPN are left.
    D05,
    /// A way is found, the handshake does not end.
    D06,
    /// No codec in common.
    D07,
    /// Nothing comes from the source.
    D08,
    /// Pictures come, but no keyframe.
    D09,
    /// Many packets are lost.
    D10,
    /// A page's origin, or a host name, is not let in.
    D11,
    /// A port is taken by another program.
    D12,
    /// A clock is wrong.
    D13,
    /// TCP is used where UDP should work.
    D14,
    /// Pictures are sent in another order than they are shown in.
    D15,
    /// Pictures come, but not what they are decoded with.
    D16,
    /// Packets are too long for the way.
    D17,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub code: Code,
    /// What is wrong.
    pub sentence: String,
    /// What to do about it.
    pub remedy: String,
}

impl Verdict {
    pub fn new(code: Code, sentence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into(), remedy: remedy.into() }
    }
}

/// The one verdict on a session; `None`: nothing is wrong, it is too early to tell, or it has no name here.
pub fn session(facts: &Session) -> Option<Verdict> {
    if let Some(refusal) = facts.refusal {
        return refused(facts, refusal);
    }
    // What ended at once, by the wrong certificate, say, is none of these.
    match facts.phase {
        Phase::Checking if facts.age_ms >= PATIENCE_MS => no_way(facts),
        Phase::Handshaking if facts.dtls.began_ms.is_some_and(|ms| ms >= PATIENCE_MS) => Some(no_keys(facts)),
        // Nothing of what it sends is looked at yet.
        Phase::Connected if facts.waits => None,
        Phase::Connected if facts.connected_ms.is_some_and(|ms| ms >= PATIENCE_MS) => {
            no_picture(facts).or_else(|| bad_picture(facts))
        }
        _ => None,
    }
}

fn refused(facts: &Session, refusal: Refusal) -> Option<Verdict> {
    let reason = facts.reason.as_deref().unwrap_or("the offer was refused");
    match refusal {
        Refusal::Codecs => {
            let unnamed = || (reason.to_owned(), "let the camera send H.264".to_owned());
            let (what, remedy) = facts.mismatch.as_ref().map_or_else(unnamed, Mismatch::sentences);
            Some(Verdict::new(Code::D07, capital(&what) + ".", capital(&remedy) + "."))
        }
        Refusal::Source => Some(source_down(&facts.stream, reason)),
        Refusal::NoPort => {
            facts.port.as_ref().and_then(port_taken).or_else(|| nothing_advertised(&facts.advertised, true))
        }
        Refusal::Full => None,
    }
}

fn no_way(facts: &Session) -> Option<Verdict> {
    let advertised = &facts.advertised;
    if let Some(verdict) = nothing_advertised(advertised, true) {
        return Some(verdict);
    }
    let list = advertised.list();
    if facts.ice.requests == 0 {
        let remote = &facts.ice.remote;
        return Some(if remote.names > 0 && remote.addresses == 0 {
            Verdict::new(
                Code::D02,
                format!("The browser hides its addresses behind .local names and nothing it sent reached {list}."),
                "Names alone are normal and harmless; look for what keeps the two apart: a guest Wi-Fi or access point that isolates its clients, \
                 a VPN on the device, or a firewall on the relay (webrtc.mdns: true lets the relay speak first, which opens it). To tell which, open the \
                 page from a device on a cable.",
            )
        } else {
            Verdict::new(
                Code::D01,
                format!("Nothing that the other side sent reached this relay at {list}."),
                format!(
                    "Open port {} for UDP and TCP in the firewall of this machine and between the two networks; if the relay is reached \
                     by another address, add that with its port to webrtc.candidates.",
                    port(&list)
                ),
            )
        });
    }
    if facts.ice.answers == 0 {
        let from = facts.ice.pairs.iter().find(|pair| pair.requests > 0);
        let between = from.map(|pair| format!(" ({} to {})", pair.local, pair.remote)).unwrap_or_default();
        return Some(Verdict::new(
            Code::D03,
            format!("The other side's packets arrive, but what we send back does not reach it{between}."),
            "Look at the way back: two network cards in one network, a missing route to the other network, or a firewall that drops \
             outgoing UDP. With two cards, let webrtc.listen name the address that the other side uses.",
        ));
    }
    None
}

/// D04 and D05, for a session and for the machine alike.
fn nothing_advertised(advertised: &Advertised, guess: bool) -> Option<Verdict> {
    let mut keys: Vec<&str> = advertised.addresses.iter().filter_map(|a| a.setting.as_deref()).collect();
    keys.dedup();
    if advertised.candidates.is_empty() {
        let (sentence, remedy) = match keys.is_empty() {
            true => (
                "This machine has no address that anybody could be told.".to_owned(),
                "Connect it to the network, or write its address down in webrtc.candidates.".to_owned(),
            ),
            false => (
                format!("No address of this machine is left to advertise: {} keeps them back.", keys.join(" and ")),
                format!("Let {} name an address or interface that this machine has, or remove it.", keys[0]),
            ),
        };
        return Some(Verdict::new(Code::D04, sentence, remedy));
    }
    advertised.only_inside(guess).then(|| {
        let remedy = match keys.first() {
            Some(key) => format!("Look at {key}: it keeps the other addresses back."),
            None => "In a container use the host's network (docker: --network host), or add the host's address and the forwarded port \
                     to webrtc.candidates."
                .into(),
        };
        let list = advertised.list();
        let what = format!("Only addresses inside containers or a VPN are advertised ({list}): nobody on the local network reaches them.");
        Verdict::new(Code::D05, what, remedy)
    })
}

fn no_keys(facts: &Session) -> Verdict {
    let over =
        facts.ice.pairs.iter().find(|pair| pair.selected).map(|pair| format!(" ({} to {})", pair.local, pair.remote));
    let got = match facts.dtls.received {
        0 => "nothing of the handshake came back".to_owned(),
        n => format!("{n} packets of the handshake came, its end did not"),
    };
    Verdict::new(
        Code::D06,
        format!(
            "The way is open{}, but the keys for the picture could not be agreed on: {got}.",
            over.unwrap_or_default()
        ),
        "Small packets pass and large ones or this kind do not: look for a VPN or tunnel with a small MTU (set it to 1280 or more) or a \
         firewall that inspects UDP between the two.",
    )
}

fn no_picture(facts: &Session) -> Option<Verdict> {
    let stream = &facts.stream;
    let video = facts.media.iter().find(|media| media.kind == "video");
    let silent = |media: &Media| media.track.last_packet_ms.is_none_or(|ms| ms >= SOURCE_SILENT_MS);
    if facts.publishes {
        let media = video.or(facts.media.first())?;
        if silent(media) {
            return Some(Verdict::new(
                Code::D08,
                match media.track.last_packet_ms {
                    Some(ms) => format!("The publisher is connected, but has sent nothing for {}.", span(ms)),
                    None => "The publisher is connected, but never sent a packet.".into(),
                },
                "Look at the program or browser that publishes: its camera may be switched off, muted or used by another program.",
            ));
        }
        return video.and_then(|video| undecodable(video).or_else(|| no_keyframe(video)));
    }
    if stream.state != "live" {
        let why = stream.last_error.as_deref();
        return Some(match (why, stream.has_source) {
            (Some(why), _) => source_down(stream, why),
            (None, true) => source_down(stream, "it does not say what it will send"),
            (None, false) => Verdict::new(
                Code::D08,
                format!("The viewer is connected, but nobody publishes to the stream \"{}\".", stream.name),
                format!("Start the publisher; it sends to /{}/whip of this relay.", stream.name),
            ),
        });
    }
    let video = video?;
    let Some(_) = video.codec else {
        let source = stream.video.as_deref()?;
        return Some(Verdict::new(
            Code::D07,
            format!("The source sends {source}, the player takes {}.", video.offered.join(", ")),
            match source.contains("265") {
                true => "Set the camera to H.264 (not \"H.264+\" or H.265), or use its H.264 sub-stream.",
                false => "Let the source send H.264, or use another player.",
            },
        ));
    };
    if silent(video) {
        let since = video.track.last_packet_ms.map(|ms| format!(" for {}", span(ms))).unwrap_or_default();
        return Some(source_down(stream, &format!("it is connected but has sent nothing{since}")));
    }
    undecodable(video).or_else(|| no_keyframe(video))
}

fn undecodable(media: &Media) -> Option<Verdict> {
    media.track.undecodable.then(|| {
        Verdict::new(
            Code::D16,
            "Pictures come, but not what they are decoded with (SPS and PPS, or the sequence header): no player can show them.",
            "Let the camera or encoder repeat its headers before every keyframe (x264: repeat-headers=1; GStreamer: rtph264pay config-interval=-1),              or describe them by sprop-parameter-sets.",
        )
    })
}

fn source_down(stream: &Stream, why: &str) -> Verdict {
    let again = stream.down_ms.filter(|_| stream.failures > 1);
    let since = again.map(|ms| format!(" (down for {}, tried {} times)", span(ms), stream.failures));
    let remedy = match stream.error_kind {
        Some(SourceErrorKind::Unsupported) => {
            "Give the stream a source of a kind that this version opens; the sources are under streams: in the configuration."
        }
        Some(SourceErrorKind::Denied) => {
            "Put the camera's user name and password into the source's URL; the sources are under streams: in the configuration."
        }
        Some(SourceErrorKind::Busy | SourceErrorKind::Failed) | None => {
            "Look at the camera: is it on, does its address still hold, does another program use it? The sources are under streams: in the configuration."
        }
    };
    let why = why.trim_start_matches("the source is not available: ");
    Verdict::new(
        Code::D08,
        format!("The source of \"{}\" delivers no picture{}: {why}.", stream.name, since.unwrap_or_default()),
        remedy,
    )
}

fn no_keyframe(media: &Media) -> Option<Verdict> {
    let track = &media.track;
    let waited = track.last_keyframe_ms;
    if track.packets == 0 || media.begun || waited.is_some_and(|ms| ms < KEYFRAME_MS) {
        return None;
    }
    let every =
        track.keyframes_apart_ms.map(|ms| format!(", the last two were {} apart", span(ms))).unwrap_or_default();
    let asked = match track.keyframes_asked {
        0 => String::new(),
        n => format!("; it was asked {n} times and did not listen"),
    };
    let since = waited.map_or_else(|| "ever".to_owned(), |ms| format!("for {}", span(ms)));
    Some(Verdict::new(
        Code::D09,
        format!("Pictures come, but no keyframe {since}{every}{asked}: nobody can begin to watch."),
        "Set the camera's or encoder's keyframe interval (\"I-frame interval\", \"GOP\") to 2 seconds, and switch \"smart\" or \"+\" codecs off.",
    ))
}

fn bad_picture(facts: &Session) -> Option<Verdict> {
    if facts.media.iter().any(|media| media.track.reordered) {
        return Some(Verdict::new(
            Code::D15,
            "Pictures are sent in another order than they are shown in (B-frames): browsers show a few of them a second.",
            "Switch B-frames off in the camera or encoder: profile \"Baseline\", \"B-frames: 0\", or a setting for low latency (x264: tune=zerolatency); \
             in OBS \"Max B-frames: 0\".",
        ));
    }
    let too_long: u64 = facts.media.iter().map(|media| media.too_long).sum();
    if too_long > 0 {
        return Some(Verdict::new(
            Code::D17,
            format!(
                "{too_long} sends were refused by this system because they are too long for the way to the viewer (its MTU)."
            ),
            "Set the MTU of the VPN, tunnel or network card on the way to 1280 or more, or let the player use TCP (?mode=tcp).",
        ));
    }
    let counts = |media: &&Media| media.packets >= LOSS_PACKETS && (facts.publishes || media.reports >= LOSS_REPORTS);
    let worst = facts.media.iter().filter(counts).map(|media| media.loss_percent).fold(0.0, f32::max);
    if worst >= LOSS_PERCENT {
        let way = if facts.publishes { "from the publisher" } else { "to the viewer" };
        let tcp = match facts.ice.selected {
            Some("tcp") => "",
            _ => " or let the player use TCP (?mode=tcp)",
        };
        return Some(Verdict::new(
            Code::D10,
            format!("{worst:.0} % of the packets {way} are lost on the way; most are sent again, but pictures stall."),
            format!("Mostly this is Wi-Fi: move closer, use 5 GHz or a cable; else lower the camera's bit rate{tcp}."),
        ));
    }
    let could = facts.advertised.has_udp() && facts.ice.remote.udp;
    (facts.ice.selected == Some("tcp") && could).then(|| {
        let list = facts.advertised.list();
        Verdict::new(
            Code::D14,
            "The picture goes by TCP although both sides speak UDP: it lags behind whenever a packet is lost.",
            format!("Open port {} for UDP between the two, not only for TCP.", port(&list)),
        )
    })
}

/// Everything wrong with the machine itself.
pub fn machine(facts: &Machine) -> Vec<Verdict> {
    let mut list: Vec<Verdict> = facts.problems.iter().filter_map(port_taken).collect();
    // Without a socket there is no candidate: the reason was given.
    if list.is_empty() || !facts.advertised.candidates.is_empty() {
        list.extend(nothing_advertised(&facts.advertised, false));
    }
    list.extend(clock(facts));
    list
}

/// D12, if a problem with a socket is that somebody else has its port.
fn port_taken(problem: &PortProblem) -> Option<Verdict> {
    let (what, remedy) = problem.sentences();
    problem.is_in_use().then(|| Verdict::new(Code::D12, format!("The relay {what}."), capital(&remedy) + "."))
}

fn clock(facts: &Machine) -> Option<Verdict> {
    if facts.clock_s < CLOCK_FLOOR_S {
        let remedy = "Give it a time server (systemd-timesyncd, chrony or ntpd) or a battery clock; certificates and TURN passwords need the time.";
        return Some(Verdict::new(Code::D13, "This machine's clock was never set: it shows a time long ago.", remedy));
    }
    if let Some(apart) = facts.asker_clock_s.map(|asker| asker.abs_diff(facts.clock_s)).filter(|s| *s >= CLOCK_APART_S)
    {
        let sentence =
            format!("The clocks of this machine and of the device that asks are {} apart.", span(apart * 1000));
        return Some(Verdict::new(Code::D13, sentence, "Let both take the time from the network."));
    }
    facts.turn_expires_s.filter(|end| *end <= facts.clock_s).map(|_| {
        Verdict::new(
            Code::D13,
            "The password for the TURN server has run out by this machine's clock.",
            "Get a new one for webrtc.ice_servers, or set this machine's clock if it is wrong.",
        )
    })
}

/// A stream whose source failed, whether somebody watches or not.
pub fn stream(facts: &Stream) -> Option<Verdict> {
    let why = facts.last_error.as_deref().filter(|_| facts.state != "live")?;
    Some(source_down(facts, why))
}

/// The port of the first address in a list.
fn port(list: &str) -> &str {
    list.split(", ").next().and_then(|first| first.rsplit(':').next()).unwrap_or("8555")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// `800 ms`, `4 s`, `3 min`, `5 h`.
fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{} s", ms / 1_000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} days", ms / 86_400_000),
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
