//! `${VAR}` and `${VAR:default}` in config files, so that passwords can live elsewhere.

/// Replaces every variable that `lookup` knows, else takes the default behind the colon, else leaves the
/// text as it is. Values are not looked at again. Works on text and not on values, as go2rtc does, because a
/// variable may stand anywhere, even inside a flow list; so a value that means something in YAML needs quotes
/// around the variable.
pub(super) fn variables(text: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        match reference(from) {
            Some((whole, name, default)) => {
                match lookup(name).or_else(|| default.map(str::to_owned)) {
                    Some(value) => out.push_str(&value),
                    None => out.push_str(whole),
                }
                rest = &from[whole.len()..];
            }
            None => {
                out.push_str("${");
                rest = &from[2..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Splits a text that begins with `${` into the whole reference, its name and its default.
fn reference(from: &str) -> Option<(&str, &str, Option<&str>)> {
    let end = from.find(['}', '\n'])?;
    let inner = from.get(2..end).filter(|_| from[end..].starts_with('}'))?;
    let (name, default) = inner.split_once(':').map_or((inner, None), |(name, default)| (name, Some(default)));
    // Also the name of a file under $CREDENTIALS_DIRECTORY, so nothing that could leave it.
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    is_name.then(|| (&from[..=end], name, default))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> String {
        variables(text, |name| match name {
            "HOST" => Some("camera".into()),
            "LOOP" => Some("${LOOP}".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn known_variables_are_replaced_and_unknown_ones_stay() {
        assert_eq!(filled("a: rtsp://${HOST}/${PATH1}"), "a: rtsp://camera/${PATH1}");
        assert_eq!(filled("${HOST:x}${NOPE:y:z}${NOPE:}|${EMPTY:d}"), "cameray:z|");
    }

    #[test]
    fn a_value_is_not_substituted_again() {
        assert_eq!(filled("${LOOP}"), "${LOOP}");
    }

    #[test]
    fn what_is_no_reference_stays() {
        for text in ["${", "${}", "${a b}", "${HOST", "${HO\nST}", "$HOST", "${../x}", "ä${ß}"] {
            assert_eq!(filled(text), text);
        }
        assert_eq!(filled("${${HOST}"), "${camera");
    }
}
