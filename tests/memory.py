"""The memory of a relay that somebody floods, and whether others notice."""

import contextlib
import pathlib
import re
import threading
import time

from relay import PATIENCE, eventually

# what a flood may add; buffers that are kept for the next time are a part of it
GROWTH_KIB = 16 * 1024
# what may be left of that a while later: the allocator keeps some pages
LEFT_KIB = 8 * 1024
BACK_SECONDS = 30
LATENCY_SECONDS = 0.5 * PATIENCE


def resident_kib(relay):
    """What of the relay is in memory now."""
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{relay.pid}/status").read_text())[1])


@contextlib.contextmanager
def unharmed(relay, growth_kib=GROWTH_KIB, latency=LATENCY_SECONDS):
    """While the block runs the relay grows by no more than this, and answers requests of others in time."""
    idle, grown, waited, done = resident_kib(relay), [0], [0], threading.Event()

    def watch():
        while not done.wait(0.02):
            begun = time.monotonic()
            relay.get("/api/streams")
            waited.append(time.monotonic() - begun)
            grown.append(resident_kib(relay) - idle)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    assert relay.process.poll() is None, f"the relay ended:\n{relay.log()[-2000:]}"
    assert len(waited) > 1, "the relay answered nobody"
    print(f"grew by {max(grown)} KiB, others waited {max(waited):.3f} s")
    assert max(grown) <= growth_kib, f"grew by {max(grown)} KiB"
    eventually(lambda: resident_kib(relay) - idle <= min(LEFT_KIB, growth_kib), BACK_SECONDS, "memory is given back")
    # a single late answer may be this machine's doing
    assert sorted(waited)[-max(2, len(waited) // 20)] <= latency, f"others waited {waited}"
