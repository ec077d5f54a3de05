"""What was measured, as tables, as a picture and as the flat figures that claims are about."""

import importlib.metadata
import math
import os

from ..common import NETS
from ..images import ARRAY_IMAGES, IMAGE_NETS
from .image_libraries import IMAGE_PEERS
from .libraries import OWN, PEERS

PACKAGES = ("jax", "torch", "scikit-learn", "tinygrad", "thinc", "autograd")
IMAGE_PACKAGES = ("tensorflow-cpu", "tensorflow", "torch", "jax", "onnxruntime")
_EVERY = {**PEERS, **IMAGE_PEERS}
_TITLES = {"train": "a train step", "row": "prediction of one row", "array": "prediction of a large array"}
_TOUCHED = {"train": "parameters and moments, read and written", "row": "the weights, read", "array": "the array, read"}


def machine(peak, cpus, packages=PACKAGES):
    """Return what the figures were measured on, with the versions of such of the packages as are installed."""
    from fastbp._show_versions import versions

    wanted = ("fastbp", "python", "numpy", "cpu", "kernels", "blas", "advice")
    found = {name: value for name, value in versions().items() if name in wanted}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    load = " ".join(f"{load:.1f}" for load in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    return {**found, "peak": peak.peak, "peak from": peak.source, "cpus": sorted(cpus or ()), "load average": load}


def facts(machine):
    """Return (name, text) of each thing that `machine` tells."""
    return [(name, f"{value / 1e9:.0f} GFLOP/s" if name == "peak" else str(value)) for name, value in machine.items()]


def label_of(key):
    """Return how tables call a peer: its label, and for fastbp the numerics."""
    name, _, numerics = key.partition(" ")
    label = (_EVERY.get(name) or OWN[name]).label
    return f"{label}, {numerics}" if numerics else label


def short(net, what="train"):
    """Return a net's name in tables; a prediction has no batch."""
    layers, batch = net.split(" b")
    return f"{layers}, batch {batch}" if what == "train" else layers


def title(net, what):
    """Return what is measured, in words."""
    if net in IMAGE_NETS and what != "train":
        return "prediction of one image" if what == "row" else f"prediction of {ARRAY_IMAGES} images"
    return _TITLES[what]


def number(value):
    """Return a figure in three digits."""
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def ratio(found):
    """Return a ratio with its quartiles."""
    low, high = found["quartiles"]
    return f"{number(found['median'])} ({number(low)}-{number(high)})"


def table(header, rows):
    """Return the lines of a Markdown table, padded so that it is read as it is."""
    cells = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(header))]

    def line(row):
        return "| " + " | ".join(f"{c:{'<' if k == 0 else '>'}{widths[k]}}" for k, c in enumerate(row)) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [line(cells[0]), line(rule), *map(line, cells[1:])]


def own_times(records):
    """Return fastbp's microseconds by (what, net, numerics): the median over the comparisons with all peers."""
    found = {}
    for record in records:
        for numerics, own in record["own"].items():
            found.setdefault((record["what"], record["net"], numerics), []).append(own["us"])
    return {key: sorted(values)[len(values) // 2] for key, values in found.items()}


def comparison(report, what):
    """Return the lines that show one kind of work: a table for each net, slowest last, floors beside it."""
    records = [record for record in report["comparisons"] if record["what"] == what]
    own, lines = own_times(records), []
    nets = list(dict.fromkeys(record["net"] for record in records))
    for net in nets:
        here = [record for record in records if record["net"] == net]
        floor = report["floors"][f"{what}/{net}"]
        least = max(floor.values()) * 1e6
        numerics = [n for w, at, n in own if (w, at) == (what, net)]
        call, rows = "fit" if what == "train" else "predict", []
        for n in numerics:
            ones, us = ("1" if n == m else "" for m in numerics), own[what, net, n]
            rows.append((f"fastbp {call}, {n}", number(us), *ones, number(us / least), ""))
        for record in sorted(here, key=lambda record: record["us"]):
            ratios = [ratio(record["own"][n]["ratio"]) if n in record["own"] else "" for n in numerics]
            same = "yes" if record["same bits"] else ""
            rows.append((label_of(record["peer"]), number(record["us"]), *ratios, number(record["us"] / least), same))
        rows.append(("floor: FLOPs at the peak", number(floor["flops"] * 1e6), *[""] * len(numerics), "", ""))
        rows.append((f"floor: {_TOUCHED[what]}", number(floor["bytes"] * 1e6), *[""] * len(numerics), "", ""))
        header = ("", "us", *(f"over fastbp, {n}" for n in numerics), "over the higher floor", "fastbp's bits")
        lines += ["", f"{short(net, what)}: {title(net, what)}", "", *table(header, rows)]
    return lines


def fresh(report):
    """Return the lines about fresh processes."""
    lines = []
    if report.get("cold start"):
        rows = [(_fresh_label(r), ratio(r["ms"]), number(r["mb"])) for r in sorted(report["cold start"], key=_by_ms)]
        lines += ["", "From the start of a process to its end, with the first train step of 64-128-10 in between", ""]
        lines += table(("", "ms", "MB at most"), rows)
    if report.get("memory"):
        rows = [(_fresh_label(r), number(r["mb"])) for r in sorted(report["memory"], key=lambda r: r["mb"])]
        lines += ["", "Most memory of a process that trains an epoch of 784-1024-1024-10, batch 256", ""]
        lines += table(("", "MB at most"), rows)
    return lines


def _by_ms(record):
    return record["ms"]["median"]


def _fresh_label(record):
    return label_of(f"{record['peer']} {record['numerics']}" if record["peer"] in OWN else record["peer"])


def others(report):
    """Return the lines about threads and about fastbp by itself."""
    lines = []
    if report.get("threads pay"):
        lines += ["", "fastbp's fit on all CPUs: times as fast as on one", ""]
        rows = [(short(r["net"]), r["numerics"], ratio(r["ratio"])) for r in report["threads pay"]]
        lines += table(("", "numerics", "ratio"), rows)
    if report.get("layers"):
        lines += ["", "Single layers in portable numerics, microseconds", ""]
        peak = report["machine"]["peak"]
        rows = [
            (r["layer"], r["call"], number(r["us"]), number(r["oneDNN us"]), number(r["ratio"]),
             f"{r['flops'] / r['us'] * 1e6 / peak:.0%}")
            for r in report["layers"]
        ]  # fmt: skip
        lines += table(("", "", "fastbp", "torch, oneDNN", "fastbp over it", "of the peak"), rows)
    if own := report.get("own"):
        first = own["startup"]["first step ms"]
        lines += [
            "", f"import fastbp after import numpy: {own['startup']['import ms']:.1f} ms",
            f"a script with a first step: fastbp {first['fastbp']:.0f} ms, plain NumPy {first['numpy']:.0f} ms",
            f"Ctrl-C to KeyboardInterrupt, the slowest: {max(own['interrupt ms']):.0f} ms",
        ]  # fmt: skip
        for net, taken in own["train_on_batch"].items():
            beside, gather = (f"{us:.2f} us" for us in taken.values())
            lines.append(f"{net}: train_on_batch beside its kernels {beside}, the gather of a fit step {gather}")
        peak = {"float32": report["machine"]["peak"], "float64": report["machine"]["peak"] / 2}
        rows = [
            (f"{r['form']} {'x'.join(map(str, r['sizes']))} {r['dtype']}", r["numerics"], number(r["seconds"] * 1e6),
             f"{_share(r, peak):.0%}", number(r["ratio"]))
            for r in own["matmuls"]
        ]  # fmt: skip
        lines += ["", "Matmul kernels (m x k x n)", ""]
        lines += table(("", "numerics", "us", "of the peak", "times as fast as np.matmul"), rows)
    return lines


def _share(record, peak):
    m, k, n = record["sizes"]
    return 2 * m * k * n / record["seconds"] / peak[record["dtype"]]


def figures(report):
    """Return the flat figures that claims are about; see `claims`."""
    found = {}
    for record in report["comparisons"]:
        what = "step" if record["what"] == "train" else record["what"]
        for numerics, own in record["own"].items():
            ratio = own["ratio"]["median"]
            if what == "step":
                found[f"step/{record['net']}/{record['peer']}/{numerics}"] = ratio
            if record["peer"] in _EVERY:
                best = f"{what}/{record['net']}/best/{numerics}"
                found[best] = min(ratio, found.get(best, ratio))
    if report.get("layers"):
        found["layers"] = max(r["ratio"] for r in report["layers"])
    for (what, net, numerics), us in own_times(report["comparisons"]).items():
        floor = report["floors"][f"{what}/{net}"]
        if what == "row":
            found[f"row/{net}/{numerics} us"] = us
            found[f"row/{net}/{numerics} floor"] = us / 1e6 / floor["bytes"]
        elif what == "array":
            found[f"array/{net}/{numerics} peak"] = floor["flops"] / (us / 1e6)
    memory = {(r["peer"], r["numerics"]): r["mb"] for r in report.get("memory", ())}
    for (peer, numerics), mb in memory.items():
        if peer == "fit":
            found |= {f"memory/{numerics}/{other}": mb / more for (other, _), more in memory.items() if other != "fit"}
    found |= {f"threads/{r['net']}/{r['numerics']}": r["ratio"]["median"] for r in report.get("threads pay", ())}
    if own := report.get("own"):
        for net, taken in own["train_on_batch"].items():
            found[f"train_on_batch/{net} us"] = taken["beside its kernels us"] - taken["gather of fit us"]
        found["import ms"], found["first step"] = own["startup"]["import ms"], own["startup"]["first step ratio"]
        found["interrupt ms"] = max(own["interrupt ms"])
        peak = {"float32": report["machine"]["peak"], "float64": report["machine"]["peak"] / 2}
        for r in own["matmuls"]:
            where = f"matmul/{r['form']}/{'x'.join(map(str, r['sizes']))}/{r['dtype']}/{r['numerics']}"
            found[f"{where} peak"], found[f"{where} numpy"] = _share(r, peak), r["ratio"]
    return found


def plot(report, path):
    """Draw the ratios of train steps with their quartiles, a panel for each net; needs matplotlib."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    records = [r for r in report["comparisons"] if r["what"] == "train" and r["peer"] in _EVERY]
    nets = [net for net in (*NETS, *IMAGE_NETS) if any(r["net"] == net for r in records)]
    peers = [name for name in _EVERY if any(r["peer"] == name for r in records)]
    size = (2.2 + 3.1 * len(nets), 1.5 + 0.4 * len(peers))
    figure, axes = plt.subplots(1, len(nets), figsize=size, sharey=True, squeeze=False)
    for panel, net in zip(axes[0], nets, strict=True):
        # color, rows below the middle, where the figure stands
        styles = {"numpy": ("tab:blue", -0.08, (0, 4)), "portable": ("tab:orange", 0.14, (0, -11))}
        for numerics, (color, shift, above) in styles.items():
            points = [
                (peers.index(r["peer"]) + shift, r["own"][numerics]["ratio"])
                for r in records
                if r["net"] == net and numerics in r["own"]
            ]
            if not points:
                continue
            rows, medians = [row for row, _ in points], [found["median"] for _, found in points]
            off = [[abs(found["quartiles"][k] - found["median"]) for _, found in points] for k in (0, 1)]
            label = f'fastbp, numerics "{numerics}"'
            panel.errorbar(medians, rows, xerr=off, fmt="o", ms=4, capsize=3, color=color, label=label)
            for at, row in zip(medians, rows, strict=True):
                style = {"textcoords": "offset points", "ha": "center", "fontsize": 7, "color": color}
                panel.annotate(number(at), (at, row), above, **style)
        panel.axvline(1, color="black", lw=1)
        panel.set_xscale("log")
        low, high = panel.get_xlim()
        panel.set_xlim(min(low, 0.7), max(high, 2) * 1.3)
        low, high = panel.get_xlim()
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
        steps = (1, 2, 5) if high / low < 50 else (1,)
        ticks = [step * 10**decade for decade in decades for step in steps if low < step * 10**decade < high]
        panel.set_xticks(ticks, [f"{tick:g}x" for tick in ticks], fontsize=8)
        panel.minorticks_off()
        panel.set_title(short(net), fontsize=10)
        panel.grid(axis="x", alpha=0.4)
    axes[0, 0].set_yticks(range(len(peers)), [_EVERY[peer].label for peer in peers])
    axes[0, 0].set_ylim(len(peers) - 0.4, -0.7)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="lower right", ncols=2, fontsize=8, frameon=False)
    threads = f"{report['threads']} thread{'s' * (report['threads'] > 1)}"
    title = "Time of a train step over fastbp's: median and quartiles of rounds"
    figure.suptitle(f"{title}, {threads}, {report['machine']['cpu']}", fontsize=11)
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    save(figure, path)


def save(figure, path):
    """Write a picture and close it: the same figures are the same file, without a date and with fixed ids."""
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "fastbp"
    figure.savefig(path, dpi=130, metadata={"Date": None} if str(path).endswith(".svg") else None)
    plt.close(figure)
