"""Reads the code rows of the test camera from a decoded picture.

The layout of the rows is described in src/source/test/code.rs.
"""

COLUMNS = 40
ROW_HEIGHT = 2 / 45


def read_counter(image):
    """(frame, clock) of a picture, or None if there is no whole code in it.

    `image` is a numpy array (or nested sequence) of height x width luma samples or height x width x 3 colours;
    its scale doesn't matter. `clock` is in milliseconds since 1970, modulo 2**32:
    latency = (int(time.time() * 1000) - clock) % 2**32.
    """
    frame, clock = _read_row(image, 0), _read_row(image, 1)
    return None if frame is None or clock is None else (frame, clock)


def _brightness(image, row, column):
    """Mean of up to 3x3 samples around the middle of a block."""
    height, width = len(image), len(image[0])
    x = int((column + 0.5) / COLUMNS * width)
    y = int((row + 0.5) * ROW_HEIGHT * height)
    reach = 1 if width >= COLUMNS * 6 else 0
    values = []
    for line in image[y - reach : y + reach + 1]:
        for sample in line[x - reach : x + reach + 1]:
            values.append(sum(map(int, sample)) / len(sample) if hasattr(sample, "__len__") else int(sample))
    return sum(values) / len(values)


def _read_row(image, row):
    blocks = [_brightness(image, row, column) for column in range(COLUMNS)]
    # The sync blocks 1 0 1 0 tell what white and black look like here.
    white, black = min(blocks[0], blocks[2]), max(blocks[1], blocks[3])
    if white - black < 40:
        return None
    bits = "".join("1" if block > (white + black) / 2 else "0" for block in blocks)
    number, check = int(bits[4:36], 2), int(bits[36:], 2)
    expected = 0b1010
    for nibble in range(8):
        expected ^= number >> (4 * nibble) & 15
    return number if check == expected else None
