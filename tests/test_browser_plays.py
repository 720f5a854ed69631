"""Chromium sees the test camera, by every signalling door and over UDP and TCP."""

import http.server
import threading

import pytest

from browser import PLAYING_MS, VIEWER, assert_counter_rises, protocol, until, view, wait_until_playing
from conftest import WHOLE_CHROMIUM
from relay import eventually

BROWSER = WHOLE_CHROMIUM
CAMERA = {"cam": "test:?fps=15&audio=pcmu"}


@pytest.fixture(scope="module", autouse=True)
def whole_chromium(chromium):
    """Its windows keep a processor busy, so it ends with these tests."""
    yield
    chromium.end(WHOLE_CHROMIUM)


def test_the_front_page_shows_a_moving_picture_at_once(porthole, page):
    relay = porthole({"try": "test:"})
    page.goto(relay.url + "/")
    page.wait_for_selector(".cards > li.playing video", timeout=3000)
    assert_counter_rises(page)
    assert page.text_content(".name") == "try"
    page.wait_for_selector(".pill.live", timeout=5000)


def test_the_front_page_says_how_to_add_a_stream_when_there_is_none(porthole, page):
    page.goto(porthole({}).url + "/")
    page.wait_for_selector("#empty:not([hidden])", timeout=3000)
    assert "streams:" in page.text_content("#empty")


def test_names_of_streams_are_shown_as_text_and_never_as_markup(porthole, page):
    name = "<img src=x onerror=document.title='owned'>&amp;"
    relay = porthole({name: "test:"})
    page.goto(relay.url + "/")
    page.wait_for_selector(".cards > li.playing", timeout=5000)
    assert page.text_content(".name") == name
    page.click(".card")
    wait_until_playing(page)
    assert page.text_content("#name") == name
    assert page.title() != "owned"


@pytest.mark.parametrize(
    ("query", "expected"),
    [("", "udp"), ("&mode=whep", "udp"), ("&mode=ws", "udp"), ("&mode=tcp", "tcp"), ("&mode=whep,tcp", "tcp"), ("&mode=ws,tcp", "tcp")],
    ids=["what-it-likes", "WHEP", "WebSocket", "what-it-likes-and-TCP-only", "WHEP-and-TCP-only", "WebSocket-and-TCP-only"],
)
def test_the_stream_page_plays_over(porthole, page, query, expected):
    relay = porthole(CAMERA)
    page.goto(f"{relay.url}/stream.html?src=cam{query}")
    wait_until_playing(page)
    assert_counter_rises(page, fps=15)
    until(page, "porthole.stats.codec && porthole.stats.protocol", 5000)
    stats = page.evaluate("porthole.stats")
    assert stats["codec"] == "H264" and stats["width"] == 640 and stats["height"] == 360, stats
    assert stats["audioCodec"] == "PCMU", stats
    assert stats["protocol"] == expected, stats
    assert page.evaluate("porthole.signalling") == ("WHEP" if "whep" in query else "WebSocket")
    assert str(relay.media_port) in stats["remote"]["address"], stats


def test_the_stream_page_shows_the_relays_own_view_of_the_session(porthole, page):
    relay = porthole(CAMERA)
    page.goto(f"{relay.url}/stream.html?src=cam")
    wait_until_playing(page)
    until(page, "porthole.session?.sent?.packets > 0", 6000)
    session = page.evaluate("porthole.session")
    assert session["path"]["protocol"] == "udp" and session["stream"] == "cam", session


@pytest.mark.parametrize("tcp", [False, True], ids=["UDP", "TCP-only"])
@pytest.mark.parametrize("dialect", ["whep", "json", "webrtc/offer", "webrtc"])
def test_a_foreign_page_plays_by_dialect(porthole, page, dialect, tcp):
    relay = porthole(CAMERA)
    view(page, relay, dialect, tcp=tcp)
    assert_counter_rises(page, fps=15)
    assert protocol(page) == ("tcp" if tcp else "udp")


class Blank(http.server.BaseHTTPRequestHandler):
    """Fluidd's web server, as far as the relay is concerned."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><body></body>")


@pytest.mark.parametrize("dialect", ["whep", "webrtc/offer"])
def test_a_page_of_the_same_host_and_another_port_may_play(porthole, page, dialect):
    relay = porthole(CAMERA)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Blank) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        page.goto(f"http://127.0.0.1:{other.server_port}/")
        page.evaluate(VIEWER, {"dialect": dialect, "base": relay.url, "src": "cam", "tcp": False})
        until(page, "seen.firstAt > 0", PLAYING_MS)
        other.shutdown()
    if dialect == "whep":
        assert page.evaluate("seen.location"), "Location must be exposed to pages of other origins"


def test_a_viewer_that_joins_in_the_middle_of_a_long_gop_sees_a_picture_at_once(porthole, new_page):
    relay = porthole({"cam": "test:?fps=15&gop=10s"})
    first = new_page()
    view(first, relay)
    until(first, "readFrame(seen.video) > 45", 10000)
    late = new_page()
    view(late, relay)
    wait = late.evaluate("seen.firstAt - seen.connectedAt")
    assert wait <= 300, f"first picture {wait:.0f} ms after connected"
    late_counter = late.evaluate("readFrame(seen.video)")
    assert late_counter is not None
    behind = lambda: abs(first.evaluate("readFrame(seen.video)") - late.evaluate("readFrame(seen.video)"))  # noqa: E731
    eventually(lambda: behind() <= 15, 2, "the late viewer catches up with the live picture")


def test_leaving_the_page_frees_the_session(porthole, page):
    relay = porthole(CAMERA)
    page.goto(f"{relay.url}/stream.html?src=cam")
    wait_until_playing(page)
    assert relay.viewers("cam") == 1
    page.goto("about:blank")
    eventually(lambda: relay.viewers("cam") == 0, 2, "the session is gone")


def test_an_unknown_stream_is_named_as_the_reason(porthole, page):
    relay = porthole(CAMERA)
    page.goto(f"{relay.url}/stream.html?src=nobody")
    until(page, "window.porthole?.state === 'failed'", 5000)
    assert "not found" in page.text_content("#over")


def test_go2rtcs_address_of_the_player_works_too(porthole, page):
    relay = porthole(CAMERA)
    page.goto(f"{relay.url}/webrtc.html?src=cam&media=video")
    wait_until_playing(page)
    until(page, "porthole.stats.codec", 3000)
    assert "audioCodec" not in page.evaluate("porthole.stats")


def test_the_page_plays_again_by_itself_when_the_relay_comes_back(porthole, page):
    relay = porthole(CAMERA)
    page.goto(f"{relay.url}/stream.html?src=cam")
    wait_until_playing(page)
    relay.stop()
    until(page, "porthole.state !== 'playing'", 15000)
    relay.start()
    wait_until_playing(page, timeout=30000)
    assert_counter_rises(page, fps=15)
