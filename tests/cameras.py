"""Foreign cameras for the relay to dial: peers/camera as a process, what it saw, and how to make it misbehave."""

import json
import pathlib
import subprocess
import sys
import threading
import urllib.request

from relay import eventually, free_port

PEER = pathlib.Path(__file__).resolve().parent / "peers" / "camera"
READY_SECONDS = 20
SESSION = 100_000  # a camera's first session counts its pictures from here, its second from twice this, …

# How a stream names a camera: scheme (with an s behind it for TLS), path, and what follows the URL.
URLS = {
    "creality": ("http", "/call/webrtc_local", "#format=creality"),
    "whep": ("http", "/whep", ""),
    "milestone": ("http", "/api", "#format=milestone#username=operator#password=sesame&more#cameraId=d2b4bc26-3e1b-4f4b-8b1d-0d9f1e3a7c55"),
    "wyze": ("http", "/signaling/camera1?kvs", "#format=wyze"),
    "kinesis": (
        "ws",
        "/kinesis?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=a%2Fb%3D",
        '#format=kinesis#client_id=viewer-7#ice_servers=[{"urls":["stun:127.0.0.1:9"]}]',
    ),
    "switchbot": ("ws", "/switchbot", "#format=switchbot#resolution=sd#play_type=3#client_id=viewer-8#ice_servers=[]"),
    "openipc": ("ws", "/webrtc_ws", "#format=openipc"),
    "go2rtc": ("ws", "/api/ws?src=camera1", ""),
}
FORMATS = {"whep": "webrtc", "go2rtc": "webrtc"}  # the others: webrtc/ and their name
WITH_SOUND = [dialect for dialect in URLS if dialect not in ("creality", "switchbot")]


class Cameras:
    """One process that plays cameras of all dialects. `change`: of the camera without a name, from the start on. `prefix`: command that runs
    it elsewhere (`ip netns exec …`), at that `address`; its control door is out of reach there."""

    def __init__(self, directory, change=None, address="127.0.0.1", prefix=()):
        self.directory = directory
        self.change = change or {}
        self.address, self.prefix = address, prefix
        self.port, self.tls, self.untrusted, self.control = (free_port() for _ in range(4))
        self.process, self.seen, self.errors = None, [], []

    def start(self):
        ports = [f"--{name}={getattr(self, name)}" for name in ("port", "tls", "untrusted", "control")]
        command = [*self.prefix, sys.executable, str(PEER), *ports, f"--address={self.address}", f"--certificates={self.directory}", f"--change={json.dumps(self.change)}"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        ready = threading.Event()
        threading.Thread(target=self._read, args=[self.process.stdout, ready], daemon=True).start()
        threading.Thread(target=self.errors.extend, args=[self.process.stderr], daemon=True).start()
        assert ready.wait(READY_SECONDS), f"the cameras are not ready: {self.errors}"
        return self

    def _read(self, output, ready):
        for line in output:
            event = json.loads(line)
            if event["event"] == "ready":
                ready.set()
            else:
                self.seen.append(event)

    def kill(self):
        """As power is cut: nobody is told."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def url(self, dialect, name="", port=None, more="", userinfo="", secure=None):
        """`port`: by default the plain one. `secure`: by default what the port speaks."""
        scheme, path, options = URLS[dialect]
        secure = "s" if (port in (self.tls, self.untrusted) if secure is None else secure) else ""
        prefix = f"/{name}" if name else ""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"webrtc:{scheme}{secure}://{userinfo}{address}:{port or self.port}{prefix}{path}{options}{more}"

    def tell(self, name="", **wish):
        """To the control door, whose words are listed in peers/camera/__main__.py."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.control}/{name}", data=json.dumps(wish).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=5) as response:
            return json.load(response)

    def sessions(self, name=""):
        """How many sessions this camera has, connected or not yet."""
        return self.tell(name)[name]["sessions"]

    def events(self, event, name="", **more):
        return [seen for seen in list(self.seen) if seen["event"] == event and seen["camera"] == name and more.items() <= seen.items()]

    def wait(self, event, name="", seconds=10, count=1, **more):
        """The `count`th such event, when it came."""
        return eventually(lambda: self.events(event, name, **more)[count - 1 :], seconds, f"the camera {name!r} says {event!r}")[0]

    @property
    def environment(self):
        """For relays that are to trust the certificate of these cameras."""
        return {"SSL_CERT_FILE": str(pathlib.Path(self.directory) / "authority.pem")}


def producer(relay, stream="cam"):
    """The stream's producer that runs."""
    running = [each for each in relay.stream(stream)["producers"] if "format_name" in each]
    assert len(running) == 1, running
    return running[0]


def session_of(counter):
    """Which session of the camera a picture belongs to."""
    return counter // SESSION
