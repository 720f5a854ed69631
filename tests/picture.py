"""The test camera's picture as the black-box tests see and imitate it; peers/counter.* read its code rows.

Needs nothing but Python, so that Debian's own (for GStreamer) can use it too.
"""

import pathlib
import random
import sys
import time

PEERS = pathlib.Path(__file__).resolve().parent / "peers"
sys.path.append(str(PEERS))
from counter import COLUMNS, ROW_HEIGHT, read_counter  # noqa: E402


def read(luma, width, height, stride=None):
    """The frame counter of a picture given by its luma plane; None where there is none, or a damaged one."""
    stride = stride or width
    seen = read_counter([luma[line * stride : line * stride + width] for line in range(height)])
    return seen and seen[0]


def read_frame(frame):
    """The frame counter of a frame of PyAV."""
    plane = frame.reformat(format="gray").planes[0]
    return read(bytes(plane), frame.width, frame.height, plane.line_size)


def draw(number, width=640, height=360, grain=False):
    """Luma plane of a grey picture with the code rows and a block that moves; with `grain` its keyframes are large."""
    rows = round(height * ROW_HEIGHT)
    left = number * 8 % (width - 64)
    moving = b"\x60" * left + b"\xc0" * 64 + b"\x60" * (width - left - 64)
    code = b"".join(_code_row(value, width) * rows for value in (number, int(time.time() * 1000) % 2**32))
    rest = width * (height - 2 * rows - 64)
    return code + moving * 64 + (random.Random(rest).randbytes(rest) if grain else b"\x60" * rest)


def _code_row(number, width):
    check = 0b1010
    for nibble in range(8):
        check ^= number >> (4 * nibble) & 0xF
    row = 0b1010 << 36 | number << 4 | check
    return b"".join((b"\xeb" if row >> (COLUMNS - 1 - column) & 1 else b"\x10") * (width // COLUMNS) for column in range(COLUMNS))


# For pages: readFrame(anything that drawImage takes), and collectCounters for each frame that was decoded.
SCRIPT = (PEERS / "counter.js").read_text() + """
const canvas = document.createElement('canvas');
canvas.width = 640;
canvas.height = 32; // the code rows of a picture of 640x360
const context = canvas.getContext('2d', { willReadFrequently: true });
window.readFrame = (source) => {
  const width = source.videoWidth ?? source.displayWidth, height = source.videoHeight ?? source.displayHeight;
  if (!width) return null;
  context.drawImage(source, 0, 0, width, height * 32 / 360, 0, 0, 640, 32);
  const { data } = context.getImageData(0, 0, 640, 32);
  return readCounter({ width: 640, height: 360, data })?.frame ?? null;
};
window.collectCounters = async (video, seconds) => {
  const track = video.srcObject.getVideoTracks()[0].clone();
  const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 60 }).readable.getReader();
  const counters = [];
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    const { value, done } = await reader.read();
    if (done) break;
    counters.push(readFrame(value));
    value.close();
  }
  track.stop();
  return counters;
};
"""
