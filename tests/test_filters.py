"""Every filter in a network of its own: what is bound, what is told and what the manual says agree.

The relay's namespace has a LAN (`lan0`, with a viewer's namespace at the other end), a second network (`wifi0`), a
container bridge (`docker0`) and a VPN in Docker's range (`tun0`).
"""

import json
import pathlib
import re
import subprocess
import sys
import time

import pytest

from namespaces import named
from relay import BINARY, eventually

LAN, LAN6, WIFI, DOCKER, TUN = "10.77.42.1", "fd77:42::1", "10.77.43.1", "172.17.0.1", "172.29.0.1"
VIEWER = "10.77.42.2"
ALL = {LAN, LAN6, WIFI, DOCKER, TUN, "127.0.0.1", "::1"}
PORT = 8555
NEW_ADDRESS_SECONDS = 2

# Runs in the viewer's namespace: a viewer by WHEP that prints each received frame's moment and the pair in use.
PLAYER = pathlib.Path(__file__).resolve().parent / "peers" / "player.py"


class Network:
    def __init__(self, relay_side, viewer_side):
        self.relay_side, self.viewer_side = relay_side, viewer_side
        self.prefix, self.ip = relay_side.prefix, relay_side.ip

    def inside(self, *command):
        return self.relay_side.run(*command).stdout


@pytest.fixture
def network():
    with named("relay", "viewer") as (relay_side, viewer_side):
        relay_side.ip("link", "add", "docker0", "type", "bridge")
        for device in ("lan0", "wifi0", "tun0"):
            relay_side.link(device, viewer_side)
        for address, device in ((f"{LAN}/24", "lan0"), (f"{WIFI}/24", "wifi0"), (f"{DOCKER}/16", "docker0"), (f"{TUN}/16", "tun0")):
            relay_side.ip("address", "add", address, "dev", device)
        relay_side.ip("address", "add", f"{LAN6}/64", "dev", "lan0", "nodad")
        relay_side.ip("link", "set", "docker0", "up")
        viewer_side.ip("address", "add", f"{VIEWER}/24", "dev", "lan0")
        yield Network(relay_side, viewer_side)


def status(relay, network):
    return json.loads(network.inside("curl", "-sf", f"{relay.url}/api/status"))


def told(candidates):
    """`{(protocol, address, port)}` of candidate lines."""
    fields = [line.removeprefix("a=").split() for line in candidates]
    return {(f[2], f[4], int(f[5])) for f in fields}


def answered(relay, network, host=None):
    """What an answer tells."""
    from offers import offer

    headers = ["-H", f"Host: {host}"] if host else []
    command = ["curl", "-sf", "-X", "POST", "-H", "Content-Type: application/sdp", *headers, "--data-binary", "@-", f"{relay.url}/api/webrtc?src=cam"]
    sdp = subprocess.run([*network.prefix, *command], input=offer(), check=True, capture_output=True, text=True).stdout
    return told(line for line in sdp.splitlines() if line.startswith("a=candidate:"))


def sockets(network, relay):
    """`{(protocol, address, port)}` of the relay's sockets, as `ss` shows them, without the API's."""
    found = set()
    for line in network.inside("ss", "-lnutpH").splitlines():
        fields = line.split()
        address, port = fields[4].rsplit(":", 1)
        if f"pid={relay.pid}," in line and int(port) != relay.http_port:
            found.add((fields[0], re.sub(r"%.*|[\[\]]", "", address), int(port)))
    return found


def start(porthole, network, listen, filters, candidates=(), **more):
    return porthole(
        {"cam": "test:?fps=15"}, prefix=network.prefix, address=LAN, http_port=1984,
        webrtc={"listen": listen, "filters": filters, "candidates": list(candidates)}, api={"listen": "0.0.0.0:1984"}, **more,
    )


@pytest.fixture
def start_relay(porthole, network):
    def begin(listen=f":{PORT}", filters=None, candidates=(), **more):
        return start(porthole, network, listen, filters or {}, candidates, **more)

    return begin


BOTH = ("udp", "tcp")
WILD = {(kind, address, PORT) for kind in BOTH for address in ("0.0.0.0", "::")}


def at(*addresses, kinds=BOTH, port=PORT):
    return {(kind, address, port) for kind in kinds for address in addresses}


FILTERS = {
    "none": ({}, WILD, at(LAN, LAN6, WIFI)),
    "loopback": ({"loopback": True}, WILD, at(LAN, LAN6, WIFI, "127.0.0.1", "::1")),
    "candidates": ({"candidates": [WIFI]}, WILD, at(WIFI)),
    "candidates-none": ({"candidates": []}, WILD, set()),
    "networks-v4": ({"networks": ["udp4", "tcp4"]}, at("0.0.0.0"), at(LAN, WIFI)),
    "networks-udp6": ({"networks": ["udp6"]}, at("::", kinds=["udp"]), at(LAN6, kinds=["udp"])),
    "networks-tcp4": ({"networks": ["tcp4"]}, at("0.0.0.0", kinds=["tcp"]), at(LAN, WIFI, kinds=["tcp"])),
    "interfaces": ({"interfaces": ["lan0"]}, at(LAN, LAN6), at(LAN, LAN6)),
    "interfaces-docker": ({"interfaces": ["lan0", "docker0"]}, at(LAN, LAN6, DOCKER), at(LAN, LAN6, DOCKER)),
    "ips": ({"ips": [LAN]}, at(LAN), at(LAN)),
    "ips-and-networks": ({"ips": [LAN, LAN6], "networks": ["udp4", "tcp6"]}, at(LAN, kinds=["udp"]) | at(LAN6, kinds=["tcp"]), at(LAN, kinds=["udp"]) | at(LAN6, kinds=["tcp"])),
    "exclude": ({"exclude_interfaces": ["wifi*", "tun?"]}, at(LAN, LAN6, DOCKER, "127.0.0.1", "::1"), at(LAN, LAN6)),
    "docker-include": ({"docker": "include"}, WILD, at(LAN, LAN6, WIFI, DOCKER, TUN)),
    "docker-exclude": ({"docker": "exclude"}, at(LAN, LAN6, WIFI, TUN, "127.0.0.1", "::1"), at(LAN, LAN6, WIFI)),
    "docker-exclude-though-named": ({"docker": "exclude", "interfaces": ["docker0", "lan0"]}, at(LAN, LAN6), at(LAN, LAN6)),
}


@pytest.mark.parametrize("name", FILTERS)
def test_what_is_bound_and_what_is_told_follow_from_each_filter(start_relay, network, name):
    filters, bound, expected = FILTERS[name]
    relay = start_relay(filters=filters)
    assert sockets(network, relay) == bound
    seen = status(relay, network)
    assert told(seen["candidates"]) == expected
    assert answered(relay, network) == expected
    assert {f"{kind} [{address}]:{port}" if ":" in address else f"{kind} {address}:{port}" for kind, address, port in bound} == set(seen["listen"])
    # each address of the machine is explained
    verdicts = {v["ip"]: v for v in seen["addresses"] if not v["ip"].startswith("fe80")}
    assert set(verdicts) == ALL
    for ip, verdict in verdicts.items():
        assert verdict["advertised"] == (ip in {address for _, address, _ in expected}), verdict
        assert verdict["advertised"] == (verdict["reason"] is None), verdict


LISTEN = {
    f":{PORT}/udp": (at("0.0.0.0", "::", kinds=["udp"]), at(LAN, LAN6, WIFI, kinds=["udp"])),
    f"0.0.0.0:{PORT}": (at("0.0.0.0"), at(LAN, WIFI)),
    f"[::]:{PORT}": (WILD, at(LAN, LAN6, WIFI)),
    f"{WIFI}:{PORT}": (at(WIFI), at(WIFI)),
    f"{DOCKER}:{PORT}/udp": (at(DOCKER, kinds=["udp"]), at(DOCKER, kinds=["udp"])),
    f"[{LAN6}]:{PORT}": (at(LAN6), at(LAN6)),
}


@pytest.mark.parametrize("listen", LISTEN)
def test_what_is_bound_and_what_is_told_follow_from_listen(start_relay, network, listen):
    bound, expected = LISTEN[listen]
    relay = start_relay(listen)
    assert sockets(network, relay) == bound
    assert answered(relay, network) == told(status(relay, network)["candidates"]) == expected


def answers_udp(network, address):
    """Does a STUN check of a session that does not exist at least reach a socket? A closed port is refused by ICMP."""
    code = f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.3)
s.connect(({address!r}, {PORT}))
s.send(b'x')
try:
    s.recv(10)
except ConnectionRefusedError:
    print('refused')
except TimeoutError:
    print('open')
"""
    return network.inside(sys.executable, "-c", code).strip() == "open"


def test_addresses_that_a_filter_leaves_out_do_not_answer(start_relay, network):
    start_relay(filters={"ips": [LAN]})
    assert answers_udp(network, LAN)
    assert not answers_udp(network, WIFI)
    assert not answers_udp(network, "127.0.0.1")


@pytest.mark.parametrize("listen", ["", f":{PORT}/tcp"])
def test_random_udp_ports_come_from_the_range_and_a_full_range_is_a_problem_that_names_it(start_relay, network, listen):
    relay = start_relay(listen, {"udp_ports": [50000, 50001], "networks": ["udp4", "tcp4"]})
    ports = {port for kind, _, port in answered(relay, network) if kind == "udp"}
    assert ports and ports <= {50000, 50001}
    assert {port for kind, _, port in sockets(network, relay) if kind == "udp"} == ports
    assert any(kind == "tcp" for kind, _, _ in sockets(network, relay)) == bool(listen)


def hold(network, *ports):
    code = f"""
import socket, time
held = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in {ports!r}]
for s, port in zip(held, {ports!r}):
    s.bind(('0.0.0.0', port))
print('held', flush=True)
time.sleep(60)
"""
    holder = subprocess.Popen([*network.prefix, sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    return holder


def test_without_any_free_port_viewers_are_told_and_the_relay_recovers_by_itself(start_relay, network):
    holder = hold(network, 50000, 50001)
    try:
        relay = start_relay("", {"udp_ports": [50000, 50001], "networks": ["udp4"]})
        problem = status(relay, network)["problems"][0]
        assert "50000 to 50001" in problem and "webrtc.filters.udp_ports" in problem
        code = network.inside("curl", "-s", "-w", "%{http_code}", "-X", "POST", "-H", "Content-Type: application/sdp", "-d", "v=0", f"{relay.url}/cam/whep")
        assert "no media port" in code and code.endswith("503")
        network.inside("curl", "-sf", f"{relay.url}/api/streams")
    finally:
        holder.kill()
        holder.wait()
    eventually(lambda: not status(relay, network)["problems"], 15, "the port is bound when it is free")
    assert answered(relay, network)


def test_a_port_that_is_taken_names_the_program_that_holds_it(start_relay, network):
    holder = hold(network, PORT)
    try:
        relay = start_relay()
        problem = status(relay, network)["problems"][0]
        assert f"(pid {holder.pid})" in problem and "python" in problem, problem
        assert {kind for kind, address, _ in answered(relay, network) if "." in address} == {"tcp"}
        assert problem in relay.log()
    finally:
        holder.kill()
        holder.wait()


def test_names_and_the_host_of_the_request_become_candidates(start_relay, network, tmp_path):
    relay = start_relay(f":{PORT}", {"candidates": []}, ["203.0.113.7:9000/tcp", "localhost:8555", "auto"])
    eventually(lambda: ("udp", "127.0.0.1", 8555) in told(status(relay, network)["candidates"]), 5, "the name is looked up")
    seen = {c for c in answered(relay, network, host="192.168.44.1:1984") if c[1] not in ("127.0.0.1", "::1")}
    assert seen == {("tcp", "203.0.113.7", 9000)} | at("192.168.44.1")
    assert "192.168.44.1" not in {address for _, address, _ in answered(relay, network, host="localhost:1984")}


class Player:
    """A viewer in the viewer's namespace: aiortc, which prints a line for each frame."""

    def __init__(self, network, address, output):
        url = f"http://{address}:1984/api/webrtc?src=cam"
        command = [*network.viewer_side.prefix, sys.executable, str(PLAYER), url]
        self.output = output
        with open(output, "wb") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=file)

    @property
    def text(self):
        return self.output.read_text()

    def seen(self):
        return self.text.count("frame")

    def plays(self, seconds):
        """Waits for a further frame; how long that took."""
        before, began = self.seen(), time.monotonic()
        while self.seen() <= before:
            assert time.monotonic() - began < seconds, f"no frame within {seconds} s: {self.text[-300:]}"
            time.sleep(0.02)
        return time.monotonic() - began

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def new_player(network, tmp_path):
    players = []

    def begin(address):
        players.append(Player(network, address, tmp_path / f"player-{len(players)}.log"))
        return players[-1]

    yield begin
    for player in players:
        player.stop()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("filters", [{}, {"interfaces": ["lan0"]}], ids=["wildcard", "socket-for-each-address"])
def test_a_renumbered_interface_serves_new_viewers_within_two_seconds(start_relay, network, new_player, filters):
    relay = start_relay(filters={**filters, "networks": ["udp4", "tcp4"]})
    first = new_player(LAN)
    first.plays(10)
    fresh = "10.77.42.9"
    network.ip("address", "add", f"{fresh}/24", "dev", "lan0")
    network.ip("address", "del", f"{LAN}/24", "dev", "lan0")  # takes its secondary addresses along
    network.ip("address", "replace", f"{fresh}/24", "dev", "lan0")
    changed = time.monotonic()
    relay.address = fresh
    ready = lambda: {(k, a) for k, a, _ in told(status(relay, network)["candidates"])} & {("udp", fresh), ("udp", LAN)} == {("udp", fresh)}  # noqa: E731
    eventually(ready, NEW_ADDRESS_SECONDS, "the new address is told and the old one is not")
    told_after = time.monotonic() - changed
    if filters:
        assert sockets(network, relay) == at(fresh)
    second = new_player(fresh)
    second.plays(10)
    assert f"connected {fresh}" in second.text
    connected_after = int(re.findall(r"viewer connected .* after=(\d+)ms", relay.log())[-1]) / 1000
    assert told_after + connected_after < NEW_ADDRESS_SECONDS
    for line in (f"address gone interface=lan0 ip={LAN}", f"address new interface=lan0 ip={fresh}"):
        assert relay.log().count(line) >= 1, relay.log()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("filters", [{}, {"interfaces": ["lan0"]}], ids=["wildcard", "socket-for-each-address"])
def test_a_viewer_survives_an_interface_that_goes_down_and_up(start_relay, network, new_player, filters):
    relay = start_relay(filters={**filters, "networks": ["udp4", "tcp4"]})
    viewer = new_player(LAN)
    viewer.plays(10)
    network.ip("link", "set", "lan0", "down")
    eventually(lambda: "address gone interface=lan0" in relay.log(), NEW_ADDRESS_SECONDS, "the change is told")
    assert LAN not in {address for _, address, _ in told(status(relay, network)["candidates"])}
    network.ip("link", "set", "lan0", "up")
    changed = time.monotonic()
    eventually(lambda: LAN in {address for _, address, _ in told(status(relay, network)["candidates"])}, NEW_ADDRESS_SECONDS, "the address is told again")
    told_after = time.monotonic() - changed
    second = new_player(LAN)
    second.plays(10)
    connected_after = int(re.findall(r"viewer connected .* after=(\d+)ms", relay.log())[-1]) / 1000
    assert told_after + connected_after < NEW_ADDRESS_SECONDS
    viewer.plays(10)
    assert relay.log().count("viewer connected") == 2, "the first one did not have to come again"


def test_an_ipv6_address_is_told_only_when_it_is_usable(start_relay, network):
    relay = start_relay(filters={"interfaces": ["lan0"]})
    fresh = "fd77:42::77"
    network.inside("sysctl", "-qw", "net.ipv6.conf.lan0.dad_transmits=3")
    network.ip("address", "add", f"{fresh}/64", "dev", "lan0")
    tentative = "tentative" in network.ip("address", "show", "dev", "lan0", "to", f"{fresh}/128")
    while "tentative" in network.ip("address", "show", "dev", "lan0", "to", f"{fresh}/128"):
        seen = status(relay, network)
        still = "tentative" in network.ip("address", "show", "dev", "lan0", "to", f"{fresh}/128")
        assert not still or fresh not in {address for _, address, _ in told(seen["candidates"])}
        assert not seen["problems"]
        time.sleep(0.1)
    eventually(lambda: fresh in {a for _, a, _ in told(status(relay, network)["candidates"])}, NEW_ADDRESS_SECONDS, "it is told")
    assert ("udp", fresh, PORT) in sockets(network, relay)
    assert tentative, "the kernel did not look for others with this address; the test saw nothing"


def test_check_prints_every_contradiction_with_its_place_and_ends_with_1(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("webrtc:\n  listen: ':8555'\n  candidates:\n    - stun:8555\n  filters:\n    udp_ports: [50000, 50100]\n    network: [udp4]\n    ips: []\n  ice_servers: []\n")
    check = subprocess.run([BINARY, "check", str(file)], capture_output=True, text=True, check=False)
    assert check.returncode == 1
    for place in (":4:7: webrtc.candidates.0: ", ":6:5: webrtc.filters.udp_ports: ", ":7:5: webrtc.filters.network: unknown key", ":8:5: webrtc.filters.ips: "):
        assert f"{file}{place}" in check.stderr, check.stderr
    file.write_text(file.read_text().replace("    ips: []\n", ""))
    assert subprocess.run([BINARY, "check", str(file)], capture_output=True, check=False).returncode == 0
