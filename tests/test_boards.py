"""Profiles of boards: settings that are right, and a machine that is recognised."""

import platform
import subprocess

import pytest

from relay import BINARY, ROOT

BOARDS = sorted(path.parent.name for path in (ROOT / "board").glob("*/board.yaml"))
NEEDED = ["title", "target", "features", "memory", "media", "network", "service", "package"]
TARGETS = ["aarch64-unknown-linux-musl", "arm-unknown-linux-musleabihf", "armv7-unknown-linux-musleabihf", "x86_64-unknown-linux-musl"]


def profile(board):
    lines = (ROOT / "board" / board / "board.yaml").read_text().splitlines()
    return dict(line.split(": ", 1) for line in lines if not line.startswith("#"))


def run(*arguments, **more):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, check=False, **more)


@pytest.mark.parametrize("board", BOARDS)
def test_the_settings_of_every_board_pass_the_check(board):
    result = run("check", str(ROOT / "board" / board / "porthole.yaml"))
    assert result.returncode == 0, result.stderr
    # interfaces of the board are not those of this machine
    complaints = [line for line in result.stderr.splitlines() if "this machine has no interface" not in line]
    assert not complaints, complaints


@pytest.mark.parametrize("board", BOARDS)
def test_every_profile_says_all_that_a_build_needs(board):
    values = profile(board)
    assert all(values.get(name) for name in NEEDED), values
    assert values["target"] in TARGETS and values["features"] in ("default", "minimal")
    assert (values["package"] == "deb") == (values["service"] == "systemd")
    assert values["package"] == "tar" or (values["debian"] and values["label"])


def test_there_is_a_board_for_every_target():
    assert {profile(board)["target"] for board in BOARDS} == set(TARGETS)


def test_a_machine_is_told_what_it_is():
    result = run("board")
    said = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert said["processor"].startswith(platform.machine())
    assert said["kernel"] == platform.release()
    assert int(said["memory"].removesuffix(" MiB")) > 100
    if platform.machine() == "x86_64":
        assert result.returncode == 0 and said["profile"].startswith("board/generic-x86_64 "), result.stdout


def test_board_takes_no_arguments():
    result = run("board", "rpi-3")
    assert result.returncode == 2 and "rpi-3" in result.stderr
