//! WHIP and WHEP as OBS, Mainsail and browsers speak them.
use super::*;

const SDP: &str = "Content-Type: application/sdp\r\n";
const FRAGMENT: &str = "Content-Type: application/trickle-ice-sdpfrag\r\n";

#[tokio::test]
async fn a_viewer_creates_feeds_and_ends_its_session() {
    let world = world().await;
    let answer = world.ask("POST /front%20door/whep", SDP, "v=0").await;
    assert_eq!((status(&answer), field(&answer, "Content-Type")), (201, Some("application/sdp")));
    let location = field(&answer, "Location").unwrap().to_owned();
    assert_eq!(location, format!("/front%20door/whep/{ID}"));
    assert_eq!(field(&answer, "ETag"), Some("\"one\""));
    assert_eq!(field(&answer, "Accept-Patch"), Some("application/trickle-ice-sdpfrag"));
    assert_eq!(world.asked(), ["offer front door View webrtc/whep v=0"]);

    let fragment = "a=ice-ufrag:user\r\na=ice-pwd:0123456789abcdefghijkl\r\nm=video 9 X 0\r\na=mid:0\r\na=candidate:1 1 udp 1 10.0.0.2 9 typ host\r\n";
    let patched = world.ask(&format!("PATCH {location}"), &format!("{FRAGMENT}If-Match: *\r\n"), fragment).await;
    assert_eq!((status(&patched), body(&patched), field(&patched, "ETag")), (204, "", None));
    assert_eq!(field(&patched, "Content-Length"), None);
    assert_eq!(status(&world.ask(&format!("GET {location}"), "", "").await), 204);
    let deleted = world.ask(&format!("DELETE {location}"), "If-Match: \"stale\"\r\n", "").await;
    assert_eq!(status(&deleted), 200);
    assert_eq!(world.asked()[1..], ["trickle 1".to_string(), format!("close {ID}")]);
}

#[tokio::test]
async fn below_a_folder_everything_is_as_at_the_root() {
    let api = Api { base_path: "/web/cam".into(), ..Api::default() };
    let world = world_with(Limits::default(), api, Services::default()).await;
    for prefix in ["/web/cam", ""] {
        let answer = world.ask(&format!("POST {prefix}/cam/whep"), SDP, "v=0").await;
        assert_eq!(field(&answer, "Location"), Some(format!("/web/cam/cam/whep/{ID}").as_str()));
        assert_eq!(status(&world.ask(&format!("DELETE {prefix}/cam/whep/{ID}"), "", "").await), 200);
        assert_eq!(status(&world.ask(&format!("GET {prefix}/api/streams?src=cam"), "", "").await), 200);
        assert_eq!(status(&world.ask(&format!("GET {prefix}/stream.html"), "", "").await), 200);
        assert_eq!(status(&world.ask(&format!("GET {prefix}/api/ws"), "", "").await), 426);
    }
    let answer = world.ask("GET /web/cam?a=b", "", "").await;
    assert_eq!((status(&answer), field(&answer, "Location")), (307, Some("/web/cam/?a=b")));
    let foreign = format!("Origin: http://{}\r\n", world.address.ip());
    assert_eq!(status(&world.ask("DELETE /web/cam/api/streams?src=cam", &foreign, "").await), 403);
}

#[tokio::test]
async fn a_publisher_is_told_apart_from_a_viewer() {
    let world = world().await;
    assert_eq!(status(&world.ask("POST /cam/whip", SDP, "v=0").await), 201);
    assert_eq!(world.asked(), ["offer cam Publish webrtc/whip v=0"]);
}

#[tokio::test]
async fn every_wrong_use_has_its_status() {
    let world = world().await;
    let session = format!("/cam/whep/{ID}");
    let cases = [
        ("POST /cam/whep".to_string(), "Content-Type: text/plain\r\n", "v=0", 415),
        ("POST /cam/whep".into(), "", "v=0", 415),
        ("POST /cam/whep".into(), SDP, "", 400),
        ("POST /cam/whep".into(), SDP, "nonsense", 400),
        ("POST /none/whep".into(), SDP, "v=0", 404),
        ("POST /hevc/whep".into(), SDP, "v=0", 406),
        ("GET /cam/whep".into(), "", "", 204),
        ("HEAD /cam/whep".into(), "", "", 204),
        ("OPTIONS /cam/whep".into(), "", "", 204),
        ("PUT /cam/whep".into(), "", "", 405),
        ("DELETE /cam/whep".into(), "", "", 405),
        (format!("PATCH {session}"), "Content-Type: application/sdp\r\n", "", 415),
        (format!("PATCH {session}"), FRAGMENT, "a=ice-ufrag:only\r\n", 400),
        (
            format!("PATCH {session}"),
            "If-Match: \"stale\"\r\nContent-Type: application/trickle-ice-sdpfrag\r\n",
            "",
            412,
        ),
        ("PATCH /cam/whep/unknown".into(), FRAGMENT, "", 404),
        ("DELETE /cam/whep/unknown".into(), "", "", 404),
        ("GET /cam/whep/unknown".into(), "", "", 404),
        (format!("OPTIONS {session}"), "", "", 204),
        (format!("PUT {session}"), "", "", 405),
        (format!("POST {session}"), "", "", 405),
    ];
    for (line, fields, sent, expected) in cases {
        let answer = world.ask(&line, fields, sent).await;
        assert_eq!(status(&answer), expected, "{line} {fields}");
        assert_eq!(field(&answer, "Allow").is_some(), expected == 405 || line.starts_with("OPTIONS"), "{line}");
    }
    let options = world.ask("OPTIONS /cam/whep", "", "").await;
    assert_eq!(field(&options, "Accept-Post"), Some("application/sdp"));
}

#[tokio::test]
async fn an_ice_restart_brings_new_credentials_and_a_new_tag() {
    let world = world().await;
    let answer = world
        .ask(&format!("PATCH /cam/whep/{ID}"), FRAGMENT, "a=ice-ufrag:newer\r\na=ice-pwd:0123456789abcdefghijkl\r\n")
        .await;
    assert_eq!((status(&answer), field(&answer, "ETag")), (200, Some("\"two\"")));
    assert_eq!(field(&answer, "Content-Type"), Some("application/trickle-ice-sdpfrag"));
    assert_eq!(body(&answer), "a=ice-ufrag:x\r\n");
}

#[tokio::test]
async fn mainsail_on_port_80_may_use_whep_on_1984() {
    let world = world().await;
    let host = world.address.ip();
    let origin = format!("Origin: http://{host}\r\n");
    let asks =
        format!("{origin}Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n");
    let preflight = world.ask("OPTIONS /cam/whep", &asks, "").await;
    assert_eq!(status(&preflight), 204);
    assert_eq!(field(&preflight, "Access-Control-Allow-Origin"), Some(format!("http://{host}").as_str()));
    assert!(field(&preflight, "Access-Control-Allow-Methods").unwrap().contains("PATCH"));
    assert!(field(&preflight, "Access-Control-Allow-Headers").unwrap().contains("If-Match"));
    let answer = world.ask("POST /cam/whep", &format!("{origin}{SDP}"), "v=0").await;
    assert_eq!(status(&answer), 201);
    assert_eq!(field(&answer, "Access-Control-Expose-Headers"), Some("ETag, ID, Accept-Patch, Link, Location"));
    assert_eq!(field(&answer, "Vary"), Some("Origin"));
}

#[tokio::test]
async fn a_foreign_page_gets_nothing_but_the_reason() {
    let world = world().await;
    for origin in ["http://evil.example", "null"] {
        let answer = world.ask("POST /cam/whep", &format!("Origin: {origin}\r\n{SDP}"), "v=0").await;
        assert_eq!(status(&answer), 403);
        assert_eq!(field(&answer, "Access-Control-Allow-Origin"), None);
        assert!(body(&answer).contains(origin), "{answer}");
    }
    assert!(world.asked().is_empty());
}
