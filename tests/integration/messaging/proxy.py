"""A TCP proxy that a test turns deaf, or cuts."""

import asyncio
from urllib.parse import urlsplit


class Proxy:
    """Stands between one client and a server."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self._target = (parts.hostname, parts.port)
        self._address = f"{parts.hostname}:{parts.port}"
        self._url = url
        self.deaf = False
        """What the client says is thrown away."""
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        """The server's URL, by way of the proxy."""
        host, port = self._server.sockets[0].getsockname()[:2]
        return self._url.replace(self._address, f"{host}:{port}")

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Close every connection; new ones are served and heard."""
        self.deaf = False
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(*self._target)
        self._writers += [writer, there_writer]
        await asyncio.gather(self._pump(reader, there_writer, True), self._pump(there_reader, writer, False))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bool) -> None:
        try:
            while data := await reader.read(65_536):
                if not (said and self.deaf):
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
