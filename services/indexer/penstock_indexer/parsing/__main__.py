"""`python -m penstock_indexer.parsing`: one task on standard input, one answer on standard output."""

import sys

import msgspec

from penstock_common.errors import PenstockError
from penstock_indexer.parsing.confinement import confine
from penstock_indexer.parsing.read import read
from penstock_indexer.parsing.wire import Parsed, Task

OUT_OF_MEMORY = 75


def main() -> None:
    """Read the document of the task within its limits."""
    task = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Task)
    confine(task.limits)
    try:
        answer = read(task)
    except PenstockError as error:
        answer = Parsed(error_code=error.code, error=error.message)
    except (MemoryError, RecursionError):
        sys.exit(OUT_OF_MEMORY)
    sys.stdout.buffer.write(msgspec.msgpack.encode(answer))


if __name__ == "__main__":
    main()
