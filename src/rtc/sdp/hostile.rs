//! Descriptions whose shape is made to cost time: each costs about as much as a browser's of its length.
use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

use super::{MAX_LINE, MAX_MEDIAS, MAX_SDP, captures, parse};

const HEAD: &str = "v=0\na=ice-ufrag:abcd\na=ice-pwd:0123456789abcdefghijkl\na=fingerprint:sha-256 \
    00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\n";
const VIDEO: &str = "m=video 9 UDP/TLS/RTP/SAVPF 96\na=mid:0\na=rtcp-mux\na=recvonly\na=rtpmap:96 H264/90000\n";
/// What reading and answering a hostile text may cost, in times of what a browser's of its length costs. One that grows with
/// the square of its length costs hundreds of times as much; a busy machine may slow one of them ten times.
const FACTOR: u32 = 30;

/// A description that goes on with these lines up to the largest size.
fn full(start: &str, mut line: impl FnMut(usize, &mut String)) -> String {
    let mut text = format!("{HEAD}{start}");
    for number in 0.. {
        let before = text.len();
        line(number, &mut text);
        if text.len() > MAX_SDP {
            text.truncate(before);
            return text;
        }
    }
    unreachable!("there is always another number")
}

/// An m-line of 62 H.264 formats and one for retransmissions.
fn many_codecs() -> String {
    let codecs = (0..62).filter(|format| *format != 8 && *format != 0);
    let mut text = "m=video 9 UDP/TLS/RTP/SAVPF 127".to_owned();
    codecs.clone().for_each(|format| write!(text, " {format}").unwrap());
    text.push_str("\na=rtcp-mux\na=recvonly\na=rtpmap:127 rtx/90000\n");
    codecs.for_each(|format| writeln!(text, "a=rtpmap:{format} H264/90000").unwrap());
    text
}

fn shapes() -> Vec<(&'static str, String)> {
    let pairs = |text: &mut String, from: usize| {
        text.push_str("a=fmtp:");
        let line = text.len();
        write!(text, "{} ", [127, 1, 2, 3][from % 4]).unwrap();
        for pair in 0.. {
            write!(text, "{:x}=;", (from * 7 + pair) % 4096).unwrap();
            if text.len() - line + 16 > MAX_LINE {
                break;
            }
        }
        text.push('\n');
    };
    let section = |number: usize| format!("m=video 9 UDP/TLS/RTP/SAVPF 96\na=mid:{number}\n");
    let sections: String = (0..MAX_MEDIAS).map(section).collect();
    let codecs = many_codecs();
    vec![
        ("parameters of one retransmission and many codecs", full(&codecs, |number, text| pairs(text, number * 4))),
        ("parameters of several formats", full(&codecs, |number, text| pairs(text, number))),
        ("parameters line by line", full(&codecs, |n, text| writeln!(text, "a=fmtp:127 {n:x}").unwrap())),
        ("retransmissions", full(&codecs, |n, text| writeln!(text, "a=fmtp:127 apt={}", n % 62).unwrap())),
        ("mappings", full(&codecs, |n, text| writeln!(text, "a=rtpmap:{} VP8/90000", n % 128).unwrap())),
        ("feedback", full(&codecs, |n, text| writeln!(text, "a=rtcp-fb:{} x{n}", n % 128).unwrap())),
        ("feedback of all formats", full(&codecs, |n, text| writeln!(text, "a=rtcp-fb:* x{n}").unwrap())),
        ("header extensions", full(VIDEO, |n, text| writeln!(text, "a=extmap:{} urn:{n}", n % 256).unwrap())),
        ("sources", full(VIDEO, |n, text| writeln!(text, "a=ssrc:{n} cname:x").unwrap())),
        ("groups of sources", full(VIDEO, |n, text| writeln!(text, "a=ssrc-group:FID {n} {}", n + 1).unwrap())),
        (
            "layers of sources",
            full(VIDEO, |n, text| writeln!(text, "a=ssrc-group:SIM {}", "7 ".repeat(n % 900)).unwrap()),
        ),
        ("layers", full(VIDEO, |n, text| writeln!(text, "a=rid:{n} send pt=96,97").unwrap())),
        (
            "orders of layers",
            full(VIDEO, |n, text| writeln!(text, "a=simulcast:send {}", "1;2,".repeat(n % 400)).unwrap()),
        ),
        ("candidates", full(VIDEO, |n, text| writeln!(text, "a=candidate:{n} 1 udp 1 10.0.0.1 {n} typ host").unwrap())),
        ("one candidate", full(VIDEO, |_, text| text.push_str("a=candidate:1 1 udp 1 10.0.0.1 9 typ host\n"))),
        (
            "candidates of many m-lines",
            full("", |n, text| {
                let line = format!("m=video 9 RTP/AVP 96\na=candidate:{n} 1 udp 1 10.0.0.1 9 typ host\n");
                text.push_str(if n < MAX_MEDIAS { &line } else { &line[21..] });
            }),
        ),
        ("names of m-lines", full(&sections, |_, text| text.push_str("a=mid:31\n"))),
        ("bundles", full(&sections, |n, text| writeln!(text, "a=group:BUNDLE {}", "31 ".repeat(n % 32)).unwrap())),
        (
            "fingerprints",
            full(VIDEO, |_, text| writeln!(text, "a=fingerprint:sha-512 {}00", "00:".repeat(63)).unwrap()),
        ),
        ("the longest lines", full(VIDEO, |_, text| writeln!(text, "a=fmtp:96 {}", "x".repeat(2000)).unwrap())),
        ("separators", full(VIDEO, |_, text| writeln!(text, "a=fmtp:96 {}", ";".repeat(2000)).unwrap())),
        ("spaces", full(VIDEO, |_, text| writeln!(text, "a={}", " ".repeat(2000)).unwrap())),
        ("the shortest lines", full(VIDEO, |_, text| text.push_str("a=\n"))),
        ("empty lines", full(VIDEO, |_, text| text.push('\n'))),
        (
            "many m-lines of many codecs",
            full("", |n, text| {
                if n < MAX_MEDIAS {
                    text.push_str(&codecs);
                }
                text.push_str("a=fmtp:1 a=1;b=2\n");
            }),
        ),
    ]
}

fn cost(text: &str) -> Duration {
    let begun = Instant::now();
    if let Ok(remote) = parse(black_box(text)) {
        black_box(captures::answer(&remote));
    }
    begun.elapsed()
}

#[test]
fn no_shape_of_a_description_costs_much_more_than_a_browsers_of_its_length() {
    let (_, video) = captures::CHROMIUM_VIEWER.split_once("m=video").unwrap();
    let (video, _) = video.split_once("m=audio").unwrap();
    let honest =
        full("", |n, text| text.push_str(&format!("m=video{}", video.replace("a=mid:0", &format!("a=mid:{n}")))));
    assert!(parse(&honest).is_ok_and(|remote| captures::answer(&remote).is_some()));
    for (shape, text) in shapes() {
        assert!(text.len() <= MAX_SDP, "{shape}: {} bytes", text.len());
        // The shortest of several times each, side by side, so that other work on the machine is left out.
        let costs = (0..5).map(|_| (cost(&honest), cost(&text)));
        let least = costs.reduce(|least, costs| (least.0.min(costs.0), least.1.min(costs.1)));
        let (usual, cost) = least.unwrap_or_default();
        assert!(cost < usual * FACTOR, "{shape}: {cost:?}, others {usual:?}");
    }
}
