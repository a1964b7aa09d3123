"""What one turn of the loop sends travels together."""

import asyncio

import pytest

from penstock_common.errors import BusUnavailable, ContractViolated
from penstock_common.messaging.packs import FULL, Packs, packed_size, unpacked, unpacking


class Line:
    """Where packs go; may be down."""

    def __init__(self) -> None:
        self.packs: list[tuple[str, list[tuple[str, bytes]]]] = []
        self.sizes: list[int] = []
        self.down = False

    def __call__(self, process: str, pack: bytes) -> None:
        if self.down:
            raise BusUnavailable("down")
        self.packs.append((process, unpacked(pack)))
        self.sizes.append(len(pack))


async def test_a_turn_is_one_message_a_process() -> None:
    """In the order of the calls; the next turn makes the next."""
    line = Line()
    packs = Packs(line)
    for n in range(3):
        packs.add("api-1", f"k{n % 2}", b"%d" % n)
        packs.add("api-2", "k", b"%d" % n)
    assert line.packs == []
    await asyncio.sleep(0)
    assert line.packs == [
        ("api-1", [("k0", b"0"), ("k1", b"1"), ("k0", b"2")]),
        ("api-2", [("k", b"0"), ("k", b"1"), ("k", b"2")]),
    ]
    packs.add("api-1", "k0", b"3")
    await asyncio.sleep(0)
    assert line.packs[2:] == [("api-1", [("k0", b"3")])]


async def test_a_pack_is_bounded_and_what_is_over_leaves_at_once_in_order() -> None:
    """A flood within one turn waits for no end of it, whatever its pieces measure."""
    line = Line()
    packs = Packs(line)
    bodies = [b"%06d" % n + bytes(size) for n, size in enumerate([FULL // 3] * 7 + [3 * FULL] + [1] * 3)]
    for body in bodies:
        packs.add("api-1", "k", body)
    assert packs.size <= FULL
    packs.flush()
    assert [body for _, pack in line.packs for _, body in pack] == bodies
    assert max(size for size, (_, pack) in zip(line.sizes, line.packs, strict=True) if len(pack) > 1) <= FULL
    assert [len(pack) for _, pack in line.packs] == [2, 2, 2, 1, 1, 3]
    assert packs.size == 0


@pytest.mark.parametrize("length", [0, 1, 31, 32, 255, 256, 65_535, 65_536, 1 << 20])
async def test_no_pack_is_larger_than_was_reckoned(length: int) -> None:
    """So that what was accepted is never too large afterwards."""
    line = Line()
    packs = Packs(line)
    for key in ("", "k" * 40, "k" * 300):
        packs.add("api-1", key, bytes(length))
        packs.flush()
        assert line.sizes[-1] <= packed_size(key, bytes(length))


async def test_a_line_that_goes_down_within_the_turn_loses_its_pack_alone() -> None:
    """Nothing is raised where nobody could catch it, and the next one leaves."""
    line = Line()
    packs = Packs(line)
    packs.add("api-1", "k", b"lost")
    line.down = True
    packs.flush()
    line.down = False
    packs.add("api-1", "k", b"sent")
    await asyncio.sleep(0)
    assert line.packs == [("api-1", [("k", b"sent")])]


async def test_a_message_that_its_receiver_can_not_take_costs_only_itself() -> None:
    """Those packed with it arrive."""
    packed, heard = list[bytes](), list[str]()

    def receive(key: str, _: bytes) -> None:
        heard.append(key)
        if key == "bad":
            raise KeyError(key)

    packs = Packs(lambda _, pack: packed.append(pack))
    for key in ("a", "bad", "c"):
        packs.add("api-1", key, b"")
    packs.flush()
    unpacking(receive)(packed[0])
    assert heard == ["a", "bad", "c"]


def test_what_is_no_pack_is_refused() -> None:
    """By an error that says so."""
    with pytest.raises(ContractViolated, match="a pack"):
        unpacked(b"nonsense")
