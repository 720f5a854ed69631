//! The SRTP keys of a session, from its DTLS handshake (RFC 5764), and for which packets they are tried.
use crate::rtc::srtp::Protect;
use rtc_crypto::RTCCrypto;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_dtls::state::State;
use rtc_shared::error::Error as RtcError;
use rtc_srtp::config::{Config as SrtpConfig, LABEL_EXTRACTOR_DTLS_SRTP};
use rtc_srtp::context::Context;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

/// Received packets that may be out of order before they count as replayed (RFC 3711 section 3.3.2 asks for 64 or more).
const REPLAY_WINDOW: usize = 512;

/// SSRCs of one peer, RTP and RTCP apart: audio, three video layers and their retransmissions need 14.
pub(super) const MAX_SSRCS: usize = 64;

/// What protects a session's packets.
pub(super) struct Keys {
    pub protect: Protect,
    pub outgoing: Context,
    pub incoming: Context,
    /// What `incoming` keeps a state for.
    pub(super) ssrcs: Vec<(bool, u32)>,
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
            incoming: Context::new(
                &keys.remote_master_key,
                &keys.remote_master_salt,
                profile,
                Some(srtp_replay_protection(REPLAY_WINDOW)),
                Some(srtcp_replay_protection(REPLAY_WINDOW)),
                crypto,
            )
            .map_err(failed)?,
            ssrcs: Vec::new(),
            gcm: !matches!(profile, ProtectionProfile::Aes128CmHmacSha1_80),
        })
    }

    /// May a packet of this SSRC be looked at? The library keeps a state for each, before it knows
    /// whether the packet is authentic.
    pub fn admits(&mut self, rtcp: bool, ssrc: u32) -> bool {
        let known = self.ssrcs.contains(&(rtcp, ssrc));
        if !known && self.ssrcs.len() < MAX_SSRCS {
            self.ssrcs.push((rtcp, ssrc));
            return true;
        }
        known
    }
}
