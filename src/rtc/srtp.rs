//! SRTP towards viewers, in place in the send buffer: no allocation and no copy for each packet
//! (RFC 3711, RFC 7714). RTCP and received media go through the library's contexts.
use rtc_crypto::{
    AeadAlgorithm, AeadCipher, BlockCipherAlgorithm, CryptoError, HmacAlgorithm, Mac, RTCCrypto, StreamCipher,
    StreamCipherAlgorithm,
};
use rtc_srtp::protection_profile::ProtectionProfile;

/// Length of the RTP header that we write: no CSRCs, no extensions.
pub const HEADER: usize = 12;
const CM_TAG: usize = 10;
const GCM_TAG: usize = 16;

/// Labels of the key derivation (RFC 3711 section 4.3.1).
const LABEL_KEY: u8 = 0;
const LABEL_AUTH: u8 = 1;
const LABEL_SALT: u8 = 2;

/// What the header of an RTP packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    pub marker: bool,
    pub payload_type: u8,
    /// Extended sequence number: its low 16 bits go into the header, the whole is the packet index of SRTP.
    pub seq: u64,
    pub timestamp: u32,
    pub ssrc: u32,
}

enum Cipher {
    /// AES_CM_128_HMAC_SHA1_80.
    Counter { stream: Box<dyn StreamCipher>, mac: Box<dyn Mac> },
    /// AEAD_AES_128_GCM and AEAD_AES_256_GCM.
    Gcm(Box<dyn AeadCipher>),
}

/// The sending half of an SRTP session, for all of its SSRCs.
pub struct Protect {
    cipher: Cipher,
    salt: [u8; 14],
    /// Some packet was protected, to be sent.
    used: bool,
}

impl Protect {
    /// Derives the session keys from a master key and salt.
    pub fn new(
        crypto: &dyn RTCCrypto,
        profile: ProtectionProfile,
        key: &[u8],
        salt: &[u8],
    ) -> Result<Self, CryptoError> {
        let gcm = matches!(profile, ProtectionProfile::AeadAes128Gcm | ProtectionProfile::AeadAes256Gcm);
        let mut session_key = vec![0; key.len()];
        derive(crypto, key, salt, LABEL_KEY, &mut session_key)?;
        let mut session_salt = [0; 14];
        let salt_len = salt.len().min(session_salt.len());
        derive(crypto, key, salt, LABEL_SALT, &mut session_salt[..salt_len])?;
        let cipher = if gcm {
            let algorithm = if key.len() == 32 { AeadAlgorithm::Aes256Gcm } else { AeadAlgorithm::Aes128Gcm };
            Cipher::Gcm(crypto.new_aead(algorithm, &session_key)?)
        } else {
            let mut auth = [0; 20];
            derive(crypto, key, salt, LABEL_AUTH, &mut auth)?;
            Cipher::Counter {
                stream: crypto.new_stream_cipher(StreamCipherAlgorithm::Aes128Ctr, &session_key)?,
                mac: crypto.new_hmac(HmacAlgorithm::Sha1, &auth)?,
            }
        };
        Ok(Self { cipher, salt: session_salt, used: false })
    }

    /// Has media gone to the peer?
    pub fn is_used(&self) -> bool {
        self.used
    }

    /// Bytes that protection adds to a packet.
    pub fn tag_len(&self) -> usize {
        match self.cipher {
            Cipher::Counter { .. } => CM_TAG,
            Cipher::Gcm(_) => GCM_TAG,
        }
    }

    /// Appends one protected packet; its payload are the two parts, one behind the other. Where it can't be protected,
    /// the buffer stays as it was. A sequence number must never be used for two different packets of one SSRC.
    ///
    /// # Errors
    /// If the cipher refuses it.
    pub fn write_packet(
        &mut self,
        buffer: &mut Vec<u8>,
        header: &RtpHeader,
        (head, payload): (&[u8], &[u8]),
    ) -> Result<(), CryptoError> {
        let at = buffer.len();
        let RtpHeader { marker, payload_type, seq, timestamp, ssrc } = *header;
        write_header(buffer, marker, payload_type, seq as u16, timestamp, ssrc);
        buffer.extend_from_slice(head);
        buffer.extend_from_slice(payload);
        let protected = self.protect(buffer, at, ssrc, seq);
        if protected.is_err() {
            buffer.truncate(at);
        }
        protected
    }

    /// Encrypts the packet at `buffer[at..]` (a 12-byte header, then its payload) and appends the tag.
    /// `index` is the 48-bit packet index: the extended sequence number whose low 16 bits the header
    /// carries. One index must never be used for two different packets.
    pub fn protect(&mut self, buffer: &mut Vec<u8>, at: usize, ssrc: u32, index: u64) -> Result<(), CryptoError> {
        self.used = true;
        let index = &index.to_be_bytes()[2..];
        match &mut self.cipher {
            Cipher::Gcm(aead) => {
                let mut nonce = [0; 12];
                nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
                nonce[6..].copy_from_slice(index);
                nonce.iter_mut().zip(&self.salt).for_each(|(n, s)| *n ^= s);
                let mut tag = [0; GCM_TAG];
                let (header, payload) = buffer[at..].split_at_mut(HEADER);
                aead.seal_in_place(&nonce, header, payload, &mut tag)?;
                buffer.extend_from_slice(&tag);
            }
            Cipher::Counter { stream, mac } => {
                let mut iv = [0; 16];
                iv[..14].copy_from_slice(&self.salt);
                iv[4..8].iter_mut().zip(ssrc.to_be_bytes()).for_each(|(i, s)| *i ^= s);
                iv[8..14].iter_mut().zip(index).for_each(|(i, n)| *i ^= n);
                stream.apply_keystream(&iv, &mut buffer[at + HEADER..])?;
                let mut tag = [0; 20];
                mac.sign(&[&buffer[at..], &index[..4]], &mut tag)?;
                buffer.extend_from_slice(&tag[..CM_TAG]);
            }
        }
        Ok(())
    }
}

fn derive(crypto: &dyn RTCCrypto, key: &[u8], salt: &[u8], label: u8, out: &mut [u8]) -> Result<(), CryptoError> {
    let algorithm = if key.len() == 32 { BlockCipherAlgorithm::Aes256 } else { BlockCipherAlgorithm::Aes128 };
    for (i, chunk) in out.chunks_mut(16).enumerate() {
        let mut block = [0; 16];
        block[..salt.len()].copy_from_slice(salt);
        block[7] ^= label;
        block[15] = i as u8;
        crypto.block_encrypt(algorithm, key, &mut block)?;
        chunk.copy_from_slice(&block[..chunk.len()]);
    }
    Ok(())
}

/// Writes a 12-byte RTP header (RFC 3550 section 5.1).
pub fn write_header(buffer: &mut Vec<u8>, marker: bool, payload_type: u8, seq: u16, timestamp: u32, ssrc: u32) {
    let mut header = [0; HEADER];
    header[0] = 0x80;
    header[1] = payload_type | u8::from(marker) << 7;
    header[2..4].copy_from_slice(&seq.to_be_bytes());
    header[4..8].copy_from_slice(&timestamp.to_be_bytes());
    header[8..].copy_from_slice(&ssrc.to_be_bytes());
    buffer.extend_from_slice(&header);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtc_srtp::context::Context;

    #[test]
    fn the_library_opens_what_we_protect_in_every_profile() {
        let provider = rtc_crypto::default_provider().unwrap();
        for (profile, key, salt) in [
            (ProtectionProfile::Aes128CmHmacSha1_80, 16, 14),
            (ProtectionProfile::AeadAes128Gcm, 16, 12),
            (ProtectionProfile::AeadAes256Gcm, 32, 12),
        ] {
            let (key, salt) = (vec![7; key], vec![9; salt]);
            let mut ours = Protect::new(provider.crypto(), profile, &key, &salt).unwrap();
            let mut theirs = Context::new(&key, &salt, profile, None, None, provider.crypto()).unwrap();
            for index in [1u64, 2, 30_000, 60_000, 65_535, 65_536, 65_537, 90_000, 120_000, 131_072] {
                let mut buffer = b"before".to_vec();
                write_header(&mut buffer, true, 96, index as u16, 1234, 0xdead_beef);
                buffer.extend_from_slice(b"a picture");
                let plain = buffer[6..].to_vec();
                ours.protect(&mut buffer, 6, 0xdead_beef, index).unwrap();
                assert_eq!(buffer.len(), 6 + plain.len() + ours.tag_len());
                assert_eq!(theirs.decrypt_rtp(&buffer[6..]).unwrap(), plain, "{profile:?} {index}");
            }
        }
    }
}
