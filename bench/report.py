# SPDX-License-Identifier: Apache-2.0
"""Results and what is said about them: medians, ratios, tables. Knows nothing of how they were measured."""
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import plan

FOREIGN_MAX = 0.12  # of all cores: a run beside busier strangers counts only where there are no two better ones
COLUMNS = ("round", "peer", "schedulers", "metric", "value", "unit", "seconds", "foreign", "arguments")


@dataclass
class Results:
    """All runs of one session: its plan, facts about it, figures by series, and what went wrong."""

    plan: ModuleType = plan
    facts: dict[str, str] = field(default_factory=dict)
    runs: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # series: (value, foreign)
    units: dict[str, str] = field(default_factory=dict)  # by metric
    failures: list[str] = field(default_factory=list)

    def add(self, peer, schedulers, metric, value, unit, foreign):
        self.runs.setdefault(f"{peer}/{schedulers}/{metric}", []).append((value, foreign))
        self.units[metric] = unit

    def values(self, series: str) -> list[float]:
        runs = self.runs.get(series, [])
        clean = [value for value, foreign in runs if foreign <= FOREIGN_MAX]
        return clean if len(clean) >= 2 else [value for value, _ in runs]

    def median(self, series: str) -> float | None:
        values = self.values(series)
        return statistics.median(values) if values else None

    def best(self, series: str) -> float | None:
        """The smallest; of a rate, or how much faster, the largest."""
        values = self.values(series)
        if not values:
            return None
        return max(values) if self.units[series.split("/")[2]].endswith(("/s", "times")) else min(values)

    def foreign(self) -> list[float]:
        return [foreign for runs in self.runs.values() for _, foreign in runs]


def read(path: Path, how: ModuleType = plan) -> Results:
    """Results as bench/run writes them: `# key<tab>value` and rows of COLUMNS. ValueError says which line is bad."""
    results = Results(how)
    for number, line in enumerate(path.read_text().splitlines(), 1):
        cells = line.split("\t")
        if line.startswith("# ") and len(cells) == 2:
            if cells[0] == "# failed":
                results.failures.append(cells[1])
            else:
                results.facts[cells[0][2:]] = cells[1]
        elif len(cells) != len(COLUMNS):
            raise ValueError(f"{path}:{number}: {len(cells)} columns, not {len(COLUMNS)}")
        elif cells[0] != COLUMNS[0]:
            _, peer, schedulers, metric, value, unit, _, foreign, _ = cells
            results.add(peer, schedulers, metric, float(value), unit, float(foreign))
    return results


@dataclass
class Verdict:
    target: plan.Target
    value: float | None  # by medians; None: not measured
    best: float | None   # by the best runs

    @property
    def word(self) -> str:
        if self.value is None:
            return "not measured"
        return "met" if self.target.holds(self.value) else "**missed**"


def _quotient(target: plan.Target, figure) -> float | None:
    value, over = figure(target.series), [figure(series) for series in target.over]
    known = [divisor for divisor in over if divisor]
    if value is None or (over and not known):
        return None
    return value / min(known) if over else value


def verdicts(results: Results) -> list[Verdict]:
    return [Verdict(t, _quotient(t, results.median), _quotient(t, results.best)) for t in results.plan.targets()]


def number(value: float | None) -> str:
    """Three digits that matter, thousands apart; nothing for nothing."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def bound_text(target: plan.Target) -> str:
    sign = "≥" if target.at_least else "≤"
    if target.unit:
        return f"{sign} {target.bound:,g} {target.unit}"
    return f"{sign} {target.bound:g} × {target.label}"


def against_text(results: Results, target: plan.Target) -> str:
    """The figures that mote's is divided by: of peers with their names, of mote itself with what is different."""
    known = [(results.plan.NAMES[series.split("/")[0]], results.median(series)) for series in target.over if results.median(series)]
    return ", ".join(f"{target.label if name == 'mote' else name} {number(value)}" for name, value in known)


def target_table(results: Results) -> str:
    rows = []
    for verdict in verdicts(results):
        t, mote = verdict.target, results.median(verdict.target.series)
        figure = f"{number(mote)} {results.units[t.series.split('/')[2]]}" if mote is not None else ""
        rows.append([t.title, figure, against_text(results, t), bound_text(t), number(verdict.value), number(verdict.best),
                     verdict.word])
    return table(["workload", "mote", "against", "target", "measured", "best runs", ""], rows)


def median_table(results: Results) -> str:
    peers = [peer for peer in results.plan.NAMES if any(series.startswith(peer + "/") for series in results.runs)]
    order = list(dict.fromkeys(tuple(series.split("/")[1:]) for series in results.runs))
    several = len({schedulers for schedulers, _ in order}) > 1
    rows = []
    for schedulers, metric in order:
        cells = []
        for peer in peers:
            series = f"{peer}/{schedulers}/{metric}"
            median, best = number(results.median(series)), number(results.best(series))
            cells.append(f"{median} ({best})" if median else "")
        rows.append([metric, *([schedulers] if several else []), results.units[metric], *cells])
    return table(["name", *(["S"] if several else []), "unit", *(results.plan.NAMES[peer] for peer in peers)], rows)


def count_text(results: Results) -> str:
    words = [verdict.word for verdict in verdicts(results)]
    return (f"{words.count('met')} of {len(words)} targets met, {words.count('**missed**')} missed, "
            f"{words.count('not measured')} not measured")


def noise_text(results: Results) -> str:
    shares = results.foreign()
    if not shares:
        return ""
    dirty = sum(share > FOREIGN_MAX for share in shares)
    return (f"Other programs took {statistics.median(shares):.0%} of the cores in the median of all figures, "
            f"{max(shares):.0%} at worst; {dirty} of {len(shares)} figures were taken beside more than {FOREIGN_MAX:.0%} "
            f"and count only where there are no two better ones.\n")


def page(results: Results) -> str:
    """The page of all figures."""
    facts = "".join(f"- {key}: {value}\n" for key, value in results.facts.items())
    failed = "".join(f"- {text}\n" for text in results.failures)
    return f"""{results.plan.TITLE}
{facts}{results.plan.PICTURE_LINE}
## Targets

{count_text(results)}. `measured` is the ratio of the medians, or the median itself where the target is a figure.

{target_table(results)}
{noise_text(results)}
## All figures

{results.plan.NOTE}

{median_table(results)}""" + (f"\n## What failed\n\n{failed}" if failed else "")


def readme_part(results: Results) -> str:
    facts = results.facts
    where = ", ".join(facts[key] for key in ("date", "machine", "versions", "runs") if key in facts)
    link = ("" if results.plan.README.startswith("docs/") else "docs/") + results.plan.PAGE
    return f"{target_table(results)}\n{count_text(results)} ({where}; [all figures]({link})).\n{noise_text(results)}"


def put_between(text: str, part: str) -> str:
    """The text with what stands between the marks replaced. ValueError: they are not there, once each and in order."""
    begin, end = "<!-- numbers -->", "<!-- /numbers -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"needs one {begin} and after it one {end}")
    head, rest = text.split(begin)
    return f"{head}{begin}\n{part}{end}{rest.split(end)[1]}"
