"""URLs that hear of ends: which are taken, how posts to them are signed, and what their answers come to."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from penstock_api.adapters.callbacks import check_callback
from penstock_api.domain.callbacks import Callback, CallbackState, callback_key, state_after
from penstock_api.domain.errors import InvalidRequest
from penstock_common.guarded_http import Policy
from penstock_common.standard_webhooks import signed_headers
from tests.unit.api.test_submission import checked

SECRET = "whsec_" + base64.b64encode(b"river" * 6).decode()
URL = "https://example.com/ends"


def refused(url: str = URL, secret: str = SECRET, allow: tuple[str, ...] = ()) -> Any:
    """The member that is named where it is refused; None where it is not."""
    try:
        check_callback(Callback(url, secret), Policy.of(allow))
    except InvalidRequest as error:
        return error.context["param"]
    return None


def test_a_url_is_read_from_the_body() -> None:
    """As an object with its secret; neither is shown where it is printed."""
    found = checked(webhook={"url": URL, "secret": SECRET}).wanted.webhook
    assert found == Callback(URL, SECRET)
    assert SECRET not in repr(found)
    assert URL not in repr(found)


@pytest.mark.parametrize(
    ("webhook", "param"),
    [
        ({"url": URL}, "webhook.secret"),
        ({"secret": SECRET}, "webhook.url"),
        ({"url": URL, "secret": SECRET, "river": 1}, "webhook"),
        ({"url": 1, "secret": SECRET}, "webhook.url"),
        ({"url": "https://example.com/" + "a" * 2_000, "secret": SECRET}, "webhook.url"),
        ({"url": URL, "secret": "whsec_" + "A" * 100}, "webhook.secret"),
        ([URL], "webhook"),
    ],
)
def test_bad_members_are_named(webhook: object, param: str) -> None:
    """What is missing, unknown, too long or of another type."""
    with pytest.raises(InvalidRequest) as error:
        checked(webhook=webhook)
    assert error.value.context["param"] == param
    assert SECRET not in error.value.message


@pytest.mark.parametrize("size", [24, 64])
def test_secrets_of_standard_webhooks_are_taken(size: int) -> None:
    """24 to 64 bytes."""
    assert callback_key("whsec_" + base64.b64encode(b"k" * size).decode()) == b"k" * size


@pytest.mark.parametrize("secret", ["", "whsec_", SECRET[6:], f"{SECRET[:-4]}????", "whsec_" + "QUJD" * 7])
def test_other_secrets_are_refused(secret: str) -> None:
    """Without its prefix, not Base64, too short."""
    with pytest.raises(InvalidRequest) as error:
        callback_key(secret)
    assert error.value.context["param"] == "webhook.secret"
    assert secret not in error.value.message or not secret.removeprefix("whsec_")
    long = "whsec_" + base64.b64encode(b"k" * 65).decode()
    assert refused(secret=long) == "webhook.secret"


@pytest.mark.parametrize("url", [URL, "http://example.com:8080", "https://8.8.8.8/x", "https://[2606:4700::1111]/"])
def test_public_addresses_are_taken(url: str) -> None:
    """And names, whatever they resolve to: that is looked at when they are posted to."""
    assert refused(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "example.com",
        "https://",
        "https://user@example.com/",
        "https://user:word@example.com/",
        "https://example.com/a b",
        "https://example.com/\n",
        "https://example.com:99999/",
        "http://127.0.0.1/",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    """No HTTP, no host, credentials, or a literal address inside."""
    assert refused(url) == "webhook.url"


def test_what_the_operator_allows_is_taken() -> None:
    """By network."""
    assert refused("http://10.0.0.1/", allow=("10.0.0.0/8",)) is None


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """Verified by its own library; of another body it is none."""
    body, now = b'{"type":"inference.completed"}', datetime.now(UTC)
    headers = signed_headers(callback_key(SECRET), "01936f3e", int(now.timestamp()), body)
    assert Webhook(SECRET).verify(body, headers) == {"type": "inference.completed"}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + b" ", headers)


@pytest.mark.parametrize(
    ("status", "attempts", "state"),
    [
        (200, 3, CallbackState.DELIVERED),
        (299, 1, CallbackState.DELIVERED),
        (410, 1, CallbackState.GONE),
        (300, 1, CallbackState.DUE),
        (500, 2, CallbackState.DUE),
        (0, 3, CallbackState.GIVEN_UP),
        (500, 4, CallbackState.GIVEN_UP),
    ],
)
def test_what_an_answer_comes_to(status: int, attempts: int, state: CallbackState) -> None:
    """Of at most three posts."""
    assert state_after(status, attempts, 3) == state
