"""How the cost grows: ``python -m benchmarks.scaling``.

Time of a train step over width, batch and depth, fastbp beside NumPy, JAX and torch as far as installed, each in a
process of its own and in turns. Prints a page in Markdown, with a picture where ``--plot`` draws one.
`docs/scaling.md` is such a page.
"""

import argparse
import json
import os
import shlex
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from .common import HIDDEN, SWEEPS, net_of, numerics
from .peers.floor import Machine, flops
from .peers.libraries import PEERS
from .peers.measure import Disagreement, Session, agree, measurable, rounds
from .peers.processes import pin
from .peers.report import facts, machine, number, save, table

_PEERS = ("numpy", "jax", "jax_scan", "torch")
# deep nets lose the digits that libraries share within a few steps
_COMPARED_STEPS = 4
_ABOUT = """\
{title}. Every library works in a process of its own
and takes turns with the others, after its losses of the first {steps} steps were compared; medians of {rounds} turns
of some {seconds:g} s. fastbp's `fit` and NumPy shuffle and gather their batches, the others are given them ready made.
The floor is what the FLOPs of the matrix products alone take at the peak."""
# a color for each library; a dashed line for its slower form
_STYLES = {
    "fastbp numpy": ("tab:blue", "-"), "fastbp portable": ("tab:cyan", "-"), "numpy": ("tab:gray", "-"),
    "jax_scan": ("tab:green", "-"), "jax": ("tab:green", "--"), "torch": ("tab:red", "-"),
}  # fmt: skip


def form_of(sweep):
    """Return what a sweep varies, in words."""
    layers, batch = SWEEPS[sweep][1].format("N", f"{HIDDEN}-...-").split(" b")
    return f"{layers}, batch {batch}"


def label_of(name):
    """Return how table and picture call a library."""
    return name if name.startswith("fastbp") else PEERS[name].label


def measure(session, peers, sweep, most, tell):
    """Yield a dict for each point of a sweep: "sweep", "value", "net", "us": {name: microseconds of a step}."""
    with ExitStack() as stack:
        workers = {f"fastbp {n}": stack.enter_context(session.worker("fit", n)) for n in session.numerics}
        workers |= {name: stack.enter_context(session.worker(name)) for name in peers}
        for value in (v for v in SWEEPS[sweep][0] if v <= most):
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


def lines_of(points, peak):
    """Return a sweep's Markdown table."""
    names = list(points[0]["us"])
    header = (points[0]["sweep"], *(label_of(name) for name in names), "floor: FLOPs at the peak")
    rows = [
        (p["value"], *(number(p["us"][name]) for name in names), number(flops("train", p["net"]) / peak * 1e6))
        for p in points
    ]
    return table(header, rows)


def page(title, points, session, found, notes, picture):
    """Return all that was measured as the lines of a Markdown page."""
    about = _ABOUT.format(title=title, steps=_COMPARED_STEPS, rounds=session.rounds, seconds=session.seconds)
    command = shlex.join(["python", "-m", "benchmarks.scaling", *sys.argv[1:]])
    lines = ["# Cost as work grows", "", *about.split("\n"), "", f"    {command}", ""]
    lines += [f"- {name}: {text}" for name, text in facts(found)]
    lines += [f"- {note}" for note in notes]
    if picture:
        lines += ["", f"![{title}]({picture})"]
    for sweep in dict.fromkeys(p["sweep"] for p in points):
        here = [p for p in points if p["sweep"] == sweep]
        lines += ["", f"Microseconds of a train step by {sweep}: {form_of(sweep)}", "", *lines_of(here, found["peak"])]
    return lines


def plot(points, peak, title, path):
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
        floor = [flops("train", p["net"]) / peak * 1e6 for p in here]
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
    save(figure, path)


def arguments():
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--sweeps", default=",".join(SWEEPS), help=f"of {', '.join(SWEEPS)} (default: all)")
    parser.add_argument("--peers", default=",".join(_PEERS), help=f"of {', '.join(_PEERS)} (default: all)")
    parser.add_argument("--threads", choices=("1", "all"), default="1", help="default: 1, on one CPU")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (default 5)")
    parser.add_argument("--seconds", type=float, default=0.05, help="of a turn (default 0.05)")
    parser.add_argument("--most", type=int, default=sys.maxsize, help="of width, batch and depth (default: no limit)")
    parser.add_argument("--markdown", help="write the page to this file, too")
    parser.add_argument("--json", help="write the points to this file")
    parser.add_argument("--plot", help="draw into this file (.svg, .png); needs matplotlib")
    options = parser.parse_args()
    for name, known in (("sweeps", SWEEPS), ("peers", _PEERS)):
        if unknown := set(getattr(options, name).split(",")) - set(known):
            parser.error(f"--{name}: there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    # now, and not after minutes
    for file in filter(None, (options.markdown, options.json, options.plot)):
        if not Path(file).parent.is_dir():
            parser.error(f"there is no folder {Path(file).parent}")
    if options.plot and find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib")
    return options


def main():
    """Measure, print, draw."""
    options = arguments()
    every = pin(None)
    one = options.threads == "1"
    cpus, threads = ({max(every)} if one and every else every), (1 if one else len(every) if every else os.cpu_count())
    session = Session(numerics(), threads, cpus, options.rounds, options.seconds)
    notes, points = [], []
    peers = measurable(options.peers.split(","), notes.append)
    pin(cpus)
    found = machine(Machine(threads), cpus, [package for name in peers for package in PEERS[name].packages])
    pin(every)
    for sweep in options.sweeps.split(","):
        points += measure(session, peers, sweep, options.most, notes.append)
    title = f"Time of a train step: float32, Adam, softmax cross-entropy, {threads} thread{'s' * (threads > 1)}"
    picture = options.plot and os.path.relpath(options.plot, os.path.dirname(options.markdown or ""))
    text = "\n".join(page(title, points, session, found, notes, picture))
    print(text)
    if options.markdown:
        Path(options.markdown).write_text(text + "\n")
    if options.json:
        Path(options.json).write_text(json.dumps({"machine": found, "points": points}, indent=2) + "\n")
    if options.plot:
        plot(points, found["peak"], title, options.plot)


if __name__ == "__main__":
    main()
