"""What a model must look like before it is let into the catalogue."""

import ipaddress
import re
from typing import NoReturn
from urllib.parse import SplitResult, urlsplit

from penstock_common.contracts.catalogue import RegisterModel
from penstock_inference.domain.continuing import Prefill, TakeOver
from penstock_inference.domain.dialects import BETA, DIALECTS
from penstock_inference.domain.errors import ModelRefused

NAME = re.compile(r"[A-Za-z0-9._:/@-]{1,128}")
SECRET = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
CURRENCY = re.compile(r"[A-Z]{3}")
CAPABILITY = re.compile(r"[a-z0-9_-]{1,32}")
BUILTIN = {"sim": ("fast", "slow", "flaky"), "local": ("all-minilm-l6-v2",)}
"""The models of the built-in engines."""
MOST_NANO = 10**12  # a thousand currency units a token
MOST_CONTEXT = 10**9
MOST_ENTRIES = 32
MOST_CHARACTERS = 2048
METADATA_HOSTS = ("metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal")
METADATA_ADDRESSES = (ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200"))


def refuse(reason: str) -> NoReturn:
    """Say why a model can't be registered."""
    raise ModelRefused(reason)


def checked(command: RegisterModel) -> None:
    """Raise ModelRefused for anything that could not be served, billed or shown."""
    if not all(NAME.fullmatch(name) for name in (command.name, *command.aliases)):
        refuse("a model's name and aliases have 1 to 128 of the characters A-Z a-z 0-9 . _ : / @ -")
    if command.engine not in BUILTIN and command.engine not in DIALECTS:
        refuse(f"no such engine; the engines are {', '.join((*BUILTIN, *DIALECTS))}")
    models = BUILTIN.get(command.engine, ())
    if models and (command.upstream_model or command.name.rpartition("/")[2]) not in models:
        refuse(f"the engine {command.engine} has the models {', '.join(models)}; name one as upstream model")
    if len(command.upstream_model) > MOST_CHARACTERS or not command.upstream_model.isprintable():
        refuse("the engine's own name of the model must be printable")
    if command.secret and not SECRET.fullmatch(command.secret):
        refuse("the name of a key is that of an environment variable")
    if len(command.aliases) > MOST_ENTRIES or len(command.capabilities) > MOST_ENTRIES:
        refuse(f"a model has at most {MOST_ENTRIES} aliases and {MOST_ENTRIES} capabilities")
    if not all(CAPABILITY.fullmatch(capability) for capability in command.capabilities):
        refuse("a capability is a short word of the characters a-z 0-9 _ -")
    if not 0 <= command.context_tokens <= MOST_CONTEXT:
        refuse(f"the context is between 0 (unknown) and {MOST_CONTEXT} tokens")
    checked_price(command)


def checked_take_over(wanted: str, dialect: str, url: str) -> None:
    """Raise ModelRefused for a way that its engine can't go; a built-in engine has no dialect, and can go each."""
    if wanted not in ("", *TakeOver):
        refuse(f"a take-over goes by {', '.join(TakeOver)}; leave it out for what suits the engine")
    if wanted != TakeOver.PREFIX or not dialect:
        return
    if (prefill := DIALECTS[dialect].prefill) is Prefill.NONE:
        able = ", ".join(name for name, known in DIALECTS.items() if known.prefill is not Prefill.NONE)
        refuse(f"the engine {dialect} can't continue an answer by its prefix; {able} can, as engines of that name")
    if prefill is Prefill.MARKED and not url.endswith(BETA):
        refuse(f"{dialect} continues answers below {BETA} only: give its URL as https://api.deepseek.com{BETA}")


def checked_price(command: RegisterModel) -> None:
    """Raise ModelRefused for a price that can't be charged."""
    if not CURRENCY.fullmatch(command.currency):
        refuse("a currency is three capital letters (ISO 4217)")
    numbers = (
        command.input_nano,
        command.output_nano,
        command.cached_input_nano or 0,
        command.provider_input_nano,
        command.provider_output_nano,
    )
    if not all(0 <= number <= MOST_NANO for number in numbers):
        refuse("a price is between 0 and 1000 currency units a token")


def checked_url(url: str) -> str:
    """An engine's base URL in its one spelling. Raises ModelRefused for what is none, and for clouds' metadata."""
    parts = split(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        refuse("an engine's URL begins with http:// or https:// and names a host")
    if "@" in parts.netloc:
        refuse("an engine's URL carries no credentials: keep its key as a secret")
    if parts.query or parts.fragment:
        refuse("an engine's URL ends before any ? or #")
    if is_metadata(parts.hostname):
        refuse("link-local and metadata addresses can't be engines")
    path = parts.path.rstrip("/").removesuffix("/chat/completions").rstrip("/") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"


def split(url: str) -> SplitResult:
    """The parts of a URL. Raises ModelRefused for what has none."""
    if len(url) > MOST_CHARACTERS or not url.isprintable() or " " in url:
        refuse(f"an engine's URL has at most {MOST_CHARACTERS} printable characters and no spaces")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        refuse("the engine's URL can't be read: check its host and port")
    return parts


def is_metadata(host: str) -> bool:
    """Whether a host is where clouds serve their machines' credentials. Names are looked at again when resolved."""
    if host.rstrip(".").lower() in METADATA_HOSTS:
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (inner or address).is_link_local or address in METADATA_ADDRESSES
