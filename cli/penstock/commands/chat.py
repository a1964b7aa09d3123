"""`penstock chat`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.commands.options import Data, Json

if TYPE_CHECKING:
    from penstock.chatting.conversation import Conversation

MOST_CHARACTERS = 2_000_000  # what the API takes in one body, where none of them needs more than three bytes


def chat(
    prompt: Annotated[str, typer.Argument(help="Ask this and end; without it there is a conversation.")] = "",
    model: Annotated[str, typer.Option("--model", "-m", help="By default the first real model.")] = "",
    system: Annotated[str, typer.Option(help="What the model is told first.")] = "",
    flaky: Annotated[
        bool, typer.Option("--flaky", help="Cut the connection again and again at random, and go on.")
    ] = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Talk with a model; the answer is shown as it comes. A prompt may also come from a pipe."""
    from penstock.chatting.answer import client  # noqa: PLC0415 (start-up time of other commands)
    from penstock.chatting.conversation import Conversation, chat_model  # noqa: PLC0415 (as above)
    from penstock.client import Client  # noqa: PLC0415 (as above)
    from penstock.platform.folder import DataFolder  # noqa: PLC0415 (as above)
    from penstock.platform.state import running  # noqa: PLC0415 (as above)
    from penstock.served import MODELS  # noqa: PLC0415 (as above)

    state = running(DataFolder.at(data))
    asked = prompt or ("" if sys.stdin.isatty() else sys.stdin.read(MOST_CHARACTERS + 1).strip())
    if len(asked) > MOST_CHARACTERS:
        raise typer.BadParameter(f"it has more than {MOST_CHARACTERS:,} characters.", param_hint="PROMPT")
    if not asked and (as_json or not sys.stdin.isatty()):
        raise typer.BadParameter("there is nothing to ask.", param_hint="PROMPT")
    if not model:
        with Client(state) as operator:
            model = chat_model(operator.get(MODELS)["models"])
    with client(state) as http:
        conversation = Conversation(http, model, system, flaky)
        if asked:
            _once(conversation, asked, as_json=as_json)
        else:
            conversation.talk()


def _once(conversation: "Conversation", prompt: str, *, as_json: bool) -> None:
    import json  # noqa: PLC0415 (as above)

    from penstock.chatting.conversation import show, tell_cuts  # noqa: PLC0415 (as above)

    answer = conversation.ask(prompt, (lambda _: None) if as_json else show)
    if not as_json:
        print()
        tell_cuts(answer)
        return
    told = {
        "model": answer.model,
        "text": answer.text,
        "finish_reason": answer.finish_reason,
        "usage": answer.usage,
        "request_id": answer.stream.request_id,
        "cuts": answer.cuts,
    }
    print(json.dumps(told, ensure_ascii=False))
