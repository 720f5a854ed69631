//! The log: one line in one shape, to standard output and into a ring that the API shows.
use crate::config;
use log::{Level, LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

/// Text that the ring keeps for `/api/log`: some thousand lines, little on a board of 64 MiB.
pub const RING_BYTES: usize = 256 * 1024;
/// Longest sentence of one line; peers can make us repeat their words.
const MAX_SENTENCE: usize = 4 * 1024;
/// A session's id is 128 random bits in hexadecimal digits.
const ID_DIGITS: usize = 32;
/// So many of them tell sessions apart.
const ID_SHOWN: usize = 8;
/// Lines that wait for a slow reader of standard output; more are dropped and counted.
const QUEUE_LINES: usize = 256;
/// How long the last lines of a run may take to be written.
const FLUSH_WAIT: Duration = Duration::from_millis(500);
/// What one kept line costs besides its sentence.
const LINE_OVERHEAD: usize = size_of::<Line>();
/// Crates below us. Their targets begin with their names, and they say much that operators can't act on.
const FOREIGN: &[&str] =
    &["rtc_", "tungstenite", "tokio_tungstenite", "tokio", "tiny_http", "mio", "quinn_udp", "rustls", "polling"];

/// One line of the log.
#[derive(Clone, Debug)]
pub struct Line {
    /// Milliseconds since 1970.
    pub time: u64,
    pub level: Level,
    pub module: String,
    /// Free of control characters.
    pub sentence: String,
}

impl Line {
    /// `15:04:05.000 INF [module] sentence`, UTC.
    pub fn text(&self) -> String {
        let (seconds, milliseconds) = (self.time / 1000 % 86_400, self.time % 1000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let level = match self.level {
            Level::Trace => "TRC",
            Level::Debug => "DBG",
            Level::Info => "INF",
            Level::Warn => "WRN",
            Level::Error => "ERR",
        };
        let Self { module, sentence, .. } = self;
        format!("{hour:02}:{minute:02}:{second:02}.{milliseconds:03} {level} [{module}] {sentence}")
    }

    /// The line as `/api/log` sends it.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "time": self.time,
            "level": self.level.as_str().to_ascii_lowercase(),
            "module": self.module,
            "message": self.sentence,
        })
    }
}

/// The latest lines, bounded by [`RING_BYTES`]; a handle, cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Ring {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    kept: Mutex<Kept>,
    /// Wakes followers.
    news: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Line>,
    /// Sum of their [`cost`].
    bytes: usize,
    /// How many lines there were before the oldest one here.
    forgotten: u64,
}

impl Kept {
    fn forget_oldest(&mut self) -> bool {
        let Some(oldest) = self.lines.pop_front() else { return false };
        self.bytes -= cost(&oldest);
        self.forgotten += 1;
        true
    }
}

impl Ring {
    /// All kept lines, oldest first.
    pub fn lines(&self) -> Vec<Line> {
        self.kept().lines.iter().cloned().collect()
    }

    /// All kept lines as JSON, one object a line (`application/jsonlines`).
    pub fn json_lines(&self) -> String {
        json_lines(&self.lines())
    }

    /// Forgets all lines.
    pub fn clear(&self) {
        let mut kept = self.kept();
        while kept.forget_oldest() {}
        kept.lines = VecDeque::new();
    }

    /// Begins with the oldest line that is kept.
    pub fn follow(&self) -> Follower {
        let next = self.kept().forgotten;
        Follower { ring: self.clone(), next }
    }

    fn push(&self, line: Line) {
        let mut kept = self.kept();
        kept.bytes += cost(&line);
        kept.lines.push_back(line);
        while kept.bytes > RING_BYTES && kept.forget_oldest() {}
        drop(kept);
        self.shared.news.notify_waiters();
    }

    /// A panic while logging must not take the log away from everybody else.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn json_lines(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        // Writing into a string can't fail.
        let _ = writeln!(text, "{}", line.json());
    }
    text
}

/// Somebody who reads the log as it grows. Nothing is kept for it beside the ring: lines that it reads too late are
/// forgotten, and it is told how many.
#[derive(Debug)]
pub struct Follower {
    ring: Ring,
    /// How many lines there were before the next one that it reads.
    next: u64,
}

impl Follower {
    /// Waits for lines that were not read yet, and gives so many bytes of them or a little more, as JSON.
    pub async fn read(&mut self, bytes: usize) -> String {
        let ring = self.ring.clone();
        loop {
            // Made before the look, so that no line comes unnoticed in between.
            let news = ring.shared.news.notified();
            let lines = self.take(bytes);
            if !lines.is_empty() {
                return json_lines(&lines);
            }
            news.await;
        }
    }

    fn take(&mut self, bytes: usize) -> Vec<Line> {
        let kept = self.ring.kept();
        let missing = kept.forgotten.saturating_sub(self.next);
        self.next = self.next.max(kept.forgotten);
        let mut lines = Vec::new();
        if missing > 0 {
            let sentence = format!("lines were forgotten before they were read count={missing}");
            lines.push(Line { time: now(), level: Level::Warn, module: "log".into(), sentence });
        }
        let mut taken = 0;
        for line in kept.lines.iter().skip((self.next - kept.forgotten) as usize).take_while(|line| {
            let first = taken == 0;
            taken += cost(line);
            first || taken <= bytes
        }) {
            lines.push(line.clone());
            self.next += 1;
        }
        lines
    }
}

fn cost(line: &Line) -> usize {
    line.sentence.len() + line.module.len() + LINE_OVERHEAD
}

/// Starts logging for the process and hands out the ring. A second call leaves the first one's logger in place.
pub fn init(settings: &config::Log) -> Ring {
    let ring = Ring::default();
    let filter = filter(settings);
    let max_level = filter.max_level();
    let logger = Logger { filter, ring: ring.clone(), output: Output::start(std::io::stdout) };
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        log::set_max_level(max_level);
    }
    ring
}

/// Who may say what. `simple_logger` picks the level by the longest matching prefix of the target.
fn filter(settings: &config::Log) -> SimpleLogger {
    let foreign =
        if settings.level >= LevelFilter::Debug { settings.level } else { settings.level.min(LevelFilter::Warn) };
    let mut filter = SimpleLogger::new().with_level(settings.level);
    for name in FOREIGN {
        filter = filter.with_module_level(name, foreign);
    }
    for (module, level) in &settings.modules {
        filter = filter.with_module_level(module, *level);
    }
    filter
}

struct Logger {
    filter: SimpleLogger,
    ring: Ring,
    output: Output,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let module = module_of(record.target()).to_owned();
        let sentence = cleaned(&without_ids(record.args().to_string()));
        let line = Line { time: now(), level: record.level(), module, sentence };
        self.output.write(line.text());
        self.ring.push(line);
    }

    fn flush(&self) {
        self.output.flush();
    }
}

/// Milliseconds since 1970; a board without a clock starts there.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// `webrtc` stays; `porthole::stream::relay` becomes `stream`, `rtc_ice::agent` becomes `rtc_ice`.
fn module_of(target: &str) -> &str {
    let target = target.strip_prefix("porthole::").unwrap_or(target);
    target.split("::").next().unwrap_or(target)
}

/// Leaves the beginnings of ids. Whoever has a whole one may end its session, and whoever may connect may read the log;
/// here no line can forget it, not even one of another crate.
fn without_ids(text: String) -> String {
    let is_id =
        |word: &str| word.len() == ID_DIGITS && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let end = |c: char| !c.is_ascii_alphanumeric();
    if !text.split(end).any(is_id) {
        return text;
    }
    let mut shown = String::with_capacity(text.len());
    for part in text.split_inclusive(end) {
        let word = part.trim_end_matches(end);
        if is_id(word) {
            shown.push_str(&word[..ID_SHOWN]);
            shown.push('…');
            shown.push_str(&part[ID_DIGITS..]);
        } else {
            shown.push_str(part);
        }
    }
    shown
}

/// Takes the power out of text from the network: no control character reaches a terminal, no line break forges a
/// line, no direction mark turns a line around.
fn cleaned(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if clean.len() >= MAX_SENTENCE {
            clean.push('…');
            break;
        }
        let steers =
            matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || steers {
            clean.extend(c.escape_default());
        } else {
            clean.push(c);
        }
    }
    clean
}

enum Message {
    Line(String),
    Flush(SyncSender<()>),
}

/// Standard output behind a thread of its own, because a pipe that nobody reads blocks its writer, and the
/// writer must not be the engine.
struct Output {
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Output {
    fn start<W: std::io::Write>(open: impl FnOnce() -> W + Send + 'static) -> Self {
        let (queue, messages) = sync_channel(QUEUE_LINES);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = dropped.clone();
        // Without the thread the receiver is gone, every send fails and the lines are in the ring only.
        let _ = std::thread::Builder::new()
            .name("log".into())
            .stack_size(64 * 1024)
            .spawn(move || write_all(open(), &messages, &counted));
        Self { queue, dropped }
    }

    fn write(&self, line: String) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Message::Line(line)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            // A reader that sleeps longer than this loses the last lines.
            let _ = wait.recv_timeout(FLUSH_WAIT);
        }
    }
}

/// Errors are nobody's to tell: standard output is where they would be told.
fn write_all(mut to: impl std::io::Write, messages: &Receiver<Message>, dropped: &AtomicU64) {
    while let Ok(message) = messages.recv() {
        match message {
            Message::Line(line) => {
                let _ = to.write_all((line + "\n").as_bytes());
                let missing = dropped.swap(0, Ordering::Relaxed);
                if missing > 0 {
                    let sentence = format!("lines dropped because standard output was not read count={missing}");
                    let line = Line { time: now(), level: Level::Warn, module: "log".into(), sentence };
                    let _ = writeln!(to, "{}", line.text());
                }
                let _ = to.flush();
            }
            Message::Flush(done) => {
                let _ = done.try_send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sentence: &str) -> Line {
        Line { time: 54_245_006, level: Level::Info, module: "api".into(), sentence: sentence.into() }
    }

    fn enabled(settings: &config::Log, target: &str, level: Level) -> bool {
        filter(settings).enabled(&Metadata::builder().target(target).level(level).build())
    }

    #[test]
    fn a_line_has_the_shape_that_home_assistant_waits_for() {
        assert_eq!(line("listen addr=:1984").text(), "15:04:05.006 INF [api] listen addr=:1984");
    }

    #[test]
    fn modules_have_their_own_levels() {
        let modules = [("api".to_owned(), LevelFilter::Trace)].into();
        let settings = config::Log { level: LevelFilter::Info, modules };
        assert!(enabled(&settings, "api", Level::Trace));
        assert!(!enabled(&settings, "webrtc", Level::Debug));
        assert!(enabled(&settings, "webrtc", Level::Info));
    }

    #[test]
    fn crates_below_us_are_quiet_unless_debugging() {
        let mut settings = config::Log::default();
        assert!(!enabled(&settings, "rtc_ice::agent", Level::Info));
        assert!(enabled(&settings, "rtc_ice::agent", Level::Warn));
        settings.level = LevelFilter::Debug;
        assert!(enabled(&settings, "rtc_ice::agent", Level::Debug));
        settings.level = LevelFilter::Off;
        assert!(!enabled(&settings, "tungstenite", Level::Error));
    }

    #[test]
    fn no_peer_can_forge_a_line_or_steer_a_terminal() {
        assert_eq!(cleaned("a\n12:00 INF\r\t\u{1b}[2J\0"), "a\\n12:00 INF\\r\\t\\u{1b}[2J\\u{0}");
        assert_eq!(cleaned("\u{202e}x\u{2028}"), "\\u{202e}x\\u{2028}");
        assert_eq!(cleaned("Küche 東京"), "Küche 東京");
    }

    #[test]
    fn ids_of_sessions_are_shown_by_their_beginning() {
        let id = "0123456789abcdef0123456789abcdef";
        let shown = |text: &str| without_ids(text.to_owned());
        assert_eq!(shown(&format!("PATCH /cam/whep/{id} 204")), "PATCH /cam/whep/01234567… 204");
        assert_eq!(shown(&format!("{id},\"{id}\"ü{id}")), "01234567…,\"01234567…\"ü01234567…");
        for other in [&id[1..], &format!("{id}0"), &id.replace('a', "g"), "Küche", ""] {
            assert_eq!(shown(other), other);
        }
    }

    #[test]
    fn a_sentence_has_an_end() {
        let long = cleaned(&"\u{1b}".repeat(100_000));
        assert!(long.len() < MAX_SENTENCE + 16 && long.ends_with('…'));
    }

    #[test]
    fn targets_become_short_module_names() {
        assert_eq!(module_of("webrtc"), "webrtc");
        assert_eq!(module_of("porthole::stream::relay"), "stream");
        assert_eq!(module_of("rtc_ice::agent"), "rtc_ice");
    }

    #[test]
    fn the_ring_forgets_the_oldest_lines_first() {
        let ring = Ring::default();
        for number in 0..10_000 {
            ring.push(line(&format!("{number} {}", "x".repeat(100))));
        }
        let lines = ring.lines();
        assert!(lines.last().unwrap().sentence.starts_with("9999 "));
        assert!(lines.len() > 500 && lines.iter().map(cost).sum::<usize>() <= RING_BYTES);
        ring.clear();
        assert_eq!(ring.json_lines(), "");
    }

    async fn read(follower: &mut Follower, bytes: usize) -> Vec<String> {
        let text = tokio::time::timeout(Duration::from_secs(5), follower.read(bytes)).await.expect("nothing comes");
        let message = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["message"].clone();
        text.lines().map(|line| message(line).as_str().unwrap().to_owned()).collect()
    }

    #[tokio::test]
    async fn a_follower_reads_what_is_there_and_then_what_comes() {
        let ring = Ring::default();
        ring.push(line("one"));
        ring.push(line("two"));
        let mut follower = ring.follow();
        assert_eq!(read(&mut follower, 1 << 20).await, ["one", "two"]);
        let later = ring.clone();
        let waits = tokio::spawn(async move { read(&mut follower, 1 << 20).await });
        tokio::task::yield_now().await;
        later.push(line("three"));
        assert_eq!(waits.await.unwrap(), ["three"]);
    }

    #[tokio::test]
    async fn a_follower_reads_little_at_a_time_and_all_of_it() {
        let ring = Ring::default();
        let all: Vec<String> = (0..100).map(|number| format!("{number} {}", "x".repeat(500))).collect();
        all.iter().for_each(|sentence| ring.push(line(sentence)));
        let (mut follower, mut seen) = (ring.follow(), Vec::new());
        while seen.len() < all.len() {
            let some = read(&mut follower, 2_000).await;
            assert!((1..=3).contains(&some.len()), "{}", some.len());
            seen.extend(some);
        }
        assert_eq!(seen, all);
        ring.push(line(&"y".repeat(4_000)));
        assert_eq!(read(&mut follower, 2_000).await.len(), 1);
    }

    #[tokio::test]
    async fn a_follower_that_reads_too_late_is_told_how_much_it_missed() {
        let ring = Ring::default();
        ring.push(line("first"));
        let mut follower = ring.follow();
        assert_eq!(read(&mut follower, 1 << 20).await, ["first"]);
        for number in 0..10_000 {
            ring.push(line(&number.to_string()));
        }
        let seen = read(&mut follower, 1 << 20).await;
        let missing: usize = seen[0].rsplit_once('=').unwrap().1.parse().unwrap();
        assert!(seen[0].starts_with("lines were forgotten before they were read"), "{}", seen[0]);
        assert_eq!((seen[1].as_str(), seen.len() - 1), (missing.to_string().as_str(), 10_000 - missing));
        ring.clear();
        ring.push(line("after"));
        assert_eq!(read(&mut follower, 1 << 20).await, ["after"]);
    }

    #[test]
    fn the_ring_speaks_json_lines() {
        let ring = Ring::default();
        ring.push(line("say \"hi\""));
        let text = ring.json_lines();
        let read: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(read["level"], "info");
        assert_eq!(read["message"], "say \"hi\"");
    }

    #[test]
    fn an_output_that_nobody_reads_blocks_nobody() {
        struct Stuck(Receiver<()>);
        impl std::io::Write for Stuck {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                let _ = self.0.recv();
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let (release, stuck) = sync_channel(0);
        let output = Output::start(move || Stuck(stuck));
        for _ in 0..QUEUE_LINES * 2 {
            output.write("x".into());
        }
        assert!(output.dropped.load(Ordering::Relaxed) >= QUEUE_LINES as u64 - 1);
        // The writer goes on after errors.
        drop(release);
        output.flush();
    }
}
