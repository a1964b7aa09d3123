"""Sealed text: opened by its subject's key in its own place, and by nothing else."""

import asyncio
import os
import stat
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_common.errors import ContractViolated, SubjectErased
from penstock_common.ids import uuid7
from penstock_common.sealing import CACHED_KEYS, LocalKeyring, Sealer

SUBJECT = uuid7()
MAKE_KEY = """
import sys, uuid, pathlib
from penstock_common.sealing import LocalKeyring
keyring = LocalKeyring(pathlib.Path(sys.argv[1]))
sys.stdin.readline()
print(keyring.get_or_make(uuid.UUID(sys.argv[2])).hex())
"""


class MemoryKeyring:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.keys: dict[object, bytes] = {}
        self.asked = 0

    def get(self, subject: object) -> bytes | None:
        """A key that was made."""
        self.asked += 1
        return self.keys.get(subject)

    def get_or_make(self, subject: object) -> bytes:
        """A key."""
        self.asked += 1
        return self.keys.setdefault(subject, os.urandom(32))

    def erase(self, subject: object) -> None:
        """Forget it."""
        del self.keys[subject]


@pytest.fixture
def keyring(tmp_path: Path) -> LocalKeyring:
    """An empty folder of keys."""
    return LocalKeyring(tmp_path / "keys")


@given(st.binary(max_size=200), st.text(max_size=20))
def test_round_trip(text: bytes, context: str) -> None:
    """Whatever is sealed opens again, and reads differently each time it is sealed."""
    sealer = Sealer(MemoryKeyring())
    sealed = sealer.seal(SUBJECT, context, text)
    assert sealer.open(context, sealed) == text
    assert sealed != sealer.seal(SUBJECT, context, text)
    assert len(text) < 4 or text not in sealed


def test_another_process_opens_it(keyring: LocalKeyring) -> None:
    """The key lies in the folder that both share."""
    sealed = Sealer(keyring).seal(SUBJECT, "a", b"text")
    assert Sealer(LocalKeyring(keyring.folder)).open("a", sealed) == b"text"


def test_other_context_is_refused(keyring: LocalKeyring) -> None:
    """A sealed text can't be moved to another row."""
    sealed = Sealer(keyring).seal(SUBJECT, "a", b"text")
    with pytest.raises(ContractViolated):
        Sealer(keyring).open("b", sealed)


@pytest.mark.parametrize("at", [0, 1, 20, 30, -1])
def test_changed_byte_is_refused(keyring: LocalKeyring, at: int) -> None:
    """Version, subject, nonce, text and tag are all authenticated, or lead to another key."""
    sealed = bytearray(Sealer(keyring).seal(SUBJECT, "a", b"text"))
    sealed[at] ^= 1
    with pytest.raises((ContractViolated, SubjectErased)):
        Sealer(keyring).open("a", bytes(sealed))


@pytest.mark.parametrize("garbage", [b"", b"\x01", b"\x01" * 28, b"\x02" * 80])
def test_garbage_is_refused(keyring: LocalKeyring, garbage: bytes) -> None:
    """What was never sealed is a violated contract, not a crash."""
    with pytest.raises(ContractViolated):
        Sealer(keyring).open("a", garbage)


def test_erased_reads_as_erased_and_is_not_made_again(keyring: LocalKeyring) -> None:
    """The tombstone outlives the key: nothing old opens, nothing new is sealed."""
    sealed = Sealer(keyring).seal(SUBJECT, "a", b"text")
    keyring.erase(SUBJECT)
    with pytest.raises(SubjectErased):
        Sealer(keyring).open("a", sealed)
    with pytest.raises(SubjectErased):
        Sealer(keyring).seal(SUBJECT, "a", b"text")
    assert keyring.get(SUBJECT) is None


def test_announced_erasure_empties_the_cache(keyring: LocalKeyring) -> None:
    """A process that still holds the key forgets it when told."""
    sealer = Sealer(keyring)
    sealed = sealer.seal(SUBJECT, "a", b"text")
    keyring.erase(SUBJECT)
    sealer.forget(SUBJECT)
    with pytest.raises(SubjectErased):
        sealer.open("a", sealed)


def test_key_is_read_once() -> None:
    """Sealing a thousand texts asks the keyring once; the cache stays bounded."""
    keyring = MemoryKeyring()
    sealer = Sealer(keyring)
    for _ in range(1000):
        sealer.seal(SUBJECT, "a", b"text")
    assert keyring.asked == 1
    for _ in range(CACHED_KEYS + 1):
        sealer.mac(uuid7(), b"")
    assert len(sealer._keys) <= CACHED_KEYS


def test_digest_tells_texts_and_subjects_apart(keyring: LocalKeyring) -> None:
    """Equal for equal texts of one subject; without the key it says nothing."""
    sealer = Sealer(keyring)
    assert sealer.mac(SUBJECT, b"text") == sealer.mac(SUBJECT, b"text")
    assert len({sealer.mac(SUBJECT, b"text"), sealer.mac(SUBJECT, b"other"), sealer.mac(uuid7(), b"text")}) == 3


def test_keys_are_their_owners_alone(keyring: LocalKeyring) -> None:
    """Folder and files are closed to others, and no draft is left behind."""
    keyring.get_or_make(SUBJECT)
    assert stat.S_IMODE(keyring.folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in keyring.folder.iterdir()] == [0o600]


async def test_processes_that_make_one_key_at_once_agree(keyring: LocalKeyring) -> None:
    """All get the key of the one that was first."""
    starting = [
        asyncio.create_subprocess_exec(
            *(sys.executable, "-c", MAKE_KEY, str(keyring.folder), str(SUBJECT)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(4)
    ]
    processes = await asyncio.gather(*starting)
    said = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert {out.decode().strip() for out, _ in said} == {keyring.get_or_make(SUBJECT).hex()}
