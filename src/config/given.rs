//! What an operator gives in a file of its own or in the settings themselves.
use std::fmt;
use std::path::Path;

/// What every PEM section begins with.
const PEM: &str = "-----BEGIN ";

/// `api.tls_cert` or `api.tls_key`: the path of a PEM file, or the PEM text itself.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Given(pub String);

impl Given {
    pub fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }

    /// The file to read, if this is not the text itself.
    pub fn path(&self) -> Option<&Path> {
        (!self.is_empty() && !self.0.contains(PEM)).then(|| Path::new(self.0.trim()))
    }
}

/// Leaves a key out, because `{:?}` ends up in logs.
impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path() {
            Some(path) => write!(f, "{path:?}"),
            None => f.write_str(if self.is_empty() { "none" } else { "PEM" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_out_of_debug_output() {
        let key = Given(format!("{PEM}PRIVATE KEY-----\nc2VjcmV0\n"));
        assert_eq!(format!("{key:?} {:?} {:?}", Given("a.key".into()), Given::default()), "PEM \"a.key\" none");
    }
}
