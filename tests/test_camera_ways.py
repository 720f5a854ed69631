"""Cameras that no direct UDP leads to: by a TURN server, or by TCP to an address that the camera tells."""

import json
import subprocess
import time

import pytest

from browser import assert_counter_rises, view
from cameras import Cameras
from namespaces import linked, run
from relay import eventually
from star import LINK, RELAY, RELAY6, TURN, TURN_SIDE, TURN_SIDE6, VIEWER_SIDE, VIEWER_SIDE6, ask
from test_turn_streams import OVER_TCP, OVER_TLS, OVER_UDP, certificate

# Between relay and camera nothing passes but signalling; between relay and TURN server one way, and nothing after a CUT.
ONLY_RELAYED = """
table inet ways {
  chain forward {
    type filter hook forward priority 0;
    ip saddr RELAY ip daddr CAMERA tcp dport DOOR accept
    ip saddr CAMERA ip daddr RELAY tcp sport DOOR accept
    ip saddr RELAY ip daddr CAMERA drop
    ip saddr CAMERA ip daddr RELAY drop
    ip saddr RELAY ip daddr TURN WAY accept
    ip saddr RELAY ip daddr TURN drop
  }
}
"""
CUT = "table inet cut {\n chain forward {\n type filter hook forward priority -1;\n ip saddr RELAY ip daddr TURN tcp dport 3478 reject with tcp reset\n }\n}\n"
PLACES = {"RELAY": RELAY, "CAMERA": VIEWER_SIDE, "TURN": TURN_SIDE}


def ice_servers(*urls, **login):
    return f"#ice_servers={json.dumps([{**TURN, **login, 'urls': list(urls)}])}"


class Far:
    """A camera behind a router, with a TURN server beside it."""

    def __init__(self, star, cameras, porthole):
        self.star, self.cameras, self.porthole = star, cameras, porthole

    def filter(self, rules, **words):
        for word, value in {**PLACES, **words}.items():
            rules = rules.replace(word, str(value))
        self.star.filter(rules)

    def start(self, dialect, *urls, way="meta l4proto { tcp, udp } th dport { 3478, 5349 }", environment=(), linger="200ms", own=(), **login):
        """`urls`: of TURN servers in the source; `own`: the relay's `ice_servers`."""
        self.filter(ONLY_RELAYED, DOOR=self.cameras.port, WAY=way)
        source = self.cameras.url(dialect).split("#ice_servers")[0] + (ice_servers(*urls, **login) if urls else "")
        prefix = [*self.star.within("relay"), *(["env", *environment] if environment else [])]
        self.relay = self.porthole({"cam": source}, prefix=prefix, address=RELAY, relay={"linger": linger}, webrtc={"ice_servers": list(own)})
        return self.relay

    def stream(self):
        return ask(self.star, self.relay, "/api/streams?src=cam")

    def producer(self):
        return self.stream()["producers"][0]

    def allocations(self):
        """How many coturn has: each is a socket of one of its relay ports."""
        return len(run(*self.star.within("turn"), "ss", "-unaH", "sport >= 50000 and sport <= 50099").stdout.splitlines())


@pytest.fixture
def far(star, porthole, tmp_path, request):
    cameras = Cameras(tmp_path, getattr(request, "param", None), address=VIEWER_SIDE, prefix=star.within("viewer")).start()
    try:
        yield Far(star, cameras, porthole)
    finally:
        cameras.kill()


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    "dialect, url, way",
    [(dialect, OVER_UDP, "udp dport 3478") for dialect in ("go2rtc", "whep", "creality", "milestone")] + [("kinesis", OVER_TCP, "tcp dport 3478"), ("openipc", OVER_TLS, "tcp dport 5349")],
    ids=["go2rtc-UDP", "WHEP-UDP", "Creality-UDP", "Milestone-UDP", "Kinesis-TCP", "OpenIPC-TLS"],
)
def test_a_camera_that_only_a_turn_server_leads_to_is_seen(far, new_page, star, tmp_path, dialect, url, way):
    (tmp_path / "certificates").mkdir()
    tls, authority = certificate(tmp_path / "certificates", f"IP:{TURN_SIDE}")
    star.coturn(tls=tls if url == OVER_TLS else "no-tls")
    relay = far.start(dialect, url, way=way, environment=[f"SSL_CERT_FILE={authority}"])
    page = new_page(star.chromium("relay"))
    view(page, relay)
    assert len(assert_counter_rises(page, seconds=4, video="seen.video")) >= 32, "smooth, too"
    assert far.producer()["protocol"].endswith("+relay"), far.producer()
    assert far.allocations() == 1
    page.evaluate("seen.pc.close()")
    eventually(lambda: far.allocations() == 0, 5, "the allocation is given back when nobody watches")
    why = far.cameras.wait("closed")["why"]
    assert why == "closed" or (dialect, why) == ("whep", "deleted"), "the camera hears of the end by the relayed way; WHEP's DELETE may come first"
    assert "s3cret" not in relay.log()


@pytest.mark.timeout(90)
@pytest.mark.parametrize("dialect", ["go2rtc", "whep"])
def test_a_camera_that_only_the_relays_own_turn_server_leads_to_is_seen(far, new_page, star, dialect):
    star.coturn()
    far.start(dialect, own=[TURN])
    page = new_page(star.chromium("relay"))
    view(page, far.relay)
    assert_counter_rises(page, seconds=1, video="seen.video")
    assert far.producer()["protocol"].endswith("+relay"), far.producer()


@pytest.fixture
def watched(far):
    """`watched(relay)`: somebody takes the stream, without WebRTC."""
    watchers = []

    def watch(relay):
        command = [*far.star.within("relay"), "curl", "-s", f"{relay.url}/api/streams?src=cam&video=all&audio=all"]
        watchers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))

    yield watch
    for watcher in watchers:
        watcher.terminate()
        watcher.wait(5)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("dialect", ["go2rtc", "whep"])
def test_a_camera_nearby_is_called_at_once_and_without_a_packet_to_the_relays_own_servers(far, star, watched, dialect):
    far.filter("table inet asked {\n chain forward {\n type filter hook forward priority 0;\n ip saddr RELAY ip daddr TURN counter drop\n }\n}\n")
    far.relay = far.porthole({"cam": far.cameras.url(dialect)}, prefix=star.within("relay"), address=RELAY, webrtc={"ice_servers": [TURN]})
    began = time.monotonic()
    watched(far.relay)
    far.cameras.wait("offer")
    assert time.monotonic() - began < 0.5, "no server is waited for"
    eventually(lambda: far.producer().get("state") == "connected", 10, "the camera is seen")
    time.sleep(3)
    assert "counter packets 0 " in run(*star.within("middle"), "nft", "list", "table", "inet", "asked").stdout


PUBLIC = "203.0.113.9"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("dialect, told", [("whep", True), ("creality", False), ("kinesis", False)])
def test_a_camera_on_the_internet_is_told_the_relayed_address_with_the_offer(far, star, watched, tmp_path, dialect, told):
    star.coturn()
    star.sides["viewer"].ip("address", "add", f"{PUBLIC}/32", "dev", LINK)
    star.sides["middle"].ip("route", "add", PUBLIC, "via", VIEWER_SIDE)
    cameras = Cameras(tmp_path, address=PUBLIC, prefix=star.within("viewer")).start()
    try:
        source = cameras.url(dialect).split("#ice_servers")[0]
        watched(far.porthole({"cam": source}, prefix=star.within("relay"), address=RELAY, webrtc={"ice_servers": [TURN]}))
        assert (" typ relay" in cameras.wait("offer")["sdp"]) == told
        assert (far.allocations() == 1) == told
    finally:
        cameras.kill()


OVER_IPV6 = f"turn:[{TURN_SIDE6}]:3478"
ONLY_RELAYED_IPV6 = """
table inet ways {
  chain forward {
    type filter hook forward priority 0;
    ip6 saddr RELAY ip6 daddr CAMERA meta l4proto udp drop
    ip6 saddr CAMERA ip6 daddr RELAY meta l4proto udp drop
  }
}
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "dialect, url, own", [("go2rtc", OVER_UDP, []), ("whep", OVER_IPV6, []), ("whep", None, [{**TURN, "urls": [OVER_IPV6]}])], ids=["server-at-IPv4", "server-at-IPv6", "the-relays-own"]
)
def test_a_camera_with_nothing_but_ipv6_is_seen_through_a_turn_server(porthole, star, new_page, tmp_path, dialect, url, own):
    star.add_v6()
    star.coturn(f"listening-ip={TURN_SIDE6}", f"relay-ip={TURN_SIDE6}")
    star.filter(ONLY_RELAYED_IPV6.replace("RELAY", RELAY6).replace("CAMERA", VIEWER_SIDE6))
    cameras = Cameras(tmp_path, address=VIEWER_SIDE6, prefix=star.within("viewer")).start()
    try:
        source = cameras.url(dialect) + (ice_servers(url) if url else "")
        relay = porthole({"cam": source}, prefix=star.within("relay"), address=RELAY, webrtc={"ice_servers": own})
        page = new_page(star.chromium("relay"))
        view(page, relay)
        assert_counter_rises(page, seconds=1, video="seen.video")
        producer = ask(star, relay, "/api/streams?src=cam")["producers"][0]
        assert producer["protocol"].endswith("+relay") and producer["remote_addr"].startswith(f"[{VIEWER_SIDE6}]:"), producer
    finally:
        cameras.kill()


LINK_FIELD = f'<{OVER_UDP}?transport=udp>; rel="ice-server"; username="user"; credential="s3cret"; credential-type="password"'


@pytest.mark.timeout(90)
@pytest.mark.parametrize("far", [{"link": LINK_FIELD}], indirect=True, ids=["Link"])
def test_a_turn_server_that_the_camera_names_in_its_answer_leads_to_it(far, new_page, star):
    star.coturn()
    far.start("whep")
    page = new_page(star.chromium("relay"))
    view(page, far.relay)
    assert_counter_rises(page, seconds=1, video="seen.video")
    assert far.producer()["protocol"] == "http+relay"


@pytest.mark.timeout(90)
def test_the_next_turn_server_is_asked_while_the_first_says_nothing(far, new_page, star):
    star.coturn()
    far.start("go2rtc", OVER_UDP, OVER_TCP, way="tcp dport 3478")
    page = new_page(star.chromium("relay"))
    view(page, far.relay)
    assert_counter_rises(page, seconds=1, video="seen.video")
    assert far.producer()["protocol"] == "ws+relay"


@pytest.mark.timeout(90)
def test_an_allocation_that_breaks_is_named_and_the_camera_called_again(far, new_page, star):
    star.coturn()
    far.start("go2rtc", OVER_TCP, OVER_UDP)
    page = new_page(star.chromium("relay"))
    view(page, far.relay)
    far.filter(CUT)
    eventually(lambda: "source ended" in far.relay.log(), 10, "the loss is noticed at once")
    assert f"the TURN server {OVER_TCP}: the " in far.relay.log()
    eventually(lambda: far.producer().get("state") == "connected", 20, "the camera is called again, by the other server's UDP")
    assert_counter_rises(page, seconds=1, video="seen.video")


@pytest.mark.timeout(90)
def test_a_direct_way_is_preferred_and_the_allocation_given_back(far, new_page, star):
    star.coturn()
    source = far.cameras.url("go2rtc") + ice_servers(OVER_UDP)
    far.relay = far.porthole({"cam": source}, prefix=star.within("relay"), address=RELAY)
    page = new_page(star.chromium("relay"))
    view(page, far.relay)
    assert far.producer()["protocol"] == "ws+udp"
    assert far.allocations() == 1
    eventually(lambda: far.allocations() == 0, 15, "the allocation is given back")
    assert_counter_rises(page, seconds=1, video="seen.video")


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    "urls, login, words",
    [([OVER_UDP], {"credential": "wrong"}, "refuses the username or the credential"), ([OVER_TLS], {}, "no connection to 10.77.53.2:5349: Connection refused")],
    ids=["wrong-credential", "nobody-there"],
)
def test_what_a_turn_server_refused_is_told_where_the_camera_is_not_seen(far, star, watched, urls, login, words):
    star.coturn()
    watched(far.start("go2rtc", *urls, linger="10s", **login))
    error = eventually(lambda: far.stream()["last_error"], 25, "the call is given up")
    assert "no packet of the camera arrived within 15 s" in error and f"({urls[0]}" in error and words in error, error
    assert "wrong" not in far.relay.log().replace(words, "")


@pytest.fixture
def apart(porthole):
    """Two relays with a link between them that carries no UDP: `apart()` gives the one that calls, and its namespace."""
    with linked() as (near, far):
        far.drop("meta l4proto udp")
        yield near, far


def watch(near, relay, page):
    view(page, relay)
    counters = assert_counter_rises(page, seconds=3, fps=15, video="seen.video")
    assert len(counters) >= 36, "smooth, too"
    return json.loads(near.run("curl", "-sf", relay.url + "/api/streams?src=cam").stdout)["producers"][0]


@pytest.mark.timeout(90)
@pytest.mark.parametrize("address", ["ws://10.77.42.2:{}/api/ws?src=yard", "http://10.77.42.2:{}/yard/whep"], ids=["go2rtc", "WHEP"])
def test_another_relay_is_reached_by_tcp_where_udp_is_dropped(porthole, new_page, apart, tmp_path, address):
    near, far = apart
    other = porthole({"yard": "test:?fps=15"}, prefix=far.prefix, address="10.77.42.2")
    relay = porthole({"cam": "webrtc:" + address.format(other.http_port)}, prefix=near.prefix, address="10.77.42.1", relay={"linger": "200ms"})
    page = new_page(near.chromium(tmp_path))
    producer = watch(near, relay, page)
    assert producer["protocol"].endswith("+tcp") and producer["remote_addr"] == f"10.77.42.2:{other.media_port}", producer
    page.evaluate("seen.pc.close()")
    connected = lambda: run(*near.prefix, "ss", "-tnH", "state", "established", "dport", f"= {other.media_port}").stdout  # noqa: E731
    eventually(lambda: not connected(), 5, "the connection is closed when nobody watches")


@pytest.mark.timeout(60)
def test_udp_is_taken_where_it_works_and_no_connection_is_made(porthole, page):
    other = porthole({"yard": "test:?fps=15"})
    relay = porthole({"cam": f"webrtc:ws://127.0.0.1:{other.http_port}/api/ws?src=yard"})
    view(page, relay)
    assert relay.stream("cam")["producers"][0]["protocol"] == "ws+udp"
    assert json.loads(other.get("/api/status")[2])["tcp_connections"] == 0


@pytest.mark.timeout(90)
def test_a_camera_whose_tcp_port_is_shut_too_is_an_error_that_names_it(porthole, apart):
    near, far = apart
    other = porthole({"yard": "test:?fps=15"}, prefix=far.prefix, address="10.77.42.2")
    far.drop(f"tcp dport {other.media_port}")
    relay = porthole({"cam": f"webrtc:ws://10.77.42.2:{other.http_port}/api/ws?src=yard"}, prefix=near.prefix, address="10.77.42.1")
    with subprocess.Popen([*near.prefix, "curl", "-s", f"{relay.url}/api/streams?src=cam&video=all&audio=all"], stdout=subprocess.DEVNULL):
        error = eventually(lambda: json.loads(near.run("curl", "-sf", relay.url + "/api/streams?src=cam").stdout)["last_error"], 25, "the call is given up")
    assert f"(tcp 10.77.42.2:{other.media_port}: no answer within 5 s)" in error, error
