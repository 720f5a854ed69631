"""All pages: what they may load and run, how large they are, who can read them, and how they look."""

import gzip
import json
import pathlib
import urllib.parse

import pytest

from browser import until
from offers import offer
from relay import Relay, eventually

TESTS = pathlib.Path(__file__).parent
SCREENSHOTS = TESTS.parent / "target/screenshots"
AXE = (TESTS / "node_modules/axe-core/axe.min.js").read_text()
KIB = 1024

# what it shows: address, and an expression that is true when it does
PAGES = {
    "index": ("/", "document.querySelector('.cards > li.playing')"),
    "stream": ("/stream.html?src=printer", "window.porthole?.state === 'playing' && porthole.stats.width"),
    "stream-failed": ("/stream.html?src=garage", "window.porthole?.state === 'failed'"),
    "stream-unknown": ("/stream.html?src=nobody", "window.porthole?.state === 'failed'"),
    "stream-waiting": ("/stream.html?src=door", "window.porthole?.session?.reason"),
    "publish": ("/publish.html?dst=studio", "document.querySelector('#over').textContent"),
    "publish-sending": ("/publish.html?dst=studio&media=camera+microphone", "window.porthole?.state === 'playing' && porthole.stats.width"),
    "doctor": ("/doctor.html", "window.porthole?.state === 'examined'"),
    "links": ("/links.html?src=printer", "window.porthole?.state === 'listed'"),
    "share-refused": ("/webtorrent.html#share=front-door", "window.porthole?.state === 'refused'"),
    "wall": ("/wall", "document.querySelector('[data-state=playing]')"),
    "share-failed": ("/webtorrent.html#share=front-door&key=Zm9ydHkgdHdvIHJhbmRvbSBieXRlcw&tr=ws://127.0.0.1:9", "window.porthole?.state === 'failed'"),
}
# what a reader does there before another look: expressions
ACTS = {
    "stream": "porthole.toggleAttribute('crosshair'); porthole.shadowRoot.querySelector('#view').click()",
    "links": "document.querySelector('.rows button:last-child').click()",
}
SHAPES = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 800}}
STREAMS = {"printer": "test:?fps=10&audio=pcmu", "yard": "test:?fps=5&size=320x240", "garage": "rtsp://127.0.0.1:1/live", "door": None, "studio": None}
SHARES = {"trackers": ["ws://127.0.0.1:9"], "shares": {"front-door": {"pwd": "Zm9ydHkgdHdvIHJhbmRvbSBieXRlcw", "src": "printer"}}}
SCRIPTS = ("/doctor.js", "/index.js", "/links.js", "/porthole.js", "/publish.js", "/qr.js", "/remember.js", "/share.js", "/stream.js", "/wall.js", "/webtorrent.js")


def test_the_pages_are_small(porthole):
    relay = porthole({}, webtorrent=SHARES)
    files = ["/", "/stream.html", "/publish.html", "/doctor.html", "/links.html", "/wall.html", "/style.css", "/icon.svg", *SCRIPTS]
    texts = {path: relay.get(path)[2].encode() for path in files}
    zipped = {path: len(gzip.compress(text, 9)) for path, text in texts.items()}
    assert zipped["/porthole.js"] < 15 * KIB
    # what a first visit to a stream fetches
    assert sum(zipped[path] for path in ("/stream.html", "/stream.js", "/remember.js", "/porthole.js", "/style.css", "/icon.svg")) < 24 * KIB, zipped
    # all of them, as they lie in the binary next to 3 MiB of code
    assert sum(zipped.values()) <= 48 * KIB, zipped


def test_scripts_come_packed_to_who_takes_that_and_plain_to_others(porthole):
    relay = porthole({})
    for path in (*SCRIPTS, "/style.css", "/icon.svg"):
        status, fields, plain = relay.get(path)
        assert (status, fields.get("Content-Encoding"), fields["Vary"]) == (200, None, "Accept-Encoding"), path
        status, fields, packed = relay.get(path, headers={"Accept-Encoding": "br, gzip"}, binary=True)
        assert (status, fields["Content-Encoding"]) == (200, "gzip"), path
        assert gzip.decompress(packed).decode() == plain, path
        again = relay.get(path, headers={"Accept-Encoding": "gzip", "If-None-Match": fields["ETag"]})
        assert (again[0], again[2]) == (304, ""), path


@pytest.fixture(scope="module")
def shown_relay(tmp_path_factory):
    relay = Relay(tmp_path_factory.mktemp("pages"), STREAMS, webtorrent=SHARES).start()
    yield relay
    relay.stop()


@pytest.mark.timeout(90)
@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious_and_nothing_sticks_out(shown_relay, new_page, name, theme):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    address, ready = PAGES[name]
    for shape, viewport in SHAPES.items():
        page = new_page(viewport=viewport, color_scheme=theme, has_touch=shape == "phone")
        page.goto(shown_relay.url + address)
        until(page, ready, 15000)
        for step in ("", ACTS.get(name)):
            if step is None:
                continue
            if step:
                page.evaluate(step)
                page.wait_for_timeout(200)
            page.screenshot(path=SCREENSHOTS / f"{name}{'-open' if step else ''}-{shape}-{theme}.png")
            page.evaluate(AXE)
            found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
            serious = [f"{v['id']}: {v['help']}: {[n['target'] for n in v['nodes']][:4]}" for v in found if v["impact"] in ("serious", "critical")]
            assert not serious, (shape, step, serious)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than a {shape}"
        page.close()


ATTACKS = [
    "<img src=x onerror=owned=1>",
    "<script>owned=1</script>",
    "\"><svg onload=owned=1>",
    "'><img src=x onerror=owned=1>",
    "javascript:owned=1",
    "</title><script>owned=1</script>",
    "<iframe srcdoc='<script>parent.owned=1</script>'>",
    "&lt;img src=x onerror=owned=1&gt;",
    "${owned=1}{{owned=1}}",
    "<b style=position:fixed;inset:0>",
    "</style><script>owned=1</script>",
    "%3Cimg%20src=x%20onerror=owned=1%3E",
]
# page by page: how a text that somebody chose gets there
DOORS = {
    "index": "/",
    "stream": "/stream.html?src={}",
    "publish": "/publish.html?dst={}",
    "links": "/links.html?src={}",
    "wall": "/wall",
    "wall, chosen": "/wall?src={}",
    "doctor": "/doctor.html",
    "share": "/webtorrent.html#share={0}&key={0}&tr=ws://127.0.0.1:9",
}
INTRUDERS = "[document.querySelectorAll('img:not([src=\"icon.svg\"]), main iframe, main script, main svg[onload], [style*=fixed], a[href^=javascript], [onerror], [onload]').length, window.owned ?? null]"


@pytest.fixture(scope="module")
def attacked_relay(tmp_path_factory):
    """Every stream's name is an attack, sources fail with attacks in their words, clients call themselves attacks."""
    streams = {attack: "test:?fps=2&size=320x180" if i % 2 else f"rtsp://x/{urllib.parse.quote(attack)}<img/src=x/onerror=owned=1>" for i, attack in enumerate(ATTACKS)}
    relay = Relay(tmp_path_factory.mktemp("attacked"), streams, webtorrent={"trackers": ["ws://127.0.0.1:9"]}).start()
    headers = {"Content-Type": "application/sdp"}
    for attack in ATTACKS:
        relay.ask("POST", f"/api/webrtc?src={urllib.parse.quote(attack)}", offer(candidate="candidate:1 1 udp 1 <b>.local 9 typ host"), {**headers, "User-Agent": attack})
        relay.get("/api/streams", headers={"Origin": f"http://{attack[:30]}"})
        relay.get("/api/streams", headers={"Host": "<img-src=x>.example"})
    yield relay
    relay.stop()


@pytest.mark.parametrize("door", DOORS)
def test_markup_in_names_addresses_and_errors_stays_text(attacked_relay, new_page, door):
    """Each attack by each door: 84 cases."""
    page = new_page()
    name = "[document.querySelector('#name').textContent.replace(/^(Send to|Links of) /, '')]"
    names = "[...document.querySelectorAll('.name')].map((element) => element.textContent)"
    for attack in ATTACKS:
        page.goto("about:blank")  # another fragment alone would load nothing
        page.goto(attacked_relay.url + DOORS[door].format(urllib.parse.quote(attack, safe="")))
        until(page, f"({name if door in ('stream', 'publish', 'links', 'share') else names}).includes({json.dumps(attack)})", 8000)
        page.wait_for_timeout(200)
        assert page.evaluate(INTRUDERS) == [0, None], attack


def test_errors_with_markup_stay_text(porthole, new_page):
    """Errors of the relay, of a proxy in between and of the browser, in every page that shows one."""
    relay = porthole({"cam": "test:"})
    words = "<img src=x onerror=owned=1> ${owned=1} </p><script>owned=1</script>"
    for address, pattern, where in (
        ("/", "**/api/streams", "#trouble"),
        ("/wall", "**/api/streams", "#trouble"),
        ("/doctor.html", "**/api/doctor*", "#trouble"),
        ("/stream.html?src=cam&mode=whep", "**/api/webrtc*", "#over"),
        ("/publish.html?dst=cam&mode=whip&media=camera", "**/api/webrtc*", "#over"),
    ):
        page = new_page()
        page.route(pattern, lambda route: route.fulfill(status=502, content_type="text/html", body=words))
        page.goto(relay.url + address)
        eventually(lambda page=page, where=where: page.wait_for_timeout(50) or words in (page.text_content(where) or ""), 8, f"{address} shows the error")
        assert page.evaluate(INTRUDERS) == [0, None], address


def test_a_verdict_with_markup_stays_text(porthole, page):
    relay = porthole({"cam": "rtsp://127.0.0.1:1/"})
    words = "<img src=x onerror=owned=1>"

    def poison(route):
        report = json.loads(relay.get("/api/doctor")[2])
        for found in [*report["streams"], *report["past"], *report["sessions"]]:
            found["verdict"] = {"code": words, "sentence": words, "remedy": words}
        route.fulfill(json=report)

    page.route("**/api/doctor*", poison)
    page.goto(f"{relay.url}/stream.html?src=cam")
    until(page, "window.porthole?.state === 'failed'", 8000)
    assert page.text_content("#over").count(words) == 2
    page.goto(f"{relay.url}/doctor.html")
    until(page, "window.porthole?.state === 'examined'", 8000)
    assert words in page.text_content("main")
    assert page.evaluate(INTRUDERS) == [0, None]


SINKS = """
() => {
  const script = document.createElement('script');
  const ways = {
    innerHTML: () => { document.body.innerHTML = '<i>x</i>'; },
    outerHTML: () => { document.body.outerHTML = '<i>x</i>'; },
    insertAdjacentHTML: () => document.body.insertAdjacentHTML('beforeend', '<i>x</i>'),
    write: () => document.write('<i>x</i>'),
    parse: () => new DOMParser().parseFromString('<i>x</i>', 'text/html'),
    text: () => { script.text = '1'; },
    src: () => { script.src = 'index.js'; },
  };
  return Object.keys(ways).filter((way) => { try { ways[way](); return true; } catch (error) { return !/Trusted/.test(error.message); } });
}
"""


def test_a_script_that_turns_text_into_markup_is_stopped_by_the_browser(porthole, chromium):
    relay = porthole({"cam": "test:"}, webtorrent=SHARES)
    context = chromium().new_context()  # no `page`: the browser's complaint is what is wanted
    page = context.new_page()
    for address, _ in PAGES.values():
        page.goto(relay.url + address)
        assert page.evaluate(SINKS) == [], address
    context.close()


def test_every_page_carries_the_policy_and_no_inline_code(porthole):
    relay = porthole({}, webtorrent=SHARES)
    for path in ("/", "/index.html", "/webtorrent.html", "/stream.html", "/webrtc.html", "/publish.html", "/doctor.html", "/links.html", "/wall", "/wall.html"):
        code, headers, text = relay.get(path)
        assert code == 200, path
        policy = set(headers["Content-Security-Policy"].split("; "))
        assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "require-trusted-types-for 'script'", "trusted-types 'none'", "base-uri 'none'"} <= policy, path
        assert "unsafe" not in headers["Content-Security-Policy"]
    for path in SCRIPTS:
        code, headers, text = relay.get(path)
        assert code == 200 and headers["X-Content-Type-Options"] == "nosniff", path
        assert "innerHTML" not in text and "insertAdjacentHTML" not in text and "document.write" not in text, path
