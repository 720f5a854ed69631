//! The files of the pages, packed as the build script left them.
use miniz_oxide::inflate::decompress_to_vec_with_limit;

/// Where visitors from outside come: the one page that may speak to trackers, and to nobody else.
pub const SHARE_PAGE: &str = "/webtorrent.html";
/// A file of the pages.
pub struct File {
    pub path: &'static str,
    pub content_type: &'static str,
    /// HTML as it is; everything else by gzip, as the build script packed it.
    pub bytes: &'static [u8],
    /// FNV-1a of the bytes; names this build's version of the file.
    pub hash: u64,
}

const fn page(path: &'static str, bytes: &'static [u8]) -> File {
    File { path, content_type: HTML, bytes, hash: fnv1a(bytes) }
}

const fn packed(path: &'static str, content_type: &'static str, bytes: &'static [u8]) -> File {
    File { path, content_type, bytes, hash: fnv1a(bytes) }
}

macro_rules! gz {
    ($name:literal) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".gz"))
    };
}

/// The type of pages.
pub const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Before and behind the compressed data of a gzip file without name and comment (RFC 1952 section 2.3).
const GZIP_HEADER: usize = 10;
const GZIP_TRAILER: usize = 8;
/// The largest file of the pages, unpacked.
const FILE_MAX: usize = 128 * 1024;

/// Statics, so that the hashes are made by the compiler. `webrtc.html` is the address of go2rtc's player.
pub static FILES: &[File] = &[
    page("/", include_bytes!("../../web/index.html")),
    page("/index.html", include_bytes!("../../web/index.html")),
    packed("/index.js", SCRIPT, gz!("index.js")),
    page("/wall", include_bytes!("../../web/wall.html")),
    page("/wall.html", include_bytes!("../../web/wall.html")),
    packed("/wall.js", SCRIPT, gz!("wall.js")),
    page("/links.html", include_bytes!("../../web/links.html")),
    packed("/links.js", SCRIPT, gz!("links.js")),
    packed("/qr.js", SCRIPT, gz!("qr.js")),
    packed("/remember.js", SCRIPT, gz!("remember.js")),
    page("/stream.html", include_bytes!("../../web/stream.html")),
    page("/webrtc.html", include_bytes!("../../web/stream.html")),
    packed("/stream.js", SCRIPT, gz!("stream.js")),
    page("/doctor.html", include_bytes!("../../web/doctor.html")),
    packed("/doctor.js", SCRIPT, gz!("doctor.js")),
    page("/publish.html", include_bytes!("../../web/publish.html")),
    packed("/publish.js", SCRIPT, gz!("publish.js")),
    page("/trust.html", include_bytes!("../../web/trust.html")),
    packed("/trust.js", SCRIPT, gz!("trust.js")),
    page(SHARE_PAGE, include_bytes!("../../web/publish.html")),
    #[cfg(feature = "shares")]
    packed("/webtorrent.js", SCRIPT, gz!("webtorrent.js")),
    #[cfg(feature = "shares")]
    packed("/share.js", SCRIPT, gz!("share.js")),
    packed("/porthole.js", SCRIPT, gz!("porthole.js")),
    packed("/style.css", STYLE, gz!("style.css")),
    packed("/icon.svg", SVG, gz!("icon.svg")),
];

/// For clients that don't take gzip, as curl without `--compressed`.
pub fn unpacked(gzip: &[u8]) -> Vec<u8> {
    let deflated = &gzip[GZIP_HEADER..gzip.len() - GZIP_TRAILER];
    // what our own build packed can be unpacked; a test does it with every file
    decompress_to_vec_with_limit(deflated, FILE_MAX).unwrap_or_default()
}

/// Names a version of a file.
pub const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packed_file_is_what_was_written_but_for_lines_of_comment() {
        for file in FILES.iter().filter(|file| file.content_type != HTML) {
            let written = std::fs::read_to_string(format!("src/web{}", file.path)).unwrap();
            let packed = String::from_utf8(unpacked(file.bytes)).unwrap();
            let mut packed = packed.lines().peekable();
            for line in written.lines() {
                if packed.next_if_eq(&line).is_none() {
                    let line = line.trim();
                    assert!(file.content_type == SCRIPT && line.starts_with('/'), "{}: {line}", file.path);
                }
            }
            assert_eq!(packed.next(), None, "{}", file.path);
        }
    }

    #[test]
    fn the_hash_is_fnv1a() {
        assert_eq!(fnv1a(b"foobar"), 0x85944171f73967e8);
    }
}
