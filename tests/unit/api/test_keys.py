"""API keys: their secrets, their time, their scopes."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_api.adapters.local_keys import ADMIN_KEY, USER_KEY, local_keys
from penstock_api.domain.key_errors import (
    KeyExpired,
    KeyMalformed,
    KeyMissing,
    KeyRevoked,
    ScopeExceeded,
    ScopeMissing,
)
from penstock_api.domain.keys import DEFAULT_PROJECT, Key, Scope, Tier, digest_of, secret_in, secret_of
from penstock_common.errors import PenstockError
from penstock_common.ids import day_of

NOW = datetime(2030, 1, 1, tzinfo=UTC)
KEY = Key(
    id=UUID(int=1),
    tenant=DEFAULT_PROJECT,
    name="a test",
    prefix="psk-12345678",
    scopes=frozenset({"chat"}),
    created_at=NOW,
    expires_at=None,
    revoked_at=None,
    last_used_at=None,
    version=1,
)


@given(st.binary(min_size=32, max_size=32))
def test_a_secret_comes_back_from_its_header(entropy: bytes) -> None:
    """Whatever the random bytes are: 47 URL-safe characters, found again in any spelling of the header."""
    secret = secret_of(entropy)
    assert re.fullmatch(r"psk-[A-Za-z0-9_-]{43}", secret)
    for header in (f"Bearer {secret}", f"bearer   {secret} ", f"BEARER {secret}"):
        assert secret_in(header) == secret


def test_a_short_secret_is_never_made() -> None:
    """Fewer random bits would need another hash."""
    with pytest.raises(ValueError, match="32 bytes"):
        secret_of(b"too short")


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (None, KeyMissing),
        ("", KeyMissing),
        ("Bearer", KeyMissing),
        ("Bearer ", KeyMissing),
        ("Basic dXNlcjpwdw==", KeyMissing),
        (secret_of(b"k" * 32), KeyMissing),
        ("Bearer sk-someone-else", KeyMalformed),
        (f"Bearer {secret_of(b'k' * 32)}x", KeyMalformed),
        (f"Bearer psk-{'é' * 43}", KeyMalformed),
    ],
)
def test_what_is_no_key(header: str | None, error: type[PenstockError]) -> None:
    """Missing and malformed are told apart."""
    with pytest.raises(error):
        secret_in(header)


def test_a_key_ends_at_its_time() -> None:
    """Valid until, but not at, the moment of its expiry; a revocation counts at once and comes first."""
    KEY.check_valid(NOW)
    ending = replace(KEY, expires_at=NOW + timedelta(seconds=1))
    ending.check_valid(NOW)
    with pytest.raises(KeyExpired):
        ending.check_valid(NOW + timedelta(seconds=1))
    with pytest.raises(KeyRevoked):
        replace(ending, revoked_at=NOW).check_valid(NOW + timedelta(days=1))


def test_scopes_allow_what_they_name() -> None:
    """Only `*` allows everything; `admin` is a scope like the others."""
    KEY.require(Scope.CHAT)
    with pytest.raises(ScopeMissing, match="usage:read"):
        KEY.require(Scope.USAGE)
    assert not replace(KEY, scopes=frozenset({"admin"})).allows(Scope.KEYS)
    assert all(replace(KEY, scopes=frozenset({"*"})).allows(scope) for scope in Scope)


@given(held=st.sets(st.sampled_from(Scope)), wanted=st.sets(st.sampled_from(Scope)))
def test_nothing_is_granted_that_is_not_held(held: set[Scope], wanted: set[Scope]) -> None:
    """A key made by another one allows nothing that its maker is not allowed."""
    maker = replace(KEY, scopes=frozenset(held))
    try:
        maker.may_grant(wanted)
    except ScopeExceeded:
        return
    made = replace(KEY, scopes=frozenset(wanted))
    assert all(maker.allows(scope) for scope in Scope if made.allows(scope))


def test_a_tier_is_given_by_its_own_kind_or_an_administrator() -> None:
    """Nobody lifts itself: an ordinary key makes ordinary ones, however many scopes it holds beside `admin`."""
    ordinary = replace(KEY, scopes=frozenset(set(Scope) - {Scope.ADMIN, Scope.ALL}))
    ordinary.may_give(Tier.STANDARD)
    with pytest.raises(ScopeExceeded, match="tier standard"):
        ordinary.may_give(Tier.ENTERPRISE)
    for maker in (replace(ordinary, tier=Tier.ENTERPRISE), replace(KEY, scopes=frozenset({"admin"}))):
        maker.may_give(Tier.ENTERPRISE)
        maker.may_give(Tier.STANDARD)


def test_local_keys_are_made_from_their_hashes() -> None:
    """One for clients, one for the operator; an empty hash makes none. Their ids can begin message ids."""
    digest = digest_of("psk-any")
    user, admin = local_keys(digest.hex(), digest.hex())
    assert (user.id, admin.id, user.sha256) == (USER_KEY, ADMIN_KEY, digest)
    assert set(user.scopes) < set(Scope) - {Scope.ADMIN, Scope.ALL}
    assert admin.scopes == (Scope.ALL,)
    assert local_keys("", digest.hex()) == [admin]
    for id_ in (DEFAULT_PROJECT, USER_KEY, ADMIN_KEY):
        day_of(str(id_))
