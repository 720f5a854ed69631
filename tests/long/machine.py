"""A board that QEMU emulates, started from the image that image/build made for it."""

import contextlib
import re
import socket
import subprocess
import time

from relay import ROOT, Relay, eventually, free_media_port, free_port

IMAGES = ROOT / "target/image"
MIB = 1024 * 1024
PARTITION = MIB  # where the first begins
BOOT_SECONDS = 180  # of a slow emulated processor on a busy machine; alone it needs 8 to 25
OFF_SECONDS = 20
HARDWARE = {
    "qemu-arm64": "qemu-system-aarch64 -M virt -cpu cortex-a53 -smp 2 -m 256",
    "qemu-armv7": "qemu-system-arm -M virt,highmem=off -cpu cortex-a7 -smp 2 -m 256",
    # the emulator's only 64-bit and ARMv6 Raspberry Pis
    "rpi-3": "qemu-system-aarch64 -M raspi3b",
    "rpi-zero": "qemu-system-arm -M raspi0",
}
TREES = {"rpi-3": "bcm2837-rpi-3-b.dtb", "rpi-zero": "bcm2835-rpi-zero.dtb"}
# QEMU's Raspberry Pis reset at once when their watchdog is armed, and panic over the Zero's power domains
QUIRKS = {"rpi-3": "porthole.watchdog=off", "rpi-zero": "porthole.watchdog=off initcall_blacklist=bcm2835_power_driver_init"}
CONSOLES = {"rpi-3": "ttyS1"}
NETWORKS = {"rpi-3": "usb-net,netdev=net", "rpi-zero": "usb-net,netdev=net"}


def image_of(board):
    found = sorted((IMAGES / board).glob(f"porthole_*_{board}.img.xz"))
    assert len(found) == 1, f"image/build {board} --image makes it: {found}"
    return found[0]


class Card:
    """The SD card of a test, as a PC sees it."""

    def __init__(self, board, folder):
        self.path = folder / "card.img"
        with open(self.path, "wb") as card:
            subprocess.run(["xz", "--decompress", "--stdout", image_of(board)], stdout=card, check=True)
        self.drive = f"{self.path}@@{PARTITION}"

    def write(self, name, text):
        subprocess.run(["mcopy", "-o", "-i", self.drive, "-", f"::{name}"], input=text.encode(), check=True)

    def delete(self, name):
        subprocess.run(["mdel", "-i", self.drive, f"::{name}"], check=True)

    def read(self, name, folder):
        subprocess.run(["mcopy", "-n", "-o", "-i", self.drive, f"::{name}", folder], check=True)
        return folder / name

    def names(self):
        return set(subprocess.run(["mdir", "-b", "-i", self.drive, "::"], check=True, capture_output=True, text=True).stdout.replace("::/", "").split())


class Machine(Relay):
    """Asked like any other relay; `port` and `media_port` of this machine lead into it, media by TCP.
    `tap`: an interface of the namespace `prefix` that is its network instead."""

    def __init__(self, board, folder, card, prefix=(), tap=None, options=(), words=""):
        self.board, self.directory, self.card = board, folder, card
        self.address, self.http_port = "127.0.0.1", free_port()
        self.media_port = free_media_port(taken=[self.http_port])
        self.prefix, self.tap, self.options, self.words = list(prefix), tap, list(options), words
        self.process = None
        self.log_path = folder / "console.log"
        self.socket_path = folder / "console"

    def settings(self, streams="{test: 'test:?size=320x180&fps=10'}"):
        """Settings that tell players the address on this machine."""
        return f'streams: {streams}\nwebrtc: {{candidates: ["127.0.0.1:{self.media_port}/tcp"]}}\n'

    def command(self):
        console = CONSOLES.get(self.board, "ttyAMA0")
        words = f"console={console} panic=5 quiet loglevel=4 porthole.shell={console} {QUIRKS.get(self.board, '')} {self.words}"
        command = [*HARDWARE[self.board].split(), "-display", "none", "-no-reboot", "-append", words.strip()]
        if self.board in TREES:
            (name,) = set(re.findall(r"^kernel=(\S+)", self.card.read("config.txt", self.directory).read_text(), re.M))
            command += ["-dtb", self.card.read(TREES[self.board], self.directory)]
        else:
            name = "kernel"
        kernel = self.card.read(name, self.directory)
        if kernel.read_bytes()[:2] == b"\x1f\x8b":  # on a card the boot firmware unpacks it
            unpacked = self.directory / "unpacked"
            unpacked.write_bytes(subprocess.run(["gzip", "--decompress", "--stdout", kernel], check=True, capture_output=True).stdout)
            kernel = unpacked
        command += ["-kernel", kernel, "-initrd", self.card.read("initramfs.xz", self.directory)]
        serial = ["-chardev", f"socket,id=console,path={self.socket_path},server=on,wait=off,logfile={self.log_path}"]
        command += [*serial, *(["-serial", "null"] if console == "ttyS1" else []), "-serial", "chardev:console"]
        if self.tap:
            network = f"tap,id=net,ifname={self.tap},script=no,downscript=no"
        else:
            forwards = [f"hostfwd=tcp:127.0.0.1:{self.http_port}-:1984", f"hostfwd=tcp:127.0.0.1:{self.media_port}-:8555"]
            network = ",".join(["user,id=net", *forwards])
        command += ["-netdev", network, "-device", NETWORKS.get(self.board, "virtio-net-pci,netdev=net,romfile=")]
        return [*self.prefix, *command, *self.drive(), *self.options]

    def drive(self):
        if self.card is None or not self.card.path.exists():
            return []
        if self.board in TREES:
            return ["-drive", f"file={self.card.path},format=raw,if=sd"]
        return ["-drive", f"file={self.card.path},format=raw,if=none,id=card", "-device", "virtio-blk-pci,drive=card"]

    def start(self):
        self.process = subprocess.Popen([str(word) for word in self.command()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if not self.tap:
            eventually(self._answers, BOOT_SECONDS, "the board answers /api")
        return self

    def _answers(self):
        assert self.process.poll() is None, f"the board ended by itself: {self.process.stderr.read()}\n{self.log()}"
        with contextlib.suppress(OSError):
            return self.get("/api", timeout=2)[0] == 200
        return False

    def stop(self):
        """As a plug that is pulled."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def shell(self, line, seconds=30):
        """What a line prints in the shell on the board's console."""
        mark = f"{time.monotonic_ns():x}"
        # in one piece, as hexadecimal digits: the log is written to the same console
        end = f"| xxd -p | tr -d '\\n' | sed \"s/.*/<{mark[:4]}\"\"{mark[4:]}:&>/\""
        with socket.socket(socket.AF_UNIX) as console:
            console.connect(str(self.socket_path))
            console.settimeout(seconds)
            console.sendall(f"\n{{ {line}; echo; }} 2>&1 {end}\n".encode())
            text = b""
            while not (found := re.search(f"<{mark}:([0-9a-f]*)>".encode(), text)):
                text += console.recv(4096)
        return bytes.fromhex(found.group(1).decode()).decode(errors="replace").strip()
