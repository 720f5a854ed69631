//! HTTPS: the certificate that clients are shown, given by the operator or made here, and the handshake with it.
//!
//! Whether the certificate is still the right one is looked at when a client comes, so that nothing has to wake up for
//! it. Connections that are open keep the one that they began with.
mod authority;
mod constraints;
mod error;
mod facts;
mod names;
mod store;

use crate::config::Given;
use crate::config::{self, TlsMode};
use crate::http::server::certificate;
use crate::net::interfaces;
use authority::{Authority, Pair, outdated};
use error::Error;
use facts::Facts;
use names::Names;
use serde_json::{Value, json};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use store::{Kind, Store};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ALL_VERSIONS, ServerConfig};

/// First byte of every TLS handshake (RFC 8446 section 5.1, content type), and of no HTTP request.
pub const HANDSHAKE: u8 = 0x16;
/// Files and addresses are looked at so often at most.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Bytes that one connection keeps for a client that does not read; a response comes in smaller pieces.
const WRITE_BUFFER: usize = 16 * 1024;
/// Sessions that may be resumed without a new signature, some 300 bytes each.
const RESUMABLE: usize = 64;
/// Directory of the authority's files, inside the state directory or beside the configuration file.
const DIRECTORY: &str = "porthole-tls";

/// A connection after its handshake.
pub type Stream = tokio_rustls::server::TlsStream<TcpStream>;

/// What a connection with TLS stands on.
pub fn tcp(stream: &Stream) -> &TcpStream {
    stream.get_ref().0
}

/// The certificate that is shown, and where it comes from.
pub struct Tls {
    origin: Origin,
    shown: Arc<Shown>,
    /// Made at the first handshake.
    server: OnceLock<Arc<ServerConfig>>,
    looked: Mutex<Instant>,
    seen: Mutex<Seen>,
    ports: OnceLock<(u16, Option<u16>)>,
}

/// Where the certificate comes from.
enum Origin {
    Given {
        certificate: Given,
        key: Given,
    },
    /// `None`: there is no place to keep one.
    Made {
        store: Option<Store>,
        machine: String,
        hosts: Vec<String>,
    },
}

/// What the last look found.
#[derive(Default)]
struct Seen {
    error: Option<String>,
    certificate: Option<Facts>,
    root: Option<Root>,
    /// Names that the authority may not vouch for.
    left_out: Vec<String>,
    stamps: Option<[Stamp; 2]>,
}

/// What a look came to.
enum Looked {
    /// Nothing to be looked at has changed, nor what was wrong with it.
    Same,
    /// The certificate is the right one.
    Anew,
}

/// The authority as devices are shown it.
#[derive(Clone)]
struct Root {
    pem: String,
    facts: Facts,
    fingerprint: String,
}

/// Tells one version of a file from another: device, inode, size, time of change in s and ns. `None`: no file.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// The certificate of new connections.
#[derive(Debug, Default)]
struct Shown(RwLock<Option<Arc<CertifiedKey>>>);

impl Shown {
    fn set(&self, key: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(key));
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Tls {
    /// `None`: nothing in the configuration asks for it. A certificate that can't be had is an error in the log and in
    /// the status, and looked for again when somebody comes.
    /// `machine` is this machine's name; `place`, where an authority may be kept, with its directory.
    pub fn new(api: &config::Api, machine: &str, place: Option<PathBuf>) -> Option<Arc<Self>> {
        let origin = match api.tls {
            _ if !api.tls_cert.is_empty() || !api.tls_key.is_empty() => {
                Origin::Given { certificate: api.tls_cert.clone(), key: api.tls_key.clone() }
            }
            TlsMode::Auto => Origin::Made {
                store: place.map(|place| Store { directory: place.join(DIRECTORY) }),
                machine: machine.to_owned(),
                hosts: api.hosts.clone(),
            },
            TlsMode::Off => return None,
        };
        let tls = Arc::new(Self {
            origin,
            shown: Arc::default(),
            server: OnceLock::new(),
            looked: Mutex::new(Instant::now()),
            seen: Mutex::default(),
            ports: OnceLock::new(),
        });
        tls.look();
        Some(tls)
    }

    /// The port that links of pages shall name, and the one at which the same host answers HTTP.
    pub fn set_ports(&self, https: u16, http: Option<u16>) {
        let _ = self.ports.set((https, http));
    }

    /// The handshake of a new connection. The caller bounds its time.
    pub async fn accept(self: &Arc<Self>, stream: TcpStream) -> io::Result<Stream> {
        if self.is_due() {
            let tls = self.clone();
            // A look that panics leaves the certificate as it was.
            let _ = tokio::task::spawn_blocking(move || tls.look()).await;
        }
        let acceptor = TlsAcceptor::from(self.server.get_or_init(|| server(self.shown.clone())).clone());
        acceptor.accept_with(stream, |connection| connection.set_buffer_limit(Some(WRITE_BUFFER))).await
    }

    /// For `/api/status`. Times are in seconds since 1970.
    pub fn status(&self) -> Value {
        let seen = self.seen();
        let names = |facts: &Facts| -> Vec<String> {
            facts.names.dns.iter().cloned().chain(facts.names.ips.iter().map(ToString::to_string)).collect()
        };
        json!({
            "port": self.ports.get().map(|(https, _)| *https),
            "http_port": self.ports.get().and_then(|(_, http)| *http),
            "error": seen.error,
            "names": seen.certificate.as_ref().map(names),
            "not_before": seen.certificate.as_ref().map(|facts| facts.not_before),
            "not_after": seen.certificate.as_ref().map(|facts| facts.not_after),
            "left_out": seen.left_out,
            "authority": seen.root.as_ref().map(|root| json!({
                "name": root.facts.subject,
                "fingerprint": root.fingerprint,
                "not_after": root.facts.not_after,
                "servers_only": root.facts.servers_only,
            })),
        })
    }

    /// Why there is no certificate, or no new one.
    pub fn error(&self) -> Option<String> {
        self.seen().error.clone()
    }

    /// The certificate that devices have to trust, PEM; `None` where the operator brought one of another authority.
    pub fn root(&self) -> Option<String> {
        self.seen().root.as_ref().map(|root| root.pem.clone())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One caller is told to look, the others go on meanwhile.
    fn is_due(&self) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let due = looked.elapsed() >= LOOK_EVERY;
        if due {
            *looked = Instant::now();
        }
        due
    }

    /// Looks whether the certificate is still the right one, and replaces it if not. May wait for the disk.
    fn look(&self) {
        let mut seen = self.seen();
        let result = match &self.origin {
            Origin::Given { certificate, key } => self.look_given(&mut seen, certificate, key),
            Origin::Made { store: Some(store), machine, hosts } => {
                let wanted = Names::of(machine, hosts, &interfaces::list());
                self.look_made(&mut seen, store, machine, wanted, now())
            }
            Origin::Made { store: None, .. } => Err(Error::NoPlace),
        };
        let error = match result {
            Ok(Looked::Same) => return,
            Ok(Looked::Anew) => None,
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = &error
            && seen.error != Some(error.clone())
        {
            match seen.certificate {
                Some(_) => log::warn!(target: "api", "the certificate stays as it was: {error}"),
                None => log::error!(target: "api", "no HTTPS: {error}"),
            }
        }
        seen.error = error;
    }

    fn look_given(&self, seen: &mut Seen, certificate: &Given, key: &Given) -> Result<Looked, Error> {
        let stamps = [certificate, key].map(|given| given.path().and_then(stamp));
        if seen.stamps == Some(stamps) {
            return Ok(Looked::Same);
        }
        let reloaded = seen.stamps.replace(stamps).is_some();
        let pair = certificate::read(certificate, key, &certificate::file).map_err(Error::Given)?;
        let facts = Facts::read(&pair.cert[0]).unwrap_or_default();
        if reloaded {
            log::info!(target: "api", "certificate read again subject={:?}", facts.subject);
        }
        if facts.not_after < now() {
            log::warn!(target: "api", "the certificate of api.tls_cert has run out, or the clock is ahead");
        }
        self.shown.set(pair);
        seen.certificate = Some(facts);
        Ok(Looked::Anew)
    }

    fn look_made(
        &self,
        seen: &mut Seen,
        store: &Store,
        machine: &str,
        wanted: Names,
        now: i64,
    ) -> Result<Looked, Error> {
        let root = match &seen.root {
            Some(root) => root.clone(),
            None => {
                let root = open(store, machine, &wanted, now)?;
                log::info!(
                    target: "api",
                    "https authority={:?} directory={} fingerprint={}",
                    root.facts.subject, store.directory.display(), root.fingerprint
                );
                if !root.facts.servers_only {
                    // Devices trust it, and a new one would have to be taken to each of them: the operator decides.
                    log::warn!(
                        target: "api",
                        "the authority may vouch for more than servers, since an older version made it; for a new one, \
                         which devices have to trust anew, remove {} and restart",
                        store.directory.display()
                    );
                }
                if let Some((key, facts)) = store.read(Kind::Server)?.and_then(load) {
                    self.shown.set(key);
                    seen.certificate = Some(facts);
                }
                seen.root.insert(root).clone()
            }
        };
        let (names, left_out) = match &root.facts.permitted {
            Some(permitted) => permitted.split(wanted),
            None => (wanted, Vec::new()),
        };
        if seen.left_out != left_out {
            if !left_out.is_empty() {
                log::warn!(
                    target: "api",
                    "the certificate leaves out {}: not local, and not known when the authority was made; for a new \
                     one, which devices have to trust anew, remove {} and restart",
                    left_out.join(", "), store.directory.display()
                );
            }
            seen.left_out = left_out;
        }
        let reason = match &seen.certificate {
            Some(facts) => outdated(&root.facts, facts, &names, now),
            None => Some("there was none"),
        };
        let Some(reason) = reason else { return Ok(Looked::Anew) };
        let pair = store.read(Kind::Authority)?;
        let pair = pair.ok_or_else(|| Error::Gone(store.directory.clone()))?;
        let pair = authority(store, &pair)?.issue(&names, now).map_err(Error::Issue)?;
        let written = store.write(Kind::Server, &pair);
        let (key, facts) = load(pair).ok_or(Error::Issued)?;
        log::info!(target: "api", "certificate made, {reason} names={} addresses={}", facts.names.dns.len(), facts.names.ips.len());
        self.shown.set(key);
        seen.certificate = Some(facts);
        written.map(|()| Looked::Anew)
    }
}

/// Reads the authority, or makes it at the first start.
fn open(store: &Store, machine: &str, names: &Names, now: i64) -> Result<Root, Error> {
    let pair = match store.read(Kind::Authority)? {
        Some(pair) => pair,
        None => {
            let pair = Authority::make(machine, names, now).map_err(Error::Make)?;
            store.write(Kind::Authority, &pair)?;
            pair
        }
    };
    let facts = authority(store, &pair)?.facts;
    let fingerprint = fingerprint(pair.certificate.as_bytes());
    Ok(Root { pem: pair.certificate, facts, fingerprint })
}

fn authority(store: &Store, pair: &Pair) -> Result<Authority, Error> {
    Authority::read(pair).map_err(|part| Error::Damaged(part, store.directory.clone()))
}

/// A certificate as the store had it; `None` if it is damaged, or not of its key.
fn load(pair: Pair) -> Option<(CertifiedKey, Facts)> {
    let key = certificate::read(&Given(pair.certificate), &Given(pair.key), &certificate::file).ok()?;
    let facts = Facts::read(key.cert.first()?)?;
    Some((key, facts))
}

#[expect(clippy::expect_used, reason = "ring has suites of TLS 1.2 and 1.3, there is nothing to fail")]
fn server(shown: Arc<Shown>) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(ALL_VERSIONS).expect("ring knows suites of TLS 1.2 and 1.3");
    let mut config = builder.with_no_client_auth().with_cert_resolver(shown);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = ServerSessionMemoryCache::new(RESUMABLE);
    Arc::new(config)
}

fn stamp(path: &Path) -> Stamp {
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// SHA-256 of the certificate, as devices show it: `AB:CD:…`.
fn fingerprint(pem: &[u8]) -> String {
    let suite = ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let (Ok(der), Some(suite)) = (CertificateDer::from_pem_slice(pem), suite.tls13()) else { return String::new() };
    let hash = suite.common.hash_provider.hash(&der);
    hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}
