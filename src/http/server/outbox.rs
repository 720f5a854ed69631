//! Responses that clients have not taken yet, bounded in all. Where they become too many bytes, the client that has the
//! most waiting loses its oldest one: who reads slowly makes way, and nobody else.
use crate::base::places::client;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// All responses that wait.
#[derive(Debug, Default)]
pub struct Outbox(Mutex<Vec<Kept>>);

#[derive(Debug)]
struct Kept {
    client: IpAddr,
    bytes: usize,
    given_up: Arc<Notify>,
}

/// One response on its way; counted until it is dropped.
#[derive(Debug)]
pub struct Parcel {
    outbox: Arc<Outbox>,
    given_up: Arc<Notify>,
}

impl Outbox {
    /// Counts `bytes` for a client, and gives up other responses until all together have `most` at most.
    pub fn keep(self: &Arc<Self>, address: IpAddr, bytes: usize, most: usize) -> Parcel {
        let new = Kept { client: client(address), bytes: 0, given_up: Arc::default() };
        let parcel = Parcel { outbox: self.clone(), given_up: new.given_up.clone() };
        self.kept().push(new);
        parcel.resize(bytes, most);
        parcel
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The oldest response of the client that has the most bytes waiting, with what it asks for now.
fn greediest(kept: &[Kept], new: &Kept) -> Option<usize> {
    let mut sums = HashMap::from([(new.client, new.bytes)]);
    for Kept { client, bytes, .. } in kept {
        *sums.entry(*client).or_default() += bytes;
    }
    // Of equal ones the last is taken, and that has to be the oldest.
    let waiting = kept.iter().enumerate().rev().filter(|(_, kept)| kept.bytes > 0);
    waiting.max_by_key(|(_, kept)| sums[&kept.client]).map(|(at, _)| at)
}

impl Parcel {
    /// Counts so many bytes from now on, as the newest; others are given up as in [`Outbox::keep`].
    pub fn resize(&self, bytes: usize, most: usize) {
        let mut kept = self.outbox.kept();
        let Some(at) = kept.iter().position(|kept| Arc::ptr_eq(&kept.given_up, &self.given_up)) else { return };
        let own = Kept { bytes, ..kept.remove(at) };
        while kept.iter().map(|kept| kept.bytes).sum::<usize>() + bytes > most {
            let Some(at) = greediest(&kept, &own) else { break };
            kept.remove(at).given_up.notify_one();
        }
        kept.push(own);
    }

    /// Completes when the response has to be given up.
    pub async fn given_up(&self) {
        self.given_up.notified().await;
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        self.outbox.kept().retain(|kept| !Arc::ptr_eq(&kept.given_up, &self.given_up));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn is_given_up(parcel: &Parcel) -> bool {
        pin!(parcel.given_up()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn the_greediest_client_makes_way_its_oldest_response_first() {
        let outbox = Arc::new(Outbox::default());
        let keep = |address: &str, bytes| outbox.keep(address.parse().unwrap(), bytes, 100);
        let modest = keep("10.0.0.1", 30);
        let greedy = [keep("fd00::1", 20), keep("fd00::2", 20), keep("fd00::3", 20)];
        let free = keep("10.0.0.3", 0);
        let newcomer = keep("10.0.0.2", 40);
        assert_eq!(greedy.each_ref().map(is_given_up), [true, true, false]);
        assert!(![&modest, &newcomer, &free].into_iter().any(is_given_up));
        let further = keep("10.0.0.2", 40);
        assert!(is_given_up(&newcomer) && !is_given_up(&further) && !is_given_up(&modest));
        // A stream counts what it is sending now.
        free.resize(100, 100);
        assert!([&modest, &further].into_iter().all(is_given_up) && !is_given_up(&free));
        free.resize(0, 100);
        drop((modest, greedy, newcomer, further, free));
        assert!(outbox.kept().is_empty());
    }
}
