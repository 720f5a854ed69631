"""A program of the operator's tells where the camera is; asked again at every dial, and only from the config file."""

import time
from urllib.parse import quote

import pytest

from browser import until, view
from offers import offer
from relay import eventually

SDP = {"Content-Type": "application/sdp"}


def script(directory, text, name="where"):
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_program_is_asked_again_at_every_dial_and_given_its_arguments(porthole, page, cameras, tmp_path):
    runs = tmp_path / "runs"
    # as of a cloud, whose addresses are good for one dial only
    path = script(
        tmp_path,
        f"""echo "$# $1 $2 $3" >> {runs}; echo "  {cameras.url("kinesis", "cloud").split("?")[0]}?dial=$(wc -l < {runs})#format=kinesis#client_id=$2  " """,
    )
    relay = porthole({"cam": f"echo:{path} --camera door 'front yard'"})
    view(page, relay)
    assert cameras.events("frame", "cloud", action="SDP_OFFER")[0]["recipient"] == "door"
    cameras.tell("cloud", do="die")
    cameras.tell("cloud", do="return")
    until(page, "readFrame(seen.video) >= 200000", 8000)
    assert [seen["path"] for seen in cameras.events("request", "cloud")] == ["/cloud/kinesis?dial=1", "/cloud/kinesis?dial=2"]
    assert runs.read_text() == "3 --camera door front yard\n" * 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo no camera here >&2; exit 3", "no camera here"),
        ("exit 3", "3"),
        ("true", "nothing"),
        ("echo gopher://camera", "gopher"),
        ("echo echo:{other}", "echo"),
    ],
    ids=["says-why", "fails", "says-nothing", "names-nothing-we-know", "names-another-program"],
)
def test_a_program_that_names_no_camera_is_named_with_the_reason(porthole, tmp_path, text, words):
    other = script(tmp_path, f"touch {tmp_path}/ran", "other")
    relay = porthole({"cam": f"echo:{script(tmp_path, text.format(other=other))}"})
    status, _, told = relay.ask("POST", "/api/webrtc?src=cam", offer(), SDP)
    assert status == 502 and words in told, (status, told)
    assert words in relay.stream("cam")["last_error"]
    assert not (tmp_path / "ran").exists()


def test_a_program_that_never_ends_is_ended_after_ten_seconds_with_its_children(porthole, tmp_path):
    pid = tmp_path / "pid"
    relay = porthole({"cam": f"echo:{script(tmp_path, f'sleep 3600 & echo $! > {pid}; wait')}"})
    started = time.monotonic()
    status, _, told = relay.ask("POST", "/api/webrtc?src=cam", offer(), SDP, timeout=20)
    assert status == 502 and "10 s" in told, (status, told)
    assert time.monotonic() - started < 12
    eventually(lambda: not alive(int(pid.read_text())), 2, "the program's child is gone, too")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_nobody_makes_the_relay_run_a_program_through_the_api(porthole, tmp_path, method):
    mark = tmp_path / "ran"
    path = script(tmp_path, f"touch {mark}")
    relay = porthole({"cam": "test:"})
    status, _, text = relay.ask(method, f"/api/streams?name=cam&src={quote(f'echo:{path}', safe='')}")
    assert status == 400 and "echo" in text, (status, text)
    relay.ask("POST", "/api/webrtc?src=cam", offer(), SDP)
    assert relay.stream("cam")["producers"][0]["url"] == "test:" and not mark.exists()


def test_only_programs_of_the_list_are_run(porthole, tmp_path):
    mark = tmp_path / "ran"
    listed, other = script(tmp_path, "echo test:", "listed"), script(tmp_path, f"touch {mark}; echo test:", "other")
    relay = porthole({"yes": f"echo:{listed}", "no": f"echo:{other}"}, echo={"allow_paths": [str(listed)]})
    assert relay.ask("POST", "/api/webrtc?src=yes", offer(), SDP)[0] == 201
    status, _, told = relay.ask("POST", "/api/webrtc?src=no", offer(), SDP)
    assert status == 502 and "allow_paths" in told and not mark.exists(), (status, told)
