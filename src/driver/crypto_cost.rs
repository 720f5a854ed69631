//! What this machine's processor has for encryption.
use crate::rtc::session::CryptoCost;

/// Of the processor that this runs on.
pub fn of_this_machine() -> CryptoCost {
    if knows_aes() {
        CryptoCost::AesInstructions
    } else if has_vectors() {
        CryptoCost::Simd
    } else {
        CryptoCost::Scalar
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
