//! What of a source must not be told: logins, values of queries, parameters that are secrets, words that a program is
//! given. Lists and the log show [`MASK`] in their place, and so does every sentence that repeats one of them.
use crate::base::percent::decoded;
use crate::config::ice_list::Reading;
use std::borrow::Cow;

/// Stands where a secret stood.
pub const MASK: &str = "***";
/// Shorter values are too likely to be a part of what a sentence has to say.
const MIN_HIDDEN: usize = 4;
/// A word of a query without `=` that is longer is no switch, but a token.
const MAX_SWITCH: usize = 16;
/// Values that are searched for in a sentence, at most.
const MAX_HIDDEN: usize = 64;

/// Schemes whose first word is a program; the others may be passwords.
const PROGRAMS: [&str; 3] = ["echo", "exec", "expr"];
/// Parameters behind a `#` that are secrets: the ones that dialects here know, …
const SECRETS: [&str; 4] = ["bearer", "credential", "ice_servers", "password"];
/// … and words in the names of others.
const SECRET_WORDS: [&str; 8] = ["auth", "credential", "header", "password", "pwd", "secret", "signature", "token"];

/// A part of a source, in order: all of them together are the source.
#[derive(Clone, Copy)]
enum Piece<'a> {
    Open(&'a str),
    Secret(&'a str),
}

/// A source for logs and lists: user name, password, values of the query and other secrets are masked. The built-in
/// camera has none.
pub fn public_url(url: &str) -> String {
    let mut shown = String::with_capacity(url.len());
    for piece in pieces(url) {
        shown.push_str(match piece {
            Piece::Open(text) => text,
            Piece::Secret(_) => MASK,
        });
    }
    shown
}

/// Sources as a client sends them back that read them from a list: one with a mask in it becomes the one of `known`
/// that is shown so.
///
/// # Errors
/// If none is: a sentence for the client.
pub fn restored<'a>(given: &[String], known: impl Iterator<Item = &'a str>) -> Result<Vec<String>, String> {
    if !given.iter().any(|source| is_masked(source)) {
        return Ok(given.to_vec());
    }
    let mut known: Vec<&str> = known.collect();
    let restore = |source: &String| {
        // Of two that are shown alike, each is meant once.
        let same = known.iter().position(|known| known == source);
        let place = same.or_else(|| known.iter().position(|known| is_masked(source) && public_url(known) == *source));
        match place {
            Some(place) => Ok(known.remove(place).to_owned()),
            None if is_masked(source) => Err(format!(
                "streams: {MASK} in a source stands for a secret that is not shown, and this stream has no such source: \
                 write the secret itself"
            )),
            None => Ok(source.clone()),
        }
    };
    given.iter().map(restore).collect()
}

/// Has a source a mask in place of a secret?
pub fn is_masked(url: &str) -> bool {
    pieces(url).iter().any(|piece| matches!(piece, Piece::Secret(MASK)))
}

/// The secrets of one source, to keep them out of what is said about it.
#[derive(Clone, Default)]
pub struct Secrets {
    /// Longest first.
    values: Vec<String>,
}

impl Secrets {
    pub fn of(url: &str) -> Self {
        let (shown, mut values) = (public_url(url), Vec::new());
        for piece in pieces(url) {
            match piece {
                Piece::Secret(secret) if runs_program(url) => program_words(secret, &mut values),
                Piece::Secret(secret) => words(secret, &mut values),
                Piece::Open(_) => {}
            }
        }
        // What the list shows anyway is no secret: a host, the name of a camera in the path.
        values.retain(|value: &String| value.len() >= MIN_HIDDEN && !shown.contains(value.as_str()));
        values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        values.dedup();
        values.truncate(MAX_HIDDEN);
        Self { values }
    }

    /// A sentence without them, and with the URLs in it as lists show them.
    pub fn hide(&self, text: &str) -> String {
        let mut text = Cow::Borrowed(text);
        for value in &self.values {
            if text.contains(value.as_str()) {
                text = Cow::Owned(without(&text, value));
            }
        }
        if text.contains("://") {
            let masked = |word: &str| {
                let (word, gap) = word.split_at(word.trim_end().len());
                if word.contains("://") { public_url(word) + gap } else { format!("{word}{gap}") }
            };
            text = Cow::Owned(text.split_inclusive(char::is_whitespace).map(masked).collect());
        }
        text.into_owned()
    }
}

/// The text with a mask where the value stands as a word of its own.
fn without(text: &str, value: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(value) {
        let (before, from) = rest.split_at(at);
        let after = &from[value.len()..];
        let joined = |a: Option<char>, b: Option<char>| {
            a.is_some_and(char::is_alphanumeric) && b.is_some_and(char::is_alphanumeric)
        };
        let left = before.chars().next_back().or_else(|| out.chars().next_back());
        let part = joined(left, value.chars().next()) || joined(value.chars().next_back(), after.chars().next());
        out.push_str(before);
        out.push_str(if part { value } else { MASK });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// What of a secret piece others may repeat: all of it, name and password, words, the logins in a list of servers; with
/// `%40` and the like read as well.
fn words(secret: &str, words: &mut Vec<String>) {
    if secret.starts_with(['[', '{']) {
        let servers = serde_json::from_str(secret).map(|list: Reading| list.servers).unwrap_or_default();
        words.extend(servers.into_iter().flat_map(|server| [server.username, server.credential]));
        return words.push(secret.to_owned());
    }
    let parts = secret.split(|c: char| c.is_whitespace() || matches!(c, ':' | '"' | '\'' | '='));
    for part in [secret].into_iter().chain(parts) {
        words.extend([part.to_owned(), decoded(part)]);
    }
}

/// What of a program's words it may repeat; names of files and options are none of its secrets.
fn program_words(line: &str, words: &mut Vec<String>) {
    for word in line.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')) {
        let value = word.split_once('=').map_or(word, |(_, value)| value);
        if !value.starts_with(['-', '/']) {
            words.push(value.to_owned());
        }
    }
}

fn pieces(url: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    match scheme(url) {
        "test" => pieces.push(Piece::Open(url)),
        _ if runs_program(url) => program(url, &mut pieces),
        _ => address(url, &mut pieces),
    }
    pieces
}

fn scheme(url: &str) -> &str {
    url.split(':').next().unwrap_or_default()
}

fn runs_program(url: &str) -> bool {
    PROGRAMS.contains(&scheme(url))
}

/// `echo:/path/to/program words`
fn program<'a>(command: &'a str, pieces: &mut Vec<Piece<'a>>) {
    let start = command.find(':').map_or(0, |colon| colon + 1);
    let start = start + (command[start..].len() - command[start..].trim_start().len());
    let quote = command[start..].chars().next().filter(|c| matches!(c, '"' | '\''));
    let end = match quote {
        Some(quote) => command[start + 1..].find(quote).map(|end| start + 1 + end + 1),
        None => command[start..].find(char::is_whitespace).map(|end| start + end),
    };
    let (shown, rest) = command.split_at(end.unwrap_or(command.len()));
    let gap = rest.len() - rest.trim_start().len();
    pieces.push(Piece::Open(shown));
    pieces.push(Piece::Open(&rest[..gap]));
    secret(&rest[gap..], pieces);
}

/// `scheme://login@host/path?query#key=value#key=value`
fn address<'a>(url: &'a str, pieces: &mut Vec<Piece<'a>>) {
    let mut parts = url.split('#');
    let mut place = parts.next().unwrap_or_default();
    if let Some((scheme, rest)) = place.split_once("://").filter(|(scheme, _)| !scheme.contains('?')) {
        pieces.push(Piece::Open(&place[..scheme.len() + 3]));
        let end = login(rest);
        secret(&rest[..end], pieces);
        place = &rest[end..];
    }
    let (path, query) = place.split_once('?').map_or((place, None), |(path, query)| (path, Some(query)));
    pieces.push(Piece::Open(path));
    for (number, word) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        pieces.push(Piece::Open(if number == 0 { "?" } else { "&" }));
        match word.split_once('=') {
            Some((key, value)) => {
                pieces.push(Piece::Open(&word[..=key.len()]));
                secret(value, pieces);
            }
            None if word.len() > MAX_SWITCH || word == MASK => secret(word, pieces),
            None => pieces.push(Piece::Open(word)),
        }
    }
    for param in parts {
        pieces.push(Piece::Open("#"));
        let Some((key, value)) = param.split_once('=') else {
            pieces.push(Piece::Open(param));
            continue;
        };
        pieces.push(Piece::Open(&param[..=key.len()]));
        let lower = key.to_ascii_lowercase();
        if SECRETS.contains(&key) || SECRET_WORDS.iter().any(|word| lower.contains(word)) {
            secret(value, pieces);
        } else if value.contains("://") {
            address(value, pieces);
        } else {
            pieces.push(Piece::Open(value));
        }
    }
}

/// Where the login ends, at the `@` or at 0. A password with a `/` or `?` in it makes a URL of no use, but is one all the
/// same: what stands before that is no host with a port then.
fn login(rest: &str) -> usize {
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    if let Some(at) = authority.rfind('@') {
        return at;
    }
    let port = authority.rsplit_once(':').filter(|_| !authority.ends_with(']')).map_or("", |(_, port)| port);
    let is_host = port.bytes().all(|byte| byte.is_ascii_digit());
    rest.rfind('@').filter(|_| !is_host).unwrap_or(0)
}

/// Nothing, and a list without entries, are no secrets.
fn secret<'a>(value: &'a str, pieces: &mut Vec<Piece<'a>>) {
    pieces.push(if matches!(value, "" | "[]") { Piece::Open(value) } else { Piece::Secret(value) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_a_url_are_not_shown() {
        for (url, shown) in [
            ("rtsp://u:p@cam/1?x=a@b", "rtsp://***@cam/1?x=***"),
            ("rtsp://u:p/w@cam/1", "rtsp://***@cam/1"),
            ("rtsp://u:p?w@cam/1", "rtsp://***@cam/1"),
            ("rtsp://cam:554/user@home", "rtsp://cam:554/user@home"),
            ("rtsp://[fd00::1]/user@home", "rtsp://[fd00::1]/user@home"),
            (
                "ffmpeg:rtsp://u:p@cam/1#audio=opus#input=http://a:b@c/?k=v",
                "ffmpeg:rtsp://***@cam/1#audio=opus#input=http://***@c/?k=***",
            ),
            ("ffmpeg:http://cam#header=Cookie: a", "ffmpeg:http://cam#header=***"),
            ("webrtc:http://cam/whep#bearer=key:of/tests=", "webrtc:http://cam/whep#bearer=***"),
            ("webrtc:http://cam/whep?token=t", "webrtc:http://cam/whep?token=***"),
            (
                "webrtc:wss://v-1.kinesisvideo.eu-west-1.amazonaws.com/?X-Amz-Signature=0a&X-Amz-Security-Token=IQo%3D&kvs&e=#format=kinesis#client_id=a",
                "webrtc:wss://v-1.kinesisvideo.eu-west-1.amazonaws.com/?X-Amz-Signature=***&X-Amz-Security-Token=***&kvs&e=#format=kinesis#client_id=a",
            ),
            ("webrtc:ws://cam/?0123456789abcdef0", "webrtc:ws://cam/?***"),
            (
                "webrtc:ws://cam/#format=openipc#ice_servers=[{\"credential\":\"p\"}]",
                "webrtc:ws://cam/#format=openipc#ice_servers=***",
            ),
            (
                "webrtc:ws://cam/#format=openipc#ice_servers=[]#insecure",
                "webrtc:ws://cam/#format=openipc#ice_servers=[]#insecure",
            ),
            (
                "webrtc:https://u:p@h/api#format=milestone#username=a#password=b=c",
                "webrtc:https://***@h/api#format=milestone#username=a#password=***",
            ),
            ("webtorrent:?share=a&pwd=b", "webtorrent:?share=***&pwd=***"),
            ("nest:?client_secret=s", "nest:?client_secret=***"),
            ("echo:/etc/cam.sh", "echo:/etc/cam.sh"),
            ("echo: '/my etc/cam.sh' --password hunter2", "echo: '/my etc/cam.sh' ***"),
            ("exec:ffmpeg -i rtsp://u:p@cam {output}", "exec:ffmpeg ***"),
            ("test:?fps=5", "test:?fps=5"),
            ("", ""),
        ] {
            assert_eq!(public_url(url), shown);
            assert_eq!(public_url(shown), shown, "once masked, always the same");
        }
    }

    #[test]
    fn what_is_said_of_a_source_repeats_none_of_its_secrets() {
        let secrets = Secrets::of(
            "webrtc:http://admin:p%40ss@cam/whep?src=garden&token=abcd1234#ice_servers=[{\"urls\":\"turn:a\",\"credential\":\"cr3d\"}]",
        );
        for (said, told) in [
            ("cam answered (Cannot POST /whep?token=abcd1234)", "cam answered (Cannot POST /whep?token=***)"),
            ("wrong password p@ss, or p%40ss", "wrong password ***, or ***"),
            ("no stream garden", "no stream ***"),
            ("gardening on cam: cr3d", "gardening on cam: ***"),
            ("see https://x:y@elsewhere/?key=other for more", "see https://***@elsewhere/?key=*** for more"),
            ("expected http:// or ws://, as in a URL", "expected http:// or ws://, as in a URL"),
        ] {
            assert_eq!(secrets.hide(said), told);
        }
        assert_eq!(
            Secrets::of("webrtc:http://cam:80/?src=cam&n=200").hide("cam answered with status 200"),
            "cam answered with status 200"
        );
        let secrets = Secrets::of("echo:/usr/bin/python3 /etc/cam.py --password=hunter2 --cam 'front yard'");
        assert_eq!(
            secrets.hide("/etc/cam.py: no front, hunter2 is wrong, --cam"),
            "/etc/cam.py: no ***, *** is wrong, --cam"
        );
    }

    #[test]
    fn a_list_that_comes_back_masked_keeps_the_secrets_that_it_stands_for() {
        let known = ["webrtc:http://u:one@cam/?k=1", "webrtc:http://u:two@cam/?k=2", "test:"];
        let restored = |given: &[&str]| {
            let given: Vec<String> = given.iter().map(|text| text.to_string()).collect();
            super::restored(&given, known.into_iter())
        };
        let masked = "webrtc:http://***@cam/?k=***";
        assert_eq!(restored(&[masked, masked, "test:"]).unwrap(), known);
        assert_eq!(restored(&[known[0], masked]).unwrap(), known[..2]);
        assert_eq!(restored(&["test:", "webrtc:http://a:b@c/"]).unwrap(), ["test:", "webrtc:http://a:b@c/"]);
        for given in ["webrtc:http://***@other/", "webrtc:http://***@cam/?k=2", "rtsp://u:***@cam", masked] {
            assert!(restored(&[masked, masked, given]).is_err() || given.starts_with("rtsp"), "{given}");
        }
    }
}
