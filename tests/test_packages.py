"""Packages: the same bytes every time, settings that survive an upgrade, nothing left behind, archives that BusyBox unpacks."""

import functools
import hashlib
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import threading
import time

import pytest

from namespaces import namespaces
from relay import BINARY, ROOT, eventually
from workers import outside

CACHE = ROOT / "tests/.cache"
MOMENT = "1700000000"
OVERLAY_BYTES = 3_866_624  # of jffs2, on a camera with 16 MB of flash
CONFIG = "etc/porthole/porthole.yaml"
ENABLED = "etc/systemd/system/multi-user.target.wants/porthole.service"
TAR_BOARDS = ["openipc-16m", "creality-k2"]


def pack(board, folder, binary=BINARY, **environment):
    """The package of a board, around any binary."""
    command = [ROOT / "image/package", board, binary, folder]
    subprocess.run(command, check=True, env={**os.environ, "SOURCE_DATE_EPOCH": MOMENT, **environment})
    (package,) = folder.iterdir()
    return package


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """`packed(board)`: the package of a board, made once."""
    return functools.cache(lambda board: pack(board, tmp_path_factory.mktemp(board)))


@pytest.mark.parametrize("board", ["generic-x86_64", *TAR_BOARDS])
def test_two_packages_of_one_binary_are_the_same_bytes(board, packed, tmp_path):
    first = packed(board)
    copy = tmp_path / "porthole-elsewhere"
    shutil.copyfile(BINARY, copy)
    copy.chmod(0o700)
    eventually(lambda: time.time() >= first.stat().st_mtime + 1.1, 2, "a later second")
    old_umask = os.umask(0o077)
    try:
        second = pack(board, tmp_path / "second", copy, TZ="Asia/Tokyo", LANG="C.UTF-8")
    finally:
        os.umask(old_umask)
    assert hashlib.sha256(first.read_bytes()).digest() == hashlib.sha256(second.read_bytes()).digest()
    assert first.name == second.name


def test_the_list_of_contents_names_every_crate_with_its_checksum(tmp_path):
    besides = tmp_path / "contents.txt"
    besides.write_text("musl 1.2.5 MIT\n")

    def listed(features):
        command = [ROOT / "image/sbom", "armv7-unknown-linux-musleabihf", features, besides]
        return subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "SOURCE_DATE_EPOCH": MOMENT}).stdout

    text = listed("default")
    assert text == listed("default")
    components = {part["name"]: part for part in json.loads(text)["components"]}
    assert {"tokio", "ring", "rtc-srtp", "rustls", "musl"} <= set(components)
    assert all("licenses" in part for part in components.values())
    assert all(re.fullmatch("[0-9a-f]{64}", part["hashes"][0]["content"]) for part in components.values() if "purl" in part)
    assert not {"tokio-rustls", "webpki-roots"} & {part["name"] for part in json.loads(listed("minimal"))["components"]}
    assert "serde_derive" not in components, "what only runs while building is not inside"


def mirror():
    """Where this machine gets Debian from, and which Debian."""
    codename = re.search(r"VERSION_CODENAME=(\S+)", pathlib.Path("/etc/os-release").read_text()).group(1)
    listing = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME) $(CREATED_BY)"], capture_output=True, text=True, check=True).stdout
    return next((line.split()[0], codename) for line in listing.splitlines() if line.split()[1:] == [codename, "Packages"])


@pytest.fixture(scope="module")
def debian_base():
    """A small Debian, made once."""
    if os.geteuid() != 0:
        pytest.skip("needs root for a chroot")
    site, codename = mirror()
    base = CACHE / f"debian-{codename}"
    if not base.exists():
        making = CACHE / f"debian-{codename}.{os.getpid()}"
        try:
            subprocess.run([*outside(), "debootstrap", "--variant=minbase", codename, making, site], check=True, capture_output=True)
            making.rename(base)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return base


@pytest.fixture
def deb(packed):
    return packed("generic-x86_64")


class Debian:
    def __init__(self, root):
        self.root = root

    def run(self, *command, prefix=()):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/"}
        done = subprocess.run([*prefix, "chroot", self.root, *command], capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def install(self, package):
        shutil.copy(package, self.root / "tmp/porthole.deb")
        self.run("dpkg", "--install", "--force-confdef", "--force-confold", "/tmp/porthole.deb")

    def files(self):
        """Everything that belongs to the package or came with it."""
        kept = ("var/lib/dpkg", "var/log", "tmp")
        found = {path.relative_to(self.root).as_posix() for path in self.root.rglob("*porthole*") if not path.is_relative_to(self.root / "proc")}
        return {name for name in found if not name.startswith(kept)}

    def text(self, path):
        return (self.root / path).read_text()


@pytest.fixture
def debian(debian_base, tmp_path):
    root = tmp_path / "debian"
    subprocess.run(["cp", "-a", "--reflink=auto", debian_base, root], check=True)
    yield Debian(root)
    shutil.rmtree(root)


def newer(package, folder):
    """The same package as the next version would be, with other settings."""
    tree = folder / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", "Version: 99.0", control.read_text(), flags=re.M))
    with open(tree / CONFIG, "a") as config:
        config.write("# a later version's\n")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, folder / "newer.deb"], check=True, capture_output=True)
    return folder / "newer.deb"


# the first of them makes a Debian
BOOTSTRAP = pytest.mark.timeout(600)


@BOOTSTRAP
def test_a_package_installs_enables_its_service_and_its_relay_answers(debian, deb):
    debian.install(deb)
    assert (debian.root / ENABLED).is_symlink()
    assert "ok installed" in debian.run("dpkg-query", "--show", "--showformat=${Status}", "porthole")
    start = re.search(r"^ExecStart=(.*)$", debian.text("lib/systemd/system/porthole.service"), re.M).group(1).replace("%S", "/var/lib").split()
    (debian.root / "var/lib/porthole").mkdir()  # systemd's part
    with namespaces(1) as (namespace,):
        relay = subprocess.Popen([*namespace.prefix, "chroot", debian.root, *start], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            ask = [*namespace.prefix, "curl", "-sf", "http://127.0.0.1:1984/api/streams"]
            streams = eventually(lambda: subprocess.run(ask, capture_output=True, text=True, check=False).stdout, 5, "it answers")
            assert set(json.loads(streams)) == {"test"}
            put = [*namespace.prefix, "curl", "-sf", "-X", "PUT", "http://127.0.0.1:1984/api/streams?name=door&src=test:"]
            subprocess.run(put, check=True)
        finally:
            relay.terminate()
            output = relay.communicate(timeout=5)[0]
    assert relay.returncode == 0, output
    assert "door" in debian.text("var/lib/porthole/streams.yaml"), "streams of the API are kept apart from the operator's settings"


@BOOTSTRAP
def test_an_upgrade_keeps_what_the_operator_changed_and_brings_what_was_not(debian, deb, tmp_path):
    debian.install(deb)
    later = newer(deb, tmp_path)
    (debian.root / CONFIG).write_text("streams: {mine: 'test:'}\n")
    (debian.root / ENABLED).unlink()  # systemctl disable
    debian.install(later)
    assert debian.text(CONFIG) == "streams: {mine: 'test:'}\n"
    assert not (debian.root / ENABLED).exists(), "who switched the service off finds it off"
    debian.run("dpkg", "--purge", "porthole")
    debian.install(deb)
    debian.install(later)
    assert debian.text(CONFIG).endswith("# a later version's\n")


@BOOTSTRAP
def test_a_removal_keeps_the_settings_and_a_purge_leaves_nothing(debian, deb):
    before = debian.files()
    debian.install(deb)
    (debian.root / "var/lib/private/porthole").mkdir(parents=True)
    (debian.root / "var/lib/porthole").symlink_to("private/porthole")
    debian.run("dpkg", "--remove", "porthole")
    assert (debian.root / CONFIG).exists() and not (debian.root / "usr/bin/porthole").exists()
    debian.run("dpkg", "--purge", "porthole")
    assert debian.files() == before


@pytest.mark.parametrize("board", TAR_BOARDS)
def test_an_archive_holds_files_only_and_never_the_operators_settings(board, packed):
    with tarfile.open(packed(board)) as archive:
        members = archive.getmembers()
    assert all(member.isfile() and (member.uid, member.gid, member.mtime) == (0, 0, int(MOMENT)) for member in members)
    names = {member.name for member in members}
    assert not names & {"etc/porthole.yaml", "mnt/UDISK/porthole/porthole.yaml"}
    assert {member.mode for member in members if member.name.endswith(("bin/porthole", "S96porthole", "init.d/porthole"))} == {0o755}


@pytest.mark.parametrize("board", TAR_BOARDS)
def test_an_archive_is_fetched_and_unpacked_with_busybox_alone(board, packed, tmp_path):
    package = packed(board)
    root = tmp_path / "root"
    root.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: Quiet(*a, directory=package.parent))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/{package.name}"
    subprocess.run(["busybox", "ash", "-c", f'cd "{root}" && busybox wget -q -O- {url} | busybox tar xz'], check=True)
    server.shutdown()
    with tarfile.open(package) as archive:
        names = archive.getnames()
    unpacked = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    assert sorted(unpacked) == sorted(names)
    binary = next(path for path in root.rglob("porthole") if path.stat().st_size > 1_000_000)
    assert binary.read_bytes() == pathlib.Path(BINARY).read_bytes()
