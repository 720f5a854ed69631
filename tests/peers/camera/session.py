"""One WebRTC session of a camera: aiortc, and what this camera makes of its descriptions."""

import asyncio
import re

import aioice.ice
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp

from media import SESSION, Ear, Picture, Tone

UNCONNECTED = 20  # seconds; then the camera gives a session up
QUIET_BEFORE_GONE = 0.5
SILENT = 15  # seconds that the sockets of a session that fell silent stay open
aioice.ice.CONSENT_FAILURES = 2  # of 5 s each: cameras that wait half a minute for a peer that vanished make long tests


def be_at(address):
    """What cameras tell of themselves, of all the addresses that their machine has."""
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [address]


def capabilities(kind, *names):
    return [codec for codec in RTCRtpSender.getCapabilities(kind).codecs if codec.mimeType.split("/")[1] in names]


class Session:
    def __init__(self, camera, dialect):
        self.camera, self.dialect, self.fault = camera, dialect, camera.current
        self.number = camera.enter(self)
        self.connected = self.ended = False
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self.pc.on("connectionstatechange", self._changed)
        self.pc.on("track", self._track)
        self.tasks = [asyncio.ensure_future(self._give_up())]
        picture = None if self.fault == "no_media" else Picture(self.number * SESSION, camera.fps, self._started)
        video = self.pc.addTransceiver(picture or "video", direction="sendonly")
        video.setCodecPreferences(capabilities("video", "H264", *([] if dialect == "creality" else ["rtx"])))
        self.video = video.sender
        if dialect == "creality":
            self.video._ssrc = 1  # the printer's own
            video.receiver.transport._set_role("server")
        if camera.audio and dialect not in ("creality", "switchbot"):
            tone = Tone(48000 if camera.audio == "opus" else 8000)
            audio = self.pc.addTransceiver(tone, direction="sendonly")
            audio.setCodecPreferences(capabilities("audio", camera.audio.upper() if camera.audio != "opus" else "opus"))
        force = self.video._send_keyframe
        self.video._send_keyframe = lambda: (self.say("keyframe asked"), force())

    def say(self, event, **more):
        self.camera.say(event, dialect=self.dialect, session=self.number, **more)

    async def answer(self, offer):
        """The answer as this camera gives it: `(sdp, its candidate lines)`. The sdp holds them too."""
        self.say("offer", sdp=offer)
        await self.pc.setRemoteDescription(RTCSessionDescription(self._heard(offer), "offer"))
        for transceiver in self.pc.getTransceivers():
            if transceiver.kind == "audio" and self.camera.audio:
                # its loudspeaker takes what it sends; aiortc has no other door to a transceiver that the offer made
                transceiver._codecs = [codec for codec in transceiver._codecs if codec.mimeType.lower() == f"audio/{self.camera.audio}"]
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        return await self._told()

    async def offer(self):
        """As `answer`, where the camera offers."""
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return await self._told()

    async def accept(self, answer):
        self.say("answer", sdp=answer)
        if not self.ended:
            try:
                await self.pc.setRemoteDescription(RTCSessionDescription(self._heard(answer), "answer"))
            except (ValueError, AssertionError) as error:
                self.say("disliked", error=str(error))
                await self.end("its answer was not understood")

    def _heard(self, sdp):
        if self.fault != "late":
            return sdp
        # Only the other side can find the way, once it is told where.
        return "".join(line for line in sdp.splitlines(True) if not line.startswith(("a=candidate", "a=end-of-candidates")))

    async def candidate(self, line):
        self.say("candidate", line=line)
        line = line.removeprefix("a=").removeprefix("candidate:").strip()
        if not line or self.fault == "late" or self.pc.connectionState == "closed" or " tcp " in line.lower():
            return
        candidate = candidate_from_sdp(line)
        candidate.sdpMLineIndex = 0
        await self.pc.addIceCandidate(candidate)

    async def _told(self):
        sdp = self.pc.localDescription.sdp
        if self.fault == "nowhere":
            await self.end("leads nowhere by intent")
            sdp = re.sub(r"(a=candidate:\S+ \d+ \S+ \d+ \S+) \d+", rf"\1 {self.camera.hole}", sdp)
        elif self.fault == "wrong_fingerprint":
            sdp = re.sub(r"(a=fingerprint:sha-256) \S+", r"\1 " + ":".join(["5A"] * 32), sdp)
            sdp = "".join(line for line in sdp.splitlines(True) if not re.match("a=fingerprint:sha-(384|512)", line))
        elif self.fault == "invalid_sdp":
            sdp = "v=0\r\nm=video and nothing that follows makes sense\r\n"
        elif self.fault == "no_h264":
            await self.end("has no H.264 by intent")
            sdp = as_mpeg4(sdp)
        elif self.fault == "no_video":
            await self.end("has no video by intent")
            sdp = re.sub(r"m=video \d+", "m=video 0", sdp)
        if self.dialect == "creality" and self.fault not in ("invalid_sdp", "no_h264", "no_video"):
            sdp = as_the_printer_says_it(sdp)
        lines = list(dict.fromkeys(re.findall(r"(?m)^a=(candidate:.*?)\r?$", sdp)))
        return sdp, lines

    def _started(self, number):
        self.say("sending", number=number)

    def _track(self, track):
        async def listen():
            ear = Ear()
            while True:
                if heard := ear.hear(await track.recv()):
                    self.say("heard", **heard)

        self.tasks.append(asyncio.ensure_future(listen()))

    def _changed(self):
        state = self.pc.connectionState
        if state == "connected" and not self.connected:
            self.connected = True
            self.say("connected", sessions=self.camera.connected())
            if self.fault == "gone":
                self.tasks.append(asyncio.ensure_future(self._go()))
        elif state in ("failed", "closed"):
            asyncio.ensure_future(self.end(state))

    async def _go(self):
        await asyncio.sleep(QUIET_BEFORE_GONE)
        await self.end("gone by intent")

    async def _give_up(self):
        await asyncio.sleep(UNCONNECTED)
        if not self.connected:
            await self.end("never connected")

    async def fall_silent(self):
        """The cable is pulled: nothing is sent any more, and nobody is told."""
        self._ended("fell silent")
        for protocol in self.video.transport.transport._connection._protocols:
            protocol.send_stun = lambda message, address: None
            protocol.send_data = _nothing
        asyncio.get_running_loop().call_later(SILENT, lambda: asyncio.ensure_future(self.pc.close()))

    async def end(self, why):
        if self._ended(why):
            await self.pc.close()

    def _ended(self, why):
        if self.ended:
            return False
        self.ended = True
        for task in self.tasks:
            if task is not asyncio.current_task():
                task.cancel()
        self.camera.leave(self)
        self.say("closed", why=why, sessions=self.camera.connected())
        return True


async def _nothing(data, address):
    pass


def as_mpeg4(sdp):
    """Video of an old camera, which nobody has asked for."""
    sdp = re.sub(r"(?m)^m=video (\S+) (\S+) .*?(\r?)$", r"m=video \1 \2 123\3", sdp)
    head, *parts = re.split(r"(?m)^(?=m=)", sdp)
    for number, part in enumerate(parts):
        if part.startswith("m=video"):
            kept = [line for line in part.splitlines(True) if not line.startswith(("a=rtpmap", "a=fmtp", "a=rtcp-fb", "a=ssrc"))]
            parts[number] = "".join(kept) + "a=rtpmap:123 MP4V-ES/90000\r\na=fmtp:123 profile-level-id=1\r\n"
    return "".join([head, *parts])


def as_the_printer_says_it(sdp):
    """A Creality printer's answer: tests/captures/creality_answer.sdp shows what is odd about it."""
    lines = sdp.splitlines()
    used = next(line for line in lines if line.startswith("m=video")).split()[3:]
    sent = used[0]  # aiortc sends the first it names
    other = next(str(number) for number in (96, 102, 104, 106) if str(number) not in used)
    out = []
    for line in lines:
        if line.startswith(("a=ssrc", "a=msid", "a=extmap", "a=rtcp-fb", "a=rtcp:", "a=group")):
            continue
        if line.startswith(("a=rtpmap", "a=fmtp")):
            if not line.split(":")[1].startswith(sent + " "):
                continue
            if line.startswith("a=rtpmap"):
                out += [f"a=rtpmap:{other} H264/90000", f"a=fmtp:{other} level-asymmetry-allowed=1;profile-level-id=42e01f", line]
            else:
                out += [line, f"a=fmtp:{sent} x-google-max-bitrate=6000;x-google-min-bitrate=2000;x-google-start-bitrate=4000"]
                out += [f"a=rtcp-fb:{sent} {feedback}" for feedback in ("nack", "nack pli", "goog-remb")]
                out.append("a=ssrc:1 cname:webrtc-h264")
            continue
        if line.startswith("m=video"):
            line = f"m=video 9 UDP/TLS/RTP/SAVPF {other} {sent}"
        out.append(line)
    # it leaves the group out of order, too: after the session's other lines
    at = next(number for number, line in enumerate(out) if line.startswith("m="))
    mid = next(line[6:] for line in out if line.startswith("a=mid:"))
    return "\r\n".join([*out[:at], f"a=group:BUNDLE {mid}", *out[at:]]) + "\r\n"
