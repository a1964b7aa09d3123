"""`penstock usage`."""

from typing import Annotated, Any
from uuid import UUID

import typer

from penstock.commands.options import Data, Json


def usage(
    as_json: Json = False,
    request: Annotated[UUID | None, typer.Option(help="Only this request (its x-request-id).")] = None,
    data: Data = None,
) -> None:
    """Show tokens and cost of the whole platform, as billing's ledger has them."""
    import json  # noqa: PLC0415 (start-up time of other commands)

    from penstock.client import Client  # noqa: PLC0415 (as above)
    from penstock.platform.folder import DataFolder  # noqa: PLC0415 (as above)

    with Client.of(DataFolder.at(data)) as client:
        answer = client.get("/api/v1/usage", request_id=str(request) if request else None)
    facts = complete(answer)
    if as_json:
        print(json.dumps(facts))
    else:
        show(facts)


def complete(answer: dict[str, Any]) -> dict[str, Any]:
    """The ledger's numbers with the sums that scripts would otherwise make."""
    models = {name: _counted(row) for name, row in answer["by_model"].items()}
    return {**_counted(answer), "currency": answer["currency"], "by_model": models}


def _counted(row: dict[str, Any]) -> dict[str, Any]:
    prompt, completion = row["prompt_tokens"], row["completion_tokens"]
    return {
        "requests": row["requests"],
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "cost_nano": row["cost_nano"],
    }


def show(facts: dict[str, Any]) -> None:
    """Print a table by model with its sum."""
    from penstock.money import readable  # noqa: PLC0415 (as above)
    from penstock.tables import console, table  # noqa: PLC0415 (as above)

    shown = table("model", "requests", "prompt tokens", "completion tokens", "cost", footer=True)
    cells = {name: _cells(row, facts["currency"], readable) for name, row in facts["by_model"].items()}
    for name, row in cells.items():
        shown.add_row(name, *row)
    for column, cell in zip(shown.columns, ("all", *_cells(facts, facts["currency"], readable)), strict=True):
        column.footer = cell
        column.justify = "left" if column.header == "model" else "right"
    console().print(shown)


def _cells(row: dict[str, Any], currency: str, readable: Any) -> tuple[str, ...]:
    counts = (row["requests"], row["prompt_tokens"], row["completion_tokens"])
    return (*(f"{count:,}" for count in counts), readable(row["cost_nano"], currency))
