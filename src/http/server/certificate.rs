//! A server's certificate and its key as the operator gives them, `api.tls_cert` and `api.tls_key`: the path of a PEM
//! file, or the PEM text itself.
use crate::config::Given;
use std::fmt;
use std::io;
#[cfg(feature = "tls")]
use std::io::Read;
use std::path::Path;
#[cfg(feature = "tls")]
use tokio_rustls::rustls::{
    Error, InconsistentKeys,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

/// What is wrong with every setting of HTTPS in a binary without the feature.
#[cfg(not(feature = "tls"))]
pub const WITHOUT_TLS: &str = "this build speaks no TLS, it was made without the cargo feature tls";
/// A chain of certificates has some KiB.
#[cfg(feature = "tls")]
const MAX_FILE: u64 = 256 * 1024;
/// Which of the two is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Certificate,
    Key,
}

impl Part {
    /// Its key in section `api`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Certificate => "tls_cert",
            Self::Key => "tls_key",
        }
    }
}

/// Why there is no certificate to show to clients.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    pub part: Part,
    pub message: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "api.{}: {}", self.part.key(), self.message)
    }
}

/// The text of one of the two settings.
fn text_of(given: &Given, read: &dyn Fn(&Path) -> io::Result<String>) -> Result<String, String> {
    if given.is_empty() {
        return Err("is not set, a certificate and its key go together".into());
    }
    match given.path() {
        Some(path) => read(path).map_err(|error| format!("{} can't be read: {error}", path.display())),
        None => Ok(given.0.clone()),
    }
}

/// The text of a file, up to [`MAX_FILE`].
#[cfg(feature = "tls")]
pub fn file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
}

/// There is nothing that could use them.
#[cfg(not(feature = "tls"))]
pub fn read(certificate: &Given, key: &Given, read: &dyn Fn(&Path) -> io::Result<String>) -> Result<(), Wrong> {
    for (part, given) in [(Part::Key, key), (Part::Certificate, certificate)] {
        text_of(given, read).map_err(|message| Wrong { part, message })?;
    }
    Err(Wrong { part: Part::Certificate, message: WITHOUT_TLS.into() })
}

/// Reads both and looks whether they belong together. `read` gives the text of a file.
#[cfg(feature = "tls")]
pub fn read(
    certificate: &Given,
    key: &Given,
    read: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<CertifiedKey, Wrong> {
    let wrong = |part, message: String| Wrong { part, message };
    let in_certificate = |message: &str| wrong(Part::Certificate, message.into());
    let in_key = |message: &str| wrong(Part::Key, message.into());
    let text = text_of(certificate, read).map_err(|message| wrong(Part::Certificate, message))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let chain = match chain {
        Ok(chain) if !chain.is_empty() => chain,
        Ok(_) => {
            return Err(in_certificate(
                "holds no certificate, expected PEM that begins with -----BEGIN CERTIFICATE-----",
            ));
        }
        Err(_) => return Err(in_certificate("holds broken PEM; was it cut off, or its lines joined?")),
    };
    let text = text_of(key, read).map_err(|message| wrong(Part::Key, message))?;
    if text.contains("ENCRYPTED") {
        return Err(in_key("is locked with a passphrase, expected a key without one"));
    }
    let Ok(key) = PrivateKeyDer::from_pem_slice(text.as_bytes()) else {
        return Err(in_key("holds no private key, expected PEM that begins with -----BEGIN PRIVATE KEY-----"));
    };
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            in_key("is the key of another certificate than the one in api.tls_cert")
        }
        Error::InvalidCertificate(_) => in_certificate("its first certificate is damaged"),
        _ => in_key("is of a kind that is not known here, expected ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits"),
    })
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;

    fn pair(name: &str) -> (Given, Given) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        (Given(made.cert.pem()), Given(made.signing_key.serialize_pem()))
    }

    fn fails(certificate: &Given, key: &Given) -> (Part, String) {
        let files = |path: &Path| match path.to_str() {
            Some("locked.key") => Ok("-----BEGIN ENCRYPTED PRIVATE KEY-----\nx\n".into()),
            Some("words") => Ok("hello".into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let wrong = read(certificate, key, &files).unwrap_err();
        (wrong.part, wrong.message)
    }

    #[test]
    fn text_and_files_are_taken() {
        let (certificate, key) = pair("a.lan");
        read(&certificate, &key, &|_| unreachable!()).unwrap();
        let both = format!("{}{}", certificate.0, key.0);
        read(&Given("both.pem".into()), &Given("both.pem".into()), &|_| Ok(both.clone())).unwrap();
    }

    #[test]
    fn what_is_wrong_is_said_of_the_part_that_it_is_wrong_with() {
        let (certificate, key) = pair("a.lan");
        let given = |text: &str| Given(text.into());
        for (certificate, key, part, word) in [
            (given("gone.crt"), key.clone(), Part::Certificate, "gone.crt can't be read"),
            (certificate.clone(), given("gone.key"), Part::Key, "gone.key can't be read"),
            (given(" "), key.clone(), Part::Certificate, "go together"),
            (certificate.clone(), given(""), Part::Key, "go together"),
            (given("words"), key.clone(), Part::Certificate, "holds no certificate"),
            (key.clone(), key.clone(), Part::Certificate, "holds no certificate"),
            (certificate.clone(), given("words"), Part::Key, "holds no private key"),
            (certificate.clone(), certificate.clone(), Part::Key, "holds no private key"),
            (certificate.clone(), given("locked.key"), Part::Key, "passphrase"),
            (certificate.clone(), pair("b.lan").1, Part::Key, "another certificate"),
            (Given(certificate.0[..200].into()), key.clone(), Part::Certificate, "broken PEM"),
        ] {
            let (found, message) = fails(&certificate, &key);
            assert!(found == part && message.contains(word), "{part:?} {word}: {found:?} {message}");
        }
    }
}
