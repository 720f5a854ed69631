//! What there is to say about a setting.

/// Something about a key that the operator should know.
#[derive(Debug, PartialEq)]
pub struct Finding {
    /// The keys from the root to it; elements of lists by their number.
    pub path: Vec<String>,
    pub message: String,
}

impl Finding {
    /// `path`: as in [`Finding::path`].
    pub fn new(path: &[&str], message: impl Into<String>) -> Self {
        Self { path: path.iter().map(|step| (*step).to_owned()).collect(), message: message.into() }
    }
}

/// How sure it is that something won't work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something is not used, or only at another time or place; the rest works.
    Warning,
    /// What was asked for can't be had anywhere. Files that go2rtc takes and that work here must not come to this.
    Error,
}
