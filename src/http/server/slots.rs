//! Counts connections, or WebSockets, of each client.
use crate::base::places::{Full, Places, Taken, client};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many each client has.
#[derive(Debug, Default)]
pub struct Slots(Mutex<HashMap<IpAddr, usize>>);

/// One counted connection; counted until it is dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<Slots>,
    client: IpAddr,
}

impl Slots {
    /// `spare_loopback`: this machine's own programs are not counted one by one.
    pub fn take(self: &Arc<Self>, address: IpAddr, places: Places, spare_loopback: bool) -> Result<Slot, Full> {
        let client = client(address);
        let is_local = |client: &IpAddr| spare_loopback && client.is_loopback();
        let mut counts = self.counts();
        let mut taken = Taken { own: counts.get(&client).copied().unwrap_or_default(), ..Taken::default() };
        for (client, count) in counts.iter() {
            *if is_local(client) { &mut taken.local } else { &mut taken.network } += count;
        }
        places.check(taken, is_local(&client))?;
        *counts.entry(client).or_default() += 1;
        Ok(Slot { slots: self.clone(), client })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.slots.counts();
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_counted_for_each_client_and_come_back() {
        let slots = Arc::new(Slots::default());
        let places = Places { all: 8, each: 2, kept: 1 };
        let take = |address: &str| slots.take(address.parse().unwrap(), places, true);
        let first = take("fd00::1").unwrap();
        let _second = take("fd00::2").unwrap();
        assert_eq!(take("fd00::3").unwrap_err(), Full::Client);
        let others = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"].map(|other| take(other).unwrap());
        assert_eq!(take("10.0.0.6").unwrap_err(), Full::All);
        let own = take("127.0.0.1").unwrap();
        assert_eq!(take("127.0.0.1").unwrap_err(), Full::All);
        drop((own, first, others));
        let _third = take("fd00::3").unwrap();
        assert_eq!(*slots.counts(), HashMap::from([("fd00::".parse().unwrap(), 2)]));
    }
}
