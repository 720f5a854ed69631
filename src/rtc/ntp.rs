//! NTP time as RTCP carries it: seconds since 1900 in 32.32 bits (RFC 5905 section 6).
use std::time::{Duration, Instant};

/// Seconds from 1900, where NTP begins, to 1970.
const NTP_EPOCH: u64 = 2_208_988_800;

/// NTP time of `now` by the clock that ran on since a moment whose time was known.
pub fn ntp_at((moment, time): (Instant, u64), now: Instant) -> u64 {
    let since = now.saturating_duration_since(moment);
    time + (since.as_secs() << 32) + ((u64::from(since.subsec_nanos()) << 32) / 1_000_000_000)
}

/// NTP time of a moment that is this long after the beginning of 1970.
pub fn ntp_of(since_1970: Duration) -> u64 {
    ((since_1970.as_secs() + NTP_EPOCH) << 32) | ((u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000)
}
