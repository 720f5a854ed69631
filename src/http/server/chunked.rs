//! Decoder for chunked request bodies (RFC 9112 section 7.1): strict about line ends, extensions and trailers are read
//! over, everything is bounded.
use super::limits::BODY_BYTES;
use super::refusal::Refusal;

/// Longest size line, extensions included.
const MAX_LINE: usize = 256;
/// All trailer fields together.
const MAX_TRAILERS: usize = 1024;

#[derive(Debug, Default)]
enum State {
    #[default]
    Size,
    Data(usize),
    /// The CR LF that ends a chunk's data; the number of its bytes seen.
    DataEnd(u8),
    /// Trailer lines; how many bytes they had so far.
    Trailers(usize),
    Done,
}

/// Takes bytes in any pieces.
#[derive(Debug, Default)]
pub struct Chunked {
    state: State,
    line: Vec<u8>,
}

impl Chunked {
    /// Was the end of the body seen?
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Decodes from `input`, appends to `body`, and answers how many bytes were used; what follows the body is not.
    pub fn feed(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<usize, Refusal> {
        let mut used = 0;
        while used < input.len() {
            match &mut self.state {
                State::Done => break,
                State::Data(left) => {
                    let take = (*left).min(input.len() - used);
                    body.extend_from_slice(&input[used..used + take]);
                    used += take;
                    *left -= take;
                    if *left == 0 {
                        self.state = State::DataEnd(0);
                    }
                }
                State::DataEnd(seen) => {
                    let expected = if *seen == 0 { b'\r' } else { b'\n' };
                    if input[used] != expected {
                        return Err(Refusal::malformed("a chunk is longer than it said"));
                    }
                    used += 1;
                    self.state = if *seen == 0 { State::DataEnd(1) } else { State::Size };
                }
                State::Size | State::Trailers(_) => {
                    let byte = input[used];
                    used += 1;
                    self.line.push(byte);
                    if self.line.len() > MAX_LINE {
                        return Err(Refusal::malformed("a line of the chunked body is too long"));
                    }
                    if byte == b'\n' {
                        self.end_of_line(body.len())?;
                    }
                }
            }
        }
        Ok(used)
    }

    fn end_of_line(&mut self, body: usize) -> Result<(), Refusal> {
        let line = std::mem::take(&mut self.line);
        let Some(line) = line.strip_suffix(b"\r\n").filter(|line| !line.contains(&b'\r')) else {
            return Err(Refusal::malformed("lines of a chunked body must end with CR LF"));
        };
        self.state = match self.state {
            State::Trailers(_) if line.is_empty() => State::Done,
            State::Trailers(seen) if seen + line.len() <= MAX_TRAILERS => State::Trailers(seen + line.len()),
            State::Trailers(_) => return Err(Refusal::malformed("too many trailer fields")),
            _ => match chunk_size(line)? {
                0 => State::Trailers(0),
                // A sum would overflow where addresses have 32 bits.
                size if size <= BODY_BYTES.saturating_sub(body) => State::Data(size),
                _ => return Err(Refusal::body_too_large()),
            },
        };
        Ok(())
    }
}

fn chunk_size(line: &[u8]) -> Result<usize, Refusal> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    let valid = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| valid);
    let Some(text) = text else { return Err(Refusal::malformed("a chunk size must be a hexadecimal number")) };
    if text.len() > 15 {
        return Err(Refusal::body_too_large());
    }
    usize::from_str_radix(text, 16).map_err(|_| Refusal::body_too_large())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds in pieces of `step` bytes; the body and what was left over.
    fn decode(input: &str, step: usize) -> Result<(String, String), u16> {
        let (mut decoder, mut body, mut input) = (Chunked::default(), Vec::new(), input.as_bytes());
        while !decoder.is_done() {
            assert!(!input.is_empty(), "incomplete");
            let piece = &input[..step.min(input.len())];
            let used = decoder.feed(piece, &mut body).map_err(|refusal| refusal.status())?;
            input = &input[used..];
        }
        Ok((String::from_utf8(body).unwrap(), String::from_utf8(input.to_vec()).unwrap()))
    }

    #[test]
    fn chunks_in_any_pieces_become_one_body() {
        let input = "4;name=value\r\nWiki\r\n5\r\npedia\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nGET /";
        for step in [1, 2, 3, 7, 1000] {
            assert_eq!(decode(input, step), Ok(("Wikipedia0123456789".into(), "GET /".into())), "{step}");
        }
    }

    #[test]
    fn chunks_with_two_meanings_are_refused() {
        for wrong in [
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello!\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "+5\r\nhello",
            "0x5\r\nhello",
            "\r\n",
            "5 5\r\n",
            "-1\r\n",
            "5\r\r\n",
            "0\r\nA: b\n\r\n",
        ] {
            assert_eq!(decode(wrong, 1), Err(400), "{wrong:?}");
        }
    }

    #[test]
    fn a_chunked_body_is_bounded() {
        assert_eq!(decode(&format!("{:x}\r\n", BODY_BYTES + 1), 100), Err(413));
        assert_eq!(decode("ffffffffffffffffffff\r\n", 100), Err(413));
        assert_eq!(decode("fffffffffffffff\r\n", 100), Err(413));
        assert_eq!(decode(&"0".repeat(1000), 100), Err(400));
        let trailers = format!("0\r\n{}", "A: bbbbbbbbbbbbbbbbbbbbbbb\r\n".repeat(100));
        assert_eq!(decode(&trailers, 100), Err(400));
    }
}
