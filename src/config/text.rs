//! From a file's bytes to its text.
use super::load::MAX_FILE;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// What editors of Windows put before UTF-8.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

/// The text of a file as it stands there, a byte order mark included. The error says what to do about the file.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let mut bytes = vec![];
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {MAX_FILE} bytes")));
    }
    decoded(bytes).map_err(|sentence| io::Error::new(io::ErrorKind::InvalidData, sentence))
}

fn decoded(bytes: Vec<u8>) -> Result<String, String> {
    // With a byte order mark, or without: the first character of a configuration is one of ASCII.
    if matches!(bytes[..], [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..]) {
        return Err("it is UTF-16, save it as UTF-8".to_owned());
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        format!("line {line} is not UTF-8, save the file as UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_encodings_are_named_with_what_to_do() {
        let utf16 = |bytes: fn(u16) -> [u8; 2], mark: &str| {
            format!("{mark}api:\n").encode_utf16().flat_map(bytes).collect::<Vec<u8>>()
        };
        for mark in ["", "\u{feff}"] {
            for bytes in [utf16(u16::to_le_bytes, mark), utf16(u16::to_be_bytes, mark)] {
                assert_eq!(decoded(bytes).unwrap_err(), "it is UTF-16, save it as UTF-8");
            }
        }
        let latin1 = b"# comment\nstreams:\n  t\xfcr: x\n".to_vec();
        assert_eq!(decoded(latin1).unwrap_err(), "line 3 is not UTF-8, save the file as UTF-8");
        assert_eq!(decoded("\u{feff}ä".into()).unwrap(), "\u{feff}ä");
        assert_eq!(decoded(vec![]).unwrap(), "");
    }
}
