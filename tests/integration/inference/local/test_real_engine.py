"""llama.cpp itself is recognised, and so is one that wants a key."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from penstock.platform.ports import LOOPBACK, free_ports
from penstock.platform.program import Program
from penstock_inference.adapters.local.asking import make_session
from penstock_inference.adapters.local.inspection import Sight, inspect
from penstock_inference.domain.local_models import Address
from tests.conftest import Start
from tests.support.llama import KEY, SLOT_TOKENS, LlamaServer
from tests.support.servers import Server, scratch_folder

pytestmark = pytest.mark.integration


class OpenLlama(LlamaServer):
    """One that wants no key."""

    def program(self) -> Program:
        """The command line without the key."""
        locked = super().program()
        return replace(locked, argv=tuple(word for word in locked.argv if word not in {"--api-key", KEY}))


async def seen(server: Server) -> Sight:
    """What is seen of it."""
    async with make_session() as session:
        return await inspect(session, Address(LOOPBACK, urlsplit(server.url).port or 0))


async def test_the_real_engine_is_recognised(llama_built: Path, private_server: Start) -> None:
    """With its model and what one slot holds."""
    home = scratch_folder("llama")
    (port,) = free_ports(1)
    sight = await seen(private_server(Server(OpenLlama(home / "server", llama_built, port), home)))
    assert sight.kind
    assert (sight.state, sight.kind.name) == ("serving", "llamacpp")
    assert [(offer.id, offer.context_tokens) for offer in sight.offers] == [("tiny", SLOT_TOKENS)]


async def test_a_real_engine_that_wants_a_key_says_so(llama: Server) -> None:
    """And nothing is offered."""
    sight = await seen(llama)
    assert (sight.state, sight.offers) == ("locked", [])
