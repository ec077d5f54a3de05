"""The page that shows fastbp beside other libraries: ``python -m benchmarks.peers.page ONE.json ALL.json``.

It takes what ``python -m benchmarks.peers --json FILE`` measured (on one thread, on all, nets of images) and writes
``docs/peers.json``, ``docs/peers.md``, a picture for each, and between its two markers the README's tables: that of
the first, and of images.
Without files it writes the texts again from ``docs/peers.json``.
"""

import argparse
import json
import math
import re
import sys
from pathlib import Path

from ..common import NETS
from ..images import ARRAY_IMAGES, IMAGE_NETS
from . import report as reports
from .image_libraries import IMAGE_PEERS
from .libraries import PEERS

_DATA, _PAGE = "peers.json", "peers.md"
_BEGIN, _END = "<!-- the table of python -m benchmarks.peers.page -->", "<!-- its end -->"
_INTRODUCTION = """\
# Beside other libraries

The same work in every library, float32: train steps of four nets (ReLU, softmax cross-entropy, Adam), predictions
of one row and of an array, a fresh process to its first trained step, and the memory that training takes. Every
library works in a process of its own and takes turns with fastbp; all start from the same parameters, and losses and
predictions are compared before anything is timed. A figure is the median of its rounds; a ratio is that of each round,
the other's time over fastbp's, with its quartiles in brackets. On one thread it is the CPU's time, which other
processes do not lengthen. `fit` and NumPy shuffle and gather their batches, the
others are given them ready made. The floors are what the FLOPs take at the CPU's peak, which is measured beside the
rest, and what the least traffic with memory takes.

    python -m benchmarks.peers --json one.json
    python -m benchmarks.peers --threads all --json all.json
    python -m benchmarks.peers --images --json images.json
    python -m benchmarks.peers.page one.json all.json images.json

A library that is not installed is left out (`pip install -e ".[peers]"` installs them). KANN is C in no package index,
so it is missing here.
"""
_OF_IMAGES = """
Nets of images, channels last, Adam, softmax cross-entropy: LeNet-5 on 28x28x1, and on 32x32x3 a small VGG
(32-32-pool-64-64-pool-128-10), ResNet-20 with batch norm and a depthwise separable net with batch norm. fastbp's
figures are of `fit`, which shuffles, gathers and checks; the others have their batches ready made, in the layout that
suits them. By default glibc gives memory that a step frees back to the system, and the next step faults it in again:
"memory kept" is with `MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=67108864`.
"""
_BRACKETS = """\
Microseconds of a train step and of a predicted row; in brackets how many times as long as fastbp's in "numpy" and in
portable numerics:"""


def _threads(report):
    return "one thread" if report["threads"] == 1 else f"{report['threads']} threads"


def _picture(report):
    return f"{'images' if report.get('images') else 'peers'}-{report['threads']}.svg"


def _headed(lines):
    """Return lines whose titles of tables are headings."""
    return [f"### {line[0].upper()}{line[1:]}" if re.match(r"[A-Za-z0-9]", line) else line for line in lines]


def page(found):
    """Return the page about some reports as text."""
    lines = [_INTRODUCTION]
    for report in found:
        images = report.get("images")
        lines += [f"## Nets of images, on {_threads(report)}" if images else f"## On {_threads(report)}"]
        lines += [_OF_IMAGES if images else ""]
        lines += [f"- {name}: {value}" for name, value in reports.facts(report["machine"])]
        lines += [f"- {note}" for note in report["notes"]]
        lines += ["", _BRACKETS, "", *(table_of_images if images else table)(report), ""]
        lines += [f"![Time of a train step over fastbp's, {_threads(report)}]({_picture(report)})", ""]
        for what in ("train", "row", "array"):
            lines += _headed(reports.comparison(report, what))
        lines += _headed(reports.fresh(report))
        lines += _headed(reports.others(report)) if images else []
        lines += [""]
    return "\n".join(lines).rstrip() + "\n"


def _columns(records, own):
    """Return {(peer, net): (us, ratios)} and the same for fastbp's numerics."""
    cells = {(r["peer"], r["net"]): (r["us"], [o["ratio"]["median"] for o in r["own"].values()]) for r in records}
    return cells | {(f"fit {n}", net): (us, []) for (_, net, n), us in own.items()}


def _cell(found):
    if found is None:
        return ""
    us, ratios = found
    return reports.number(us) + (f" ({', '.join(map(reports.number, ratios))})" if ratios else "")


def _mean(train, nets, peer):
    """Return what libraries are sorted by: the mean of the logarithms of their steps."""
    logs = [math.log(us) for net in nets if (found := train.get((peer, net))) for us in found[:1]]
    return sum(logs) / len(logs) if len(logs) == len(nets) else math.inf


def _cells(report, what, peers):
    own = {key: us for key, us in reports.own_times(report["comparisons"]).items() if key[0] == what}
    return _columns([r for r in report["comparisons"] if r["what"] == what and r["peer"] in peers], own)


def table_of_images(report):
    """Return the same table of nets of images: train steps, and predictions of the first net."""
    train, row, array = (_cells(report, what, IMAGE_PEERS) for what in ("train", "row", "array"))
    nets = [net for net in IMAGE_NETS if any(at == net for _, at in train)]
    first, rows = IMAGE_NETS[0], []
    # in the order of their names where they have no mean
    for peer in sorted(sorted({peer for peer, _ in (*train, *row)}), key=lambda peer: _mean(train, nets, peer)):
        figures = [_cell(train.get((peer, net))) for net in nets]
        rows.append([reports.label_of(peer), *figures, *(_cell(cells.get((peer, first))) for cells in (row, array))])
    keys = [*(f"train/{net}" for net in nets), f"row/{first}", f"array/{first}"]
    floors = [reports.number(max(found.values()) * 1e6) if (found := report["floors"].get(key)) else "" for key in keys]
    name = reports.short(first, "row")
    header = ["", *map(reports.short, nets), f"one image, {name}", f"{ARRAY_IMAGES} images, {name}"]
    return reports.table(header, [*rows, ["the higher floor", *floors]])


def table(report):
    """Return the README's table of a report: a row for each library, the fastest first."""
    train, row = (_cells(report, what, PEERS) for what in ("train", "row"))
    start = {_key(r): r["ms"]["median"] for r in report.get("cold start", ())}
    memory = {_key(r): r["mb"] for r in report.get("memory", ())}
    nets = [net for net in NETS if any(at == net for _, at in train)]
    rows = []
    for peer in sorted({peer for peer, _ in train}, key=lambda peer: _mean(train, nets, peer)):
        figures = [_cell(train.get((peer, net))) for net in nets]
        others = [reports.number(v) if v is not None else "" for v in (start.get(peer), memory.get(peer))]
        rows.append([reports.label_of(peer), *figures, _cell(row.get((peer, NETS[1]))), *others])
    floors = [reports.number(max(report["floors"][f"train/{net}"].values()) * 1e6) for net in nets]
    rows.append(["the higher floor", *floors, "", "", ""])
    row_of = f"one row of {reports.short(NETS[1], 'row')}"
    header = ["", *map(reports.short, nets), row_of, "first step, ms", "memory, MB"]
    return reports.table(header, rows)


def _key(record):
    return f"{record['peer']} {record['numerics']}" if record["peer"] == "fit" else record["peer"]


def summary(found):
    """Return the README's part: the first report's table, that of images, and what they were measured on."""
    lines = []
    for report in [*found[:1], *(r for r in found[1:] if r.get("images"))]:
        about, packages = report["machine"], reports.IMAGE_PACKAGES if report.get("images") else reports.PACKAGES
        known = [name for name in ("python", "numpy", "blas", *packages) if name in about]
        versions = ", ".join(f"{name} {about[name]}" for name in known)
        what = "Nets of images, on" if report.get("images") else "On"
        head = f"{what} {_threads(report)} of {about['cpu']}, peak {about['peak'] / 1e9:.0f} GFLOP/s; {versions}:"
        lines += [head, "", *(table_of_images if report.get("images") else table)(report), ""]
    return "\n".join([_BEGIN, "", *lines, _END])


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
    readme.write_text(replace(readme.read_text(), summary(found)))


if __name__ == "__main__":
    sys.exit(main())
