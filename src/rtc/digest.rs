//! The digests of STUN's authentication and its random numbers, from the crypto provider that sessions use too.
use rtc_crypto::{HashAlgorithm, HmacAlgorithm, RTCCryptoProvider};
use std::sync::Arc;

/// Bytes of an HMAC-SHA1.
pub const MAC: usize = 20;

#[derive(Clone)]
pub struct Digest(Arc<dyn RTCCryptoProvider>);

impl Digest {
    pub fn new(provider: Arc<dyn RTCCryptoProvider>) -> Self {
        Self(provider)
    }

    /// Key of long-term credentials (RFC 8489 section 9.2.2): MD5 of `username:realm:password`. `None`: the provider has no MD5.
    #[cfg_attr(not(feature = "turn"), expect(dead_code, reason = "TURN has it"))]
    pub fn long_term_key(&self, username: &str, realm: &str, password: &str) -> Option<Vec<u8>> {
        self.0.crypto().hash(HashAlgorithm::Md5, format!("{username}:{realm}:{password}").as_bytes()).ok()
    }

    /// HMAC-SHA1 over the concatenated parts.
    pub fn sign(&self, key: &[u8], parts: &[&[u8]]) -> Option<[u8; MAC]> {
        let mut tag = [0; MAC];
        self.0.crypto().new_hmac(HmacAlgorithm::Sha1, key).ok()?.sign(parts, &mut tag).ok()?;
        Some(tag)
    }

    /// Compares in constant time.
    pub fn verify(&self, key: &[u8], parts: &[&[u8]], tag: &[u8]) -> bool {
        let mac = self.0.crypto().new_hmac(HmacAlgorithm::Sha1, key);
        mac.is_ok_and(|mut mac| mac.verify(parts, tag).is_ok())
    }

    /// A transaction id that nobody can guess. `None`: the system gives no random numbers.
    pub fn transaction(&self) -> Option<[u8; 12]> {
        let mut id = [0; 12];
        self.0.random().fill(&mut id).ok().map(|()| id)
    }
}

#[cfg(test)]
impl Default for Digest {
    fn default() -> Self {
        Self(rtc_crypto::default_provider().unwrap())
    }
}
