"""A peer that speaks STUN and nothing else, as far as it is told to."""

import socket

from aioice import stun

from offers import attribute


class StunPeer:
    """Sends Binding requests for the session of an offer and its answer from a socket of its own."""

    def __init__(self, relay, offer, answer):
        self.to = (relay.address, relay.media_port)
        self.ours = attribute(offer, "ice-ufrag"), attribute(offer, "ice-pwd")
        self.theirs = attribute(answer, "ice-ufrag"), attribute(answer, "ice-pwd")
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((relay.address, 0))
        self.socket.settimeout(0.05)
        self.strangers = 0  # datagrams that were not STUN

    def request(self, nominate=False):
        message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        message.attributes["USERNAME"] = f"{self.theirs[0]}:{self.ours[0]}"
        message.attributes["PRIORITY"] = 1845501695
        message.attributes["ICE-CONTROLLING"] = 2**63
        if nominate:
            message.attributes["USE-CANDIDATE"] = None
        message.add_message_integrity(self.theirs[1].encode())
        message.add_fingerprint()
        self.socket.sendto(bytes(message), self.to)

    def answer_checks(self):
        """Answers what has come, drops the rest."""
        while True:
            try:
                data, address = self.socket.recvfrom(2000)
            except TimeoutError:
                return
            try:
                message = stun.parse_message(data)
            except ValueError:
                self.strangers += 1
                continue
            if message.message_class != stun.Class.REQUEST:
                continue
            reply = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.RESPONSE, transaction_id=message.transaction_id)
            reply.attributes["XOR-MAPPED-ADDRESS"] = address
            reply.add_message_integrity(self.ours[1].encode())
            reply.add_fingerprint()
            self.socket.sendto(bytes(reply), address)

    def close(self):
        self.socket.close()
