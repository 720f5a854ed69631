//! What a peer's packets are decrypted with, and which SSRCs take a place there. Who can write the peer's address on a
//! packet can write any SSRC beside it, so only one that an authentic packet came of is remembered.
use bytes::BytesMut;
use rtc_crypto::RTCCrypto;
use rtc_shared::error::Error as RtcError;
use rtc_srtp::context::Context;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

/// Received packets that may be out of order before they count as replayed (RFC 3711 section 3.3.2 asks for 64 or more).
const REPLAY_WINDOW: usize = 512;

/// SSRCs of one peer, RTP and RTCP apart: audio, three video layers and their retransmissions need 14.
const MAX_SSRCS: usize = 64;

/// Packets of unknown SSRCs that are tried before what the library kept of them is thrown away.
const MAX_TRIALS: usize = 64;

pub struct Incoming {
    profile: ProtectionProfile,
    key: Vec<u8>,
    salt: Vec<u8>,
    /// For the SSRCs that an authentic packet came of.
    proven: Context,
    ssrcs: Vec<(bool, u32)>,
    /// For all others: the library keeps a state for each SSRC before it knows whether the packet is authentic, and
    /// gives none of them up. So this one is made anew now and then.
    trial: Context,
    trials: usize,
}

impl Incoming {
    /// # Errors
    /// If the library refuses the keys.
    pub fn new(profile: ProtectionProfile, key: &[u8], salt: &[u8], crypto: &dyn RTCCrypto) -> Result<Self, RtcError> {
        let (rtp, rtcp) = (srtp_replay_protection(REPLAY_WINDOW), srtcp_replay_protection(REPLAY_WINDOW));
        Ok(Self {
            proven: Context::new(key, salt, profile, Some(rtp), Some(rtcp), crypto)?,
            ssrcs: Vec::new(),
            trial: Context::new(key, salt, profile, None, None, crypto)?,
            trials: 0,
            profile,
            key: key.to_vec(),
            salt: salt.to_vec(),
        })
    }

    /// Did an authentic packet of this SSRC come?
    pub fn knows(&self, rtcp: bool, ssrc: u32) -> bool {
        self.ssrcs.contains(&(rtcp, ssrc))
    }

    /// Decrypts a packet; `None` if it is not authentic, came before, or is of one SSRC too many.
    pub fn open(&mut self, rtcp: bool, ssrc: u32, bytes: &[u8], crypto: &dyn RTCCrypto) -> Option<BytesMut> {
        if !self.knows(rtcp, ssrc) {
            if self.ssrcs.len() >= MAX_SSRCS || !self.is_authentic(rtcp, bytes, crypto) {
                return None;
            }
            self.ssrcs.push((rtcp, ssrc));
        }
        // The first packet of an SSRC is decrypted twice, so that its replay is known.
        decrypt(&mut self.proven, rtcp, bytes)
    }

    fn is_authentic(&mut self, rtcp: bool, bytes: &[u8], crypto: &dyn RTCCrypto) -> bool {
        if self.trials >= MAX_TRIALS {
            let Ok(fresh) = Context::new(&self.key, &self.salt, self.profile, None, None, crypto) else { return false };
            (self.trial, self.trials) = (fresh, 0);
        }
        self.trials += 1;
        decrypt(&mut self.trial, rtcp, bytes).is_some()
    }
}

fn decrypt(context: &mut Context, rtcp: bool, bytes: &[u8]) -> Option<BytesMut> {
    if rtcp { context.decrypt_rtcp(bytes) } else { context.decrypt_rtp(bytes) }.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtc_crypto::RTCCryptoProvider;
    use std::sync::Arc;

    const PROFILES: [ProtectionProfile; 2] = [ProtectionProfile::AeadAes128Gcm, ProtectionProfile::Aes128CmHmacSha1_80];

    struct World {
        provider: Arc<dyn RTCCryptoProvider>,
        peer: Context,
        incoming: Incoming,
    }

    impl World {
        fn new(profile: ProtectionProfile) -> Self {
            let provider = rtc_crypto::default_provider().unwrap();
            let (key, salt) = (vec![7; profile.key_len()], vec![9; profile.salt_len()]);
            Self {
                peer: Context::new(&key, &salt, profile, None, None, provider.crypto()).unwrap(),
                incoming: Incoming::new(profile, &key, &salt, provider.crypto()).unwrap(),
                provider,
            }
        }

        fn packet(&mut self, rtcp: bool, ssrc: u32, seq: u16) -> Vec<u8> {
            if rtcp {
                let mut report = vec![0x80, 201, 0, 1];
                report.extend_from_slice(&ssrc.to_be_bytes());
                return self.peer.encrypt_rtcp(&report).unwrap().to_vec();
            }
            let mut packet = Vec::new();
            crate::rtc::srtp::write_header(&mut packet, false, 96, seq, 8, ssrc);
            packet.extend_from_slice(b"picture");
            self.peer.encrypt_rtp(&packet).unwrap().to_vec()
        }

        fn open(&mut self, rtcp: bool, ssrc: u32, bytes: &[u8]) -> bool {
            self.incoming.open(rtcp, ssrc, bytes, self.provider.crypto()).is_some()
        }
    }

    #[test]
    fn forged_packets_of_any_number_of_ssrcs_make_nobody_deaf_and_are_not_remembered() {
        for profile in PROFILES {
            for rtcp in [false, true] {
                let mut world = World::new(profile);
                let forged = world.packet(rtcp, 1, 1);
                for ssrc in 1_000..1_000 + 5 * MAX_TRIALS as u32 {
                    let mut forged = forged.clone();
                    let at = if rtcp { 4 } else { 8 };
                    forged[at..at + 4].copy_from_slice(&ssrc.to_be_bytes());
                    assert!(!world.open(rtcp, ssrc, &forged));
                }
                assert!(world.incoming.ssrcs.is_empty() && world.incoming.trials <= MAX_TRIALS);
                for seq in 1..4 {
                    let packet = world.packet(rtcp, 77, seq);
                    assert!(world.open(rtcp, 77, &packet), "{rtcp} {seq}");
                }
                assert_eq!(world.incoming.ssrcs, [(rtcp, 77)]);
            }
        }
    }

    #[test]
    fn the_first_packet_of_an_ssrc_counts_once_like_all_others() {
        for rtcp in [false, true] {
            let mut world = World::new(PROFILES[0]);
            let packets: Vec<Vec<u8>> = (1..4).map(|seq| world.packet(rtcp, 5, seq)).collect();
            assert!(packets.iter().all(|packet| world.open(rtcp, 5, packet)));
            assert!(packets.iter().all(|packet| !world.open(rtcp, 5, packet)), "{rtcp}");
        }
    }

    #[test]
    fn a_peer_has_a_bounded_number_of_ssrcs_and_keeps_those_that_it_has() {
        let mut world = World::new(PROFILES[0]);
        for ssrc in 0..MAX_SSRCS as u32 + 10 {
            let packet = world.packet(false, ssrc, 1);
            assert_eq!(world.open(false, ssrc, &packet), ssrc < MAX_SSRCS as u32);
        }
        let packet = world.packet(false, 3, 2);
        assert!(world.open(false, 3, &packet));
    }
}
