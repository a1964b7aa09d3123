"""Models that need no registration: the built-in ones, and the well-known ones of providers whose key is at hand."""

import msgspec

from penstock_common.contracts.catalogue import RegisterModel

OPENAI_URL = "https://api.openai.com/v1"
DEEPSEEK_URL = "https://api.deepseek.com/v1"
OPENAI_KEY, DEEPSEEK_KEY = "OPENAI_API_KEY", "DEEPSEEK_API_KEY"

EMBEDDINGS = "embeddings"
"""The capability of a model that turns texts into vectors."""
CHAT = ("chat", "stream", "tools", "json")
SIM_INPUT, SIM_OUTPUT = 100_000, 200_000  # 0.0001 and 0.0002 USD a token

SIMULATED = tuple(
    RegisterModel(
        name=f"sim/{speed}",
        engine="sim",
        context_tokens=131_072,
        capabilities=list(CHAT),
        input_nano=SIM_INPUT,
        output_nano=SIM_OUTPUT,
    )
    for speed in ("fast", "slow", "flaky")
)

EMBEDDER = RegisterModel(
    name="local/all-minilm-l6-v2",
    engine="local",
    context_tokens=256,
    capabilities=[EMBEDDINGS],
    input_nano=10,  # 0.01 USD a million tokens
)
BUILTIN = (*SIMULATED, EMBEDDER)

# (name, context in tokens, nano USD a token for input, cached input, output).
# OpenAI, "Pricing", and DeepSeek, "Models & Pricing", as published; models.yaml replaces any of them.
OPENAI_PRICES = (
    ("gpt-4o", 128_000, 2500, 1250, 10_000),
    ("gpt-4o-mini", 128_000, 150, 75, 600),
    ("gpt-4.1", 1_047_576, 2000, 500, 8000),
    ("gpt-4.1-mini", 1_047_576, 400, 100, 1600),
    ("gpt-4.1-nano", 1_047_576, 100, 25, 400),
    ("o4-mini", 200_000, 1100, 275, 4400),
)
OPENAI_EMBEDDERS = (
    ("text-embedding-3-small", 8192, 20),
    ("text-embedding-3-large", 8192, 130),
    ("text-embedding-ada-002", 8192, 100),
)
DEEPSEEK_PRICES = (
    ("deepseek-chat", 128_000, 280, 28, 420),
    ("deepseek-reasoner", 128_000, 280, 28, 420),
)


def priced(name: str, context: int, input_nano: int, cached_nano: int, output_nano: int) -> RegisterModel:
    """A provider's model at its public price, which is also what it costs us."""
    deepseek = name.startswith("deepseek")
    return RegisterModel(
        name=name,
        engine="deepseek" if deepseek else "openai",
        url=DEEPSEEK_URL if deepseek else OPENAI_URL,
        secret=DEEPSEEK_KEY if deepseek else OPENAI_KEY,
        context_tokens=context,
        capabilities=list(CHAT),
        input_nano=input_nano,
        cached_input_nano=cached_nano,
        output_nano=output_nano,
        provider_input_nano=input_nano,
        provider_output_nano=output_nano,
    )


def embedder(name: str, context: int, input_nano: int) -> RegisterModel:
    """One of OpenAI's embedding models: only its input is priced."""
    command = priced(name, context, input_nano, input_nano, 0)
    return msgspec.structs.replace(command, capabilities=[EMBEDDINGS])


OPENAI = (*(priced(*row) for row in OPENAI_PRICES), *(embedder(*row) for row in OPENAI_EMBEDDERS))
DEEPSEEK = tuple(priced(*row) for row in DEEPSEEK_PRICES)


def offered(name: str, url: str, *, secret: str) -> RegisterModel:
    """A model that an engine itself offers; nobody said what it costs."""
    return RegisterModel(name=name, engine="openai-compatible", url=url, secret=secret, capabilities=["chat", "stream"])
