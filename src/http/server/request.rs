//! A request as its handler sees it: already checked and complete.
use super::head::Head;
use super::percent::decode_form;
use std::net::{IpAddr, SocketAddr};
use tiny_http::Method;

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    /// Path as sent, still percent-encoded: `Location` repeats it.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub host: Option<String>,
    pub origin: Option<String>,
    /// Cut at `;`, trimmed, lower case; empty if absent.
    pub content_type: String,
    pub user_agent: String,
    pub if_match: Option<String>,
    pub if_none_match: Option<String>,
    pub fetch_site: Option<String>,
    /// `Accept-Encoding` names gzip and does not refuse it (RFC 9110 section 12.5.3).
    pub accepts_gzip: bool,
    pub peer: SocketAddr,
    pub body: Vec<u8>,
}

impl Request {
    /// From a head, whose fields stand once each, in visible ASCII.
    pub fn new(head: Head, peer: SocketAddr, body: Vec<u8>) -> Self {
        let mut path = head.target;
        let query = match path.split_once('?') {
            Some((before, query)) => {
                let (end, query) = (before.len(), decode_form(query));
                path.truncate(end);
                query
            }
            None => Vec::new(),
        };
        let mut request = Self {
            method: head.method,
            path,
            query,
            host: head.host,
            origin: head.origin,
            content_type: String::new(),
            user_agent: String::new(),
            if_match: None,
            if_none_match: None,
            fetch_site: None,
            accepts_gzip: false,
            peer,
            body,
        };
        for (name, value) in head.fields {
            match name {
                "content-type" => request.content_type = clean_content_type(&value),
                "user-agent" => request.user_agent = value,
                "if-match" => request.if_match = Some(value),
                "if-none-match" => request.if_none_match = Some(value),
                "sec-fetch-site" => request.fetch_site = Some(value),
                "accept-encoding" => request.accepts_gzip = accepts_gzip(&value),
                _ => {}
            }
        }
        request
    }

    /// One without fields, from a peer on the network.
    #[cfg(test)]
    pub fn plain(method: Method, target: &str) -> Self {
        let text = format!("{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n");
        let (head, _) = super::head::parse(text.as_bytes()).unwrap().unwrap();
        Self::new(head, ([10, 0, 0, 1], 1).into(), Vec::new())
    }

    /// First value of a query parameter.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// The parameter's first value if it is not empty.
    pub fn query_text(&self, name: &str) -> Option<&str> {
        self.query(name).filter(|value| !value.is_empty())
    }

    /// The address that the client called us by, where `Host` holds one and not a name.
    pub fn host_address(&self) -> Option<IpAddr> {
        let host = self.host.as_deref()?;
        match host.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?.0.parse().ok().map(IpAddr::V6),
            None => host.split(':').next()?.parse().ok().map(IpAddr::V4),
        }
    }

    /// All values of a query parameter.
    pub fn query_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

fn clean_content_type(value: &str) -> String {
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn accepts_gzip(value: &str) -> bool {
    let mut codings = value.split(',').map(|coding| coding.split_once(';').unwrap_or((coding, "")));
    codings.any(|(name, weight)| {
        let weight = weight.trim().strip_prefix("q=").map(str::parse::<f32>);
        name.trim().eq_ignore_ascii_case("gzip") && weight != Some(Ok(0.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        assert!(["gzip", "deflate, GZIP;q=0.5, br", "gzip, deflate, br, zstd"].into_iter().all(accepts_gzip));
        assert!(!["", "br", "gzip;q=0", "gzip; q=0.0", "identity, x-gzip"].into_iter().any(accepts_gzip));
    }

    #[test]
    fn the_content_type_is_compared_without_parameters() {
        assert_eq!(clean_content_type(" Application/SDP ; charset=utf-8"), "application/sdp");
        assert_eq!(clean_content_type(""), "");
    }

    #[test]
    fn the_address_in_the_host_field_is_taken_and_names_are_not() {
        let address = |host: &str| {
            let request = Request { host: Some(host.to_owned()), ..Request::plain(Method::Get, "/") };
            request.host_address().map(|ip| ip.to_string())
        };
        assert_eq!(address("192.168.1.2:1984").as_deref(), Some("192.168.1.2"));
        assert_eq!(address("[fd00::1]:1984").as_deref(), Some("fd00::1"));
        assert_eq!(address("10.0.0.1").as_deref(), Some("10.0.0.1"));
        assert_eq!(["relay.lan:1984", "", "::1", "[fd00::1", "10.0.0:1"].map(address), [const { None }; 5]);
    }

    #[test]
    fn query_parameters_may_repeat_or_be_empty() {
        let request = Request::plain(Method::Put, "/api/streams?src=a&src=b&video&name=");
        assert_eq!(request.query_all("src").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((request.query("video"), request.query_text("video")), (Some(""), None));
        assert_eq!(request.path, "/api/streams");
        assert_eq!(request.host.as_deref(), Some("x"));
    }
}
