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

/// Findings that are told of one text: the place of each is looked for from the beginning, and a file of something else may
/// have thousands.
const MAX_FINDINGS: usize = 64;

/// Leaves out what nobody would read, and says so.
pub fn left_out<T>(findings: &mut Vec<T>) -> Option<String> {
    let further = findings.len().checked_sub(MAX_FINDINGS).filter(|further| *further > 0)?;
    findings.truncate(MAX_FINDINGS);
    Some(format!("{further} more of the kind are left out here"))
}

/// How sure it is that something won't work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something is not used, or only at another time or place; the rest works.
    Warning,
    /// What was asked for can't be had anywhere. Files that go2rtc takes and that work here must not come to this.
    Error,
}
