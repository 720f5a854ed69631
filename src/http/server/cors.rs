//! The response fields by which a browser lets an allowed page of another origin see the answer (Fetch standard,
//! "HTTP-network-or-cache"; Private Network Access).
use super::head::Head;

/// Creating and ending sessions, looking at streams. `PUT` is missing: only own pages may change streams.
const METHODS: &str = "GET, HEAD, POST, PATCH, DELETE, OPTIONS";
const REQUEST_FIELDS: &str = "Authorization, Content-Type, If-Match";
/// What WHIP and WHEP clients read from answers.
const EXPOSED_FIELDS: &str = "ETag, ID, Accept-Patch, Link, Location";
/// A browser may remember the answer to its preflight for so many seconds.
const MAX_AGE: &str = "600";

/// Fields for one response. The origin has been checked; without one only the cache hint is left.
pub fn fields(head: &Head) -> Vec<(&'static str, &str)> {
    let mut fields = vec![("Vary", "Origin")];
    let Some(origin) = head.origin.as_deref() else { return fields };
    fields.push(("Access-Control-Allow-Origin", origin));
    fields.push(("Access-Control-Expose-Headers", EXPOSED_FIELDS));
    if head.preflight {
        fields.push(("Access-Control-Allow-Methods", METHODS));
        fields.push(("Access-Control-Allow-Headers", REQUEST_FIELDS));
        fields.push(("Access-Control-Max-Age", MAX_AGE));
        if head.private_network {
            fields.push(("Access-Control-Allow-Private-Network", "true"));
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::server::head::parse;

    fn answer(request: &str) -> Vec<(&'static str, String)> {
        let (head, _) = parse(request.as_bytes()).unwrap().unwrap();
        fields(&head).into_iter().map(|(name, value)| (name, value.to_owned())).collect()
    }

    #[test]
    fn a_preflight_names_the_origin_and_never_a_star() {
        let fields = answer(
            "OPTIONS /cam/whep HTTP/1.1\r\nHost: p:1984\r\nOrigin: http://p\r\nAccess-Control-Request-Method: PATCH\r\n\
             Access-Control-Request-Private-Network: true\r\n\r\n",
        );
        let value = |name: &str| fields.iter().find(|(have, _)| *have == name).map(|(_, value)| value.as_str());
        assert_eq!(value("Access-Control-Allow-Origin"), Some("http://p"));
        assert!(value("Access-Control-Allow-Methods").unwrap().contains("PATCH"));
        assert_eq!(value("Access-Control-Allow-Private-Network"), Some("true"));
        assert_eq!(value("Vary"), Some("Origin"));
    }

    #[test]
    fn requests_without_origin_get_only_the_cache_hint() {
        assert_eq!(answer("GET / HTTP/1.1\r\nHost: p\r\n\r\n"), [("Vary", "Origin".to_string())]);
    }
}
