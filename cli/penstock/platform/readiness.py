"""A process that says when it is ready, over a pipe: with several on one port, asking there would ask any of them."""

import os


class Readiness:
    """The pipe of one process and of those that are started again in its place."""

    def __init__(self) -> None:
        self._told, self.fd = os.pipe()
        os.set_blocking(self._told, False)

    async def said(self, _pid: int) -> bool:
        """Whether the process said it; once true, it stays so until this is asked again."""
        try:
            return bool(os.read(self._told, 1))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Nobody asks any more."""
        os.close(self._told)
        os.close(self.fd)
