"""What the HTTP doors answer, and what they refuse."""

import base64
import json
import os
import pathlib
import re
import socket
import time
import urllib.parse
import urllib.request

import pytest

from browser import assert_counter_rises, wait_until_playing
from offers import attribute, offer
from relay import at_best, eventually

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
CAMERA = {"cam": "test:?fps=15"}


@pytest.fixture
def relay(porthole):
    return porthole(CAMERA)


def raw(relay, request, seconds=10):
    """Sends bytes as they are; what comes back until the relay closes, or is quiet for a second."""
    with socket.create_connection((relay.address, relay.http_port), timeout=seconds) as connection:
        answer = b""
        try:
            connection.sendall(request)
        except OSError:
            pass  # the relay may answer and close before it has read everything
        try:
            while chunk := connection.recv(65536):
                answer += chunk
                connection.settimeout(1)
        except (ConnectionResetError, TimeoutError):
            pass
        return answer.decode(errors="replace")


def status(answer):
    match = re.match(r"HTTP/1\.[01] (\d{3}) ", answer)
    assert match, f"no HTTP answer: {answer[:200]!r}"
    return int(match[1])


def whep(relay, **more):
    code, headers, text = relay.ask("POST", "/api/webrtc?src=cam", offer(**more), SDP)
    assert code == 201, text
    return urllib.parse.urljoin("/api/webrtc?src=cam", headers["Location"]), headers, text


def fragment(sdp, candidate="candidate:1 1 udp 2122260223 127.0.0.1 9 typ host", ufrag=None):
    ufrag = ufrag or attribute(sdp, "ice-ufrag")
    return f"a=ice-ufrag:{ufrag}\r\na=ice-pwd:{attribute(sdp, 'ice-pwd')}\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na={candidate}\r\n"


def test_whep_answers_201_with_the_sessions_address_and_version(relay):
    location, headers, text = whep(relay)
    assert headers["Content-Type"].startswith("application/sdp")
    assert re.fullmatch(r'"[^"]+"', headers["ETag"]), "a strong entity tag"
    assert headers["Accept-Patch"] == "application/trickle-ice-sdpfrag"
    assert re.search(r"[0-9a-f]{32}", location), "nobody can guess a session"
    assert "a=sendonly" in text and "a=candidate:" in text
    assert f" {relay.media_port} typ host" in text
    assert " udp " in text.lower() and "tcptype passive" in text


def test_the_answer_comes_within_fifty_milliseconds_when_the_source_runs(relay):
    whep(relay)

    def timed():
        started = time.monotonic()
        whep(relay)
        return time.monotonic() - started

    assert at_best(timed) < 0.05


@pytest.mark.parametrize(
    ("content_type", "wrap", "unwrap", "expected"),
    [
        ("application/json", lambda sdp: json.dumps({"type": "offer", "sdp": sdp}), lambda text: json.loads(text)["sdp"], 200),
        (
            "application/x-www-form-urlencoded",
            lambda sdp: urllib.parse.urlencode({"data": base64.b64encode(sdp.encode()).decode()}),
            lambda text: base64.b64decode(text).decode(),
            200,
        ),
        ("text/plain", str, str, 200),
        ("Application/SDP; charset=utf-8", str, str, 201),
    ],
    ids=["JSON", "form", "plain-text", "sdp-with-parameter"],
)
def test_go2rtcs_other_forms_of_the_offer_are_answered_in_kind(relay, content_type, wrap, unwrap, expected):
    code, _, text = relay.ask("POST", "/api/webrtc?src=cam", wrap(offer()), {"Content-Type": content_type})
    assert code == expected, text
    assert unwrap(text).startswith("v=0")


def test_options_answers_204_and_names_the_offers_type(relay):
    code, headers, _ = relay.ask("OPTIONS", "/api/webrtc?src=cam")
    assert (code, headers["Accept-Post"]) == (204, "application/sdp")


def test_candidates_trickle_in_by_patch(relay):
    sdp = offer()
    code, headers, text = relay.ask("POST", "/api/webrtc?src=cam", sdp, SDP)
    assert code == 201, text
    location = urllib.parse.urljoin("/api/webrtc", headers["Location"])
    for if_match in ({}, {"If-Match": headers["ETag"]}, {"If-Match": "*"}):
        code, _, text = relay.ask("PATCH", location, fragment(sdp), {**FRAGMENT, **if_match})
        assert (code, text) == (204, ""), if_match
    code, _, _ = relay.ask("PATCH", location, fragment(sdp), {**FRAGMENT, "If-Match": '"another"'})
    assert code == 412
    code, _, _ = relay.ask("PATCH", location, fragment(sdp), {"Content-Type": "text/plain"})
    assert code == 415
    code, _, _ = relay.ask("PATCH", location, "a=ice-ufrag:x\r\n", FRAGMENT)
    assert code == 400


def test_delete_ends_a_session_once(relay):
    location, _, _ = whep(relay)
    assert relay.viewers("cam") == 1
    assert relay.ask("DELETE", location)[0] == 200
    assert relay.viewers("cam") == 0
    assert relay.ask("DELETE", location)[0] == 404
    assert relay.ask("PATCH", location, "a=end-of-candidates\r\n", FRAGMENT)[0] == 404
    assert relay.ask("DELETE", "/api/webrtc?id=" + "0" * 32)[0] == 404


def test_mistakes_are_named_in_plain_words(relay):
    code, headers, text = relay.ask("POST", "/api/webrtc?src=nobody", offer(), SDP)
    assert code == 404 and text.strip() == "stream not found"
    assert headers["Content-Type"].startswith("text/plain")
    assert relay.ask("POST", "/api/webrtc", offer(), SDP)[0] == 400
    assert relay.ask("GET", "/api/webrtc?src=cam")[0] == 405
    assert relay.get("/api/nothing")[0] == 404
    code, _, text = relay.ask("POST", "/api/webrtc?src=cam", offer(video="VP8"), SDP)
    assert 400 <= code < 500 and "codecs not matched" in text, (code, text)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/sdp", ""),
        ("application/sdp", "nonsense"),
        ("application/sdp", "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"),
        ("application/sdp", offer().replace("a=ice-ufrag:", "a=x-ufrag:")),
        ("application/sdp", offer().replace("a=fingerprint:", "a=x-fingerprint:")),
        ("application/sdp", "\0" * 1000),
        ("application/json", "{"),
        ("application/json", '{"type":"offer"}'),
        ("application/json", '{"type":"offer","sdp":17}'),
        ("application/x-www-form-urlencoded", "data=%ff%fe!"),
        ("application/x-www-form-urlencoded", "other=1"),
    ],
)
def test_a_malformed_offer_is_refused_with_400_and_leaves_nothing(relay, content_type, body):
    code, _, text = relay.ask("POST", "/api/webrtc?src=cam", body, {"Content-Type": content_type})
    assert code == 400 and text.strip(), (code, text)
    assert relay.viewers("cam") == 0


def test_too_large_requests_are_refused_early(relay):
    head = f"POST /api/webrtc?src=cam HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/sdp\r\nContent-Length: {10**9}\r\n\r\n"
    assert status(raw(relay, head.encode())) == 413
    chunked = "POST /api/webrtc?src=cam HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n" + ("8000\r\n" + "x" * 0x8000 + "\r\n") * 40
    assert status(raw(relay, chunked.encode())) == 413
    assert status(raw(relay, b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 100_000 + b"\r\n\r\n")) == 431
    assert status(raw(relay, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 500 + b"\r\n")) == 431
    assert relay.get("/api")[0] == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_requests_that_two_servers_could_read_differently_are_refused(relay, request_bytes):
    assert status(raw(relay, request_bytes)) == 400


def test_a_client_that_never_finishes_its_request_is_let_go(relay):
    with socket.create_connection((relay.address, relay.http_port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        started = time.monotonic()
        assert connection.recv(1000)[:12] in (b"HTTP/1.1 408", b"")
        assert time.monotonic() - started < 8


def test_a_foreign_host_name_is_refused_so_that_dns_rebinding_fails(relay):
    assert relay.get("/api/streams", headers={"Host": "evil.example"})[0] == 421
    for host in ("printer.local:1984", "192.168.1.5", "localhost", "printer", "[::1]:1984"):
        assert relay.get("/api/streams", headers={"Host": host})[0] == 200, host


def test_a_foreign_page_is_refused(relay):
    for origin in ("https://evil.example", "null", "http://127.0.0.1.evil.example"):
        code, headers, text = relay.ask("POST", "/api/webrtc?src=cam", offer(), {**SDP, "Origin": origin})
        assert code == 403, (origin, text)
        assert "Access-Control-Allow-Origin" not in headers
    assert relay.viewers("cam") == 0
    upgrade = (
        "GET /api/ws?src=cam HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://evil.example\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert status(raw(relay, upgrade.encode())) == 403


def test_a_page_of_the_same_host_may_view_but_not_change_streams(relay):
    origin = {"Origin": "http://127.0.0.1"}
    code, headers, text = relay.ask("POST", "/api/webrtc?src=cam", offer(), {**SDP, **origin})
    assert code == 201, text
    assert headers["Access-Control-Allow-Origin"] == "http://127.0.0.1"
    assert {"Location", "ETag"} <= {name.strip() for name in headers["Access-Control-Expose-Headers"].split(",")}
    preflight = {**origin, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "content-type,if-match"}
    code, headers, _ = relay.ask("OPTIONS", "/api/webrtc?id=x", headers=preflight)
    assert code == 204 and {"PATCH", "DELETE"} <= set(headers["Access-Control-Allow-Methods"].replace(" ", "").split(","))
    assert "if-match" in headers["Access-Control-Allow-Headers"].lower()
    assert relay.ask("PUT", "/api/streams?name=x&src=test:", headers=origin)[0] == 403
    assert relay.ask("DELETE", "/api/streams?src=cam", headers=origin)[0] == 403
    assert relay.get("/api/streams?src=x")[0] == 404


def test_an_origin_that_the_operator_listed_may_view(porthole):
    relay = porthole(CAMERA, api={"origin": ["https://ha.example"]})
    code, headers, _ = relay.ask("POST", "/api/webrtc?src=cam", offer(), {**SDP, "Origin": "https://ha.example"})
    assert code == 201 and headers["Access-Control-Allow-Origin"] == "https://ha.example"


def test_the_network_cannot_add_sources_that_run_programs(relay):
    for source in ("exec:id", "echo:id", "EXEC:id", "expr:1", "rtsp://a b", "nonsense"):
        code, _, text = relay.ask("PUT", "/api/streams?" + urllib.parse.urlencode({"name": "x", "src": source}))
        assert code == 400, (source, text)
    assert relay.get("/api/streams?src=x")[0] == 404


def test_the_pages_load_nothing_from_elsewhere_and_run_no_inline_script(relay):
    pages = ("/", "/stream.html", "/publish.html", "/webrtc.html", "/doctor.html", "/links.html", "/trust.html", "/wall", "/wall.html")
    scripts = ("/doctor.js", "/index.js", "/links.js", "/porthole.js", "/publish.js", "/qr.js", "/remember.js", "/stream.js", "/trust.js", "/wall.js")
    for path in (*pages, *scripts, "/style.css", "/icon.svg"):
        code, headers, text = relay.get(path)
        assert code == 200, path
        assert headers["X-Content-Type-Options"] == "nosniff", path
        foreign = [url for url in re.findall(r"https?://[\w.-]+", text) if "w3.org" not in url and "localhost" not in url]
        assert not foreign, (path, foreign)
        if "html" in headers["Content-Type"]:
            policy = headers["Content-Security-Policy"]
            assert {"script-src 'self'", "style-src 'self'"} <= set(policy.split("; ")), policy
            assert "unsafe" not in policy, policy
            assert "<style" not in text and " style=" not in text and not re.search(r"<script(?! type=\"module\" src=)", text), path


def test_home_assistant_finds_the_version_and_the_boot_line_it_waits_for(relay):
    api = json.loads(relay.get("/api")[2])
    version = tuple(int(part) for part in re.match(r"(\d+)\.(\d+)\.(\d+)", api["version"]).groups())
    assert (1, 9, 13) <= version < (2, 0, 0)
    assert re.search(r"INF \[api\] listen addr=", relay.log()), relay.log()


def test_behind_nginx_with_http_1_0_a_session_is_made_trickled_and_ended(relay, nginx, page):
    port = nginx(relay)
    page.goto(f"http://127.0.0.1:{port}/webcam/stream.html?src=cam")
    wait_until_playing(page)
    assert page.evaluate("porthole.signalling") == "WHEP", "no WebSocket gets through"
    assert_counter_rises(page, fps=15)
    page.goto("about:blank")
    eventually(lambda: relay.viewers("cam") == 0, 2, "the session is gone: its Location leads back through nginx")


@pytest.mark.parametrize("whole", [False, True], ids=["cut-off", "passed-on"])
def test_behind_a_folder_of_nginx_the_address_of_a_session_leads_to_it(porthole, nginx, whole):
    relay = porthole(CAMERA, api={"base_path": "/webcam"})
    proxy = f"http://127.0.0.1:{nginx(relay, whole)}"

    def ask(method, url, body=None, **headers):
        request = urllib.request.Request(urllib.parse.urljoin(proxy, url), data=body and body.encode(), method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers["Location"], answer.url

    status, location, _ = ask("POST", "/webcam/cam/whep", offer(), **SDP)
    assert (status, location.rsplit("/", 1)[0]) == (201, "/webcam/cam/whep")
    assert relay.viewers("cam") == 1
    assert ask("DELETE", location)[0] == 200
    assert relay.viewers("cam") == 0
    assert ask("GET", "/webcam/stream.html?src=cam")[0] == 200
    assert urllib.parse.urlsplit(ask("GET", "/webcam")[2]).path == "/webcam/", "relative links lead somewhere"


def test_a_flood_of_wrong_offers_leaves_few_lines_in_the_log(relay):
    wrong = b"POST /cam/whep HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\nContent-Length: 3\r\n\r\nv=0"
    answers = raw(relay, wrong * 300 + wrong.replace(b"Host: x", b"Host: x\r\nConnection: close"))
    assert answers.count("HTTP/1.1 400") == 301
    # the log is written beside the answers
    eventually(lambda: "offer refused" in relay.log(), 5, "the log tells of it")
    refused = [line for line in relay.log().splitlines() if "offer refused" in line]
    assert 1 <= len(refused) <= 120, len(refused)


def test_nobody_reads_whole_ids_of_sessions_anywhere(porthole):
    relay = porthole(CAMERA, log={"level": "trace"})
    location, _, answer = whep(relay)
    session = location.rsplit("/", 1)[1]
    relay.ask("PATCH", location, fragment(offer()), FRAGMENT)
    relay.get(f"/api/session?id={session}")
    shown = [relay.get(path)[2] for path in ("/api/streams", "/api/doctor", "/api/status")]
    assert relay.ask("DELETE", location)[0] == 200
    relay.ask("DELETE", location.replace("0", "%30"))
    shown += [relay.get(path)[2] for path in ("/api/streams", "/api/doctor", "/api/log")]
    assert f"{session[:8]}…" in shown[-1], "the log knows of it"
    assert session not in "".join(shown) + relay.log()


def test_nobody_on_the_machine_finds_another_way_in_than_the_ports(relay):
    relay.get("/api")
    own = {os.readlink(link) for link in pathlib.Path(f"/proc/{relay.pid}/fd").iterdir()}
    sockets = [line.split() for line in pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]]
    named = [socket[7] for socket in sockets if len(socket) > 7 and f"socket:[{socket[6]}]" in own]
    assert not named, named


def test_an_http_1_0_client_gets_a_length_and_a_closed_connection(relay):
    answer = raw(relay, b"GET /api/streams HTTP/1.0\r\nHost: localhost\r\n\r\n")
    head, body = answer.split("\r\n\r\n", 1)
    assert status(answer) == 200
    assert f"content-length: {len(body.encode())}" in head.lower() and "chunked" not in head.lower()
    assert json.loads(body)["cam"]
