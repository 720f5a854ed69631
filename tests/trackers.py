"""WebTorrent trackers: the one that people run (npm's bittorrent-tracker), and one that shows and does what a test wants."""

import json
import pathlib
import subprocess
import threading

import websockets.sync.server
from websockets.exceptions import ConnectionClosed

from relay import eventually, free_port

SCRIPT = pathlib.Path(__file__).parent / "peers/tracker.js"


class Tracker:
    """bittorrent-tracker on a port of its own, which it keeps when it is started again."""

    def __init__(self):
        self.port = free_port()
        self.url = f"ws://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        self.process = subprocess.Popen(["node", SCRIPT, str(self.port)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "listening\n"
        return self

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(5)
            self.process.stdout.close()
            self.process = None


class OpenTracker:
    """Takes ids of any length, as go2rtc needs it; keeps all that is said. `opening`: messages that everybody is greeted with. `repeat`: how often an offer is passed on."""

    def __init__(self, opening=(), repeat=1):
        self.opening, self.repeat = opening, repeat
        self.heard = []
        self.connections = 0
        self.swarms = {}
        self.lock = threading.Lock()
        self.server = websockets.sync.server.serve(self._serve, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self.server.socket.getsockname()[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _serve(self, socket):
        self.connections += 1
        try:
            for message in self.opening:
                socket.send(message)
            for text in socket:
                self.heard.append(text)
                self._hear(socket, json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            with self.lock:
                for swarm in self.swarms.values():
                    for peer in [peer for peer, theirs in swarm.items() if theirs is socket]:
                        del swarm[peer]

    def _hear(self, socket, message):
        common = {"action": "announce", "info_hash": message["info_hash"], "peer_id": message["peer_id"]}
        with self.lock:
            swarm = self.swarms.setdefault(message["info_hash"], {})
            if message.get("event") == "stopped":
                swarm.pop(message["peer_id"], None)
                return
            swarm[message["peer_id"]] = socket
            others = [theirs for peer, theirs in swarm.items() if theirs is not socket]
            target = swarm.get(message.get("to_peer_id"))
        if target:
            target.send(json.dumps({**common, "offer_id": message["offer_id"], "answer": message["answer"]}))
        for other, offer in zip(others, message.get("offers") or []):
            for _ in range(self.repeat):
                other.send(json.dumps({**common, **offer}))

    def peers(self):
        with self.lock:
            return sum(len(swarm) for swarm in self.swarms.values())

    def stop(self):
        self.server.shutdown()


def connected(relay, count=1):
    """Waits until the relay is at that many of its trackers."""

    def states():
        status, _, text = relay.get("/api/webtorrent")
        return status == 200 and [tracker["state"] for tracker in json.loads(text)["trackers"]].count("connected") == count

    eventually(states, 10, f"the relay is at {count} trackers")
