//! Long-term credentials towards one server (RFC 8489 section 9.2): what its challenge taught, and the signatures.
use crate::gather::ice_servers::Login;
use crate::gather::stun::{Message, Writer, attribute};
use crate::rtc::digest::Digest;

/// Longest realm and nonce that a server may send (RFC 8489 sections 14.9 and 14.10: fewer than 128 characters, 763 bytes).
const MAX_TEXT: usize = 763;

/// What the server asked for in its 401.
struct Challenge {
    realm: String,
    nonce: String,
    key: Vec<u8>,
}

pub struct Signer {
    login: Login,
    digest: Digest,
    challenge: Option<Challenge>,
}

impl Signer {
    pub fn new(login: Login, digest: Digest) -> Self {
        Self { login, digest, challenge: None }
    }

    pub fn is_challenged(&self) -> bool {
        self.challenge.is_some()
    }

    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Takes realm and nonce of a 401, or the new nonce of a 438. False: there is none to be used.
    pub fn learn(&mut self, message: &Message<'_>) -> bool {
        let text = |attribute| message.text(attribute).filter(|text| !text.is_empty() && text.len() <= MAX_TEXT);
        let Some(nonce) = text(attribute::NONCE) else { return false };
        // The realm stays the one that was asked for first: a server that changes it does not know our key.
        if let Some(challenge) = &mut self.challenge {
            challenge.nonce = nonce.to_owned();
            return true;
        }
        let Some(realm) = text(attribute::REALM) else { return false };
        let Some(key) = self.digest.long_term_key(&self.login.username, realm, &self.login.credential) else {
            return false;
        };
        self.challenge = Some(Challenge { realm: realm.to_owned(), nonce: nonce.to_owned(), key });
        true
    }

    /// Ends a request: signed once the server asked for it.
    pub fn sign(&self, request: Writer) -> Option<Vec<u8>> {
        let Some(challenge) = &self.challenge else { return Some(request.finish()) };
        request
            .with(attribute::USERNAME, self.login.username.as_bytes())
            .with(attribute::REALM, challenge.realm.as_bytes())
            .with(attribute::NONCE, challenge.nonce.as_bytes())
            .signed(&self.digest, &challenge.key)
    }

    /// Whoever answers a signed request has to know the key too.
    pub fn is_authentic(&self, message: &Message<'_>) -> bool {
        self.challenge.as_ref().is_none_or(|challenge| message.is_signed(&self.digest, &challenge.key))
    }
}
