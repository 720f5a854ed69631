//! One stream changed in the text of a configuration: its entry changes, every other line stays as it was written.
use super::load::{MAX_FILE, quoted};
use super::text::BYTE_ORDER_MARK;
use super::{Error, PublisherPolicy, Publishers, Stream, place, yaml};
use serde_yaml::Value;
use std::collections::BTreeMap;

/// Indentation of an entry when the file shows no other.
const INDENT: &str = "  ";

/// The text with one stream changed. Whatever the editing of lines does, the result is read again and must
/// say exactly what was meant, else nothing is changed.
pub(crate) fn edit(text: &str, name: &str, sources: Option<&[String]>) -> Result<String, Error> {
    if name.contains("${") || sources.unwrap_or_default().iter().any(|source| source.contains("${")) {
        // It would be replaced by a secret of this machine at the next start.
        return Err(Error::new("a stream with \"${\" in it can't be saved, write it into the file by hand"));
    }
    let (mark, text) = match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => (&text[..BYTE_ORDER_MARK.len_utf8()], rest),
        None => ("", text),
    };
    let before = Meaning::of(text)?;
    let mut wanted = before.clone();
    match sources {
        // What else the entry says stays.
        Some(sources) => wanted.streams.entry(name.to_owned()).or_default().sources = sources.to_vec(),
        None => drop(wanted.streams.remove(name)),
    }
    let after = match wanted == before {
        true => text.to_owned(),
        false => Lines::of(text).edit(name, &wanted.streams),
    };
    if after.len() as u64 > MAX_FILE {
        return Err(Error::new(format!("would grow beyond {MAX_FILE} bytes")));
    }
    match Meaning::of(&after) {
        Ok(meaning) if meaning == wanted => Ok(format!("{mark}{after}")),
        Ok(meaning) if sources.is_none() && meaning.streams.contains_key(name) => Err(Error::new(format!(
            "stream {name:?} comes in by a merge key (\"<<\"), remove it by hand where that leads"
        ))),
        _ => Err(Error::new("laid out in a way that can't be edited line by line, change the stream by hand")),
    }
}

/// What a file says, apart from its layout.
#[derive(Clone, PartialEq)]
struct Meaning {
    streams: BTreeMap<String, Stream>,
    others: Vec<(Value, Value)>,
}

impl Meaning {
    fn of(text: &str) -> Result<Self, Error> {
        #[derive(Default, serde::Deserialize)]
        struct Streams {
            streams: Option<BTreeMap<String, Stream>>,
        }
        let broken = |e: serde_yaml::Error| Error::new(format!("can't be edited: {e}"));
        let streams: Option<Streams> = yaml::read(text).map_err(|(_, e)| broken(e))?;
        // As they stand there: a merge key is one of them.
        let others = match serde_yaml::from_str(text).map_err(broken)? {
            Value::Null => vec![],
            Value::Mapping(map) => map.into_iter().filter(|(key, _)| key.as_str() != Some("streams")).collect(),
            _ => return Err(Error::new("can't be edited: not a map of sections")),
        };
        Ok(Self { streams: streams.unwrap_or_default().streams.unwrap_or_default(), others })
    }
}

/// What ends a line in YAML 1.1, for the parser's line numbers: besides the usual ones NEL, LS and PS.
const BREAKS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

/// The lines of a text with their ends, as the YAML parser counts them.
fn lines(text: &str) -> Vec<&str> {
    let (mut lines, mut rest) = (vec![], text);
    while !rest.is_empty() {
        let end = match rest.find(BREAKS) {
            Some(at) if rest[at..].starts_with("\r\n") => at + 2,
            Some(at) => at + rest[at..].chars().next().map_or(1, char::len_utf8),
            None => rest.len(),
        };
        let (line, behind) = rest.split_at(end);
        lines.push(line);
        rest = behind;
    }
    lines
}

/// A text as lines with their ends.
struct Lines<'t> {
    text: &'t str,
    lines: Vec<&'t str>,
    end: &'static str,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let end = match text {
            _ if text.contains("\r\n") => "\r\n",
            _ if text.contains('\r') && !text.contains('\n') => "\r",
            _ => "\n",
        };
        Self { text, lines: lines(text), end }
    }

    /// The text with the entry of one stream as it is among all of them.
    fn edit(&self, name: &str, all: &BTreeMap<String, Stream>) -> String {
        let Some((line, _)) = place::of_key(self.text, &["streams"]) else {
            return self.with(self.lines.len(), self.lines.len(), &self.section(all));
        };
        let section = line - 1;
        let section_end = self.end_of_block(section, 0);
        let Some(indent) = self.indent_of_entries(section, section_end) else {
            // Empty, or on one line with its entries: written anew.
            return self.with(section, section_end, &self.section(all));
        };
        let entry = all.get(name).map(|stream| self.entry(indent, name, stream)).unwrap_or_default();
        match place::of_key(self.text, &["streams", name]) {
            Some((line, _)) => self.with(line - 1, self.end_of_block(line - 1, indent.len()), &entry),
            None => self.with(section_end, section_end, &entry),
        }
    }

    /// The text with the lines `from..to` replaced. Lines that are not there have nothing to replace.
    fn with(&self, from: usize, to: usize, new: &str) -> String {
        let (before, behind) = (&self.lines[..from.min(self.lines.len())], &self.lines[to.min(self.lines.len())..]);
        let mut before = before.concat();
        if !before.is_empty() && !before.ends_with(BREAKS) && !new.is_empty() {
            before.push_str(self.end);
        }
        before + new + &behind.concat()
    }

    /// The line behind the block that begins at line `start` with that indentation. Comments and empty lines
    /// behind the block's last line belong to what follows.
    fn end_of_block(&self, start: usize, indent: usize) -> usize {
        let mut end = start + 1;
        for (number, line) in self.lines.iter().enumerate().skip(start + 1) {
            let content = line.trim_start_matches(' ');
            let depth = line.len() - content.len();
            let is_filler = content.trim().is_empty() || content.starts_with('#');
            // A list may stand at the indentation of its key.
            let belongs = depth > indent || depth == indent && (content.starts_with("- ") || content.trim_end() == "-");
            match (is_filler, belongs) {
                (true, _) => {}
                (false, true) => end = number + 1,
                (false, false) => break,
            }
        }
        end
    }

    /// Indentation of the section's first entry, if entries stand on lines of their own.
    fn indent_of_entries(&self, section: usize, end: usize) -> Option<&'t str> {
        let head = self.lines.get(section)?.split_once(':')?.1.trim();
        let is_block = head.is_empty() || head.starts_with('#');
        let entries = self.lines.get(section + 1..end).filter(|_| is_block)?;
        let first = entries.iter().find(|line| {
            let content = line.trim();
            !content.is_empty() && !content.starts_with('#')
        })?;
        Some(&first[..first.len() - first.trim_start_matches(' ').len()])
    }

    fn section(&self, all: &BTreeMap<String, Stream>) -> String {
        let entries: String = all.iter().map(|(name, stream)| self.entry(INDENT, name, stream)).collect();
        format!("streams:{}{entries}", self.end)
    }

    fn entry(&self, indent: &str, name: &str, stream: &Stream) -> String {
        let Publishers { policy, allowed } = stream.publishers;
        if policy == PublisherPolicy::default() && allowed.is_none() {
            return self.sources(indent, name, &stream.sources);
        }
        let (end, inner) = (self.end, format!("{indent}{INDENT}"));
        let sources = match stream.sources.is_empty() {
            true => String::new(),
            false => self.sources(&inner, "url", &stream.sources),
        };
        let policy = match policy == PublisherPolicy::default() {
            true => String::new(),
            false => format!("{inner}policy: {}{end}", policy.name()),
        };
        let publish = allowed.map(|allowed| format!("{inner}publish: {allowed}{end}")).unwrap_or_default();
        format!("{indent}{}:{end}{sources}{policy}{publish}", scalar(name))
    }

    fn sources(&self, indent: &str, name: &str, sources: &[String]) -> String {
        let end = self.end;
        let name = scalar(name);
        match sources {
            [] => format!("{indent}{name}:{end}"),
            [one] => format!("{indent}{name}: {}{end}", scalar(one)),
            many => {
                let list: String = many.iter().map(|one| format!("{indent}{INDENT}- {}{end}", scalar(one))).collect();
                format!("{indent}{name}:{end}{list}")
            }
        }
    }
}

/// Plain where nobody could misread it, else in quotes.
fn scalar(text: &str) -> String {
    let plain = |b: u8| {
        b.is_ascii_alphanumeric()
            || matches!(b, b'_' | b'-' | b'.' | b'/' | b':' | b'@' | b'?' | b'&' | b'=' | b'%' | b'+')
    };
    let is_plain = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && text.bytes().all(plain)
        && !text.ends_with(':')
        && matches!(serde_yaml::from_str(text), Ok(Value::String(read)) if read == text)
        // Booleans of older YAML.
        && !["y", "n", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str());
    if is_plain { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    fn put(text: &str, name: &str, sources: &[&str]) -> String {
        edit(text, name, Some(&strings(sources))).unwrap()
    }

    const FILE: &str = "\
# my cameras
api:
  listen: :1984   # as ever

streams:
  # the garden
  garden: rtsp://g   # south
  door:
  - rtsp://d
  - rtsp://e

  # last one
  hall:
    - rtsp://h

# trailing words
log: {level: info}
";

    #[test]
    fn only_the_entry_changes() {
        assert_eq!(
            put(FILE, "garden", &["rtsp://new"]),
            FILE.replace("garden: rtsp://g   # south", "garden: rtsp://new")
        );
        assert_eq!(
            put(FILE, "door", &["rtsp://a", "test:"]),
            FILE.replace("  - rtsp://d\n  - rtsp://e\n", "    - rtsp://a\n    - \"test:\"\n")
        );
        assert_eq!(put(FILE, "hall", &[]), FILE.replace("  hall:\n    - rtsp://h\n", "  hall:\n"));
    }

    #[test]
    fn a_new_stream_comes_behind_the_last_one() {
        assert_eq!(
            put(FILE, "new", &["test:"]),
            FILE.replace("    - rtsp://h\n", "    - rtsp://h\n  new: \"test:\"\n")
        );
    }

    #[test]
    fn a_removed_stream_takes_its_lines_along_and_no_comment() {
        assert_eq!(edit(FILE, "door", None).unwrap(), FILE.replace("  door:\n  - rtsp://d\n  - rtsp://e\n", ""));
        assert_eq!(edit(FILE, "nobody", None).unwrap(), FILE);
        assert_eq!(edit("streams:\n  a: x", "a", None).unwrap(), "streams:\n");
    }

    #[test]
    fn an_unchanged_stream_leaves_the_file_alone() {
        assert_eq!(put(FILE, "garden", &["rtsp://g"]), FILE);
    }

    #[test]
    fn files_without_streams_get_the_section() {
        assert_eq!(put("", "a", &["test:"]), "streams:\n  a: \"test:\"\n");
        assert_eq!(put("# hello", "a", &["v"]), "# hello\nstreams:\n  a: v\n");
        assert_eq!(put("api:\n  listen: :1\n", "a", &["v"]), "api:\n  listen: :1\nstreams:\n  a: v\n");
        assert_eq!(put("streams:\nlog: {}\n", "a", &["v"]), "streams:\n  a: v\nlog: {}\n");
    }

    #[test]
    fn the_policy_of_a_stream_stays_when_its_sources_change() {
        let text = |body: &str| format!("streams:\n  door:\n{body}  hall: x\n");
        let old = text("    policy: append   # one after the other\n    url: \"test:\"\n");
        assert_eq!(put(&old, "door", &["v"]), text("    url: v\n    policy: append\n"));
        assert_eq!(put(&old, "door", &["v", "w"]), text("    url:\n      - v\n      - w\n    policy: append\n"));
        assert_eq!(put(&old, "door", &[]), text("    policy: append\n"));
        let open = text("    url: x\n    publish: true   # the studio\n    policy: reject\n");
        assert_eq!(put(&open, "door", &["v"]), text("    url: v\n    policy: reject\n    publish: true\n"));
        let closed = text("    publish: false\n");
        assert_eq!(put(&closed, "door", &["v"]), text("    url: v\n    publish: false\n"));
        assert_eq!(put(&old, "hall", &["z"]), old.replace("hall: x", "hall: z"));
        assert_eq!(put(&old, "door", &["test:"]), old);
        assert_eq!(edit(&old, "door", None).unwrap(), "streams:\n  hall: x\n");
        assert_eq!(
            put("streams: {door: {policy: reject, url: x}}\n", "hall", &["z"]),
            "streams:\n  door:\n    url: x\n    policy: reject\n  hall: z\n"
        );
        assert_eq!(put(&text("    url: x\n    policy: replace\n"), "door", &["v"]), "streams:\n  door: v\n  hall: x\n");
    }

    #[test]
    fn streams_on_one_line_are_spread_out() {
        assert_eq!(put("streams: {a: x}\nlog: {}\n", "b", &["w"]), "streams:\n  a: x\n  b: w\nlog: {}\n");
        assert_eq!(put("streams: {}\n", "b", &["w"]), "streams:\n  b: w\n");
    }

    #[test]
    fn windows_line_ends_stay() {
        assert_eq!(
            put("streams:\r\n    a: x\r\n", "b", &["v", "w"]),
            "streams:\r\n    a: x\r\n    b:\r\n      - v\r\n      - w\r\n"
        );
    }

    #[test]
    fn strange_names_and_sources_come_back_as_they_were() {
        for name in [
            "a b",
            "true",
            "no",
            "7",
            "x: y",
            "# x",
            "\"q\"",
            "ä\n",
            "-",
            "a#b",
            "{x}",
            "[",
            "*a",
            "&b",
            "!c",
            "\u{7f}\u{85}\u{2028}\u{feff}\u{1f600}",
        ] {
            let Ok(text) = edit(FILE, name, Some(&strings(&[name]))) else { panic!("{name:?}") };
            assert_eq!(Meaning::of(&text).unwrap().streams[name].sources, [name], "{name:?}");
        }
    }

    #[test]
    fn what_can_t_be_edited_safely_is_left_alone() {
        for text in ["{api: {}, streams: {a: x}}", "{api: {}}", "- 1\n", "a: [\n"] {
            assert!(edit(text, "b", Some(&strings(&["y"]))).is_err(), "{text}");
        }
        let with_marks = put("--- \nstreams: {a: x}\n...\n", "b", &["w"]);
        assert_eq!(Meaning::of(&with_marks).unwrap().streams["b"].sources, ["w"], "{with_marks}");
    }

    #[test]
    fn nobody_can_plant_a_variable_that_the_next_start_fills_in() {
        assert!(edit("", "a", Some(&strings(&["whep:http://x/${HOME}"]))).is_err());
        assert!(edit("", "${HOME}", Some(&[])).is_err());
    }
    #[test]
    fn a_byte_order_mark_stays_at_the_beginning() {
        assert_eq!(put("\u{feff}streams:\n  a: x\n", "b", &["v"]), "\u{feff}streams:\n  a: x\n  b: v\n");
        assert_eq!(put("\u{feff}streams: {a: x}\n", "b", &["v"]), "\u{feff}streams:\n  a: x\n  b: v\n");
        assert_eq!(put("\u{feff}", "b", &["v"]), "\u{feff}streams:\n  b: v\n");
        assert_eq!(put("\u{feff}streams:\r\n", "b", &["v"]), "\u{feff}streams:\r\n  b: v\r\n");
    }

    #[test]
    fn lines_end_where_yaml_says_so() {
        for end in ["\r", "\u{85}", "\u{2028}", "\u{2029}"] {
            let text = ["# c", "streams:", "  a: x", "log: {}", ""].join(end);
            for changed in [put(&text, "b", &["v"]), put(&text, "a", &["v"])] {
                assert!(changed.starts_with(&format!("# c{end}streams:{end}")), "{changed:?}");
                assert!(changed.ends_with(&format!("log: {{}}{end}")), "{changed:?}");
            }
        }
        assert_eq!(put("streams:\r  a: x\r", "b", &["v"]), "streams:\r  a: x\r  b: v\r");
    }

    #[test]
    fn streams_behind_a_merge_key_are_covered_and_never_taken_away_silently() {
        let text = "common: &c\n  x: \"test:\"\nstreams:\n  <<: *c\n  a: \"test:\"\n";
        assert_eq!(put(text, "b", &["v"]), format!("{text}  b: v\n"));
        assert_eq!(put(text, "x", &["v"]), format!("{text}  x: v\n"), "what stands beside the merge key wins");
        assert_eq!(put(text, "a", &["v"]), text.replace("a: \"test:\"", "a: v"));
        assert_eq!(edit(text, "a", None).unwrap(), text.replace("  a: \"test:\"\n", ""));
        assert!(edit(text, "x", None).unwrap_err().to_string().contains("comes in by a merge key"));
        let whole = "base: &b\n  streams: {a: x}\n<<: *b\n";
        assert_eq!(put(whole, "b", &["v"]), format!("{whole}streams:\n  a: x\n  b: v\n"));
        assert!(edit(whole, "a", None).is_ok_and(|text| text.ends_with("streams:\n")));
        assert!(edit(text, "<<", Some(&strings(&["v"]))).is_err());
    }

    #[test]
    fn an_anchor_that_others_need_is_not_lost() {
        for (text, name) in [
            ("streams: &s\n  a: x\ncopy: *s\n", "a"),
            ("streams:\n  a: &u x\n  b: *u\n", "a"),
            ("streams:\n  a: &u x\nenv: {A: *u}\n", "a"),
        ] {
            assert!(edit(text, name, Some(&strings(&["v"]))).is_err(), "{text}");
        }
        assert_eq!(put("all: &s {a: x}\nstreams: *s\n", "b", &["v"]), "all: &s {a: x}\nstreams:\n  a: x\n  b: v\n");
    }

    /// What files are made of, and what breaks them.
    const PIECES: [&str; 44] = [
        "streams:",
        "streams:",
        "streams:",
        "streams: {a: x}",
        "streams: &s",
        "streams: *c",
        "'streams':",
        "  a: x",
        "  a: [x, y]",
        "  a:",
        "  b:",
        "  b: {url: x, policy: append}",
        "  - y",
        "    - z",
        "    url: x",
        "    policy: reject",
        "  <<: *c",
        "  <<: [*c]",
        "common: &c {q: w, a: v}",
        "common: &c",
        "  q: w",
        "# comment",
        "  # comment",
        "\t# comment",
        "",
        " ",
        "api:",
        "  listen: ':1'",
        "log: {level: info}",
        "  a: |",
        "    text",
        "  a: \"x",
        "  y\"",
        "\ta: x",
        "---",
        "...",
        "  a: &n x",
        "  b: *n",
        "  ? k",
        "  : v",
        "\"a b\": c",
        "webrtc: [x,",
        "  y]",
        "  \u{e4}: \u{1f600} # \u{feff}",
    ];
    const ENDS: [&str; 6] = ["\n", "\r\n", "\r", "\u{85}", "\u{2028}", "\u{2029}"];
    const NAMES: [&str; 6] = ["a", "b", "q", "a b", "<<", "\u{e4}\u{2028}"];

    /// Rounds of the test below; the variable asks for more.
    fn rounds() -> u64 {
        std::env::var("PORTHOLE_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(4_000)
    }

    #[test]
    fn whatever_the_file_looks_like_only_the_stream_changes() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % bound as u64) as usize
        };
        let bare = |text: &str| text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).to_owned();
        let outside = |text: &str| match serde_yaml::from_str(&bare(text)).unwrap() {
            Value::Mapping(mut map) => {
                map.remove("streams");
                Value::Mapping(map)
            }
            _ => Value::Mapping(serde_yaml::Mapping::new()),
        };
        let (mut changed, total) = (0, rounds());
        for _ in 0..total {
            let mut text = if below(8) == 0 { BYTE_ORDER_MARK.to_string() } else { String::new() };
            let end = ENDS[below(ENDS.len())];
            for _ in 0..below(9) {
                text += PIECES[below(PIECES.len())];
                text += if below(16) == 0 { ENDS[below(ENDS.len())] } else { end };
            }
            let name = NAMES[below(NAMES.len())];
            let sources = match below(3) {
                0 => None,
                many => Some(strings(&["test:", "w # x"][..many])),
            };
            let Ok(after) = edit(&text, name, sources.as_deref()) else { continue };
            let mut expected = Meaning::of(&bare(&text)).unwrap().streams;
            match &sources {
                Some(sources) => expected.entry(name.to_owned()).or_default().sources = sources.clone(),
                None => drop(expected.remove(name)),
            }
            assert!(Meaning::of(&bare(&after)).unwrap().streams == expected, "{text:?} {name:?} {sources:?} {after:?}");
            assert_eq!(outside(&after), outside(&text), "{text:?} {after:?}");
            let head = text.find("streams").unwrap_or(text.len());
            assert!(after.starts_with(text[..head].trim_end_matches('\'')), "{text:?} {after:?}");
            assert_eq!(edit(&after, name, sources.as_deref()).unwrap(), after, "a second time changes nothing");
            changed += u64::from(after != text);
        }
        assert!(changed > total / 20, "{changed} of {total} files could be edited");
    }
}
