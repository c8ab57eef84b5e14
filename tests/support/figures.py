"""An exposition as Prometheus' own library reads it, and which series it must have."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from prometheus_client import Metric as Family
from prometheus_client.parser import text_string_to_metric_families


class Figures:
    """One look. Raises ValueError when the text cannot be read."""

    def __init__(self, exposition: bytes) -> None:
        self.families: Mapping[str, Family] = {
            family.name: family for family in text_string_to_metric_families(exposition.decode())
        }

    @cached_property
    def samples(self) -> Mapping[tuple[str, frozenset[tuple[str, str]]], float]:
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """The value of the series with exactly these labels; `class_` is the label `class`. Raises KeyError."""
        return self.samples[name, frozenset((key.rstrip("_"), value) for key, value in labels.items())]

    def of(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """All series that have these labels among theirs, with all their labels."""
        wanted = {key.rstrip("_"): value for key, value in labels.items()}.items()
        return [(dict(all_), value) for (each, all_), value in self.samples.items() if each == name and wanted <= all_]

    def total(self, name: str, **labels: str) -> float:
        """The sum of these series."""
        return sum(value for _, value in self.of(name, **labels))

    def told(self, name: str, label: str) -> dict[str, float]:
        """Label value -> value of the series with it, those that are not zero; there must be one each."""
        found = [(labels[label], value) for labels, value in self.of(name) if value]
        assert len(dict(found)) == len(found), f"{name} has more labels than {label}"
        return dict(found)

    def label_sets(self, name: str) -> list[dict[str, str]]:
        return [labels for labels, _ in self.of(name)]
