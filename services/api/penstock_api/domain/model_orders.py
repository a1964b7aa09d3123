"""What may be asked of the catalogue's owner. Refused here, an operator hears of it at once."""

import ipaddress
import re
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from penstock_api.domain.errors import InvalidRequest
from penstock_common.contracts.catalogue import CatalogueModel, RegisterModel
from penstock_common.errors import Fault, PenstockError

BUILTIN = ("sim", "local")
"""Engines without an address."""
ENGINES = ("openai-compatible", "openai", "deepseek", "vllm", "ollama", "llamacpp", "tgi", "anthropic", *BUILTIN)
WITH_PREFIX = ("deepseek", "vllm", "llamacpp", "anthropic", *BUILTIN)
"""Engines that can continue an answer which was begun."""
TAKE_OVERS = ("prefix", "verify", "fail")
NAME = re.compile(r"[A-Za-z0-9._:/@-]{1,128}")
SECRET = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
LINK_LOCAL = (ipaddress.ip_network("169.254.0.0/16"), ipaddress.ip_network("fe80::/10"))


class NameTaken(PenstockError):
    """Another model has this name or alias; choose another one, or remove that model first."""

    code = "api.model_name_taken"
    fault = Fault.CONFLICT


def check_registration(wanted: RegisterModel, resolve: Callable[[str], CatalogueModel | None]) -> None:
    """Raises InvalidRequest, naming the field, or NameTaken where a name leads to another model already."""
    for field, problem in _problems(wanted):
        raise InvalidRequest(f"`{field}` {problem}", field)
    for name in (wanted.name, *wanted.aliases):
        known = resolve(name)
        if known is not None and known.name != wanted.name:
            raise NameTaken(f"{name!r} already leads to the model {known.name!r}; choose another name, or remove that.")


def _problems(wanted: RegisterModel) -> Iterator[tuple[str, str]]:
    spelling = "must be 1 to 128 characters of A-Z a-z 0-9 . _ : / @ -"
    if not NAME.fullmatch(wanted.name):
        yield "name", spelling
    if any(not NAME.fullmatch(alias) for alias in wanted.aliases):
        yield "aliases", spelling
    if wanted.engine not in ENGINES:
        yield "engine", f"must be one of {', '.join(ENGINES)}"
    if wanted.secret and not SECRET.fullmatch(wanted.secret):
        yield "secret", "must be the name of an environment variable, never a key itself"
    if wanted.engine not in BUILTIN and (problem := _url_problem(wanted.url)):
        yield "url", problem
    if problem := _take_over_problem(wanted):
        yield "take_over", problem


def _take_over_problem(wanted: RegisterModel) -> str:
    if wanted.take_over not in ("", *TAKE_OVERS):
        return f"must be one of {', '.join(TAKE_OVERS)}, or left out for what suits the engine"
    if wanted.take_over != "prefix":
        return ""
    if wanted.engine == "deepseek" and not wanted.url.rstrip("/").endswith("/beta"):
        return "can be `prefix` for deepseek only at https://api.deepseek.com/beta; give that as `url`"
    able = f"can be `prefix` only for the engines {', '.join(WITH_PREFIX)}"
    return "" if wanted.engine in WITH_PREFIX else able


def _url_problem(url: str) -> str:
    """What is wrong with an engine's address. Private ones are fine: engines live there."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or not url.isprintable() or " " in url:
        return "must begin with http:// or https://, followed by a host"
    if parts.username is not None or parts.password is not None:
        return "must not contain credentials; give the key by `secret`"
    if parts.query or parts.fragment:
        return "must end with its path"
    return "must not be a link-local address" if _is_link_local(host) else ""


def _is_link_local(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in LINK_LOCAL)
