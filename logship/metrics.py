"""Every counter and gauge, named once, with its meaning. The reference page is generated from these declarations.

A `Metrics` owns its own registry, so that a test or a second pipeline in one process starts from zero. Labels come
from the configuration (source, destination) or from closed sets (reason, outcome), never from a visitor; ``file`` is
the one label that grows with the world, and only a `FileGauge` has it, which keeps nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.metrics import Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import CollectorRegistry
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)


class Metrics:
    """All metrics of one running pipeline. Names begin with ``logship_``; counters end in ``_total``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._declare_lines()
        self._declare_files()
        self._declare_events()
        self._declare_process()

    def text(self) -> bytes:
        """Return all of it in Prometheus's text format (prometheus.io/docs/instrumenting/exposition_formats).

        `prometheus_client.generate_latest` says the same, but lives in a module that brings three HTTP servers along.
        """
        return "".join(line for family in self.registry.collect() for line in _lines(family)).encode()

    def _declare_lines(self) -> None:
        counter = self._counter
        self.lines_read = counter("lines_read", "Lines read, including blank and unparsed ones.", "source")
        self.bytes_read = counter("read_bytes", "Bytes read from followed files.", "source")
        self.lines_unparsed = counter(
            "lines_unparsed", "Lines that could not be parsed, by reason.", "source", "reason"
        )
        self.lines_dropped = counter(
            "lines_dropped", "Parsed lines that became no event, by reason.", "source", "reason"
        )
        self.lines_expired = counter("lines_expired", "Lines older than max_event_age when read.", "source")
        self.lines_oversized = counter("lines_oversized_lost", "Lines over 1 MiB: skipped, and lost.", "source")
        self.nul_bytes = counter("nul_bytes", "NUL bytes removed from lines (holes left by a truncation).", "source")
        self.bytes_lost = counter(
            "lost_bytes", "Bytes known to have vanished before they could be read, by cause.", "source", "cause"
        )
        self.limits_applied = counter(
            "api_limits_applied", "Values shortened to the limits of Plausible's API.", "source", "limit"
        )

    def _declare_files(self) -> None:
        counter, gauge = self._counter, self._gauge
        self.files_followed = gauge("files_followed", "Files open and followed.")
        self.files_parked = gauge(
            "files_parked", "Followed files that are closed to save descriptors; they are opened when they grow."
        )
        self.files_unreadable = gauge("files_unreadable", "Files that match a path but cannot be read at present.")
        self.file_events = counter("file_events", "What happened to files: opened, rotated, truncated, ...", "event")
        self.file_behind = FileGauge(self.registry, "file_behind_bytes", "Bytes of the file that are not read yet.")
        self.file_unsettled = FileGauge(
            self.registry, "file_unsettled_bytes", "Bytes of the file that are read but not settled yet."
        )
        self.deleted_bytes_held = gauge("deleted_bytes_held", "Size of deleted files kept open until they are settled.")
        self.oldest_unsettled = gauge("oldest_unsettled_seconds", "Seconds since the oldest unsettled line was read.")
        self.watch_degraded = gauge("watch_degraded", "1 while file events do not work, and files are polled instead.")

    def _declare_events(self) -> None:
        counter, gauge = self._counter, self._gauge
        self.events_routed = counter("events_routed", "Deliveries made by the rules.", "destination")
        self.events_settled = counter("events", "Deliveries settled, by outcome.", "destination", "outcome")
        self.plausible_dropped = counter(
            "events_plausible_dropped",
            "Events accepted, but dropped by Plausible (x-plausible-dropped).",
            "destination",
            "domain",
        )
        self.answers = counter("answers", "Answers, by status code or error name.", "destination", "status")
        self.retries = counter("retries", "Attempts beyond the first one of an event.", "destination")
        self.ambiguous = counter(
            "events_ambiguous",
            "Requests that were sent but never answered: sent again, and perhaps counted twice.",
            "destination",
        )
        self.in_flight = gauge("events_in_flight", "Requests sent and not answered yet.", "destination")
        self.queued = gauge("events_queued", "Deliveries waiting in memory.", "destination")
        self.destination_paused = gauge(
            "destination_paused", "1 while a destination is held back.", "destination", "cause"
        )
        self.request_seconds = Histogram(
            "logship_request_seconds",
            "From the first byte of a request to its answer.",
            ("destination",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.dead_letter_failures = counter("dead_letter_write_failures", "Failed writes to the dead letter file.")
        self.dead_letter_bytes = gauge("dead_letter_bytes", "Bytes of dead letters on disk.")

    def _declare_process(self) -> None:
        counter, gauge = self._counter, self._gauge
        self.checkpoints = counter("checkpoints", "Checkpoint saves, by result.", "result")
        self.checkpoint_recoveries = counter(
            "checkpoint_recoveries", "Damaged checkpoints, by what was used instead.", "used"
        )
        self.reloads = counter("config_reloads", "Configuration reloads, by result.", "result")
        self.reload_success = gauge("config_last_reload_successful", "1 if the last reload was accepted.")
        self.reload_time = gauge("config_last_reload_success_timestamp_seconds", "When the running plan was loaded.")
        self.config_hash = gauge("config_hash", "First 48 bits of the SHA-256 of the running configuration.")
        self.build_info = gauge("build_info", "Always 1; the version is in the label.", "version")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"logship_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"logship_{name}", text, labels, registry=self.registry)


class FileGauge:
    """A gauge of every file by itself. Its values are asked for when it is collected: a thousand files cost no more."""

    _type = "gauge"
    _labelnames = ("source", "file")

    def __init__(self, registry: CollectorRegistry, name: str, text: str) -> None:
        self._name = f"logship_{name}"
        self._documentation = text
        self._values: Callable[[], Iterable[tuple[str, str, float]]] = tuple
        registry.register(self)

    def set_function(self, values: Callable[[], Iterable[tuple[str, str, float]]]) -> None:
        """Ask this for source, file and value of each file."""
        self._values = values

    def describe(self) -> list[Metric]:
        """Return the family without its samples."""
        return [Metric(self._name, self._documentation, self._type)]

    def collect(self) -> list[Metric]:
        """Return the family as it is now."""
        (family,) = self.describe()
        for source, file, value in self._values():
            family.samples.append(Sample(self._name, {"source": source, "file": file}, float(value)))
        return [family]


def _lines(family: Metric) -> Iterator[str]:
    """Write a family: its samples, and then the times at which they were made, which are gauges of their own."""
    made = f"{family.name}_created"
    name = f"{family.name}_total" if family.type == "counter" else family.name
    yield from _block(name, family.type, family.documentation, (each for each in family.samples if each.name != made))
    if times := [each for each in family.samples if each.name == made]:
        yield from _block(made, "gauge", family.documentation, times)


def _block(name: str, kind: str, meaning: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP {name} {_escaped(meaning)}\n# TYPE {name} {kind}\n"
    for sample in samples:
        labels = ",".join(f'{key}="{_quoted(value)}"' for key, value in sorted(sample.labels.items()))
        yield f"{sample.name}{{{labels}}}" if labels else sample.name
        yield f" {_number(sample.value)}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', r"\"")


_number: Callable[[float], str] = floatToGoString
