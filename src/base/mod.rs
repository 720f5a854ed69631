//! The ground: small things that know nothing else of the program and that any other part may use.
pub mod host;
pub mod link;
pub mod pace;
pub mod percent;
pub mod places;
pub mod protocol;
pub mod source_error;
pub mod sparing;
