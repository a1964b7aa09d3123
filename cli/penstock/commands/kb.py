"""`penstock kb`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.commands.options import Data, Json

app = typer.Typer(help="Knowledge bases: documents that can be searched.", no_args_is_help=True)
Base = Annotated[str, typer.Argument(help="The knowledge base's name or id.")]


@app.command()
def ls(as_json: Json = False, data: Data = None) -> None:
    """Show the knowledge bases."""
    from penstock.knowledge import BASES  # noqa: PLC0415 (start-up time of other commands)
    from penstock.tables import console, table  # noqa: PLC0415 (as above)

    with _client(data) as client:
        shown = client.get(BASES, limit="1000")
    if as_json:
        print(json.dumps(shown))
        return
    rows = table("id", "name", "model", "documents", "chunks")
    for base in shown["knowledge_bases"]:
        rows.add_row(base["id"], base["name"], base["model"], str(base["documents"]), str(base["chunks"]))
    console().print(rows)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="For people.")],
    model: Annotated[str, typer.Option(help="The embedding model of all of its documents.")] = "",
    chunk: Annotated[int, typer.Option(help="The longest chunk, in characters.")] = 1000,
    overlap: Annotated[int, typer.Option(help="How many of them the next chunk repeats.")] = 200,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Make a knowledge base."""
    from penstock.knowledge import BASES  # noqa: PLC0415 (as above)

    wanted: dict[str, Any] = {"name": name, "chunk_characters": chunk, "overlap_characters": overlap}
    with _client(data) as client:
        made = client.post(BASES, wanted | ({"model": model} if model else {}))
    print(json.dumps(made) if as_json else made["id"])


@app.command()
def add(
    base: Base,
    paths: Annotated[
        list[Path], typer.Argument(help="Files; or folders, with all text, Markdown, HTML and PDF in them.")
    ],
    wait: Annotated[bool, typer.Option(help="Return once they can be searched.")] = True,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Upload documents, and wait until they can be searched."""
    from penstock.knowledge import DocumentsFailed, await_indexed, files_in, resolve, upload  # noqa: PLC0415 (as above)

    files = files_in(paths)
    with _client(data) as client:
        found = resolve(client, base)
        documents = upload(client, found["id"], files, quiet=as_json)
        if wait:
            documents = await_indexed(client, found["id"], documents, quiet=as_json)
    failed = [document for document in documents if document["state"] == "failed"]
    if as_json:
        print(json.dumps({"documents": documents}))
    else:
        print(f"{'searchable' if wait else 'uploaded'}: {len(documents) - len(failed)} of {len(files)}")
    if failed:
        raise DocumentsFailed("; ".join(f"{document['name']}: {document['error']}" for document in failed))


@app.command()
def docs(
    base: Base,
    state: Annotated[str | None, typer.Option(help="Only those queued, parsing, embedding, indexed or failed.")] = None,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Show the documents of a knowledge base with their states."""
    from penstock.knowledge import all_documents, resolve  # noqa: PLC0415 (as above)
    from penstock.tables import console, table  # noqa: PLC0415 (as above)

    with _client(data) as client:
        found = all_documents(client, resolve(client, base)["id"], state)
    if as_json:
        print(json.dumps({"documents": found}))
        return
    rows = table("id", "name", "type", "state", "chunks", "pages", "what went wrong")
    for document in found:
        counts = (str(document["chunks"]), str(document["pages"]))
        rows.add_row(*(document[n] for n in ("id", "name", "media_type", "state")), *counts, document["error"])
    console().print(rows)


@app.command()
def search(
    base: Base,
    query: Annotated[str, typer.Argument(help="A question, or words.")],
    limit: Annotated[int, typer.Option(help="How many chunks.", min=1, max=50)] = 5,
    mode: Annotated[str, typer.Option(help="hybrid, vector or words.")] = "hybrid",
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Find the chunks that answer a question best."""
    from penstock.knowledge import resolve, searched  # noqa: PLC0415 (as above)

    with _client(data) as client:
        found = searched(client, resolve(client, base)["id"], {"query": query, "limit": limit, "mode": mode})
    if as_json:
        print(json.dumps(found))
        return
    for number, chunk in enumerate(found["chunks"], start=1):
        place = f"page {chunk['page']}" if chunk["page"] else f"characters {chunk['start']} to {chunk['end']}"
        print(f"{number}. {chunk['name']}, {place} ({chunk['score']:.3f})\n{chunk['text']}\n")


@app.command()
def retry(
    base: Base,
    document: Annotated[str, typer.Argument(help="The failed document's id.")],
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Try a failed document again."""
    from penstock.knowledge import document_path, resolve  # noqa: PLC0415 (as above)

    with _client(data) as client:
        shown = client.post(f"{document_path(resolve(client, base)['id'], document)}/retry", None)
    print(json.dumps(shown) if as_json else f"queued: {shown['name']}")


@app.command()
def rm(
    base: Base,
    document: Annotated[str | None, typer.Argument(help="One document's id; without it the whole base goes.")] = None,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Remove a knowledge base, or one of its documents, with contents, chunks and vectors."""
    from penstock.knowledge import BASES, document_path, resolve  # noqa: PLC0415 (as above)

    with _client(data) as client:
        base_id = resolve(client, base)["id"]
        gone = client.delete(document_path(base_id, document) if document else f"{BASES}/{base_id}")
    print(json.dumps(gone) if as_json else f"removed: {gone['name']}")


def _client(data: Any) -> Any:
    from penstock.client import Client  # noqa: PLC0415 (as above)
    from penstock.platform.folder import DataFolder  # noqa: PLC0415 (as above)

    return Client.of(DataFolder.at(data))
