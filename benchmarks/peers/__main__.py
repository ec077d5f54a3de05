"""Run fastbp beside other libraries: ``python -m benchmarks.peers``.

Every library works in a process of its own and takes turns with fastbp; what they compute is compared before
anything is timed. Prints Markdown tables. A library that is not installed is named and skipped.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from ..common import NETS, numerics, run_python
from ..images import IMAGE_NETS
from . import report as reports
from .claims import CLAIMS, IMAGE_CLAIMS
from .floor import Machine, floors
from .image_libraries import IMAGE_PEERS, KEPT
from .libraries import OWN, PEERS
from .measure import Session, measurable
from .processes import pin

_WHAT = ("train", "row", "array", "start", "memory", "threads", "own")
_WHAT_OF_IMAGES = ("train", "row", "array", "threads", "layers")
#: The nets whose predictions are measured.
_PREDICTED = (*NETS[1:3], IMAGE_NETS[0])


def _chosen(parser, option, text, known):
    names = list(known) if text == "all" else text.split(",")
    if unknown := [name for name in names if name not in known]:
        parser.error(f"argument --{option}: there is no {', '.join(unknown)}; there are {', '.join(known)}")
    return names


def arguments():
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--images", action="store_true", help="nets of images, and the libraries that have them")
    known = {
        "peers": (PEERS, IMAGE_PEERS), "nets": (NETS, IMAGE_NETS), "what": (_WHAT, _WHAT_OF_IMAGES),
    }  # fmt: skip
    for name, (dense, images) in known.items():
        text = f"of {', '.join(dense)}, with --images of {', '.join(images)} (default: all)"
        parser.add_argument(f"--{name}", default="all", help=text)
    parser.add_argument("--threads", choices=("1", "all"), default="1", help="default: 1, on one CPU")
    parser.add_argument("--rounds", type=int, default=11, help="turns of each (default 11)")
    parser.add_argument("--seconds", type=float, default=0.1, help="of a turn (default 0.1)")
    parser.add_argument("--cpu", type=int, help="the CPU of one thread (default: the last one that is allowed)")
    parser.add_argument("--claims", action="store_true", help="judge the claims; exit with 1 if a measured one fails")
    parser.add_argument("--allowance", type=float, default=0.0, help="fraction of a limit to forgive (default 0)")
    parser.add_argument("--json", help="write everything to this file")
    parser.add_argument("--plot", help="draw the ratios of train steps into this file; needs matplotlib")
    options = parser.parse_args()
    for name, families in known.items():
        setattr(options, name, _chosen(parser, name, getattr(options, name), families[options.images]))
    return options


def main():
    """Measure, print, and judge."""
    options = arguments()
    notes = []

    def tell(text):
        notes.append(text)
        print(f"({text})", flush=True)

    every = pin(None)
    cpus, threads = every, len(every) if every else os.cpu_count()
    if options.threads == "1":
        threads = 1
        cpus = {max(every) if options.cpu is None else options.cpu} if every else None
    session = Session(numerics(), threads, cpus, options.rounds, options.seconds)
    before = pin(cpus)
    peak = Machine(threads)
    report = {
        "machine": reports.machine(peak, cpus, reports.IMAGE_PACKAGES if options.images else reports.PACKAGES),
        "images": options.images, "threads": threads, "rounds": options.rounds,
        "numerics": session.numerics, "notes": notes, "comparisons": [], "floors": {},
    }  # fmt: skip
    pin(before)
    for name, value in reports.facts(report["machine"]):
        print(f"{name:<14} {value}")
    known = ", ".join(session.numerics)
    print(f"\nfloat32, Adam, softmax cross-entropy, {threads} thread(s), fastbp numerics: {known}.")
    print(f"Medians of {options.rounds} rounds; a ratio is that of a round, with its quartiles.", flush=True)

    tasks = [("train", net) for net in options.nets if "train" in options.what]
    predicted = [net for net in _PREDICTED if not options.images or net in options.nets]
    predicted = [net for net in predicted if (net in IMAGE_NETS) == options.images]
    tasks += [(what, net) for what in ("row", "array") if what in options.what for net in predicted]
    peers = measurable(options.peers, tell)
    if tasks:
        pin(cpus)
        report["floors"] = {f"{what}/{net}": floors(what, net, peak) for what, net in tasks}
        pin(before)
        for name in (*([] if options.images else list(OWN)[1:]), *peers):
            report["comparisons"] += session.compare(name, tasks, tell)
            print(f"measured {name}", file=sys.stderr, flush=True)
        for what in ("train", "row", "array"):
            print("\n".join(reports.comparison(report, what)), flush=True)
    jobs = [*(("fit", n) for n in session.numerics), *((name, "numpy") for name in peers)]
    if "start" in options.what:
        report["cold start"] = session.fresh(jobs, NETS[1], 1, max(3, options.rounds // 3))
    if "memory" in options.what:
        report["memory"] = session.fresh(jobs, NETS[3], 8, 0)
    print("\n".join(reports.fresh(report)), flush=True)
    if "threads" in options.what and every and len(every) > 1:
        report["threads pay"] = list(session.threads_pay(options.nets, every, tell))
    if "own" in options.what:
        pin(cpus)
        report["own"] = json.loads(run_python("-m", "benchmarks.peers.own", str(options.rounds)))
        pin(before)
    if "layers" in options.what and "torch_images" in peers:
        pin(cpus)
        report["layers"] = json.loads(run_python("-m", "benchmarks.peers.convolutions", str(options.rounds), **KEPT))
        pin(before)
    print("\n".join(reports.others(report)), flush=True)

    figures = reports.figures(report)
    claims = IMAGE_CLAIMS if options.images else CLAIMS
    verdicts = {claim: claim.holds(figures, options.allowance) for claim in claims}
    report["claims"] = [
        {**claim._asdict(), "value": figures.get(claim.key), "holds": holds} for claim, holds in verdicts.items()
    ]
    if options.claims:
        print(f"\nClaims (allowance {options.allowance:.0%})")
        for claim in claims:
            print(f"  {claim.line(figures, options.allowance)}")
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n")
    if options.plot:
        reports.plot(report, options.plot)
    return int(options.claims and False in verdicts.values())


if __name__ == "__main__":
    sys.exit(main())
