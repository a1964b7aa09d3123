"""`penstock inference`."""

import json
import sys
import time
from typing import Annotated, Any
from uuid import UUID

import typer

from penstock.commands.options import Data, Json

PATH = "/api/v1/inference"
PAUSE = 0.5  # seconds between two looks
ENDS = frozenset({"succeeded", "partial", "cancelled", "expired", "failed", "lost"})

app = typer.Typer(help="Requests whose answers are fetched later.", no_args_is_help=True)

RequestId = Annotated[UUID, typer.Argument(help="The request's id, as penstock inference submit prints it.")]


@app.command()
def submit(  # noqa: PLR0913, PLR0917 (one parameter an option)
    prompt: Annotated[str, typer.Argument(help="What the model is asked; - reads it from a pipe.")],
    model: Annotated[str, typer.Option("--model", "-m", help="By default the first real model.")] = "",
    lane: Annotated[str, typer.Option(help="batch, or interactive to begin at once.")] = "batch",
    priority: Annotated[int | None, typer.Option(min=0, max=9, help="The highest of your own goes first.")] = None,
    deadline: Annotated[float | None, typer.Option(help="Seconds after which it expires.")] = None,
    webhook: Annotated[UUID | None, typer.Option(help="A webhook of yours that hears of its end.")] = None,
    name: Annotated[str, typer.Option("--idempotency-key", help="Asked again under it, it is one request.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Print the answer once it is there.")] = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Have a prompt answered later; prints the request's id."""
    text = sys.stdin.read().strip() if prompt == "-" else prompt
    with _client(data) as client:
        asked = {"model": model or _first_model(client), "messages": [{"role": "user", "content": text}]}
        wanted = {
            "request": asked,
            "lane": lane,
            "priority": priority,
            "deadline_seconds": deadline,
            "webhook": str(webhook) if webhook else None,
        }
        body = {member: value for member, value in wanted.items() if value is not None}
        accepted = client.post(PATH, body, {"idempotency-key": name} if name else None)
        if wait:
            _print_answer(client, accepted["id"], as_json)
        else:
            print(json.dumps(accepted) if as_json else accepted["id"])


@app.command()
def show(request: RequestId, as_json: Json = False, data: Data = None) -> None:
    """Show what became of a request: its state, and its place while it waits."""
    with _client(data) as client:
        state = client.get(f"{PATH}/{request}")
    if as_json:
        print(json.dumps(state))
        return
    print(_line(state))


@app.command()
def result(
    request: RequestId,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is there.")] = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Print a request's answer; exit 1 where there is none."""
    with _client(data) as client:
        if wait:
            _print_answer(client, str(request), as_json)
        else:
            _print(client.get(f"{PATH}/{request}/result"), as_json)


@app.command()
def stop(request: RequestId, as_json: Json = False, data: Data = None) -> None:
    """End a request for good, whether it waits or runs."""
    with _client(data) as client:
        state = client.delete(f"{PATH}/{request}")
    print(json.dumps(state) if as_json else _line(state))


def _print_answer(client: Any, request_id: str, as_json: bool) -> None:
    """Wait for the end, however long that takes; a failure ends this command with its sentence."""
    while client.get(f"{PATH}/{request_id}")["state"] not in ENDS:
        time.sleep(PAUSE)
    _print(client.get(f"{PATH}/{request_id}/result"), as_json)


def _print(answer: dict[str, Any], as_json: bool) -> None:
    choices = answer.get("choices")
    text = choices[0]["message"].get("content") if choices else None
    print(text if text and not as_json else json.dumps(answer, ensure_ascii=False))


def _line(state: dict[str, Any]) -> str:
    words = [state["id"], state["state"], state["lane"], state["model"]]
    if state["position"] is not None:
        words.append(f"at {state['position']}")
    if state["expected_wait_seconds"] is not None:
        words.append(f"for about {state['expected_wait_seconds']:.0f} s")
    return "  ".join([*words, state["error_code"]]).rstrip()


def _first_model(client: Any) -> str:
    from penstock.chatting.conversation import chat_model  # noqa: PLC0415 (start-up time of other commands)
    from penstock.served import MODELS  # noqa: PLC0415 (as above)

    return str(chat_model(client.get(MODELS)["models"]))


def _client(data: Any) -> Any:
    from penstock.client import Client  # noqa: PLC0415 (as above)
    from penstock.platform.folder import DataFolder  # noqa: PLC0415 (as above)

    return Client.of(DataFolder.at(data))
