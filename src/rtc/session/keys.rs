//! The SRTP keys of a session, from its DTLS handshake (RFC 5764).
use super::incoming::Incoming;
use crate::rtc::srtp::Protect;
use rtc_crypto::RTCCrypto;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_dtls::state::State;
use rtc_shared::error::Error as RtcError;
use rtc_srtp::config::{Config as SrtpConfig, LABEL_EXTRACTOR_DTLS_SRTP};
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;

/// What protects a session's packets.
pub(super) struct Keys {
    pub protect: Protect,
    pub outgoing: Context,
    pub incoming: Incoming,
    pub gcm: bool,
}

impl Keys {
    /// Those that both sides derive from their handshake (RFC 5764 section 4.2).
    ///
    /// # Errors
    /// If the peer chose a profile that was not offered, or the library refuses.
    pub fn derive(state: &State, crypto: &dyn RTCCrypto) -> Result<Self, String> {
        let profile = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => ProtectionProfile::AeadAes128Gcm,
            SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm => ProtectionProfile::AeadAes256Gcm,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
            other => return Err(format!("the peer chose an SRTP profile that we did not offer: {other:?}")),
        };
        let mut config = SrtpConfig { profile, ..Default::default() };
        let material = state
            .export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], config.keying_material_len())
            .map_err(|e| e.to_string())?;
        config
            .set_session_keys_from_keying_material(material.as_ref(), state.is_client())
            .map_err(|e| e.to_string())?;
        let keys = &config.keys;
        let failed = |e: RtcError| e.to_string();
        Ok(Self {
            protect: Protect::new(crypto, profile, &keys.local_master_key, &keys.local_master_salt)
                .map_err(|e| e.to_string())?,
            outgoing: Context::new(&keys.local_master_key, &keys.local_master_salt, profile, None, None, crypto)
                .map_err(failed)?,
            incoming: Incoming::new(profile, &keys.remote_master_key, &keys.remote_master_salt, crypto)
                .map_err(failed)?,
            gcm: !matches!(profile, ProtectionProfile::Aes128CmHmacSha1_80),
        })
    }
}
