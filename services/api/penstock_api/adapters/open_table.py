"""The requests that a process holds open. Two clients may wait for the same one: it has one id and two places."""

from collections.abc import Iterator, Sequence

from penstock_api.adapters.open_generation import OpenGeneration


class OpenTable:
    """Open generations by request id."""

    def __init__(self) -> None:
        self._by_request: dict[str, list[OpenGeneration]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[OpenGeneration]:
        return (generation for some in list(self._by_request.values()) for generation in some)

    def __contains__(self, request_id: object) -> bool:
        return str(request_id) in self._by_request

    def of(self, key: str) -> Sequence[OpenGeneration]:
        """Those that wait for the request of this id."""
        return tuple(self._by_request.get(key, ()))

    def add(self, generation: OpenGeneration) -> None:
        """Hold it open."""
        self._by_request.setdefault(generation.key, []).append(generation)
        self._count += 1

    def remove(self, generation: OpenGeneration) -> bool:
        """Hold it no more; False where it was not held."""
        key = generation.key
        some = self._by_request.get(key, [])
        if generation not in some:
            return False
        some.remove(generation)
        self._count -= 1
        if not some:
            del self._by_request[key]
        return True
