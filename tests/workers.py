"""Several tests at a time: each of pytest's workers (`-n 4`) has a network of its own, so that no two tests meet at a port.

Most tests wait, for a camera to die or a picture to come; so there are more workers than cores. A file stays with one
worker, which starts browser and cameras once for it. What needs the whole machine (`alone`) runs while nothing else does.
"""

import ctypes
import fcntl
import os
import subprocess

import pytest
from xdist.scheduler import LoadScopeScheduling

CLONE_NEWNET = 0x40000000
# As of a machine at a cable whose other end is in nobody's hands. No route leads further: who asks a name server or a STUN
# server of the Internet hears at once that there is none.
NETWORK = (
    "link set lo up",
    "link add eth0 type veth peer name nobody",
    "link set nobody up addrgenmode none",
    "address add 192.0.2.2/24 dev eth0",
    "address add fd00::2/64 dev eth0 nodad",
    "link set eth0 up",
)
# they begin first, the longest before the others, so that nobody waits for them at the end
LONG = """
test_pages test_camera_ways test_churn test_camera_heals test_browser_publishes test_packages test_talk test_browser_plays test_cameras
test_webtorrent test_doctor test_turn_streams test_https test_player test_publisher_policy test_service test_stun_turn test_image test_firmware
""".split()
# their tests share nothing but the browser, and are too slow for one worker
DIVIDED = {"test_image.py", "test_firmware.py", "test_firmware_panics.py"}


def network_of_our_own():
    """This process and all that it starts see loopback and an interface that leads nowhere."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise pytest.UsageError(f"workers need networks of their own, which root may make: {os.strerror(ctypes.get_errno())}; without -n the tests run one after the other")
    for command in NETWORK:
        subprocess.run(["ip", *command.split()], check=True)


def outside():
    """What a command begins with that needs the machine's own network, as for a download."""
    return ["nsenter", f"--net=/proc/{os.getppid()}/ns/net"] if "PYTEST_XDIST_WORKER" in os.environ else []


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: needs the whole machine; no other test runs meanwhile")
    if hasattr(config, "workerinput"):
        network_of_our_own()


def is_alone(item):
    return item.get_closest_marker("alone") is not None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    rank = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: (is_alone(item), rank.get(item.path.stem, len(LONG))))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    """Its turn comes before its time begins to count: workers have a lock on this file in common, or one has it alone."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    with open(__file__) as turns:
        fcntl.flock(turns, fcntl.LOCK_EX if is_alone(item) else fcntl.LOCK_SH)
        return (yield)


class ByFile(LoadScopeScheduling):
    def _split_scope(self, nodeid):
        file = nodeid.split("::")[0]
        return nodeid if file.rsplit("/", 1)[-1] in DIVIDED else file


def pytest_xdist_make_scheduler(config, log):
    config.option.loadscopereorder = False
    return ByFile(config, log)
