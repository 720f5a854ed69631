//! How data travels between us and the server: ChannelData once a channel is bound (RFC 8656 section 12.4), Send and
//! Data indications before (sections 11.1 to 11.4).
use crate::gather::stun::{Message, TransactionId, Writer, attribute, kind};
use std::net::SocketAddr;

/// First and last channel number (RFC 8656 section 12).
pub const FIRST_CHANNEL: u16 = 0x4000;
pub const LAST_CHANNEL: u16 = 0x4fff;
pub const CHANNEL_HEADER: usize = 4;

/// Appends `data` for a bound channel; over UDP nothing is padded, [`padded`](super::framing::padded) does it for streams.
pub fn write_channel(out: &mut Vec<u8>, channel: u16, data: &[u8]) {
    out.extend_from_slice(&channel.to_be_bytes());
    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
    out.extend_from_slice(data);
}

pub fn send_indication(transaction: &TransactionId, peer: SocketAddr, data: &[u8]) -> Vec<u8> {
    Writer::new(kind::SEND_INDICATION, transaction)
        .with_address(attribute::XOR_PEER_ADDRESS, peer)
        .with(attribute::DATA, data)
        .finish()
}

/// Channel and data of a ChannelData message.
pub fn read_channel(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let header: [u8; CHANNEL_HEADER] = bytes.get(..CHANNEL_HEADER)?.try_into().ok()?;
    let channel = u16::from_be_bytes([header[0], header[1]]);
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let data = bytes.get(CHANNEL_HEADER..CHANNEL_HEADER + length)?;
    (FIRST_CHANNEL..=LAST_CHANNEL).contains(&channel).then_some((channel, data))
}

/// Peer and data of a Data indication.
pub fn read_indication<'a>(message: &Message<'a>) -> Option<(SocketAddr, &'a [u8])> {
    let ours = message.kind == kind::DATA_INDICATION;
    ours.then(|| Some((message.xor_address(attribute::XOR_PEER_ADDRESS)?, message.get(attribute::DATA)?)))?
}
