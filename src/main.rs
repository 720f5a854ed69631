//! `porthole`: arguments to command to exit code.
mod config;
mod media;
mod source;
mod stream;

fn main() {}
