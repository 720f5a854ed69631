"""Clients that take all they can get leave the relay usable for the others."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from namespaces import linked
from relay import Relay

# Four addresses of one machine, and an IPv6 network, hold WebSockets and answers that they do not read; then somebody else asks.
GREEDY = """
import json, socket, sys, time
port = int(sys.argv[1])
SOCKET = b"GET /api/ws?src=cam HTTP/1.1\\r\\nHost: relay\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\nSec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n"
STREAMS = b"GET /api/streams HTTP/1.1\\r\\nHost: relay\\r\\n\\r\\n"

def connect(source, small=False):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    connection = socket.socket(family)
    if small:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.settimeout(5)
    connection.bind((source, 0))
    connection.connect(("fd00:77::1" if ":" in source else "10.77.42.1", port))
    return connection

def ask(source, request, small=False):
    connection = connect(source, small)
    try:
        connection.sendall(request)
        return connection, int(connection.recv(12)[9:12] or 0)
    except ConnectionError:
        return connection, 0

held, opened = [], {101: 0, 200: 0, 503: 0}
for client in range(5):
    for number in range(20):
        source = f"fd00:77::{number + 16:x}" if client == 4 else f"10.77.42.{client + 2}"
        connection, status = ask(source, SOCKET if number % 2 else STREAMS, small=True)
        opened[status] = opened.get(status, 0) + 1
        held.append(connection)
started = time.monotonic()
first, status = ask("10.77.42.9", STREAMS)
first.close()
_, upgraded = ask("10.77.42.9", SOCKET)
print(json.dumps({"opened": opened, "status": status, "upgraded": upgraded, "seconds": time.monotonic() - started}), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def relay_and_network(tmp_path):
    with linked() as (here, there):
        for last in range(3, 10):
            there.run("ip", "address", "add", f"10.77.42.{last}/24", "dev", "wire0")
        here.run("ip", "address", "add", "fd00:77::1/64", "dev", "wire0", "nodad")
        for last in range(16, 36):
            there.run("ip", "address", "add", f"fd00:77::{last:x}/64", "dev", "wire0", "nodad")
        streams = {"cam": "test:", **{f"s{number}": f"rtsp://10.77.42.200/{'x' * 1000}{number}" for number in range(110)}}
        relay = Relay(tmp_path, streams, prefix=here.prefix, address="10.77.42.1")
        relay.config["api"]["listen"] = f":{relay.http_port}"
        relay.start()
        try:
            yield relay, here, there
        finally:
            relay.stop()


def test_greedy_clients_of_a_network_leave_places_and_time_for_others_and_for_the_relays_own_machine(relay_and_network):
    relay, here, there = relay_and_network
    command = [*there.prefix, sys.executable, "-c", GREEDY, str(relay.http_port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as greedy:
        seen = json.loads(greedy.stdout.readline())
        assert seen["opened"]["101"] >= 10 and seen["opened"]["200"] >= 10 and seen["opened"]["503"] >= 1, seen
        assert (seen["status"], seen["upgraded"]) == (200, 101) and seen["seconds"] < 1, seen
        own = here.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{time_total}", f"http://127.0.0.1:{relay.http_port}/api/streams").stdout.split()
        assert own[0] == "200" and float(own[1]) < 1, own
        resident = int(pathlib.Path(f"/proc/{relay.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
        assert resident < 64 << 20, resident
        greedy.communicate("\n")
