//! Counts connections, in all and for each address.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    All,
    Address,
}

#[derive(Debug, Default)]
pub struct Slots(Mutex<HashMap<IpAddr, usize>>);

/// One counted connection; counted until it is dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<Slots>,
    address: IpAddr,
}

impl Slots {
    pub fn take(self: &Arc<Self>, address: IpAddr, all: usize, per_address: usize) -> Result<Slot, Full> {
        let mut counts = self.counts();
        if counts.values().sum::<usize>() >= all {
            return Err(Full::All);
        }
        let count = counts.entry(address).or_default();
        if *count >= per_address {
            return Err(Full::Address);
        }
        *count += 1;
        Ok(Slot { slots: self.clone(), address })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.slots.counts();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_bounded_twice_and_come_back() {
        let slots = Arc::new(Slots::default());
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = slots.take(a, 3, 2).unwrap();
        let _second = slots.take(a, 3, 2).unwrap();
        assert_eq!(slots.take(a, 3, 2).unwrap_err(), Full::Address);
        let third = slots.take(b, 3, 2).unwrap();
        assert_eq!(slots.take(b, 3, 2).unwrap_err(), Full::All);
        drop((first, third));
        assert!(slots.take(a, 3, 2).is_ok());
        assert_eq!(slots.counts().len(), 1);
    }
}
