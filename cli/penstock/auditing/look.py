"""One look: everything that was said since the last one, compared with what became of it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import msgspec

from penstock.auditing.judging import Lane, Open, Rules, judged
from penstock.auditing.notes import Notes, days, first_at, first_of
from penstock.auditing.reading import DAY, ELSEWHEN, Digest, Found, Parts, Reader, Span
from penstock.auditing.records import Record
from penstock.auditing.report import Report, Tally
from penstock.auditing.statements import FEW, MOST
from penstock_common.ids import day_made

LATE = timedelta(minutes=2)
"""How old an id is before the rows below it count as complete; who commits later is found when the day is closed."""
CLOSES_AFTER = timedelta(minutes=30)
"""Nobody adds to a day's rows any more this long after midnight."""
LAGS, HOUR = timedelta(minutes=1), timedelta(hours=1)
REQUESTS = "requests"
"""Stands for the consumers whose commands are in no outbox."""


@dataclass
class Look:
    """What it needs, and what it has found so far."""

    reader: Reader
    records: Sequence[Record]
    lanes: Mapping[str, Lane]
    """By consumer, as the bus was before the snapshot."""
    notes: Notes
    rules: Rules
    _found: dict[tuple[str, object], Open] = field(default_factory=dict)
    _outboxes: dict[tuple[str, date], Mapping[tuple[str, date], Parts]] = field(default_factory=dict)
    _inboxes: dict[tuple[str, date], Mapping[str, Parts]] = field(default_factory=dict)
    _recent: dict[str, int] = field(default_factory=dict)
    """Messages said above what the notes cover, by consumer."""
    _beyond: dict[str, int] = field(default_factory=dict)
    """Messages that lack and are not named, by consumer."""

    @property
    def _today(self) -> date:
        return self.reader.now.date()

    async def run(self, *, thorough: bool = False) -> Report:
        """Look. `thorough` compares the other way round as well, also for days that are not over."""
        await self._remember()
        for service in self.reader.services:
            await self._follow(service)
        for day in self._to_close(thorough):
            await self._close(day)
        return await self._report(thorough=thorough)

    async def _remember(self) -> None:
        """Look again at what lacked the last time."""
        by_place: dict[tuple[str, str], list[Open]] = {}
        for entry in self.notes.open:
            by_place.setdefault((entry.consumer, entry.service), []).append(entry)
        for record in self.records:
            for service in self.reader.services:
                if entries := by_place.get((record.name, service)):
                    self._keep(await self.reader.still_unhandled(record, service, entries))

    async def _follow(self, service: str) -> None:
        """Compare what was said since the last look."""
        start, settled = self.notes.start_of(service), first_at(self.reader.now - LATE)
        complete = True
        for day in days(max(self.notes.since, day_made(start)), self._today + DAY):
            first, end = max(start, first_of(day)), first_of(day + DAY)
            middle = min(max(first, settled), end)
            if complete and first < middle:
                complete = await self._compare(Span(service, day, first, middle), lasting=True)
                first = self.notes.through[service] = middle if complete else first
            await self._compare(Span(service, day, first, end), lasting=False)

    async def _compare(self, span: Span, *, lasting: bool) -> bool:
        """Compare a span; where it is not to be looked at again and lacks too much to remember, False and no trace."""
        if span.first >= span.end:
            return True
        counts = await self._counts(span)
        told = [r for r in self.records if not counts.keys().isdisjoint(r.subjects)]
        present = [r for r in told if span.day >= await self._began(r)]
        found = {r.name: await self._lacking(r, span, _of(counts, r.subjects)) for r in present}
        if lasting and any(each.count > MOST for each in found.values()):
            return False
        for record in present:
            lacking, said = found[record.name], counts.get(record.subject, 0)
            self._keep(lacking.entries)
            if lasting:
                self.notes.add(span.day, record.name, said)
            else:
                self._recent[record.name] = self._recent.get(record.name, 0) + said
                beyond = lacking.count - len(lacking.entries)
                self._beyond[record.name] = self._beyond.get(record.name, 0) + beyond
        return True

    async def _counts(self, span: Span) -> Mapping[str, int]:
        """Messages of a span by subject; one that begins with its day is counted in the pass that compares the day."""
        if span.first != first_of(span.day):
            return await self.reader.counts(span)
        counts: Counter[str] = Counter()
        for (subject, _), parts in (await self._said(span.service, span.day)).items():
            counts[subject] += sum(digest.count for digest in parts.values())
        if span.end < (over := first_of(span.day + DAY)):
            counts -= Counter(await self.reader.counts(Span(span.service, span.day, span.end, over)))
        return counts

    async def _lacking(self, record: Record, span: Span, rows: int) -> Found:
        """What a consumer lacks of a span that has so many messages for it; what balances is not read one by one."""
        if rows <= FEW or span.first != first_of(span.day) or not record.has_inbox:
            return await self.reader.unhandled(record, span, rows)
        first = max(span.day - DAY, self.notes.since)
        wrong = {day: await self._differing(record, day) | {ELSEWHEN} for day in days(first, span.day)}
        doubtful = 0
        for (subject, made), parts in (await self._said(span.service, span.day)).items():
            if subject in record.subjects:
                doubtful += sum(parts[part].count for part in parts.keys() & wrong.get(made, parts.keys()))
        if not doubtful:
            return Found(0, [])
        return await self.reader.doubtful(record, span, first, set().union(*wrong.values()), doubtful)

    async def _differing(self, record: Record, day: date) -> set[str]:
        """The parts of a day of which a consumer's inbox has something else than was said."""
        arrived = dict((await self._arrived(record.consumer.service, day)).get(record.name, {}))
        said: dict[str, Digest] = {}
        for service in self.reader.services:
            for spoken in (day, day + DAY):
                for part, digest in (await self._said(service, spoken)).get((record.subject, day), {}).items():
                    if part != ELSEWHEN:
                        said[part] = said.get(part, Digest()) + digest
        return {part for part in said.keys() | arrived.keys() if said.get(part) != arrived.get(part)}

    async def _said(self, service: str, day: date) -> Mapping[tuple[str, date], Parts]:
        if (service, day) not in self._outboxes:
            self._outboxes[service, day] = await self.reader.said(service, day)
        return self._outboxes[service, day]

    async def _arrived(self, service: str, day: date) -> Mapping[str, Parts]:
        if (service, day) not in self._inboxes:
            self._inboxes[service, day] = await self.reader.arrived(service, day)
        return self._inboxes[service, day]

    def _keep(self, entries: Sequence[Open]) -> None:
        known = {entry.key: entry for entry in self.notes.open}
        for entry in entries:
            before = known.get(entry.key)
            self._found[entry.key] = _as_before(entry, before) if before else entry

    async def _began(self, record: Record) -> date:
        """The first day on which a consumer was there; one that never said a word counts from yesterday."""
        if not record.has_inbox:
            return self.notes.since
        if (known := self.notes.began.get(record.name)) is None:
            known = await self.reader.began(record)
            if known is None:
                return self._today - DAY
            self.notes.began[record.name] = known
        return known

    def _to_close(self, thorough: bool) -> Iterator[date]:
        for day in days(max(self.notes.since, self.reader.kept_since), self._today):
            if day not in self.notes.closed and (thorough or self._is_over(day)):
                yield day

    def _is_over(self, day: date) -> bool:
        """Whether nobody adds to a day any more, and all of it was followed."""
        end = first_of(day + DAY)
        followed = all(self.notes.start_of(service) >= end for service in self.reader.services)
        return followed and day < (self.reader.now - CLOSES_AFTER).date()

    async def _close(self, day: date) -> None:
        """Compare a day as a whole: rows that were committed late, and what nobody said or somebody said twice."""
        over = self._is_over(day)
        if over:
            await self._count_again(day)
        await self._look_back(day)
        if over:
            self.notes.closed.append(day)

    async def _count_again(self, day: date) -> None:
        spans = [Span(s, day, first_of(day), first_of(day + DAY)) for s in self.reader.services]
        counts = {span.service: await self._counts(span) for span in spans}
        for record in self.records:
            said = sum(of_service.get(record.subject, 0) for of_service in counts.values())
            missed = said - self.notes.published.get(day, {}).get(record.name, 0)
            if missed > 0 and day >= await self._began(record):
                self.notes.add(day, record.name, missed)
                for span in spans:
                    rows = _of(counts[span.service], record.subjects)
                    self._keep((await self._lacking(record, span, rows)).entries)

    async def _look_back(self, day: date) -> None:
        """Find what a day's inboxes have and nobody said, or have twice."""
        unsaid, twice = set(self.notes.unsaid), set(self.notes.twice)
        for record in self.records:
            if not record.has_inbox or not await self._differing(record, day):
                continue
            speakers = [s for s in self.reader.services if await self._speaks(s, record.subject, day)]
            for service in speakers:
                twice.update(await self.reader.twice(service, day, [record.subject]))
            arrived = (await self._arrived(record.consumer.service, day)).get(record.name, {})
            if arrived:
                unsaid.update(await self.reader.unsaid(record, day, speakers))
            if ELSEWHEN in arrived:
                twice.update(await self.reader.misplaced(record.consumer.service, day))
        self.notes.unsaid, self.notes.twice = sorted(unsaid), sorted(twice)

    async def _speaks(self, service: str, subject: str, day: date) -> bool:
        """Whether a service's outbox has something of a topic, on a day or the next."""
        known = {about for spoken in (day, day + DAY) for about, _ in await self._said(service, spoken)}
        return subject in known

    async def _report(self, *, thorough: bool) -> Report:
        missing = self._judge()
        self.notes.open = sorted(self._found.values(), key=lambda entry: (entry.consumer, entry.id))
        report = Report(at=self.reader.now, since=self.notes.since, missing=missing)
        buried = await self.reader.buried()
        for record in self.records:
            dead = await self.reader.dead(record, self.notes.since) if record.name in buried else 0
            report.tallies.append(self._tally(record, dead, missing))
        lags = self.reader.now - LAGS
        report.unpublished = sum(e.published_at is None and e.said_at < lags for e in self.notes.open)
        report.doubted = sum(e.absent_since is not None for e in self.notes.open) - len(missing)
        report.unsaid, report.twice = self.notes.unsaid, self.notes.twice
        await self._add_requests(report, thorough=thorough)
        return report

    def _judge(self) -> list[Open]:
        patience = {record.name: record.patience for record in self.records}
        missing = []
        for key, entry in self._found.items():
            lane = self.lanes.get(entry.consumer, Lane())
            after, is_missing = judged(entry, lane, self.reader.now, patience[entry.consumer], self.rules)
            self._found[key] = after
            if is_missing:
                missing.append(after)
        return sorted(missing, key=lambda entry: (entry.consumer, entry.id))

    def _tally(self, record: Record, dead: int, missing: Sequence[Open]) -> Tally:
        name = record.name
        published = self.notes.total(name) + self._recent.get(name, 0)
        lost = len({entry.message_id for entry in missing if entry.consumer == name})
        lacking = len({entry.message_id for entry in self.notes.open if entry.consumer == name})
        waiting = lacking - lost + self._beyond.get(name, 0)
        done = published - dead - lost - waiting
        return Tally(name, record.subject, published, done, dead, waiting, lost)

    async def _add_requests(self, report: Report, *, thorough: bool) -> None:
        """Of all days or of the last hour: a request ends within minutes, and reconcile compares them all."""
        since = datetime.combine(self.notes.since, time.min, UTC)
        asked = await self.reader.requests(since if thorough else max(since, self.reader.now - HOUR))
        overdue = len(asked.overdue)
        waiting = asked.asked - asked.ended - overdue
        report.tallies.append(Tally(REQUESTS, "api.requests", asked.asked, asked.ended, 0, waiting, overdue))
        report.overdue = sorted(map(str, asked.overdue))


def _of(counts: Mapping[str, int], subjects: Sequence[str]) -> int:
    return sum(counts.get(subject, 0) for subject in subjects)


def _as_before(entry: Open, before: Open) -> Open:
    """A row as it is now, with what earlier looks saw of its message."""
    return msgspec.structs.replace(entry, absent_since=before.absent_since, passed_at=before.passed_at)
