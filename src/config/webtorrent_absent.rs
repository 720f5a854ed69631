//! Stands in for the checks of share links in builds without the feature `shares`.
use super::Config;
use super::combinations::Severity;
use super::document::Finding;

pub(super) fn findings(config: &Config) -> Vec<(Severity, Finding)> {
    let wrong = "share links are not in this build, it was made without the cargo feature shares";
    config.webtorrent.iter().map(|_| (Severity::Error, Finding::new(&["webtorrent"], wrong.to_owned()))).collect()
}
