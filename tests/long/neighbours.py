"""What else a board meets in its network, for a namespace of its own: `neighbours.py time OFFSET` is a time server that is
so many seconds ahead, `neighbours.py find NAME` asks the link for a name (multicast DNS) and prints its
address, `neighbours.py port NAME` for a service's port."""

import contextlib
import re
import socket
import struct
import sys
import time

NTP_EPOCH = 2_208_988_800
MDNS = ("224.0.0.251", 5353)
PATIENCE = 3


def serve_time(offset):
    door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    door.bind(("", 123))
    while True:
        request, client = door.recvfrom(512)
        now = int((time.time() + offset + NTP_EPOCH) * 2**32)
        version = request[0] & 0b00111000
        # stratum 1, its own reference, what the client sent given back
        answer = struct.pack("!BBbbII4sQ8sQQ", version | 4, 1, 4, -20, 0, 0, b"TEST", now, request[40:48], now, now)
        door.sendto(answer, client)


def encoded(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def ask(name, kind, value):
    """The first answer's `value`, a pattern with one group, of a record of that type that the name alone has."""
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    link.bind(("", MDNS[1]))
    link.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4s4si", socket.inet_aton(MDNS[0]), bytes(4), socket.if_nametoindex("tap0")))
    link.settimeout(0.5)
    question = struct.pack("!6H", 0, 0, 1, 0, 0, 0) + encoded(name) + struct.pack("!2H", kind, 1)
    # the time to live and the length come before the value
    record = re.compile(re.escape(encoded(name) + struct.pack("!2H", kind, 0x8001)) + b".{6}" + value, re.DOTALL)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        link.sendto(question, MDNS)
        with contextlib.suppress(TimeoutError):
            while not (found := record.search(link.recv(9000))):
                pass
            return found.group(1)
    return None


def find(name):
    address = ask(name, 1, b"(.{4})")
    return socket.inet_ntoa(address) if address else ""


def port(name):
    """Of a service."""
    found = ask(name, 33, b".{4}(.{2})")
    return int.from_bytes(found) if found else ""


if __name__ == "__main__":
    if sys.argv[1] == "time":
        serve_time(float(sys.argv[2]))
    else:
        print({"find": find, "port": port}[sys.argv[1]](sys.argv[2]))
