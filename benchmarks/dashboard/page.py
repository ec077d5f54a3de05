"""The dashboard's first page: what is measured, the newest figures beside NumPy's, regressions and their commits.

It is made from asv's own files (results, and the regressions that `asv publish` found) and holds no script that
loads anything. Its links lead into asv's pages.
"""

import importlib
import inspect
import itertools
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from ..history import git

#: The parameter whose values stand side by side.
_COLUMNS = "backend"
#: The module that the page begins with.
_FIRST = "bench_training"
#: Benchmarks of more rows show them when asked to.
_LONG = 40


@dataclass
class Cell:
    """A newest figure: its text, how many times as fast as NumPy, the commits' values, asv's page of it."""

    text: str = ""
    ratio: float | None = None
    history: list = field(default_factory=list)
    link: str = ""

    @property
    def times(self):
        """The ratio in words, '' if there is none."""
        return "" if self.ratio is None else f"{self.ratio:.3g}x"

    @property
    def line(self):
        """The history as the points of an SVG line in a box of 100 x 20, '' if it is no line yet."""
        values = self.history
        if len(values) < 2:
            return ""
        low, high = min(values), max(values)
        # a change of less than a fifth is drawn as small as it is
        span = max(high - low, 0.2 * abs(high)) or 1
        step = 100 / (len(values) - 1)
        return " ".join(f"{k * step:.1f},{19 - 18 * (value - low) / span:.1f}" for k, value in enumerate(values))


@dataclass
class Table:
    """A benchmark: its explanation, a row for each set of parameters, a column for each backend."""

    name: str
    about: str
    header: list
    rows: list
    summary: list

    @property
    def long(self):
        """Whether there are more rows than one wants to see at once."""
        return len(self.rows) > _LONG


def _working_tree(name):
    """Return a benchmark's module, class and function in the working tree, [] for one that is gone."""
    module, *path = name.split(".")
    try:
        found = [importlib.import_module(f"benchmarks.{module}")]
        for part in path:
            found.append(getattr(found[-1], part))
    except (ImportError, AttributeError):
        return []
    return found


def _text(thing):
    return re.sub("`+", "", inspect.getdoc(thing) or "")


def explanation(name):
    """Return what a benchmark's docstrings say: of its class and its function."""
    return " ".join(filter(None, map(_text, _working_tree(name)[1:])))


def _plain(value):
    """Return a parameter as tables show it: asv keeps the repr of strings."""
    return value[1:-1] if value[:1] in "'\"" else value


def _human(value, unit):
    from asv.util import human_value

    return f"{value:.3g}" if unit == "ratio" else human_value(value, unit)


class Measured:
    """All results of one machine and environment.

    Parameters
    ----------
    about : dict of str to str
        asv's parameters of the results: machine, Python, requirements.
    """

    def __init__(self, about):
        self.about, self.values, self.commits = about, {}, set()

    def add(self, results, benchmarks, revision):
        """Take over one commit's results."""
        for name in results.get_result_keys(benchmarks):
            for index, value in enumerate(results.get_result_value(name, benchmarks[name]["params"])):
                if value is not None and not math.isnan(value):
                    self.values.setdefault((name, index), {})[revision] = value
                    self.commits.add(revision)

    def newest(self, name, index):
        """Return the newest value of a benchmark, None if there is none."""
        values = self.values.get((name, index))
        return values[max(values)] if values else None

    def _yardsticks(self, benchmark, benchmarks):
        """Return a function: the parameters without the column's and their row -> the time that NumPy takes.

        A benchmark's attribute ``beside`` says which that is: a column, or another benchmark of the same parameters.
        """
        found = _working_tree(benchmark["name"])
        beside = getattr(found[-1], "beside", None) if found else None
        if beside in benchmarks:
            params = list(itertools.product(*benchmarks[beside]["params"]))
            return lambda key, row: self.newest(beside, params.index(key)) if key in params else None
        return lambda key, row: self.newest(benchmark["name"], row[repr(beside)][0]) if repr(beside) in row else None

    def table(self, benchmark, benchmarks):
        """Return the table of a benchmark, None if nothing is known of it here."""
        name, names, params = benchmark["name"], benchmark["param_names"], benchmark["params"]
        unit, yardsticks = benchmark["unit"], self._yardsticks(benchmark, benchmarks)
        column = names.index(_COLUMNS) if _COLUMNS in names else None
        columns = params[column] if column is not None else [None]
        rows = {}
        for index, values in enumerate(itertools.product(*params)):
            key = tuple(v for k, v in enumerate(values) if k != column)
            rows.setdefault(key, {})[values[column] if column is not None else None] = (index, values)
        known = [c for c in columns if any(self.newest(name, row[c][0]) is not None for row in rows.values())]
        lines, ratios = [], {c: [] for c in known}
        for key, row in rows.items():
            yardstick = yardsticks(key, row)
            cells = []
            for c in known:
                index, values = row[c]
                value = self.newest(name, index)
                if value is None:
                    cells.append(Cell())
                    continue
                ratio = yardstick / value if yardstick and value and yardstick != value and unit == "seconds" else None
                if ratio:
                    ratios[c].append((ratio, key))
                chosen = urlencode({f"p-{n}": v for n, v in zip(names, values, strict=True)})
                link = f"asv.html#{name}{'?' if chosen else ''}{chosen}"
                history = [v for _, v in sorted(self.values[name, index].items())]
                cells.append(Cell(_human(value, unit), ratio, history, link))
            if any(cell.text for cell in cells):
                lines.append(([_plain(v) for v in key], cells))
        if not lines:
            return None
        header = [n for k, n in enumerate(names) if k != column], [_plain(c) if c is not None else unit for c in known]
        summary = [_summary(c, found) for c, found in ratios.items() if found] if len(lines) > _LONG else []
        return Table(name, explanation(name), header, lines, summary)


def _summary(column, ratios):
    mean = math.exp(sum(math.log(ratio) for ratio, _ in ratios) / len(ratios))
    least, where = min(ratios)
    most, best = max(ratios)
    slower = sum(ratio < 1 for ratio, _ in ratios)
    return (
        f"{_plain(column)}: {mean:.3g} times as fast as numpy in the geometric mean of {len(ratios)}, from {least:.2g} "
        f"({', '.join(map(_plain, where))}) to {most:.3g} ({', '.join(map(_plain, best))}); slower in {slower}."
    )


class Commits:
    """Names of commits.

    Parameters
    ----------
    root : Path
        Of the repository.
    """

    def __init__(self, root):
        lines = git("log", "--all", "--format=%H%x09%cs%x09%s", root=root)
        self._known = {line.split("\t")[0]: line.split("\t")[1:] for line in lines}

    def __call__(self, commit):
        """Return (short hash, date, subject) of a commit."""
        date, subject = self._known.get(commit, ("", "not in this repository"))
        return commit[:8], date, subject


def regressions(html, benchmarks, commits, revision_to_hash):
    """Return what `asv publish` found: (the first slow commit, the last fast one or None, what became slower)."""
    entries = json.loads((html / "regressions.json").read_text())["regressions"]
    found = {}
    for entry, _, graph, index, *_, jumps in entries:
        name = entry.partition("(")[0]
        benchmark = benchmarks[name]
        values = list(itertools.product(*benchmark["params"]))[index] if index is not None else ()
        chosen = {f"p-{n}": v for n, v in zip(benchmark["param_names"], values, strict=True)}
        for before, after, old, new in jumps:
            ends = [revision_to_hash[r] for r in (before, after) if r is not None]
            link = urlencode({**graph, **chosen, "commits": "-".join(ends)})
            found.setdefault((after, before), []).append({
                "benchmark": name, "parameters": ", ".join(map(_plain, values)), "link": f"asv.html#{name}?{link}",
                "old": _human(old, benchmark["unit"]), "new": _human(new, benchmark["unit"]),
                "factor": new / old if old else math.inf,
            })  # fmt: skip
    return [
        (
            commits(revision_to_hash[after]), None if before is None else commits(revision_to_hash[before]),
            sorted(slower, key=lambda entry: -entry["factor"]),
        )
        for (after, before), slower in sorted(found.items(), key=lambda item: -item[0][0])
    ]  # fmt: skip


def write(config, html):
    """Make the first page, and the page of commits that asv's graphs link to.

    Parameters
    ----------
    config : asv.config.Config
    html : Path
        What `asv publish` wrote; its page is `asv.html` already.
    """
    import jinja2
    from asv.benchmarks import Benchmarks
    from asv.machine import iter_machine_files
    from asv.results import iter_results
    from asv.util import load_json

    index = json.loads((html / "index.json").read_text())
    revision_to_hash = {int(r): commit for r, commit in index["revision_to_hash"].items()}
    revisions = {commit: r for r, commit in revision_to_hash.items()}
    machines = {about["machine"]: about for about in map(load_json, iter_machine_files(config.results_dir))}
    benchmarks = Benchmarks.load(config)
    places = {}
    for results in iter_results(config.results_dir):
        place = places.setdefault(tuple(sorted(results.params.items())), Measured(dict(results.params)))
        place.add(results, benchmarks, revisions[results.commit_hash])
    commits = Commits(Path(config.repo))
    shown = []
    for place in sorted(places.values(), key=lambda place: -max(place.commits, default=-1)):
        tables = [table for name in sorted(benchmarks) if (table := place.table(benchmarks[name], benchmarks))]
        if tables:
            machine = machines.get(place.about.get("machine"), {})
            newest, oldest = (commits(revision_to_hash[end(place.commits)]) for end in (max, min))
            about = {
                "CPU": f"{machine.get('cpu', 'unknown')}, {machine.get('num_cpu', '?')} CPUs, {machine.get('os', '')}",
                "Python": place.about.get("python", ""),
                "Newest commit": " ".join(newest),
                "Oldest commit": " ".join(oldest),
                "Commits": len(place.commits),
                "Figures": f"{sum(len(row[1]) for table in tables for row in table.rows):,}",
            }
            modules = itertools.groupby(tables, key=lambda table: table.name.partition(".")[0])
            groups = [list(group) for _, group in modules]
            # the longest last: one reads on until it is too much
            groups.sort(key=lambda group: (not group[0].name.startswith(_FIRST), sum(len(t.rows) for t in group)))
            shown.append({"about": about, "modules": [(_module(group[0].name), group) for group in groups]})
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    page = environment.get_template("index.html.j2").render(
        project=config.project, places=shown, regressions=regressions(html, benchmarks, commits, revision_to_hash)
    )
    (html / "index.html").write_text(page)
    measured = [(commit, *commits(commit)) for _, commit in sorted(revision_to_hash.items(), reverse=True)]
    (html / "commits.html").write_text(environment.get_template("commits.html.j2").render(commits=measured))


def _module(name):
    """Return the name of a benchmark's module, the first sentence that it says and the rest."""
    module = name.partition(".")[0]
    found = _working_tree(module)
    first, _, more = _text(found[0]).partition("\n\n") if found else (module, "", "")
    return module, first, more
