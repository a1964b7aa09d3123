"""`penstock hooks`."""

import json
from typing import Annotated, Any
from uuid import UUID

import typer

from penstock.commands.options import Data, Json

PATH = "/api/v1/hooks"

app = typer.Typer(help="Webhooks: deliveries of other systems that start runs.", no_args_is_help=True)

Id = Annotated[UUID, typer.Argument(help="The webhook's id, as penstock hooks ls shows it.")]
Secret = Annotated[
    str | None, typer.Option("--secret-env", help="The variable that holds its secret; without it one is made.")
]


@app.command()
def ls(as_json: Json = False, data: Data = None) -> None:
    """Show the webhooks."""
    with _client(data) as client:
        answer = client.get(PATH)
    if as_json:
        print(json.dumps(answer))
    else:
        _table(answer["hooks"])


@app.command()
def add(  # noqa: PLR0913, PLR0917 (one parameter an option)
    task: Annotated[str, typer.Option(help="The declared task that a delivery runs.")],
    name: Annotated[str, typer.Option(help="For people to tell webhooks apart.")] = "",
    scheme: Annotated[
        str, typer.Option(help="standard-webhooks, or hmac-sha256, as GitHub signs unless the next options say more.")
    ] = "standard-webhooks",
    signature_header: Annotated[str | None, typer.Option(help="Of an HMAC; x-hub-signature-256 by default.")] = None,
    prefix: Annotated[str | None, typer.Option(help="Before an HMAC; sha256= by default.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of an HMAC: hex (default) or base64.")] = None,
    delivery_header: Annotated[
        str | None, typer.Option(help="With an HMAC: carries the delivery's id; x-github-delivery by default.")
    ] = None,
    secret_env: Secret = None,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Make a webhook, and print where deliveries go and the secret that signs them."""
    options = {
        "signature_header": signature_header,
        "prefix": prefix,
        "encoding": encoding,
        "delivery_header": delivery_header,
        "secret": _secret(secret_env),
    }
    given = {option: value for option, value in options.items() if value is not None}
    with _client(data) as client:
        _tell(client.post(PATH, {"task": task, "name": name, "scheme": scheme, **given}), client.base_url, as_json)


@app.command()
def rotate(
    hook: Id,
    overlap: Annotated[str, typer.Option(help="How long the secret before it stays good: 0s to 7d.")] = "1d",
    secret_env: Secret = None,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Give a webhook a new secret, and print it."""
    wanted: dict[str, Any] = {"overlap_seconds": _seconds(overlap)}
    if secret := _secret(secret_env):
        wanted["secret"] = secret
    with _client(data) as client:
        _tell(client.post(f"{PATH}/{hook}/rotate", wanted), client.base_url, as_json)


@app.command()
def rm(hook: Id, as_json: Json = False, data: Data = None) -> None:
    """Remove a webhook: its deliveries are refused from now on."""
    with _client(data) as client:
        client.delete(f"{PATH}/{hook}")
    print(json.dumps({"id": str(hook)}) if as_json else f"removed: {hook}")


def _tell(made: dict[str, Any], base_url: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps(made | {"url": base_url + made["path"]}))
        return
    print(f"url     {base_url}{made['path']}\nsecret  {made['secret']}")
    typer.echo(
        "Keep the secret: it is not shown again. On another host, put that host's address before the path.", err=True
    )


def _secret(variable: str | None) -> str | None:
    import os  # noqa: PLC0415 (start-up time of other commands)

    if variable is None:
        return None
    if not (secret := os.environ.get(variable)):
        raise typer.BadParameter(f"the variable {variable} is not set.", param_hint="--secret-env")
    return secret


def _seconds(span: str) -> int:
    from penstock.timings import seconds_of  # noqa: PLC0415 (as above)

    try:
        return seconds_of(span)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--overlap") from error


def _client(data: Any) -> Any:
    from penstock.client import Client  # noqa: PLC0415 (as above)
    from penstock.platform.folder import DataFolder  # noqa: PLC0415 (as above)

    return Client.of(DataFolder.at(data))


def _table(hooks: list[dict[str, Any]]) -> None:
    from penstock.tables import console, table  # noqa: PLC0415 (as above)

    shown = table("id", "name", "task", "scheme", "delivery id", "made")
    for hook in hooks:
        cells = (hook["id"], hook["name"], hook["task"], hook["scheme"], hook["delivery_header"])
        shown.add_row(*cells, hook["created_at"][:10])
    console().print(shown)
