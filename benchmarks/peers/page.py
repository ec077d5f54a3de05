"""The page that shows fastbp beside other libraries: ``python -m benchmarks.peers.page ONE.json ALL.json``.

It takes what ``python -m benchmarks.peers --json FILE`` measured (on one thread, on all) and writes
``docs/peers.json``, ``docs/peers.md``, a picture for each, and between its two markers the README's table: the first's.
Without files it writes the texts again from ``docs/peers.json``.
"""

import argparse
import json
import math
import re
import sys
from pathlib import Path

from ..common import NETS
from . import report as reports
from .libraries import PEERS

_DATA, _PAGE = "peers.json", "peers.md"
_BEGIN, _END = "<!-- the table of python -m benchmarks.peers.page -->", "<!-- its end -->"
_INTRODUCTION = """\
# Beside other libraries

The same work in every library, float32: train steps of four nets (ReLU, softmax cross-entropy, Adam), predictions
of one row and of an array, a fresh process to its first trained step, and the memory that training takes. Every
library works in a process of its own and takes turns with fastbp; all start from the same parameters, and losses and
predictions are compared before anything is timed. A figure is the median of its rounds; a ratio is that of each round,
the other's time over fastbp's, with its quartiles in brackets. `fit` and NumPy shuffle and gather their batches, the
others are given them ready made. The floors are what the FLOPs take at the CPU's peak, which is measured beside the
rest, and what the least traffic with memory takes.

    python -m benchmarks.peers --json one.json
    python -m benchmarks.peers --threads all --json all.json
    python -m benchmarks.peers.page one.json all.json

A library that is not installed is left out (`pip install -e ".[peers]"` installs them). KANN is C in no package index,
so it is missing here.
"""
_BRACKETS = """\
Microseconds of a train step and of a predicted row; in brackets how many times as long as fastbp's in "numpy" and in
portable numerics:"""


def _threads(report):
    return "one thread" if report["threads"] == 1 else f"{report['threads']} threads"


def _picture(report):
    return f"peers-{report['threads']}.svg"


def _headed(lines):
    """Return lines whose titles of tables are headings."""
    return [f"### {line[0].upper()}{line[1:]}" if re.match(r"[A-Za-z0-9]", line) else line for line in lines]


def page(found):
    """Return the page about some reports as text."""
    lines = [_INTRODUCTION]
    for report in found:
        lines += [f"## On {_threads(report)}", ""]
        lines += [f"- {name}: {value}" for name, value in reports.facts(report["machine"])]
        lines += [f"- {note}" for note in report["notes"]]
        lines += ["", _BRACKETS, "", *table(report), ""]
        lines += [f"![Time of a train step over fastbp's, {_threads(report)}]({_picture(report)})", ""]
        for what in ("train", "row", "array"):
            lines += _headed(reports.comparison(report, what))
        lines += _headed(reports.fresh(report))
        lines += [""]
    return "\n".join(lines).rstrip() + "\n"


def _columns(records, own):
    """Return {(peer, net): (us, ratios)} and the same for fastbp's numerics."""
    cells = {(r["peer"], r["net"]): (r["us"], [o["ratio"]["median"] for o in r["own"].values()]) for r in records}
    return cells | {(f"fit {n}", net): (us, []) for (_, net, n), us in own.items()}


def table(report):
    """Return the README's table of a report: a row for each library, the fastest first."""
    own = reports.own_times(report["comparisons"])
    records = [r for r in report["comparisons"] if r["peer"] in PEERS]
    train = _columns([r for r in records if r["what"] == "train"], {k: v for k, v in own.items() if k[0] == "train"})
    row = _columns([r for r in records if r["what"] == "row"], {k: v for k, v in own.items() if k[0] == "row"})
    start = {_key(r): r["ms"]["median"] for r in report.get("cold start", ())}
    memory = {_key(r): r["mb"] for r in report.get("memory", ())}
    nets = [net for net in NETS if any(at == net for _, at in train)]

    def cell(found):
        if found is None:
            return ""
        us, ratios = found
        return reports.number(us) + (f" ({', '.join(map(reports.number, ratios))})" if ratios else "")

    def mean(peer):
        logs = [math.log(us) for net in nets if (found := train.get((peer, net))) for us in found[:1]]
        return sum(logs) / len(logs) if len(logs) == len(nets) else math.inf

    rows = []
    for peer in sorted({peer for peer, _ in train}, key=mean):
        figures = [cell(train.get((peer, net))) for net in nets]
        others = [reports.number(v) if v is not None else "" for v in (start.get(peer), memory.get(peer))]
        rows.append([reports.label_of(peer), *figures, cell(row.get((peer, NETS[1]))), *others])
    floors = [reports.number(max(report["floors"][f"train/{net}"].values()) * 1e6) for net in nets]
    rows.append(["the higher floor", *floors, "", "", ""])
    row_of = f"one row of {reports.short(NETS[1], 'row')}"
    header = ["", *map(reports.short, nets), row_of, "first step, ms", "memory, MB"]
    return reports.table(header, rows)


def _key(record):
    return f"{record['peer']} {record['numerics']}" if record["peer"] == "fit" else record["peer"]


def summary(report):
    """Return the README's part: a report's table and what it was measured on."""
    about = report["machine"]
    known = [name for name in ("python", "numpy", "blas", *reports.PACKAGES) if name in about]
    versions = ", ".join(f"{name} {about[name]}" for name in known)
    head = f"On {_threads(report)} of {about['cpu']}, peak {about['peak'] / 1e9:.0f} GFLOP/s; {versions}:"
    return "\n".join([_BEGIN, "", head, "", *table(report), "", _END])


def replace(text, part):
    """Return the README's text with another part between the markers.

    Raises
    ------
    ValueError
        If it does not have the two markers.
    """
    before, found, rest = text.partition(_BEGIN)
    _, ended, after = rest.partition(_END)
    if not (found and ended):
        raise ValueError(f"the README must hold {_BEGIN} and {_END}")
    return before + part + after


def main():
    """Write everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.page", description=__doc__)
    parser.add_argument("reports", nargs="*", type=Path, help="what --json wrote (default: docs/peers.json)")
    parser.add_argument("--root", type=Path, default=Path(), help="the folder of README.md and docs (default: here)")
    options = parser.parse_args()
    docs = options.root / "docs"
    if options.reports:
        found = [json.loads(path.read_text()) for path in options.reports]
        for report in found:
            del report["claims"]
            reports.plot(report, docs / _picture(report))
        (docs / _DATA).write_text(json.dumps(found, indent=1) + "\n")
    else:
        found = json.loads((docs / _DATA).read_text())
    (docs / _PAGE).write_text(page(found))
    readme = options.root / "README.md"
    readme.write_text(replace(readme.read_text(), summary(found[0])))


if __name__ == "__main__":
    sys.exit(main())
