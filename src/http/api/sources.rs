//! Which sources a request may add.
use crate::engine::api::{Error, ErrorKind};

/// Source schemes that the API accepts. Not each of them is dialled by this version; streams with the others are kept.
pub const SCHEMES: [&str; 13] =
    ["ffmpeg", "http", "https", "onvif", "rtmp", "rtsp", "rtsps", "rtspx", "test", "v4l2", "webrtc", "ws", "wss"];

/// Schemes that run programs or code: only the configuration file may name them.
const PROGRAM_SCHEMES: [&str; 3] = ["exec", "echo", "expr"];

/// May a source with this URL be added by a request?
///
/// # Errors
/// If not, with the reason.
pub fn check(url: &str) -> Result<(), Error> {
    if url.chars().any(|character| character.is_whitespace() || character.is_control()) {
        return Err(refused("streams: source with white space: percent-encode it"));
    }
    let scheme = url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some(scheme) if SCHEMES.contains(&scheme) => Ok(()),
        Some(scheme) if PROGRAM_SCHEMES.contains(&scheme) => Err(refused(format!(
            "streams: {scheme}: sources run programs and can only be set in the configuration file"
        ))),
        _ => Err(refused(format!(
            "streams: source not supported: its URL must start with one of {}",
            SCHEMES.join(", ")
        ))),
    }
}

fn refused(sentence: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadRequest, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_that_run_programs_or_hide_words_are_refused() {
        for url in [
            "rtsp://user:pw@10.0.0.2/stream",
            "ffmpeg:camera.front#audio=opus#query=log_level=debug",
            "webrtc:http://10.0.0.3/offer#format=creality",
            "test:",
            "RTSP://x",
            "v4l2:device?video=/dev/video0",
        ] {
            assert!(check(url).is_ok(), "{url}");
        }
        for url in [
            "exec:ls",
            "EXEC:ls",
            "echo:x",
            "expr:1",
            "rtsp://a b",
            "rtsp://a\tb",
            "rtsp://a\u{a0}b",
            "camera",
            "",
            "gopher://x",
            " rtsp://x",
        ] {
            assert!(check(url).is_err(), "{url:?}");
        }
    }
}
