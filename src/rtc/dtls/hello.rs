//! What a ClientHello or ServerHello offers, read before the library sees it (RFC 5246 section 7.4.1.4): the library, as a
//! server, takes the client's first SRTP profile, and browsers put the slower one first (RFC 5764 section 4.1.1); and it
//! reads each extension to the end of the message, so a long list of the same one would cost it seconds. Pure.

const USE_SRTP: u16 = 14;
/// Extensions of one message; browsers send about fifteen.
const MAX_EXTENSIONS: usize = 64;

/// Kinds and contents of a message's extensions.
type Extensions<'a> = Vec<(u16, &'a [u8])>;

/// The numbers of the profiles that a ClientHello offers, in the client's order; none if it offers none or can't be read.
pub fn offered_profiles(hello: &[u8]) -> Vec<u16> {
    let extensions = client_extensions(hello).unwrap_or_default();
    let use_srtp = extensions.iter().find(|(kind, _)| *kind == USE_SRTP);
    let list = use_srtp.and_then(|(_, content)| vector(content, 2)).map_or(&[][..], |(list, _)| list);
    list.chunks_exact(2).map(|number| u16::from_be_bytes([number[0], number[1]])).collect()
}

/// The cookie of a ClientHello (RFC 6347 section 4.2.1); empty in a client's first one.
pub fn cookie(hello: &[u8]) -> Option<&[u8]> {
    let session = vector(hello.get(2 + 32..)?, 1)?.1;
    Some(vector(session, 1)?.0)
}

/// Those of a ClientHello, unless it is damaged, has too many, or one of them twice.
pub fn client_extensions(hello: &[u8]) -> Option<Extensions<'_>> {
    // version and random
    let mut rest = hello.get(2 + 32..)?;
    // session, cookie, cipher suites, compression methods
    for width in [1, 1, 2, 1] {
        rest = vector(rest, width)?.1;
    }
    extensions(rest)
}

/// Those of a ServerHello, likewise.
pub fn server_extensions(hello: &[u8]) -> Option<Extensions<'_>> {
    let session = vector(hello.get(2 + 32..)?, 1)?.1;
    // cipher suite and compression method
    extensions(session.get(2 + 1..)?)
}

fn extensions(bytes: &[u8]) -> Option<Extensions<'_>> {
    let mut rest = vector(bytes, 2)?.0;
    let mut found = Extensions::new();
    while !rest.is_empty() {
        let (kind, after) = rest.split_first_chunk()?;
        let kind = u16::from_be_bytes(*kind);
        let (content, after) = vector(after, 2)?;
        if found.len() == MAX_EXTENSIONS || found.iter().any(|(known, _)| *known == kind) {
            return None;
        }
        found.push((kind, content));
        rest = after;
    }
    Some(found)
}

/// What a length of so many bytes stands before, and what follows it.
pub fn vector(bytes: &[u8], width: usize) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(width)?;
    rest.split_at_checked(length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A ClientHello with these extensions.
    pub fn hello(extensions: &[u8]) -> Vec<u8> {
        let mut hello = [&[0xfe, 0xfd], [7; 32].as_slice(), &[0, 0, 0, 2, 0xc0, 0x2b, 1, 0]].concat();
        hello.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
        [hello.as_slice(), extensions].concat()
    }

    /// Point formats, then use_srtp with counter mode and GCM, then something unknown.
    pub const EXTENSIONS: &[u8] = &[0, 11, 0, 2, 1, 0, 0, 14, 0, 7, 0, 4, 0, 1, 0, 7, 0, 0xff, 0xff, 0, 1, 9];

    #[test]
    fn the_profiles_are_told_in_the_clients_order() {
        assert_eq!(offered_profiles(&hello(EXTENSIONS)), [1, 7]);
    }

    #[test]
    fn one_that_offers_none_or_is_damaged_tells_none() {
        assert_eq!(offered_profiles(&hello(&EXTENSIONS[..6])), [0; 0]);
        let whole = hello(EXTENSIONS);
        for cut in 0..whole.len() {
            assert_eq!(offered_profiles(&whole[..cut]), [0; 0]);
        }
        for damaged in 34..whole.len() {
            let mut hello = whole.clone();
            hello[damaged] = 0xff;
            offered_profiles(&hello);
        }
    }

    #[test]
    fn a_list_of_the_same_extension_and_one_without_end_are_refused() {
        let many = |count: u16| (0..count).flat_map(|kind| [(kind >> 8) as u8, kind as u8, 0, 0]).collect::<Vec<_>>();
        assert_eq!(client_extensions(&hello(&many(64))).map(|found| found.len()), Some(64));
        assert_eq!(client_extensions(&hello(&many(65))), None);
        assert_eq!(client_extensions(&hello(&[0, 10, 0, 0, 0, 10, 0, 0])), None);
        let server = |extensions: &[u8]| {
            let length = (extensions.len() as u16).to_be_bytes();
            [&[0xfe, 0xfd], [7; 32].as_slice(), &[1, 5, 0xc0, 0x2b, 0], &length, extensions].concat()
        };
        assert_eq!(server_extensions(&server(EXTENSIONS)).map(|found| found.len()), Some(3));
        assert_eq!(server_extensions(&server(&[0, 10, 0, 0, 0, 10, 0, 0])), None);
    }
}
