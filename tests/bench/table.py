# SPDX-License-Identifier: LGPL-2.1-or-later
"""The table of a benchmark: each figure of the agent beside the bare tool's, held against its budget.

    table = Table()
    table.add("update", "install, wall", "ms", agent=[...], bare=[...], bare_name="rauc install", budget=Adds(20, 0.02))
    table.print()
    json.dump(table.rows(), file)

Figures are lists of repetitions, of which the median counts, unless `worst` is asked for.  A row that another process has
measured (a guest, say) comes in with extend(), as rows() gave it there.
"""
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Callable, Optional, Sequence

_DIGITS = {"ms": 1, "MB": 2, "KB": 1, "MB/s": 1}
HEADERS = ("what", "bare tool / peer", "agent", "against it", "budget", "ok?")


@dataclass
class AtMost:
    """A limit for the agent alone."""
    limit: float

    def text(self, unit: str) -> str:
        return f"<= {self.limit:g} {unit}".rstrip()

    def holds(self, agent: float, bare: Optional[float]) -> bool:
        return agent <= self.limit


@dataclass
class Adds:
    """So much more than the bare tool, or that share of the bare tool's, whichever is more."""
    absolute: float
    share: float = 0.0

    def text(self, unit: str) -> str:
        return f"+{self.absolute:g} {unit}" + (f" or {100 * self.share:g} %" if self.share else "")

    def holds(self, agent: float, bare: Optional[float]) -> bool:
        return bare is not None and agent - bare <= max(self.absolute, self.share * bare)


@dataclass
class Ratio:
    """The agent's figure is at most so many times the bare tool's."""
    limit: float

    def text(self, unit: str) -> str:
        return f"<= x {self.limit:g}"

    def holds(self, agent: float, bare: Optional[float]) -> bool:
        return bare is not None and agent <= self.limit * bare


@dataclass
class Row:
    section: str
    what: str
    unit: str
    agent: Optional[float] = None
    bare: Optional[float] = None
    bare_name: str = ""
    budget: str = ""
    ok: Optional[bool] = None       # None: there is no budget, or nothing was measured
    note: str = ""
    repetitions: dict[str, list[float]] = field(default_factory=dict)


class Table:
    def __init__(self) -> None:
        self._rows: list[Row] = []

    def add(self, section: str, what: str, unit: str, *, agent: Sequence[float], bare: Sequence[float] = (),
            bare_name: str = "", budget=None, worst: bool = False, note: str = "") -> Row:
        """`worst`: the largest repetition of the agent counts, for what no single update may exceed."""
        figure: Callable[[Sequence[float]], float] = max if worst else median
        row = Row(section, what, unit, figure(agent), median(bare) if bare else None, bare_name, note=note,
                  repetitions={"agent": list(agent), "bare": list(bare)})
        if budget:
            row.budget, row.ok = budget.text(unit), budget.holds(row.agent, row.bare)
        self._rows.append(row)
        return row

    def skip(self, section: str, what: str, why: str) -> None:
        self._rows.append(Row(section, what, "", note=f"skipped: {why}"))

    def extend(self, rows: Sequence[dict]) -> None:
        self._rows += [Row(**row) for row in rows]

    def rows(self) -> list[dict]:
        return [asdict(row) for row in self._rows]

    def missed(self) -> list[Row]:
        return [row for row in self._rows if row.ok is False]

    def text(self) -> str:
        lines = [list(HEADERS)] + [_cells(row) for row in self._rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(HEADERS))]
        lines.insert(1, ["-" * width for width in widths])
        shown = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
        notes = [f"  {row.what}: {row.note}" for row in self._rows if row.note]
        return "\n".join(shown + (["", *notes] if notes else []))


def _cells(row: Row) -> list[str]:
    bare = " ".join(part for part in (_number(row.bare, row.unit), row.bare_name and f"({row.bare_name})") if part)
    verdict = {True: "yes", False: "MISSED", None: ""}[row.ok]
    return [row.what, bare, _number(row.agent, row.unit), _comparison(row), row.budget, verdict]


def _number(value: Optional[float], unit: str) -> str:
    return "" if value is None else f"{value:.{_DIGITS.get(unit, 0)}f} {unit}".rstrip()


def _comparison(row: Row) -> str:
    if row.agent is None or not row.bare:
        return ""
    more = row.agent - row.bare
    return f"{more:+.{_DIGITS.get(row.unit, 0)}f} {row.unit}".rstrip() + f" (x {row.agent / row.bare:.3g})"
