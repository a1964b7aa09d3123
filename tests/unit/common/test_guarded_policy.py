"""Which addresses may be called."""

import pytest

from penstock_common.guarded_http.client import check_headers, checked_url
from penstock_common.guarded_http.errors import ToolCallInvalid
from penstock_common.guarded_http.policy import Policy

INSIDE = (
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "fe80::1%eth0",
    "fc00::1",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
)


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_inside_are_refused(address: str) -> None:
    """Loopback, private, shared, link-local, multicast, reserved, documentation, and whatever embeds one of them."""
    assert not Policy().permits("example.com", address)


@pytest.mark.parametrize("address", ["93.184.215.14", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_are_permitted(address: str) -> None:
    """Written either way."""
    assert Policy().permits("example.com", address)


def test_the_operator_allows_by_name_or_network() -> None:
    """The name as it stands in the URL, the network as it is connected to."""
    policy = Policy.of(["Grafana.internal", "10.1.0.0/16", "::1"])
    assert policy.permits("grafana.INTERNAL", "10.9.9.9")
    assert policy.permits("any.thing", "10.1.2.3")
    assert policy.permits("any.thing", "::ffff:10.1.2.3")
    assert policy.permits("localhost", "::1")
    assert not policy.permits("any.thing", "10.2.0.1")


@pytest.mark.parametrize("entry", ["10.1.0.0/33", "10.1.0.1/16", "", " a", "a/b"])
def test_what_is_neither_name_nor_network_is_refused(entry: str) -> None:
    """At start, not when a tool is called."""
    with pytest.raises(ValueError, match="neither a host nor a network"):
        Policy.of([entry])


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "ftp://a/",
        "file:///etc/passwd",
        "http://",
        "http://u:p@a/",
        "http://a b/",
        "http://a/\r\nx",
        "http://[::1",
    ],
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    """Only http and https, without credentials."""
    with pytest.raises(ToolCallInvalid):
        checked_url(url)


@pytest.mark.parametrize(
    ("name", "value"),
    [("host", "a"), ("Content-Length", "1"), ("a b", "c"), ("a:", "c"), ("a", "b\r\nc: d"), ("a", "\0"), ("a", "€")],
)
def test_a_header_that_changes_the_call_is_refused(name: str, value: str) -> None:
    """Its framing belongs to the client."""
    with pytest.raises(ToolCallInvalid):
        check_headers({name: value})
