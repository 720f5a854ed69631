//! Percent-encoding, as URLs write it (RFC 3986 section 2.1).

/// `%40` and the like, read as what they mean (RFC 3986 section 2.1).
pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let hex = (first == b'%').then(|| u8::try_from(digit(0)? * 16 + digit(1)?).ok()).flatten();
        bytes.push(hex.unwrap_or(first));
        rest = if hex.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_digits_are_an_escape_and_a_sign_is_none() {
        for (text, plain) in
            [("a%40b", "a@b"), ("%c3%A9", "é"), ("%+5", "%+5"), ("%-1%", "%-1%"), ("100%", "100%"), ("%4", "%4")]
        {
            assert_eq!(decoded(text), plain, "{text}");
        }
    }
}
