//! Which SRTP profile a session takes, and so who begins the DTLS handshake: what costs this processor least.
//!
//! Browsers prefer AES in counter mode with SHA-1, for packets that are six bytes shorter, wherever they choose, and the
//! DTLS server chooses. Where GCM is cheaper by far, we are the server; that costs a round trip.
use crate::rtc::sdp::Setup;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile::{
    self, Srtp_Aead_Aes_128_Gcm as GCM, Srtp_Aes128_Cm_Hmac_Sha1_80 as CM,
};
use std::sync::OnceLock;

/// What a processor encrypts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// Instructions for AES: both profiles cost little, GCM a fifth less.
    KnowsAes,
    /// Vectors (NEON, SSSE3), which `ring` has GCM for: on a Cortex-A7 a packet takes a quarter of the instructions
    /// that counter mode takes.
    HasVectors,
    /// Neither (ARMv6): counter mode takes half the instructions of GCM.
    Plain,
}

impl Processor {
    /// The one that this runs on.
    pub fn this() -> Self {
        static THIS: OnceLock<Processor> = OnceLock::new();
        *THIS.get_or_init(|| {
            if knows_aes() {
                Processor::KnowsAes
            } else if has_vectors() {
                Processor::HasVectors
            } else {
                Processor::Plain
            }
        })
    }

    /// Our DTLS role towards a peer that leaves the choice to us. `Active` saves a round trip.
    pub fn setup(self) -> Setup {
        if self == Processor::HasVectors { Setup::Passive } else { Setup::Active }
    }

    /// As a DTLS client: all, the cheapest one first.
    pub fn proposal(self) -> [SrtpProtectionProfile; 2] {
        if self == Processor::Plain { [CM, GCM] } else { [GCM, CM] }
    }

    /// As a DTLS server: the cheapest one of those that the client offers, and all if it offers none of them.
    pub fn choice(self, offered: &[u16]) -> Vec<SrtpProtectionProfile> {
        let proposal = self.proposal();
        let cheapest = proposal.into_iter().find(|profile| offered.contains(&(*profile as u16)));
        cheapest.map_or_else(|| proposal.to_vec(), |profile| vec![profile])
    }
}

fn knows_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    let knows = std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    let knows = std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let knows = false;
    knows
}

fn has_vectors() -> bool {
    /// Entry of the auxiliary vector with what the processor has, and NEON in it.
    const AT_HWCAP: usize = 16;
    const HWCAP_NEON: usize = 1 << 12;
    if cfg!(not(target_arch = "arm")) {
        return cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));
    }
    let entries = std::fs::read("/proc/self/auxv").unwrap_or_default();
    let (words, _) = entries.as_chunks();
    let words: Vec<usize> = words.iter().map(|word| usize::from_ne_bytes(*word)).collect();
    words.chunks_exact(2).any(|entry| entry[0] == AT_HWCAP && entry[1] & HWCAP_NEON != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTER_MODE: u16 = 1;
    const GCM_128: u16 = 7;
    const GCM_256: u16 = 8;

    #[test]
    fn a_server_takes_what_costs_least_of_what_is_offered_whatever_the_clients_order() {
        let browser = [COUNTER_MODE, GCM_256, GCM_128];
        assert_eq!(Processor::HasVectors.choice(&browser), [GCM]);
        assert_eq!(Processor::KnowsAes.choice(&browser), [GCM]);
        assert_eq!(Processor::Plain.choice(&browser), [CM]);
        assert_eq!(Processor::HasVectors.choice(&[COUNTER_MODE]), [CM]);
        assert_eq!(Processor::Plain.choice(&[GCM_128]), [GCM]);
        assert_eq!(Processor::HasVectors.choice(&[]), [GCM, CM]);
    }

    #[test]
    fn the_servers_role_is_taken_only_where_the_choice_is_worth_a_round_trip() {
        let roles = [Processor::KnowsAes, Processor::HasVectors, Processor::Plain].map(Processor::setup);
        assert_eq!(roles, [Setup::Active, Setup::Passive, Setup::Active]);
    }
}
