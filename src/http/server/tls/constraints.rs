//! Name constraints (RFC 5280 section 4.2.1.10) of an authority that vouches for servers on local networks only.
use super::facts::Permitted;
use super::names::Names;
use rcgen::CustomExtension;
use std::net::IpAddr;

/// `id-ce-nameConstraints`.
const OBJECT: [u64; 4] = [2, 5, 29, 30];
/// Nobody's, for ever (RFC 6761). Permitted for mail and for URIs: a kind of name of which nothing at all is permitted
/// would be a kind without limits.
const NOBODY: &[u8] = b"invalid";

// Context tags of DER: the list of what is permitted, and kinds of a `GeneralName`.
const PERMITTED: u8 = 0xa0;
const MAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
const ADDRESS: u8 = 0x87;
const SEQUENCE: u8 = 0x30;

/// Permits local names and addresses, and of `names` those that are not among them; mailboxes and URIs never.
pub(super) fn extension(names: &Names) -> CustomExtension {
    let mut permitted = Permitted::local();
    let (_, others) = permitted.split(names.clone());
    for other in others {
        match other.parse::<IpAddr>() {
            Ok(ip) => permitted.add(ip, if ip.is_ipv4() { 32 } else { 128 }),
            Err(_) => permitted.dns.push(other),
        }
    }
    let mut subtrees = vec![];
    let mut permit = |kind, base: &[u8]| subtrees.extend(value(SEQUENCE, &value(kind, base)));
    permitted.dns.iter().for_each(|name| permit(DNS, name.as_bytes()));
    permitted.ips.iter().for_each(|(base, mask)| permit(ADDRESS, &[octets(base), octets(mask)].concat()));
    permit(MAIL, NOBODY);
    permit(URI, NOBODY);
    let mut extension = CustomExtension::from_oid_content(&OBJECT, value(SEQUENCE, &value(PERMITTED, &subtrees)));
    extension.set_criticality(true);
    extension
}

/// In DER: tag, length, content.
fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let digits = &length[content.len().leading_zeros() as usize / 8..];
    let mut out = vec![tag];
    match content.len() {
        // One byte for the length itself, else one for the number of its bytes.
        0..0x80 => out.push(content.len() as u8),
        _ => out.extend([&[0x80 | digits.len() as u8], digits].concat()),
    }
    out.extend(content);
    out
}

fn octets(ip: &IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_many_bytes_as_they_need() {
        assert_eq!(value(DNS, b"lan"), [0x82, 3, b'l', b'a', b'n']);
        assert_eq!(value(SEQUENCE, &[0; 127])[..2], [0x30, 0x7f]);
        assert_eq!(value(SEQUENCE, &[0; 128])[..3], [0x30, 0x81, 0x80]);
        assert_eq!(value(SEQUENCE, &[0; 300])[..4], [0x30, 0x82, 1, 0x2c]);
    }
}
