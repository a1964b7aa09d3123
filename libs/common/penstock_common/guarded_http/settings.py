"""What a service is told of the addresses that others may choose."""

from pydantic import Field, field_validator

from penstock_common.guarded_http.policy import Policy
from penstock_common.settings import Section


class ReachSettings(Section):
    """What may be called beside public addresses."""

    allow: list[str] = Field(default=[])
    """Hosts and networks that may be called although they are not public: `["grafana.internal", "10.1.0.0/16"]`."""

    @field_validator("allow")
    @classmethod
    def _known(cls, allow: list[str]) -> list[str]:
        Policy.of(allow)
        return allow
