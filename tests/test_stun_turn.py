"""The public address from STUN servers, media through a TURN server, and a router's forwarded port."""

import json
import os
import re
import socket
import struct
import subprocess
import threading
import time

import pytest

from browser import VIEWER, assert_counter_rises, until
from conftest import CHROMIUM
from offers import offer
from relay import eventually, free_port

COOKIE = bytes.fromhex("2112a442")
SDP = {"Content-Type": "application/sdp"}
LINK = "wire"
# coturn logs to files of its own and forks unless it is told otherwise
COTURN = """
listening-port=3478
listening-ip={ip}
relay-ip={ip}
min-port=50000
max-port=50099
fingerprint
lt-cred-mech
realm=example.org
user=user:s3cret
no-tls
no-dtls
no-cli
no-software-attribute
allow-loopback-peers
log-file=stdout
simple-log
pidfile={directory}/turnserver.pid
db={directory}/turndb
"""


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
    for _ in range(3):
        text, _, seconds = answered(relay)
        assert seconds < 0.05 and "203.0.113.7" not in text
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
    page.add_init_script("const Real = RTCPeerConnection; RTCPeerConnection = class extends Real { constructor(c) { super(c); window.given = c; } };")
    page.goto(f"{relay.url}/stream.html?src=cam")
    until(page, "window.given", 5000)
    assert page.evaluate("window.given.iceServers") == [
        {"urls": "stun:127.0.0.1:9"},
        {"urls": "turn:127.0.0.1:9?transport=udp", "username": 'us"er', "credential": "a\\b<&"},
    ]


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more)


class Networks:
    """Network namespaces in a star: `middle` forwards between the others, each on a link of its own."""

    def __init__(self, directory):
        self.directory = directory
        self.names = {side: f"porthole-{os.getpid()}-{side}" for side in ("middle", "relay", "viewer", "turn")}
        self.processes = []

    def build(self):
        for name in self.names.values():
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        for number, side in enumerate(("relay", "viewer", "turn"), 1):
            name, link = self.names[side], f"{LINK}{number}"
            run("ip", "-n", self.names["middle"], "link", "add", link, "type", "veth", "peer", "name", LINK, "netns", name)
            run("ip", "-n", self.names["middle"], "address", "add", f"10.77.5{number}.1/24", "dev", link)
            run("ip", "-n", self.names["middle"], "link", "set", link, "up")
            run("ip", "-n", name, "address", "add", f"10.77.5{number}.2/24", "dev", LINK)
            run("ip", "-n", name, "link", "set", LINK, "up")
            run("ip", "-n", name, "route", "add", "default", "via", f"10.77.5{number}.1")
        run(*self.within("middle"), "sysctl", "-qw", "net.ipv4.ip_forward=1")
        return self

    def within(self, side):
        return ["ip", "netns", "exec", self.names[side]]

    def filter(self, rules):
        run(*self.within("middle"), "nft", "-f", "-", input=rules)

    def coturn(self):
        config = self.directory / "turnserver.conf"
        config.write_text(COTURN.format(ip="10.77.53.2", directory=self.directory))
        log = open(self.directory / "turnserver.log", "wb")
        self.processes.append(subprocess.Popen([*self.within("turn"), "turnserver", "-c", str(config)], stdout=log, stderr=log, stdin=subprocess.DEVNULL))
        listens = lambda: ":3478" in run(*self.within("turn"), "ss", "-lun").stdout
        eventually(listens, 10, "coturn listens")

    def coturn_log(self):
        return (self.directory / "turnserver.log").read_text(errors="replace")

    def chromium(self):
        executable = self.directory / "chromium"
        executable.write_text(f'#!/bin/sh\nexec {" ".join(self.within("viewer"))} {CHROMIUM} "$@"\n')
        executable.chmod(0o755)
        return str(executable)

    def end(self):
        for process in self.processes:
            process.terminate()
            process.wait(10)
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@pytest.fixture
def networks(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root to make network namespaces")
    networks = Networks(tmp_path)
    try:
        yield networks.build()
    finally:
        networks.end()


# HTTP passes between viewer and relay; media has to go another way
NO_MEDIA = """
table inet filter {
  chain forward {
    type filter hook forward priority 0;
    ip saddr 10.77.51.2 ip daddr 10.77.52.2 tcp sport != HTTP drop
    ip saddr 10.77.52.2 ip daddr 10.77.51.2 tcp dport != HTTP drop
    ip saddr 10.77.51.2 ip daddr 10.77.52.2 meta l4proto udp drop
    ip saddr 10.77.52.2 ip daddr 10.77.51.2 meta l4proto udp drop
  }
}
"""
NO_TURN = """
table inet filter {
  chain forward {
    type filter hook forward priority 0;
    ip daddr 10.77.53.2 drop
  }
}
"""
TURN = {"urls": ["turn:10.77.53.2:3478"], "username": "user", "credential": "s3cret"}


def relayed(porthole, networks, **webrtc):
    networks.coturn()
    relay = porthole({"cam": "test:?fps=15"}, prefix=networks.within("relay"), address="10.77.51.2", webrtc={"ice_servers": [TURN], **webrtc})
    networks.filter(NO_MEDIA.replace("HTTP", str(relay.http_port)))
    return relay


def ask(networks, relay, path):
    return json.loads(run(*networks.within("relay"), "curl", "-sf", relay.url + path).stdout)


def play(page, relay, dialect, script=VIEWER):
    page.goto(relay.url + "/publish.html")
    page.evaluate(script, {"dialect": dialect, "base": relay.url, "src": "cam", "tcp": False})
    until(page, "seen.firstAt > 0 && seen.connectedAt > 0", 20000)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("dialect", ["whep", "webrtc/offer"])
def test_a_viewer_that_cannot_reach_the_relay_plays_through_a_turn_server(porthole, new_page, networks, dialect):
    relay = relayed(porthole, networks)
    page = new_page(networks.chromium())
    play(page, relay, dialect)
    assert_counter_rises(page, seconds=2, fps=15, video="seen.video")
    consumer = ask(networks, relay, "/api/streams?src=cam")["consumers"][0]
    assert consumer["protocol"].endswith("+relay"), consumer
    assert ask(networks, relay, "/api/status")["turn_servers"][0]["allocations"] == 1
    # the allocation is given back with the session
    page.evaluate("seen.pc.close()")
    eventually(lambda: ask(networks, relay, "/api/status")["turn_servers"][0]["allocations"] == 0, 5, "the allocation is released")
    assert "s3cret" not in relay.log()


@pytest.mark.timeout(120)
def test_both_sides_may_use_the_same_turn_server(porthole, new_page, networks):
    relay = relayed(porthole, networks)
    servers = json.dumps([{**TURN, "urls": TURN["urls"][0]}])
    only_relayed = VIEWER.replace("new RTCPeerConnection()", f"new RTCPeerConnection({{ iceTransportPolicy: 'relay', iceServers: {servers} }})")
    assert only_relayed != VIEWER
    page = new_page(networks.chromium())
    play(page, relay, "webrtc/offer", only_relayed)
    assert_counter_rises(page, seconds=2, fps=15, video="seen.video")


@pytest.mark.timeout(120)
def test_where_a_direct_way_exists_the_allocation_is_given_back(porthole, new_page, networks):
    networks.coturn()
    relay = porthole({"cam": "test:?fps=15"}, prefix=networks.within("relay"), address="10.77.51.2", webrtc={"ice_servers": [TURN]})
    page = new_page(networks.chromium())
    play(page, relay, "whep")
    assert ask(networks, relay, "/api/streams?src=cam")["consumers"][0]["protocol"] == "http+udp"
    eventually(lambda: ask(networks, relay, "/api/status")["turn_servers"][0]["allocations"] == 0, 30, "the allocation is released")
    assert_counter_rises(page, seconds=1, fps=15, video="seen.video")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("credential, error", [("wrong", "refuses the username or the credential"), ("s3cret", None)])
def test_an_answer_waits_for_a_turn_server_a_moment_only(porthole, networks, credential, error):
    networks.coturn()
    servers = [{**TURN, "credential": credential}]
    relay = porthole({"cam": "test:"}, prefix=networks.within("relay"), address="10.77.51.2", webrtc={"ice_servers": servers})
    eventually(lambda: ask(networks, relay, "/api/status")["uptime_s"] >= 1, 5, "the server's address is known")
    (networks.directory / "offer.sdp").write_text(offer())
    post = ["curl", "-sf", "-w", "\n%{time_total}", "-H", "Content-Type: application/sdp", "--data-binary", f"@{networks.directory}/offer.sdp", f"{relay.url}/cam/whep"]
    run(*networks.within("relay"), *post)
    if error is None:
        text = run(*networks.within("relay"), *post).stdout
        assert re.search(r"candidate:relay4 1 udp 16777215 10\.77\.53\.2 50\d\d\d typ relay", text), text
        networks.filter(NO_TURN)
        text, seconds = run(*networks.within("relay"), *post).stdout.rsplit("\n", 1)
        assert "typ relay" not in text and 0.25 < float(seconds) < 0.5, seconds
    else:
        assert error in ask(networks, relay, "/api/status")["turn_servers"][0]["error"]
        text, seconds = run(*networks.within("relay"), *post).stdout.rsplit("\n", 1)
        assert "typ relay" not in text and float(seconds) < 0.1, "a server that refused is left alone"


# a home's router: everything inside leaves with its outer address, one port leads inside
ROUTER = """
table inet nat {
  chain prerouting {
    type nat hook prerouting priority dstnat;
    iifname != "wire1" meta l4proto { tcp, udp } th dport OUTER dnat ip to 10.77.51.2:MEDIA
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    iifname "wire1" masquerade
  }
}
table inet filter {
  chain forward {
    type filter hook forward priority 0;
    ip daddr 10.77.51.2 tcp dport HTTP accept
    ip daddr 10.77.51.2 ct status dnat accept
    ip daddr 10.77.51.2 ct state established accept
    ip daddr 10.77.51.2 drop
  }
}
"""


@pytest.mark.timeout(120)
def test_a_viewer_outside_plays_through_the_forwarded_port_of_a_router(porthole, new_page, networks):
    networks.coturn()  # a STUN server on the Internet
    outer = free_port()
    webrtc = {"candidates": [f"stun:{outer}"], "ice_servers": [{"urls": ["stun:10.77.53.2:3478"]}]}
    relay = porthole({"cam": "test:?fps=15"}, prefix=networks.within("relay"), address="10.77.51.2", webrtc=webrtc)
    rules = {"OUTER": outer, "MEDIA": relay.media_port, "HTTP": relay.http_port}
    networks.filter(re.sub("OUTER|MEDIA|HTTP", lambda found: str(rules[found[0]]), ROUTER))
    found = lambda: [entry["address"] for entry in ask(networks, relay, "/api/status")["public"]]
    # the first look went out before there was a router; a new one is taken when somebody asks for the picture
    page = new_page(networks.chromium())
    eventually(found, 10, "a public address")
    subprocess.run([*networks.within("relay"), "ip", "address", "add", "10.77.51.3/24", "dev", LINK], check=True)
    eventually(lambda: found()[0].startswith("10.77.53.1:"), 20, "the router's outer address")
    play(page, relay, "whep")
    assert_counter_rises(page, seconds=2, fps=15, video="seen.video")
    pair = page.evaluate(
        """async () => { const r = await seen.pc.getStats(); for (const s of r.values()) if (s.type === 'transport')
           return r.get(r.get(s.selectedCandidatePairId).remoteCandidateId); }"""
    )
    assert pair["address"] == "10.77.53.1" and pair["protocol"] == "udp", pair
