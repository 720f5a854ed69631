"""What a fault of ours costs: what was asked for or the session that it happens in, and nothing else, in every binary that boards get."""

import asyncio
import bisect
import collections
import concurrent.futures
import re
import struct
import subprocess

import pytest
from aiortc import RTCPeerConnection
from aiortc.mediastreams import MediaStreamError

import picture
from debugger import Debugger
from relay import eventually, free_port
from test_aiortc import exchange, in_thread, prefer_h264
from test_firmware import PATIENCE, Firmware, firmware, readelf, there

__all__ = ["firmware"]
MORE_FRAMES = 30  # than what lies in a queue from before
# What a function of ARM's plain instructions may say in its entry for unwinding (Exception Handling ABI for the Arm Architecture, 10.3):
# nothing passes through, the caller's address is in its register, or it lies on the stack, in eight bytes.
NOTHING, IN_REGISTER, ON_STACK = "0x1 [cantunwind]", "0x80b0b0b0", "0x80840000"
STORE_LR = 0xE52DE008  # str lr, [sp, #-8]!
RETURN = 0xE12FFF1E  # bx lr


class Code:
    """The functions of an ARMv6 binary: instructions, and how each one is described for unwinding."""

    def __init__(self, path):
        entries = re.findall(r"^0x([0-9a-f]+)(?: <.*>)?: (\S+(?: \[cantunwind\])?).*\n((?:  .*\n)*)", readelf(path, "--unwind"), re.M)
        self.starts = [int(address, 16) for address, _, _ in entries]
        self.entries = [(entry, steps) for _, entry, steps in entries]
        start, offset = (int(number, 16) for number in re.search(r"\.text +PROGBITS +(\w+) (\w+)", readelf(path, "--sections")).groups())
        content = path.read_bytes()
        listed = subprocess.run(["nm", "--print-size", path], capture_output=True, text=True, check=True).stdout
        self.functions = {}
        for address, size, name in re.findall(r"^(\w+) (\w+) [tT] (\S+)$", listed, re.M):
            address, size = int(address, 16), int(size, 16)
            self.functions[address] = (name, struct.unpack_from(f"<{size // 4}I", content, offset + address - start))

    def described(self, address):
        return self.entries[bisect.bisect_right(self.starts, address) - 1]

    @staticmethod
    def calls(address, code):
        """Where the function's calls go; None for one through a register."""
        for place, instruction in enumerate(code):
            if instruction & 0x0F000000 == 0x0B000000:  # bl
                yield address + 4 * place + 8 + ((instruction & 0xFFFFFF ^ 0x800000) - 0x800000) * 4
            elif instruction & 0x0FFFFFF0 == 0x012FFF30:  # blx
                yield None


@pytest.fixture(params=[features for features in ("default", "minimal") if Firmware("armv6", features).path.exists()])
def armv6_code(request):
    return Code(there("armv6", request.param).folder / "porthole.unstripped")


def test_code_that_was_found_in_several_places_says_how_a_panic_passes_through_it(armv6_code):
    seen = collections.Counter()
    for address, (name, code) in armv6_code.functions.items():
        entry, steps = armv6_code.described(address)
        calls = list(armv6_code.calls(address, code))
        if name.startswith("OUTLINED_FUNCTION_"):
            assert (code[0] == STORE_LR) == bool(calls), name
            assert entry in ((NOTHING, ON_STACK) if calls else (NOTHING, IN_REGISTER)), f"{name}: {entry}"
            seen[entry] += 1
        elif "pop {r14}" in steps:
            # what it calls between storing and loading its caller's address raises no panic
            for target in calls:
                called, its_code = armv6_code.functions[target]
                assert called.startswith("OUTLINED_FUNCTION_") and its_code[-1] == RETURN and not [*armv6_code.calls(target, its_code)], f"{name} calls {called}"
    assert seen[ON_STACK] > 50 and seen[IN_REGISTER] > 500, seen


@pytest.fixture
def debugged(firmware, porthole, tmp_path):
    """A relay, and `panic_in(function)`: the next call of the function of that name panics, and sets the event that is returned."""
    runner = firmware.runner or ["qemu-x86_64-static"]
    settings = tmp_path / "cameras.yaml"
    settings.write_text("streams: {}\n")
    debugger = Debugger(firmware.folder / "porthole.unstripped", firmware.name, free_port())
    with concurrent.futures.ThreadPoolExecutor(1) as aside:
        connected = aside.submit(debugger.connect)
        relay = porthole(
            {"cam": "test:?size=320x180&fps=10"},
            binary=[*runner, firmware.path],
            patience=PATIENCE,
            arguments=["-c", str(settings)],
            environment={"QEMU_GDB": str(debugger.port)},
        )
        connected.result()

    yield relay, lambda function: debugger.panic_in(relay.pid, function)
    # a debugger keeps signals from it, and its log has panics
    relay.kill()


# in the task that answers a request, and in the thread that writes the file
@pytest.mark.parametrize("function", ["porthole::http::server::percent::decode_form_part", "<serde_yaml::loader::Loader>::next_document"], ids=["read", "answered"])
def test_a_panic_in_a_request_answers_500_and_the_next_request_is_answered(debugged, function):
    relay, panic_in = debugged
    done = panic_in(function)
    assert relay.ask("PUT", "/api/streams?name=door&src=test:")[0] == 500
    assert done.is_set() and "capacity overflow" in relay.log()
    assert relay.ask("PUT", "/api/streams?name=door&src=test:")[0] == 200


def test_a_panic_in_a_session_ends_it_and_no_other(debugged):
    relay, panic_in = debugged

    async def watch(pc):
        tracks = []
        pc.on("track", tracks.append)
        prefer_h264(pc.addTransceiver("video", direction="recvonly"))
        await exchange(pc, f"{relay.url}/cam/whep")
        while picture.read_frame(await asyncio.wait_for(tracks[0].recv(), 20)) is None:
            pass
        return tracks[0]

    async def run():
        viewers = [RTCPeerConnection(), RTCPeerConnection()]
        tracks = [await watch(pc) for pc in viewers]
        done = panic_in("<porthole::rtc::session::Session>::handle")
        assert await asyncio.to_thread(done.wait, 20)
        await asyncio.to_thread(eventually, lambda: relay.viewers("cam") == 1, 20, "one viewer is left")
        played = [0, 0]
        for number, track in enumerate(tracks):
            try:
                while played[number] < MORE_FRAMES:
                    await asyncio.wait_for(track.recv(), 5)
                    played[number] += 1
            except (TimeoutError, MediaStreamError):
                pass
        for pc in viewers:
            await pc.close()
        return played

    played = in_thread(run()).result(180)
    assert max(played) >= MORE_FRAMES > min(played), played
    assert relay.log().count("internal fault, the session is closed") == 1, relay.log()
