"""Deliveries are known by their signature, their time and their id."""

import base64
import hmac
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from penstock_api.domain.deliveries import check_signature, delivery_id_of, depth_of, input_of
from penstock_api.domain.errors import InvalidRequest
from penstock_api.domain.hooks import (
    DeliveryIdMissing,
    DeliveryRefused,
    Encoding,
    Scheme,
    Signing,
    check_signing,
    key_of,
    secret_of,
)

STANDARD, GITHUB = Signing(Scheme.STANDARD), Signing(Scheme.HMAC)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = "whsec_plJ3nmyCDGBKInavdOK15jsl"
# From the specification of Standard Webhooks, and from Svix, where it comes from.
VECTORS = [
    (
        SECRET,
        "msg_loFOjxBNrRLzqYUf",
        1731705121,
        b'{"event_type":"ping","data":{"success":true}}',
        "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
    ),
    (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
]


def headers_of(id_: str, at: float, signature: str) -> dict[str, str]:
    return {"webhook-id": id_, "webhook-timestamp": str(int(at)), "webhook-signature": signature}


def signed(body: bytes, at: datetime = NOW, secret: str = SECRET) -> dict[str, str]:
    """As the official client does it."""
    return headers_of("msg_1", at.timestamp(), Webhook(secret).sign("msg_1", at, body.decode()))


def refused(headers: dict[str, str], body: bytes, *secrets: str, signing: Signing = STANDARD) -> bool:
    keys = [key_of(signing.scheme, secret) for secret in secrets or (SECRET,)]
    try:
        check_signature(signing, keys, headers, body, NOW)
    except DeliveryRefused:
        return True
    return False


@pytest.mark.parametrize(("secret", "id_", "at", "body", "signature"), VECTORS)
def test_the_vectors_of_the_specification(secret: str, id_: str, at: int, body: bytes, signature: str) -> None:
    """Each is good as it is, among others, and for five minutes either way."""
    key, sent = key_of(Scheme.STANDARD, secret), datetime.fromtimestamp(at, UTC)
    for value in (signature, f"v1,AAAA {signature}", f"v2,x v1a,y {signature} v1,"):
        check_signature(STANDARD, [key], headers_of(id_, at, value), body, sent)
    for minutes in (-5, 5):
        check_signature(STANDARD, [key], headers_of(id_, at, signature), body, sent + timedelta(minutes=minutes))
        late = sent + timedelta(minutes=minutes, seconds=1 if minutes > 0 else -1)
        with pytest.raises(DeliveryRefused):
            check_signature(STANDARD, [key], headers_of(id_, at, signature), body, late)


def test_the_official_client_is_understood() -> None:
    """Its signature is good; of the body, the id, the time and the secret, each may be the one that is not."""
    good = signed(b"{}")
    assert not refused(good, b"{}")
    assert not refused(good, b"{}", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SECRET)
    assert refused(good, b"{} ")
    assert refused(good | {"webhook-id": "msg_2"}, b"{}")
    assert refused(good | {"webhook-timestamp": str(int(NOW.timestamp()) + 1)}, b"{}")
    assert refused(good, b"{}", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert refused(signed(b"{}", NOW - timedelta(minutes=6)), b"{}")


ABSURD = ["", "v1", "v1,", "v1, ", "v1,====", "v1,\xff", "v1,é", ",", " " * 5000, "v1," + "A" * 10_000, "v1a,AAAA"]


@pytest.mark.parametrize("signature", ABSURD)
@pytest.mark.parametrize("at", ["", "x", "-1", "9" * 400, "\xb2", "1e9"])
def test_absurd_headers_are_refused_and_nothing_else(signature: str, at: str) -> None:
    """No other error comes out, whatever is sent."""
    headers = {"webhook-id": "m\xff", "webhook-timestamp": at, "webhook-signature": signature}
    assert refused(headers, b"\xff\x00")
    assert refused(headers | {"x-hub-signature-256": signature}, b"", "x" * 16, signing=GITHUB)


def test_github_s_own_example() -> None:
    """From its documentation of webhooks, body and digest; the header's prefix is part of the scheme."""
    digest = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    key, body = b"It's a Secret to Everybody", b"Hello, World!"
    check_signature(GITHUB, [key], {"x-hub-signature-256": f"sha256={digest}"}, body, NOW)
    for value in (digest, f"sha1={digest}", f"sha256={digest[:-1]}", f"sha256={digest}00", "sha256="):
        with pytest.raises(DeliveryRefused):
            check_signature(GITHUB, [key], {"x-hub-signature-256": value}, body, NOW)


def test_a_plain_hmac_may_be_written_in_base64() -> None:
    """As some senders do, under a header of their own."""
    signing = replace(GITHUB, signature_header="x-shop-hmac", prefix="", encoding=Encoding.BASE64)
    value = base64.b64encode(hmac.digest(b"k" * 16, b"body", "sha256")).decode()
    assert not refused({"x-shop-hmac": value}, b"body", "k" * 16, signing=signing)
    assert refused({"x-shop-hmac": value}, b"other", "k" * 16, signing=signing)


def test_a_delivery_has_an_id() -> None:
    """Its own header by scheme; without one, a repetition could not be known."""
    assert delivery_id_of(STANDARD, {"webhook-id": "msg_1"}) == "msg_1"
    assert delivery_id_of(GITHUB, {"x-github-delivery": "72d3"}) == "72d3"
    with pytest.raises(DeliveryIdMissing):
        delivery_id_of(GITHUB, {"webhook-id": "msg_1"})
    for id_ in ("x" * 201, "a\x00", "é"):
        with pytest.raises(InvalidRequest):
            delivery_id_of(STANDARD, {"webhook-id": id_})


def test_a_run_that_delivers_says_how_deep_it_is() -> None:
    """A small number, or the delivery is refused."""
    assert depth_of(None) == 0
    assert depth_of("3") == 3
    for depth in ("-1", "x", "99999", "1.5", "²"):
        with pytest.raises(InvalidRequest):
            depth_of(depth)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a": [1]}', {"a": [1]}),
        (b"", ""),
        (b"plain", "plain"),
        (b'{"a": NaN}', '{"a": NaN}'),
        (b"\xff", "\ufffd"),
        (b"[" * 100_000, "[" * 100_000),
        (b'"\\ud800"', '"\\ud800"'),
    ],
)
def test_a_body_is_json_or_text(body: bytes, expected: Any) -> None:
    """Whatever is no JSON is given as text, and never an error."""
    assert input_of({}, body)["body"] == expected


def test_only_headers_that_say_what_it_is_are_passed_on() -> None:
    """No signature, cookie or credential reaches a run."""
    headers = signed(b"") | {"content-type": "application/json", "authorization": "Bearer x", "cookie": "a=b"}
    given = input_of(headers | {"x-github-event": "issues", "x-forwarded-for": "10.0.0.1"}, b"")
    assert set(given["headers"]) == {"content-type", "x-github-event", "webhook-id", "webhook-timestamp"}


@given(st.sampled_from(Scheme), st.binary(min_size=32, max_size=32))
def test_a_made_secret_is_one(scheme: Scheme, entropy: bytes) -> None:
    """It passes the check that given ones pass."""
    assert len(key_of(scheme, secret_of(scheme, entropy))) in (32, 43)


@pytest.mark.parametrize(
    ("scheme", "secret"),
    [
        (Scheme.STANDARD, "plJ3nmyCDGBKInavdOK15jsl"),
        (Scheme.STANDARD, "whsec_"),
        (Scheme.STANDARD, "whsec_####"),
        (Scheme.STANDARD, "whsec_" + base64.b64encode(b"x" * 15).decode()),
        (Scheme.STANDARD, "whsec_" + base64.b64encode(b"x" * 65).decode()),
        (Scheme.STANDARD, "whsec_é"),
        (Scheme.HMAC, "short"),
        (Scheme.HMAC, "x" * 257),
        (Scheme.HMAC, "with a space in the middle"),
    ],
)
def test_secrets_that_are_none(scheme: Scheme, secret: str) -> None:
    """Refused with the form that they should have."""
    with pytest.raises(InvalidRequest) as caught:
        key_of(scheme, secret)
    assert caught.value.context["param"] == "secret"


def test_headers_are_named_as_http_names_them() -> None:
    """Anything else could never arrive."""
    for name in ("", "with space", "Ümlaut", "a:b", "x" * 101):
        with pytest.raises(InvalidRequest):
            check_signing(replace(GITHUB, signature_header=name))
