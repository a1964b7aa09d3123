"""Object storage by its URL: a folder of this machine, or a bucket that speaks S3."""

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from penstock_common.errors import Fault, PenstockError
from penstock_common.objects import LocalObjects, Objects, ObstoreObjects

if TYPE_CHECKING:
    from obstore.store import S3Store

BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
PREFIX = re.compile(r"[A-Za-z0-9!_.*'()/=-]{0,500}")
URL_LENGTH = 2000  # characters


class ObjectsUrlInvalid(PenstockError):
    """The address of the object storage can't be used."""

    code = "common.objects_url_invalid"
    fault = Fault.INVALID


class S3Objects(ObstoreObjects):
    """A folder of keys in a bucket. Credentials, region and endpoint come from the environment, as AWS names them."""

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self.bucket, self.prefix = bucket, prefix
        self.place = f"s3://{bucket}/{prefix}"

    async def _keep(self, key: str) -> None:
        """Nothing: what a bucket took, it has."""

    def _open(self) -> "S3Store":
        from datetime import timedelta  # noqa: PLC0415 (with the library: only where objects are used)

        from obstore.store import S3Store  # noqa: PLC0415 (7 MB of memory, only where objects are used)

        return S3Store(
            self.bucket,
            prefix=self.prefix or None,
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
        )


def objects_at(url: str) -> Objects:
    """The storage that `s3://bucket/prefix`, `file:///folder` or a folder's absolute path names.

    Raises ObjectsUrlInvalid; nothing of the URL but its scheme is repeated where it holds credentials.
    """
    parts = urlsplit(url[:URL_LENGTH])
    if parts.username is not None or parts.password is not None:
        raise ObjectsUrlInvalid(
            "Credentials have no place in the address of a storage: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if parts.query or parts.fragment:
        raise ObjectsUrlInvalid("The address of a storage ends with its folder; set AWS_REGION or AWS_ENDPOINT_URL.")
    if parts.scheme == "s3":
        return _bucket(parts.netloc, parts.path.strip("/"))
    if parts.scheme in ("", "file") and not parts.netloc and parts.path.startswith("/"):
        return LocalObjects(Path(unquote(parts.path) if parts.scheme else parts.path))
    raise ObjectsUrlInvalid(f"{url[:100]!r} is no storage: write s3://bucket/folder or the absolute path of a folder.")


def _bucket(bucket: str, prefix: str) -> S3Objects:
    if not BUCKET.fullmatch(bucket):
        raise ObjectsUrlInvalid(f"{bucket[:80]!r} is no bucket: 3 to 63 small letters, digits, dots and dashes.")
    if not PREFIX.fullmatch(prefix):
        raise ObjectsUrlInvalid(f"{prefix[:80]!r} is no folder of keys: letters, digits and !_.*'()/=- are.")
    return S3Objects(bucket, prefix)
