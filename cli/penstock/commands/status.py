"""`penstock status`."""

from penstock.commands.options import Data, Json


def status(as_json: Json = False, data: Data = None) -> None:
    """Show the running platform: addresses, models, processes. Exit code 3 where none runs."""
    import asyncio  # noqa: PLC0415 (start-up time of other commands)
    import json  # noqa: PLC0415 (as above)

    from penstock.platform.folder import DataFolder  # noqa: PLC0415 (as above)
    from penstock.platform.report import summary  # noqa: PLC0415 (as above)
    from penstock.platform.state import snapshot  # noqa: PLC0415 (as above)

    facts = asyncio.run(snapshot(DataFolder.at(data)))
    print(json.dumps(facts) if as_json else summary(facts))
