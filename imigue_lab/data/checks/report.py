"""The report of the data check: its findings, each with severity, places and advice."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from imigue_lab.data.index import Index
from imigue_lab.errors import some

Severity = Literal["error", "warning", "note"]
ORDER: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One kind of fault, with every place where it was found.

    An `error` must be fixed before the data are used: training stops where it reads the faulty
    table or file. A `warning` changes what the scores mean, a `note` is information.
    """

    severity: Severity
    kind: str  # a short name, the same for a fault in every layout
    what: str
    places: tuple[str, ...]  # video ids, clip ids, or files with a row
    advice: str

    @property
    def sentence(self) -> str:
        """What, where and what to do, as training refuses an error."""
        where = f" ({len(self.places)}: {some(self.places)})" if self.places else ""
        return f"{self.what}{where}; {self.advice}"

    def __str__(self) -> str:
        return f"{self.severity}, {self.kind}: {self.sentence}"

    def as_json(self) -> dict[str, object]:
        return vars(self) | {"count": len(self.places), "places": list(self.places)}


def found(
    severity: Severity, kind: str, what: str, places: Iterable[object], advice: str
) -> list[Finding]:
    """One finding, or none if there is no place."""
    names = tuple(str(place) for place in places)
    return [Finding(severity, kind, what, names, advice)] if names else []


@dataclass(frozen=True)
class Report:
    """The findings under a root, errors first, and the index of what can be used."""

    root: Path
    index: Index
    findings: list[Finding]

    @property
    def usable(self) -> bool:
        """Whether there is no error."""
        return all(finding.severity != "error" for finding in self.findings)

    def __str__(self) -> str:
        index = self.index
        kind = f"{index.layout} layout{', synthetic' * index.synthetic}"
        head = f"{self.root}: {kind}, {len(index.videos)} videos, {len(index.clips)} clips"
        return "\n".join([head, *map(str, self.findings)])

    def as_json(self) -> dict[str, object]:
        return {
            "root": str(self.root),
            "layout": self.index.layout,
            "synthetic": self.index.synthetic,
            "videos": len(self.index.videos),
            "clips": len(self.index.clips),
            "findings": [finding.as_json() for finding in self.findings],
        }
