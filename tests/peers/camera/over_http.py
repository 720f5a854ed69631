"""The cameras that are asked by HTTP: Creality printers, WHEP endpoints, Milestone, and the bridge of Wyze cameras."""

import asyncio
import base64
import json

from aiohttp import web

from faults import FOREVER, refuse, reply
from session import Session


async def _seen(camera, request, dialect):
    body = await request.text()
    names = ("Content-Type", "Authorization", "Accept", "If-Match")
    headers = {name.lower().replace("-", "_"): request.headers[name] for name in names if name in request.headers}
    camera.say("request", dialect=dialect, method=request.method, path=request.path_qs, **headers)
    return body


def _unwrap(text):
    try:
        return json.loads(base64.b64decode(text, validate=True))
    except ValueError:
        return None


async def creality(camera, request):
    body = await _seen(camera, request, "creality")
    await refuse(camera, request)
    offer = _unwrap(body)
    if not offer or offer.get("type") != "offer" or request.headers.get("Content-Type") != "plain/text":
        camera.say("disliked", body=body[:200])
        return web.Response(text="{}")
    sdp, _ = await Session(camera, "creality").answer(offer["sdp"])
    answer = base64.b64encode(json.dumps({"type": "answer", "sdp": sdp}).encode()).decode()
    return await reply(camera, request, answer, content_type="text/html")  # as the printer's own server labels it


async def whep(camera, request):
    body = await _seen(camera, request, "whep")
    await refuse(camera, request)
    moved = camera.prefix + "/moved"
    if camera.current == "redirect_loop" or camera.redirect and request.path != moved:
        return web.Response(status=camera.redirect or 307, headers={"Location": camera.host + moved})
    given = request.headers.get("Authorization")
    if camera.authorization and given != camera.authorization:
        return web.Response(status=401, text="who are you?", headers={"WWW-Authenticate": camera.authorization.split()[0]})
    if request.content_type != "application/sdp":
        return web.Response(status=415, text="application/sdp, please")
    session = Session(camera, "whep")
    sdp, _ = await session.answer(body)
    camera.whep[str(session.number)] = session
    headers = {"Location": f"{camera.prefix}/session/{session.number}", "ETag": f'"{session.number}"'}
    headers["Link"] = camera.link
    return await reply(camera, request, sdp, 201, "application/sdp", headers)


async def whep_session(camera, request):
    await _seen(camera, request, "whep")
    session = camera.whep.pop(request.match_info["id"], None) if request.method == "DELETE" else None
    if request.method != "DELETE":
        return web.Response(status=405, headers={"Allow": "DELETE"})
    if session is None:
        camera.say("deleted in vain", id=request.match_info["id"])
        return web.Response(status=404)
    session.say("deleted")
    await session.end("deleted")
    return web.Response(status=200)


TOKEN = "token-of-tests"


async def milestone_token(camera, request):
    await _seen(camera, request, "milestone")
    await refuse(camera, request)
    form = await request.post()
    expected = {"client_id": "GrantValidatorClient", "grant_type": "password", "username": "operator", "password": "sesame&more"}
    if dict(form) != expected:
        camera.say("disliked", form=sorted(form))
        return web.json_response({"error": "invalid_grant", "error_description": "LockedOutWindows"}, status=400)
    token = {"expires_in": 3600, "token_type": "Bearer"} | ({} if camera.current == "no_token" else {"access_token": TOKEN})
    if camera.current in ("empty", "not_json", "giant"):
        return await reply(camera, request, "", content_type="application/json")
    return web.json_response(token)


def _authorised(camera, request):
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        camera.say("disliked", authorization=request.headers.get("Authorization"))
        raise web.HTTPUnauthorized(text="token, please")


async def milestone_session(camera, request):
    body = await _seen(camera, request, "milestone")
    _authorised(camera, request)
    fault = camera.current
    if fault == "session_404":
        return web.json_response({"error": {"errorText": "Camera not found"}}, status=404)
    if fault == "session_silence":
        await asyncio.sleep(FOREVER)
    wish = json.loads(body)
    camera.say("wish", **wish)
    session = Session(camera, "milestone")
    sdp, _ = await session.offer()
    number = f"session-{session.number}"
    camera.milestone[number] = session
    offer = json.dumps({"type": "offer", "sdp": sdp})
    if fault == "offer_not_json":
        offer = sdp
    answer = {"sessionId": number, "cameraId": wish.get("cameraId"), "offerSDP": offer, "answerSDP": None}
    if fault == "no_offer":
        answer["offerSDP"] = None
    return await reply(camera, request, json.dumps(answer), content_type="application/json")


async def milestone_answer(camera, request):
    body = await _seen(camera, request, "milestone")
    _authorised(camera, request)
    session = camera.milestone.pop(request.match_info["id"], None)
    if session is None:
        return web.Response(status=404, text="no such session")
    if camera.current == "patch_500":
        await session.end("its answer was not taken")
        return web.Response(status=500, text="camera says 500")
    if camera.current == "patch_silence":
        await session.end("its answer was not heard")
        await asyncio.sleep(FOREVER)
    answer = json.loads(json.loads(body)["answerSDP"])
    assert answer["type"] == "answer", answer
    await session.accept(answer["sdp"])
    return web.json_response({"sessionId": request.match_info["id"]})


async def wyze(camera, request):
    await _seen(camera, request, "wyze")
    if camera.current not in WYZE_LATER:
        await refuse(camera, request)
    scheme = "wss" if request.secure else "ws"
    found = {"ClientId": "wyze-viewer", "cam": "camera1", "result": "ok", "servers": [{"urls": "stun:127.0.0.1:9"}]}
    found["signalingUrl"] = f"{scheme}://{request.host}{camera.prefix}/kinesis?X-Amz-Signature=a%2Fb%3D"
    if camera.current == "not_ok":
        found = {"ClientId": "", "cam": "camera1", "result": "cam not found", "servers": []}
    elif camera.current == "no_url":
        del found["signalingUrl"]
    elif camera.current == "bad_url":
        found["signalingUrl"] = "gopher://nowhere"
    text = json.dumps(found)
    if camera.current in ("bridge_cut", "bridge_giant", "bridge_not_json"):
        camera.current, later = camera.current.removeprefix("bridge_"), camera.current
        try:
            return await reply(camera, request, text, content_type="application/json")
        finally:
            camera.current = later
    return web.Response(text=text, content_type="application/json")


# Faults of the signalling server behind the bridge, which itself is well.
WYZE_LATER = ("silence", "cut", "closed_early", "giant", "not_json", "empty")


def routes(on):
    yield from on("POST", "/call/webrtc_local", creality)
    yield from on("POST", "/whep", whep)
    yield from on("POST", "/moved", whep)
    yield from on("*", "/session/{id}", whep_session)
    yield from on("POST", "/api/IDP/connect/token", milestone_token)
    yield from on("POST", "/api/REST/v1/WebRTC/Session", milestone_session)
    yield from on("PATCH", "/api/REST/v1/WebRTC/Session/{id}", milestone_answer)
    yield from on("GET", "/signaling/camera1", wyze)
