"""The ledger against a model that remembers every byte."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from logship.progress.ledger import Ledger
from logship.records import Span


class Model:
    """Every byte that was read, with the number of deliveries it waits for."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.waits: list[int] = []
        self.read_at: list[float] = []

    def open(self, end: int, parts: list[tuple[int, int]], now: float) -> None:
        counts = dict(parts)
        current = 0
        for at in range(self.offset + len(self.waits), end):
            current = counts.get(at, current)
            self.waits.append(current)
            self.read_at.append(now)

    def settle(self, span: Span) -> None:
        for at in range(span.start, span.end):
            self.waits[at - self.offset] -= 1

    def first_open(self) -> int:
        return next((i for i, waits in enumerate(self.waits) if waits), len(self.waits))

    def watermark(self) -> int:
        return self.offset + self.first_open()

    def oldest(self) -> float | None:
        first = self.first_open()
        return self.read_at[first] if first < len(self.waits) else None


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), files=st.integers(1, 4), steps=st.integers(1, 60), eagerness=st.floats(0.1, 0.9))
def test_ledger_agrees_with_a_model_that_remembers_every_byte(seed: int, files: int, steps: int, eagerness: float):
    """Whatever the order of settles, over several files, ended and begun anew: watermark, counts and ages are right."""
    play(random.Random(seed), files, steps, eagerness)


def play(dice: random.Random, files: int, steps: int, eagerness: float) -> None:
    ledger, models, out = Ledger(), dict[int, Model](), list[Span]()
    serial = 0
    for step in range(steps):
        while len(models) < files:
            serial += 1
            models[serial] = Model(dice.choice([0, 7, 1 << 40]))
            ledger.begin(serial, models[serial].offset)
        if out and dice.random() < eagerness:
            settle(dice, ledger, models, out)
        elif dice.random() < 0.1:
            file = dice.choice(list(models))
            ledger.end(file)
            del models[file]
        else:
            read(dice, ledger, models, out, float(step))
        agree(ledger, models, out)
    while out:
        settle(dice, ledger, models, out)
    assert all(ledger.watermark(file) == ledger.read_to(file) for file in models)


def read(dice: random.Random, ledger: Ledger, models: dict[int, Model], out: list[Span], now: float) -> None:
    file = dice.choice(list(models))
    start = ledger.read_to(file)
    end = start + dice.randrange(0, 30)
    lines = sorted(dice.sample(range(start, end), dice.randrange(0, min(6, end - start) + 1)))
    parts = [(line, dice.randrange(1, 4)) for line in lines]
    spans = ledger.open(file, start, end, parts, now)
    assert [(span.start, span.parts) for span in spans] == parts
    assert [span.end for span in spans] == [*lines[1:], end][: len(lines)]
    models[file].open(end, parts, now)
    out.extend(span for span in spans for _ in range(span.parts))


def settle(dice: random.Random, ledger: Ledger, models: dict[int, Model], out: list[Span]) -> None:
    spans = [out.pop(dice.randrange(len(out))) for _ in range(dice.randint(1, min(len(out), 5)))]
    ledger.settle(spans)
    for span in spans:
        if span.file in models:
            models[span.file].settle(span)


def agree(ledger: Ledger, models: dict[int, Model], out: list[Span]) -> None:
    assert set(ledger.files()) == set(models)
    for file, model in models.items():
        assert ledger.watermark(file) == model.watermark()
        assert ledger.read_to(file) == model.offset + len(model.waits)
        assert ledger.oldest(file) == model.oldest()
        assert ledger.unsettled(file) == len({id(span) for span in out if span.file == file})
    ages = [age for model in models.values() if (age := model.oldest()) is not None]
    assert ledger.oldest() == min(ages, default=None)
    assert ledger.unsettled() == len({id(span) for span in out if span.file in models})
