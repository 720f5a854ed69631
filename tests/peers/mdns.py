"""A browser's end of multicast DNS: answers questions for one name, and says what was asked and who sends STUN checks.

    mdns.py ADDRESS NAME PORT
"""

import select
import socket
import struct
import sys

GROUP = "224.0.0.251"


def question(data):
    """Name and type of a query's only question."""
    flags, questions = struct.unpack("!HH", data[2:6])
    if flags & 0x8000 or questions != 1:  # an answer, or one that browsers do not read
        return None
    labels, at = [], 12
    while data[at]:
        labels.append(data[at + 1 : at + 1 + data[at]].decode())
        at += 1 + data[at]
    return ".".join(labels), struct.unpack("!H", data[at + 1 : at + 3])[0]


def answer(name, address):
    owner = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    return struct.pack("!HHHHHH", 0, 0x8400, 0, 1, 0, 0) + owner + struct.pack("!HHIH", 1, 0x8001, 120, 4) + socket.inet_aton(address)


def main(address, name, port):
    group = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    group.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    group.bind(("", 5353))
    group.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + socket.inet_aton(address))
    group.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
    media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    media.bind((address, port))
    print("ready", flush=True)
    while True:
        for ready in select.select([group, media], [], [])[0]:
            data, sender = ready.recvfrom(9000)
            if ready is media:
                print("checked from", *sender, flush=True)
            elif asked := question(data):
                print("asked", *asked, flush=True)
                if asked == (name, 1):  # to the group, as browsers do
                    group.sendto(answer(name, address), (GROUP, 5353))


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
