"""The images of boards, booted in QEMU: a page without a step, settings from the card, nothing written, faults survived.

tests/long/image makes the images and runs this. PORTHOLE_IMAGES names the boards whose images are looked at, all by default.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from browser import assert_counter_rises, protocol, until, view
from machine import BOOT_SECONDS, MIB, Card, Machine, image_of
from namespaces import namespaces
from relay import eventually

pytestmark = pytest.mark.timeout(400)

EVERY = ["qemu-arm64", "qemu-armv7", "rpi-3", "rpi-zero"]
BOARDS = os.environ.get("PORTHOLE_IMAGES", " ".join(EVERY)).split()
VIRTUAL = [board for board in BOARDS if board.startswith("qemu")]
MOST_BYTES = 32 * MIB
NEIGHBOURS = pathlib.Path(__file__).parent / "neighbours.py"
AHEAD = 3 * 365 * 86400
# the 32-bit board has the kernel's own
WATCHDOGS = {"qemu-arm64": ["-device", "i6300esb"]}


@pytest.fixture
def machine(tmp_path):
    """`machine(board, {file: text})` puts files on a board's card and makes the board, which is not switched on yet."""
    made = []

    def make(board, files=None, **more):
        card = Card(board, tmp_path)
        made.append(Machine(board, tmp_path, card, **more))
        for name, text in (files or {}).items():
            if text is None:
                card.delete(name)
            else:
                card.write(name, text)
        return made[-1]

    yield make
    for board in made:
        board.stop()
        print(board.log()[-8000:])


def problems(board):
    return json.loads(board.get("/api/status")[2])["problems"]


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.parametrize("board", BOARDS)
def test_an_image_is_small_and_its_card_holds_what_an_owner_edits(board, tmp_path):
    assert image_of(board).stat().st_size <= MOST_BYTES
    names = Card(board, tmp_path).names()
    assert {"porthole.yaml", "porthole.sample.yaml", "hostname.txt", "wifi.txt", "time.txt"} <= names


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_answers_plays_in_chromium_and_writes_nothing_to_its_card(machine, page, board):
    emulated = machine(board)
    emulated.card.write("porthole.yaml", emulated.settings())
    before = digest(emulated.card.path)
    emulated.start()
    assert problems(emulated) == []
    assert set(json.loads(emulated.get("/api/streams")[2])) == {"test"}
    view(page, emulated, src="test", tcp=True)
    assert protocol(page) == "tcp"
    assert_counter_rises(page, seconds=2, fps=8, video="seen.video")
    assert emulated.viewers("test") == 1
    root = emulated.shell("touch /made; touch /usr/bin/made; mount | grep -c vfat; ps | grep '[/]usr/bin/porthole' | head -1")
    assert root.count("Read-only file system") == 2, root
    assert root.splitlines()[-2] == "0", "the card is let go"
    assert root.splitlines()[-1].split()[1] == "porthole", "the relay has no rights of root"
    emulated.stop()
    assert digest(emulated.card.path) == before


@pytest.mark.parametrize("board", VIRTUAL[:1])
def test_settings_that_are_wrong_boot_to_a_page_that_says_where(machine, page, board):
    wrong = "streams:\r\n  gate: 'test:'\r\nwebrtc:\r\n  listen: nowhere\r\n"
    emulated = machine(board, {"porthole.yaml": wrong, "hostname.txt": "under_score\r\n", "wifi.txt": "name=home\r\npassword=short\r\n"}).start()
    page.goto(emulated.url)
    until(page, "!document.getElementById('problems').hidden", 10000)
    said = page.inner_text("#problems")
    for words in ("porthole.yaml:4:11", "defaults count", "hostname.txt", "wifi.txt: a password has 8 to 63 characters"):
        assert words in said, said
    assert set(json.loads(emulated.get("/api/streams")[2])) == {"test"}
    assert emulated.shell("hostname") == "porthole"


@pytest.mark.parametrize("board", VIRTUAL[:1])
def test_a_board_without_settings_or_without_a_card_boots_with_defaults(machine, board):
    emulated = machine(board, dict.fromkeys(["porthole.yaml", "hostname.txt", "wifi.txt", "time.txt"])).start()
    assert problems(emulated) == ["There is no porthole.yaml on the card: the defaults count."]
    assert set(json.loads(emulated.get("/api/streams")[2])) == {"test"}
    emulated.stop()
    emulated.drive = lambda: []
    emulated.start()
    assert problems(emulated) == ["No card with settings was found: the defaults count."]
    assert set(json.loads(emulated.get("/api/streams")[2])) == {"test"}


def kept(board, name):
    """A file of the card's folder `saved`, read while the board runs; empty if there is none."""
    return subprocess.run(["mtype", "-i", board.card.drive, f"::saved/{name}"], capture_output=True, text=True, check=False).stdout


def fingerprint(board):
    found = json.loads(board.get("/api/status")[2])["tls"]
    return found["authority"]["fingerprint"]


@pytest.mark.parametrize("board", VIRTUAL[:1])
def test_what_the_relay_saves_is_on_the_card_after_the_plug_was_pulled(machine, board):
    settings = "streams: {gate: 'test:'}\r\napi: {tls: auto}\r\n"
    emulated = machine(board, {"porthole.yaml": settings}).start()
    authority = fingerprint(emulated)
    # what looks for changes dies and comes back: what was saved meanwhile is seen all the same
    keeper = emulated.shell("ps | grep '[p]orthole/keeper' | awk '{ print $1 }'")
    emulated.shell(f"kill -STOP {keeper}")
    assert emulated.ask("PUT", "/api/streams?name=door&src=test:")[0] == 200
    emulated.shell(f"kill -9 {keeper}")
    eventually(lambda: "door" in kept(emulated, "streams.yaml"), 20, "the stream is on the card")
    eventually(lambda: "CERTIFICATE" in kept(emulated, "ca.crt") and "KEY" in kept(emulated, "ca.key"), 20, "the authority is on the card")
    eventually(lambda: emulated.shell("mount | grep -c vfat") == "0", 10, "the card is let go")
    emulated.stop()
    before = digest(emulated.card.path)
    emulated.start()
    assert set(json.loads(emulated.get("/api/streams")[2])) == {"gate", "door"}
    assert fingerprint(emulated) == authority
    assert problems(emulated) == []
    time.sleep(12)  # more than twice the time between two looks for changes
    emulated.stop()
    assert digest(emulated.card.path) == before, "a start changes nothing"
    # what can't be read stays on the card, and another start says so
    emulated.card.write("saved/streams.yaml", "streams: [\r\n")
    emulated.start()
    assert eventually(lambda: set(json.loads(emulated.get("/api/streams")[2])), 20, "it answers") == {"gate"}
    assert "left out" in problems(emulated)[-1], problems(emulated)
    assert emulated.ask("PUT", "/api/streams?name=yard&src=test:")[0] == 200
    eventually(lambda: "yard" in kept(emulated, "streams.yaml"), 20, "the next stream is on the card")
    assert kept(emulated, "streams.yaml.wrong") == "streams: [\n"


@pytest.mark.parametrize("board", VIRTUAL)
def test_a_relay_that_dies_comes_back_and_one_that_hangs_resets_the_board(machine, board):
    emulated = machine(board, options=WATCHDOGS.get(board, [])).start()
    relay = emulated.shell("pidof porthole")
    assert emulated.shell(f"ls -l /proc/{relay}/fd | grep -c watchdog") == "1"
    emulated.shell(f"kill -9 {relay}")
    eventually(lambda: emulated.shell("pidof porthole") not in ("", relay), 20, "another relay")
    eventually(emulated._answers, 20, "it answers")
    time.sleep(35)  # more than the watchdog's time: the second relay feeds it
    assert emulated.process.poll() is None
    emulated.shell("kill -STOP $(pidof porthole)")
    emulated.process.wait(60)  # QEMU ends where a board would start again
    emulated.process = None


@pytest.fixture
def lan(tmp_path):
    """A network with a DHCP server that names a time server, 3 years ahead."""
    with namespaces(1) as (namespace,):
        processes = []
        namespace.run("ip", "tuntap", "add", "tap0", "mode", "tap")
        namespace.run("ip", "address", "add", "10.77.43.1/24", "dev", "tap0")
        namespace.run("ip", "link", "set", "tap0", "up")
        namespace.run("ip", "address", "add", "169.254.9.9/16", "dev", "tap0")
        namespace.run("ip", "route", "add", "default", "dev", "tap0")
        settings = tmp_path / "udhcpd.conf"
        settings.write_text(f"start 10.77.43.50\nend 10.77.43.50\ninterface tap0\nlease_file {tmp_path}/leases\noption subnet 255.255.255.0\noption ntpsrv 10.77.43.1\n")
        (tmp_path / "leases").touch()

        def run(*command):
            processes.append(subprocess.Popen([*namespace.prefix, *map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

        namespace.serve_addresses = lambda: run("busybox", "udhcpd", "-f", settings)
        namespace.serve_time = lambda: run(sys.executable, NEIGHBOURS, "time", AHEAD)
        namespace.find = lambda name: subprocess.run([*namespace.prefix, sys.executable, NEIGHBOURS, "find", name], capture_output=True, text=True, check=True).stdout.strip()
        namespace.port = lambda name: subprocess.run([*namespace.prefix, sys.executable, NEIGHBOURS, "port", name], capture_output=True, text=True, check=True).stdout.strip()
        namespace.get = lambda url: subprocess.run([*namespace.prefix, "curl", "-sf", "-m", "2", url], capture_output=True, text=True, check=False).stdout
        yield namespace
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.parametrize("board", VIRTUAL[:1])
def test_a_board_is_found_by_its_name_and_learns_its_address_and_the_time(machine, lan, board):
    lan.serve_addresses()
    # the clock of a board that has none; settings as Notepad writes them
    emulated = machine(board, {"hostname.txt": "\ufeff# mine\r\ngarden\r\n"}, prefix=lan.prefix, tap="tap0", options=["-rtc", "base=1970-01-01"]).start()
    eventually(lambda: lan.get("http://10.77.43.50:1984/api"), BOOT_SECONDS, "it answers at the address that it was given")
    assert eventually(lambda: lan.find("garden.local"), 20, "its name leads to it") == "10.77.43.50"
    assert lan.find("kitchen.local") == ""
    made = int(emulated.shell("cat /etc/made"))
    assert made <= int(emulated.shell("date +%s")) < made + 600, "no later and no earlier than the image"
    lan.serve_time()
    eventually(lambda: abs(int(emulated.shell("date +%s")) - time.time() - AHEAD) < 30, 120, "the time of the server")
    assert emulated.shell("cat /run/notes") == "cat: can't open '/run/notes': No such file or directory"


@pytest.mark.parametrize("board", VIRTUAL[:1])
def test_a_board_at_the_end_of_a_cable_without_a_router_is_found_by_its_name(machine, lan, board):
    emulated = machine(board, {"porthole.yaml": "api: {listen: ':80'}\n"}, prefix=lan.prefix, tap="tap0").start()
    address = eventually(lambda: lan.find("porthole.local"), BOOT_SECONDS, "its name leads to it")
    assert address.startswith("169.254.")
    eventually(lambda: lan.get(f"http://{address}/api"), 20, "it answers there")
    eventually(lambda: lan.port("porthole._http._tcp.local") == "80", 20, "lists of services show its page")
    # a router that is plugged in later
    lan.serve_addresses()
    eventually(lambda: lan.get("http://10.77.43.50/api"), 60, "it answers at the address that it was given")
    assert "169.254" not in emulated.shell("ip -4 address")
