"""Looking into training: who is to blame for the loss, whether gradients are right, and which learning rate suits."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from .backends import aligned_copy, make_executor
from .callbacks import Callback
from .checks import as_generator, check_kind, integer, number
from .compiler import compile_training
from .kernels.caller import warn
from .kernels.table import TABLE
from .model import Model
from .naming import spelled
from .optimizers import Rprop
from .training import inputs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from .backends import Executor
    from .compiler import Network
    from .graph import Graph

    Seed = int | np.random.Generator | None

__all__ = [
    "Blame",
    "BlameLog",
    "Finding",
    "GradientCheck",
    "LayerBlame",
    "RangeTest",
    "blame",
    "gradient_check",
    "lr_range_test",
]

#: The thresholds of `Blame.findings`; the docstring of `Blame` says why.
VANISHING, EXPLODING, STEP, DEAD, SATURATED, ENOUGH_ROWS = 1e-3, 1e2, 1.0, 0.8, 0.9, 32
#: An output is saturated where the slope is below this share of the activation's steepest.
FLAT = 0.04


def _norm(*arrays: np.ndarray) -> float:
    # in float64: the square of a large float32 overflows
    with np.errstate(over="ignore", invalid="ignore"):
        return math.sqrt(sum(float(np.square(a, dtype=np.float64).sum()) for a in arrays))


def _columns(array: np.ndarray) -> np.ndarray:
    """Return the norm of what belongs to each neuron: the last axis."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.sqrt(np.square(array.reshape(-1, array.shape[-1]), dtype=np.float64).sum(axis=0))


def _times(factor: float) -> str:
    return f"{float(f'{factor:.2g}'):g}"


def _over(a: Any, b: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.float64(a) / b


class _Probe:
    """A train step of a model on one batch, on copies of its arrays."""

    def __init__(self, model: Model, x: Any, y: Any) -> None:
        check_kind("model", model, Model, "a fastbp.Model or fastbp.Sequential")
        self.model = model
        model.read("blame", self._make, x, y)

    def _make(self, x: Any, y: Any) -> None:
        model, engine = self.model, self.model.engine()
        self.data, self.arrays = model.prepare(x, y), engine.copy()
        self.network: Network = engine.compile("steps", self.data.given)
        self.executor: Executor = make_executor(
            self.network.program, engine.backend, self.arrays, self.data.n, keep=True
        )
        for buffer, array in inputs(self.network, self.data).items():
            self.executor.bind(buffer, array)
        self.before = np.empty(engine.layout.n, model.dtype)

    def run(self) -> Blame:
        for name, array in self.model.snapshot().items():
            self.arrays[name][...] = array
        self.before[...] = self._parameters()
        program, rows = self.network.program, self.data.n
        with np.errstate(all="ignore"):
            self.executor.run((program.start, program.commit), rows)
            # before the optimizer clips them
            gradients = self.arrays["gradients"].copy()
            # the update too: its length is the optimizer's, not the gradient's
            self.executor.run((program.commit, len(program.calls)), rows)
        blames = {use: buffer for use, _, buffer in self.network.gradients}
        update = self._parameters().astype(np.float64) - self.before
        layout = self.model.engine().layout
        layers, seen, trains = [], set[int](), {entry.layer for entry in layout.entries}
        for use, layer, output in self.network.layers:
            arrays: dict[str, dict[str, np.ndarray]] = {"weight": {}, "gradient": {}, "update": {}}
            for entry in layout.entries:
                # of a layer that is used several times they are the first one's
                if entry.layer == use.layer and use.layer not in seen:
                    for what, flat in (("weight", self.before), ("gradient", gradients), ("update", update)):
                        arrays[what][entry.name] = flat[entry.part].reshape(entry.shape)
            seen.add(use.layer)
            dy = self.executor.view(blames[use]) if use in blames else None
            layers.append(LayerBlame(use.name, layer, self.executor.view(output), dy, use.layer in trains, **arrays))
        return Blame(layers, float(self.executor.view(self.network.loss)), rows, _followers(layout.graph))

    def _parameters(self) -> np.ndarray:
        """Return the parameters in the order of the layout."""
        flats = [array for name, array in self.arrays.items() if name.partition(":")[0] == "parameters"]
        parts = [flats[entry.home][entry.place] for entry in self.model.engine().layout.entries]
        return np.concatenate(parts) if parts else np.empty(0, self.model.dtype)


def _followers(graph: Graph) -> list[list[int]]:
    """Return for each use of a layer which other ones take what it makes, and hand gradients back."""
    takers: dict[int, list[int]] = {}
    for k, use in enumerate(graph.uses):
        if not graph.layers[use.layer].stops_gradient:
            for tensor in use.inputs:
                takers.setdefault(tensor, []).append(k)
    return [[k for tensor in use.outputs for k in takers.get(tensor, ())] for use in graph.uses]


class LayerBlame:
    """One layer's part of `Blame`: one use of it, where it is used several times.

    The numbers of its parameters, which all uses share, stand with the first one.

    Attributes
    ----------
    name, activation : str
        The name is that of the use, such as "encoder.dense_1" or "dense_1:2"; `activation` is "" for a layer that has
        none.
    units : int
        The neurons: the last axis of the output.
    dy : float
        The norm of dLoss/dy; NaN for layers before the first that has parameters, and for those that no loss depends
        on, which are not asked.
    w, b, dw, db : float
        Norms of the parameters of two axes or more (w) and of one (b), and of their gradients; NaN without any.
    update : float
        The norm of what the optimizer's next update would add to w.
    ratio : float
        ``update / w``. Some 1e-3 is usual [1]_.
    dead : float
        The share of ReLU units whose output is 0 in every row of the batch; NaN for other activations.
    saturated : float
        The share of outputs where sigmoid, tanh, softsign, hard_sigmoid or hard_tanh is flat: the slope is below 4 %
        of the steepest (for a sigmoid y < 0.01 or y > 0.99, for tanh abs(y) > 0.98); NaN for other activations.
    columns : list of str
        Which of these numbers the layer has.
    neurons : dict of str to ndarray
        The same for each neuron: norms over the batch or over the weights that lead to it, whether it is dead, the
        share of rows where it is saturated. A number that does not belong to single neurons is left out.
    trains : bool
        Whether the layer has parameters.
    finite : dict of str to bool
        Whether "weight", "y", "dy" and "gradient" hold finite values only.

    References
    ----------
    .. [1] Karpathy, notes of Stanford's CS231n, Neural Networks Part 3, "Ratio of weights:updates"
    """

    def __init__(
        self,
        name: str,
        layer: Any,
        y: np.ndarray,
        dy: np.ndarray | None,
        trains: bool,
        weight: dict[str, np.ndarray],
        gradient: dict[str, np.ndarray],
        update: dict[str, np.ndarray],
    ) -> None:
        own = getattr(layer, "activation", "")
        self.name = name
        self.activation: str = getattr(own, "activation", own)
        self.units = y.shape[-1]
        self.neurons: dict[str, np.ndarray] = {}
        self.columns: list[str] = []
        self.dy = self.w = self.b = self.dw = self.db = self.update = self.ratio = math.nan
        self.dead = self.saturated = math.nan
        self.trains = trains
        self.zero = bool(gradient) and not any(g.any() for g in gradient.values())
        checked = {"weight": weight.values(), "y": [y], "dy": [] if dy is None else [dy], "gradient": gradient.values()}
        self.finite = {name: all(bool(np.isfinite(a).all()) for a in arrays) for name, arrays in checked.items()}
        if dy is not None:
            self._set("dy", _norm(dy), _columns(dy))
        for letter, wanted in (("w", lambda n: n > 1), ("b", lambda n: n == 1)):
            names = [name for name, array in weight.items() if wanted(array.ndim)]
            for column, arrays in ((letter, weight), ("d" + letter, gradient), ("update", update)):
                if names and (column != "update" or letter == "w"):
                    parts = [_columns(arrays[name]) for name in names if arrays[name].shape[-1] == self.units]
                    each = np.sqrt(np.square(parts).sum(axis=0)) if parts else None
                    self._set(column, _norm(*(arrays[name] for name in names)), each)
        # the norm of w where it would be by Glorot's rule: what a step is long beside, where w is still near 0
        self._usual = math.sqrt(sum(2 * a.size / (a.shape[0] + a.shape[-1]) for a in weight.values() if a.ndim > 1))
        if "update" in self.columns:
            each = _over(self.neurons["update"], self.neurons["w"]) if "update" in self.neurons else None
            self._set("ratio", float(_over(self.update, self.w)), each)
        flat = y.reshape(-1, self.units)
        row = TABLE.get(self.activation)
        if row is not None and row.dies:
            each = ~(flat != 0).any(axis=0)
            self._set("dead", float(each.mean()), each)
        if row is not None and row.saturates is not None:
            each = (row.saturates(flat.astype(np.float64)) < FLAT).mean(axis=0)
            self._set("saturated", float(each.mean()), each)

    def _set(self, column: str, value: float, neurons: np.ndarray | None) -> None:
        setattr(self, column, value)
        self.columns.append(column)
        if neurons is not None:
            self.neurons[column] = neurons


class Finding(str):
    """A sentence about what is wrong, and how it is usually mended.

    Attributes
    ----------
    kind : {"not finite", "zero gradients", "vanishing", "exploding", "step", "dead", "saturated"}
    layers : list of str
        Names of those concerned.
    """

    __slots__ = ("kind", "layers")

    kind: str
    layers: list[str]

    def __new__(cls, kind: str, layers: list[str], sentence: str) -> Finding:
        self = super().__new__(cls, sentence)
        self.kind, self.layers = kind, layers
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Finding, (self.kind, self.layers, str(self))


def _names(names: list[str]) -> str:
    if len(names) > 4:
        return f"{len(names)} layers from {names[0]} to {names[-1]}"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _find(report: Blame) -> Iterator[Finding]:
    layers, followers = report.layers, report.followers
    words = {"weight": "the parameters", "y": "the output", "dy": "dLoss/dy", "gradient": "the parameters' gradient"}
    # forward first, then backward: that which came first is the cause
    for names, order in ((("weight", "y"), layers), (("dy", "gradient"), layers[::-1])):
        for layer in order:
            for name in names:
                if not layer.finite[name]:
                    yield Finding(
                        "not finite",
                        [layer.name],
                        f"Not finite: {words[name]} of {layer.name} is where NaN or infinity comes first. "
                        "Usual remedies: a smaller learning rate, scaled inputs and targets, clipped gradients, a loss "
                        "on logits, dtype='float64'.",
                    )
                    return
        if names[0] == "weight" and not math.isfinite(report.loss):
            yield Finding(
                "not finite",
                [],
                f"Not finite: every layer's output is finite, but the loss is {report.loss}. Usual remedies: a "
                "smaller learning rate, scaled targets, a loss on logits, dtype='float64'.",
            )
            return
    zero = [layer.name for layer in layers if layer.zero and not math.isnan(layer.dy)]
    if zero and any(layer.dy > 0 for layer, after in zip(layers, followers, strict=True) if not after):
        yield Finding(
            "zero gradients",
            zero,
            f"Zero gradients: the loss has a slope, but none of it reaches the parameters of {_names(zero)}, which "
            "cannot learn. Usual causes: dead or saturated units, or weights that are all 0, above; usual remedies: "
            "He or Glorot initialisation, scaled inputs, another activation.",
        )
    inner, hidden, ends = set[int](), dict[int, LayerBlame](), dict[int, LayerBlame]()
    for k in range(len(layers) - 1, -1, -1):
        if any(j in inner or layers[j].trains for j in followers[k]):
            inner.add(k)
        # the last hidden ones that lead on from here: of several that which has most
        found = [ends[j] for j in followers[k] if j in ends]
        if k in inner and layers[k].dy > 0:
            hidden[k] = layers[k]
            found = found or [layers[k]]
        if found:
            ends[k] = max(found, key=lambda layer: layer.dy)
    hidden = dict(sorted(hidden.items()))
    small = [k for k, layer in hidden.items() if layer.dy < VANISHING * ends[k].dy]
    if small:
        k = min(small, key=lambda k: hidden[k].dy)
        least, end, weak = hidden[k], ends[k], [hidden[k].name for k in small]
        yield Finding(
            "vanishing",
            weak,
            f"Vanishing gradients: dLoss/dy shrinks from {end.dy:.2g} in {end.name} to {least.dy:.2g} in "
            f"{least.name}, by a factor of {_times(end.dy / least.dy)}; {_names(weak)} will hardly learn. Usual "
            "remedies: relu or a relative instead of sigmoid and tanh, He (relu) or Glorot (tanh) initialisation, "
            "batch normalisation, fewer layers.",
        )
    large = [k for k, layer in hidden.items() if layer.dy > EXPLODING * ends[k].dy]
    after = {j for k in hidden for j in followers[k]}
    first = [k for k in large if k not in after]
    if first:
        k = max(first, key=lambda k: hidden[k].dy / ends[k].dy)
        most, end = hidden[k], ends[k]
        yield Finding(
            "exploding",
            [hidden[k].name for k in large],
            f"Exploding gradients: dLoss/dy grows from {end.dy:.2g} in {end.name} to {most.dy:.2g} in "
            f"{most.name}, by a factor of {_times(most.dy / end.dy)}. Usual remedies: smaller initial weights "
            "(He or Glorot initialisation), clipped gradients, batch normalisation, a smaller learning rate.",
        )
    long = [layer for layer in layers if layer.update > STEP * max(layer.w, layer._usual)]
    if long:
        worst = max(long, key=lambda layer: layer.update / max(layer.w, layer._usual))
        yield Finding(
            "step",
            [layer.name for layer in long],
            f"Too long a step: the next update of {worst.name}.w is {_times(worst.ratio)} times as long as "
            f"{worst.name}.w, where 0.001 is usual. Usual remedies: a smaller learning rate, scaled inputs and "
            "targets, clipped gradients.",
        )
    dead = [layer for layer in layers if layer.dead > DEAD] if report.rows >= ENOUGH_ROWS else []
    if dead:
        worst = max(dead, key=lambda layer: layer.dead)
        yield Finding(
            "dead",
            [layer.name for layer in dead],
            f"Dead ReLU units: {worst.dead:.0%} of {worst.name} put out 0 for every row of the batch and get no "
            f"gradient{_also(dead, worst)}. Usual remedies: a smaller learning rate, He initialisation and biases that "
            "are not negative, scaled inputs, leaky_relu or elu.",
        )
    flat = [layers[k] for k in sorted(inner) if layers[k].saturated > SATURATED]
    if flat:
        worst = max(flat, key=lambda layer: layer.saturated)
        yield Finding(
            "saturated",
            [layer.name for layer in flat],
            f"Saturated units: {worst.saturated:.0%} of the outputs of {worst.name} lie where {worst.activation} is "
            f"flat and passes hardly any gradient{_also(flat, worst)}. Usual remedies: scaled inputs, Glorot "
            "initialisation, a smaller learning rate, batch normalisation, relu.",
        )


def _also(layers: list[LayerBlame], worst: LayerBlame) -> str:
    others = [layer.name for layer in layers if layer is not worst]
    return f" (so do many in {_names(others)})" if others else ""


class Blame:
    """What `blame` returns: print it, `plot` it, read its `findings`.

    Attributes
    ----------
    layers : list of LayerBlame
        One for each use of a layer, in their order; ``report["dense_1"]`` is one by its name.
    loss : float
    rows : int
        Of the batch.
    followers : list of list of int
        For each of the layers, which ones take its output and hand gradients back to it.
    findings : list of Finding
        Sentences, none for a healthy model.

    Notes
    -----
    A finding is something that hardly ever is right, so that an ordinary model has none:

    - "vanishing": the norm of dLoss/dy of a hidden layer is below 1/1000 of the last hidden layer's: a thousand epochs
      do there what one does above. With Glorot's initial weights this norm stays about the same from layer to
      layer, whatever their widths [1]_; a sigmoid makes a quarter of it, so that it takes six sigmoid layers. The
      output layer is left out, since the slope of a loss on probabilities has no bound. In a graph the last hidden
      layer is the last one on the way from there; of several ways that which has the largest norm counts.
    - "exploding": it is over 100 times as large in the first layer as in the last hidden one, so that no learning rate
      suits both. In nets that learned the digits of this package it was 8 times as large at most.
    - "step": the optimizer's next update of a layer's w is longer than w is and than w of Glorot's rule would be, so
      nothing that was learned stays. Usual is 0.001.
    - "dead": over 80 % of the ReLU units of a layer put out 0 for every row. Nets that learned the digits well
      had up to 60 %, one with ten times too large a learning rate 90 %. Asked only of 32 rows or more: a
      unit that is active in every tenth row is silent in all of 32 with probability 0.03.
    - "saturated": over 90 % of the outputs of a hidden layer are where the slope is below 4 % of the steepest. A net
      that has become sure of itself saturates too: 57 % with tanh and 82 % with hard_tanh on the digits at a sensible
      learning rate. The output layer is to be sure, so it is not asked.
    - "zero gradients": the loss has a slope, but a layer's gradient is exactly 0.
    - "not finite": NaN or infinity; the others say nothing then.

    References
    ----------
    .. [1] Glorot & Bengio 2010, AISTATS, section 4.2
    """

    def __init__(self, layers: list[LayerBlame], loss: float, rows: int, followers: list[list[int]]) -> None:
        self.layers, self.loss, self.rows, self.followers = layers, loss, rows, followers
        self.findings: list[Finding] = list(_find(self))

    def __getitem__(self, name: str) -> LayerBlame:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(f"there is no layer {name!r}; there are {', '.join(layer.name for layer in self.layers)}")

    def _rows(self) -> list[list[str]]:
        """Return the table of layers, below the names of its columns; a column that says nothing is left out."""
        columns = {
            "||dy||": lambda v: v.dy, "||w||": lambda v: v.w, "||dw||": lambda v: v.dw, "||db||": lambda v: v.db,
            "update/w": lambda v: v.ratio,
        }  # fmt: skip
        shares = {"dead": lambda v: v.dead, "saturated": lambda v: v.saturated}
        rows = [["layer", "units", *columns, *shares]]
        for layer in self.layers:
            cells = ["" if math.isnan(f(layer)) else f"{f(layer):.3g}" for f in columns.values()]
            cells += ["" if math.isnan(f(layer)) else f"{f(layer):.1%}" for f in shares.values()]
            rows.append([layer.name, str(layer.units), *cells])
        keep = [i for i in range(len(rows[0])) if any(row[i] for row in rows[1:])]
        return [[row[i] for i in keep] for row in rows]

    @property
    def _title(self) -> str:
        return f"loss {self.loss:.4g}, {self.rows} row{'s' * (self.rows != 1)}"

    def __str__(self) -> str:
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [self._title]
        for row in rows:
            cells = (cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
            lines.append("  ".join(cells).rstrip())
        return "\n".join([*lines, *self.findings])

    def _repr_html_(self) -> str:
        from .html import listed, table

        return table(self._rows(), self._title) + (listed(self.findings) or "<div>No findings.</div>")

    def __repr__(self) -> str:
        kinds = ", ".join(finding.kind for finding in self.findings) or "no findings"
        return f"<Blame of {len(self.layers)} layers, {self.rows} rows: {kinds}>"

    def plot(self, ax: Any = None) -> Any:
        """Draw the norm of dLoss/dy of every neuron and layer, and of dLoss/dw; write the findings below.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Such axes keep their own style.

        Returns
        -------
        matplotlib axes
        """
        from .plotting import ALARM, canvas, write_below

        own, names = ax is None, [layer.name for layer in self.layers]
        with canvas("Blame.plot", ax) as ax:
            asked = [k for k, layer in enumerate(self.layers) if "dy" in layer.neurons]
            for k in asked:
                dots = self.layers[k].neurons["dy"]
                spread = np.linspace(-0.3, 0.3, len(dots)) if len(dots) > 1 else np.zeros(1)
                label = "dLoss/dy of a neuron" if k == asked[-1] else None
                ax.plot(k + spread, dots, ".", color="C0", alpha=0.4, markersize=3, label=label)
            for column, color in (("dy", "C0"), ("dw", "C1")):
                values = [getattr(layer, column) for layer in self.layers]
                where = [k for k, value in enumerate(values) if not math.isnan(value)]
                label = f"dLoss/{column} of a layer"
                ax.plot(where, [values[k] for k in where], "o-", color=color, markersize=4, label=label)
            turned = {"rotation": 30, "ha": "right"} if len("".join(names)) > 60 else {}
            ax.set_xticks(range(len(names)), names, **turned)
            concerned = {name for finding in self.findings for name in finding.layers}
            for tick, name in zip(ax.get_xticklabels(), names, strict=True):
                if name in concerned:
                    tick.set_color(ALARM)
            ax.set(yscale="log", ylabel="norm")
            ax.set_title(f"{self._title}: {', '.join(f.kind for f in self.findings) or 'no findings'}")
            write_below(ax, self.findings, own)
            ax.legend()
        return ax


@spelled
def blame(model: Model, x: Any, y: Any) -> Blame:
    """Look at the gradients of a batch: which neurons are to blame for the loss, and what is wrong with that.

    A neuron's blame is dLoss/dy, how much the loss grows with its output y; backpropagation [1]_ hands it down from
    layer to layer, ``dLoss/dx = (dLoss/dy * f'(z)) @ w.T``.

    Parameters
    ----------
    model : Model
        Compiled. It stays as it is: parameters, gradients, the optimizer's state and the arrays of the four
        steps by hand are those from before, since a train step runs on copies. A model that is not built yet is built.
    x : array_like, shape (batch, n_in), or list or dict of these
        32 rows or more say most.
    y : array_like
        As for `Model.fit`.

    Returns
    -------
    Blame
        Print it for a table of norms; ``.findings`` says what is wrong in words, ``.plot()`` draws it, and
        ``["dense_1"].neurons["dy"]`` is the blame of each neuron.

    References
    ----------
    .. [1] Rumelhart, Hinton & Williams 1986, Nature 323, eq. 4 to 7

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(64, 8)), rng.integers(3, size=64)
    >>> layers = [fastbp.Dense(16, activation="sigmoid") for _ in range(8)]
    >>> model = fastbp.Sequential([*layers, fastbp.Dense(3)], seed=0)
    >>> model.compile("sgd", "sparse_categorical_crossentropy", numerics="portable")
    >>> report = fastbp.blame(model, x, y)
    >>> report["dense_1"].neurons["dy"].shape
    (16,)
    >>> for finding in report.findings:
    ...     print(finding[:60], "...")
    Vanishing gradients: dLoss/dy shrinks from 0.15 in dense_8 t ...
    """
    return _Probe(model, x, y).run()


class BlameLog(Callback):
    """Notes the gradients of a fixed batch before training and after every epoch, and warns when something is wrong.

    A warning comes once for each kind of finding (see `Blame`), when it first appears. It is a `RuntimeWarning`, so
    that Python's filters hold for it. Nothing is added to the train steps: the log runs between epochs, on copies.

    Parameters
    ----------
    x, y : array_like
        The batch, as for `Model.fit`; some 100 rows.
    warn : bool
        Whether to warn.

    Attributes
    ----------
    epoch : list of int
        Epochs done: 0, 1, 2 ...
    history : dict of str to list of float
        "dense_1.dy", "dense_1.dw", "dense_1.ratio" and so on, the columns of each `LayerBlame`: one number for each of
        `epoch`.
    findings : list of (int, Finding)
        When each kind first appeared.
    last : Blame
        The newest report.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x, y = np.random.default_rng(0).normal(size=(64, 8)), np.arange(64) % 3
    >>> model = fastbp.Sequential([fastbp.Dense(16, activation="relu"), fastbp.Dense(3)], seed=0)
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    >>> log = fastbp.BlameLog(x, y)
    >>> history = model.fit(x, y, epochs=2, seed=0, verbose=0, callbacks=[log])
    >>> log.epoch, len(log.history["dense_1.dy"]), log.findings
    ([0, 1, 2], 3, [])
    """

    def __init__(self, x: Any, y: Any, warn: bool = True) -> None:
        self._batch, self.warn = (x, y), bool(warn)
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}
        self.findings: list[tuple[int, Finding]] = []
        self.last: Any = None
        self._probe: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin anew, with the model as it is."""
        self.epoch, self.history, self.findings = [], {}, []
        self._probe = _Probe(self.model, *self._batch)
        self._note(0)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note the epoch."""
        self._note(epoch + 1)

    def on_train_end(self, logs: Any = None) -> None:
        """Release the copies of the data."""
        self._probe = None

    def _note(self, epoch: int) -> None:
        self.last = self._probe.run()
        self.epoch.append(epoch)
        for layer in self.last.layers:
            for column in layer.columns:
                self.history.setdefault(f"{layer.name}.{column}", []).append(getattr(layer, column))
        known = {finding.kind for _, finding in self.findings}
        for finding in self.last.findings:
            if finding.kind not in known:
                self.findings.append((epoch, finding))
                if self.warn:
                    when = f"after epoch {epoch}" if epoch else "before training"
                    warn(f"{when}: {finding}", RuntimeWarning)

    def plot(self, ax: Any = None) -> Any:
        """Draw the norm of dLoss/dy of each layer over the epochs, and when each kind of finding appeared.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Such axes keep their own style.

        Returns
        -------
        matplotlib axes
        """
        from .plotting import ALARM, canvas, depth_colours

        curves = {name.removesuffix(".dy"): values for name, values in self.history.items() if name.endswith(".dy")}
        with canvas("BlameLog.plot", ax) as ax:
            for (name, values), colour in zip(curves.items(), depth_colours(len(curves)), strict=True):
                ax.plot(self.epoch, values, color=colour, label=name)
            for epoch in dict.fromkeys(epoch for epoch, _ in self.findings):
                ax.axvline(epoch, color=ALARM, linestyle=":", linewidth=1)
                kinds = ", ".join(finding.kind for when, finding in self.findings if when == epoch)
                place = {"transform": ax.get_xaxis_transform(), "rotation": 90, "va": "top", "ha": "right"}
                ax.text(epoch, 1, kinds, color=ALARM, fontsize="small", **place)
            ax.set(xlabel="epoch", ylabel="norm of dLoss/dy", yscale="log")
            ax.set_title(f"Blame of each layer: {', '.join(f.kind for _, f in self.findings) or 'no findings'}")
            ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), ncols=max(1, -(-len(curves) // 14)))
        return ax


# ------------------------------------------------------------------------------------------ right or wrong


class GradientCheck:
    """What `gradient_check` returns.

    Attributes
    ----------
    ok : bool
        Whether everything that was compared agrees.
    errors : dict of str to float
        The largest relative error of each parameter array, by "layer.name"; NaN where nothing could be compared. The
        gradient of a layer that is used several times is the sum of all uses.
    compared, kinks : dict of str to int
        How many parameters were compared, and how many were not because the loss has a kink there.
    worst : dict of str to (tuple of int, float, float)
        Where that error is, the gradient of the backward pass there and the difference quotient.
    tolerance, eps : float
    """

    def __init__(self, tolerance: float, eps: float) -> None:
        self.tolerance, self.eps = tolerance, eps
        self.errors: dict[str, float] = {}
        self.compared: dict[str, int] = {}
        self.kinks: dict[str, int] = {}
        self.sizes: dict[str, int] = {}
        self.worst: dict[str, tuple[tuple[int, ...], float, float]] = {}
        self._clipped = False

    @property
    def ok(self) -> bool:
        """Whether everything that was compared agrees; False if there was nothing."""
        # a NaN that was compared is an error, one that stands for nothing is none
        wrong = [n for n, error in self.errors.items() if self.compared[n] and not error <= self.tolerance]
        return any(self.compared.values()) and not wrong

    def __str__(self) -> str:
        rows = [("array", "compared", "kinks", "largest relative error", "")]
        for name, error in self.errors.items():
            text = f"{error:.1e}" if self.compared[name] else "-"
            bad = self.compared[name] and not error <= self.tolerance
            where, got, want = self.worst.get(name, ((), 0.0, 0.0))
            at = f"WRONG at [{', '.join(map(str, where))}]: {got:.6g}, should be {want:.6g}" if bad else ""
            counts = f"{self.compared[name]} of {self.sizes[name]}"
            rows.append((name, counts, str(self.kinks[name]), text, at))
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = []
        for row in rows:
            cells = [row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in (1, 2, 3)), row[4]]
            lines.append("  ".join(cells).rstrip())
        compared, kinks = sum(self.compared.values()), sum(self.kinks.values())
        if self.ok:
            lines.append(f"The backward pass is right: {compared} derivatives agree to {self.tolerance:.0e}.")
        elif compared:
            lines.append("The backward pass is WRONG.")
            if self._clipped:
                lines.append(
                    "But some probabilities are so near 0 or 1 that the loss clips them: check a loss on logits."
                )
        else:
            lines.append("Nothing could be compared.")
        if kinks:
            lines.append(f"{kinks} parameters were left out: the loss has a kink there, such as a ReLU at 0.")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<GradientCheck: {'right' if self.ok else 'not right'}>"


def _in_float64(model: Model, x: Any, y: Any) -> tuple[Network, Executor, dict[str, np.ndarray]]:
    """Return a train step in float64 on copies of a model's arrays, and these."""
    data, engine = model.prepare(x, y, dtype="float64"), model.engine()
    arrays = {k: aligned_copy(a, "float64" if a.dtype.kind == "f" else a.dtype) for k, a in engine.shared.items()}
    network = compile_training(
        engine.layout, model.heads, model.optimizer, "float64", model.numerics, False, data.given, metrics=False
    )
    executor = make_executor(network.program, engine.backend, arrays, data.n, keep=True)
    for buffer, array in inputs(network, data).items():
        executor.bind(buffer, array)
    return network, executor, arrays


@spelled
def gradient_check(
    model: Model,
    x: Any,
    y: Any,
    eps: float = 1e-5,
    sample: int | None = 100,
    seed: Seed = 0,
    tolerance: float = 1e-5,
) -> GradientCheck:
    """Compare the backward pass with difference quotients, in float64.

    For a parameter p: ``dLoss/dp`` should be ``(Loss(p + h) - Loss(p - h)) / 2h`` [1]_, ``h = eps * max(1, |p|)``,
    whose own error is ``h**2`` and, by rounding, ``u * Loss / h``, u being 1.1e-16.

    Parameters
    ----------
    model : Model
        Compiled; it stays as it is. What is checked is its layers and its loss in float64, with copies of its
        parameters, its backend and numerics.
    x, y : array_like
        A batch as for `Model.fit`; a few rows are enough and take the least time.
    eps : float
        Positive; 1e-5 is near the best for float64, u**(1/3).
    sample : int, optional
        How many parameters of each array are checked, drawn at random; None for all. Each takes two forward passes.
    seed : int or numpy.random.Generator, optional
        Of that sample.
    tolerance : float
        The largest relative error that is right, ``|a - n| / max(|a|, |n|)`` for the backward pass' a and the
        quotient n. Wrong ones usually have 1e-2 and more [1]_. Where a and n are so small that rounding alone could
        make such an error, what rounding can make stands for them; it is estimated from the loss, and from quotients
        of other h where that is not enough (probabilities that are nearly 1, many digits of which are lost).

    Returns
    -------
    GradientCheck
        Print it, or ask its ``ok``.

    Raises
    ------
    FloatingPointError
        If the loss of the batch is not finite.

    Notes
    -----
    Where a ReLU is at 0, or steps over 0 between p - h and p + h, the quotient is between two slopes and not the
    backward pass' fault. Such parameters are found by their quotients, forward ``(Loss(p + h) - Loss(p)) / h`` and
    backward: at a kink these differ by more than the error does, also for a hundredth of h; they are counted, not
    compared. A kink of a loss counts in the same way.

    Where a loss clips a probability that is nearly 0 or 1, its gradient is that at the bound and not 0, on purpose, so
    that a net can leave there; the check calls it wrong and says so. A loss on logits clips nothing.

    References
    ----------
    .. [1] Karpathy, notes of Stanford's CS231n, Neural Networks Part 3, "Gradient Checks"

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(6, 4)), rng.integers(3, size=6)
    >>> model = fastbp.Sequential([fastbp.Dense(5, activation="tanh"), fastbp.Dense(3)], seed=0)
    >>> model.compile("sgd", "sparse_categorical_crossentropy")
    >>> check = fastbp.gradient_check(model, x, y)
    >>> check.ok, check.compared["dense_1.w"]
    (True, 20)
    >>> max(check.errors.values()) < 1e-5
    True
    """
    check_kind("model", model, Model, "a fastbp.Model or fastbp.Sequential")
    eps = number("eps", eps, 0, math.inf, closed_low=False)
    tolerance = number("tolerance", tolerance, 0, math.inf, closed_low=False)
    generator = as_generator("seed", seed)
    sample = None if sample is None else integer("sample", sample, 1)
    network, executor, arrays = model.read("gradient_check", partial(_in_float64, model), x, y)
    program, rows = network.program, executor.batch
    forward, backward = (program.start, program.span("loss")[1]), program.span("backward")
    layout = model.engine().layout
    flats = [array.reshape(-1) for name, array in arrays.items() if name.partition(":")[0] == "parameters"]

    def loss_at(flat: np.ndarray, i: int, value: float) -> float:
        # with the same random numbers every time: without an update none were drawn
        before, flat[i] = flat[i], value
        executor.run(forward, rows)
        flat[i] = before
        return float(executor.view(network.loss))

    def quotients(flat: np.ndarray, i: int, step: float) -> tuple[float, float, float]:
        """Return the central quotient, how far the one-sided ones are apart, and what rounding can make."""
        p = float(flat[i])
        h = step * max(1.0, abs(p))
        up, down = p + h, p - h
        above, below = loss_at(flat, i, up), loss_at(flat, i, down)
        apart = abs((above - here) / (up - p) - (here - below) / (p - down))
        # some roundings of the loss, half an ulp each
        return (above - below) / (up - down), apart, 16 * 2.0**-52 * max(abs(above), abs(below)) / h

    with np.errstate(all="ignore"):
        executor.run((forward[0], backward[1]), rows)
        here, gradients = float(executor.view(network.loss)), arrays["gradients"].reshape(-1).copy()
        if not math.isfinite(here):
            raise FloatingPointError(f"the loss of this batch is {here}; fastbp.blame(model, x, y) says where from")
        tiny = float(np.finfo(float).tiny)
        check = GradientCheck(tolerance, eps)
        for objective in network.objectives:
            if objective.head.loss.link is not None and not objective.head.loss.from_logits:
                p = executor.view(objective.y_pred)
                check._clipped |= bool((np.minimum(p, 1 - p) < 1e-9).any())
        for entry in layout.entries:
            flat, away, shape = flats[entry.home], entry.at - entry.offset, entry.shape
            size, label, offset = math.prod(shape), f"{layout.names[entry.layer]}.{entry.name}", entry.offset
            chosen = np.arange(size)
            if sample is not None and sample < size:
                chosen = np.sort(generator.choice(size, sample, replace=False))
            check.sizes[label], check.compared[label], check.kinks[label] = size, 0, 0
            check.errors[label] = math.nan
            for i in (offset + chosen).tolist():
                got = float(gradients[i])
                want, apart, noise = quotients(flat, i + away, eps)
                error = abs(got - want) / max(abs(got), abs(want), noise / tolerance, tiny)
                if error > tolerance and apart >= abs(got - want):
                    # curvature sets one-sided quotients apart too, but a hundred times less for a hundredth of h
                    finer, apart, noise = quotients(flat, i + away, eps / 100)
                    if abs(got - finer) <= max(apart, noise):
                        check.kinks[label] += 1
                        continue
                if error > tolerance:
                    # the quotient's own error, where it is more: other steps show it
                    others = [want, *(quotients(flat, i + away, eps * factor)[0] for factor in (0.5, 0.7, 1.4, 2.0))]
                    noise = max(noise, 2 * (max(others) - min(others)))
                    error = abs(got - want) / max(abs(got), abs(want), noise / tolerance)
                check.compared[label] += 1
                # NaN is the largest error, and is kept
                if not error <= check.errors[label] and not (label in check.worst and math.isnan(check.errors[label])):
                    check.errors[label] = error
                    at = tuple(int(n) for n in np.unravel_index(i - offset, shape))
                    check.worst[label] = at, got, want
    return check


# ------------------------------------------------------------------------------------------ which learning rate

#: Diverged is a loss above the least one by so many times the larger of that and of what it had fallen.
DIVERGED = 3.0


class _Rising(Callback):
    """Lets the learning rate rise with each update, notes the losses, and stops once they diverge."""

    def __init__(self, rates: np.ndarray) -> None:
        self.rates: list[float] = rates.tolist()
        self.losses: list[float] = []
        self.diverged = False
        #: Of how many updates the mean counts, so that one batch alone does not stop the test.
        self.width = 1 + len(rates) // 20
        self._least = math.inf
        self._batches: list[float] = []

    def on_train_begin(self, logs: Any = None) -> None:
        """Give the optimizer its rates."""
        self.model.optimizer.lr = self._rate

    def _rate(self, step: int) -> float:
        return self.rates[min(step, len(self.rates) - 1)]

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Note the loss of the batches before, where the end of an epoch made an update of them."""
        self._note()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Note the loss of the batches that made an update."""
        self._batches.append(logs["loss"])
        self._note()

    def on_train_end(self, logs: Any = None) -> None:
        """Note the loss of the last batches."""
        self._note()

    def _note(self) -> None:
        finite = all(map(math.isfinite, self._batches))
        if not self._batches or (finite and self.model.optimizer.iterations == len(self.losses)):
            return
        self.losses.append(sum(self._batches) / len(self._batches))
        self._batches = []
        mean = float(np.mean(self.losses[-self.width :]))
        self._least = min(self._least, mean)
        scale = max(abs(self._least), self.losses[0] - self._least)
        self.diverged = not finite or mean - self._least > DIVERGED * scale
        self.model.stop_training = self.diverged or len(self.losses) == len(self.rates)


class RangeTest:
    """What `lr_range_test` returns: print it, `plot` it, take its `suggestion`.

    Attributes
    ----------
    rates, losses : ndarray of float64
        Of each update; the last loss may be NaN or infinite.
    smoothed : ndarray of float64
        Means of the losses around each one: of a twentieth of them to either side, fewer at the ends.
    diverged : bool
        Whether the test ended because the loss did.
    suggestion : float or None
        A tenth of `least`; None where the loss never fell.
    least : float
        The rate with the least smoothed loss.
    """

    def __init__(self, rates: np.ndarray, losses: np.ndarray, width: int, diverged: bool) -> None:
        self.rates, self.losses, self.diverged = rates, losses, diverged
        finite = losses[np.isfinite(losses)]
        reach = width - 1
        self.smoothed = np.full(losses.shape, math.nan)
        for k in range(len(finite)):
            self.smoothed[k] = finite[max(k - reach, 0) : k + reach + 1].mean()
        at = int(np.nanargmin(self.smoothed)) if len(finite) else 0
        self.least = float(rates[at])
        # by more than rounding makes of a loss that stays as it is
        fell = len(finite) > 0 and self.smoothed[at] < self.smoothed[0] - 1e-6 * abs(self.smoothed[0])
        self.suggestion = max(self.least / 10, float(rates[0])) if fell else None

    @property
    def advice(self) -> str:
        """What to do where the test says little; else an empty string."""
        if self.suggestion is None:
            return (
                f"The loss never fell, from a learning rate of {self.rates[0]:.3g} on: test with a smaller start_lr, "
                "or look for another cause."
            )
        if not self.diverged and self.least >= self.rates[-len(self.rates) // 20 - 1]:
            return f"The loss was still falling at {self.rates[-1]:.3g}: test with a larger end_lr."
        return ""

    def __str__(self) -> str:
        end = "where the loss diverged" if self.diverged else "the last"
        first = f"{len(self.rates)} learning rates from {self.rates[0]:.3g} to {self.rates[-1]:.3g}, {end}."
        if self.suggestion is None:
            return f"{first} {self.advice}"
        least = f"{np.nanmin(self.smoothed):.4g} at {self.least:.3g}"
        fell = f"The smoothed loss fell from {self.smoothed[0]:.4g} to {least}"
        return f"{first} {fell}; suggestion: {self.suggestion:.3g}.{f' {self.advice}' if self.advice else ''}"

    def __repr__(self) -> str:
        found = "none" if self.suggestion is None else f"{self.suggestion:.3g}"
        return f"<RangeTest of {len(self.rates)} learning rates: suggestion {found}>"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<div>{escape(str(self))}</div>"

    def plot(self, ax: Any = None) -> Any:
        """Draw the losses over the learning rates, and the suggestion.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Such axes keep their own style.

        Returns
        -------
        matplotlib axes
        """
        from .plotting import ALARM, canvas

        with canvas("RangeTest.plot", ax) as ax:
            (line,) = ax.plot(self.rates, self.losses, alpha=0.3, linewidth=1, label="loss of the batch")
            ax.plot(self.rates, self.smoothed, color=line.get_color(), label="smoothed")
            if self.suggestion is not None:
                ax.axvline(self.suggestion, color=ALARM, linestyle=":", label=f"suggestion {self.suggestion:.2g}")
            ax.set(xlabel="learning rate", ylabel="loss", xscale="log")
            if np.isfinite(self.smoothed).any():
                # where it diverges it is as high as one likes
                first, least = self.smoothed[0], np.nanmin(self.smoothed)
                room = max(first - least, 0.1 * abs(first)) or 1.0
                ax.set_ylim(least - 0.2 * room, first + 0.5 * room)
            ax.set_title("Learning-rate range test")
            ax.legend()
        return ax


@spelled
def lr_range_test(
    model: Model,
    x: Any,
    y: Any = None,
    start_lr: float = 1e-7,
    end_lr: float = 10.0,
    steps: int = 100,
    batch_size: int | None = 32,
    sample_weight: Any = None,
    class_weight: Mapping[int, float] | str | None = None,
    seed: Seed = 0,
) -> RangeTest:
    """Train a copy of a model while the learning rate rises from update to update, and see where the loss falls.

    The learning-rate range test of Smith [1]_, with rates that rise by a factor: fast.ai's and others' ``lr_find``.

    Parameters
    ----------
    model : Model
        Compiled. It stays as it is: a copy is trained, with its weights and an optimizer of the same settings that
        begins anew.
    x, y : array_like
        As for `Model.fit`, which begins anew with the data as often as it takes; also an iterable of batches.
    start_lr, end_lr : float
        The first rate and the last.
    steps : int
        How many rates, and so updates. Batches that wait for an update count as one, by the mean of their losses.
    batch_size : int or None
        As for `Model.fit`; that of the training that is to come.
    sample_weight : array_like, optional
        As for `Model.fit`.
    class_weight : dict of int to float or "balanced", optional
        As for `Model.fit`.
    seed : int or numpy.random.Generator
        Of the order of the rows.

    Returns
    -------
    RangeTest
        ``.suggestion`` is a learning rate to begin with, ``.plot()`` shows what it is taken from.

    Raises
    ------
    TypeError
        If the model is compiled with `fastbp.optimizers.Rprop`, which has no learning rate.

    Warns
    -----
    UserWarning
        If the loss never fell, or was still falling at the end.

    Notes
    -----
    The test ends once the loss is not finite, or where the mean of the last losses is above the least one by three
    times that or what it had fallen, whichever is more. The suggestion is a tenth of the rate with the least smoothed
    loss, which is often too large itself. For `fastbp.schedules.OneCycle` and `fastbp.schedules.Cyclic` it may be the
    maximum. Which one it is depends on the batches: with another seed it may be twice as large.

    References
    ----------
    .. [1] Smith 2017, WACV, section 3.3

    Examples
    --------
    >>> import fastbp
    >>> x, _, y, _ = fastbp.datasets.load_digits(split=True)
    >>> model = fastbp.Sequential([fastbp.Dense(32, activation="relu"), fastbp.Dense(10)], seed=0)
    >>> model.compile("adam", "sparse_categorical_crossentropy", numerics="portable")
    >>> found = fastbp.lr_range_test(model, x, y)
    >>> f"{found.suggestion:.1g}"
    '0.01'
    >>> model.optimizer.lr = found.suggestion
    """
    check_kind("model", model, Model, "a fastbp.Model or fastbp.Sequential")
    start = number("start_lr", start_lr, 0, math.inf, closed_low=False)
    end = number("end_lr", end_lr, start, math.inf, closed_low=False)
    count = integer("steps", steps, 2)
    if isinstance(model.optimizer, Rprop):
        raise TypeError("model is compiled with Rprop, whose lr is its first step size alone: there is no rate to find")
    twin = model.clone()
    rising = _Rising(np.geomspace(start, end, count))
    batches = 1 if twin.optimizer is None else twin.optimizer.gradient_accumulation_steps
    with np.errstate(all="ignore"):
        twin.fit(
            x, y, batch_size, count * batches, seed=seed, verbose=0, callbacks=rising, stop_on_nan=False,
            sample_weight=sample_weight, class_weight=class_weight,
        )  # fmt: skip
    losses = np.array(rising.losses)
    found = RangeTest(np.array(rising.rates[: len(losses)]), losses, rising.width, rising.diverged)
    if found.advice:
        warn(found.advice, UserWarning)
    return found
