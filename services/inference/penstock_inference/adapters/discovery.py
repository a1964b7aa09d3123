"""Models that are served from the start: simulated, from the operator's file, and of engines found by their keys."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
import structlog

from penstock_common.contracts.catalogue import RegisterModel
from penstock_inference.adapters.engines.http.client import EngineHttp, target_of
from penstock_inference.adapters.engines.times import EngineTimes
from penstock_inference.adapters.engines.watch import Watch, read_all
from penstock_inference.adapters.models_file import Listed, read_models_file
from penstock_inference.domain.catalogue import Snapshot
from penstock_inference.domain.checks import NAME, checked_url
from penstock_inference.domain.errors import EngineGarbled, ModelRefused
from penstock_inference.domain.known_models import DEEPSEEK, DEEPSEEK_KEY, OPENAI, OPENAI_KEY, OPENAI_URL, offered
from penstock_inference.domain.seeding import Seeds, seeded, with_offered

log = structlog.get_logger()

MOST_MODELS = 200
LIST_BYTES = 4 << 20
LIST_SECONDS = 10.0

Change = Callable[[Snapshot], Snapshot]


class Offered(msgspec.Struct):
    """One entry of an engine's `GET /models`."""

    id: str


class Offers(msgspec.Struct):
    """An engine's `GET /models`."""

    data: list[Offered] = []


@dataclass(frozen=True, slots=True)
class Discovery:
    """Finds models; what to do with them is a change of the catalogue."""

    models_file: Path | None = None
    enabled: bool = False
    """Whether engines are looked for in the environment."""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    watched: frozenset[str] = frozenset()
    """The base URLs at which engines are looked for."""

    def seed(self) -> Change:
        """What needs no asking. Raises ModelsFileInvalid; the change itself may raise ModelRefused."""
        file = read_models_file(self.models_file) if self.models_file else Listed()
        seeds = Seeds(
            listed=file.models,
            disabled=file.disabled,
            found=self._found(),
            asked=self.base_url,
            watched=self.watched,
        )
        return partial(seeded, seeds=seeds, now=int(time.time()))

    async def ask(self) -> Change:
        """The models that the engine at `base_url` says it has. Raises what an engine's failures are."""
        key = self.environment.get(OPENAI_KEY)
        names = await ask_models(self.base_url, key)
        commands = [offered(name, self.base_url, secret=OPENAI_KEY if key else "") for name in names]
        return partial(with_offered, commands=commands, url=self.base_url, now=int(time.time()))

    @property
    def base_url(self) -> str:
        """The engine to ask; empty where there is none, or where it is OpenAI, whose models are known."""
        url = self._openai_url()
        return "" if url == OPENAI_URL else url

    def _openai_url(self) -> str:
        """Where `OPENAI_BASE_URL` leads: OpenAI if it is not set, nowhere if no engine can be there."""
        if not self.enabled:
            return ""
        given = self.environment.get("OPENAI_BASE_URL") or OPENAI_URL
        try:
            return checked_url(given)
        except ModelRefused as error:
            log.warning("discovery.refused", variable="OPENAI_BASE_URL", reason=error.message)
            return ""

    def _found(self) -> list[RegisterModel]:
        if not self.enabled:
            return []
        openai = self.environment.get(OPENAI_KEY) and self._openai_url() == OPENAI_URL
        return [*(OPENAI if openai else ()), *(DEEPSEEK if self.environment.get(DEEPSEEK_KEY) else ())]


async def ask_models(url: str, key: str | None) -> list[str]:
    """The names of an engine's models. Raises what an engine's failures are."""
    times = EngineTimes()
    http = EngineHttp(times)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with Watch(http.timers.alarms, times, LIST_SECONDS) as watch:
            exchange = await http.ask(target_of("GET", f"{url}/models"), b"", headers, watch)
            body, status = await read_all(exchange, LIST_BYTES), exchange.status
    finally:
        await http.close()
    if status != 200:
        raise EngineGarbled(f"the engine answered HTTP {status} when asked for its models")
    return names_in(body)


def names_in(body: bytes) -> list[str]:
    """Model names that the catalogue can take. Raises EngineGarbled."""
    try:
        offers = msgspec.json.decode(body, type=Offers)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise EngineGarbled("the engine did not answer with a list of models") from error
    return [offer.id for offer in offers.data if NAME.fullmatch(offer.id)][:MOST_MODELS]
