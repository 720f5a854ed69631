//! What was read, piece by piece, for whoever checks it: each part of the program knows what its own settings mean.
use super::document::Document;
use super::finding::Finding;
use super::ice_list::Reading;
use super::parts::Root;
use super::values::Words;
use super::{Error, Stream};
use std::collections::BTreeMap;

/// One document as it was laid over those before it.
#[derive(Debug)]
pub struct Laid {
    document: Document,
    part: Root,
    /// Lines about its keys.
    pub warnings: Vec<String>,
}

impl Laid {
    pub(super) fn read(document: Document) -> Result<Self, Error> {
        let (part, warnings) = document.read()?;
        Ok(Self { document, part, warnings })
    }

    /// In place of a file that is not there.
    pub(super) fn missing(name: &str) -> Self {
        let warning = format!("{name}: no such file, it will be created when the API saves a stream");
        Self { document: Document::file(name, ""), part: Root::default(), warnings: vec![warning] }
    }

    /// Its settings, for the whole.
    pub(super) fn part(&self) -> Root {
        self.part.clone()
    }

    /// `api.origin`, with those that are refused.
    pub fn origins(&self) -> &[String] {
        let origins = self.part.api.as_ref().and_then(|api| api.origin.as_ref());
        origins.map_or(&[], |Words(origins)| origins)
    }

    /// `webrtc.ice_servers`, with what could not be read of it.
    pub fn ice_servers(&self) -> Option<&Reading> {
        self.part.webrtc.as_ref()?.ice_servers.as_ref()
    }

    /// `streams`.
    pub fn streams(&self) -> Option<&BTreeMap<String, Stream>> {
        self.part.streams.as_ref()
    }

    /// What was found in it, with its place.
    pub fn line(&self, finding: &Finding) -> String {
        self.document.line(finding)
    }
}

/// All of them, in order.
#[derive(Debug, Default)]
pub struct Documents(Vec<Laid>);

impl Documents {
    pub(super) fn push(&mut self, laid: Laid) {
        self.0.push(laid);
    }

    pub fn iter(&self) -> impl Iterator<Item = &Laid> {
        self.0.iter()
    }

    /// A finding about the whole, at the place where its key was set last.
    pub fn line(&self, finding: &Finding) -> String {
        let path: Vec<&str> = finding.path.iter().map(String::as_str).collect();
        for end in (1..=path.len()).rev() {
            if let Some(laid) = self.0.iter().rev().find(|laid| laid.document.has(&path[..end])) {
                return laid.line(finding);
            }
        }
        format!("{}: {}", finding.path.join("."), finding.message)
    }
}
