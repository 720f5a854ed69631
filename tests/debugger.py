"""A debugger of a relay in qemu's user mode, which makes a function of the binary panic instead of running.

The emulator waits on the port in QEMU_GDB for a debugger, before the first instruction. Both speak GDB's remote serial protocol.
"""

import os
import re
import signal
import socket
import subprocess
import threading
import time

CONNECT_SECONDS = 10
# what panics without an argument
OVERFLOW = "alloc::raw_vec::capacity_overflow"
# of the program counter, in GDB's list of registers: number and bytes
PROGRAM_COUNTER = {"armv6": (15, 4), "armv7": (15, 4), "aarch64": (32, 8), "x86_64": (16, 8)}
# where a breakpoint is put is a whole instruction
BREAKPOINT_BYTES = {"armv6": 4, "armv7": 2, "aarch64": 4, "x86_64": 1}


class Debugger:
    """`unstripped`: the binary with its names, not linked anew since. `processor`: as above. `port`: where the emulator waits."""

    def __init__(self, unstripped, processor, port):
        self.processor = processor
        self.port = port
        listed = subprocess.run(["nm", "--demangle", "--defined-only", unstripped], capture_output=True, text=True, check=True).stdout
        # in ARM's addresses the lowest bit says Thumb
        mask = ~1 if processor == "armv7" else ~0
        self.functions = {name: int(address, 16) & mask for address, kind, name in (line.split(maxsplit=2) for line in listed.splitlines()) if kind in "tT"}
        self._armed = None
        self._socket = None
        self._pending = b""

    def connect(self):
        """Lets the program begin, and looks after it in the background."""
        end = time.monotonic() + CONNECT_SECONDS
        while self._socket is None:
            try:
                self._socket = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                assert time.monotonic() < end, "the emulator does not wait for a debugger"
                time.sleep(0.05)
        # registers one by one are for those only who asked what there is
        self._ask(b"qXfer:features:read:target.xml:0,fff")
        self._send(b"c")
        threading.Thread(target=self._run, daemon=True).start()

    def panic_in(self, pid, function):
        """The next call of the function panics. An event that is set when it did."""
        done = threading.Event()
        self._armed = (self.functions[function], done)
        # the emulator listens only while the program stands; a signal stops it, and is not delivered
        os.kill(pid, signal.SIGHUP)
        return done

    def _run(self):
        counter, size = PROGRAM_COUNTER[self.processor]
        placed = b""
        try:
            while not self._receive().startswith((b"W", b"X")):
                address, done = self._armed
                at = int.from_bytes(bytes.fromhex(self._ask(b"p%x" % counter).decode())[:size], "little")
                if not placed:
                    placed = b"0,%x,%x" % (address, BREAKPOINT_BYTES[self.processor])
                    assert self._ask(b"Z" + placed) == b"OK"
                elif at == address:
                    assert self._ask(b"z" + placed) == b"OK"
                    placed = b""
                    # the call was just made, so that it seems one of what panics
                    assert self._ask(b"P%x=%s" % (counter, self.functions[OVERFLOW].to_bytes(size, "little").hex().encode())) == b"OK"
                    done.set()
                self._send(b"c")
        except OSError:
            pass  # the program was ended

    def _ask(self, text):
        self._send(text)
        return self._receive()

    def _send(self, text):
        self._socket.sendall(b"$%s#%02x" % (text, sum(text) & 0xFF))

    def _receive(self):
        """The content of the next packet, without the sum over it."""
        while not (packet := re.search(rb"\$([^#]*)#..", self._pending)):
            more = self._socket.recv(4096)
            if not more:
                raise ConnectionResetError
            self._pending += more
        self._pending = self._pending[packet.end() :]
        self._socket.sendall(b"+")
        return packet.group(1)
