"""What a camera sends: a picture that says which session of the camera it belongs to, and a tone. What it hears."""

import asyncio
import fractions
import math
import pathlib
import struct
import sys
import time

import numpy
from aiortc import MediaStreamTrack
from av import AudioFrame, VideoFrame

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))
import picture  # noqa: E402

WIDTH, HEIGHT = 320, 240
SESSION = 100_000  # the first session's pictures count from here, the second's from twice this


class Picture(MediaStreamTrack):
    """A block that moves below the code rows of the test camera; encoded by libx264."""

    kind = "video"

    def __init__(self, first, fps, started):
        super().__init__()
        self.first, self.fps, self.number, self.begun = first, fps, 0, None
        self.started = started  # called with the number of the first picture

    async def recv(self):
        if self.begun is None:
            self.begun = time.monotonic()
            self.started(self.first)
        await asyncio.sleep(max(0, self.begun + self.number / self.fps - time.monotonic()))
        frame = VideoFrame(WIDTH, HEIGHT, "yuv420p")
        luma = picture.draw(self.first + self.number, WIDTH, HEIGHT)
        plane = frame.planes[0]
        rows = (luma[line * WIDTH : (line + 1) * WIDTH] for line in range(HEIGHT))
        plane.update(b"".join(row.ljust(plane.line_size, b"\x60") for row in rows))
        for plane in frame.planes[1:]:
            plane.update(b"\x80" * plane.buffer_size)
        frame.pts, frame.time_base = self.number * 90000 // self.fps, fractions.Fraction(1, 90000)
        self.number += 1
        return frame


class Tone(MediaStreamTrack):
    """Of one frequency, in frames of 20 ms."""

    kind = "audio"

    def __init__(self, rate, hertz=440):
        super().__init__()
        self.hertz, self.rate, self.samples, self.begun = hertz, rate, rate // 50, time.monotonic()
        self.number = 0

    async def recv(self):
        await asyncio.sleep(max(0, self.begun + self.number / 50 - time.monotonic()))
        frame = AudioFrame(format="s16", layout="mono", samples=self.samples)
        at = self.number * self.samples
        wave = (int(8000 * math.sin(2 * math.pi * self.hertz * (at + sample) / self.rate)) for sample in range(self.samples))
        frame.planes[0].update(struct.pack(f"<{self.samples}h", *wave))
        frame.sample_rate, frame.pts, frame.time_base = self.rate, at, fractions.Fraction(1, self.rate)
        self.number += 1
        return frame


class Ear:
    """Measures a fifth of a second of sound at a time."""

    LOUD = 500  # of 32767: what is softer says nothing about its frequency

    def __init__(self):
        self.samples = numpy.zeros(0)

    def hear(self, frame):
        """The strongest frequency and the root mean square of what came since the last measure, or None if it is too little or too soft."""
        self.samples = numpy.append(self.samples, frame.to_ndarray().flatten()[:: len(frame.layout.channels)])
        if len(self.samples) < frame.sample_rate / 5:
            return None
        samples, self.samples = self.samples, numpy.zeros(0)
        level = math.sqrt((samples * samples).mean())
        spectrum = numpy.abs(numpy.fft.rfft(samples * numpy.hanning(len(samples))))
        hertz = int(spectrum.argmax()) * frame.sample_rate / len(samples)
        return {"hertz": round(hertz), "loudness": round(level)} if level > self.LOUD else None
