"""Calls behind `penstock kb`."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.progress import track

from penstock.client import Client
from penstock.platform.errors import PlatformError

BASES = "/api/v1/knowledge-bases"
KINDS = frozenset({".txt", ".md", ".markdown", ".html", ".htm", ".pdf", ".text", ".rst", ".csv", ".log"})
LARGEST = 6_000_000  # bytes that the API takes
DONE = ("indexed", "failed")
PATIENCE = 120.0  # seconds without any document getting further
POLL = 0.3  # seconds
PAGE = 1000

Document = dict[str, Any]


class BaseUnknown(PlatformError):
    """No knowledge base has this name or id."""

    code = "cli.knowledge_base_unknown"


class NothingToAdd(PlatformError):
    """There is no document there."""

    code = "cli.nothing_to_add"


class DocumentsFailed(PlatformError):
    """Some documents could not be indexed."""

    code = "cli.documents_failed"


class IndexingStalled(PlatformError):
    """The documents are kept, but none of them gets further."""

    code = "cli.indexing_stalled"


def resolve(client: Client, wanted: str) -> dict[str, Any]:
    """The base of this id or name. Raises BaseUnknown where there is none, or several have the name."""
    bases = client.get(BASES, limit=str(PAGE))["knowledge_bases"]
    found = [base for base in bases if wanted in (base["id"], base["name"])]
    if len(found) == 1:
        base: dict[str, Any] = found[0]
        return base
    if found:
        raise BaseUnknown(f"{len(found)} knowledge bases are named {wanted!r}; name one by its id (penstock kb ls).")
    raise BaseUnknown(
        f"There is no knowledge base {wanted!r}; penstock kb ls shows them, penstock kb create makes one."
    )


def files_in(paths: Sequence[Path]) -> list[Path]:
    """The files named, and the documents in the folders named. Raises NothingToAdd, naming what can't be added."""
    if missing := [str(path) for path in paths if not path.exists()]:
        raise NothingToAdd(f"{', '.join(missing)}: no such file or folder.")
    files = [file for path in paths for file in (_documents(path) if path.is_dir() else [path])]
    if not files:
        raise NothingToAdd(f"There is no document in {', '.join(map(str, paths))} ({' '.join(sorted(KINDS))}).")
    if large := [str(file) for file in files if file.stat().st_size > LARGEST]:
        raise NothingToAdd(f"{', '.join(large)}: larger than 6 MB; split it.")
    return files


def upload(client: Client, base_id: str, files: Sequence[Path], *, quiet: bool) -> list[Document]:
    """Send the files one after another. Raises ApiRefused, ApiUnreachable."""
    path, documents = f"{BASES}/{base_id}/documents", []
    for file in track(files, "uploading", disable=quiet):
        documents += client.upload(path, file.name, file.read_bytes())["documents"]
    return documents


def await_indexed(client: Client, base_id: str, documents: Sequence[Document], *, quiet: bool) -> list[Document]:
    """The documents once each is searchable or failed. Raises IndexingStalled."""
    ids = {document["id"] for document in documents}
    steps = _finished(client, base_id, ids)
    return list(track(steps, "indexing", total=len(ids), disable=quiet))


def all_documents(client: Client, base_id: str, state: str | None = None) -> list[Document]:
    """Every document of a base, the oldest first."""
    found: list[Document] = []
    while True:
        after = found[-1]["id"] if found else None
        path = f"{BASES}/{base_id}/documents"
        page = client.get(path, limit=str(PAGE), after=after, state=state)["documents"]
        found += page
        if len(page) < PAGE:
            return found


def searched(client: Client, base_id: str, question: dict[str, Any]) -> Any:
    """The chunks found."""
    return client.post(f"{BASES}/{base_id}/search", question)


def document_path(base_id: str, document: str) -> str:
    """The route of one document."""
    return f"{BASES}/{base_id}/documents/{quote(document, safe='')}"


def _documents(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and path.suffix.lower() in KINDS and not is_hidden:
            yield path


def _finished(client: Client, base_id: str, ids: set[str]) -> Iterator[Document]:
    """Each of the documents as soon as it is at its end."""
    left, moved = set(ids), time.monotonic()
    versions: dict[str, tuple[int, str]] = {}
    while left:
        shown = [d for d in all_documents(client, base_id) if d["id"] in left]
        for document in shown:
            if document["state"] in DONE:
                left.discard(document["id"])
                yield document
        seen = {d["id"]: (d["version"], d["changed_at"]) for d in shown}
        if seen != versions:
            versions, moved = seen, time.monotonic()
        if left and time.monotonic() - moved > PATIENCE:
            raise IndexingStalled(
                f"{len(left)} documents are kept, but wait; penstock kb docs and the indexer's log say more."
            )
        time.sleep(POLL if left else 0)
