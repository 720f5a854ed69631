"""TURN over TCP and over TLS, for networks that let nothing else out."""

import json
import re
import socket
import threading
import time

import pytest

from browser import assert_counter_rises
from namespaces import run
from offers import offer
from relay import at_best, eventually
from star import NO_MEDIA, ONLY_RELAYED, TURN, ask, play

# Of all that the relay could say to the TURN server only one way is left.
ONLY = """
table inet turn {
  chain forward {
    type filter hook forward priority 0;
    ip saddr 10.77.51.2 ip daddr 10.77.53.2 WAY accept
    ip saddr 10.77.51.2 ip daddr 10.77.53.2 drop
  }
}
"""
# What a router does that forgot its connections.
CUT = """
table inet cut {
  chain forward {
    type filter hook forward priority 0;
    ip saddr 10.77.51.2 tcp dport 3478 reject with tcp reset
  }
}
"""
OVER_UDP, OVER_TCP, OVER_TLS = "turn:10.77.53.2:3478", "turn:10.77.53.2:3478?transport=tcp", "turns:10.77.53.2:5349"


def certificate(directory, name):
    """A certificate authority of our own, and what it says for `name`; coturn's settings and the authority's file."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run("openssl", "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test", cwd=directory)
    run("openssl", "req", *key, "-keyout", "turn.key", "-out", "turn.csr", "-subj", "/CN=turn", cwd=directory)
    (directory / "extensions").write_text(f"subjectAltName={name}\n")
    run("openssl", "x509", "-req", "-in", "turn.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "extensions", "-out", "turn.pem", cwd=directory)
    for file in directory.iterdir():
        file.chmod(0o644)  # coturn may drop its rights before it reads them
    return f"tls-listening-port=5349\ncert={directory}/turn.pem\npkey={directory}/turn.key", directory / "ca.pem"


@pytest.fixture
def start(porthole, star, tmp_path):
    """A relay whose TURN servers are these; media has no direct way. `name`: for whom the server's certificate is."""

    def begin(*urls, way="tcp dport { 3478, 5349 }", name=None, trusted=True):
        prefix, tls = star.within("relay"), "no-tls"
        if name is not None:
            directory = tmp_path / "certificates"
            directory.mkdir()
            tls, authority = certificate(directory, name)
            prefix = [*prefix, "env", f"SSL_CERT_FILE={authority}"] if trusted else prefix
        star.coturn(tls=tls)
        star.filter(ONLY.replace("WAY", way))
        relay = porthole({"cam": "test:?fps=15"}, prefix=prefix, address="10.77.51.2", webrtc={"ice_servers": [{**TURN, "urls": list(urls)}]})
        star.filter(NO_MEDIA.replace("HTTP", str(relay.http_port)))
        return relay

    return begin


def servers(star, relay):
    return ask(star, relay, "/api/status")["turn_servers"]


def post(star, relay):
    """The answer to an offer, and its seconds."""
    file = star.directory / "offer.sdp"
    file.write_text(offer())
    command = ["curl", "-sf", "-w", "\n%{time_total}", "-H", "Content-Type: application/sdp", "--data-binary", f"@{file}", f"{relay.url}/cam/whep"]
    text, seconds = run(*star.within("relay"), *command).stdout.rsplit("\n", 1)
    return text, float(seconds)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("url, port", [(OVER_TCP, 3478), (OVER_TLS, 5349)], ids=["TCP", "TLS"])
def test_a_viewer_plays_where_only_a_stream_leads_to_the_turn_server(start, new_page, star, url, port):
    relay = start(url, way=f"tcp dport {port}", name="IP:10.77.53.2" if port == 5349 else None)
    page = new_page(star.chromium())
    play(page, relay, "webrtc/offer", ONLY_RELAYED)
    counters = assert_counter_rises(page, seconds=5, fps=15, video="seen.video")
    assert len(counters) >= 60, "smooth, too"
    consumer = ask(star, relay, "/api/streams?src=cam")["consumers"][0]
    assert consumer["protocol"].endswith("+relay"), consumer
    assert [(server["allocations"], server["error"]) for server in servers(star, relay)] == [(1, None)]
    page.evaluate("seen.pc.close()")
    eventually(lambda: servers(star, relay)[0]["allocations"] == 0, 5, "the allocation is given back")
    eventually(lambda: f":{port}" not in run(*star.within("relay"), "ss", "-tnH", "state", "established", "dst", "10.77.53.2").stdout, 5, "the connection is closed")
    assert "s3cret" not in relay.log()


@pytest.mark.timeout(120)
def test_where_udp_is_blocked_the_next_server_serves_by_tcp_and_is_kept_to(start, new_page, star):
    relay = start(OVER_UDP, OVER_TCP)
    post(star, relay)  # the first one learns that UDP leads nowhere; it gets TCP's when that is known
    eventually(lambda: "did not answer" in (servers(star, relay)[0]["error"] or ""), 12, "the first server is given up")
    eventually(lambda: servers(star, relay)[1]["allocations"] == 1, 3, "its session gets an allocation by TCP")
    page = new_page(star.chromium())
    play(page, relay, "webrtc/offer", ONLY_RELAYED)
    assert_counter_rises(page, seconds=1, fps=15, video="seen.video")
    assert servers(star, relay)[0]["allocations"] == 0


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "name, trusted, remedy",
    [("IP:10.77.53.2", False, "name its authority's file in SSL_CERT_FILE"), ("DNS:turn.example.org", True, "it names another host")],
    ids=["of-nobody", "of-another"],
)
def test_a_certificate_that_does_not_count_is_an_error_that_says_what_to_do(start, star, name, trusted, remedy):
    relay = start(OVER_TLS, name=name, trusted=trusted)
    assert "typ relay" not in post(star, relay)[0]
    error = eventually(lambda: servers(star, relay)[0]["error"], 5, "the status tells of it")
    assert "no TLS with 10.77.53.2: the server's certificate does not count" in error and remedy in error, error
    assert error in relay.log()
    assert at_best(lambda: post(star, relay)[1]) < 0.1, "a server that failed is left alone"


@pytest.mark.timeout(60)
def test_a_connection_that_breaks_takes_its_allocation_and_not_the_relay_along(start, new_page, star):
    relay = start(OVER_TCP)
    page = new_page(star.chromium())
    play(page, relay, "webrtc/offer", ONLY_RELAYED)
    star.processes[-1].kill()  # coturn
    eventually(lambda: servers(star, relay)[0]["error"], 5, "the loss is noticed")
    assert re.search("the server ended the connection|the connection to the server broke", servers(star, relay)[0]["error"])
    assert servers(star, relay)[0]["allocations"] == 0
    assert at_best(lambda: post(star, relay)[1]) < 0.1


@pytest.mark.timeout(60)
def test_a_viewer_goes_on_by_the_next_server_when_the_connection_to_the_first_breaks(start, new_page, star):
    relay = start(OVER_TCP, OVER_UDP, way="meta l4proto { tcp, udp } th dport 3478")
    page = new_page(star.chromium())
    play(page, relay, "webrtc/offer", ONLY_RELAYED)
    assert [server["allocations"] for server in servers(star, relay)] == [1, 0]
    star.filter(CUT)
    eventually(lambda: [server["allocations"] for server in servers(star, relay)] == [0, 1], 10, "the next server is asked")
    assert_counter_rises(page, seconds=2, fps=15, video="seen.video")
    assert page.evaluate("seen.pc.connectionState") == "connected"


class Mute(threading.Thread):
    """Takes every connection and says nothing, or says this."""

    def __init__(self, greeting=b""):
        super().__init__(daemon=True)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.greeting = greeting
        self.taken = []
        self.start()

    def run(self):
        while True:
            connection = self.server.accept()[0]
            connection.sendall(self.greeting)
            self.taken.append(connection)


def timed(relay):
    began = time.monotonic()
    status, _, text = relay.ask("POST", "/cam/whep", offer(), {"Content-Type": "application/sdp"})
    assert status == 201 and "typ relay" not in text
    return time.monotonic() - began


@pytest.mark.parametrize("scheme, after", [("turn:127.0.0.1:{}?transport=tcp", "did not answer within 8 s"), ("turns:127.0.0.1:{}", "speaks no TLS")], ids=["TCP", "TLS"])
def test_a_server_that_takes_connections_and_says_nothing_delays_no_answer_longer_than_promised(porthole, scheme, after):
    mute = Mute()
    relay = porthole({"cam": "test:"}, webrtc={"ice_servers": [{**TURN, "urls": [scheme.format(mute.port)]}]})
    error = lambda: json.loads(relay.get("/api/status")[2])["turn_servers"][0]["error"]  # noqa: E731
    eventually(lambda: json.loads(relay.get("/api/status")[2])["uptime_s"] >= 1, 5, "the server's address is known")
    delays = [timed(relay) for _ in range(4)]  # the first starts the source, too
    assert 0.25 < min(delays) and sorted(delays)[1] < 0.5, f"at its best, {delays}"
    assert len(mute.taken) > 0
    assert after in eventually(error, 12, "the server is given up")
    assert at_best(lambda: timed(relay)) < 0.1, "it is left alone"


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\1\xff\xf0" * 5000, b"\x40\0\xff\xff" + bytes(70000)], ids=["HTTP", "nonsense", "too-long"])
def test_a_server_that_speaks_something_else_is_named_and_costs_no_time(porthole, greeting):
    mute = Mute(greeting)
    relay = porthole({"cam": "test:"}, webrtc={"ice_servers": [{**TURN, "urls": [f"turn:127.0.0.1:{mute.port}?transport=tcp"]}]})
    eventually(lambda: json.loads(relay.get("/api/status")[2])["uptime_s"] >= 1, 5, "the server's address is known")
    timed(relay)
    assert at_best(lambda: timed(relay)) < 0.1
    error = json.loads(relay.get("/api/status")[2])["turn_servers"][0]["error"]
    assert "what answers there does not speak TURN" in error
