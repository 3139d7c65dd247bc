"""A finding of the data check: how bad, what, where, and what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from imigue_lab.errors import some

Severity = Literal["error", "warning", "note"]
ORDER: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One kind of fault, with every place it was found at.

    Attributes:
        severity: an `error` must be mended before the data are used, a `warning` changes what the
            scores mean, a `note` is good to know.
        kind: a short name, the same for the same fault in every layout.
        places: video ids, clip ids, or files with a row.
    """

    severity: Severity
    kind: str
    what: str
    places: tuple[str, ...]
    advice: str

    def __str__(self) -> str:
        where = f" ({len(self.places)}: {some(self.places)})" if self.places else ""
        return f"{self.severity}, {self.kind}: {self.what}{where}; {self.advice}"

    def as_json(self) -> dict[str, object]:
        return vars(self) | {"count": len(self.places), "places": list(self.places)}


def found(
    severity: Severity, kind: str, what: str, places: Iterable[object], advice: str
) -> list[Finding]:
    """One finding, or none where there is no place."""
    names = tuple(str(place) for place in places)
    return [Finding(severity, kind, what, names, advice)] if names else []


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first; within a severity in the order of finding."""
    return sorted(findings, key=lambda finding: ORDER.index(finding.severity))
