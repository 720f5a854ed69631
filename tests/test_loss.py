"""A network that loses every twentieth packet in each direction; lost packets are sent again, so no frame is missing."""

import os
import subprocess

import pytest

from browser import view
from conftest import CHROMIUM

LOSS_PERCENT = 5
RELAY, VIEWER = "10.77.41.1", "10.77.41.2"
LINK = "lossy"
SECONDS = 20
FPS = 30

# netem is what one would take, but many kernels come without it; a random drop in nftables is the same loss
DROP = f"""
table inet loss {{
  chain input {{
    type filter hook input priority 0;
    iifname "{LINK}" numgen random mod 100 < {LOSS_PERCENT} drop
  }}
}}
"""


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more)


@pytest.fixture
def lossy(tmp_path):
    """Two network namespaces, a link between them, loss both ways: `(prefix of the relay, a browser's executable)`."""
    if os.geteuid() != 0:
        pytest.skip("needs root to make network namespaces")
    names = [f"porthole-{os.getpid()}-{side}" for side in "ab"]
    try:
        for name in names:
            run("ip", "netns", "add", name)
        run("ip", "-n", names[0], "link", "add", LINK, "type", "veth", "peer", "name", LINK, "netns", names[1])
        for name, address in zip(names, (RELAY, VIEWER)):
            run("ip", "-n", name, "address", "add", f"{address}/24", "dev", LINK)
            run("ip", "-n", name, "link", "set", LINK, "up")
            run("ip", "-n", name, "link", "set", "lo", "up")
        executable = tmp_path / "chromium"
        executable.write_text(f'#!/bin/sh\nexec ip netns exec {names[1]} {CHROMIUM} "$@"\n')
        executable.chmod(0o755)

        def lose():
            for name in names:
                netem = subprocess.run(
                    ["tc", "-n", name, "qdisc", "add", "dev", LINK, "root", "netem", "loss", f"{LOSS_PERCENT}%"], capture_output=True, check=False
                )
                if netem.returncode != 0:
                    run("ip", "netns", "exec", name, "nft", "-f", "-", input=DROP)

        yield ["ip", "netns", "exec", names[0]], str(executable), lose
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@pytest.mark.timeout(180)
def test_with_five_percent_loss_no_frame_is_missing_for_twenty_seconds(porthole, new_page, lossy):
    prefix, executable, lose = lossy
    # one long GOP: Chromium stops asking for older packets as soon as a keyframe is complete
    relay = porthole({"cam": f"test:?fps={FPS}&gop=60s"}, prefix=prefix, address=RELAY)
    page = new_page(executable)
    view(page, relay)
    # a frame that waits for a second copy of a packet comes late; with this much patience it still counts
    page.evaluate("seen.pc.getReceivers().forEach((receiver) => { receiver.jitterBufferTarget = 400; })")
    page.wait_for_timeout(2000)
    lose()
    counters = page.evaluate(f"collectCounters(seen.video, {SECONDS})")
    stats = page.evaluate(
        """async () => [...(await seen.pc.getStats()).values()].find((s) => s.type === 'inbound-rtp' && s.kind === 'video')"""
    )
    assert stats["nackCount"] > 0, f"the link lost nothing: {stats}"
    assert len(counters) >= SECONDS * FPS * 0.9, f"{len(counters)} frames in {SECONDS} s: {stats}"
    assert None not in counters, f"damaged pictures: {counters}"
    missing = [(a, b) for a, b in zip(counters, counters[1:]) if b != a + 1]
    assert not missing, f"frames missing between {missing}: {stats}"
