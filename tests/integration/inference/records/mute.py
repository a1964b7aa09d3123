"""A proxy that keeps the server's words to itself: what was committed, and nobody heard."""

import asyncio

from tests.integration.messaging.proxy import Proxy


class MuteProxy(Proxy):
    """While `mute`, the server hears the client, and the client hears nothing."""

    mute = False
    word = b""
    """What the client says just before the proxy turns mute by itself; nothing where empty."""

    async def __aenter__(self) -> "MuteProxy":
        await super().__aenter__()
        return self

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bool) -> None:
        try:
            while data := await reader.read(65_536):
                if said and self.word and self.word in data:
                    self.mute = True
                if said or not self.mute:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    def cut(self) -> None:
        """Close every connection; new ones are heard."""
        self.mute = False
        super().cut()
