"""What notebooks show: tables and curves in HTML, pictures, and bars."""

import importlib.util
import math
import os
import re
import subprocess
import sys
import textwrap
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

import fastbp
from fastbp import BlameLog, Dense, Evaluation, History, Sequential
from fastbp.html import chart, listed, table

RNG = np.random.default_rng(5)
X = RNG.normal(size=(64, 6)).astype(np.float32)
Y = RNG.integers(3, size=64)
NASTY = "<script>alert('&amp;\"')</script>"


class Cells(HTMLParser):
    """Collects the text of cells by rows, that of list items, and tags that are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.items, self.tags, self.open = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "li":
            self.items.append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & {*self.open}:
            self.rows[-1][-1] += data
        elif "li" in self.open:
            self.items[-1] += data


def shown(value):
    """Return what a notebook shows of an object, which is well-formed XML and leaves colours to the page."""
    text = value._repr_html_()
    ElementTree.fromstring(f"<div>{text}</div>")
    assert not re.search(r"background|black|white;|<style|<script|id=", text)
    return Cells(text)


def trained(epochs=3, metrics=("accuracy",), **options):
    model = Sequential([Dense(8, activation="relu"), Dense(3)], seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", list(metrics))
    model.fit(X, Y, epochs=epochs, seed=0, verbose=0, **options)
    return model


# ------------------------------------------------------------------------------------------ elements
def test_text_is_escaped():
    for cells in (Cells(table([(NASTY, "n"), ("x", NASTY)], NASTY)), Cells(listed([NASTY]))):
        assert "script" not in cells.tags
        assert NASTY in (cells.rows[0][0] if cells.rows else cells.items[0])
    drawn = chart([(NASTY, [1, 2], [0.0, 1.0], False)], NASTY)
    assert "script" not in Cells(drawn).tags
    assert NASTY in ElementTree.fromstring(drawn).get("aria-label")
    found = shown(Evaluation({"loss": 0.5, NASTY: 1.0}))
    assert found.rows[2] == [NASTY, "1"] and "script" not in found.tags


def test_columns_of_numbers_are_aligned_right():
    text = table([("name", "n", "what"), ("1", "1,234", "a"), ("2", "5.1%", "3")])
    assert re.findall(r"<td style=\"text-align:(\w+)", text) == ["left", "right", "left"] * 2


def points_of(text):
    found = ElementTree.fromstring(text)
    lines = [e for e in found.iter() if e.tag.endswith("polyline")]
    return [[tuple(map(float, pair.split(","))) for pair in line.get("points").split()] for line in lines]


def test_curves_lie_within_the_picture():
    for ys in (
        [0.0, 1.0, 0.5], [3.0, 3.0, 3.0], [0.0, 0.0, 0.0], [-1e300, 1e308, -1.7e308], [1e-320, 0.0, 1e-310], [5.0],
        [math.nan, 2.0, math.inf],
    ):  # fmt: skip
        (points,) = points_of(chart([("loss", range(1, len(ys) + 1), ys, False)], "epoch", 300, 100))
        finite = sum(map(math.isfinite, ys))
        assert len(points) == max(finite, 2)
        assert all(0 <= x <= 300 and 0 <= y <= 100 for x, y in points)
    (points,) = points_of(chart([("loss", [1, 2, 3], [0.0, 1.0, 0.5], False)], "epoch", 300, 100))
    assert points[0][1] > points[2][1] > points[1][1] and points[0][0] < points[1][0] < points[2][0]
    assert chart([], "epoch") == chart([("loss", [1, 2], [math.nan, math.nan], False)], "epoch") == ""


def test_a_long_curve_keeps_its_peaks():
    ys = np.zeros(100_000)
    ys[[777, 50_000, 99_999]] = 1, -1, 0.5
    (points,) = points_of(chart([("loss", range(100_000), ys.tolist(), False)], "epoch"))
    heights = [y for _, y in points]
    assert len(points) <= 800 and heights.count(min(heights)) == heights.count(max(heights)) == 1
    assert [x for x, _ in points] == sorted(x for x, _ in points)


def test_colours_are_legible_on_black_and_on_white():
    from fastbp.html import COLOURS

    for colour in COLOURS:
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        # WCAG 2: graphics need a contrast of 3
        assert min((luminance + 0.05) / 0.05, 1.05 / (luminance + 0.05)) >= 3, colour


# ------------------------------------------------------------------------------------------ objects
def test_a_model():
    model = Sequential([Dense(8, activation="relu"), Dense(3)], seed=0)
    assert shown(model).rows[1:] == [["dense_1", "Dense(relu)", "?", "?"], ["dense_2", "Dense(identity)", "?", "?"]]
    assert "not known yet" in model._repr_html_()
    model.build(6)
    assert shown(model).rows == [
        ["layer", "kind", "output", "parameters"],
        ["dense_1", "Dense(relu)", "(None, 8)", "56"],
        ["dense_2", "Dense(identity)", "(None, 3)", "27"],
    ]
    assert "83 parameters, 332 bytes in float32" in model._repr_html_()
    assert shown(Sequential()).rows == [["layer", "kind", "output", "parameters"]]
    impossible = Sequential()
    impossible.add(Dense(2, input_shape=3))
    impossible.add(fastbp.Reshape((7,)))
    assert shown(impossible).rows[2][2] == "?" and "cannot be one of (7,)" in impossible._repr_html_()


def test_the_summary_says_the_same(capsys):
    model = trained(1)
    model.summary()
    lines = [re.split(r" {2,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    assert lines[:-1] == shown(model).rows
    assert lines[-1][0] in model._repr_html_()


def test_a_history():
    history = trained(4, validation_data=(X[:20], Y[:20]), validation_freq=2).history
    found = shown(history)
    assert found.rows[0] == ["", "last", "best", "in epoch"] and found.tags.count("svg") == 2
    by_name = {row[0]: row[1:] for row in found.rows[1:]}
    assert by_name.keys() == {"loss", "accuracy", "val_loss", "val_accuracy"}
    losses, accuracies = history.history["loss"], history.history["accuracy"]
    assert by_name["loss"] == [f"{losses[-1]:.4g}", f"{min(losses):.4g}", str(1 + losses.index(min(losses)))]
    assert by_name["accuracy"][1:] == [f"{max(accuracies):.4g}", str(1 + accuracies.index(max(accuracies)))]
    assert by_name["val_loss"][2] in ("2", "4")
    assert repr(history) == "<History of 4 epochs: loss, accuracy, val_loss, val_accuracy>"
    assert shown(History()).rows == [["", "last", "best", "in epoch"]] and repr(History()) == "<History of 0 epochs>"
    decay = fastbp.schedules.CosineDecay(0.1, 20)
    model = trained(1)
    model.compile(fastbp.optimizers.SGD(decay), "sparse_categorical_crossentropy")
    rates = shown(model.fit(X, Y, epochs=2, verbose=0))
    assert rates.rows[2][0] == "lr" and rates.rows[2][2:] == ["", ""]


def test_an_evaluation():
    model = trained(metrics=["accuracy", "confusion_matrix"])
    found = model.evaluate(X, Y)
    assert shown(found).rows[1:] == [
        ["loss", f"{found.loss:.6g}"], ["accuracy", f"{found.accuracy:.6g}"],
        ["confusion_matrix", str(found.confusion_matrix)],
    ]  # fmt: skip


def test_blame_and_a_program():
    deep = Sequential([*(Dense(8, activation="sigmoid") for _ in range(8)), Dense(3)], seed=0)
    deep.compile("sgd", "sparse_categorical_crossentropy")
    report = fastbp.blame(deep, X, Y)
    found = shown(report)
    assert [row[0] for row in found.rows] == ["layer", *(f"dense_{k}" for k in range(1, 10))]
    assert found.items == report.findings != []
    assert "No findings." in fastbp.blame(trained(), X, Y)._repr_html_()
    program = deep.program
    lines = str(program).splitlines()
    assert [re.split(r" {2,}", line.strip())[:4] for line in lines[:-2]] == [row[:4] for row in shown(program).rows]
    assert lines[-1] in program._repr_html_()


# ------------------------------------------------------------------------------------------ pictures
@pytest.fixture
def plt():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    yield pyplot
    pyplot.close("all")


def labels(ax):
    return [line.get_label() for line in ax.lines]


def test_curves_of_a_history(plt):
    history = trained(4, validation_data=(X[:20], Y[:20]), validation_freq=2).history
    left, right = history.plot(["loss", "accuracy"])
    assert labels(left) == ["loss", "val_loss"] and labels(right) == ["accuracy", "val_accuracy"]
    for ax, name, best in ((left, "val_loss", np.nanmin), (right, "val_accuracy", np.nanmax)):
        values = history.history[name]
        at = values.index(best(values)) + 1
        assert ax.get_title(loc="left") == f"{name}: best {best(values):.4g} in epoch {at}"
        assert ax.collections[0].get_offsets().tolist() == [[at, best(values)]]
        assert ax.lines[0].get_color() == ax.lines[1].get_color() and ax.lines[1].get_linestyle() == "--"
        assert ax.get_xlabel() == "epoch" and ax.get_ylabel() == name.removeprefix("val_")
    assert labels(history.plot("val_loss")) == ["val_loss"] and labels(history.plot(["loss"])) == ["loss", "val_loss"]
    assert labels(history.plot(["val_loss", "loss"])) == ["loss", "val_loss"]
    own = plt.subplots()[1]
    assert history.plot(["loss", "accuracy"], ax=own) is own
    assert labels(own) == ["loss", "val_loss", "accuracy", "val_accuracy"] and own.get_title(loc="left") == ""
    with pytest.raises(ValueError, match="no value in the history 'los'; did you mean 'loss'"):
        history.plot(["loss", "los"])
    with pytest.raises(TypeError, match=r"metric is <Axes.*it must be"):
        history.plot(own)


def test_pictures_are_in_the_style_of_the_docs(plt):
    from fastbp.plotting import STYLE

    before = dict(plt.rcParams)
    history = trained().history
    for ax in (history.plot(), fastbp.blame(trained(), X, Y).plot()):
        assert not ax.spines["top"].get_visible() and not ax.get_legend().get_frame_on()
        assert ax.lines[-1].get_linewidth() == STYLE["lines.linewidth"]
    assert dict(plt.rcParams) == before
    own = plt.subplots()[1]
    assert history.plot(ax=own) is own and own.spines["top"].get_visible()


def test_findings_are_on_the_picture_of_blame(plt):
    deep = Sequential([*(Dense(8, activation="sigmoid") for _ in range(8)), Dense(3)], seed=0)
    deep.compile("sgd", "sparse_categorical_crossentropy")
    log = BlameLog(X, Y, warn=False)
    deep.fit(X, Y, epochs=2, verbose=0, callbacks=[log])
    ax = log.last.plot()
    written = " ".join(ax.get_xlabel().split())
    assert written == " ".join(log.last.findings) and len(ax.get_xlabel().splitlines()) > 1
    assert "vanishing" in ax.get_title(loc="left") and "64 rows" in ax.get_title(loc="left")
    red = {tick.get_text() for tick in ax.get_xticklabels() if tick.get_color() != plt.rcParams["xtick.color"]}
    assert red == {name for finding in log.last.findings for name in finding.layers}
    ax.figure.canvas.draw()
    box = ax.xaxis.label.get_window_extent()
    assert box.x1 <= ax.figure.bbox.x1 and box.y0 >= 0
    ax = log.plot()
    assert [text.get_text() for text in ax.texts] == ["vanishing"] and "vanishing" in ax.get_title(loc="left")
    assert "no findings" in fastbp.blame(trained(), X, Y).plot().get_title(loc="left")


@pytest.mark.parametrize("draw", ["history.plot()", "report.plot()", "log.plot()"])
def test_pictures_without_matplotlib(draw, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    what = {"history": "History", "report": "Blame", "log": "BlameLog"}[draw.partition(".")[0]]
    log = BlameLog(X, Y)
    model = trained(1, callbacks=[log])
    with pytest.raises(ImportError, match=rf"^{what}\.plot needs matplotlib: pip install "):
        {"history": model.history, "report": log.last, "log": log}[draw.partition(".")[0]].plot()


# ------------------------------------------------------------------------------------------ bars
#: Stands for IPython in a kernel, which is all that tqdm.auto asks for.
KERNEL = """
    import sys, types
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(config={"IPKernelApp": {}})
    sys.modules["IPython"] = ipython
    sys.modules["ipykernel.zmqshell"] = types.ModuleType("ipykernel.zmqshell")
"""
FIT = """
    import numpy as np, fastbp
    model = fastbp.Sequential([fastbp.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.eye(4), np.ones(4), epochs=2)
    print("tqdm.auto" in sys.modules, "asyncio" in sys.modules)
"""


def run(code, warnings="error"):
    path = os.pathsep.join([os.path.dirname(os.path.dirname(fastbp.__file__)), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-W", warnings, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    return done


def test_a_bar_in_a_notebook_without_widgets_warns_of_nothing():
    pytest.importorskip("tqdm")
    # tqdm takes a warning that is an error for an answer
    done = run(KERNEL + "    sys.modules['ipywidgets'] = None\n" + FIT, "always")
    assert done.stdout == "True True\n" and "epoch 2/2: 100%" in done.stderr and "Warning" not in done.stderr


def test_a_bar_in_a_terminal_does_not_wait_for_a_notebook():
    pytest.importorskip("tqdm")
    done = run("    import sys\n" + FIT)
    assert done.stdout == "False False\n" and "epoch 2/2: 100%" in done.stderr


SHOW = """
    import numpy as np, fastbp
    from IPython.core.formatters import DisplayFormatter
    model = fastbp.Sequential([fastbp.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.eye(4), np.ones(4)
    history = model.fit(x, y, verbose=0)
    for value in (model, history, model.evaluate(x, y), fastbp.blame(model, x, y), model.program):
        data, _ = DisplayFormatter().format(value)
        assert data["text/html"] == value._repr_html_() and data["text/plain"], value
"""


# asked without importing it here, where bars would then take this process for a notebook's
@pytest.mark.skipif(importlib.util.find_spec("IPython") is None, reason="the package IPython is not installed")
def test_a_notebook_shows_html():
    run(SHOW, "ignore")
