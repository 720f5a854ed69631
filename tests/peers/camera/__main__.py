"""Cameras of every dialect, for a relay to dial. One process plays many, told apart by the first part of the path:
/call/webrtc_local is the camera without a name, /front/call/webrtc_local the one named "front".

    python tests/peers/camera --port 8000 --tls 8443 --untrusted 8444 --control 8001 --certificates /tmp/x

| dialect | path |
|---|---|
| Creality | /call/webrtc_local |
| WHEP | /whep |
| Milestone | /api |
| Wyze | /signaling/camera1?kvs |
| Kinesis, SwitchBot | /kinesis, /switchbot |
| OpenIPC | /webrtc_ws |
| go2rtc | /api/ws?src=… |

What they see is printed, one JSON object a line. POST to the control port, /NAME, a JSON object to change a camera:
{"fault": "silence", "times": 1}, {"audio": "pcmu"}, {"authorization": "Bearer x"}, {"redirect": 307, "host": ""}, {"fps": 2},
{"number": 50} (of its latest session); or to make it do something: {"do": "die"} (its sessions end, its door closes),
{"do": "return"}, {"do": "fall silent"}.
"""

import argparse
import asyncio
import json
import pathlib
import re
import socket
import sys
import time

from aiohttp import web

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import certificates  # noqa: E402
import over_http  # noqa: E402
import over_websocket  # noqa: E402
from session import be_at  # noqa: E402

MAX_BODY = 1 << 20
CHANGES = ("fault", "times", "audio", "authorization", "redirect", "host", "link", "fps", "number")


class Camera:
    def __init__(self, name, hole):
        self.name, self.hole = name, hole
        self.prefix = f"/{name}" if name else ""
        self.fault = self.current = None
        self.times = None  # exchanges that the fault lasts; None for all
        self.audio = self.authorization = self.redirect = None
        self.host = ""  # where a redirect leads to
        self.link = '<stun:127.0.0.1:9>; rel="ice-server"'  # the servers that WHEP viewers are told of
        self.fps = 10
        self.dead = False
        self.number, self.sessions, self.whep, self.milestone = 0, set(), {}, {}

    def say(self, event, **more):
        print(json.dumps({"at": time.time(), "camera": self.name, "event": event, **more}), flush=True)

    def enter(self, session):
        self.number += 1
        self.sessions.add(session)
        return self.number

    def leave(self, session):
        self.sessions.discard(session)

    def connected(self):
        return sum(session.connected for session in self.sessions)

    async def change(self, wish):
        do = wish.pop("do", None)
        if "fault" in wish:
            wish.setdefault("times", None)
            self.current = wish["fault"]
        for key, value in wish.items():
            if key not in CHANGES:
                raise web.HTTPBadRequest(text=f"no such thing: {key}")
            setattr(self, key, value)
        if do in ("die", "return"):
            self.dead = do == "die"
        if do == "die":
            await asyncio.gather(*(session.end("died") for session in list(self.sessions)))
        elif do == "fall silent":
            await asyncio.gather(*(session.fall_silent() for session in list(self.sessions)))


class Cameras(dict):
    def __init__(self, hole):
        self.hole = hole

    def __missing__(self, name):
        self[name] = Camera(name, self.hole)
        return self[name]

    async def control(self, request):
        camera = self[request.match_info.get("name", "")]
        if request.method == "POST":
            await camera.change(json.loads(await request.text() or "{}"))
        figures = {name: {"sessions": len(each.sessions), "connected": each.connected()} for name, each in self.items()}
        return web.json_response(figures)

    def on(self, method, path, handler):
        async def handle(request):
            camera = self[request.match_info.get("name", "")]
            if camera.dead:
                request.transport.abort()
                raise asyncio.CancelledError
            if not CONTINUES.search(request.path_qs):
                camera.current = camera.fault
                if camera.fault and camera.times is not None:
                    camera.times -= 1
                    if camera.times <= 0:
                        camera.fault = camera.times = None
            return await handler(camera, request)

        for prefix in ("", "/{name}"):
            yield web.route(method, prefix + path, handle)


# What belongs to an exchange that began before.
CONTINUES = re.compile(r"/session/|/moved$|/WebRTC/Session|/kinesis\?.*X-Amz")


async def main():
    parser = argparse.ArgumentParser()
    for name in ("port", "tls", "untrusted", "control"):
        parser.add_argument(f"--{name}", type=int, required=name == "port")
    parser.add_argument("--certificates", type=pathlib.Path)
    parser.add_argument("--change", default="{}", help="as is sent to the control port, for the camera without a name")
    parser.add_argument("--address", default="127.0.0.1", help="where all of it is, and all that viewers are told of")
    options = parser.parse_args()
    be_at(options.address)
    hole = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # takes everything and answers nothing
    hole.bind(("127.0.0.1", 0))
    cameras = Cameras(hole.getsockname()[1])
    await cameras[""].change(json.loads(options.change))
    app = web.Application(client_max_size=MAX_BODY)
    for module in (over_http, over_websocket):
        app.add_routes(list(module.routes(cameras.on)))
    control = web.Application()
    control.add_routes([web.route("*", "/", cameras.control), web.route("*", "/{name}", cameras.control)])
    doors = [(app, options.port, None), (control, options.control, None)]
    if options.certificates:
        trusted, untrusted = certificates.contexts(options.certificates)
        doors += [(app, options.tls, trusted), (app, options.untrusted, untrusted)]
    runners = {}
    for application, port, context in doors:
        if port is None:
            continue
        if application not in runners:
            runners[application] = web.AppRunner(application, access_log=None, handler_cancellation=True)
            await runners[application].setup()
        await web.TCPSite(runners[application], options.address, port, ssl_context=context, reuse_address=True).start()
    print(json.dumps({"event": "ready"}), flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
