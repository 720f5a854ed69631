//! Names of STUN and TURN servers, and names among `webrtc.candidates`. The latter are looked up in the background, since
//! browsers differ in whether they do so themselves and are told addresses. No answer waits for this; until the first one is
//! known the name is left out.
use crate::base::host;
use crate::gather::candidate::ResolvedNames;
use crate::gather::ice_servers::Uri;
use crate::gather::scope::Scope;
use crate::net::interfaces;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// The system's resolver does not tell how long an answer holds; a home's address changes once a day.
const REFRESH: Duration = Duration::from_secs(300);
/// After a lookup that failed.
const RETRY: Duration = Duration::from_secs(30);
/// A resolver without a network may take minutes.
const DEADLINE: Duration = Duration::from_secs(20);
/// Addresses of one name that are told at most.
const MAX_ADDRESSES: usize = 4;

/// A STUN or TURN server's name is looked up within this time.
const SERVER_DEADLINE: Duration = Duration::from_secs(5);

/// Looks a STUN or TURN server's name up: the addresses that `scope` allows.
///
/// # Errors
/// If there is none: a sentence with the name in it.
pub async fn server(uri: &Uri, scope: Scope) -> Result<Vec<SocketAddr>, String> {
    let wrong = |error: String| format!("the name {:?} can't be resolved: {error}", uri.host);
    match timeout(SERVER_DEADLINE, tokio::net::lookup_host((uri.host.as_str(), uri.port))).await {
        Ok(Ok(addresses)) => {
            let addresses = addresses.map(|a| SocketAddr::new(a.ip().to_canonical(), a.port()));
            let (allowed, barred): (Vec<_>, Vec<_>) = addresses
                .map(|address| scope.check(address.ip(), interfaces::own).map(|()| address))
                .partition(Result::is_ok);
            match barred.into_iter().find_map(Result::err) {
                Some(barred) if allowed.is_empty() => Err(format!("the name {:?} {barred}", uri.host)),
                _ => Ok(allowed.into_iter().flatten().collect()),
            }
        }
        Ok(Err(error)) => Err(wrong(error.to_string())),
        Err(_) => Err(wrong(format!("no name server answered within {} s", SERVER_DEADLINE.as_secs()))),
    }
}

/// Looks names up until its reader is gone.
#[derive(Debug)]
pub struct Names(watch::Receiver<Arc<ResolvedNames>>);

impl Names {
    /// Must be called inside the engine's runtime.
    pub fn start<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let (sender, receiver) = watch::channel(Arc::default());
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort();
        names.dedup();
        for name in names {
            tokio::spawn(keep(name, sender.clone()));
        }
        Self(receiver)
    }

    /// Waits until more is known; for ever, where nothing is looked up.
    pub async fn changed(&mut self) -> Arc<ResolvedNames> {
        match self.0.changed().await {
            Ok(()) => self.0.borrow_and_update().clone(),
            Err(_) => std::future::pending().await,
        }
    }
}

async fn keep(name: String, answers: watch::Sender<Arc<ResolvedNames>>) {
    loop {
        // The port means nothing here, but the resolver wants one.
        let found = timeout(DEADLINE, tokio::net::lookup_host((name.as_str(), 1))).await;
        let pause = match found {
            Ok(Ok(addresses)) => {
                let addresses = choose(addresses.map(|address| address.ip()));
                if answers.borrow().get(&name) != Some(&addresses) {
                    log::info!(target: "net", "candidate name={name:?} addresses={addresses:?}");
                    answers.send_modify(|all| drop(Arc::make_mut(all).insert(name.clone(), addresses)));
                }
                REFRESH
            }
            Ok(Err(error)) => {
                log::warn!(target: "net", "candidate name={name:?} cannot be looked up, its last addresses stay error={error}");
                RETRY
            }
            Err(_) => {
                log::warn!(target: "net", "candidate name={name:?} was not looked up within {DEADLINE:?}, its last addresses stay");
                RETRY
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = answers.closed() => return,
        }
    }
}

/// Each address once, IPv4 first, in an order that does not change when a server rotates its answers.
fn choose(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut list: Vec<IpAddr> = addresses.filter_map(host::of_one).collect();
    list.sort();
    list.dedup();
    list.truncate(MAX_ADDRESSES);
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_name_have_an_order_and_a_bound() {
        let list = |texts: &[&str]| choose(texts.iter().map(|text| text.parse().unwrap()));
        assert_eq!(
            list(&["fd00::1", "10.0.0.2", "10.0.0.1", "10.0.0.2", "::"]),
            list(&["10.0.0.1", "10.0.0.2", "fd00::1"])
        );
        assert_eq!(list(&["1.0.0.1", "1.0.0.2", "1.0.0.3", "1.0.0.4", "1.0.0.5"]).len(), MAX_ADDRESSES);
    }

    #[tokio::test]
    async fn a_name_is_known_soon_and_an_unknown_one_is_nothing() {
        let mut names = Names::start(["localhost", "nothing.invalid"].into_iter());
        let known = timeout(Duration::from_secs(5), names.changed()).await.unwrap();
        assert!(!known["localhost"].is_empty() && known["localhost"].iter().all(IpAddr::is_loopback));
        assert!(!known.contains_key("nothing.invalid"));
        let mut nothing = Names::start([].into_iter());
        assert!(timeout(Duration::from_millis(20), nothing.changed()).await.is_err(), "nobody is woken for nothing");
    }
}
