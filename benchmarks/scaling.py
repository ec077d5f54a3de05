"""How the cost grows: ``python -m benchmarks.scaling``.

Time of a train step over width, batch and depth, fastbp beside NumPy, JAX and torch as far as installed, each in a
process of its own and in turns. Prints a Markdown table for each, and draws them with ``--plot``.
"""

import argparse
import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from .common import numerics
from .peers.floor import Machine, flops
from .peers.libraries import PEERS
from .peers.measure import Disagreement, Session, agree, measurable, rounds
from .peers.processes import pin
from .peers.report import number, table

#: What grows, over which values, and the net at each.
SWEEPS = {
    "width": ((8, 16, 32, 64, 128, 256, 512, 1024, 2048), "64-{0}-{0}-10 b64"),
    "batch": ((1, 4, 16, 64, 256, 1024, 4096), "64-128-128-10 b{0}"),
    "depth": ((1, 2, 4, 8, 16, 32, 64), "64-{1}10 b32"),
}
_HIDDEN = 64
_PEERS = ("numpy", "jax", "jax_scan", "torch")
# deep nets lose the digits that libraries share within a few steps
_COMPARED_STEPS = 4
# a color for each library; a dashed line for its slower form
_STYLES = {
    "fastbp numpy": ("tab:blue", "-"), "fastbp portable": ("tab:cyan", "-"), "numpy": ("tab:gray", "-"),
    "jax_scan": ("tab:green", "-"), "jax": ("tab:green", "--"), "torch": ("tab:red", "-"),
}  # fmt: skip


def net_of(sweep, value):
    """Return the net of one point."""
    return SWEEPS[sweep][1].format(value, f"{_HIDDEN}-" * value)


def form_of(sweep):
    """Return what a sweep varies, in words."""
    layers, batch = SWEEPS[sweep][1].format("N", f"{_HIDDEN}-...-").split(" b")
    return f"{layers}, batch {batch}"


def label_of(name):
    """Return how table and picture call a library."""
    return name if name.startswith("fastbp") else PEERS[name].label


def measure(session, peers, sweep, tell):
    """Yield a dict for each point of a sweep: "sweep", "value", "net", "us": {name: microseconds of a step}."""
    with ExitStack() as stack:
        workers = {f"fastbp {n}": stack.enter_context(session.worker("fit", n)) for n in session.numerics}
        workers |= {name: stack.enter_context(session.worker(name)) for name in peers}
        for value in SWEEPS[sweep][0]:
            net = net_of(sweep, value)
            try:
                found = {name: worker.ask("prepare", what="train", net=net) for name, worker in workers.items()}
                agree("train", net, {name: losses[:_COMPARED_STEPS] for name, losses in found.items()})
            except Disagreement as error:
                tell(str(error))
                continue
            taken = rounds(workers, session.rounds, session.seconds, session.pause, session.threads == 1)
            us = {name: float(np.median(seconds)) * 1e6 for name, seconds in taken.items()}
            print(f"measured {sweep} {value}", file=sys.stderr, flush=True)
            yield {"sweep": sweep, "value": value, "net": net, "us": us}


def lines_of(points, machine):
    """Return a sweep's Markdown table."""
    names = list(points[0]["us"])
    header = (points[0]["sweep"], *(label_of(name) for name in names), "floor: FLOPs at the peak")
    rows = [
        (p["value"], *(number(p["us"][name]) for name in names), number(flops("train", p["net"]) / machine.peak * 1e6))
        for p in points
    ]
    return table(header, rows)


def plot(points, machine, title, path):
    """Draw a panel for each sweep; needs matplotlib."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    sweeps = list(dict.fromkeys(p["sweep"] for p in points))
    figure, axes = plt.subplots(1, len(sweeps), figsize=(1 + 4.6 * len(sweeps), 4.8), squeeze=False)
    for panel, sweep in zip(axes[0], sweeps, strict=True):
        here = [p for p in points if p["sweep"] == sweep]
        values = [p["value"] for p in here]
        for name in here[0]["us"]:
            color, line = _STYLES[name]
            width = 2.2 if name.startswith("fastbp") else 1.4
            us = [p["us"][name] for p in here]
            panel.plot(values, us, line, color=color, lw=width, marker="o", ms=3.5, label=label_of(name))
        floor = [flops("train", p["net"]) / machine.peak * 1e6 for p in here]
        panel.plot(values, floor, ":", color="black", lw=1, label="floor: FLOPs at the peak")
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xticks(values, [str(value) for value in values])
        panel.minorticks_off()
        panel.grid(alpha=0.35)
        panel.set_xlabel(sweep)
        panel.set_title(form_of(sweep), fontsize=10)
    axes[0, 0].set_ylabel("microseconds of a train step")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(labels), fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=11)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main():
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--sweeps", default=",".join(SWEEPS), help=f"of {', '.join(SWEEPS)} (default: all)")
    parser.add_argument("--peers", default=",".join(_PEERS), help=f"of {', '.join(_PEERS)} (default: all)")
    parser.add_argument("--threads", choices=("1", "all"), default="1", help="default: 1, on one CPU")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (default 5)")
    parser.add_argument("--seconds", type=float, default=0.05, help="of a turn (default 0.05)")
    parser.add_argument("--table", help="write the tables to this file, too")
    parser.add_argument("--json", help="write the points to this file")
    parser.add_argument("--plot", help="draw into this file; needs matplotlib")
    options = parser.parse_args()
    for name, known in (("sweeps", SWEEPS), ("peers", _PEERS)):
        if unknown := set(getattr(options, name).split(",")) - set(known):
            parser.error(f"--{name}: there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    every = pin(None)
    one = options.threads == "1"
    cpus, threads = ({max(every)} if one and every else every), (1 if one else len(every) if every else os.cpu_count())
    session = Session(numerics(), threads, cpus, options.rounds, options.seconds)
    pin(cpus)
    machine = Machine(threads)
    pin(every)
    notes, points, text = [], [], []
    peers = measurable(options.peers.split(","), notes.append)
    for sweep in options.sweeps.split(","):
        here = list(measure(session, peers, sweep, notes.append))
        points += here
        text += [f"Microseconds of a train step by {sweep}: {form_of(sweep)}", "", *lines_of(here, machine), ""]
    title = f"Time of a train step: float32, Adam, softmax cross-entropy, {threads} thread{'s' * (threads > 1)}"
    text += [f"({note})" for note in notes]
    print("\n".join([title, "", *text]))
    if options.table:
        Path(options.table).write_text("\n".join([title, "", *text]) + "\n")
    if options.json:
        Path(options.json).write_text(json.dumps({"peak": machine.peak, "points": points}, indent=2) + "\n")
    if options.plot:
        plot(points, machine, title, options.plot)


if __name__ == "__main__":
    main()
