"""What can be wrong with an API key."""

from penstock_common.errors import Fault, PenstockError


class KeyMissing(PenstockError):
    """No API key was sent; put one into the header `Authorization: Bearer psk-…`."""

    code = "api.key_missing"
    fault = Fault.UNAUTHENTICATED


class KeyMalformed(PenstockError):
    """What was sent is no API key of this platform: those are psk- and 43 characters."""

    code = "api.key_malformed"
    fault = Fault.UNAUTHENTICATED


class KeyUnknown(PenstockError):
    """This API key is not known here; check that it was copied whole and belongs to this platform."""

    code = "api.key_unknown"
    fault = Fault.UNAUTHENTICATED


class KeyExpired(PenstockError):
    """This API key expired; create another one."""

    code = "api.key_expired"
    fault = Fault.UNAUTHENTICATED


class KeyRevoked(PenstockError):
    """This API key was revoked; create another one."""

    code = "api.key_revoked"
    fault = Fault.UNAUTHENTICATED


class ScopeMissing(PenstockError):
    """This API key may not be used for that."""

    code = "api.scope_missing"
    fault = Fault.FORBIDDEN


class ScopeExceeded(PenstockError):
    """A key can't hand out what it does not hold."""

    code = "api.scope_exceeded"
    fault = Fault.FORBIDDEN


class KeyNotFound(PenstockError):
    """This project has no such API key."""

    code = "api.key_not_found"
    fault = Fault.MISSING
