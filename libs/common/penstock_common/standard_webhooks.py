"""Signatures by Standard Webhooks (version 1.0.0 of its specification)."""

import base64
import hmac


def digest(key: bytes, message_id: str, timestamp: str, body: bytes) -> bytes:
    """What a sender signs: the id, the time in Unix seconds and the body, by HMAC-SHA256."""
    return hmac.digest(key, f"{message_id}.{timestamp}.".encode("latin-1") + body, "sha256")


def signed_headers(key: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers by which a receiver knows who sent a body."""
    signature = base64.b64encode(digest(key, message_id, str(timestamp), body)).decode()
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{signature}"}
