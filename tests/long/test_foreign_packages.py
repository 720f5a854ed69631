"""Packages on systems for their own processor: the .deb in a Debian, the archives where a camera and a printer unpack them.

The binaries are those that image/build made; tests/long/image runs this.
"""

import contextlib
import json
import shutil
import subprocess

import pytest

from foreign import Emulation, ForeignDebian, debian_base
from namespaces import namespaces
from relay import ROOT, eventually
from test_packages import CONFIG, newer

pytestmark = pytest.mark.timeout(900)

IMAGES = ROOT / "target/image"
# Debian's name of the processor, QEMU's, and a board whose .deb is for it
DEBIANS = {"armhf": ("arm", "rpi-2"), "arm64": ("aarch64", "rpi-3")}
START_SECONDS = 30
# What OpenWrt's rc.common and procd do with such a script, as far as it asks: start, stop, start again.
RC_COMMON = r"""#!/bin/sh
script=$1 action=$2
procd_open_instance() { :; }
procd_set_param() {
	[ "$1" = command ] || return 0
	shift
	{ printf exec; for word in "$@"; do printf " '%s'" "$word"; done; } >/tmp/command
}
procd_close_instance() { :; }
procd_send_signal() { kill -"$3" "$(cat /tmp/pid)"; }
. "$script"
case $action in
start) start_service && start-stop-daemon -S -b -m -p /tmp/pid -x /bin/sh -- /tmp/command ;;
stop) start-stop-daemon -K -p /tmp/pid ;;
reload) reload_service ;;
esac
"""


def package_of(board, ending):
    found = sorted((IMAGES / board).glob(f"porthole_*{ending}"))
    assert len(found) == 1, f"image/build {board} makes it: {found}"
    return found[0]


@pytest.fixture(scope="module", params=DEBIANS)
def foreign(request):
    architecture = request.param
    processor, board = DEBIANS[architecture]
    with Emulation(processor) as emulation:
        yield debian_base(architecture, emulation), emulation, package_of(board, ".deb")


@pytest.fixture
def debian(foreign, tmp_path):
    base, emulation, _ = foreign
    root = tmp_path / "debian"
    subprocess.run(["cp", "-a", "--reflink=auto", base, root], check=True)
    system = ForeignDebian(root, emulation)
    yield system
    emulation.run("umount", "--recursive", root / "proc")
    shutil.rmtree(root)


class Asked:
    """The relay of a system in a network of its own."""

    def __init__(self, namespace):
        self.namespace = namespace

    def ask(self, path, method="GET"):
        command = [*self.namespace.prefix, "curl", "-sf", "-X", method, f"http://127.0.0.1:1984{path}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else None

    def streams(self):
        return set(json.loads(self.ask("/api/streams") or "{}"))


def test_a_deb_goes_through_installation_upgrade_removal_and_purge(debian, foreign, tmp_path):
    package = foreign[2]
    before = debian.files()
    debian.install(package)
    assert debian.run("porthole", "--version").startswith("porthole ")
    assert debian.run("porthole", "check", f"/{CONFIG}") == ""
    with namespaces(1) as (namespace,):
        start = ["chroot", debian.root, "porthole", "-c", "/var/lib/porthole.yaml", "-c", f"/{CONFIG}"]
        relay = subprocess.Popen([*namespace.prefix, *debian.emulation.prefix, *map(str, start)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        asked = Asked(namespace)
        try:
            assert eventually(asked.streams, START_SECONDS, "it answers") == {"test"}
        finally:
            relay.terminate()
            output = relay.communicate(timeout=20)[0]
        assert relay.returncode == 0, output
    # the operator's change outlives the next version, whose own settings changed too
    (debian.root / CONFIG).write_text("streams: {mine: 'test:'}\n")
    debian.install(newer(package, tmp_path))
    assert debian.text(CONFIG) == "streams: {mine: 'test:'}\n"
    assert debian.run("dpkg-query", "--show", "--showformat=${Version}", "porthole") == "99.0"
    debian.run("dpkg", "--remove", "porthole")
    assert (debian.root / CONFIG).exists() and not (debian.root / "usr/bin/porthole").exists()
    debian.run("dpkg", "--purge", "porthole")
    assert debian.files() == before


@pytest.fixture
def small(tmp_path):
    """BusyBox for ARMv7 in an otherwise empty system, with a network of its own."""
    busybox = subprocess.run([ROOT / "image/archive", "armhf", "busybox-static"], capture_output=True, text=True, check=True).stdout.split()[-1]
    root = tmp_path / "root"
    for folder in ("bin", "dev", "etc/init.d", "proc", "tmp", "usr/bin", "var/run", "mnt/UDISK"):
        (root / folder).mkdir(parents=True)
    shutil.copy(f"{busybox}/bin/busybox", root / "bin/busybox")
    with Emulation("arm") as emulation, namespaces(1) as (namespace,):
        for name in ("null", "urandom"):
            (root / "dev" / name).touch()
            emulation.run("mount", "--bind", f"/dev/{name}", root / "dev" / name)
        emulation.run("mount", "--rbind", "/proc", root / "proc")
        emulation.run("chroot", root, "/bin/busybox", "--install", "-s", "/bin")

        def run(*words):
            command = [*namespace.prefix, *emulation.prefix, "chroot", root, *words]
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=60, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
            return done.returncode, done.stdout + done.stderr

        def unpack(board):
            shutil.copy(package_of(board, ".tar.gz"), root / "tmp/package.tar.gz")
            code, output = run("sh", "-c", "cd / && tar xzf /tmp/package.tar.gz")
            assert code == 0, output

        system = Asked(namespace)
        system.root, system.run, system.unpack = root, run, unpack
        yield system


@contextlib.contextmanager
def stopped_by(system, *script):
    try:
        yield
    finally:
        code, output = system.run(*script)
    assert code == 0, output
    eventually(lambda: system.ask("/api") is None, 20, "nothing answers any more")


def test_the_archive_for_openipc_starts_answers_and_stops_by_its_own_script(small):
    small.unpack("openipc-16m")
    assert small.run("/etc/init.d/S96porthole", "status")[0] == 3
    code, output = small.run("/etc/init.d/S96porthole", "start")
    assert code == 0, output
    with stopped_by(small, "/etc/init.d/S96porthole", "stop"):
        assert eventually(small.streams, START_SECONDS, "it answers") == {"test", "camera"}
        assert small.run("/etc/init.d/S96porthole", "status")[0] == 0
        assert small.ask("/api/streams?name=door&src=test:", method="PUT") is not None
        # what is saved is the operator's: the next version unpacked over it changes nothing
        small.unpack("openipc-16m")
        assert "door" in (small.root / "etc/porthole.yaml").read_text()
        assert small.run("/etc/init.d/S96porthole", "restart")[0] == 0
        eventually(lambda: "door" in small.streams(), START_SECONDS, "it answers with the operator's settings")


def test_the_archive_for_the_k2_starts_answers_and_stops_by_its_own_script(small):
    small.unpack("creality-k2")
    (small.root / "etc/rc.common").write_text(RC_COMMON)
    (small.root / "etc/rc.common").chmod(0o755)
    code, output = small.run("/bin/sh", "/etc/rc.common", "/etc/init.d/porthole", "start")
    assert code == 0, output
    with stopped_by(small, "/bin/sh", "/etc/rc.common", "/etc/init.d/porthole", "stop"):
        assert eventually(small.streams, START_SECONDS, "it answers") == {"test"}
        # without the interfaces of a printer, which this system does not have
        (small.root / "mnt/UDISK/porthole/porthole.yaml").write_text("streams: {gate: 'test:'}\n")
        assert small.run("/bin/sh", "/etc/rc.common", "/etc/init.d/porthole", "reload")[0] == 0
        eventually(lambda: small.streams() == {"gate"}, START_SECONDS, "the settings read again")
