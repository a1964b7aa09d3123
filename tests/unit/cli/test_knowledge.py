"""Which files `penstock kb add` takes, and which base it means."""

from pathlib import Path
from typing import Any, cast

import pytest

from penstock.client import Client
from penstock.knowledge import LARGEST, BaseUnknown, NothingToAdd, files_in, resolve


class Listing:
    """The bases that the API would list."""

    def __init__(self, *bases: dict[str, str]) -> None:
        self.bases = bases

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """All of them."""
        return {"knowledge_bases": list(self.bases)}


def resolved(wanted: str, *bases: dict[str, str]) -> dict[str, Any]:
    """The base that is meant."""
    return resolve(cast(Client, Listing(*bases)), wanted)


def test_folders_give_their_documents(tmp_path: Path) -> None:
    """In order, deep ones too; hidden ones and other kinds only where they are named."""
    for name in ("b.md", "a.TXT", "deep/c.pdf", ".git/d.md", "picture.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    found = [str(path.relative_to(tmp_path)) for path in files_in([tmp_path, tmp_path / "picture.png"])]
    assert found == ["a.TXT", "b.md", "deep/c.pdf", "picture.png"]


def test_what_can_not_be_added_is_named(tmp_path: Path) -> None:
    """Before anything is uploaded."""
    with pytest.raises(NothingToAdd, match="no such file"):
        files_in([tmp_path / "missing.txt"])
    with pytest.raises(NothingToAdd, match="no document"):
        files_in([tmp_path])
    (tmp_path / "large.txt").write_bytes(b"x" * (LARGEST + 1))
    with pytest.raises(NothingToAdd, match=r"large\.txt: larger than 6 MB"):
        files_in([tmp_path])


def test_a_base_is_named_or_numbered() -> None:
    """A name that two bases have is not enough."""
    one, two = {"id": "1", "name": "handbook"}, {"id": "2", "name": "handbook"}
    assert resolved("handbook", one) == one
    assert resolved("2", one, two) == two
    with pytest.raises(BaseUnknown, match="2 knowledge bases are named"):
        resolved("handbook", one, two)
    with pytest.raises(BaseUnknown, match="no knowledge base 'other'"):
        resolved("other", one)
