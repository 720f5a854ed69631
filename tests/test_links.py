"""The links page: every address that it shows leads somewhere, for people, for cameras and for programs."""

import base64
import html
import io
import json
import pathlib
import re
import shlex
import subprocess
import threading
import time
import urllib.parse

import av
import imageio_ffmpeg
import pytest

from browser import PLAYING_MS, VIEWER, assert_counter_rises, until, wait_until_playing
from conftest import INSECURE_NAME
from offers import offer
from relay import eventually

TESTS = pathlib.Path(__file__).parent
NAME = "front door"
CAMERA = {NAME: "test:?fps=15", "studio": None}
SDP = {"Content-Type": "application/sdp"}
FFMPEG_SECONDS = 22  # longer than a peer may be silent
READER = (TESTS / "node_modules/jsqr/dist/jsQR.js").read_text()


@pytest.fixture
def relay(porthole):
    return porthole(CAMERA)


def links(page, relay, name=NAME):
    """`{title: text}` as the page shows them, for the address that the page was opened with."""
    page.goto(f"{relay.url}/links.html?src={urllib.parse.quote(name)}")
    until(page, "window.porthole?.state === 'listed'", 5000)
    if page.is_visible("#address"):
        page.select_option("#address", relay.url + "/")
    titles = page.locator(".rows .name").all_text_contents()
    texts = page.locator(".rows .link").all_text_contents()
    return dict(zip(titles, texts, strict=True))


def path_of(relay, url):
    assert url.startswith(relay.url + "/"), url
    return url.removeprefix(relay.url)


def test_all_that_was_promised_is_there_and_each_says_what_it_is_for(relay, page):
    shown = links(page, relay)
    expected = {"Player page", "Frame for your own page", "WHEP", "WHIP", "WebSocket", "Camera and microphone", "Screen and its sound", "Player page with microphone",
                "Home Assistant", "Fluidd", "Mainsail", "OBS Studio", "FFmpeg, publish", "GStreamer, watch", "GStreamer, publish"}  # fmt: skip
    assert expected <= set(shown), expected - set(shown)
    purposes = page.locator(".rows .quiet").all_text_contents()
    assert len(purposes) == len(shown) and all(purpose.endswith(".") for purpose in purposes)
    assert page.locator(".rows button:has-text('Copy')").count() == len(shown) == page.locator(".rows button:has-text('QR code')").count()


def test_every_page_among_the_links_opens(relay, page):
    shown = links(page, relay)
    pages = page.evaluate("[...document.querySelectorAll('.rows .link a')].map((link) => link.href)")
    assert len(pages) >= 8
    for url in pages:
        assert relay.get(path_of(relay, url))[0] == 200, url
    page.goto(shown["Player page"])
    wait_until_playing(page)
    assert page.text_content("#name") == NAME
    page.goto(shown["Wall"])
    until(page, "document.querySelector('[data-state=playing]')", PLAYING_MS)


def test_the_addresses_for_programs_answer_as_programs_expect(relay, page):
    shown = links(page, relay)
    code, headers, text = relay.ask("POST", path_of(relay, shown["WHEP"]), offer(), SDP)
    assert code == 201 and headers["Location"], text
    assert relay.ask("OPTIONS", path_of(relay, shown["WHIP"]))[0] == 204
    socket = page.evaluate("(url) => new Promise((resolve) => { const s = new WebSocket(url); s.onopen = () => resolve('open'); s.onerror = () => resolve('refused'); })", shown["WebSocket"])
    assert socket == "open"
    assert json.loads(relay.get(path_of(relay, shown["Home Assistant"]) + "api")[2])["version"]
    told = subprocess.run(shlex.split(shown["curl, is it live?"]), capture_output=True, text=True, check=True)
    assert "producers" in json.loads(told.stdout)


@pytest.mark.parametrize("service", ["Fluidd", "Mainsail"])
def test_fluidd_and_mainsail_play_the_address_they_are_given(relay, page, elsewhere, service):
    stream_url = links(page, relay)[service]
    page.goto(elsewhere("<!doctype html><body></body>"))
    # how each of them makes its WebSocket's address out of that
    derive = {
        "Fluidd": "(url) => { const stream = new URL(url); return new URL('api/ws' + stream.search, stream).href; }",
        "Mainsail": "(text) => { const url = new URL(text); url.pathname = /\\/api\\/webrtc$/.test(url.pathname) ? url.pathname.replace(/webrtc$/, 'ws') : url.pathname.replace(/[^/]*$/, 'api/ws'); url.searchParams.set('media', 'video+audio'); return url.href; }",
    }
    derived = urllib.parse.urlsplit(page.evaluate(derive[service], stream_url))
    base = f"http://{derived.netloc}{derived.path.removesuffix('/api/ws')}"
    assert urllib.parse.parse_qs(derived.query)["src"] == [NAME]
    page.evaluate(VIEWER, {"dialect": "webrtc/offer", "base": base, "src": urllib.parse.quote(NAME), "tcp": False})
    until(page, "seen.firstAt > 0", PLAYING_MS)


def test_a_printers_page_on_another_port_shows_the_player_alone_in_a_frame(relay, page, elsewhere):
    markup = links(page, relay)["Frame for your own page"]
    assert html.unescape(re.search(r'src="([^"]+)"', markup)[1]) == f"{relay.url}/stream.html?src=front%20door"
    page.goto(elsewhere(f"<!doctype html><body>{markup}</body>"))
    frame = page.frame(url=re.compile("stream.html"))
    eventually(lambda: page.wait_for_timeout(50) or frame.evaluate("window.porthole?.state === 'playing'"), 10, "the frame plays")
    assert not frame.is_visible("header") and not frame.is_visible("details")
    box = frame.locator("porthole-player").bounding_box()
    assert (round(box["width"]), round(box["height"])) == (640, 360), box


def test_a_page_of_another_host_may_not_frame_the_player(relay, chromium, elsewhere):
    context = chromium().new_context()  # the browser's complaint is what is wanted
    page = context.new_page()
    refused = []
    page.on("console", lambda message: refused.append(message.text) if "frame-ancestors" in message.text else None)
    foreign = elsewhere(f'<!doctype html><body><iframe src="{relay.url}/stream.html?src=x"></iframe></body>').replace("127.0.0.1", "localhost")
    page.goto(foreign)
    eventually(lambda: page.wait_for_timeout(50) or refused, 10, "the browser refuses")
    context.close()


def test_the_element_for_other_pages_plays_as_it_is_written(relay, page, elsewhere):
    markup = links(page, relay)["Player for your own page"]
    page.goto(elsewhere(f"<!doctype html><body>{markup}</body>"))
    until(page, "document.querySelector('porthole-player')?.state === 'playing'", PLAYING_MS)


def test_a_page_opened_on_the_relay_itself_gives_links_for_other_devices(porthole, page):
    relay = porthole(CAMERA, media="")
    told = [a["ip"] for a in json.loads(relay.get("/api/status")[2])["addresses"] if a["advertised"] and not a["ip"].startswith("127.")]
    page.goto(f"{relay.url}/links.html?src=studio")
    until(page, "window.porthole?.state === 'listed'", 5000)
    link = urllib.parse.urlsplit(page.locator(".rows .link").first.text_content())
    assert link.hostname in told and link.port == relay.http_port
    page.select_option("#address", relay.url + "/")
    assert page.locator(".rows .link").first.text_content().startswith(relay.url)


def pixels(png):
    """`[RGBA in base64, width, height]`"""
    with av.open(png, format="png_pipe") as file:
        frame = next(file.decode(video=0)).reformat(format="rgba")
    return [base64.b64encode(frame.to_ndarray().tobytes()).decode(), frame.width, frame.height]


def scan(reader, element):
    reader.goto("about:blank")
    reader.evaluate(f"{{ const module = {{ exports: {{}} }}; const exports = module.exports; {READER}; window.jsQR = module.exports.default ?? module.exports; }} true")
    return reader.evaluate("([data, width, height]) => jsQR(Uint8ClampedArray.from(atob(data), (byte) => byte.charCodeAt(0)), width, height)?.data", pixels(io.BytesIO(element)))


def test_a_phone_that_scans_the_screen_gets_the_address_that_is_shown(relay, page, new_page):
    shown = links(page, relay)
    reader = new_page()
    assert scan(reader, page.locator(".scan svg").screenshot()) == shown["Player page"]
    for title in ("WHIP", "Camera and microphone"):
        page.click(f"[aria-label='QR code: {title}']")
        assert page.text_content("#code-text") == shown[title]
        assert scan(reader, page.locator("#code svg").screenshot()) == shown[title]
        page.click("#code button")


def test_copy_puts_the_link_into_the_clipboard_in_secure_and_insecure_pages(relay, chromium):
    context = chromium().new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    reader = context.new_page()
    reader.goto(relay.url + "/icon.svg")
    for base in (relay.url, f"http://{INSECURE_NAME}:{relay.http_port}"):
        page.goto(f"{base}/links.html?src=studio")
        until(page, "window.porthole?.state === 'listed'", 5000)
        text = page.locator(".rows li:has(strong:text-is('WHIP')) .link").text_content()
        page.bring_to_front()
        page.click("[aria-label='Copy: WHIP']")
        page.wait_for_selector("#said:has-text('Copied.')", timeout=3000)
        reader.bring_to_front()
        assert reader.evaluate("navigator.clipboard.readText()") == text
    context.close()


def test_a_name_full_of_quotes_is_quoted_in_command_lines_and_markup(porthole, page):
    name = "it's <\"a&b\"> $(id) `id` ü"
    relay = porthole({name: "test:"})
    shown = links(page, relay, name)
    told = subprocess.run(["sh", "-c", shown["curl, is it live?"]], capture_output=True, text=True, check=True)
    assert "test:" in told.stdout, told
    element = shown["Player for your own page"]
    assert html.unescape(re.search(r'<porthole-player src="([^"]*)"', element)[1]) == name
    page.goto(shown["Player page"])
    wait_until_playing(page)


@pytest.mark.timeout(90)
def test_the_ffmpeg_command_publishes_and_chromium_watches(porthole, page):
    relay = porthole(CAMERA, media="")
    command = links(page, relay, "studio")["FFmpeg, publish"]
    words = shlex.split(command)
    assert words[0] == "ffmpeg"
    with subprocess.Popen([imageio_ffmpeg.get_ffmpeg_exe(), *words[1:]], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as ffmpeg:
        said = []
        threading.Thread(target=lambda: said.extend(ffmpeg.stderr), daemon=True).start()
        try:
            started = time.monotonic()
            page.goto(f"{relay.url}/stream.html?src=studio")
            wait_until_playing(page, 20000)
            until(page, "porthole.stats.codec === 'H264' && porthole.stats.audioCodec === 'opus' && porthole.stats.width === 1280", 8000)
            while time.monotonic() < started + FFMPEG_SECONDS:
                page.wait_for_timeout(500)
                assert ffmpeg.poll() is None, said
            assert page.evaluate("porthole.state") == "playing", relay.log()
            assert relay.stream("studio")["producers"][0]["state"] == "connected"
        finally:
            ffmpeg.terminate()
            ffmpeg.wait(10)


def test_the_gstreamer_commands_encode_and_decode_h264_around_their_whip_and_whep_elements(relay, page):
    """Debian's GStreamer has neither whipsink nor whepsrc; what the commands put before the one and behind the other is joined and run."""
    shown = links(page, relay)
    publish, watch = shlex.split(shown["GStreamer, publish"]), shlex.split(shown["GStreamer, watch"])
    assert publish[-2:] == ["whipsink", f"whip-endpoint={shown['WHIP']}"]
    assert watch[1:3] == ["whepsrc", f"whep-endpoint={shown['WHEP']}"] and watch[-1] == "autovideosink"
    assert watch[3].startswith("video-caps=") and "payload=102" in watch[3], "96 is what whepsrc gives to sound"
    source = [word if word != "is-live=true" else "num-buffers=60" for word in publish[1:-3]]
    pipeline = ["gst-launch-1.0", "-q", *source, "!", "identity", *watch[watch.index("!") : -1], "fakesink"]
    told = subprocess.run(pipeline, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 0 and "ERROR" not in told.stderr, told
