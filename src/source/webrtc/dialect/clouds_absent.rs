//! Stands in for the clouds in builds without the feature `clouds`: there is none, and who asks for one is told why.
use super::{Dialect, Target};

/// Never made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {}

impl Cloud {
    /// # Errors
    /// If it is one of those that the full build has.
    pub fn of(name: &str) -> Result<Option<Self>, String> {
        match name {
            "kinesis" | "switchbot" | "wyze" | "milestone" => {
                Err(format!("this build does not speak #format={name}, it was made without the cargo feature clouds"))
            }
            _ => Ok(None),
        }
    }

    pub fn name(self) -> &'static str {
        match self {}
    }

    pub fn is_websocket(self) -> bool {
        match self {}
    }

    pub fn has_websocket_url(self) -> bool {
        match self {}
    }

    pub fn dialect(self, _: &Target) -> Box<dyn Dialect> {
        match self {}
    }
}
