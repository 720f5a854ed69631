"""How a camera misbehaves while it speaks HTTP or WebSocket. What it does to descriptions and media is in session.py."""

import asyncio
import base64
import json

from aiohttp import WSMsgType, web

GIANT = 8 << 20
FOREVER = 3600
DRIP = 0.5
STATUSES = {"http_401": 401, "http_403": 403, "http_404": 404, "http_500": 500, "http_503": 503}
GARBAGE = "\x07 this is not what was asked for"


async def refuse(camera, request):
    """Raises or sleeps where the fault shows before anything was understood."""
    if camera.current in STATUSES:
        raise _status(STATUSES[camera.current])
    if camera.current == "silence":
        await asyncio.sleep(FOREVER)
    if camera.current == "cut_early":
        request.transport.abort()
        raise asyncio.CancelledError


def _status(code):
    return type("Status", (web.HTTPException,), {"status_code": code})(text=f"camera says {code}")


async def reply(camera, request, body, status=200, content_type="text/plain", headers=None):
    """An HTTP answer, whole or as the fault has it."""
    fault = camera.current
    if fault == "empty":
        body = ""
    elif fault == "braces":
        body = "{}"
    elif fault == "not_base64":
        body = "**" + body
    elif fault == "truncated":
        body = body[: len(body) // 2 // 4 * 4 + 1]
    elif fault == "not_json":
        body = base64.b64encode(GARBAGE.encode()).decode() if content_type == "text/html" else GARBAGE
    data = body.encode()
    if fault in ("cut", "drip", "giant", "endless"):
        response = web.StreamResponse(status=status, headers=headers)
        response.content_type = content_type
        if fault != "endless":
            response.content_length = GIANT if fault == "giant" else len(data)
        await response.prepare(request)
        try:
            if fault == "cut":
                await response.write(data[: len(data) // 2])
                request.transport.close()
            elif fault == "drip":
                for byte in data:
                    await response.write(bytes([byte]))
                    await asyncio.sleep(DRIP)
            else:
                for _ in range(GIANT // 65536):
                    await response.write(b"A" * 65536)
        except ConnectionError:
            camera.say("hung up on")
        return response
    return web.Response(status=status, text=body, content_type=content_type, headers=headers)


class Socket:
    """A WebSocket of the camera, whose frames are whole or as the fault has them."""

    def __init__(self, camera, request, dialect):
        self.camera, self.request, self.dialect, self.fault = camera, request, dialect, camera.current
        self.ws = web.WebSocketResponse(max_msg_size=1 << 20, compress=False)

    async def open(self):
        self.camera.say("request", dialect=self.dialect, method="GET", path=self.request.path_qs, authorization=self.request.headers.get("Authorization"))
        if self.fault != "silence":
            await refuse(self.camera, self.request)
        await self.ws.prepare(self.request)
        if self.fault == "closed_early":
            await self.ws.close()
        elif self.fault == "noise":
            await self.ws.send_str("")
            await self.ws.send_str('{"messageType":"SDP_ANS')

    async def frames(self):
        async for message in self.ws:
            if message.type != WSMsgType.TEXT:
                continue
            try:
                yield json.loads(message.data)
            except ValueError:
                self.camera.say("unreadable", text=message.data[:200])

    async def send(self, frame):
        if not self.ws.closed:
            try:
                await self.ws.send_str(json.dumps(frame))
            except ConnectionError:
                pass

    async def description(self, frame, key, wrapped=False):
        """The frame that holds the camera's description under `key`; base64 of JSON if `wrapped`."""
        fault = self.fault
        if fault == "silence":
            return
        if fault == "cut":
            self.request.transport.abort()
        elif fault == "giant":
            await self.send({**frame, key: "A" * GIANT})
        elif fault == "not_json":
            await self.ws.send_str(GARBAGE)
        elif fault == "binary":
            await self.ws.send_bytes(bytes(range(256)))
        elif fault == "empty":
            await self.send({**frame, key: ""})
        elif fault == "truncated":
            await self.send({**frame, key: frame[key][: len(frame[key]) // 2 // 4 * 4 + 1]} if wrapped else frame)
        elif fault == "not_base64":
            await self.send({**frame, key: "**" + frame[key]})
        else:
            await self.send(frame)
            if fault == "duplicate":
                await self.send(frame)
