//! Who we are to peers: the certificate, and the DTLS settings that go with it.
use super::handshake::DTLS_FIRST_RETRY;
use super::profiles::CryptoCost;
use crate::rtc::ice::Credentials;
use crate::rtc::sdp::{Fingerprint, Hash};
use rtc_crypto::{CryptoError, RTCCryptoProvider};
use rtc_dtls::cipher_suite::CipherSuiteId;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::error::Error as RtcError;
use std::sync::Arc;

/// Largest DTLS record that we send: fits IPv6's smallest MTU.
const DTLS_MTU: usize = 1200;

/// Lengths of what we call ourselves: 48 bits of name, 144 bits of password, in ICE's characters (RFC 8839 section 5.4).
const UFRAG_LEN: usize = 8;
const PWD_LEN: usize = 24;
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Who we are to every peer: one certificate for the life of the process (RFC 8827 section 6.5 allows
/// long-lived ones), so that a session costs no key generation.
pub struct Identity {
    pub provider: Arc<dyn RTCCryptoProvider>,
    certificate: Certificate,
    pub fingerprint: Fingerprint,
    /// Decides about DTLS roles and SRTP profiles.
    pub crypto_cost: CryptoCost,
}

impl Identity {
    /// # Errors
    /// If the system gives no random numbers.
    pub fn generate(crypto_cost: CryptoCost) -> Result<Self, String> {
        let provider = rtc_crypto::default_provider().map_err(|e| e.to_string())?;
        let certificate = Certificate::generate_self_signed(vec!["porthole".to_owned()], provider.crypto())
            .map_err(|e| e.to_string())?;
        let der = certificate.certificate.first().ok_or("the certificate is empty")?;
        let fingerprint = Fingerprint::of(Hash::Sha256, der.as_ref());
        Ok(Self { provider, certificate, fingerprint, crypto_cost })
    }

    /// New credentials for one session.
    pub fn credentials(&self) -> Result<Credentials, CryptoError> {
        let mut random = [0; UFRAG_LEN + PWD_LEN];
        self.fill(&mut random)?;
        let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(ICE_CHARS[usize::from(byte & 63)])).collect();
        Ok(Credentials { ufrag: text(&random[..UFRAG_LEN]), pwd: text(&random[UFRAG_LEN..]) })
    }

    pub fn fill(&self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        self.provider.random().fill(bytes)
    }
}

#[cfg(test)]
impl Identity {
    pub fn fingerprint_with(&self, hash: Hash) -> Fingerprint {
        Fingerprint::of(hash, self.certificate.certificate[0].as_ref())
    }
}

/// What the peer's description says of its transport.
#[derive(Clone, Debug)]
pub struct PeerTransport {
    pub credentials: Credentials,
    /// One is of the certificate that the peer will show.
    pub fingerprints: Vec<Fingerprint>,
}

/// What the DTLS settings of one session are made of as soon as its SRTP profiles are known.
pub(super) struct Terms {
    provider: Arc<dyn RTCCryptoProvider>,
    certificate: Certificate,
    /// One is of the certificate that the peer has to show.
    expected: Vec<Fingerprint>,
    /// Are we the DTLS client?
    pub active: bool,
    pub cost: CryptoCost,
}

impl Terms {
    pub fn new(identity: &Identity, active: bool, expected: Vec<Fingerprint>) -> Self {
        let (provider, certificate) = (identity.provider.clone(), identity.certificate.clone());
        Self { provider, certificate, expected, active, cost: identity.crypto_cost }
    }

    pub fn config(self, profiles: Vec<SrtpProtectionProfile>) -> Result<HandshakeConfig, String> {
        let Self { provider, certificate, expected, active, .. } = self;
        let verify = move |chain: &[Vec<u8>], _: &[_]| {
            let certificate = chain.first().ok_or(RtcError::ErrNonCertificate)?;
            let matches = expected.iter().any(|known| *known == Fingerprint::of(known.hash, certificate));
            if matches { Ok(()) } else { Err(RtcError::ErrNoMatchingCertificateFingerprint) }
        };
        ConfigBuilder::default()
            .with_crypto_provider(provider)
            .with_certificates(vec![certificate])
            .with_cipher_suites(cipher_suites(active))
            .with_srtp_protection_profiles(profiles)
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            // Certificates are self-signed: the fingerprint in the description is what is checked.
            .with_insecure_skip_verify(true)
            .with_verify_peer_certificate(Some(Arc::new(verify)))
            .with_extended_master_secret(ExtendedMasterSecretType::Request)
            .with_server_name("porthole".into())
            .with_flight_interval(DTLS_FIRST_RETRY)
            .with_mtu(DTLS_MTU)
            .build(active, None)
            .map_err(|e| e.to_string())
    }
}

/// Our certificate is ECDSA, so as a server only those suites work; as a client the peer may show an RSA one.
fn cipher_suites(active: bool) -> Vec<CipherSuiteId> {
    let mut suites = vec![
        CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
        CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_256_Cbc_Sha,
    ];
    if active {
        suites.push(CipherSuiteId::Tls_Ecdhe_Rsa_With_Aes_128_Gcm_Sha256);
    }
    suites
}
