"""The command line: units and scripts that were written for go2rtc start the same thing here."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess

from relay import BINARY, Relay, eventually


def porthole(directory, *arguments):
    return subprocess.run([BINARY, *arguments], cwd=directory, capture_output=True, text=True, check=False, timeout=10)


def runs(process):
    """Whoever inherited it may not have asked how it ended yet; then nothing of it runs all the same."""
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{process}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"
    return False


def test_an_argument_that_means_nothing_starts_nothing(tmp_path):
    """A misread argument must not start the test picture on the default ports, open to the network."""
    for arguments in (["-conf=/etc/x.yaml"], ["-c", "onfig=/etc/x.yaml"], ["-config="], ["/etc/x.yaml"], ["--deamon"]):
        ended = porthole(tmp_path, *arguments)
        assert ended.returncode == 2 and ended.stderr.startswith("porthole: ") and not ended.stdout, (arguments, ended)


def test_daemon_leaves_a_relay_running_with_the_named_file(tmp_path):
    relay = Relay(tmp_path, {"yard": "test:"})
    file = tmp_path / "cameras.yaml"
    file.write_text(json.dumps(relay.config), encoding="utf-8")
    ended = porthole(tmp_path, "-daemon", f"-config={file}")
    assert ended.returncode == 0, ended
    process = int(re.fullmatch(r"Running in daemon mode with PID: (\d+)\n", ended.stdout)[1])
    try:

        def streams():
            with contextlib.suppress(OSError):
                return json.loads(relay.get("/api/streams")[2])

        assert list(eventually(streams, 5, "the relay answers")) == ["yard"]
        assert json.loads(relay.get("/api")[2])["config_path"] == str(file)
    finally:
        os.kill(process, signal.SIGTERM)
    eventually(lambda: not runs(process), 5, "the relay ended")


def test_a_daemon_that_can_not_start_says_so_before_it_is_out_of_sight(tmp_path):
    file = tmp_path / "broken.yaml"
    file.write_text("api: {listen: [1]}\n", encoding="utf-8")
    ended = porthole(tmp_path, "-d", "-c", str(file))
    assert ended.returncode == 1 and "broken.yaml:1:15: api.listen: expected" in ended.stderr, ended
