//! The measurements. Each takes a running relay and answers rows of the table.
pub mod hidden;
pub mod latency;
pub mod load;
pub mod starts;

use std::time::Duration;

/// How long and how often to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// What one figure is averaged over.
    pub window: Duration,
    /// Wait after a change, so that its cost does not count.
    pub settle: Duration,
    pub starts: usize,
}

impl Effort {
    pub fn full() -> Self {
        Self { window: Duration::from_secs(8), settle: Duration::from_secs(2), starts: 20 }
    }

    pub fn quick() -> Self {
        Self { window: Duration::from_secs(3), settle: Duration::from_secs(1), starts: 8 }
    }
}
