//! The one table from kinds of failure to HTTP statuses.
use crate::http::server::response::Response;
use crate::stream::relay::{Error, ErrorKind};

/// Which contract the caller relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// go2rtc's API: whatever goes wrong behind a well-formed request is 500.
    Compat,
    /// WHIP and WHEP (RFC 9725): the status tells whose fault it was.
    Strict,
}

fn status(kind: ErrorKind, door: Door) -> u16 {
    match (kind, door) {
        (ErrorKind::NotFound, _) => 404,
        (ErrorKind::BadRequest, _) => 400,
        (ErrorKind::CodecMismatch, Door::Compat) => 500,
        (ErrorKind::CodecMismatch, Door::Strict) => 406,
        (ErrorKind::SourceFailed, Door::Compat) => 500,
        (ErrorKind::SourceFailed, Door::Strict) => 502,
        (ErrorKind::Conflict, _) => 409,
        (ErrorKind::Forbidden, _) => 403,
        (ErrorKind::Unprocessable, _) => 422,
        (ErrorKind::PreconditionFailed, _) => 412,
        (ErrorKind::Full, _) => 503,
        (ErrorKind::Internal, Door::Compat) => 500,
        (ErrorKind::Internal, Door::Strict) => 503,
    }
}

/// The failure as its caller sees it.
pub fn response(error: &Error, door: Door) -> Response {
    let status = status(error.kind, door);
    let response = Response::text(status, error.message.as_str());
    if status == 503 { response.retry_later() } else { response }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_relay_says_when_to_come_back() {
        let full = Error::new(ErrorKind::Full, "50 sessions are in use");
        assert!(response(&full, Door::Compat).field("Retry-After").is_some());
    }

    #[test]
    fn a_codec_mismatch_is_500_for_old_clients_and_406_for_whep() {
        assert_eq!(
            (status(ErrorKind::CodecMismatch, Door::Compat), status(ErrorKind::CodecMismatch, Door::Strict)),
            (500, 406)
        );
    }
}
