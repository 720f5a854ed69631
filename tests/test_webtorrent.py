"""Share links: a stream is watched and sent to by way of a WebTorrent tracker, which learns nothing of it."""

import asyncio
import base64
import functools
import hashlib
import http.server
import json
import re
import subprocess
import threading
import time

import pytest
import websockets
from aiortc import RTCPeerConnection, RTCSessionDescription
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from browser import assert_counter_rises, until, wait_until_playing
from picture import read_frame
from relay import BINARY, eventually
from test_aiortc import Counter, in_thread, prefer_h264
from test_browser_publishes import PICTURE_CHANGES
from test_links import scan
from trackers import OpenTracker, Tracker, connected

SECRET = "Zm9ydHkgdHdvIHJhbmRvbSBieXRlcw"
SHARE = {"front-door": {"pwd": SECRET, "src": "cam"}}
GO2RTC_PWD = "a&b c+d/ü1"
GO2RTC = {"garden-gate": {"pwd": GO2RTC_PWD, "src": "cam", "compat": "go2rtc"}}
CAMERA = {"cam": "test:?fps=15", "studio": None}
SENTENCE_MS = 20000


@pytest.fixture
def trackers():
    """`trackers()` starts bittorrent-tracker, `trackers(opening=…)` our own."""
    started = []

    def start(**more):
        started.append(OpenTracker(**more) if more else Tracker().start())
        return started[-1]

    yield start
    for tracker in started:
        tracker.stop()


@pytest.fixture
def tracker(trackers):
    return trackers()


def share(porthole, *trackers, shares=SHARE, streams=CAMERA, **more):
    relay = porthole(streams, webtorrent={"trackers": [tracker.url for tracker in trackers], "shares": shares}, **more)
    if shares:
        connected(relay, len(trackers))
    return relay


def link(relay, stream="cam", kind="src"):
    status, headers, text = relay.get(f"/api/webtorrent?{kind}={stream}")
    assert (status, headers["Cache-Control"]) == (200, "no-store"), text
    return f"{relay.url}/{json.loads(text)['link']}"


def assert_reason(page, pattern, milliseconds=SENTENCE_MS):
    until(page, f"/{pattern}/.test(window.porthole?.reason)", milliseconds)


def test_who_has_the_link_sees_the_picture_and_speaks_to_nobody_but_page_tracker_and_relay(porthole, tracker, page):
    relay = share(porthole, tracker)
    requests, sockets = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto(link(relay))
    wait_until_playing(page)
    assert_counter_rises(page)
    page.wait_for_timeout(2500)  # what a page of the network asks by and by
    own = {"webtorrent.html", "webtorrent.js", "publish.js", "porthole.js", "share.js", "style.css", "icon.svg"}
    assert {url.removeprefix(relay.url + "/") for url in requests} <= own | {f"webtorrent.html#{page.url.split('#')[1]}"}, requests
    assert sockets == [tracker.url + "/"], sockets
    consumer = relay.stream("cam")["consumers"][0]
    assert consumer["format_name"] == "webtorrent" and "front-door" in consumer["user_agent"], consumer
    assert SECRET not in relay.log()


def test_the_page_may_connect_to_the_trackers_alone_and_the_other_pages_not_more_than_before(porthole, trackers):
    relay = share(porthole, trackers(), trackers())
    urls = [tracker["url"] for tracker in json.loads(relay.get("/api/webtorrent")[2])["trackers"]]

    def connects(path):
        return re.search("connect-src ([^;]*);", relay.get(path)[1]["Content-Security-Policy"])[1]

    assert connects("/webtorrent.html") == " ".join(urls)
    assert connects("/stream.html") == "'self' ws: wss:"


def test_the_tracker_learns_neither_the_description_nor_the_secret_nor_the_names(porthole, trackers, page):
    tracker = trackers(repeat=1)
    name = "hallway-camera"  # a short one is at times in what is random or encrypted
    relay = share(porthole, tracker, shares={"front-door": {"pwd": SECRET, "src": name}}, streams={name: CAMERA["cam"]})
    page.goto(link(relay, name))
    wait_until_playing(page)
    said = "\n".join(tracker.heard)
    assert '"answer"' in said and '"offer"' in said
    for secret in (SECRET, "front-door", name, "candidate", "fingerprint", "v=0", str(relay.media_port)):
        assert secret not in said, secret
    assert re.search(r'"info_hash": ?"[\w-]{20}"', said)


def test_a_tracker_that_repeats_an_offer_gets_one_session(porthole, trackers, page):
    relay = share(porthole, trackers(repeat=20))
    page.goto(link(relay))
    wait_until_playing(page)
    page.wait_for_timeout(1000)
    assert relay.viewers("cam") == 1
    assert relay.log().count("offer share=") == 1


def test_a_link_made_on_the_spot_turns_a_browser_into_the_camera(porthole, tracker, new_page):
    relay = share(porthole, tracker, shares={})
    status, _, text = relay.ask("POST", "/api/webtorrent?dst=studio")
    made = json.loads(text)
    assert status == 201 and len(made["pwd"]) >= 22 and len(made["share"]) == 10, text
    connected(relay)
    publisher, viewer = new_page(), new_page()
    publisher.goto(f"{relay.url}/{made['link']}")
    wait_until_playing(publisher)
    viewer.goto(f"{relay.url}/stream.html?src=studio")
    wait_until_playing(viewer)
    assert viewer.evaluate(PICTURE_CHANGES) >= 5
    assert relay.ask("DELETE", "/api/webtorrent?dst=studio")[0] == 200
    assert made["pwd"] not in relay.log()


def test_a_link_to_watch_sends_nothing(porthole, tracker, page):
    relay = share(porthole, tracker, shares={"s": {"pwd": SECRET, "src": "studio"}})
    page.goto(f"{link(relay, 'studio')}&media=camera")
    assert_reason(page, "^The relay says: ")
    assert not relay.stream("studio")["producers"]


def test_a_wrong_secret_and_a_broken_link_get_a_sentence(porthole, tracker, page):
    relay = share(porthole, tracker)
    right = link(relay)
    page.goto(right.replace(SECRET, SECRET[:-1] + "x"))
    assert_reason(page, "^Nobody is there under this link. Is it whole")
    page.goto("about:blank")
    page.goto(right.split("&")[0])
    assert_reason(page, "^This link is not whole")


def test_a_tracker_that_the_relay_does_not_use_is_out_of_the_page_s_reach_and_named(porthole, tracker, chromium):
    relay = share(porthole, tracker)
    context = chromium().new_context()  # the violation is what is wanted here
    page = context.new_page()
    page.goto(link(relay).replace(tracker.url, "ws://127.0.0.1:9"))
    assert_reason(page, "^No tracker of this link can be used .127.0.0.1:9: this page is not allowed to speak to it")
    context.close()


def test_a_tracker_that_goes_and_comes_back_takes_nobody_s_picture(porthole, tracker, new_page):
    relay = share(porthole, tracker)
    first, second = new_page(), new_page()
    first.goto(link(relay))
    wait_until_playing(first)
    tracker.stop()
    eventually(lambda: "no tracker=" in relay.log(), 5, "the loss is in the log")
    trackers = json.loads(relay.get("/api/webtorrent")[2])["trackers"]
    assert trackers[0]["state"] == "failed" and "127.0.0.1" in trackers[0]["error"], trackers
    second.goto(link(relay))
    assert_reason(second, "^No tracker of this link can be used")
    tracker.start()
    connected(relay)
    wait_until_playing(second, 20000)
    assert_counter_rises(first)
    assert relay.viewers("cam") == 2


GARBAGE = [
    "",
    "hello",
    "[]",
    "{}",
    "null",
    '{"offer":1}',
    '{"action":"announce","offer":{"sdp":5},"offer_id":[],"peer_id":{},"info_hash":null}',
    json.dumps({"offer": {"type": "offer", "sdp": "A" * 60000}, "offer_id": "x", "peer_id": "y", "info_hash": "z"}),
    json.dumps({"failure reason": "\x1b[31mgo away\n" * 50}),
    b"\x00\xff" * 500,
    '{"a":' * 5000,
]


def test_garbage_from_one_tracker_harms_neither_the_relay_nor_the_other_tracker(porthole, trackers, page):
    good, bad = trackers(), trackers(opening=GARBAGE * 4)
    relay = porthole(CAMERA, webtorrent={"trackers": [bad.url, good.url], "shares": SHARE}, log={"webtorrent": "debug"})
    eventually(lambda: "not what trackers say" in relay.log(), 10, "the relay leaves it")
    eventually(lambda: '"state":"connected"' in relay.get("/api/webtorrent")[2], 10, "the relay is at the good one")
    page.goto(link(relay))
    wait_until_playing(page)
    assert_counter_rises(page)
    assert bad.connections <= 6, "it is left alone for longer each time"
    assert "\x1b" not in relay.log()


def test_a_tracker_that_refuses_go2rtc_s_long_ids_is_named_once(porthole, tracker):
    relay = porthole(CAMERA, webtorrent={"trackers": [tracker.url], "shares": {**GO2RTC, **SHARE}})
    eventually(lambda: "invalid info_hash" in relay.log(), 10, "the refusal is in the log")
    told = json.loads(relay.get("/api/webtorrent")[2])["trackers"][0]
    assert told["state"] == "refusing" and "invalid info_hash" in told["error"], told
    assert relay.log().count("invalid info_hash") == 1


def test_a_message_that_is_too_long_ends_the_connection_and_not_the_relay(porthole, trackers):
    bad = trackers(opening=["x" * (1 << 20)])
    relay = porthole(CAMERA, webtorrent={"trackers": [bad.url], "shares": SHARE})
    eventually(lambda: "no tracker=" in relay.log(), 10, "the relay leaves it")
    assert relay.get("/api")[0] == 200


def test_without_a_share_no_tracker_is_spoken_to_and_the_last_one_s_end_ends_it(porthole, trackers):
    tracker = trackers(repeat=1)
    relay = share(porthole, tracker, shares={})
    time.sleep(1)
    assert tracker.connections == 0
    assert relay.ask("POST", "/api/webtorrent?src=cam")[0] == 201
    eventually(lambda: tracker.peers() == 1, 5, "it is announced")
    assert relay.ask("POST", "/api/webtorrent?dst=studio")[0] == 201
    eventually(lambda: tracker.peers() == 2, 5, "the second is announced, too")
    assert relay.ask("DELETE", "/api/webtorrent?src=cam")[0] == 200
    eventually(lambda: tracker.peers() == 1, 5, "the first has left")
    assert relay.ask("DELETE", "/api/webtorrent?dst=studio")[0] == 200
    eventually(lambda: tracker.peers() == 0, 5, "the relay has left")
    assert tracker.connections == 1


def test_the_api_answers_as_go2rtc_does(porthole, trackers):
    tracker = trackers(repeat=1)
    relay = share(porthole, tracker, shares=GO2RTC)

    def ask(line):
        method, path = line.split()
        status, _, text = relay.ask(method, f"/api/webtorrent{path.removeprefix('/')}")
        return status, text

    assert json.loads(ask("GET ?src=cam")[1]) | {"link": ""} == {"share": "garden-gate", "pwd": GO2RTC_PWD, "link": ""}
    listed = json.loads(ask("GET /")[1])
    assert (listed["sources"][0]["id"], listed["sources"][0]["url"]) == ("cam", f"webtorrent:?share=garden-gate&pwd={GO2RTC_PWD}")
    assert ask("GET ?src=studio")[0] == 404
    assert ask("POST ?src=cam")[0] == 400, "it exists"
    assert ask("POST ?src=nobody")[0] == 404
    assert ask("POST /")[0] == 400
    assert ask("PUT ?src=cam")[0] == 405
    assert ask("DELETE ?src=cam")[0] == 200
    assert ask("DELETE ?src=cam")[0] == 404
    assert ask("GET /") == (404, "no sources\n")
    status, text = ask("POST ?src=cam")
    assert status == 201 and {"share", "pwd"} <= json.loads(text).keys()


def test_secrets_are_told_to_the_relay_s_own_pages_only(porthole, tracker):
    relay = share(porthole, tracker)
    for fields in ({"Origin": "http://127.0.0.1"}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
        for method in ("GET", "POST", "DELETE"):
            status, _, text = relay.ask(method, "/api/webtorrent?src=cam", headers=fields)
            assert status == 403 and SECRET not in text, (method, fields)
    assert relay.get("/api/webtorrent?src=cam", headers={"Origin": relay.url, "Sec-Fetch-Site": "same-origin"})[0] == 200


def test_share_links_are_off_unless_the_configuration_speaks_of_them(porthole):
    relay = porthole(CAMERA)
    assert relay.get("/webtorrent.html")[0] == 404
    assert relay.get("/api/webtorrent")[0] == 404
    status, _, text = relay.ask("POST", "/api/webtorrent?src=cam")
    assert status == 403 and "webtorrent: {}" in text


def test_a_wrong_share_is_named_by_check_and_leaves_the_others_alone(porthole, tracker, tmp_path):
    shares = {"weak": {"pwd": "hunter2", "src": "cam"}, **SHARE}
    relay = share(porthole, tracker, shares=shares)
    assert "webtorrent.shares.weak.pwd: needs 22 random characters" in relay.log() and "hunter2" not in relay.log()
    assert link(relay)
    path = tmp_path / "check.yaml"
    path.write_text(json.dumps({"streams": CAMERA, "webtorrent": {"shares": shares}}))
    told = subprocess.run([BINARY, "check", path], capture_output=True, text=True, timeout=10, check=False)
    assert told.returncode == 1 and "webtorrent.shares.weak.pwd" in told.stderr and "hunter2" not in told.stderr


def test_saving_a_stream_keeps_the_shares(tracker, porthole, tmp_path):
    path = tmp_path / "porthole.yaml"
    text = f"webtorrent:\n  trackers: [{tracker.url}]\n  shares:\n    # ours\n    front-door: {{pwd: {SECRET}, src: cam}}\n"
    path.write_text(text)
    relay = porthole({"cam": "test:"}, arguments=["-c", str(path)])
    assert relay.ask("PUT", "/api/streams?name=new&src=test:")[0] == 200
    assert text in path.read_text() and "new:" in path.read_text()


def test_the_links_page_makes_shows_and_ends_a_share_link_with_a_code_to_scan(porthole, tracker, page, new_page):
    relay = share(porthole, tracker, shares={})
    page.goto(f"{relay.url}/links.html?src=cam")
    page.click("button[aria-label='Make one: Link to watch']")
    page.wait_for_selector("#shares .link")
    shown = page.locator("#shares .link").text_content()
    assert shown == link(relay)
    assert "any HTTPS web space" in page.locator("#shares").text_content()
    page.click("button[aria-label='QR code: Link to watch']")
    reader = new_page()
    assert scan(reader, page.locator("#code svg").screenshot()) == shown
    page.click("#code button")
    reader.goto(shown)
    wait_until_playing(reader)
    page.click("button[aria-label='End: Link to watch']")
    page.wait_for_selector("button[aria-label='Make one: Link to watch']")
    assert relay.get("/api/webtorrent?src=cam")[0] == 404


def test_a_copy_of_the_page_on_another_server_needs_nothing_of_the_relay_s_http(porthole, tracker, page, tmp_path):
    relay = share(porthole, tracker)
    page.goto(f"{relay.url}/links.html?src=cam")
    page.wait_for_selector("#shares .link")
    told = page.locator("#shares").text_content()
    files = re.search("put (.*) of this relay on any HTTPS web space", told)[1].replace(" and ", ", ").split(", ")
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in files:
        (copy / name).write_text(relay.get(f"/{name}")[2])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietFiles, directory=copy))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(f"http://localhost:{server.server_port}/{link(relay).removeprefix(relay.url + '/')}")
    wait_until_playing(page)
    assert_counter_rises(page)
    assert requests and all(url.startswith(f"http://localhost:{server.server_port}/") for url in requests), requests
    server.shutdown()


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


# go2rtc's version, written from its description: the foreign peer of these tests


class Go2rtc:
    """A visitor that speaks go2rtc's version."""

    def __init__(self, name, pwd):
        self.id = numerals(time.time_ns())
        self.place = base64.b64encode(hashlib.sha256(name.encode()).digest()).decode()
        self.key = AESGCM(hashlib.sha256(f"{self.id}:{pwd}".encode()).digest())
        self.nonce = hashlib.sha256(f"{name}:{self.id}".encode()).digest()[:12]

    def offer(self, sdp):
        sealed = base64.b64encode(self.key.encrypt(self.nonce, sdp.encode(), self.id.encode())).decode()
        offers = [{"offer_id": self.id, "offer": {"type": "offer", "sdp": sealed}}]
        return json.dumps({"action": "announce", "info_hash": self.place, "peer_id": "0123456789abcdef", "offers": offers, "numwant": 1})

    def open(self, sealed):
        return self.key.decrypt(self.nonce, base64.b64decode(sealed), self.id.encode()).decode()


def numerals(number):
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits


async def by_go2rtc(pc, tracker, pwd, seconds=15):
    """Offer and answer by go2rtc's version; None if no answer came."""
    visitor = Go2rtc("garden-gate", pwd)
    await pc.setLocalDescription(await pc.createOffer())
    async with websockets.connect(tracker.url) as socket:
        await socket.send(visitor.offer(pc.localDescription.sdp))
        try:
            async with asyncio.timeout(seconds):
                async for text in socket:
                    message = json.loads(text)
                    if message.get("offer_id") == visitor.id and "answer" in message:
                        sdp = visitor.open(message["answer"]["sdp"])
                        await pc.setRemoteDescription(RTCSessionDescription(sdp, message["answer"]["type"]))
                        return sdp
        except TimeoutError:
            return None


def test_a_client_of_go2rtc_s_version_watches(porthole, trackers):
    tracker = trackers(repeat=1)
    share(porthole, tracker, shares=GO2RTC)

    async def watch():
        pc = RTCPeerConnection()
        tracks = []
        pc.on("track", tracks.append)
        pc.addTransceiver("video", "recvonly")
        assert await by_go2rtc(pc, tracker, GO2RTC_PWD)
        async with asyncio.timeout(15):
            counters = [read_frame(await tracks[0].recv()) for _ in range(30)]
        await pc.close()
        return counters

    counters = in_thread(watch()).result(40)
    seen = [counter for counter in counters if counter is not None]
    assert len(seen) >= 20 and seen == sorted(seen), counters


def test_a_client_of_go2rtc_s_version_publishes_by_the_same_link(porthole, trackers, page):
    tracker = trackers(repeat=1)
    relay = share(porthole, tracker, shares={"garden-gate": {**GO2RTC["garden-gate"], "src": "studio"}})
    done = asyncio.Event()
    loops = []

    async def publish():
        loops.append(asyncio.get_running_loop())
        pc = RTCPeerConnection()
        pc.addTransceiver(Counter(), "sendonly")
        prefer_h264(pc.getTransceivers()[0])
        assert await by_go2rtc(pc, tracker, GO2RTC_PWD)
        await asyncio.wait_for(done.wait(), 40)
        await pc.close()

    publishing = in_thread(publish())
    page.goto(f"{relay.url}/stream.html?src=studio")
    wait_until_playing(page, 20000)
    assert_counter_rises(page)
    loops[0].call_soon_threadsafe(done.set)
    publishing.result(10)


def test_a_wrong_password_of_go2rtc_s_version_is_not_answered_and_in_the_log(porthole, trackers):
    tracker = trackers(repeat=1)
    relay = share(porthole, tracker, shares=GO2RTC, log={"webtorrent": "debug"})

    async def knock():
        pc = RTCPeerConnection()
        pc.addTransceiver("video", "recvonly")
        answer = await by_go2rtc(pc, tracker, "wrong", 3)
        await pc.close()
        return answer

    assert in_thread(knock()).result(20) is None
    assert "made with another password" in relay.log()
    assert relay.viewers("cam") == 0


def test_our_page_opens_links_of_go2rtc_s_version(porthole, trackers, page):
    relay = share(porthole, trackers(repeat=1), shares=GO2RTC)
    address = link(relay)
    assert "#share=garden-gate&pwd=" in address and "&media=video+audio&tr=ws://" in address
    page.goto(address)
    wait_until_playing(page)
    assert_counter_rises(page)


def test_in_our_own_version_a_visitor_of_go2rtc_s_is_not_answered(porthole, trackers):
    tracker = trackers(repeat=1)
    relay = share(porthole, tracker, shares={"garden-gate": {"pwd": SECRET, "src": "cam"}})

    async def knock():
        pc = RTCPeerConnection()
        pc.addTransceiver("video", "recvonly")
        answer = await by_go2rtc(pc, tracker, SECRET, 3)
        await pc.close()
        return answer

    assert in_thread(knock()).result(20) is None
    assert relay.viewers("cam") == 0
