"""The log as a stream, the first body without an end: who follows it sees each line, who stalls costs little and is let go, others are served."""

import http.client
import json
import os
import pathlib
import socket
import ssl
import threading
import time

import pytest

from memory import resident_kib, unharmed
from relay import PATIENCE, eventually

FOLLOW = b"GET /api/log/follow HTTP/1.1\r\nHost: localhost\r\n\r\n"
# places that the programs of one machine have for what lasts, of those of WebSockets and streams together
PLACES = 28
# lines of the flood: with fewer the log would have room for all of them
LINES = 15_000
WRITE_SECONDS = 10
# what the system may keep for one of them, unsent and not yet taken
QUEUED = 128 * 1024
DEBUG = {"log": {"level": "debug"}}


def stalled(relay):
    """A follower that reads the first bytes and no more, with little room to receive."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(10)
    connection.connect((relay.address, relay.http_port))
    connection.sendall(FOLLOW)
    return connection, int(connection.recv(12)[9:12])


def flood(relay, lines):
    """Causes that many lines at least, by requests on one connection."""
    connection = http.client.HTTPConnection(relay.address, relay.http_port, timeout=10)
    for number in range(lines):
        connection.request("GET", f"/api/none-{number}")
        connection.getresponse().read()
    connection.close()


def queued(relay):
    """The most bytes that the system keeps for one client of the relay."""
    rows = [row.split() for row in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return max((int(row[4].split(":")[0], 16) for row in rows if int(row[1].split(":")[1], 16) == relay.http_port), default=0)


class Follower:
    """Reads the messages of the log on a thread of its own."""

    def __init__(self, relay):
        self.messages = []
        self.connection = http.client.HTTPConnection(relay.address, relay.http_port, timeout=30)
        self.connection.request("GET", "/api/log/follow")
        self.response = self.connection.getresponse()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            while line := self.response.readline():
                self.messages.append(json.loads(line)["message"])
        except (http.client.IncompleteRead, OSError, ValueError):
            pass  # the end of the relay, or ours

    def sees(self, text, seconds=5):
        eventually(lambda: any(text in message for message in list(self.messages)), seconds, f"{text!r} in the log")


def test_a_follower_sees_what_was_logged_and_each_line_that_comes(porthole):
    relay = porthole({}, **DEBUG)
    follower = Follower(relay)
    assert (follower.response.status, follower.response.headers["Content-Type"]) == (200, "application/jsonlines")
    follower.sees("porthole version=")
    begun = time.monotonic()
    relay.get("/api/here-i-am")
    follower.sees("/api/here-i-am 404")
    assert time.monotonic() - begun < 1 * PATIENCE
    status, _, text = relay.get("/api/log")
    assert status == 200
    kept = [json.loads(line)["message"] for line in text.splitlines()]
    eventually(lambda: follower.messages[: len(kept)] == kept, 5, "the follower has the same lines")
    relay.stop()
    follower.thread.join(5)
    assert not follower.thread.is_alive()


def test_a_follower_that_speaks_http_1_0_gets_lines_without_chunks(porthole):
    relay = porthole({}, **DEBUG)
    with socket.create_connection((relay.address, relay.http_port), timeout=10) as connection:
        connection.sendall(b"GET /api/log/follow HTTP/1.0\r\n\r\n")
        answer = b""
        while b"porthole version=" not in answer:
            answer += connection.recv(65536)
    head, body = answer.split(b"\r\n\r\n", 1)
    assert b"Transfer-Encoding" not in head and b"Content-Length" not in head and b"\r\nConnection: close" in head, head
    assert json.loads(body.splitlines()[0])["level"] == "info"


def test_over_tls_lines_come_at_once_and_the_stream_ends_with_its_client(porthole, tmp_path, monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    relay = porthole({}, api={"tls": "auto"}, **DEBUG)
    own, trusted = sockets(relay), ssl.create_default_context(cafile=str(tmp_path / "state/porthole-tls/ca.crt"))
    with socket.create_connection((relay.address, relay.http_port), timeout=5 * PATIENCE) as plain:
        with trusted.wrap_socket(plain, server_hostname="localhost") as secure:
            secure.sendall(FOLLOW)
            answer = b""
            for text in (b"/api/log/follow 200", b"/api/here-i-am 404"):
                while text not in answer:
                    answer += secure.recv(65536)
                relay.get("/api/here-i-am")
    eventually(lambda: sockets(relay) <= own, 5, "the stream ends with its client")


def test_behind_nginx_lines_come_at_once_and_not_when_a_buffer_is_full(porthole, nginx):
    relay = porthole({}, **DEBUG)
    own, port = sockets(relay), nginx(relay)
    with socket.create_connection(("127.0.0.1", port), timeout=5 * PATIENCE) as connection:
        connection.sendall(b"GET /webcam/api/log/follow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while b"/api/log/follow 200" not in answer:  # its own line, the last one
            answer += connection.recv(65536)
        relay.get("/api/here-i-am")
        while b"/api/here-i-am 404" not in answer:
            answer += connection.recv(65536)
    eventually(lambda: sockets(relay) <= own, 5, "the stream ends when nginx has lost its client")


@pytest.mark.parametrize("fields, expected", [({}, 200), ({"Origin": "http://elsewhere.example"}, 403), ({"Host": "elsewhere.example"}, 421)])
def test_whoever_may_not_read_the_log_may_not_follow_it(porthole, fields, expected):
    relay = porthole({})
    for path in ("/api/log", "/api/log/follow"):
        connection = http.client.HTTPConnection(relay.address, relay.http_port, timeout=10)
        connection.request("GET", path, headers=fields)
        assert connection.getresponse().status == expected, path
        connection.close()


def test_followers_that_stall_cost_little_and_are_let_go_while_others_are_served(porthole):
    relay = porthole({}, **DEBUG)
    flood(relay, 100)
    before, own = resident_kib(relay), sockets(relay)
    held = [stalled(relay) for _ in range(PLACES + 1)]
    assert [status for _, status in held] == [200] * PLACES + [503]
    held.pop()[0].close()
    # A place comes back when its follower leaves, and the last one is for somebody who reads.
    held.pop()[0].close()
    eventually(lambda: stalls_end(relay), 5, "a place that was left is free")
    begun = time.monotonic()
    with unharmed(relay, growth_kib=4 * 1024):
        flood(relay, LINES)
        assert queued(relay) < QUEUED, queued(relay)
    text = relay.get("/api/log")[2]
    assert len(text) > 100_000
    # All that was logged for all of them would be more than this by far.
    assert len(text) * len(held) > 4 * 1024 * 1024 and resident_kib(relay) - before < 4 * 1024
    eventually(lambda: sockets(relay) <= own, begun + WRITE_SECONDS * PATIENCE + 5 - time.monotonic(), "followers that do not read are let go")
    for connection, _ in held:
        assert len(rest(connection)) < 2 * QUEUED
    follower = Follower(relay)
    relay.get("/api/the-end")
    follower.sees("/api/the-end 404")


def stalls_end(relay):
    connection, status = stalled(relay)
    connection.close()
    return status == 200


def sockets(relay):
    """How many of them the relay has open."""
    links = [os.readlink(link) for link in pathlib.Path(f"/proc/{relay.pid}/fd").iterdir() if link.is_symlink()]
    return sum(link.startswith("socket:") for link in links)


def rest(connection):
    """What still comes until the connection ends."""
    received = b""
    try:
        while some := connection.recv(65536):
            received += some
    except ConnectionResetError:
        pass
    return received
