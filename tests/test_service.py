"""Under a service manager: systemd hears that the relay is ready and lives, SIGHUP reads the settings again, scripts of
small systems start, watch and end it."""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from browser import assert_counter_rises, until, view
from namespaces import namespaces
from relay import BINARY, ROOT, eventually

UNIT = ROOT / "systemd/porthole.service"
WATCHDOG_SECONDS = 0.6
HIGHEST_EXPOSURE = 2.0
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17


@pytest.fixture
def manager(tmp_path, monkeypatch):
    """What systemd would hear."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        receiver.settimeout(0.1)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        monkeypatch.setenv("WATCHDOG_USEC", str(int(WATCHDOG_SECONDS * 1e6)))
        yield receiver


def heard(receiver, seconds):
    """Everything said within that time."""
    end, said = time.monotonic() + seconds, []
    while time.monotonic() < end:
        with contextlib.suppress(TimeoutError):
            said += receiver.recv(4096).decode().splitlines()
    return said


def hears(receiver, word, seconds=5):
    eventually(lambda: word in heard(receiver, 0.1), seconds, f"the service manager hears {word}")


@contextlib.contextmanager
def frozen(pid, thread):
    """One thread of a process stands still."""
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    tid = next(int(task.name) for task in pathlib.Path(f"/proc/{pid}/task").iterdir() if (task / "comm").read_text().strip() == thread)
    assert ptrace(PTRACE_SEIZE, tid, None, None) == 0, os.strerror(ctypes.get_errno())
    assert ptrace(PTRACE_INTERRUPT, tid, None, None) == 0, os.strerror(ctypes.get_errno())
    os.waitpid(tid, 0x40000000)  # __WALL
    try:
        yield
    finally:
        ptrace(PTRACE_DETACH, tid, None, None)


def test_systemd_hears_that_the_relay_is_ready_lives_and_stops(manager, porthole):
    relay = porthole({"cam": "test:"})
    said = heard(manager, 5 * WATCHDOG_SECONDS)
    assert said[0] == "READY=1", said
    assert said.count("WATCHDOG=1") >= 5, said
    relay.process.send_signal(signal.SIGTERM)
    hears(manager, "STOPPING=1")
    assert relay.process.wait(2) == 0
    relay.process = None


def test_the_watchdog_is_not_fed_while_the_engine_stands_still(manager, porthole):
    relay = porthole({"cam": "test:"})
    hears(manager, "WATCHDOG=1")
    with frozen(relay.pid, "engine"):
        heard(manager, 0.5)  # what was under way
        assert "WATCHDOG=1" not in heard(manager, 3 * WATCHDOG_SECONDS)
    hears(manager, "WATCHDOG=1", 10)


def test_a_failing_source_is_no_reason_to_restart_the_relay(manager, porthole):
    relay = porthole({"cam": "test:?fps=999"})
    relay.get("/api/streams?src=cam&video=h264")
    assert "WATCHDOG=1" in heard(manager, 3 * WATCHDOG_SECONDS)
    assert "not fed" not in relay.log()


def test_the_boards_own_watchdog_is_fed_and_a_farewell_alone_disarms_it(porthole, tmp_path):
    device = tmp_path / "watchdog"
    for end, fed, disarmed in ((signal.SIGKILL, 2, False), (signal.SIGTERM, 3, True)):
        device.write_text("")
        relay = porthole({}, environment={"PORTHOLE_WATCHDOG": str(device)})
        eventually(lambda fed=fed: len(device.read_text()) >= fed, 12, "it is opened, fed at once, and fed again")
        relay.process.send_signal(end)
        relay.process.wait(5)
        relay.process = None
        assert device.read_text().endswith("V") == disarmed
    relay = porthole({}, environment={"PORTHOLE_WATCHDOG": str(tmp_path / "nothing")})
    assert "no watchdog" in relay.log()


def test_what_the_system_around_the_relay_says_stands_on_its_page(porthole, page, tmp_path):
    notes = tmp_path / "notes"
    relay = porthole({"cam": "test:"}, environment={"PORTHOLE_PROBLEMS": str(notes)})
    assert json.loads(relay.get("/api/status")[2])["problems"] == []
    notes.write_text("wifi.txt: a <b>password</b> has 8 to 63 characters\n\nanother\n" + "many\n" * 5000)
    problems = json.loads(relay.get("/api/status")[2])["problems"]
    assert problems[:2] == ["wifi.txt: a <b>password</b> has 8 to 63 characters", "another"] and len(problems) == 16
    page.goto(relay.url)
    until(page, "!document.getElementById('problems').hidden", 5000)
    assert "wifi.txt: a <b>password</b> has" in page.inner_text("#problems")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "cameras.yaml"
    path.write_text("streams:\n  yard: 'test:?fps=5'\n  door: 'test:?fps=5'\n")
    return path


def names(relay):
    return set(json.loads(relay.get("/api/streams")[2]))


def test_a_reload_changes_streams_and_viewers_of_the_others_notice_nothing(porthole, page, file):
    relay = porthole({"cam": "test:?fps=15"}, arguments=["-c", str(file)])
    view(page, relay)
    assert names(relay) == {"cam", "yard", "door"}
    file.write_text("streams:\n  yard: 'test:?fps=7'\n  gate: 'test:?fps=5'\n")
    relay.process.send_signal(signal.SIGHUP)
    eventually(lambda: names(relay) == {"cam", "yard", "gate"}, 2, "the streams of the file")
    assert relay.stream("yard")["producers"] == [{"url": "test:?fps=7"}]
    assert_counter_rises(page, seconds=1, fps=15, video="seen.video")
    assert page.evaluate("seen.pc.connectionState") == "connected"
    assert "needs_restart" not in relay.log()


def test_a_reload_of_a_wrong_file_changes_nothing_and_says_where_it_is_wrong(porthole, file):
    relay = porthole({}, arguments=["-c", str(file)])
    for wrong in ("streams:\n  - yard\n", "streams: {gate: 'test:'}\nwebrtc: {filters: {udp_ports: [5, 4]}}\n"):
        file.write_text(wrong)
        before = relay.log().count("not reloaded")
        relay.process.send_signal(signal.SIGHUP)
        eventually(lambda: relay.log().count("not reloaded") > before, 2, "the refusal")
        assert "cameras.yaml:" in relay.log()
        assert names(relay) == {"yard", "door"}


def test_a_reload_names_what_needs_a_restart(porthole, manager, file):
    relay = porthole({}, arguments=["-c", str(file)])
    file.write_text(file.read_text() + "api: {hosts: [cam.example]}\nrelay: {linger: 3s}\n")
    relay.process.send_signal(signal.SIGHUP)
    eventually(lambda: 'needs_restart="api, relay"' in relay.log(), 2, "the sections")
    assert any("needs_restart" in line for line in heard(manager, 0.5) if line.startswith("STATUS="))


def test_the_unit_is_right_and_hardly_exposed(tmp_path):
    here = tmp_path / "porthole.service"
    here.write_text(UNIT.read_text().replace("/usr/bin/porthole", BINARY))
    verified = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(here)], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    table = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", str(here)], capture_output=True, text=True, check=True).stdout
    exposure = float(re.search(r"Overall exposure level for \S+ (\d+\.\d+)", table.replace(":", "")).group(1))
    assert exposure <= HIGHEST_EXPOSURE, table


def is_script(path):
    return path.is_file() and path.read_bytes().startswith(b"#!/usr/bin/env bash\n")


def test_scripts_are_clean():
    scripts = [*ROOT.glob("image/init/*"), *ROOT.glob("image/deb/*"), *(path for path in ROOT.glob("image/*") if is_script(path))]
    scripts += [ROOT / ".ci/run", ROOT / "tests/sections.sh", *(path for folder in ("tests", "tests/bench", "tests/long") for path in (ROOT / folder).iterdir() if is_script(path))]
    scripts += [ROOT / "image/root/init", ROOT / "image/root/etc/default/porthole", *ROOT.glob("image/root/usr/lib/porthole/*")]
    result = subprocess.run(["shellcheck", "--external-sources", *map(str, scripts)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


class SmallSystem:
    """A root with BusyBox, the relay and its init script, in a network of its own."""

    def __init__(self, root, namespace):
        self.root, self.namespace = root, namespace
        for folder in ("bin", "dev", "etc/init.d", "etc/default", "proc", "tmp", "usr/bin", "usr/share/porthole", "var/run"):
            (root / folder).mkdir(parents=True)
        shutil.copy("/bin/busybox", root / "bin/busybox")
        subprocess.run(["chroot", root, "/bin/busybox", "--install", "-s", "/bin"], check=True)
        os.mknod(root / "dev/null", 0o666 | 0o020000, os.makedev(1, 3))
        os.mknod(root / "dev/urandom", 0o666 | 0o020000, os.makedev(1, 9))
        shutil.copy(BINARY, root / "usr/bin/porthole")
        for line in subprocess.run(["ldd", BINARY], capture_output=True, text=True, check=True).stdout.splitlines():
            for library in re.findall(r"/\S+", line):
                (root / library.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, root / library.lstrip("/"))
        shutil.copy(ROOT / "image/init/S96porthole", root / "etc/init.d/S96porthole")
        shutil.copy(ROOT / "board/openipc-16m/porthole.yaml", root / "usr/share/porthole/porthole.yaml")

    def script(self, word, prefix=()):
        """`(exit code, output)` of the init script."""
        inside = f'mount -t proc proc "{self.root}/proc" && exec chroot "{self.root}" /bin/ash /etc/init.d/S96porthole {word}'
        command = [*self.namespace.prefix, *prefix, "unshare", "--mount", "--propagation", "private", "sh", "-c", inside]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
        return result.returncode, result.stdout + result.stderr

    def ask(self, path, method="GET"):
        """The JSON of an answer; `None` if there is none."""
        command = [*self.namespace.prefix, "curl", "-sf", "-X", method, f"http://127.0.0.1:1984{path}"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        return json.loads(result.stdout) if result.returncode == 0 and result.stdout else None

    def answers(self):
        return self.ask("/api/streams")

    def relays(self):
        """Process ids of the relays that run in it."""
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(process / "exe") == str(self.root / "usr/bin/porthole"):
                    found.append(int(process.name))
        return found


@pytest.fixture
def small_system(tmp_path):
    with namespaces(1) as (namespace,):
        system = SmallSystem(tmp_path / "root", namespace)
        yield system
        code, output = system.script("stop")
        assert code == 0, output
        assert not system.relays()


def test_the_script_of_small_systems_starts_reloads_and_stops_the_relay(small_system):
    assert small_system.script("status")[0] == 3
    code, output = small_system.script("start", prefix=["nohup"])
    assert code == 0, output
    # the overlay is empty: the settings that came with the binary count
    assert set(eventually(small_system.answers, 5, "the relay answers")) == {"test", "camera"}
    assert small_system.script("status")[0] == 0
    assert "runs already" in small_system.script("start")[1]
    (small_system.root / "etc/porthole.yaml").write_text("streams: {gate: 'test:'}\n")
    code, output = small_system.script("restart", prefix=["nohup"])
    assert code == 0, output
    eventually(lambda: set(small_system.answers() or ()) == {"gate"}, 5, "the operator's settings")
    (small_system.root / "etc/porthole.yaml").write_text("streams: {gate: 'test:', yard: 'test:'}\n")
    (before,) = small_system.relays()
    assert small_system.script("reload")[0] == 0
    eventually(lambda: set(small_system.answers() or ()) == {"gate", "yard"}, 5, "the settings read again")
    assert small_system.relays() == [before]
    score = pathlib.Path(f"/proc/{before}/oom_score_adj").read_text().strip()
    assert score == "500"
    assert small_system.script("stop")[0] == 0
    assert not small_system.relays() and small_system.script("status")[0] == 3


def test_a_relay_that_is_killed_comes_back(small_system):
    small_system.script("start")
    (first,) = eventually(small_system.relays, 5, "the relay runs")
    os.kill(first, signal.SIGKILL)
    (second,) = eventually(lambda: [pid for pid in small_system.relays() if pid != first], 5, "another one runs")
    assert second != first and eventually(small_system.answers, 5, "it answers")


def test_settings_that_are_wrong_leave_a_relay_with_the_defaults_whose_page_says_what_is_wrong(small_system):
    wrong = "streams: {gate: 'test:'}\nwebrtc: {listen: nowhere}\n"
    settings = small_system.root / "etc/porthole.yaml"
    settings.write_text(wrong)
    assert small_system.script("start")[0] == 0
    assert set(eventually(small_system.answers, 8, "the relay answers")) == {"test", "camera"}
    problems = small_system.ask("/api/status")["problems"]
    assert any(line.startswith("porthole.yaml:2:18: webrtc.listen") for line in problems) and "defaults count" in problems[-1], problems
    # what is saved now changes neither the operator's settings nor the defaults
    small_system.ask("/api/streams?name=door&src=test:", method="PUT")
    assert settings.read_text() == wrong and "door" not in (small_system.root / "usr/share/porthole/porthole.yaml").read_text()
    assert small_system.script("reload")[0] == 0
    eventually(lambda: small_system.answers() and "door" not in small_system.answers(), 8, "it starts again, with settings that are still wrong")
    eventually(lambda: (small_system.ask("/api/status") or {"problems": []})["problems"], 8, "and says so again")
    settings.write_text("streams: {gate: 'test:'}\n")
    assert small_system.script("reload")[0] == 0
    eventually(lambda: set(small_system.answers() or ()) == {"gate"}, 8, "the corrected settings")
    assert small_system.ask("/api/status")["problems"] == []


def test_streams_that_are_saved_apart_leave_the_settings_as_they_are_and_are_put_aside_when_they_cannot_be_read(small_system):
    root = small_system.root
    (root / "etc/default/porthole").write_text("SAVED=/tmp/streams.yaml\n")
    settings, saved = root / "etc/porthole.yaml", root / "tmp/streams.yaml"
    settings.write_text("streams: {gate: 'test:'}\n")
    small_system.script("start")
    assert set(eventually(small_system.answers, 5, "the relay answers")) == {"gate"}
    small_system.ask("/api/streams?name=door&src=test:", method="PUT")
    assert settings.read_text() == "streams: {gate: 'test:'}\n" and "door" in saved.read_text()
    assert small_system.script("restart")[0] == 0
    eventually(lambda: set(small_system.answers() or ()) == {"gate", "door"}, 5, "what was saved counts besides the settings")
    saved.write_text("streams: [\n")
    assert small_system.script("restart")[0] == 0
    eventually(lambda: set(small_system.answers() or ()) == {"gate"}, 8, "the settings count without what was saved")
    problems = small_system.ask("/api/status")["problems"]
    assert problems[0].startswith("streams.yaml:") and "left out" in problems[-1], problems
    assert (root / "tmp/streams.yaml.wrong").read_text() == "streams: [\n"
    small_system.ask("/api/streams?name=yard&src=test:", method="PUT")
    settings.write_text("streams: [\n")
    assert small_system.script("restart")[0] == 0
    eventually(lambda: set(small_system.answers() or ()) == {"test", "camera", "yard"}, 8, "the defaults count, and what was saved")
    small_system.ask("/api/streams?name=shed&src=test:", method="PUT")
    assert "shed" in saved.read_text() and settings.read_text() == "streams: [\n"
    saved.write_text("streams: [\n")
    assert small_system.script("restart")[0] == 0
    eventually(lambda: set(small_system.answers() or ()) == {"test", "camera"}, 12, "the defaults count where both are wrong")
    problems = small_system.ask("/api/status")["problems"]
    assert any("left out" in line for line in problems) and "defaults count" in problems[-1], problems
    small_system.ask("/api/streams?name=yard&src=test:", method="PUT")
    settings.unlink()
    assert small_system.script("restart")[0] == 0
    eventually(lambda: set(small_system.answers() or ()) == {"test", "camera", "yard"}, 5, "without settings the defaults count, and what was saved")


def test_a_relay_that_cannot_run_is_given_up(small_system):
    (small_system.root / "etc/default/porthole").write_text("RESPAWNS=2\nDAEMON=/bin/false\n")
    assert small_system.script("start")[0] == 0
    eventually(lambda: small_system.script("status")[0] == 3, 8, "the supervisor gave up")
    assert not small_system.relays()


def test_the_script_for_procd_asks_for_what_protects_the_printer(tmp_path):
    folder = tmp_path / "porthole"
    folder.mkdir()
    (folder / "porthole.default.yaml").write_text("streams: {test: 'test:'}\n")
    script = (ROOT / "image/init/porthole.procd").read_text().replace("FOLDER=/mnt/UDISK/porthole", f"FOLDER={folder}")
    (tmp_path / "script").write_text(script)
    # procd's own shell functions, which only tell what they were asked
    asked = 'procd_open_instance() { :; }; procd_close_instance() { :; }; procd_set_param() { echo "$*"; }; procd_send_signal() { echo "signal $*"; }'
    run = subprocess.run(["busybox", "ash", "-c", f'{asked}; . "{tmp_path}/script"; start_service; reload_service'], capture_output=True, text=True, check=True)
    said = run.stdout.splitlines()
    command = next(line for line in said if line.startswith("command "))
    assert "echo 500 >/proc/self/oom_score_adj" in command and f"exec taskset 1 {folder}/porthole" in command
    assert {"nice 10", "respawn 60 2 5", "signal porthole porthole HUP"} <= set(said)
    assert (folder / "porthole.yaml").read_text() == (folder / "porthole.default.yaml").read_text()
