"""What differs between a projection's live table and the one made anew, row by row on the stable columns."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import text

from penstock.projecting.rebuilding import BESIDE, Rebuilt
from penstock_common.ids import time_of
from penstock_common.projection import Projection

SHOWN = 20
"""Rows of one kind that are told in full."""

MISSING = "not exists (select from {live} live where {same})"
DIFFERS = "({new}) is distinct from ({old})"
SURPLUS = "not exists (select from {beside} made where {same}) and {surplus}"


@dataclass(frozen=True, slots=True)
class Row:
    """One that differs."""

    key: Mapping[str, Any]
    live: Mapping[str, Any] = field(default_factory=dict)
    """The columns that differ, as they are; none where there is no row."""
    made: Mapping[str, Any] = field(default_factory=dict)
    """The same as the events make them; none where they make no row."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Exact counts, and the first rows of each kind."""

    missing: int
    """Rows that events make and the live table lacks."""
    differing: int
    surplus: int
    """Live rows that only an event can have made, and none did."""
    rows: tuple[Row, ...]

    @property
    def total(self) -> int:
        """Rows that a swap changes."""
        return self.missing + self.differing + self.surplus

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        counts = {"missing": self.missing, "differing": self.differing, "surplus": self.surplus}
        return counts | {"rows": [asdict(row) for row in self.rows]}


class Statements:
    """The conditions of one projection, as SQL."""

    def __init__(self, projection: Projection) -> None:
        self.live, self.beside = projection.name, f"{BESIDE}.{projection.table}"
        same = " and ".join(f"live.{name} = made.{name}" for name in projection.key)
        new, old = (", ".join(f"{side}.{name}" for name in projection.stable) for side in ("made", "live"))
        self.missing = f"from {self.beside} made where {MISSING.format(live=self.live, same=same)}"
        self.differing = f"from {self.beside} made join {self.live} live on {same} where " + DIFFERS.format(
            new=f"row({new})", old=f"row({old})"
        )
        self.surplus = f"from {self.live} live where " + SURPLUS.format(
            beside=self.beside, same=same, surplus=projection.surplus
        )
        changed = ", ".join(f"{name} = made.{name}" for name in projection.stable)
        self.update = (
            f"update {self.live} live set {changed} from {self.beside} made where {same} and "
            + DIFFERS.format(new=f"row({new})", old=f"row({old})")
        )
        self.insert = f"insert into {self.live} select made.* {self.missing}"
        self.delete = f"delete {self.surplus}"


async def compare(rebuilt: Rebuilt) -> Difference:
    """Compare now."""
    sql = Statements(rebuilt.projection)
    kinds = ((sql.missing, "made"), (sql.differing, "live made"), (sql.surplus, "live"))
    missing, differing, surplus = [await _count(rebuilt, condition) for condition, _ in kinds]
    rows = [row for condition, sides in kinds for row in await _rows(rebuilt, condition, sides)]
    return Difference(missing, differing, surplus, tuple(rows))


async def _count(rebuilt: Rebuilt, condition: str) -> int:
    statement = text(f"select count(*) {condition}")
    return await rebuilt.connection.scalar(statement, given_to(condition, rebuilt)) or 0


async def _rows(rebuilt: Rebuilt, condition: str, sides: str) -> list[Row]:
    columns = ", ".join(f"to_jsonb({side}) as {side}" for side in sides.split())
    statement = text(f"select {columns} {condition} limit {SHOWN}")
    found = await rebuilt.connection.execute(statement, given_to(condition, rebuilt))
    return [_row(rebuilt.projection, dict(one._mapping)) for one in found]


def given_to(statement: str, rebuilt: Rebuilt) -> dict[str, Any]:
    """The parameters of a statement: from when on the events are there."""
    if ":since" not in statement:
        return {}
    return {"since": time_of(rebuilt.first) if rebuilt.first else None}


def _row(projection: Projection, sides: Mapping[str, Mapping[str, Any]]) -> Row:
    live, made = sides.get("live", {}), sides.get("made", {})
    key = {name: (made or live)[name] for name in projection.key}
    names = [name for name in projection.stable if live.get(name) != made.get(name)]
    return Row(key, *({name: side[name] for name in names} if side else {} for side in (live, made)))
