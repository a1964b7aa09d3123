"""How many processes each service has."""

from collections.abc import Mapping

from penstock.platform.credentials import SERVICES
from penstock.platform.errors import PlatformError

MOST = 32


def counts(text: str) -> Mapping[str, int]:
    """Processes by service, from `api=2,inference=4`; one of what is not named. Raises PlatformError."""
    found = dict.fromkeys(SERVICES, 1)
    for part in filter(None, (each.strip() for each in text.split(","))):
        service, _, number = (word.strip() for word in part.partition("="))
        if service not in SERVICES:
            raise PlatformError(
                f"--processes {part}: there is no service {service!r}; there are {', '.join(SERVICES)}."
            )
        if not (number.isascii() and number.isdecimal() and 1 <= int(number[:4]) <= MOST):
            raise PlatformError(f"--processes {part}: write {service}=2, with a number from 1 to {MOST}.")
        found[service] = int(number)
    return found
