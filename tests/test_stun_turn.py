"""The public address from STUN servers, and media through a TURN server over UDP."""

import json
import re
import socket
import struct
import threading
import time

import pytest

from browser import assert_counter_rises, until
from namespaces import run
from offers import offer
from relay import at_best, eventually
from star import NO_MEDIA, ONLY_RELAYED, TURN, ask, play

COOKIE = bytes.fromhex("2112a442")
SDP = {"Content-Type": "application/sdp"}


class StunServer(threading.Thread):
    """Answers Binding requests with whatever address it is told; `None`: stays silent."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.address = address
        self.clients = []
        self.start()

    def run(self):
        while True:
            request, client = self.socket.recvfrom(2000)
            self.clients.append(client)
            if self.address is None or request[:2] != b"\0\1":
                continue
            ip, port = self.address
            value = struct.pack("!BBH", 0, 1, port ^ 0x2112) + bytes(a ^ b for a, b in zip(socket.inet_aton(ip), COOKIE))
            self.socket.sendto(struct.pack("!HH", 0x101, 12) + request[4:20] + struct.pack("!HH", 0x20, 8) + value, client)


def status(relay):
    return json.loads(relay.get("/api/status")[2])


def answered(relay):
    started = time.monotonic()
    code, headers, text = relay.ask("POST", "/cam/whep", offer(), SDP)
    assert code == 201, text
    return text, headers, time.monotonic() - started


def candidates(text):
    return re.findall(r"^a=(candidate:.*?)\r?$", text, re.MULTILINE)


def test_the_public_address_is_that_of_the_media_port_and_stands_in_the_answer(porthole):
    server = StunServer(("203.0.113.7", 40000))
    webrtc = {"candidates": ["stun:9555"], "ice_servers": [{"urls": [f"stun:127.0.0.1:{server.port}"]}]}
    relay = porthole({"cam": "test:"}, webrtc=webrtc)
    public = eventually(lambda: status(relay)["public"], 3, "the public address is found")
    assert public[0]["address"] == "203.0.113.7:40000"
    assert {port for _, port in server.clients} == {relay.media_port}, "asked from the media socket"
    lines = candidates(answered(relay)[0])
    host = [line for line in lines if " 203.0.113.7 9555 typ host" in line]
    assert {line.split()[2] for line in host} == {"udp", "tcp"}, lines
    assert any(f" 203.0.113.7 40000 typ srflx raddr 127.0.0.1 rport {relay.media_port}" in line for line in lines), lines
    assert status(relay)["stun_servers"][0]["error"] is None


def test_a_server_that_is_silent_is_passed_over_and_delays_no_answer(porthole):
    silent, server = StunServer(None), StunServer(("203.0.113.7", 40000))
    urls = [f"stun:127.0.0.1:{silent.port}", f"stun:127.0.0.1:{server.port}"]
    relay = porthole({"cam": "test:"}, webrtc={"ice_servers": [{"urls": urls}]})
    answered(relay)  # starts the source
    answers = [answered(relay) for _ in range(3)]
    assert not any("203.0.113.7" in text for text, _, _ in answers)
    assert min(seconds for *_, seconds in answers) < 0.05, "at best: a busy machine delays one or another"
    eventually(lambda: status(relay)["public"], 5, "the second server is asked")
    assert "did not answer within 3 s" in status(relay)["stun_servers"][0]["error"]
    assert "203.0.113.7" in answered(relay)[0]


def test_nobody_is_asked_where_the_settings_say_nothing_of_servers(porthole):
    relay = porthole({"cam": "test:"}, webrtc={"candidates": ["stun:8555"], "ice_servers": []})
    found = status(relay)
    assert (found["public"], found["stun_servers"], found["turn_servers"]) == ([], [], [])
    _, headers, _ = answered(relay)
    assert headers["Link"] is None
    assert "asks a STUN server for the public address" in relay.log()


def test_players_are_told_of_the_servers_in_the_form_that_they_read(porthole):
    servers = [{"urls": ["stun:127.0.0.1:9"]}, {"urls": ["turn:127.0.0.1:9"], "username": "user", "credential": "s3cret"}]
    relay = porthole({"cam": "test:"}, webrtc={"ice_servers": servers})
    expected = [
        '<stun:127.0.0.1:9>; rel="ice-server"',
        '<turn:127.0.0.1:9?transport=udp>; rel="ice-server"; username="user"; credential="s3cret"; credential-type="password"',
    ]
    assert answered(relay)[1].get_all("Link") == expected
    for path in ("/cam/whep", "/cam/whip", "/api/webrtc?src=cam"):
        code, headers, _ = relay.ask("OPTIONS", path)
        assert (code, headers.get_all("Link")) == (204, expected)
    assert "s3cret" not in relay.log() and "s3cret" not in relay.get("/api/status")[2]


def test_our_own_page_uses_the_servers(porthole, page):
    servers = [{"urls": ["stun:127.0.0.1:9"]}, {"urls": ["turn:127.0.0.1:9"], "username": "us\"er", "credential": "a\\b<&"}]
    relay = porthole({"cam": "test:"}, webrtc={"ice_servers": servers})
    page.add_init_script("const Real = RTCPeerConnection; RTCPeerConnection = class extends Real { setConfiguration(c) { super.setConfiguration(c); window.given = c; } };")
    page.goto(f"{relay.url}/stream.html?src=cam")
    until(page, "window.given", 5000)
    assert page.evaluate("window.given.iceServers") == [
        {"urls": "stun:127.0.0.1:9"},
        {"urls": "turn:127.0.0.1:9?transport=udp", "username": 'us"er', "credential": "a\\b<&"},
    ]


NO_TURN = """
table inet filter {
  chain forward {
    type filter hook forward priority 0;
    ip daddr 10.77.53.2 drop
  }
}
"""


def relayed(porthole, star, **webrtc):
    star.coturn()
    relay = porthole({"cam": "test:?fps=15"}, prefix=star.within("relay"), address="10.77.51.2", webrtc={"ice_servers": [TURN], **webrtc})
    star.filter(NO_MEDIA.replace("HTTP", str(relay.http_port)))
    return relay


@pytest.mark.timeout(120)
@pytest.mark.parametrize("dialect", ["whep", "webrtc/offer"])
def test_a_viewer_that_cannot_reach_the_relay_plays_through_a_turn_server(porthole, new_page, star, dialect):
    relay = relayed(porthole, star)
    page = new_page(star.chromium())
    play(page, relay, dialect)
    assert_counter_rises(page, seconds=2, fps=15, video="seen.video")
    consumer = ask(star, relay, "/api/streams?src=cam")["consumers"][0]
    assert consumer["protocol"].endswith("+relay"), consumer
    assert ask(star, relay, "/api/status")["turn_servers"][0]["allocations"] == 1
    # the allocation is given back with the session
    page.evaluate("seen.pc.close()")
    eventually(lambda: ask(star, relay, "/api/status")["turn_servers"][0]["allocations"] == 0, 5, "the allocation is released")
    assert "s3cret" not in relay.log()


@pytest.mark.timeout(120)
def test_both_sides_may_use_the_same_turn_server(porthole, new_page, star):
    relay = relayed(porthole, star)
    page = new_page(star.chromium())
    play(page, relay, "webrtc/offer", ONLY_RELAYED)
    assert_counter_rises(page, seconds=2, fps=15, video="seen.video")


@pytest.mark.timeout(120)
def test_where_a_direct_way_exists_the_allocation_is_given_back(porthole, new_page, star):
    star.coturn()
    relay = porthole({"cam": "test:?fps=15"}, prefix=star.within("relay"), address="10.77.51.2", webrtc={"ice_servers": [TURN]})
    page = new_page(star.chromium())
    play(page, relay, "whep")
    assert ask(star, relay, "/api/streams?src=cam")["consumers"][0]["protocol"] == "http+udp"
    eventually(lambda: ask(star, relay, "/api/status")["turn_servers"][0]["allocations"] == 0, 30, "the allocation is released")
    assert_counter_rises(page, seconds=1, fps=15, video="seen.video")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("credential, error", [("wrong", "refuses the username or the credential"), ("s3cret", None)])
def test_an_answer_waits_for_a_turn_server_a_moment_only(porthole, star, credential, error):
    star.coturn()
    servers = [{**TURN, "credential": credential}]
    relay = porthole({"cam": "test:"}, prefix=star.within("relay"), address="10.77.51.2", webrtc={"ice_servers": servers})
    eventually(lambda: ask(star, relay, "/api/status")["uptime_s"] >= 1, 5, "the server's address is known")
    (star.directory / "offer.sdp").write_text(offer())
    post = ["curl", "-sf", "-w", "\n%{time_total}", "-H", "Content-Type: application/sdp", "--data-binary", f"@{star.directory}/offer.sdp", f"{relay.url}/cam/whep"]

    def told():
        return run(*star.within("relay"), *post).stdout.rsplit("\n", 1)

    def seconds_without_relay():
        text, seconds = told()
        assert "typ relay" not in text
        return float(seconds)

    told()
    if error is None:
        text, _ = told()
        assert re.search(r"candidate:relay4 1 udp 16777215 10\.77\.53\.2 50\d\d\d typ relay", text), text
        star.filter(NO_TURN)
        assert 0.25 < at_best(seconds_without_relay) < 0.5
    else:
        assert error in ask(star, relay, "/api/status")["turn_servers"][0]["error"]
        assert at_best(seconds_without_relay) < 0.1, "a server that refused is left alone"
