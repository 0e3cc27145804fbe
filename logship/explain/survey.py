"""Survey a whole log the short way: the sums of what would become of it, and a few lines as examples.

The sieve drops lines as fast as `run` does and never says which they were. So the first block in which a reason turns
up is looked through once more, line by line, for lines to show; every other block is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from logship.explain.ranking import Ranking
from logship.explain.visits import SiteFigures, Visits
from logship.parser import wrappers
from logship.parser.record import Parser
from logship.plan import SourcePlan
from logship.records import Chunk, Delivery, Event, Record, Unparsed
from logship.router import scrutiny
from logship.sieve.sifted import Sifted

Foresee = Callable[[Event], str | None]

MINUTE, HOUR, DAY, MONTH = 60.0, 3600.0, 86400.0, 30 * 86400.0
_EXAMPLES = 3  # of each reason
NO_MISFITS = frozenset(("blank", "directive", "not_access"))  # rightly no requests
_MISFITS = 50  # what the format is sought with: as many as `run` looks at


@dataclass(frozen=True, slots=True)
class Example:
    """A line that was dropped, and the rule that took it."""

    line: int
    text: bytes
    record: Record
    rule: str | None


@dataclass(frozen=True, slots=True)
class Misfit:
    """A line that was not understood: why, and at which byte (from 0) its format stopped fitting."""

    line: int
    text: bytes
    reason: str
    position: int


@dataclass(slots=True)
class Survey:
    """What a log comes to. Counters go by name of an event, of a destination, or by reason."""

    lines: int = 0
    formats: list[str] = field(default_factory=list)  # in the order of the log; more than one where it changed
    dropped: Counter[str] = field(default_factory=Counter)
    unparsed: Counter[str] = field(default_factory=Counter)
    sending: int = 0  # lines that give at least one event
    events: Counter[str] = field(default_factory=Counter)
    destinations: Counter[str] = field(default_factory=Counter)
    foreseen: Counter[str] = field(default_factory=Counter)  # events that Plausible would drop
    cuts: Counter[str] = field(default_factory=Counter)
    hours: Counter[int] = field(default_factory=Counter)  # events by hour since the epoch
    pages: Ranking[str] = field(default_factory=Ranking)  # page views by URL, without the query
    visits: Visits = field(default_factory=Visits)
    examples: dict[str, list[Example]] = field(default_factory=dict)
    misfits: list[Misfit] = field(default_factory=list)
    rivals: tuple[str, ...] = ()  # formats that fit equally: none of them is chosen
    first: float | None = None
    last: float | None = None

    @property
    def written_in(self) -> str:
        """The formats in words."""
        if not self.formats and self.rivals:
            return f"{' and '.join(self.rivals)} fit equally"
        return ", then ".join(self.formats) or "no format that is known"

    @property
    def understood(self) -> int:
        """Lines that are requests."""
        return self.lines - self.unparsed.total()

    @property
    def seconds(self) -> float | None:
        """The span of time that the log covers; None where its lines have no time."""
        return None if self.first is None or self.last is None else self.last - self.first

    @property
    def total(self) -> SiteFigures:
        """The figures of all sites together."""
        return sum(self.visits.sites.values(), SiteFigures())

    def per_month(self, events: int) -> int | None:
        """Project events to 30 days; None where the log spans less than a minute, or has no times."""
        return None if self.seconds is None or self.seconds < MINUTE else round(events * MONTH / self.seconds)

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able figures."""
        total = self.total
        return {
            "lines": self.lines,
            "formats": self.formats,
            "events": dict(self.events.most_common()),
            "dropped": dict(self.dropped.most_common()),
            "unparsed": dict(self.unparsed.most_common()),
            "events_per_month": self.per_month(self.events.total()),
            "plausible_drops": dict(self.foreseen.most_common()),
            "seconds": self.seconds,
            "pageviews": total.pageviews,
            "visitors": total.visitors,
            "visits": total.visits,
            "pages": dict(self.pages.top(100)),
        }


class Surveyor:
    """Takes the blocks of one log in their order; `survey` holds what they came to so far."""

    def __init__(self, source: SourcePlan, foresee: Foresee) -> None:
        self.survey = Survey()
        self._source = source
        self._foresee = foresee
        self._sieve = source.sieve(None)
        self._end = 0  # of the block before
        if source.format is not None:
            self.survey.formats.append(source.format.name)

    def add(self, block: bytes) -> None:
        """Survey a block of whole lines."""
        survey = self.survey
        start, self._end = self._end, self._end + len(block)
        sifted = self._sieve.sift(Chunk(0, self._source.settings.name, "", block, start, self._end), 0.0)
        if sifted.detected is not None and sifted.detected.format is not None:
            survey.formats.append(sifted.detected.format.name)
        elif sifted.detected is not None:
            survey.rivals = sifted.detected.rivals
        survey.dropped.update(sifted.dropped)
        survey.unparsed.update(sifted.unparsed)
        survey.cuts.update(sifted.cuts)
        survey.sending += len(sifted.survivors)
        self._count(sifted)
        self._see_times(block)
        self._find_examples(block, sifted)
        survey.lines += sifted.lines

    @property
    def _parser(self) -> Parser | None:
        return self._sieve.parser("")

    def _count(self, sifted: Sifted) -> None:
        """Count what is sent, a block at a time: a list and a counter of C cost a tenth of counting one by one."""
        survey = self.survey
        sent = [delivery for _, deliveries in sifted.survivors for delivery in deliveries]
        survey.events.update([delivery.event.name for delivery in sent])
        survey.destinations.update([delivery.destination for delivery in sent])
        met = [each for each, before in zip(sent, [None, *sent], strict=False) if not before or _differ(each, before)]
        survey.hours.update([int(each.time // HOUR) for each in met if each.time is not None])
        reasons = [self._foresee(each.event) for each in met]
        survey.foreseen.update(filter(None, reasons))
        counting = [each for each, reason in zip(met, reasons, strict=True) if reason is None]
        survey.pages.add([each.event.url.partition("?")[0] for each in counting if each.event.name == "pageview"])
        survey.visits.add(counting)

    def _see_times(self, block: bytes) -> None:
        """Look at the first and the last line of a block: a log is in the order of time, or nearly."""
        if self._parser is None:
            return
        end = block.rfind(b"\n", 0, len(block) - 1) + 1
        for line in (block[: block.find(b"\n")], block[end:-1]):
            record = self._parser.parse(line)
            if isinstance(record, Record) and record.time is not None:
                self.survey.first = min(record.time, self.survey.first or record.time)
                self.survey.last = max(record.time, self.survey.last or record.time)

    def _find_examples(self, block: bytes, sifted: Sifted) -> None:
        """Look through a block for lines to show, where it has some that are still wanted."""
        examples = self.survey.examples
        wanted = {
            reason: wanting
            for reason, count in sifted.dropped.items()
            if reason not in scrutiny.REASONS and (wanting := min(count, _EXAMPLES - len(examples.get(reason, ()))))
        }
        strange = sum(count for reason, count in sifted.unparsed.items() if reason not in NO_MISFITS)
        misfits = min(strange, _MISFITS - len(self.survey.misfits))
        lines = wrappers.lines(self._source.settings.wrapper, block)
        for number, (_, line) in enumerate(lines, self.survey.lines + 1):
            if not wanted and not misfits:
                return
            record = self._parser.parse(line) if self._parser is not None else Unparsed("format" if line else "blank")
            if isinstance(record, Record):
                self._show(number, line, record, wanted)
            elif record.reason not in ("blank", "directive") and misfits:
                self.survey.misfits.append(Misfit(number, line, record.reason, record.position))
                misfits -= 1

    def _show(self, number: int, line: bytes, record: Record, wanted: dict[str, int]) -> None:
        if not wanted:
            return
        decision = self._source.table.route(record)
        if decision.reason in wanted:
            self.survey.examples.setdefault(decision.reason, []).append(Example(number, line, record, decision.rule))
            wanted[decision.reason] -= 1
            if not wanted[decision.reason]:
                del wanted[decision.reason]


def _differ(delivery: Delivery, before: Delivery) -> bool:
    """One event for several destinations stands in a row."""
    return delivery.event is not before.event
