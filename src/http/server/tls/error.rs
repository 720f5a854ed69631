//! Why there is no certificate, or no new one.
use super::authority::Part;
use crate::http::server::certificate;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// What went wrong, and with which file or directory.
#[derive(Debug)]
pub enum Error {
    /// What the operator gave.
    Given(certificate::Wrong),
    /// There is no directory to keep an authority in.
    NoPlace,
    /// A directory that can't be made.
    Directory(PathBuf, io::Error),
    /// A file that can't be written.
    Write(PathBuf, io::Error),
    /// A file that can't be read.
    Read(PathBuf, io::Error),
    /// An authority whose files are not there any more.
    Gone(PathBuf),
    /// An authority with a part that can't be used.
    Damaged(Part, PathBuf),
    /// No authority could be made.
    Make(rcgen::Error),
    /// The authority made no certificate.
    Issue(rcgen::Error),
    /// The authority made a certificate that can't be used.
    Issued,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(wrong) => wrong.fmt(f),
            Self::NoPlace => f.write_str(
                "api.tls: auto needs a place to keep its certificates: name a configuration file with -c, or a \
                 directory in the environment variable STATE_DIRECTORY",
            ),
            Self::Directory(path, error) => write!(f, "{} can't be made: {error}", path.display()),
            Self::Write(path, error) => write!(f, "{} can't be written: {error}", path.display()),
            Self::Read(path, error) => write!(f, "{} can't be read: {error}", path.display()),
            Self::Gone(directory) => write!(f, "the authority's files in {} are gone", directory.display()),
            Self::Damaged(part, directory) => {
                let directory = directory.display();
                write!(
                    f,
                    "the authority's {part} in {directory} is damaged; remove the directory to have a new authority made"
                )
            }
            Self::Make(error) => write!(f, "no authority: {error}"),
            Self::Issue(error) => write!(f, "no new certificate: {error}"),
            Self::Issued => f.write_str("no new certificate: it can't be read"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Directory(_, error) | Self::Write(_, error) | Self::Read(_, error) => Some(error),
            Self::Make(error) | Self::Issue(error) => Some(error),
            Self::Given(_) | Self::NoPlace | Self::Gone(_) | Self::Damaged(..) | Self::Issued => None,
        }
    }
}
