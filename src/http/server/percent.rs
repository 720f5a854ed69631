//! Percent-decoding: strict for paths, as forms do it for queries.

/// Decodes one path or path segment. `None`: an incomplete escape, not UTF-8, or a control character.
pub fn decode_path(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            bytes.push(escape(tail)?);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}

/// Decodes `a=1&b=x+y` as forms write it: `+` is a space, a wrong escape stands for itself.
pub fn decode_form(text: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode_form_part(name), decode_form_part(value))
    };
    text.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

fn decode_form_part(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match (first, escape(tail)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(first),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The byte that two hexadecimal digits at the start of `digits` stand for.
fn escape(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| digits.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_strictly() {
        assert_eq!(decode_path("front%20door"), Some("front door".into()));
        assert_eq!(decode_path("k%C3%BCche"), Some("küche".into()));
        assert_eq!(decode_path("a+b"), Some("a+b".into()));
        for wrong in ["%", "%4", "%zz", "%ff", "%00", "a%0ab", "%+1"] {
            assert_eq!(decode_path(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_query_is_decoded_as_forms_write_it() {
        let decoded = decode_form("src=a+b&src=rtsp%3A%2F%2Fx%2F%23audio%3Dopus&video&empty=&=v&&x=%zz%4&y=a=b");
        let expected = [
            ("src", "a b"),
            ("src", "rtsp://x/#audio=opus"),
            ("video", ""),
            ("empty", ""),
            ("", "v"),
            ("x", "%zz%4"),
            ("y", "a=b"),
        ];
        assert_eq!(decoded, expected.map(|(name, value)| (name.to_string(), value.to_string())));
    }
}
