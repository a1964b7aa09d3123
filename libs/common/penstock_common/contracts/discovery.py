"""Questions about engines: what was found by looking, and how those of the catalogue are."""

from datetime import datetime

import msgspec

from penstock_common.contracts.base import Contract


class ReadDiscovery(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Query: what a process of inference found where engines usually listen."""

    check: bool = False
    """Ask every engine of the catalogue first, too; takes up to three seconds."""


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One address that was looked at."""

    address: str
    """`host:port`."""
    usual: list[str]
    """The engines that usually listen there."""
    state: str
    """`serving`, `empty`, `loading`, `locked`, `stranger`, `silent`, `absent`, `away` or `own`."""
    reason: str
    """What was seen and what to do, in one sentence."""
    since: datetime
    """When this process first saw it so."""
    engine: str = ""
    """What was recognised."""
    version: str = ""
    models: list[str] = []
    """The names under which its models are served here; while it is away, those that it had."""


class EngineHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """One engine of the catalogue, asked just now."""

    url: str
    provider: str
    models: list[str]
    state: str
    """`ok`, `unreachable`, `key_refused`, `key_missing`, `model_missing` or `failing`."""
    reason: str = ""


class DiscoveryReport(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """What one process knows."""

    enabled: bool
    """Whether it looks at all."""
    findings: list[Finding] = []
    engines: list[EngineHealth] = []
