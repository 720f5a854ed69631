"""The frame counter in the test camera's picture: the top row of 40 blocks, 2/45 of the picture's height.

From the left: sync 1010, a number of 32 bits, four check bits (XOR of the number's nibbles and 1010). White is 1.
Works on bare bytes, so that Debian's own Python (GStreamer) can use it too.
"""

COLUMNS = 40


def check(number):
    bits = 0b1010
    for nibble in range(8):
        bits ^= number >> (4 * nibble) & 0xF
    return bits


def read(luma, width, height, stride=None):
    """The counter of a picture given by its luma plane; None where there is none, or a damaged one."""
    line = (height * 2 // 45) // 2 * (stride or width)
    row = 0
    for column in range(COLUMNS):
        row = row << 1 | (luma[line + int((column + 0.5) * width / COLUMNS)] > 127)
    number = row >> 4 & 0xFFFFFFFF
    return number if row >> 36 == 0b1010 and row & 0xF == check(number) else None


def read_frame(frame):
    """The counter of a frame of PyAV."""
    plane = frame.reformat(format="gray").planes[0]
    return read(bytes(plane), frame.width, frame.height, plane.line_size)


def draw(number, width=640, height=360):
    """Luma plane of a grey picture with the counter and a block that moves."""
    row = 0b1010 << 36 | number << 4 | check(number)
    step = width // COLUMNS
    line = b"".join((b"\xeb" if row >> (COLUMNS - 1 - c) & 1 else b"\x10") * step for c in range(COLUMNS))
    rows = height * 2 // 45
    left = number * 8 % (width - 64)
    moving = b"\x60" * left + b"\xc0" * 64 + b"\x60" * (width - left - 64)
    plain = b"\x60" * width
    return line * rows + moving * 64 + plain * (height - rows - 64)


# For pages: readCounter(anything that drawImage takes), and collectCounters for each frame that was decoded.
SCRIPT = """
const canvas = document.createElement('canvas');
canvas.width = 640;
canvas.height = 16;
const context = canvas.getContext('2d', { willReadFrequently: true });
window.readCounter = (source) => {
  const width = source.videoWidth ?? source.displayWidth, height = source.videoHeight ?? source.displayHeight;
  if (!width) return null;
  context.drawImage(source, 0, 0, width, height * 2 / 45, 0, 0, 640, 16);
  const { data } = context.getImageData(0, 8, 640, 1);
  let bits = '';
  for (let column = 0; column < 40; column++) bits += data[(column * 16 + 8) * 4] > 127 ? '1' : '0';
  const number = parseInt(bits.slice(4, 36), 2);
  let check = 10;
  for (let i = 4; i < 36; i += 4) check ^= parseInt(bits.slice(i, i + 4), 2);
  return bits.startsWith('1010') && parseInt(bits.slice(36), 2) === check ? number : null;
};
window.collectCounters = async (video, seconds) => {
  const track = video.srcObject.getVideoTracks()[0].clone();
  const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 60 }).readable.getReader();
  const counters = [];
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    const { value, done } = await reader.read();
    if (done) break;
    counters.push(readCounter(value));
    value.close();
  }
  track.stop();
  return counters;
};
"""
