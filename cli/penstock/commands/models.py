"""`penstock models`."""

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from penstock.commands.options import Data, Json

app = typer.Typer(help="The models that the platform serves, and the engines that it found.")


@app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: Json = False, data: Data = None) -> None:
    """The models that the platform serves; without a command also which engines were found, and why not others."""
    if context.invoked_subcommand is not None:
        return
    from penstock.client import Client  # noqa: PLC0415 (start-up time of other commands)
    from penstock.found import DISCOVERY, print_found  # noqa: PLC0415 (as above)
    from penstock.platform.folder import DataFolder  # noqa: PLC0415 (as above)
    from penstock.served import MODELS  # noqa: PLC0415 (as above)

    with Client.of(DataFolder.at(data)) as client:
        shown, report = client.get(MODELS), client.get(DISCOVERY)
    if as_json:
        print(json.dumps(shown | {"discovery": report}))
    else:
        _show(shown["models"])
        print()
        print_found(report)


@app.command()
def add(  # noqa: PLR0913, PLR0917 (one parameter an option)
    name: Annotated[str, typer.Argument(help="What clients ask for.")],
    engine: Annotated[
        str, typer.Option(help="openai-compatible, openai, deepseek, vllm, ollama, llamacpp, tgi, anthropic.")
    ],
    url: Annotated[str, typer.Option(help="The engine's base URL, up to and with /v1.")] = "",
    upstream_model: Annotated[str, typer.Option(help="What the engine calls it; by default NAME.")] = "",
    api_key_env: Annotated[
        str, typer.Option(help="The variable with the engine's key; its value is kept sealed.")
    ] = "",
    price_in: Annotated[str, typer.Option(help="USD per prompt token, such as 0.000001.")] = "0",
    price_out: Annotated[str, typer.Option(help="USD per completion token.")] = "0",
    alias: Annotated[list[str] | None, typer.Option(help="Another name for it; repeatable.")] = None,
    context: Annotated[int, typer.Option(help="Tokens of prompt and answer together; 0 where unknown.")] = 0,
    take_over: Annotated[
        str, typer.Option(help="How an answer goes on after its process died: prefix, verify or fail.")
    ] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Add a model, or replace the one of this name, and wait until it is served."""
    wanted = {
        "name": name,
        "engine": engine,
        "url": url,
        "upstream_model": upstream_model,
        "secret": _variable(api_key_env),
        "aliases": alias or [],
        "context_tokens": context,
        "input_nano": _nano("--price-in", price_in),
        "output_nano": _nano("--price-out", price_out),
        "take_over": take_over,
    }
    _register(wanted, data)
    print(json.dumps({"name": name}) if as_json else f"served: {name}")


@app.command()
def rm(name: str, data: Data = None, as_json: Json = False) -> None:
    """Remove a model; what it was charged stays in the books."""
    from penstock.client import Client  # noqa: PLC0415 (start-up time of other commands)
    from penstock.platform.folder import DataFolder  # noqa: PLC0415 (as above)
    from penstock.served import MODELS, await_catalogue  # noqa: PLC0415 (as above)

    folder = DataFolder.at(data)
    with Client.of(folder) as client:
        ordered = client.delete(f"{MODELS}/{quote(name, safe='')}")
        await_catalogue(client, ordered, lambda models: name not in models, _hint(folder))
    print(json.dumps({"name": name}) if as_json else f"removed: {name}")


@app.command()
def ls(as_json: Json = False, data: Data = None) -> None:
    """Show the models with their prices."""
    from penstock.client import Client  # noqa: PLC0415 (as above)
    from penstock.platform.folder import DataFolder  # noqa: PLC0415 (as above)
    from penstock.served import MODELS  # noqa: PLC0415 (as above)

    with Client.of(DataFolder.at(data)) as client:
        shown = client.get(MODELS)
    if as_json:
        print(json.dumps(shown))
    else:
        _show(shown["models"])


def _register(wanted: dict[str, Any], data: Any) -> None:
    from penstock.client import Client  # noqa: PLC0415 (as above)
    from penstock.platform.folder import DataFolder  # noqa: PLC0415 (as above)
    from penstock.secrets import seal_from_environment  # noqa: PLC0415 (as above)
    from penstock.served import MODELS, await_catalogue, shows  # noqa: PLC0415 (as above)

    folder = DataFolder.at(data)
    with Client.of(folder) as client:
        if wanted["secret"]:
            seal_from_environment(folder, wanted["secret"])
        ordered = client.post(MODELS, wanted)
        await_catalogue(client, ordered, lambda models: shows(models.get(wanted["name"]), wanted), _hint(folder))


def _hint(folder: Any) -> str:
    return f"See {folder.logs / 'inference.log'}, and that inference runs: penstock status"


def _variable(name: str) -> str:
    from penstock.secrets import NAME  # noqa: PLC0415 (as above)

    if name and not NAME.fullmatch(name):
        raise typer.BadParameter("it takes the name of a variable, never a key itself.", param_hint="--api-key-env")
    return name


def _nano(option: str, price: str) -> int:
    from penstock.prices import nano_of  # noqa: PLC0415 (as above)

    try:
        return nano_of(price)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint=option) from error


def _show(models: list[dict[str, Any]]) -> None:
    from rich.console import Console  # noqa: PLC0415 (as above)
    from rich.table import Column, Table  # noqa: PLC0415 (as above)

    from penstock.money import readable  # noqa: PLC0415 (as above)

    names = ("provider", "context", "USD/prompt token", "USD/completion token", "take-over", "aliases")
    table = Table(Column("model", no_wrap=True), *names, box=None)
    for model in models:
        prices = (readable(model["price"][name]) for name in ("input_nano", "output_nano"))
        context = str(model["context_tokens"] or "?")
        table.add_row(
            model["name"], model["provider"], context, *prices, model["take_over"], " ".join(model["aliases"])
        )
    Console().print(table)
