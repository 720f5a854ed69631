"""What boards get: every static binary that image/build made runs here, under qemu's user mode, with peers on the host.

Those that PORTHOLE_FIRMWARE names (`armv7-minimal aarch64-default`) must be there; others are looked at where they were built.
"""

import asyncio
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest
from aiortc import RTCPeerConnection

import picture
from browser import assert_counter_rises, protocol, view, wait_until_playing
from offers import offer
from relay import ROOT, eventually
from test_aiortc import Counter, exchange, in_thread, prefer_h264

BUILT = ROOT / "target/image/bin"
KIB = 1024
# target, how it runs here, platform it reports, most bytes with all features and with few
FIRMWARE = {
    "armv7": ("armv7-unknown-linux-musleabihf", ["qemu-arm-static", "-cpu", "cortex-a7"], "linux/arm", 3584 * KIB, 2560 * KIB),
    "armv6": ("arm-unknown-linux-musleabihf", ["qemu-arm-static", "-cpu", "arm1176"], "linux/arm", 3584 * KIB, 2560 * KIB),
    "aarch64": ("aarch64-unknown-linux-musl", ["qemu-aarch64-static", "-cpu", "cortex-a53"], "linux/arm64", 3584 * KIB, 2560 * KIB),
    "x86_64": ("x86_64-unknown-linux-musl", [], "linux/amd64", 4608 * KIB, 3584 * KIB),
}
PATIENCE = 6  # how much slower than this machine an emulated one may be
PLAYING_MS = 60000
FRAMES = 20
REQUIRED = os.environ.get("PORTHOLE_FIRMWARE", "").split()


class Firmware:
    def __init__(self, name, features="default"):
        self.name, self.features = name, features
        self.target, self.runner, self.platform, *self.limits = FIRMWARE[name]
        self.folder = BUILT / f"{self.target}-{features}"
        self.path = self.folder / "porthole"

    @property
    def limit(self):
        return self.limits[self.features == "minimal"]

    @property
    def command(self):
        return [*self.runner, str(self.path)]


def there(name, features="default"):
    firmware = Firmware(name, features)
    assert firmware.path.exists(), f"image/build --binary {firmware.target} did not make {firmware.path}"
    return firmware


EVERY = [(name, features) for name in FIRMWARE for features in ("default", "minimal")]
BUILT_ONES = [(name, features) for name, features in EVERY if Firmware(name, features).path.exists() or f"{name}-{features}" in REQUIRED]


@pytest.fixture(params=BUILT_ONES, ids="-".join)
def firmware(request):
    return there(*request.param)


def readelf(path, what):
    return subprocess.run(["readelf", "--wide", what, path], capture_output=True, text=True, check=True).stdout


def test_it_is_static_and_made_for_its_processor(firmware):
    assert "NEEDED" not in readelf(firmware.path, "--dynamic")
    assert "INTERP" not in readelf(firmware.path, "--program-headers")
    assert "There are no" in readelf(firmware.path, "--symbols") or not readelf(firmware.path, "--symbols").strip()
    attributes = readelf(firmware.path, "--arch-specific")
    if firmware.name == "armv6":
        assert re.search(r"Tag_CPU_arch: v6\w*", attributes) and "VFPv2" in attributes, attributes
    if firmware.name in ("armv6", "armv7"):
        assert "Tag_ABI_VFP_args: VFP registers" in attributes, attributes


def test_it_stays_within_its_size(firmware):
    size = firmware.path.stat().st_size
    assert size <= firmware.limit, (firmware.folder / "SIZES.txt").read_text()
    report = (firmware.folder / "SIZES.txt").read_text()
    assert f"{size / 1024:.1f} KiB  stripped" in report and "rtc_dtls" in report, report


def test_what_raises_a_panic_can_be_unwound(firmware):
    unstripped = firmware.folder / "porthole.unstripped"
    symbols = subprocess.run(["nm", "--defined-only", unstripped], capture_output=True, text=True, check=True).stdout
    for name in ("_Unwind_RaiseException", "rust_panic"):
        address = int(re.search(rf"^([0-9a-f]+) . \S*{name}\b", symbols, re.M).group(1), 16)
        if firmware.name in ("armv6", "armv7"):
            entry = re.search(rf"^0x{address & ~1:x}\b.*\n?.*", readelf(unstripped, "--unwind"), re.M).group()
            assert "cantunwind" not in entry, entry
        else:
            assert f" pc={address:016x}.." in readelf(unstripped, "--debug-dump=frames"), name


def test_a_minimal_build_names_what_it_lacks(firmware, tmp_path):
    if firmware.features != "minimal":
        pytest.skip("it has everything")
    settings = tmp_path / "porthole.yaml"
    sources = {"cloud": "webrtc:wss://cloud.example/#format=kinesis", "signed": "echo:/bin/true", "printer": "webrtc:http://10.0.0.9:8000/call/webrtc_local#format=creality"}
    turn = {"urls": "turn:turn.example", "username": "u", "credential": "p"}
    settings.write_text(json.dumps({"streams": sources, "webtorrent": {}, "api": {"tls": "auto"}, "webrtc": {"ice_servers": [turn]}}))
    check = subprocess.run([*firmware.command, "check", settings], capture_output=True, text=True, check=False)
    said = check.stdout + check.stderr
    assert check.returncode == 1, said
    for feature in ("clouds", "shares", "tls", "turn"):
        assert re.search(rf"without the cargo feature {feature}\b", said), said
    assert said.count("streams.") == 2 and "printer" not in said, said


def test_it_holds_no_path_of_the_machine_that_built_it(firmware):
    content = firmware.path.read_bytes()
    for place in (str(ROOT), os.path.expanduser("~/.cargo")):
        assert place.encode() not in content


def test_it_runs_and_says_what_it_is(firmware):
    version = subprocess.run([*firmware.command, "--version"], capture_output=True, text=True, check=True).stdout
    assert version.startswith("porthole ") and version.split()[2] == firmware.platform
    board = subprocess.run([*firmware.command, "board"], capture_output=True, text=True, check=False)
    assert "profile" in board.stdout and not board.stderr


def test_the_settings_of_its_boards_pass_its_check(firmware):
    for profile in ROOT.glob("board/*/board.yaml"):
        lines = profile.read_text().splitlines()
        if f"target: {firmware.target}" in lines and f"features: {firmware.features}" in lines:
            check = subprocess.run([*firmware.command, "check", profile.parent / "porthole.yaml"], capture_output=True, text=True, check=False)
            assert check.returncode == 0, check.stderr


@pytest.mark.skipif(not Firmware("x86_64").path.exists(), reason="no binary for this processor was made")
def test_it_idles_in_5_mib(porthole):
    relay = porthole({"cam": "test:"}, binary=there("x86_64").command)
    time.sleep(2)
    status = pathlib.Path(f"/proc/{relay.process.pid}/status").read_text()
    assert int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) <= 5 * KIB, status


@pytest.fixture
def emulated(firmware, porthole):
    def start(streams, **more):
        return porthole(streams, binary=firmware.command, patience=PATIENCE, **more)

    return start


def test_its_api_answers_and_keeps_streams(emulated, firmware, tmp_path):
    file = tmp_path / "cameras.yaml"
    file.write_text("streams: {}\n")
    relay = emulated({"cam": "test:?size=320x180&fps=5"}, arguments=["-c", str(file)])
    info = json.loads(relay.get("/api")[2])
    assert info["version"] and relay.log().splitlines()[0].endswith(f"platform={firmware.platform}")
    assert relay.ask("PUT", "/api/streams?name=door&src=test:")[0] == 200
    assert "door" in file.read_text()
    assert relay.ask("POST", "/cam/whep", offer(), {"Content-Type": "application/sdp"})[0] == 201
    assert relay.ask("POST", "/cam/whep", "v=0", {"Content-Type": "application/sdp"})[0] == 400
    file.write_text("streams: {gate: 'test:'}\n")
    relay.process.send_signal(signal.SIGHUP)
    eventually(lambda: "gate" in json.loads(relay.get("/api/streams")[2]), PATIENCE, "the settings read again")
    status = json.loads(relay.get("/api/status")[2])
    assert not status["problems"] and status["listen"], status


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_chromium_plays_its_test_camera(emulated, page, tcp):
    relay = emulated({"cam": "test:?size=320x180&fps=10"})
    view(page, relay, tcp=tcp)
    assert_counter_rises(page, seconds=2, fps=10, video="seen.video")
    assert protocol(page) == ("tcp" if tcp else "udp")
    assert relay.viewers("cam") == 1
    page.evaluate("seen.pc.close()")
    eventually(lambda: relay.viewers("cam") == 0, 5, "the viewer is gone")


# counter mode, which browsers choose, costs one without vectors less, and one with them five times as much
@pytest.mark.parametrize("name, cipher", [("armv6", "AES-CM"), ("armv7", "AES-GCM")])
def test_chromium_is_sent_what_costs_its_processor_least(name, cipher, porthole, page):
    if not Firmware(name).path.exists():
        pytest.skip("no binary for this processor was made")
    relay = porthole({"cam": "test:?size=320x180&fps=10"}, binary=there(name).command, patience=PATIENCE)
    view(page, relay)
    assert_counter_rises(page, seconds=1, fps=10, video="seen.video")
    assert re.search(r"viewer connected .* cipher=(\S+)", relay.log()).group(1) == cipher


def test_its_own_page_plays(emulated, page):
    relay = emulated({"cam": "test:?size=320x180&fps=10"})
    page.goto(relay.url + "/stream.html?src=cam")
    wait_until_playing(page, PLAYING_MS)
    assert_counter_rises(page, seconds=1, fps=10)


def test_aiortc_publishes_to_it_and_watches_what_it_relays(emulated):
    relay = emulated({"studio": None})

    async def run():
        publisher, viewer = RTCPeerConnection(), RTCPeerConnection()
        prefer_h264(publisher.addTransceiver(Counter(), direction="sendonly"))
        location = await exchange(publisher, f"{relay.url}/studio/whip")
        while publisher.connectionState != "connected":
            await asyncio.sleep(0.05)
        tracks = []
        viewer.on("track", tracks.append)
        prefer_h264(viewer.addTransceiver("video", direction="recvonly"))
        await exchange(viewer, f"{relay.url}/studio/whep")
        counters = []
        while len(counters) < FRAMES:
            counters.append(picture.read_frame(await asyncio.wait_for(tracks[0].recv(), 20)))
        await viewer.close()
        await publisher.close()
        return location, counters

    location, counters = in_thread(run()).result(120)
    assert None not in counters and all(b > a for a, b in zip(counters, counters[1:])), counters
    eventually(lambda: relay.ask("DELETE", location)[0] == 404, PATIENCE, "the publisher is gone")
