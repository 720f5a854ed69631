"""Offers as browsers write them, without a peer behind them."""

import secrets


def offer(video="H264", direction="recvonly", audio=True, candidate=None):
    """A complete offer with fresh credentials. `video`: H264 or VP8."""
    fingerprint = ":".join(f"{byte:02X}" for byte in secrets.token_bytes(32))
    transport = [
        "c=IN IP4 0.0.0.0",
        f"a=ice-ufrag:{secrets.token_hex(4)}",
        f"a=ice-pwd:{secrets.token_hex(12)}",
        f"a=fingerprint:sha-256 {fingerprint}",
        "a=setup:actpass",
        "a=rtcp-mux",
        f"a={direction}",
    ]
    h264 = ["a=rtpmap:96 H264/90000", "a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"]
    vp8 = ["a=rtpmap:96 VP8/90000"]
    lines = ["v=0", f"o=- {secrets.randbelow(2**62)} 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1" if audio else "a=group:BUNDLE 0"]
    lines += ["m=video 9 UDP/TLS/RTP/SAVPF 96 97", *transport, "a=mid:0"]
    if candidate:
        lines.append(f"a={candidate}")
    lines += h264 if video == "H264" else vp8
    lines += ["a=rtcp-fb:96 nack", "a=rtcp-fb:96 nack pli", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96"]
    if audio:
        lines += ["m=audio 9 UDP/TLS/RTP/SAVPF 0", *transport, "a=mid:1", "a=rtpmap:0 PCMU/8000"]
    return "\r\n".join(lines) + "\r\n"


def attribute(sdp, name):
    """Value of the first `a=name:` line."""
    return next(line.split(":", 1)[1] for line in sdp.splitlines() if line.startswith(f"a={name}:"))
