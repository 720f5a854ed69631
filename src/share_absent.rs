//! Stands in for share links in builds without the feature `shares`: there are none.
use crate::config::{Config, Finding, Severity};
use crate::driver::handle::EngineHandle;
use std::sync::Arc;

/// Never made.
pub enum Book {}

impl Book {
    pub fn new(_: &Config, _: EngineHandle) -> Option<Arc<Self>> {
        None
    }

    pub fn attend(self: &Arc<Self>) {
        match **self {}
    }

    pub fn csp_sources(&self) -> Vec<String> {
        match *self {}
    }
}

/// Settings that nothing here could follow.
pub fn findings(config: &Config) -> Vec<(Severity, Finding)> {
    let wrong = "share links are not in this build, it was made without the cargo feature shares";
    config.webtorrent.iter().map(|_| (Severity::Error, Finding::new(&["webtorrent"], wrong))).collect()
}
