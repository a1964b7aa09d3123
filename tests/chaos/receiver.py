"""Who is called by the platform: the tool of a run, and the URL that hears of a request's end."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from penstock.platform.ports import LOOPBACK


class Receiver:
    """Remembers each call."""

    def __init__(self) -> None:
        self.url = ""
        self.told = Counter[str]()
        """Webhook id → how often it came."""
        self.states = defaultdict[str, set[str]](set)
        """Webhook id → the ends that were told under it."""
        self.acts = defaultdict[str, set[str]](set)
        """Run id → the idempotency keys under which its tool was called: what it did, at a tool that honours them."""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Receiver"]:
        """Listen on a free port."""
        app = web.Application()
        app.add_routes([web.post("/ended", self._ended), web.post("/tool/{run}", self._tool)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, LOOPBACK, 0)
        await site.start()
        self.url = f"http://{LOOPBACK}:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _ended(self, request: web.Request) -> web.Response:
        id_ = request.headers["webhook-id"]
        self.told[id_] += 1
        self.states[id_].add((await request.json())["data"]["state"])
        return web.Response()

    async def _tool(self, request: web.Request) -> web.Response:
        self.acts[request.match_info["run"]].add(request.headers.get("idempotency-key", ""))
        return web.json_response({"done": True})
