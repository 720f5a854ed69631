//! Why a source gives no picture. What is done about it, and what the doctor advises, follows from the kind; the sentence
//! is for the operator.
use std::fmt;

/// What kind of failure ended a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SourceErrorKind {
    /// No source of this kind can be opened by this version.
    Unsupported,
    /// Another session has the only one that the camera serves.
    Busy,
    /// The camera wants a user name and password, or others than in the URL.
    Denied,
    /// Whatever else.
    #[default]
    Failed,
}

/// Why a source ended, or could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError {
    pub kind: SourceErrorKind,
    /// For the operator, without secrets of the URL.
    pub message: String,
}

impl SourceError {
    pub fn new(kind: SourceErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl From<String> for SourceError {
    fn from(message: String) -> Self {
        Self { kind: SourceErrorKind::Failed, message }
    }
}

impl From<&str> for SourceError {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SourceError {}
