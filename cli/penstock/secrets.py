"""Keys of engines, sealed into the data folder where inference finds them by name."""

import os
import re

from penstock.platform.errors import PlatformError
from penstock.platform.folder import DataFolder
from penstock_common.sealing import PLATFORM_SUBJECT, LocalKeyring, Sealer, secret_context, write_private

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def seal_from_environment(folder: DataFolder, name: str) -> None:
    """Seal the value of the variable `name`, in place of an earlier one. Raises PlatformError where it is not set."""
    value = os.environ.get(name, "").strip()
    if not value:
        raise PlatformError(f"The variable {name} is not set, so there is no key to keep. Run: export {name}=…")
    sealed = Sealer(LocalKeyring(folder.root / "keyring")).seal(PLATFORM_SUBJECT, secret_context(name), value.encode())
    secrets = folder.root / "secrets"
    secrets.mkdir(mode=0o700, exist_ok=True)
    draft = secrets / f".{name}.{os.getpid()}"
    draft.unlink(missing_ok=True)
    write_private(draft, sealed)
    draft.replace(secrets / f"{name}.sealed")
