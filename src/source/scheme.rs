//! The scheme of a source, as its URL writes it.

/// The scheme of a source: what stands before its first colon, if that can be a scheme (RFC 3986 section 3.1,
/// lower case as in every camera URL in use). `None` for file paths, stream names and text.
pub fn source_scheme(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once(':')?;
    let starts_well = scheme.bytes().next()?.is_ascii_lowercase();
    let is_scheme =
        scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.'));
    (starts_well && is_scheme).then_some(scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_is_what_stands_before_the_first_colon() {
        assert_eq!(source_scheme("test:"), Some("test"));
        assert_eq!(source_scheme("rtsp://user:pass@camera/1"), Some("rtsp"));
        assert_eq!(source_scheme("webrtc:ws://camera"), Some("webrtc"));
        for none in ["", ":", "garden", "/dev/video0:x", "1:2", "two words: x"] {
            assert_eq!(source_scheme(none), None, "{none}");
        }
    }
}
