"""The cameras that are asked by WebSocket: Kinesis and what is built on it, OpenIPC, go2rtc."""

import asyncio
import base64
import json

from faults import Socket
from session import Session

LATE = 1.5


def _trickled(session, sdp):
    """These dialects send candidates in frames of their own."""
    return "".join(line for line in sdp.splitlines(True) if not line.startswith(("a=candidate", "a=end-of-candidates")))


async def _in_order(session, description, candidates):
    """Sends the description and the candidates, early, late or as they should come."""
    if session.fault == "silence":
        return
    if session.fault == "early":
        for send in candidates:
            await send()
        return await description()
    await description()
    if session.fault == "late":
        await asyncio.sleep(LATE)
    for send in candidates:
        await send()


def _wrap(value):
    return base64.b64encode(json.dumps(value).encode()).decode()


async def kinesis(camera, request, dialect="kinesis"):
    socket = Socket(camera, request, dialect)
    await socket.open()
    session, held = None, []
    if camera.current == "wrong_order":
        await socket.send({"messageType": "SDP_OFFER", "senderClientId": "", "messagePayload": _wrap({"type": "offer", "sdp": "v=0\r\n"})})
        await socket.send({"messageType": "GO_AWAY", "messagePayload": ""})
    async for frame in socket.frames():
        payload = json.loads(base64.b64decode(frame["messagePayload"], validate=True))
        camera.say("frame", dialect=dialect, action=frame["action"], recipient=frame.get("recipientClientId"), payload=sorted(payload))
        if frame["action"] == "ICE_CANDIDATE":
            assert payload.keys() >= {"candidate", "sdpMid", "sdpMLineIndex"}, payload
            if session is None:
                camera.say("candidate before the offer", dialect=dialect)
                held.append(payload["candidate"])
            else:
                await session.candidate(payload["candidate"])
        elif frame["action"] == "SDP_OFFER" and session is None:
            if dialect == "switchbot":
                camera.say("wish", dialect=dialect, resolution=payload.get("resolution"), play_type=payload.get("play_type"))
            if camera.current == "wrong_order":
                continue
            session = Session(camera, dialect)
            sdp, lines = await session.answer(payload["sdp"])
            for line in held:
                await session.candidate(line)
            answer = {"messageType": "SDP_ANSWER", "messagePayload": _wrap({"type": "answer", "sdp": _trickled(session, sdp)})}
            frames = [
                {"messageType": "ICE_CANDIDATE", "messagePayload": _wrap({"candidate": line, "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": None})}
                for line in lines
            ]
            asyncio.ensure_future(
                _in_order(
                    session,
                    lambda answer=answer: socket.description(answer, "messagePayload", wrapped=True),
                    [lambda frame=frame: socket.send(frame) for frame in frames],
                )
            )
    return await _closed(socket, session)


async def switchbot(camera, request):
    return await kinesis(camera, request, "switchbot")


async def go2rtc(camera, request):
    socket = Socket(camera, request, "go2rtc")
    await socket.open()
    session, held = None, []
    if camera.current == "wrong_order":
        await socket.send({"type": "webrtc/offer", "value": "v=0\r\n"})
    async for frame in socket.frames():
        camera.say("frame", dialect="go2rtc", type=frame["type"])
        if frame["type"] == "webrtc/candidate":
            if session is None:
                held.append(frame["value"])
            elif frame["value"]:
                await session.candidate(frame["value"])
        elif frame["type"] == "webrtc/offer" and session is None:
            if camera.current == "says_error":
                await socket.send({"type": "error", "value": "webrtc/offer: stream not found"})
                continue
            if camera.current == "wrong_order":
                continue
            session = Session(camera, "go2rtc")
            sdp, lines = await session.answer(frame["value"])
            for line in filter(None, held):
                await session.candidate(line)
            answer = {"type": "webrtc/answer", "value": _trickled(session, sdp)}
            values = [*lines, None, ""]
            asyncio.ensure_future(
                _in_order(
                    session,
                    lambda answer=answer: socket.description(answer, "value"),
                    [lambda value=value: socket.send({"type": "webrtc/candidate", "value": value}) for value in values],
                )
            )
    return await _closed(socket, session)


async def openipc(camera, request):
    socket = Socket(camera, request, "openipc")
    await socket.open()
    if socket.fault == "wrong_order":
        await socket.send({"reply": "webrtc_candidate", "data": {"candidate": "candidate:1 1 udp 1 127.0.0.1 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0}})
        await socket.send({"reply": "error", "data": "busy"})
    if socket.fault in ("silence", "closed_early", "wrong_order"):
        async for _ in socket.frames():
            pass
        return await _closed(socket, None)
    session = Session(camera, "openipc")
    sdp, lines = await session.offer()
    offer = {"reply": "webrtc_answer", "data": {"type": "offer", "sdp": _trickled(session, sdp)}}
    frames = [{"reply": "webrtc_candidate", "data": {"candidate": line, "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": None}} for line in lines]
    asyncio.ensure_future(
        _in_order(
            session,
            lambda: _offered(socket, offer),
            [lambda frame=frame: socket.send(frame) for frame in frames],
        )
    )
    answered, held = False, []
    async for frame in socket.frames():
        camera.say("frame", dialect="openipc", req=frame.get("req"))
        if frame["req"] == "candidate":
            assert isinstance(frame["data"], str), frame
            if answered:
                await session.candidate(frame["data"])
            else:
                held.append(frame["data"])
        elif frame["req"] == "answer" and not answered:
            assert isinstance(frame["data"], str), frame
            answered = True
            await session.accept(frame["data"])
            for line in held:
                await session.candidate(line)
    return await _closed(socket, session)


async def _offered(socket, offer):
    if socket.fault == "empty":
        return await socket.send({"reply": "webrtc_answer", "data": {"type": "offer", "sdp": ""}})
    if socket.fault == "no_data":
        return await socket.send({"reply": "webrtc_answer"})
    await socket.description(offer, "data")


async def _closed(socket, session):
    """A socket that closes before the session is connected ends the session."""
    socket.camera.say("websocket closed", dialect=socket.dialect, code=socket.ws.close_code)
    if session is not None and not session.connected:
        await asyncio.sleep(0.5)  # it may close a moment before the camera knows of the connection
        if not session.connected:
            await session.end("the WebSocket closed")
    return socket.ws


def routes(on):
    for path, handler in (("/kinesis", kinesis), ("/switchbot", switchbot), ("/webrtc_ws", openipc), ("/api/ws", go2rtc)):
        yield from on("GET", path, handler)
