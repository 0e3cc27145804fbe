"""Choose which dead letters are sent again, and to which destination; say why the others stay."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from logship.errors import LogshipError
from logship.language.notations import meant
from logship.records import Delivery, Event, Span
from logship.settings.root import Settings
from logship.upkeep.letters import Letter, letters

NOT_CHOSEN, TOO_OLD, NO_DESTINATION, UNUSABLE = "not chosen", "too old", "no destination", "unusable"
"""Why an entry is not sent."""

_TEXT, _MAPPING = (str,), (dict, type(None))
_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("name", "domain", "url", "user_agent", "client_ip"), _TEXT),
    **dict.fromkeys(("props", "revenue"), _MAPPING),
    "referrer": (str, type(None)),
    "interactive": (bool, type(None)),
}


@dataclass(slots=True)
class Survey:
    """What a replay would send, by destination, and what would stay, by reason; ``torn`` lines hold no entry."""

    send: Counter[str] = field(default_factory=Counter)
    stay: Counter[str] = field(default_factory=Counter)
    torn: int = 0


class Selection:
    """The dead letters that are to be sent again: all of them, or those that were asked for.

    Args:
        settings: the configuration.
        to: the destination of all that is sent; None: each entry's own.
        numbers: the entries to send, as `letters` counts them; none: all.
        older: send what is older than ``max_event_age``, too.
        now: wall clock, epoch seconds.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        to: str | None = None,
        numbers: Iterable[int] = (),
        older: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.oldest = None if older else settings.max_event_age
        self.now = now
        self._directory = settings.state_dir
        self._known = [each.name for each in settings.destinations]
        self._to = to
        self._numbers = frozenset(numbers)

    def survey(self) -> Survey:
        """Look at what there is, and change nothing.

        Raises:
            LogshipError: a destination or a number that is not there.
        """
        if self._to is not None and self._to not in self._known:
            hint = meant(self._to, self._known)
            raise LogshipError(f"--to {self._to}: there is no such destination{hint}; {self._configured()}")
        found, last = Survey(), 0
        homeless: dict[str, int] = {}  # the first entry's number, by a destination that is not configured
        for letter in letters(self._directory):
            last = max(last, letter.number)
            if letter.entry is None:
                found.torn += 1
                continue
            chosen = self.choose(letter)
            if isinstance(chosen, Delivery):
                found.send[chosen.destination] += 1
                continue
            found.stay[chosen] += 1
            if chosen == NO_DESTINATION:
                homeless.setdefault(str(letter.entry.get("destination")), letter.number)
        self._refuse_missing(last)
        self._refuse_homeless(homeless, found.stay[NO_DESTINATION])
        return found

    def chosen(self) -> Iterator[tuple[int, Delivery]]:
        """Yield what would be sent, with its number."""
        for letter in letters(self._directory):
            delivery = self.choose(letter)
            if isinstance(delivery, Delivery):
                yield letter.number, delivery

    def choose(self, letter: Letter) -> Delivery | str:
        """Return what to send for an entry, or why it stays."""
        if letter.entry is None or (self._numbers and letter.number not in self._numbers):
            return NOT_CHOSEN
        event, at = _event(letter.entry.get("event")), letter.entry.get("event_time")
        if event is None or not isinstance(at, int | float | None):
            return UNUSABLE
        name = self._to or str(letter.entry.get("destination"))
        if name not in self._known:
            return NO_DESTINATION
        if self.oldest is not None and at is not None and self.now() - at > self.oldest:
            return TOO_OLD
        # The span holds the entry's number: an answer finds its entry by it.
        return Delivery(name, event, at, Span(0, letter.number, letter.number + 1, 1))

    def _refuse_missing(self, last: int) -> None:
        if missing := sorted(number for number in self._numbers if not 0 < number <= last):
            raise LogshipError(f"there is no entry {missing[0]}; `dead-letter list` shows {last}, counted from 1")

    def _refuse_homeless(self, homeless: Mapping[str, int], count: int) -> None:
        if homeless:
            name, number = next(iter(homeless.items()))
            problem = (
                f"{count} of the entries (the first is {number}) were for a destination that is not configured: {name}"
            )
            raise LogshipError(f"{problem}; name another with --to, or choose entries by number; {self._configured()}")

    def _configured(self) -> str:
        return f"configured: {', '.join(self._known) or 'none'}"


def _event(written: object) -> Event | None:
    """Return the event of an entry; None if somebody has edited it into something that cannot be sent."""
    if not isinstance(written, dict):
        return None
    values = {name: written.get(name) for name in _TYPES}
    fit = all(isinstance(values[name], types) for name, types in _TYPES.items())
    return Event(**values) if fit else None  # type: ignore[arg-type]
