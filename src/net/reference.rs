//! Where a reference leads from the place that it was found at (RFC 3986 section 5), as servers write them into `Location`.

/// A URL or a reference, taken apart (RFC 3986 appendix B). Absent and empty are not the same.
struct Parts<'a> {
    scheme: Option<&'a str>,
    authority: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        let (text, fragment) = split(text, '#');
        let (text, query) = split(text, '?');
        let named = |(scheme, _): &(&str, &str)| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        };
        let (scheme, text) = match text.split_once(':').filter(named) {
            Some((scheme, text)) => (Some(scheme), text),
            None => (None, text),
        };
        let (authority, path) = match text.strip_prefix("//") {
            Some(text) => {
                let (authority, path) = text.split_at(text.find('/').unwrap_or(text.len()));
                (Some(authority), path)
            }
            None => (None, text),
        };
        Self { scheme, authority, path, query, fragment }
    }
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

/// Does a reference lead to a host by itself?
pub fn names_host(reference: &str) -> bool {
    let parts = Parts::of(reference.trim());
    parts.scheme.is_some() || parts.authority.is_some()
}

/// The URL that a reference stands for, `base` being one with scheme and authority (RFC 3986 section 5.2, strict).
/// Spaces at the ends mean nothing and those within are read as `%20`, as browsers do. `None`: there are control
/// characters in it, which no URL has.
pub fn resolve(base: &str, reference: &str) -> Option<String> {
    let reference = reference.trim_matches([' ', '\t']).replace(' ', "%20");
    if reference.contains(char::is_control) {
        return None;
    }
    let (base, reference) = (Parts::of(base), Parts::of(&reference));
    let mut target = Parts { fragment: reference.fragment, ..base };
    let path;
    if reference.scheme.is_some() || reference.authority.is_some() {
        target.scheme = reference.scheme.or(base.scheme);
        (target.authority, target.query) = (reference.authority, reference.query);
        path = without_dots(reference.path);
    } else if reference.path.is_empty() {
        target.query = reference.query.or(base.query);
        path = base.path.to_owned();
    } else {
        target.query = reference.query;
        path = match reference.path.starts_with('/') {
            true => without_dots(reference.path),
            false => without_dots(&merged(&base, reference.path)),
        };
    }
    Some(written(&Parts { path: &path, ..target }))
}

/// RFC 3986 section 5.2.3.
fn merged(base: &Parts<'_>, path: &str) -> String {
    match base.path.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{path}"),
        None if base.authority.is_some() => format!("/{path}"),
        None => path.to_owned(),
    }
}

/// RFC 3986 section 5.2.4: nothing leads above the root.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                // The first one of an absolute path is the empty text before its `/`.
                if segment == ".." && kept.len() > 1 {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    kept.join("/")
}

/// RFC 3986 section 5.3.
fn written(parts: &Parts<'_>) -> String {
    let mut out = String::new();
    let mut add = |before: &str, part: Option<&str>, after: &str| {
        out.extend(part.into_iter().flat_map(|part| [before, part, after]));
    };
    add("", parts.scheme, ":");
    add("//", parts.authority, "");
    add("", Some(parts.path), "");
    add("?", parts.query, "");
    add("#", parts.fragment, "");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_lead_where_the_rfc_says() {
        // RFC 3986 sections 5.4.1 and 5.4.2.
        for (reference, url) in [
            ("g:h", "g:h"),
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q#s"),
            ("g#s", "http://a/b/c/g#s"),
            ("g?y#s", "http://a/b/c/g?y#s"),
            (";x", "http://a/b/c/;x"),
            ("g;x", "http://a/b/c/g;x"),
            ("g;x?y#s", "http://a/b/c/g;x?y#s"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../", "http://a/"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("../../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            (".g", "http://a/b/c/.g"),
            ("g..", "http://a/b/c/g.."),
            ("..g", "http://a/b/c/..g"),
            ("./../g", "http://a/b/g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g/./h", "http://a/b/c/g/h"),
            ("g/../h", "http://a/b/c/h"),
            ("g;x=1/./y", "http://a/b/c/g;x=1/y"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("g?y/./x", "http://a/b/c/g?y/./x"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("g#s/./x", "http://a/b/c/g#s/./x"),
            ("g#s/../x", "http://a/b/c/g#s/../x"),
            ("http:g", "http:g"),
        ] {
            assert_eq!(resolve("http://a/b/c/d;p?q", reference).as_deref(), Some(url), "{reference:?}");
        }
    }

    #[test]
    fn what_servers_write_beside_the_rfc_is_read_as_browsers_do() {
        for (base, reference, url) in [
            ("http://a/whep", "session 1", "http://a/session%201"),
            ("http://a/whep", " /s/1\t", "http://a/s/1"),
            ("http://a", "s", "http://a/s"),
            ("http://a:8889/cam/whep", "whep/b2?x://y", "http://a:8889/cam/whep/b2?x://y"),
            ("https://a/", "//b:1/c", "https://b:1/c"),
            ("http://a/b/", "/..", "http://a/"),
        ] {
            assert_eq!(resolve(base, reference).as_deref(), Some(url), "{reference:?}");
        }
        for odd in ["a\r\nb", "a\u{7f}", "a\tb", "\0"] {
            assert_eq!(resolve("http://a/", odd), None, "{odd:?}");
        }
        assert!(names_host("//h/x") && names_host("ws://h") && !names_host("/a?b://c") && !names_host(""));
    }
}
