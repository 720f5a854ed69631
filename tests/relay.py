"""One running relay: the binary under test, its configuration, its log and its end."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = os.environ.get("PORTHOLE_BIN", str(ROOT / "target/release/porthole"))
# how much slower than usual the relay may be: tests/long/emulated has one that another processor's instructions are made for
PATIENCE = float(os.environ.get("PORTHOLE_PATIENCE", "1"))
START_SECONDS = 5
STOP_SECONDS = 1


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def free_media_port(taken=()):
    """Free for TCP and UDP alike, and none of `taken`."""
    while True:
        port = free_port()
        if port in taken:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def eventually(probe, seconds, what):
    """Asks until the answer is truthy, and returns it."""
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.05)


def at_best(measure, times=5):
    """The least of some measurements: what the relay waits for it waits for each time, while a machine that has other things to do
    delays one or another."""
    return min(measure() for _ in range(times))


class Relay:
    """`prefix`: command that runs it elsewhere (`ip netns exec …`). `media`: where the media port listens, `""` = everywhere. `arguments`: come before ours.
    `environment`: variables beside those of the tests.
    `binary`: the command that is the relay, where it is another one; an emulated one may take `patience` times as long."""

    def __init__(
        self, directory, streams, prefix=(), address="127.0.0.1", media=None, arguments=(), http_port=None, environment=None, binary=(BINARY,), patience=PATIENCE, **sections
    ):
        self.address = address
        self.http_port = http_port or free_port()
        self.media_port = free_media_port(taken=[self.http_port])
        self.prefix = list(prefix)
        self.arguments = list(arguments)
        self.environment = {**os.environ, **(environment or {})}
        self.binary = [str(word) for word in binary]
        self.patience = patience
        self.config = {
            "api": {"listen": f"{address}:{self.http_port}"},
            "webrtc": {
                "listen": f"{address if media is None else media}:{self.media_port}",
                "ice_servers": [],
                "filters": {"loopback": address.startswith("127.")},
            },
            "streams": streams,
        }
        for name, section in sections.items():
            self.config.setdefault(name, {}).update(section)
        self.log_path = directory / f"porthole-{self.http_port}.log"
        self.directory = directory
        self.process = None

    @property
    def url(self):
        return f"http://{self.address}:{self.http_port}"

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, *self.binary, *self.arguments, "-c", json.dumps(self.config)],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        eventually(self._answers, START_SECONDS * self.patience, "the relay answers /api")
        return self

    def _answers(self):
        assert self.process.poll() is None, f"the relay ended by itself:\n{self.log()}"
        if self.prefix:  # in a network namespace; ask from within
            code = subprocess.run([*self.prefix, "curl", "-sf", "-o", "/dev/null", self.url + "/api"], check=False).returncode
            return code == 0
        try:
            return self.get("/api")[0] == 200
        except OSError:
            return False

    def stop(self):
        """SIGTERM must end it within a second, with code 0."""
        if self.process is None:
            return
        process, self.process = self.process, None
        code = process.poll()
        assert code is None, f"the relay ended by itself with {code}:\n{self.log()}"
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_SECONDS * self.patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the relay did not end within {STOP_SECONDS * self.patience} s of SIGTERM:\n{self.log()}") from None
        assert code == 0, f"the relay ended with {code}:\n{self.log()}"
        assert "panicked" not in self.log(), self.log()

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def ask(self, method, path, body=None, headers=None, timeout=10 * PATIENCE, binary=False):
        """`(status, headers, text)`, whatever the status; bytes for text if `binary`."""
        data = body.encode() if isinstance(body, str) else body
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                content = response.read()
                return response.status, response.headers, content if binary else content.decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read().decode(errors="replace")

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def stream(self, name):
        status, _, text = self.get(f"/api/streams?src={name}")
        assert status == 200, text
        return json.loads(text)

    def viewers(self, name):
        return len(self.stream(name)["consumers"] or [])
