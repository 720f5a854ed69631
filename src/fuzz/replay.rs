//! The targets as unit tests: seeds, finds and the kept corpus, then random damage to them, the same in each run. A failure
//! names its round, and `PORTHOLE_FUZZ_ROUND=NUMBER cargo test fuzz::replay::NAME` repeats it alone.
use super::{Random, Target, targets};
use data_encoding::BASE64;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Damage to the inputs of one target goes on for so long: about a minute for all of them.
const TIME: Duration = Duration::from_millis(1600);
/// What one input may take in a build without optimisation on a busy machine. What grows with the square of an input's length
/// takes longer.
const LONG: Duration = Duration::from_secs(2);
const TRIES: usize = 4;
/// Pieces that mean something to many of the parsers.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b":",
    b";",
    b",",
    b"=",
    b"/",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b"%",
    b"\\",
    b"\0",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\x7f\xff",
    b"\x80\0",
    b"-1",
    b"65536",
    b"4294967296",
    b"99999999999999999999",
    b"\xc3\xa9",
    b"\xe2\x80\xae",
    b"\\u0000",
    b"a=",
    b"m=video 9 RTP/AVP 96\n",
    b"\x21\x12\xa4\x42",
    b"&a",
    b"*a",
    b"<<: ",
    b"${A:b}",
];

/// Tells on a panic what to do about it.
struct Told<'a> {
    target: &'a Target,
    what: String,
    bytes: &'a [u8],
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { target, what, bytes } = self;
            eprintln!("fuzz target {}, {what}, in Base64:\n{}", target.name, BASE64.encode(bytes));
        }
    }
}

fn run(target: &Target, what: &str, bytes: &[u8]) {
    let _told = Told { target, what: what.to_owned(), bytes };
    let took = || {
        let begun = Instant::now();
        (target.run)(bytes);
        begun.elapsed()
    };
    // Again where it took long: others may have had the processor.
    let is_slow = (0..TRIES).all(|_| took() > LONG);
    assert!(!is_slow, "more than {LONG:?} for {} bytes, {TRIES} times", bytes.len());
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// One input on each line, in Base64.
fn kept(file: &Path) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| BASE64.decode(line.as_bytes()).unwrap_or_else(|e| panic!("{file:?}: {e}"))).collect()
}

/// A copy with one to four changes.
fn damaged(random: &mut Random, inputs: &[Vec<u8>], max: usize) -> Vec<u8> {
    let mut bytes = inputs[random.below(inputs.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(8) {
            0 => drop(bytes.splice(at..at, WORDS[random.below(WORDS.len())].iter().copied())),
            1 => {
                let other = &inputs[random.below(inputs.len())];
                let from = random.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            2 => {
                let to = bytes.len().min(at + random.below(12));
                bytes.drain(at..to);
            }
            // a piece over and over: what takes its time shows
            3 if random.one_in(8) => {
                let to = bytes.len().min(at + 1 + random.below(40));
                let piece = bytes[at..to].to_vec();
                let room = max.saturating_sub(bytes.len());
                let count = room.checked_div(piece.len()).unwrap_or(0).min(1 << random.below(16));
                bytes.splice(at..at, piece.repeat(count));
            }
            _ => random.spoil(&mut bytes),
        }
    }
    bytes.truncate(max);
    bytes
}

fn every_promise_holds(name: &str) {
    let Some(target) = targets().find(|target| target.name == name) else { return };
    let mut inputs = (target.seeds)();
    inputs.iter().for_each(|bytes| run(target, "a seed", bytes));
    for (what, file) in [("a find", "finds"), ("a kept input", "corpus")] {
        let more = kept(&folder().join(file).join(format!("{name}.txt")));
        more.iter().for_each(|bytes| run(target, what, bytes));
        inputs.extend(more);
    }
    let round = |number: u64| {
        let bytes = damaged(&mut Random::new(number), &inputs, target.max);
        run(target, &format!("round {number}"), &bytes);
    };
    if let Ok(number) = std::env::var("PORTHOLE_FUZZ_ROUND") {
        return round(number.parse().expect("PORTHOLE_FUZZ_ROUND is a number"));
    }
    let begun = Instant::now();
    (0..).take_while(|_| begun.elapsed() < TIME).for_each(round);
}

macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(#[test]
        fn $name() {
            every_promise_holds(stringify!($name));
        })*
    };
}

tests!(
    candidate,
    chunked,
    client_hello,
    config,
    config_argument,
    config_edit,
    creality,
    dtls,
    frames,
    go2rtc,
    host,
    http_head,
    ice,
    ice_servers,
    kinesis,
    mdns,
    milestone,
    openipc,
    parameter_sets,
    payload,
    rtcp,
    rtp,
    rtp_header,
    sdp,
    shape,
    source_url,
    stun,
    switchbot,
    tracker,
    trickle,
    turn_answers,
    turn_stream,
    twcc,
    url,
    websocket_frames,
    websocket_message,
    whep,
    wyze,
);

#[test]
fn every_target_is_tested() {
    let missing: Vec<&str> = targets().map(|target| target.name).filter(|name| !NAMES.contains(name)).collect();
    assert_eq!(missing, [""; 0]);
}
