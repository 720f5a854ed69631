"""With `listen: ""` the filters hold for calls to cameras: what a camera is told is what they leave."""

import queue
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from relay import free_media_port

RANGE = 40


@pytest.fixture
def camera():
    """A WHEP camera that keeps the offers it is sent, and has no picture."""
    offers = queue.Queue()

    class Camera(BaseHTTPRequestHandler):
        def do_POST(self):
            offers.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_error(503)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Camera)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"webrtc:http://127.0.0.1:{server.server_port}/whep", offers
    server.shutdown()
    server.server_close()


def told(offer):
    """`(protocol, address, port)` of each candidate."""
    lines = re.findall(r"(?m)^a=candidate:\S+ 1 (\S+) \d+ (\S+) (\d+) typ host", offer)
    return [(kind.lower(), address, int(port)) for kind, address, port in lines]


def test_a_camera_is_told_the_addresses_and_ports_that_the_filters_leave(porthole, camera):
    source, offers = camera
    first = free_media_port()
    filters = {"ips": ["127.0.0.1"], "networks": ["udp4"], "udp_ports": [first, first + RANGE]}
    relay = porthole({"cam": source}, webrtc={"listen": "", "filters": filters})
    relay.get("/api/streams?src=cam&video")
    candidates = told(offers.get(timeout=5))
    assert [(kind, address) for kind, address, _ in candidates] == [("udp", "127.0.0.1")], candidates
    assert all(first <= port <= first + RANGE for _, _, port in candidates), candidates


def test_a_camera_is_told_no_discovered_address_where_the_filters_leave_none(porthole, camera):
    source, offers = camera
    relay = porthole({"cam": source}, webrtc={"listen": "", "filters": {"candidates": []}, "candidates": ["192.0.2.7:9"]})
    relay.get("/api/streams?src=cam&video")
    assert told(offers.get(timeout=5)) == []
