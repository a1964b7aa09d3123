"""Takes everything from a bus under running processes, as a lost disk or a wrong command would."""

import contextlib
import json
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit

import nats

from tests.support.keeper import ALL_RIGHTS, shared_url
from tests.support.rabbitmq import ask


async def delete_everything(url: str) -> None:
    """Delete what keeps messages; connections stay. Queues of one connection alone can't be deleted by another."""
    if url.startswith("nats"):
        await _delete_streams(url)
    else:
        api, host = _api(url)
        queues = json.loads(ask(api, f"/queues/{host}?disable_stats=true"))
        for queue in queues:
            if not queue["exclusive"]:
                with contextlib.suppress(HTTPError):  # it went with its connection
                    ask(api, f"/queues/{host}/{quote(queue['name'], safe='')}", "DELETE")


def renew_virtual_host(url: str) -> None:
    """Delete RabbitMQ's virtual host with all that is in it, and make it anew; its connections are closed."""
    api, host = _api(url)
    ask(api, f"/vhosts/{host}", "DELETE")
    ask(api, f"/vhosts/{host}", "PUT", b"{}")
    ask(api, f"/permissions/{host}/{quote(urlsplit(url).username or 'guest')}", "PUT", ALL_RIGHTS)


async def _delete_streams(url: str) -> None:
    client = await nats.connect(url)
    manager = client.jetstream()
    for stream in await manager.streams_info():
        assert stream.config.name
        await manager.delete_stream(stream.config.name)
    await client.close()


def _api(url: str) -> tuple[str, str]:
    """The management API of the run's server, and the virtual host as its paths name it."""
    return shared_url("rabbitmq").partition(" ")[2], quote(urlsplit(url).path.lstrip("/"), safe="")
