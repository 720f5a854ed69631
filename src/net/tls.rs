//! TLS towards others: clouds of cameras, signalling servers, TURN servers. A board has no store of certificates of
//! its own, so the roots of the web come with the binary; the file that `SSL_CERT_FILE` names is trusted beside them.
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use tokio::io::{AsyncRead, AsyncWrite};
pub use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_rustls::{TlsConnector, rustls};

/// Names the file of further certificates to trust, PEM, as OpenSSL reads it.
const FILE: &str = "SSL_CERT_FILE";

/// Whose certificates count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those that lead to a known root and name the host.
    Roots,
    /// Anybody's: the operator wrote `#insecure`.
    Anybody,
}

/// Speaks TLS over an open connection to `host`, a name or a literal address without brackets.
///
/// # Errors
/// If the other side does not speak TLS, or shows a certificate that does not count: the sentence says what to change.
pub async fn connect<S>(stream: S, host: &str, trust: Trust) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = match host.parse::<IpAddr>() {
        Ok(ip) => ServerName::from(ip),
        Err(_) => ServerName::try_from(host.to_owned())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("{host:?} is no host name")))?,
    };
    let connector = TlsConnector::from(config(trust));
    connector.connect(name, stream).await.map_err(explained)
}

/// The connection that TLS is spoken over.
pub fn inner<S>(stream: &TlsStream<S>) -> &S {
    stream.get_ref().0
}

/// The settings are made when TLS is needed for the first time: most relays never need it.
fn config(trust: Trust) -> Arc<ClientConfig> {
    static ROOTS: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    static ANYBODY: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let place = match trust {
        Trust::Roots => &ROOTS,
        Trust::Anybody => &ANYBODY,
    };
    place.get_or_init(|| Arc::new(build(trust))).clone()
}

#[expect(clippy::expect_used, reason = "ring has suites of TLS 1.2 and 1.3, there is nothing to fail")]
fn build(trust: Trust) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .expect("ring knows suites of TLS 1.2 and 1.3");
    let config = match trust {
        Trust::Roots => builder.with_root_certificates(roots()),
        Trust::Anybody => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))),
    };
    config.with_no_client_auth()
}

fn roots() -> RootCertStore {
    let mut store = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let Some(path) = std::env::var_os(FILE) else { return store };
    match CertificateDer::pem_file_iter(&path) {
        Ok(certificates) => {
            store.add_parsable_certificates(certificates.flatten());
        }
        Err(error) => {
            log::warn!(target: "net", "the certificates of {FILE} are not trusted path={path:?} error={error:?}");
        }
    }
    store
}

/// Says what the operator can do about a certificate that does not count.
fn explained(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let Some(Error::InvalidCertificate(reason)) = inner else { return error };
    let remedy = match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it ran out, or this machine's clock is ahead"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet: this machine's clock is probably behind"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it names another host: use the name that it was made for"
        }
        CertificateError::UnknownIssuer => {
            "nobody that this machine trusts made it: name its authority's file in SSL_CERT_FILE, or, if it is a camera's, add #insecure to the source"
        }
        _ => return error,
    };
    io::Error::new(error.kind(), format!("the server's certificate does not count: {remedy}"))
}

/// Takes every certificate, but still asks for the proof that the server owns its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
