//! The order of the folders: what a part of the program may use. An arrow leads to a lower layer or, without a circle, to
//! the same one, so that each can be understood, tried and changed without those above it.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers from the lowest to the highest, each with the modules that belong to it. A module that is not named
/// belongs where the one around it does.
const LAYERS: [&[&str]; 13] = [
    &["base", "config", "media"],
    &["rtc"],
    &["stream"],
    &["gather"],
    &["doctor"],
    &["engine"],
    &["net"],
    &["source"],
    &["driver"],
    &["share", "share_absent", "doctor::ask", "doctor::print", "http::server"],
    &["http::api", "http::pages"],
    &["http"],
    &["", "main", "app", "arguments", "board", "check", "logging", "reload"],
];

/// Arrows that still lead up, from and to the modules of these names. None may be added; one that is gone has to go here
/// too.
const PENDING: &[(&str, &str)] = &[];

/// One path of a file that leads to another module.
struct Arrow {
    file: PathBuf,
    line: usize,
    from: String,
    to: String,
}

/// Where time, random bytes and everything else of the world are handed in.
const PURE: [&str; 6] = ["media", "rtc", "stream", "gather", "engine", "doctor"];
/// Parts of those layers that are not: they ask a running relay.
const NOT_PURE: [&str; 2] = ["doctor::ask", "doctor::print"];
/// What would let the world in.
const WORLD: [&str; 10] = [
    "tokio",
    "Instant::now",
    ".elapsed()",
    "SystemTime",
    "std::fs",
    "std::env::",
    "std::process",
    "std::thread",
    "UdpSocket",
    "TcpStream",
];

#[test]
fn no_socket_task_clock_or_file_is_in_the_pure_layers() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = files(&source);
    let mut tests = BTreeSet::new();
    for (file, module) in &files {
        tests.extend(test_modules(&fs::read_to_string(file).unwrap()).map(|name| below(module, &name)));
    }
    let within = |module: &str, list: &[&str]| list.iter().any(|outer| is_within(module, outer));
    let pure = files.iter().filter(|(_, module)| {
        within(module, &PURE) && !within(module, &NOT_PURE) && !tests.iter().any(|test| is_within(module, test))
    });
    let (mut seen, mut wrong) = (0, Vec::new());
    for (file, module) in pure {
        seen += 1;
        let text = without_tests(&fs::read_to_string(file).unwrap());
        for (number, line) in text.lines().enumerate() {
            for word in WORLD.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{module}, line {}: {word}", number + 1));
            }
        }
    }
    assert!(seen > 100, "{seen} files cannot be all of them");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The files that do what concerns several owners of the engine: each may call methods of those before it.
const STEPS: [&str; 21] = [
    "panic_guard",
    "keyframes",
    "bind",
    "remote_candidates",
    "backchannel",
    "view/api_json",
    "view/diagnostics",
    "view/health",
    "lifecycle",
    "publishers",
    "source_events",
    "events",
    "accept",
    "offers",
    "settle",
    "renegotiate",
    "trickle",
    "turn",
    "commands",
    "transmit",
    "mod",
];

#[test]
fn no_step_of_the_engine_calls_one_that_calls_it_back() {
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine");
    let texts = STEPS.map(|step| without_tests(&fs::read_to_string(engine.join(format!("{step}.rs"))).unwrap()));
    let methods = |text: &str| -> Vec<String> {
        let Some(at) = text.find("impl Engine {") else { return Vec::new() };
        let block = &text[at..];
        let block = &block[..block.find("\n}\n").map_or(block.len(), |end| end)];
        let lines = block.lines().filter_map(|line| line.strip_prefix("    ")?.split_once("fn "));
        let named = lines.filter(|(before, _)| before.is_empty() || before.starts_with("pub"));
        named.filter_map(|(_, rest)| Some(rest.split_once(['(', '<'])?.0.to_owned())).collect()
    };
    let (mut seen, mut wrong) = (0, Vec::new());
    for (place, text) in texts.iter().enumerate() {
        for method in methods(text) {
            seen += 1;
            for (user, earlier) in texts.iter().enumerate().take(place) {
                if ["self", "engine"].iter().any(|owner| earlier.contains(&format!("{owner}.{method}("))) {
                    wrong.push(format!("{} calls {method} of {}", STEPS[user], STEPS[place]));
                }
            }
        }
    }
    assert!(seen > 60, "{seen} methods cannot be all of them");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Whoever is not in the list holds none.
    let others = files(&engine).into_iter().filter(|(file, _)| {
        let name = file.strip_prefix(&engine).unwrap().with_extension("");
        !STEPS.contains(&name.to_str().unwrap()) && !name.starts_with("tests")
    });
    for (file, _) in others {
        assert!(!without_tests(&fs::read_to_string(&file).unwrap()).contains("impl Engine"), "{}", file.display());
    }
}

#[test]
fn no_arrow_leads_up() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = files(&source);
    let mut tests = BTreeSet::from(["layers".to_owned(), "fuzz".to_owned()]);
    for (file, module) in &files {
        tests.extend(test_modules(&fs::read_to_string(file).unwrap()).map(|name| below(module, &name)));
    }
    let mut unneeded: BTreeSet<_> = PENDING.iter().collect();
    let mut wrong = Vec::new();
    let mut level = BTreeSet::new();
    let mut seen = 0;
    for (file, module) in files.iter().filter(|(_, module)| !tests.iter().any(|test| is_within(module, test))) {
        for arrow in arrows(file, module, &fs::read_to_string(file).unwrap()) {
            seen += 1;
            let ((from, part), (to, other)) = (layer(&arrow.from), layer(&arrow.to));
            if to <= from {
                if to == from && part != other {
                    level.insert((part, other));
                }
                continue;
            }
            let known = |(from, to): &&(&str, &str)| is_within(&arrow.from, from) && is_within(&arrow.to, to);
            match PENDING.iter().find(known) {
                Some(pair) => drop(unneeded.remove(pair)),
                None => wrong.push(format!(
                    "{}:{}: {} (layer {from}) uses {} (layer {to})",
                    arrow.file.strip_prefix(&source).unwrap().display(),
                    arrow.line,
                    arrow.from,
                    arrow.to
                )),
            }
        }
    }
    assert!(seen > 500, "{seen} arrows cannot be all of them");
    assert!(wrong.is_empty(), "arrows that lead up:\n{}", wrong.join("\n"));
    // Whoever uses nobody is in no circle, and then whoever uses only those.
    loop {
        let users: BTreeSet<_> = level.iter().map(|(user, _)| *user).collect();
        let before = level.len();
        level.retain(|(_, used)| users.contains(used));
        if level.len() == before {
            break;
        }
    }
    assert!(level.is_empty(), "a circle within a layer, or what leads into one: {level:?}");
    assert!(unneeded.is_empty(), "PENDING names arrows that are gone: {unneeded:?}");
}

/// The place of the layer that a module belongs to, and the name that puts it there: the longest one.
fn layer(module: &str) -> (usize, &'static str) {
    let all = LAYERS.iter().enumerate().flat_map(|(place, names)| names.iter().map(move |name| (place, *name)));
    let found = all.filter(|(_, name)| is_within(module, name)).max_by_key(|(_, name)| name.len());
    found.filter(|(_, name)| !name.is_empty() || module.is_empty()).unwrap_or_else(|| panic!("{module} has no layer"))
}

fn is_within(module: &str, outer: &str) -> bool {
    outer.is_empty() || module.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn below(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

/// All files of a folder with the names of their modules; the crate's own is empty.
fn files(source: &Path) -> Vec<(PathBuf, String)> {
    let (mut files, mut folders) = (Vec::new(), vec![(source.to_owned(), String::new())]);
    while let Some((folder, module)) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                folders.push((path, below(&module, &name)));
            } else if path.extension().is_some_and(|extension| extension == "rs") && module != "web" {
                let own = if matches!(name.as_str(), "mod" | "lib") { module.clone() } else { below(&module, &name) };
                files.push((path, own));
            }
        }
    }
    files
}

/// The modules that a file declares for tests only.
fn test_modules(text: &str) -> impl Iterator<Item = String> {
    let lines: Vec<&str> = text.lines().collect();
    let declared = |pair: &[&str]| {
        let name = pair[1].trim().trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';')?.to_owned();
        is_test(pair[0]).then_some(name)
    };
    lines.windows(2).filter_map(declared).collect::<Vec<_>>().into_iter()
}

fn is_test(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test,")
}

/// Paths to other modules in what of a file is no test.
fn arrows(file: &Path, module: &str, text: &str) -> Vec<Arrow> {
    let mut arrows = Vec::new();
    let kept = without_tests(text);
    let mut rest = kept.as_str();
    while let Some(at) = rest.find("crate::") {
        let line = 1 + kept[..kept.len() - rest.len() + at].matches('\n').count();
        let path = &rest[at + "crate::".len()..];
        for to in targets(path) {
            arrows.push(Arrow { file: file.to_owned(), line, from: module.to_owned(), to });
        }
        rest = path;
    }
    // `super::` leads out of a layer only where a folder has parts of two.
    for (number, line) in kept.lines().enumerate() {
        let Some(mut path) = line.trim_start_matches("pub ").strip_prefix("use super::") else { continue };
        let mut outer = parent(module);
        while let Some(inner) = path.strip_prefix("super::") {
            (path, outer) = (inner, parent(outer));
        }
        let to = targets(path).into_iter().map(|to| below(outer, &to));
        arrows.extend(to.map(|to| Arrow { file: file.to_owned(), line: number + 1, from: module.to_owned(), to }));
    }
    arrows
}

fn parent(module: &str) -> &str {
    module.rsplit_once("::").map_or("", |(outer, _)| outer)
}

/// The modules that a path names, all of those in its braces.
fn targets(path: &str) -> Vec<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = path.find(|c| !word(c)).unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    // Types and functions are no modules, and do no harm behind the name of one.
    let name = if name == "self" { "" } else { name };
    let join = |inner: String| if inner.is_empty() { name.to_owned() } else { format!("{name}::{inner}") };
    if let Some(inner) = rest.strip_prefix("::") {
        return targets(inner).into_iter().map(join).collect();
    }
    let Some(inner) = rest.strip_prefix('{').filter(|_| name.is_empty()) else { return vec![name.to_owned()] };
    let mut depth = 1;
    let ends = |c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0
    };
    let inner = &inner[..inner.find(ends).unwrap_or(inner.len())];
    let mut depth = 0;
    let comma = |c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    };
    inner.split(comma).map(str::trim).filter(|part| !part.is_empty()).flat_map(targets).collect()
}

/// The text with lines of tests and comments emptied: a test may use what it needs.
fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if !is_test(line) {
            kept.push_str(if line.trim_start().starts_with("//") { "" } else { line });
            kept.push('\n');
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = format!("{indent}}}");
        kept.push('\n');
        for (number, line) in lines.by_ref().enumerate() {
            kept.push('\n');
            let first = number == 0 && (line.ends_with(';') || line.ends_with('}') || line.ends_with(','));
            if first || line == end {
                break;
            }
        }
    }
    kept
}

#[test]
fn paths_are_found_with_their_braces_and_without_comments_and_tests() {
    let text = "//! [`crate::d`]\nuse crate::a::{b::{self, C}, D};\nfn f() { crate::e::f() }\n#[cfg(test)]\nuse crate::g;\n\
                #[cfg(test)]\nmod tests {\n    use crate::h;\n}\nuse super::super::i;\n";
    let found: Vec<_> = arrows(Path::new(""), "x::y::z", text)
        .into_iter()
        .map(|arrow| format!("{} {}", arrow.line, arrow.to.trim_end_matches(':')))
        .collect();
    assert_eq!(found, ["2 a::b", "2 a::b::C", "2 a::D", "3 e::f", "10 x::i"]);
    assert_eq!(["doctor::ask::ask", "doctor::verdict", "rtc"].map(|module| layer(module).0), [9, 4, 1]);
}
