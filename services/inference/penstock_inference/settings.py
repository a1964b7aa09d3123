"""What inference is told at start."""

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from penstock_common.settings import FolderSettings, Section, ServiceSettings, service_config
from penstock_inference.domain.checks import checked_url
from penstock_inference.domain.engine_kinds import USUAL_PORTS
from penstock_inference.domain.errors import ModelRefused
from penstock_inference.domain.local_models import Address, addresses
from penstock_inference.domain.seats import Size, size_of


class LookSettings(Section):
    """Where engines are looked for that nobody named; only while `discover` is on."""

    hosts: tuple[str, ...] = Field(default=("127.0.0.1",), max_length=16)
    ports: tuple[int, ...] = Field(default=USUAL_PORTS, max_length=32)
    own_ports: tuple[int, ...] = Field(default=(), max_length=32)
    """Ports of this machine on which the platform itself listens."""
    interval: float = Field(default=30.0, ge=0.1, le=3600)
    """Seconds between two looks."""

    @field_validator("hosts")
    @classmethod
    def _can_be_engines(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            try:
                checked_url(f"http://{host}:1/v1")
            except ModelRefused as error:
                raise ValueError(f"{host}: {error.message}") from error
        return hosts

    @field_validator("ports", "own_ports")
    @classmethod
    def _are_ports(cls, ports: tuple[int, ...]) -> tuple[int, ...]:
        if wrong := [port for port in ports if not 0 < port < 1 << 16]:
            raise ValueError(f"{wrong[0]} is not a TCP port")
        return ports


class QueueSettings(Section):
    """Bounds of the queue of requests that nobody waits for; all processes together."""

    slots: int = Field(default=200, ge=1, le=3_000)
    """Queued requests whose turn it is, at once."""
    tenant: int = Field(default=10_000, ge=1, le=10_000_000)
    """Requests of one tenant that may wait."""
    total: int = Field(default=100_000, ge=1, le=10_000_000)
    """Requests of all tenants that may wait."""


class Settings(ServiceSettings):
    """`PENSTOCK_INFERENCE_…`."""

    model_config = service_config("inference")

    keyring: FolderSettings
    """The keys that seal text; shared with api."""
    secrets: FolderSettings
    """Sealed keys of engines."""
    sim: FolderSettings
    """Where the simulated engine counts what it produced."""
    models_file: Path | None = None
    """Models to serve from the start (`models.yaml`)."""
    discover: bool = False
    """Whether engines are looked for: in the environment (`OPENAI_API_KEY`, `DEEPSEEK_API_KEY`), and as `look` says."""
    look: LookSettings = LookSettings()
    slots: int = Field(default=1000, ge=1, le=60_000)
    """Generations at once in this process."""
    reserved: int | None = Field(default=None, ge=0)
    """Of the slots, those for keys of the tier `enterprise` alone; a tenth where it is not told."""
    waiting: int | None = Field(default=None, ge=0)
    """Requests that may wait for a slot, half of them of one tenant; four times the slots where it is not told."""
    embedding_slots: int = Field(default=64, ge=1, le=10_000)
    """Embeddings requests at once in this process; a tenth of them is reserved, four times as many may wait."""
    enterprise_weight: int = Field(default=4, ge=1, le=16)
    """Turns that a tenant with keys of the tier `enterprise` takes while another one takes one."""
    queue: QueueSettings = QueueSettings()

    @model_validator(mode="after")
    def _fit(self) -> "Settings":
        self.interactive()
        return self

    def interactive(self) -> Size:
        """The lane of those who wait for their answer. Raises ValueError."""
        return size_of(self.slots, self.reserved, self.waiting)

    def embeddings(self) -> Size:
        """The lane of embeddings that somebody waits for."""
        return size_of(self.embedding_slots)

    def places(self) -> list[Address]:
        """Where engines are looked for."""
        look = self.look
        return addresses(look.hosts, look.ports, look.own_ports) if self.discover else []
