"""Starts a service in two steps: its code is loaded at once, its work begins at a line on standard input.

Loading is most of a start and needs neither database nor bus, so it passes while these are being prepared.
Run as `python -m penstock.platform.launch SERVICE`.
"""

import importlib
import runpy
import sys

GO = b"go\n"


def main() -> None:
    """Become the service; ends without a word where the supervisor is gone before it says go."""
    package = f"penstock_{sys.argv[1]}"
    # structlog loads rich where it is installed, for tracebacks on a terminal: a tenth of a start.
    sys.modules["rich"] = None  # type: ignore[assignment]
    importlib.import_module(f"{package}.app")
    if sys.stdin.buffer.readline() == GO:
        sys.argv = [package]
        runpy.run_module(package, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
