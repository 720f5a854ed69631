//! The one table from kinds of failure to HTTP statuses.
use crate::engine::api::{Error, ErrorKind};
use crate::http::server::Response;

/// Which statuses the caller relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contract {
    /// go2rtc's API: whatever goes wrong behind a well-formed request is 500.
    Go2rtc,
    /// WHIP and WHEP (RFC 9725): the status tells whose fault it was.
    Whip,
}

fn status(kind: ErrorKind, contract: Contract) -> u16 {
    match (kind, contract) {
        (ErrorKind::NotFound, _) => 404,
        (ErrorKind::BadRequest, _) => 400,
        (ErrorKind::CodecMismatch, Contract::Go2rtc) => 500,
        (ErrorKind::CodecMismatch, Contract::Whip) => 406,
        (ErrorKind::SourceFailed, Contract::Go2rtc) => 500,
        (ErrorKind::SourceFailed, Contract::Whip) => 502,
        (ErrorKind::Conflict, _) => 409,
        (ErrorKind::Forbidden, _) => 403,
        (ErrorKind::Unprocessable, _) => 422,
        (ErrorKind::PreconditionFailed, _) => 412,
        (ErrorKind::Full, _) => 503,
        (ErrorKind::Internal, Contract::Go2rtc) => 500,
        (ErrorKind::Internal, Contract::Whip) => 503,
    }
}

/// The failure as its caller sees it.
pub fn response(error: &Error, contract: Contract) -> Response {
    let status = status(error.kind, contract);
    let response = Response::text(status, error.message.as_str());
    if status == 503 { response.retry_later() } else { response }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_relay_says_when_to_come_back() {
        let full = Error::new(ErrorKind::Full, "50 sessions are in use");
        assert!(response(&full, Contract::Go2rtc).field("Retry-After").is_some());
    }

    #[test]
    fn a_codec_mismatch_is_500_for_old_clients_and_406_for_whep() {
        assert_eq!(
            (status(ErrorKind::CodecMismatch, Contract::Go2rtc), status(ErrorKind::CodecMismatch, Contract::Whip)),
            (500, 406)
        );
    }
}
