//! `Link` fields (RFC 8288 section 3), by which WHIP and WHEP tell of ICE servers (RFC 9725 section 4.6).

/// Links of one field that are read; real ones have a handful.
const MAX_LINKS: usize = 64;

/// One link of a field: its target, and its parameters with names in small letters.
#[derive(Debug, PartialEq, Eq)]
pub struct Link {
    pub target: String,
    pub params: Vec<(String, String)>,
}

impl Link {
    /// The first parameter of that name counts (RFC 8288 section 3.3).
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Has it this relation type, among others perhaps?
    pub fn is_of(&self, relation: &str) -> bool {
        self.param("rel")
            .is_some_and(|rel| rel.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case(relation)))
    }
}

/// The links of a field. What is broken ends at the next comma.
pub fn links(field: &str) -> Vec<Link> {
    let mut links = Vec::new();
    let mut rest = field;
    while links.len() < MAX_LINKS
        && let Some((target, after)) = rest.split_once('<').and_then(|(_, rest)| rest.split_once('>'))
    {
        let mut link = Link { target: target.trim().to_owned(), params: Vec::new() };
        rest = after.trim_start();
        while let Some(after) = rest.strip_prefix(';') {
            rest = param(after, &mut link.params).trim_start();
        }
        links.push(link);
    }
    links
}

/// Reads `name=value` or `name`; answers what stands behind it.
fn param<'f>(field: &'f str, params: &mut Vec<(String, String)>) -> &'f str {
    let end = field.find(['=', ';', ',']).unwrap_or(field.len());
    let (name, rest) = field.split_at(end);
    let (value, rest) = match rest.strip_prefix('=').map(str::trim_start) {
        Some(rest) => match rest.strip_prefix('"') {
            Some(text) => unquoted(text),
            None => {
                let (value, rest) = rest.split_at(rest.find([';', ',']).unwrap_or(rest.len()));
                (value.trim_end().to_owned(), rest)
            }
        },
        None => (String::new(), rest),
    };
    if !name.trim().is_empty() {
        params.push((name.trim().to_ascii_lowercase(), value));
    }
    rest
}

/// The rest of a quoted string (RFC 9110 section 5.6.4), and what stands behind it.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            _ => value.push(c),
        }
    }
    (value, "")
}

/// A quoted string of RFC 9110 section 5.6.4. `None`: nothing to tell, or not possible in a header field.
pub fn quoted(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    fits.then(|| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_with_quotes_escapes_and_commas() {
        let read = |field: &str| -> Vec<String> {
            links(field)
                .iter()
                .filter(|link| link.is_of("ice-server"))
                .map(|link| format!("{} {:?} {:?}", link.target, link.param("username"), link.param("credential")))
                .collect()
        };
        let turn = r#"turn:a Some("u") Some("p;,\"x")"#;
        for (field, servers) in [
            (r#"<stun:a>; rel="ice-server""#, vec!["stun:a None None"]),
            (
                r#"<turn:a>; rel="ice-server"; username="u"; credential="p;,\"x"; credential-type="password""#,
                vec![turn],
            ),
            (
                r#"<turn:a>;REL=ice-server;Username=u ; credential = "p;,\"x" , <stun:b>;rel="x ice-server""#,
                vec![turn, "stun:b None None"],
            ),
            (r#"<stun:a>; rel="other", <stun:b>; rel="ice-server"; rel="other""#, vec!["stun:b None None"]),
            (r#"<stun:a>, <stun:b; rel="ice-server""#, vec![]),
            (r#"<stun:a>; rel="ice-server"#, vec!["stun:a None None"]),
            (r#"<stun:a>;;;="x"; rel=ice-server"#, vec!["stun:a None None"]),
            ("", vec![]),
            ("<", vec![]),
            ("<>;", vec![]),
        ] {
            assert_eq!(read(field), servers, "{field}");
        }
        assert_eq!(links(&"<a>,".repeat(1000)).len(), MAX_LINKS);
    }
}
