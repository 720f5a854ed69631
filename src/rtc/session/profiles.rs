//! Which SRTP profile a session takes, and so who begins the DTLS handshake: what costs this processor least.
//!
//! Browsers prefer AES in counter mode with SHA-1, for packets that are six bytes shorter, wherever they choose, and the
//! DTLS server chooses. Where GCM is cheaper by far, we are the server; that costs a round trip.
use crate::rtc::sdp::Setup;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile::{
    self, Srtp_Aead_Aes_128_Gcm as GCM, Srtp_Aes128_Cm_Hmac_Sha1_80 as CM,
};

/// What encrypting costs on a processor, by what it has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CryptoCost {
    /// Instructions for AES: both profiles cost little, GCM a fifth less.
    AesInstructions,
    /// Vectors (NEON, SSSE3), which `ring` has GCM for: on a Cortex-A7 a packet takes a quarter of the instructions
    /// that counter mode takes.
    Simd,
    /// Neither (ARMv6): counter mode takes half the instructions of GCM.
    Scalar,
}

impl CryptoCost {
    /// Our DTLS role towards a peer that leaves the choice to us. `Active` saves a round trip.
    pub fn setup(self) -> Setup {
        if self == CryptoCost::Simd { Setup::Passive } else { Setup::Active }
    }

    /// As a DTLS client: all, the cheapest one first.
    pub fn proposal(self) -> [SrtpProtectionProfile; 2] {
        if self == CryptoCost::Scalar { [CM, GCM] } else { [GCM, CM] }
    }

    /// As a DTLS server: the cheapest one of those that the client offers, and all if it offers none of them.
    pub fn choice(self, offered: &[u16]) -> Vec<SrtpProtectionProfile> {
        let proposal = self.proposal();
        let cheapest = proposal.into_iter().find(|profile| offered.contains(&(*profile as u16)));
        cheapest.map_or_else(|| proposal.to_vec(), |profile| vec![profile])
    }
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
        assert_eq!(CryptoCost::Simd.choice(&browser), [GCM]);
        assert_eq!(CryptoCost::AesInstructions.choice(&browser), [GCM]);
        assert_eq!(CryptoCost::Scalar.choice(&browser), [CM]);
        assert_eq!(CryptoCost::Simd.choice(&[COUNTER_MODE]), [CM]);
        assert_eq!(CryptoCost::Scalar.choice(&[GCM_128]), [GCM]);
        assert_eq!(CryptoCost::Simd.choice(&[]), [GCM, CM]);
    }

    #[test]
    fn the_servers_role_is_taken_only_where_the_choice_is_worth_a_round_trip() {
        let roles = [CryptoCost::AesInstructions, CryptoCost::Simd, CryptoCost::Scalar].map(CryptoCost::setup);
        assert_eq!(roles, [Setup::Active, Setup::Passive, Setup::Active]);
    }
}
