"""An engine that answers a prompt once a test lets it."""

import asyncio
import contextlib
from collections import defaultdict

from tests.support.engine_fake import DONE, Answer, chunk, event, send, usage_chunk
from tests.support.engine_socket import Asked, SocketEngine


class GatedEngine(SocketEngine[Answer]):
    """Says each prompt again. `begun` are the prompts that it was asked, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[str] = []
        self.gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.is_open = False
        """Whether everything is answered at once."""

    def let(self, *prompts: str) -> None:
        """Answer these."""
        for prompt in prompts:
            self.gates[prompt].set()

    def open(self) -> None:
        """Answer whatever was asked, and whatever will be."""
        self.is_open = True
        self.let(*self.gates)

    async def answer(self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one prompt, unless its client leaves before."""
        if asked.path == "/v1/models":
            return False
        prompt = asked.body["messages"][-1]["content"]
        self.begun.append(prompt)
        gate = self.gates[prompt]
        if self.is_open:
            gate.set()
        waiting = [asyncio.create_task(gate.wait()), asyncio.create_task(reader.read(1))]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                    await task
        if not gate.is_set():
            return False
        await send(said(prompt), writer)
        return True


def said(text: str) -> Answer:
    """A stream of one text."""
    chunks = chunk(role="assistant", content=text), chunk(finish="stop"), usage_chunk(7, 3)
    return Answer([*(event(each) for each in chunks), DONE])
