//! DTLS on the wire: records, and the fragments of handshake messages in them (RFC 6347 sections 4.1 and 4.2.2). Pure.

pub const CHANGE_CIPHER_SPEC: u8 = 20;
pub const ALERT: u8 = 21;
pub const HANDSHAKE: u8 = 22;

/// Records of one datagram, and fragments of one record, that are looked at; a whole flight has some ten.
const MAX_PARTS: usize = 32;

const RECORD_HEADER: usize = 13;
const FRAGMENT_HEADER: usize = 12;
/// As records write DTLS 1.0 and 1.2; ClientHellos stand in those of 1.0.
const VERSIONS: [[u8; 2]; 2] = [[0xfe, 0xff], [0xfe, 0xfd]];

/// One record, encrypted if its epoch is not 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record<'a> {
    pub kind: u8,
    pub epoch: u16,
    pub number: u64,
    pub body: &'a [u8],
    /// With its header.
    pub whole: &'a [u8],
}

/// Part of a handshake message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fragment<'a> {
    pub kind: u8,
    /// Of the whole message.
    pub length: usize,
    /// The message's place in the handshake.
    pub number: u16,
    pub offset: usize,
    pub bytes: &'a [u8],
}

/// The records of a datagram, until one is damaged or of another version.
pub fn records(datagram: &[u8]) -> impl Iterator<Item = Record<'_>> {
    parts(datagram, |bytes| {
        let (header, rest) = bytes.split_first_chunk::<RECORD_HEADER>()?;
        let body = rest.get(..number(&header[11..]))?;
        VERSIONS.contains(&[header[1], header[2]]).then_some(())?;
        let whole = &bytes[..RECORD_HEADER + body.len()];
        let number = header[5..11].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let epoch = u16::from_be_bytes([header[3], header[4]]);
        Some((Record { kind: header[0], epoch, number, body, whole }, whole.len()))
    })
}

/// The fragments in an unencrypted record, until one is damaged: one that has more than its message, or nothing of it.
pub fn fragments(body: &[u8]) -> impl Iterator<Item = Fragment<'_>> {
    parts(body, |bytes| {
        let (header, rest) = bytes.split_first_chunk::<FRAGMENT_HEADER>()?;
        let (length, offset) = (number(&header[1..4]), number(&header[6..9]));
        let bytes = rest.get(..number(&header[9..]))?;
        let fits = offset + bytes.len() <= length && (length == 0 || !bytes.is_empty());
        let number = u16::from_be_bytes([header[4], header[5]]);
        fits.then_some((Fragment { kind: header[0], length, number, offset, bytes }, FRAGMENT_HEADER + bytes.len()))
    })
}

/// Writes an unencrypted record with the whole of a handshake message, of at most 65,523 bytes.
pub fn write_message(out: &mut Vec<u8>, record: u64, kind: u8, number: u16, message: &[u8]) {
    write_header(out, HANDSHAKE, record, FRAGMENT_HEADER + message.len());
    let length = three(message.len());
    out.push(kind);
    out.extend_from_slice(&length);
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&three(0));
    out.extend_from_slice(&length);
    out.extend_from_slice(message);
}

/// An unencrypted record that says that encrypted ones follow (RFC 5246 section 7.1).
pub fn change_cipher_spec(record: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(RECORD_HEADER + 1);
    write_header(&mut out, CHANGE_CIPHER_SPEC, record, 1);
    out.push(1);
    out
}

fn write_header(out: &mut Vec<u8>, kind: u8, record: u64, length: usize) {
    out.push(kind);
    out.extend_from_slice(&VERSIONS[1]);
    // epoch 0 and 48 bits of number
    out.extend_from_slice(&record.to_be_bytes());
    out.extend_from_slice(&(length as u16).to_be_bytes());
}

fn parts<'a, T>(mut rest: &'a [u8], first: impl Fn(&'a [u8]) -> Option<(T, usize)>) -> impl Iterator<Item = T> {
    std::iter::from_fn(move || {
        let (part, length) = first(rest)?;
        rest = &rest[length..];
        Some(part)
    })
    .take(MAX_PARTS)
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

fn three(number: usize) -> [u8; 3] {
    let [_, high, middle, low] = (number as u32).to_be_bytes();
    [high, middle, low]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A record of this kind and epoch.
    pub fn record(kind: u8, epoch: u16, number: u8, body: &[u8]) -> Vec<u8> {
        let mut record = vec![kind, 0xfe, 0xfd];
        record.extend_from_slice(&epoch.to_be_bytes());
        record.extend_from_slice(&[0, 0, 0, 0, 0, number]);
        record.extend_from_slice(&(body.len() as u16).to_be_bytes());
        [record.as_slice(), body].concat()
    }

    /// A fragment that says of itself what it likes.
    pub fn fragment(kind: u8, length: usize, number: u16, offset: usize, bytes: &[u8]) -> Vec<u8> {
        let number = number.to_be_bytes();
        [&[kind], &three(length)[..], &number, &three(offset), &three(bytes.len()), bytes].concat()
    }

    #[test]
    fn records_and_the_messages_in_them_are_read_as_they_were_written() {
        let mut datagram = Vec::new();
        write_message(&mut datagram, 7, 11, 2, b"certificate");
        write_message(&mut datagram, 8, 14, 3, b"");
        datagram.extend_from_slice(&change_cipher_spec(9));
        let records: Vec<Record> = records(&datagram).collect();
        assert_eq!(
            records.iter().map(|r| (r.kind, r.epoch, r.number)).collect::<Vec<_>>(),
            [(HANDSHAKE, 0, 7), (HANDSHAKE, 0, 8), (CHANGE_CIPHER_SPEC, 0, 9)]
        );
        assert_eq!(records.iter().flat_map(|record| record.whole).copied().collect::<Vec<_>>(), datagram);
        let messages: Vec<Fragment> = records[..2].iter().flat_map(|record| fragments(record.body)).collect();
        assert_eq!(
            messages,
            [
                Fragment { kind: 11, length: 11, number: 2, offset: 0, bytes: b"certificate" },
                Fragment { kind: 14, length: 0, number: 3, offset: 0, bytes: b"" },
            ]
        );
    }

    #[test]
    fn several_messages_and_parts_of_them_may_share_a_record() {
        let body = [fragment(14, 0, 4, 0, b""), fragment(11, 9, 5, 3, b"abc"), fragment(16, 2, 6, 0, b"de")].concat();
        let found: Vec<_> = fragments(&body).map(|fragment| (fragment.number, fragment.bytes)).collect();
        assert_eq!(found, [(4, &b""[..]), (5, b"abc"), (6, b"de")]);
    }

    #[test]
    fn what_is_damaged_ends_the_reading() {
        let whole = record(HANDSHAKE, 0, 1, b"body");
        for cut in 0..whole.len() {
            assert_eq!(records(&whole[..cut]).count(), 0);
            assert_eq!(records(&[&whole, &whole[..cut]].concat()).count(), 1);
        }
        let mut other = whole;
        other[1] = 3;
        assert_eq!(records(&other).count(), 0, "another version");
        for damaged in [
            fragment(11, 5, 1, 0, b""),
            fragment(11, 5, 1, 3, b"abc"),
            fragment(11, 0, 1, 1, b""),
            fragment(11, 3, 1, 0, b"abc")[..14].to_vec(),
        ] {
            assert_eq!(fragments(&damaged).count(), 0, "{damaged:?}");
        }
    }

    #[test]
    fn a_datagram_of_tiny_parts_is_not_read_to_its_end() {
        assert_eq!(records(&record(HANDSHAKE, 0, 1, b"").repeat(4000)).count(), MAX_PARTS);
        assert_eq!(fragments(&fragment(14, 0, 1, 0, b"").repeat(4000)).count(), MAX_PARTS);
    }
}
