"""A network that loses every twentieth packet in each direction; lost packets are sent again, so no frame is missing."""

import subprocess

import pytest

from browser import view
from namespaces import linked

LOSS_PERCENT = 5
RELAY, VIEWER = "10.77.41.1", "10.77.41.2"
LINK = "lossy"
SECONDS = 20
FPS = 30

# netem is what one would take, but many kernels come without it; a random drop in nftables is the same loss
DROP = f'iifname "{LINK}" numgen random mod 100 < {LOSS_PERCENT}'


@pytest.fixture
def lossy(tmp_path):
    """Two network namespaces, a link between them, loss both ways: `(prefix of the relay, a browser's executable)`."""
    with linked(RELAY, VIEWER, LINK) as sides:

        def lose():
            for side in sides:
                netem = ["tc", "-n", side.name, "qdisc", "add", "dev", LINK, "root", "netem", "loss", f"{LOSS_PERCENT}%"]
                if subprocess.run(netem, capture_output=True, check=False).returncode != 0:
                    side.drop(DROP)

        yield sides[0].prefix, sides[1].chromium(tmp_path), lose


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
