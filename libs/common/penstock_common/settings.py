"""Settings are read once, in main; everything below receives values."""

from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from penstock_common.objects_url import ObjectsUrlInvalid, objects_at


class Section(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BusSettings(Section):
    """Where the bus is: `nats://…` or `amqp://…`."""

    url: SecretStr


class DatabaseSettings(Section):
    """Where the service's schema is: `postgresql://…`."""

    url: SecretStr
    pool_size: int = Field(default=5, ge=1, le=100)


class HttpSettings(Section):
    """Where the service listens."""

    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535)
    fd: int | None = Field(default=None, ge=3)
    """A listening socket that the parent process holds open across restarts; host and port then only name it."""
    own_fd: int | None = Field(default=None, ge=3)
    """Another one, of this process alone, where it is asked for its metrics while it shares `fd` with others."""
    when_ready: bool = False
    """Take requests only once each dependency answers: until then another process takes them from the same socket."""

    def fds(self) -> list[int]:
        """The listening sockets that the parent process holds open."""
        return [fd for fd in (self.fd, self.own_fd) if fd is not None]


class FolderSettings(Section):
    """A folder."""

    path: Path


class LogSettings(Section):
    """How the service logs: for people (`console`), for machines (`json`)."""

    format: Literal["console", "json"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"


class TraceSettings(Section):
    """Where spans go: an OTLP endpoint over HTTP, such as `http://127.0.0.1:4318`. Without one there are none."""

    endpoint: HttpUrl | None = None
    """The base URL; spans go to `/v1/traces` below it."""
    headers: SecretStr = SecretStr("")
    """Sent with each export: `name=value,name=value`, as in OTEL_EXPORTER_OTLP_HEADERS."""
    sample_ratio: float = Field(default=1.0, ge=0, le=1)
    """Which part of the traces that begin here is kept; where a caller's trace goes on, the caller's word counts."""
    timeout: float = Field(default=5.0, gt=0, le=60)
    """Seconds that one export may take, repeats included."""

    @field_validator("headers")
    @classmethod
    def _well_formed(cls, headers: SecretStr) -> SecretStr:
        fields = filter(None, headers.get_secret_value().split(","))
        if any(not (name.strip() and is_there) for name, is_there, _ in (field.partition("=") for field in fields)):
            raise ValueError("headers are written name=value,name=value")
        return headers

    def header_fields(self) -> dict[str, str]:
        """The headers by name; values may be percent-encoded."""
        fields = (field.partition("=") for field in self.headers.get_secret_value().split(",") if field)
        return {name.strip().lower(): unquote(value.strip()) for name, _, value in fields}


class ArchiveSettings(Section):
    """Where events are archived, and how long messages are kept. Without a URL nothing is archived, nothing dropped."""

    url: str | None = Field(default=None, max_length=2000)
    """`s3://bucket/folder`, or the absolute path of a folder."""
    every: float = Field(default=300.0, ge=1, le=86_400)
    """Seconds between two looks at what is to be archived."""
    settle: float = Field(default=60.0, ge=0, le=3600)
    """Seconds that an event's transaction gets before the event is archived; what comes later is found, too."""
    drop: bool = True
    """Whether days that are archived, read back and past their time are dropped."""
    hot_days: int = Field(default=90, ge=2, le=3660)
    """Days that messages stay in the outbox."""
    cold_days: int = Field(default=365, ge=2, le=36_600)
    """Days that events stay in the archive."""
    audit_days: int = Field(default=2557, ge=2, le=36_600)
    """The same for billing's events: seven years."""

    @field_validator("url")
    @classmethod
    def _names_a_storage(cls, url: str | None) -> str | None:
        if url:
            try:
                objects_at(url)
            except ObjectsUrlInvalid as error:
                raise ValueError(error.message) from error
        return url or None

    @model_validator(mode="after")
    def _archive_outlives_outbox(self) -> "ArchiveSettings":
        if min(self.cold_days, self.audit_days) <= self.hot_days:
            raise ValueError("cold_days and audit_days have to be more than hot_days")
        return self


class ServiceSettings(BaseSettings):
    """What every service needs. A service adds its own, and its prefix `PENSTOCK_<SERVICE>_`."""

    model_config = SettingsConfigDict(env_nested_delimiter="__", frozen=True, extra="ignore")

    bus: BusSettings
    database: DatabaseSettings
    http: HttpSettings
    log: LogSettings = LogSettings()
    traces: TraceSettings = TraceSettings()
    archive: ArchiveSettings = ArchiveSettings()
    stop_grace: float = Field(default=10.0, ge=0, le=300)
    """Seconds that running work gets at a stop before it is handed back."""
    relay: bool = True
    """Publish what the outbox holds. Without it that is left to other processes of the service, as at a SIGUSR1."""
    drain_grace: float = Field(default=120.0, ge=0, le=3600)
    """The same at a SIGQUIT, which says that other processes have taken over what is new."""
    ready_fd: int | None = Field(default=None, ge=3)
    """Where to write a line once each dependency answers and requests are taken."""


def service_config(service: str) -> SettingsConfigDict:
    """The `model_config` of a service's settings class."""
    return SettingsConfigDict(
        env_prefix=f"PENSTOCK_{service.upper()}_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )
