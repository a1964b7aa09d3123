"""Text at rest is sealed by the key of the subject it belongs to: erasing the key erases the text everywhere."""

import hmac
import os
from hashlib import blake2b
from pathlib import Path
from typing import Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from penstock_common.errors import ContractViolated, SubjectErased

VERSION = b"\x01"
KEY_BYTES, NONCE_BYTES, ID_BYTES = 32, 12, 16
CACHED_KEYS = 10_000

PLATFORM_SUBJECT = UUID("00000000-0000-7000-8000-70656e73746f")
"""Owner of what belongs to no tenant, such as the keys of model engines."""


def secret_context(name: str) -> str:
    """The context under which the secret `name` is sealed, as the file `<name>.sealed`."""
    return f"secret:{name}"


class Keyring(Protocol):
    """Where subject keys live. They never travel over the bus."""

    def get(self, subject: UUID) -> bytes | None:
        """The subject's key of 32 bytes; None where it was erased or never made."""

    def get_or_make(self, subject: UUID) -> bytes:
        """The subject's key, made at first use. Raises SubjectErased for a subject that was erased."""

    def erase(self, subject: UUID) -> None:
        """Forget the key for ever."""


class LocalKeyring:
    """One file a key (mode 0600) in a folder that the services of one machine share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def get(self, subject: UUID) -> bytes | None:
        """Read the key's file."""
        try:
            key = self._path(subject).read_bytes()
        except FileNotFoundError:
            return None
        return key if len(key) == KEY_BYTES else None

    def get_or_make(self, subject: UUID) -> bytes:
        """Read the key's file; two processes that make it at once agree, because a link is made only once."""
        if (key := self.get(subject)) is not None:
            return key
        if self._tombstone(subject).exists():
            raise SubjectErased(subject=str(subject))
        draft = self.folder / f".{subject}.{os.getpid()}.{os.urandom(4).hex()}"
        write_private(draft, os.urandom(KEY_BYTES))
        try:
            os.link(draft, self._path(subject))
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return self._path(subject).read_bytes()

    def erase(self, subject: UUID) -> None:
        """Leave a tombstone first, so that the key is not made again."""
        self._tombstone(subject).touch(mode=0o600)
        self._path(subject).unlink(missing_ok=True)

    def _path(self, subject: UUID) -> Path:
        return self.folder / f"{subject}.key"

    def _tombstone(self, subject: UUID) -> Path:
        return self.folder / f"{subject}.erased"


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read, and flush it to disk."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


class Sealer:
    """AES-256-GCM under a key derived for each context, so that random nonces never meet.

    Layout: version (1 byte), subject (16), nonce (12), ciphertext with its tag. The context, say a request id,
    is authenticated, so that a sealed text cannot be moved to another row.
    """

    def __init__(self, keyring: Keyring) -> None:
        self.keyring = keyring
        self._keys: dict[bytes, SubjectKey] = {}
        """By the bytes of the subject's id."""

    def seal(self, subject: UUID, context: str, text: bytes) -> bytes:
        """Seal. Raises SubjectErased."""
        nonce, place = os.urandom(NONCE_BYTES), context.encode()
        return VERSION + subject.bytes + nonce + self._key(subject).cipher(place).encrypt(nonce, text, place)

    def open(self, context: str, sealed: bytes) -> bytes:
        """The text. Raises SubjectErased where the key is gone, ContractViolated for anything not sealed so."""
        if sealed[:1] != VERSION or len(sealed) < 1 + ID_BYTES + NONCE_BYTES:
            raise ContractViolated("not a sealed text")
        key = self._held(bytes(sealed[1 : 1 + ID_BYTES]))
        body = 1 + ID_BYTES
        nonce, rest, place = sealed[body : body + NONCE_BYTES], sealed[body + NONCE_BYTES :], context.encode()
        try:
            return key.cipher(place).decrypt(nonce, rest, place)
        except InvalidTag as error:
            raise ContractViolated("a sealed text does not belong to this context") from error

    def mac(self, subject: UUID, text: bytes) -> str:
        """A keyed digest (32 hex digits): equal for equal texts of a subject, and silent about them."""
        return blake2b(text, key=self._key(subject).raw, digest_size=16).hexdigest()

    def forget(self, subject: UUID) -> None:
        """Drop a cached key, after its erasure was announced."""
        self._keys.pop(subject.bytes, None)

    def _key(self, subject: UUID) -> "SubjectKey":
        key = self._keys.get(subject.bytes)
        if key is None:
            if len(self._keys) >= CACHED_KEYS:
                self._keys.clear()
            key = self._keys[subject.bytes] = SubjectKey(self.keyring.get_or_make(subject))
        return key

    def _held(self, id_: bytes) -> "SubjectKey":
        """The key of whatever was sealed, which is never made here. Raises SubjectErased."""
        if known := self._keys.get(id_):
            return known
        subject = UUID(bytes=id_)
        raw = self.keyring.get(subject)
        if raw is None:
            raise SubjectErased(subject=str(subject))
        return SubjectKey(raw)


class SubjectKey:
    """A subject's key, and what of deriving another from it is the same each time."""

    __slots__ = ("_hmac", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._hmac = hmac.new(raw, digestmod="sha256")

    def cipher(self, context: bytes) -> AESGCM:
        """A cipher by a key of its own for each context."""
        derived = self._hmac.copy()
        derived.update(context)
        return AESGCM(derived.digest())
