"""Every form of `webrtc.listen` is bound as it says, and plays."""

import json
import os
import socket

import pytest

from browser import assert_counter_rises, protocol, view
from relay import free_media_port


def candidates(relay):
    """`(protocol, address, port)` of what peers are told."""
    fields = [line.split() for line in json.loads(relay.get("/api/status")[2])["candidates"]]
    return [(f[2], f[4], int(f[5])) for f in fields]


def bound(kind, address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as probe:
        try:
            probe.bind((address, port))
            return False
        except OSError:
            return True


@pytest.mark.parametrize(
    ("listen", "udp", "tcp", "plays_over"),
    [
        ("127.0.0.1:{port}", "fixed", "fixed", "udp"),
        ("127.0.0.1:{port}/udp", "fixed", "none", "udp"),
        ("127.0.0.1:{port}/tcp", "random", "fixed", "udp"),
        ("", "random", "none", "udp"),
        ("[::1]:{port}", "fixed", "fixed", "udp"),
    ],
    ids=["both", "udp", "tcp", "random", "IPv6"],
)
def test_the_media_port_is_bound_as_listen_says_and_plays(porthole, page, listen, udp, tcp, plays_over):
    port = free_media_port()
    relay = porthole({"cam": "test:?fps=15"}, webrtc={"listen": listen.format(port=port)})
    told = candidates(relay)
    ports = {name: {p for kind, _, p in told if kind == name} for name in ("udp", "tcp")}
    for name, wish in (("udp", udp), ("tcp", tcp)):
        assert {"fixed": ports[name] == {port}, "none": not ports[name], "random": ports[name] and port not in ports[name]}[wish], (name, told)
    for kind, address, number in told:
        assert bound(socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM, address, number), (kind, address, number)
    view(page, relay)
    assert protocol(page) == plays_over
    assert_counter_rises(page, seconds=1, fps=15, video="seen.video")


def test_a_viewer_plays_over_tcp_on_the_same_port_over_ipv6_too(porthole, page):
    relay = porthole({"cam": "test:?fps=15"}, webrtc={"listen": f"[::1]:{free_media_port()}"})
    view(page, relay, tcp=True)
    assert protocol(page) == "tcp"
    assert_counter_rises(page, seconds=1, fps=15, video="seen.video")


def test_a_port_that_is_taken_is_an_error_that_names_the_setting_and_the_rest_serves(porthole, page):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        relay = porthole({"cam": "test:?fps=15"}, webrtc={"listen": f"127.0.0.1:{port}"})
        assert "cannot listen on udp" in relay.log() and "webrtc.listen" in relay.log()
        assert any("cannot listen on udp" in problem for problem in json.loads(relay.get("/api/status")[2])["problems"])
        page.goto(relay.url)
        notice = page.locator("#problems")
        notice.wait_for()
        assert f"(pid {os.getpid()})" in notice.inner_text() and str(port) in notice.inner_text()
        view(page, relay)
        assert protocol(page) == "tcp"


def test_a_listen_that_makes_no_sense_ends_the_start_and_says_why(tmp_path):
    import subprocess

    from relay import BINARY

    run = subprocess.run([BINARY, "-c", "webrtc.listen=8555"], cwd=tmp_path, capture_output=True, text=True, timeout=5, check=False)
    assert run.returncode == 1
    assert "webrtc.listen" in run.stderr + run.stdout
