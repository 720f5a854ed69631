//! Inputs that are more than one message: a list of pieces, each behind a byte for the target and a length of two bytes.

/// The pieces of an input. The last one may be cut short.
pub fn pieces(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[flags, high, low], after) = rest.split_first_chunk::<3>()?;
        let (piece, after) = after.split_at(usize::from(u16::from_be_bytes([high, low])).min(after.len()));
        rest = after;
        Some((flags, piece))
    })
}

/// An input of these pieces.
pub fn script(pieces: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (flags, piece) in pieces {
        out.push(*flags);
        out.extend_from_slice(&(piece.len() as u16).to_be_bytes());
        out.extend_from_slice(piece);
    }
    out
}

/// Two places to cut an input at, which follow from what it is.
pub fn cuts(bytes: &[u8]) -> [usize; 2] {
    let sum = bytes.iter().fold(bytes.len(), |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let first = sum % (bytes.len() + 1);
    [first, first + (sum / 7) % (bytes.len() - first + 1)]
}
