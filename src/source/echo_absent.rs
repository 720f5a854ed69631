//! Stands in for `echo:` in builds without the feature `clouds`, whose signed addresses it is for.
use super::{Sink, Surroundings};
use crate::engine::source::{SourceError, SourceErrorKind, SourceRequest};
use tokio::sync::mpsc;

const ABSENT: &str = "this build runs no programs for echo:, it was made without the cargo feature clouds";

/// # Errors
/// Always.
pub fn words(_: &str) -> Result<Vec<String>, String> {
    Err(ABSENT.into())
}

pub async fn run(_: Vec<String>, _: Surroundings, _: Sink, _: mpsc::Receiver<SourceRequest>) -> SourceError {
    SourceError::new(SourceErrorKind::Unsupported, ABSENT)
}
