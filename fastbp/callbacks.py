"""Callbacks of `fit`, the history and the progress bar. Names of hooks and arguments are Keras'."""

from __future__ import annotations

import copy
import io
import math
import os
import sys
import time
from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from .checks import as_list, as_path, check_name, integer, number, suggest, takes_more
from .kernels.caller import warn
from .naming import Spelled, elsewhere
from .progress import as_text, check_verbose, open_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable
    from typing import Any

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "EpochLines",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgressBar",
    "ReduceLROnPlateau",
]


class Callback(Spelled, base=True):
    """Called by `fit`; override what you need. Names and arguments of hooks are Keras'.

    Attributes
    ----------
    model : Sequential
    params : dict
        ``initial_epoch``, ``epochs``, ``steps`` (batches an epoch), ``rows``, ``batch_size``, ``seed`` (which repeats
        the run; None for a generator of the caller's), ``metrics``, the names of what will be logged, and ``more``,
        whether callbacks may add to that. Of an iterable of batches rows and batch_size are None, and so is steps
        where it does not say how many there are.

    Notes
    -----
    A hook may leave out its last argument, `logs`; its signature decides, when `fit` begins.

    An epoch runs without Python. A callback with ``on_train_batch_begin`` or ``on_train_batch_end`` brings it back
    for every batch, which costs 4 to 8 us each; the bits are the same. A copy of a callback (``copy.deepcopy``,
    ``pickle``) has no `model`.

    `predict` and `evaluate` take no callbacks, so Keras' ``on_predict_begin`` and its like are never called.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> class NormOfWeights(fastbp.Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         logs["norm"] = np.linalg.norm(self.model.layers[0].w)
    >>> model = fastbp.Sequential([fastbp.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.eye(2), np.ones(2), epochs=2, verbose=0, callbacks=NormOfWeights())
    >>> sorted(history.history)
    ['loss', 'norm']
    """

    # set by fit
    model: Any = None
    params: Any = None

    def set_model(self, model: Any) -> None:
        """Take the model that is trained; called by `fit` before all hooks.

        Parameters
        ----------
        model : Sequential

        Examples
        --------
        >>> import fastbp
        >>> model, callback = fastbp.Sequential([fastbp.Dense(1)]), fastbp.Callback()
        >>> callback.set_model(model)
        >>> callback.model is model
        True
        """
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Take what `fit` was asked for, before all hooks.

        Parameters
        ----------
        params : dict

        Examples
        --------
        >>> import fastbp
        >>> callback = fastbp.Callback()
        >>> callback.set_params({"epochs": 3})
        >>> callback.params["epochs"]
        3
        """
        self.params = params

    def on_train_begin(self, logs: Any = None) -> None:
        """Before the first epoch.

        Parameters
        ----------
        logs : dict
            Empty, as in Keras.
        """

    def on_train_end(self, logs: Any = None) -> None:
        """After the last epoch, also when training was stopped or failed.

        Parameters
        ----------
        logs : dict
            Empty.
        """

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Before an epoch, counted from 0.

        Parameters
        ----------
        epoch : int
        logs : dict
            Empty.
        """

    def on_progress(self, epoch: int, step: int) -> None:
        """About ten times a second during an epoch: `step` batches are done.

        Parameters
        ----------
        epoch, step : int
        """

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """After an epoch; `logs` holds its loss and metrics. Set ``self.model.stop_training = True`` to stop.

        Numbers that are put into `logs` are kept: callbacks that come later see them, and so does the history.

        Parameters
        ----------
        epoch : int
        logs : dict of str to float
        """

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before a train step; batches are counted from 0 in every epoch.

        Parameters
        ----------
        batch : int
        logs : dict
            Empty.
        """

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a train step; `logs` holds the loss and the metrics of this batch. ``stop_training`` acts at once.

        Parameters
        ----------
        batch : int
        logs : dict of str to float
        """

    def get_state(self) -> dict[str, Any]:
        """Return what a checkpoint of `fit` must hold for this callback to go on where it was.

        Returns
        -------
        dict of str to bool, int, finite float, str, None, list of these, or ndarray

        Examples
        --------
        >>> import fastbp
        >>> class Count(fastbp.Callback):
        ...     epochs = 0
        ...
        ...     def on_epoch_end(self, epoch, logs):
        ...         self.epochs += 1
        ...
        ...     def get_state(self):
        ...         return {"epochs": self.epochs}
        ...
        ...     def set_state(self, state):
        ...         self.epochs = state["epochs"]
        >>> count = Count()
        >>> count.on_epoch_end(0, {})
        >>> count.get_state()
        {'epochs': 1}
        """
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take what `get_state` returned; called after ``on_train_begin``.

        Parameters
        ----------
        state : dict of str to object

        Examples
        --------
        >>> first, second = History(), History()
        >>> first.on_epoch_end(0, {"loss": 0.5})
        >>> second.set_state(first.get_state())
        >>> second.epoch, second.history
        ([0], {'loss': [0.5]})
        """

    def __getstate__(self) -> dict[str, Any]:
        # what fit has set is not the callback's own: a history is kept without its model
        return {name: value for name, value in vars(self).items() if name != "model"}

    def on_test_begin(self, logs: Any = None) -> None:
        """Before the validation data are evaluated.

        Parameters
        ----------
        logs : dict
            Empty.
        """

    def on_test_end(self, logs: Any = None) -> None:
        """After that; `logs` holds loss and metrics, without ``val_``, and what is put into it is kept with that.

        Parameters
        ----------
        logs : dict of str to float
        """

    # Keras' older names: a class may define or call them instead
    on_batch_begin = on_train_batch_begin
    on_batch_end = on_train_batch_end


#: How many arguments a hook has before `logs`; on_progress is the package's own, and has none behind them.
_HOOKS = {
    "on_train_begin": 0, "on_train_end": 0, "on_epoch_begin": 1, "on_epoch_end": 1, "on_train_batch_begin": 1,
    "on_train_batch_end": 1, "on_test_begin": 0, "on_test_end": 0, "on_progress": 2,
}  # fmt: skip
#: Keras' older names of the hooks of batches.
_OLDER = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}


def has_hook(callback: Callback, name: str) -> bool:
    """Whether a callback does something in a hook."""
    return getattr(getattr(callback, name), "__func__", None) is not getattr(Callback, name)


class Hooks:
    """The hooks of a callback as `fit` calls them, all with `logs`: found once, and by their signatures.

    Parameters
    ----------
    callback : Callback

    Attributes
    ----------
    callback : Callback
    batch : set of str
        Which of the hooks of batches there are.
    more : bool
        Whether it may add to `logs`.

    Raises
    ------
    TypeError
        If a hook cannot be called with what it is given.
    """

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., Any]: ...

    def __init__(self, callback: Callback) -> None:
        self.callback, self.batch, self.more = callback, set[str](), False
        made: Any = type(callback)
        kind = made.__name__
        for name, count in _HOOKS.items():
            own = name if has_hook(callback, name) or name not in _OLDER else _OLDER[name]
            function = getattr(callback, own)
            if has_hook(callback, own) and name in _OLDER:
                self.batch.add(name)
            # the package's own hooks take logs, and add nothing to it
            if name != "on_progress" and str(getattr(function, "__module__", None)).partition(".")[0] != __package__:
                self.more |= name in ("on_epoch_end", "on_test_end")
                if not takes_more(f"{kind}.{own}", function, count, ("logs",)):
                    function = _without_logs(function)
            setattr(self, name, function)
        for name in (*_unknown(made), *_no_hooks(vars(callback))):
            if callable(getattr(callback, name, None)):
                if name.startswith("on_test_batch_"):
                    why = "; validation runs without Python in between, and has on_test_begin and on_test_end"
                else:
                    why = suggest(name, _HOOKS)
                warn(f"fit calls no hook {name}, which {kind} has{why}")


def _no_hooks(names: Iterable[str]) -> list[str]:
    """Return which names look like those of hooks and are none of `Callback`'s, nor of Keras' `predict`."""
    found = (name for name in names if name.startswith("on_") and not name.startswith("on_predict_"))
    return [name for name in found if not hasattr(Callback, name)]


@lru_cache(maxsize=64)
def _unknown(kind: type) -> list[str]:
    return _no_hooks(dir(kind))


def _without_logs(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *given: function(*given[:-1])


def take_in(logs: dict[str, Any], where: str, but: Container[str] = ()) -> dict[str, float]:
    """Return `logs` with what a hook has put there made floats, or raise an error that names it and `where` that was.

    Parameters
    ----------
    logs : dict of str to object
        Changed in place.
    where : str
        The hook.
    but : container of str
        What is no number and left out.

    Returns
    -------
    dict of str to float
    """
    for name, value in logs.items():
        if (value.__class__ is float and name.__class__ is str) or name in but:
            continue
        try:
            if not isinstance(name, str) or isinstance(value, (str, bytes)) or np.ndim(value):
                raise TypeError
            logs[name] = float(value)
        except (TypeError, ValueError):
            what = "it must be a number, and its name text"
            raise TypeError(f"{where} has put {value!r} into logs as {name!r}; {what}") from None
    return logs


class LambdaCallback(Callback):
    """A callback of functions.

    Parameters
    ----------
    **hooks : callable
        By the names of `Callback`'s hooks, with their arguments.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> show = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, sorted(logs)))
    >>> model = fastbp.Sequential([fastbp.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.eye(2), np.ones(2), epochs=2, verbose=0, callbacks=[show])
    0 ['loss']
    1 ['loss']
    """

    def __init__(self, **hooks: Callable[..., Any]) -> None:
        for name, function in hooks.items():
            check_name("hook", name, (hook for hook in vars(Callback) if hook.startswith("on_")))
            if not callable(function):
                raise TypeError(f"{name} is {function!r}; it must be a function")
            setattr(self, name, function)


class History(Callback):
    """What `fit` returns: losses and metrics of every epoch.

    Attributes
    ----------
    history : dict of str to list of float
        One list a name, each with an entry for every epoch; NaN where an epoch had none (`validation_freq`).
    epoch : list of int

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse", metrics=["mae"])
    >>> history = model.fit(np.eye(2), [2, 3], epochs=4, verbose=0, validation_data=(np.eye(2), [2, 3]))
    >>> history.epoch, sorted(history.history)
    ([0, 1, 2, 3], ['loss', 'mae', 'val_loss', 'val_mae'])
    >>> [len(values) for values in history.history.values()]
    [4, 4, 4, 4]
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note the epoch; `fit` calls this behind its callbacks."""
        for name in logs:
            if name not in self.history:
                self.history[name] = [math.nan] * len(self.epoch)
        for name, values in self.history.items():
            values.append(logs.get(name, math.nan))
        self.epoch.append(epoch)

    def get_state(self) -> dict[str, Any]:
        """Return epochs and lists as arrays, and the names of these, which may hold anything."""
        values = np.array([*self.history.values()], float).reshape(len(self.history), len(self.epoch))
        return {"epoch": np.array(self.epoch, int), "names": [*self.history], "values": values}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the saved lists."""
        epochs, names, values = state["epoch"], state["names"], state["values"]
        if epochs.dtype.kind != "i" or epochs.ndim != 1 or values.shape != (len(names), len(epochs)):
            raise ValueError("history has lists of different lengths, or no numbers of epochs")
        if epochs.size and "loss" not in names:
            raise ValueError("history has no losses of epochs")
        self.epoch = epochs.tolist()
        self.history = dict(zip(names, values.tolist(), strict=True))

    def __copy__(self) -> History:
        return copy.deepcopy(self)  # lists that two histories share would grow in both

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the history as JSON, atomically.

        Parameters
        ----------
        path : path-like

        Examples
        --------
        >>> import os, tempfile, numpy as np, fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(1)], seed=0)
        >>> model.compile("sgd", "mse")
        >>> history = model.fit(np.eye(2), [2, 3], epochs=2, verbose=0)
        >>> path = os.path.join(tempfile.mkdtemp(), "history.json")
        >>> history.save(path)
        >>> fastbp.io.load_history(path) == history.history
        True
        """
        from .io import save_history

        save_history(path, self.history)

    def plot(self, metric: str | Iterable[str] = "loss", ax: Any = None) -> Any:
        """Draw values of every epoch, those of the validation data dashed, and mark the best.

        Parameters
        ----------
        metric : str or list of str
            Names of the history, such as ``"accuracy"`` or ``["loss", "accuracy"]``; "val_loss" leaves the training
            loss away. Each has a panel of its own.
        ax : matplotlib axes, optional
            Takes all curves. Such axes keep their own style.

        Returns
        -------
        matplotlib axes, or ndarray of them where there are several panels
        """
        from .plotting import canvas

        names = as_list("metric", [metric] if isinstance(metric, str) else metric, "names of the history")
        for name in names:
            if name != "loss":
                check_name("value in the history", name, self.history)
        curves = self._panels(names)
        alone = ax is None or len(curves) == 1
        with canvas("History.plot", ax, len(curves)) as axes:
            for k, (base, shown) in enumerate(curves.items()):
                panel = axes[k] if ax is None and len(curves) > 1 else axes
                for name in shown:
                    points = zip(self.epoch, self.history[name], strict=True)
                    seen = [(epoch + 1, value) for epoch, value in points if not math.isnan(value)]
                    look = {"color": f"C{k}", "linestyle": "-" if name == base else "--"}
                    panel.plot(*zip(*seen, strict=True), label=name, **look)
                best = self._best(shown[-1]) if shown else None
                if best is not None:
                    panel.scatter(*best, s=25, color=f"C{k}", zorder=3)
                    if alone:
                        panel.set_title(f"{shown[-1]}: best {best[1]:.4g} in epoch {best[0]}")
                panel.set(xlabel="epoch", ylabel=base if alone else "")
                if shown:
                    panel.legend()
        return axes

    def _panels(self, names: Iterable[str]) -> dict[str, list[str]]:
        """Return the curves that belong together, those of the validation data last, by the name without ``val_``."""
        panels: dict[str, list[str]] = {}
        for name in names:
            base = name.removeprefix("val_")
            seen = [n for n in (name, f"val_{base}") if not np.isnan(self.history.get(n, math.nan)).all()]
            panels[base] = sorted({*panels.get(base, ()), *seen}, key=lambda n: n != base)
        return panels

    def _best(self, name: str) -> tuple[int, float] | None:
        """Return the epoch, counted from 1, and the value that is the best of a name; None for rates."""
        values = np.array(self.history[name])
        if name == "lr" or np.isnan(values).all():
            return None
        at = int(np.nanargmax(values) if name.endswith(_LARGER) else np.nanargmin(values))
        return self.epoch[at] + 1, float(values[at])

    def __repr__(self) -> str:
        names = f": {', '.join(self.history)}" if self.history else ""
        return f"<History of {len(self.epoch)} epoch{'s' * (len(self.epoch) != 1)}{names}>"

    def _repr_html_(self) -> str:
        from .html import chart, table

        rows = [("", "last", "best", "in epoch")]
        for name, values in self.history.items():
            best = self._best(name)
            shown = ("", "") if best is None else (f"{best[1]:.4g}", str(best[0]))
            rows.append((name, f"{values[-1]:.4g}", *shown))
        epochs = [epoch + 1 for epoch in self.epoch]
        charts = (
            chart([(name, epochs, self.history[name], name != base) for name in names], "epoch")
            for base, names in self._panels(self.history).items()
        )
        return table(rows, f"{len(epochs)} epoch{'s' * (len(epochs) != 1)}") + "".join(charts)


class ProgressBar(Callback):
    """A bar with loss and metrics of the last epoch: tqdm's where it is installed, a widget in a notebook.

    In a terminal, and in a notebook without ipywidgets, it is text on standard error; without tqdm a line an epoch.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.eye(2), [2, 3], epochs=2, verbose=0)  # verbose=1 adds one
    """

    def on_train_begin(self, logs: Any = None) -> None:
        """Open the bar."""
        steps = self.params["steps"]
        # an iterable of batches may not say how many there are: then those of finished epochs are counted
        done, total = (0, None) if steps is None else (self.params[n] * steps for n in ("initial_epoch", "epochs"))
        self._before = done
        self._bar = open_bar(total, "batch", done)

    def on_progress(self, epoch: int, step: int) -> None:
        """Move the bar within an epoch."""
        if self._bar is not None:
            self._bar.update(self._before + step - self._bar.n)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Move the bar to the end of the epoch and show its losses."""
        text = as_text(logs)
        label = f"epoch {epoch + 1}/{self.params['epochs']}"
        if self._bar is None:
            print(f"{label}  {text}", file=sys.stderr)
        else:
            self._bar.set_description(label, refresh=False)
            self._bar.set_postfix_str(text, refresh=False)
            if self.params["steps"] is not None:
                self._bar.update((epoch + 1) * self.params["steps"] - self._bar.n)
            self._before = self._bar.n

    def on_train_end(self, logs: Any = None) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()


class EpochLines(Callback):
    """A line an epoch on standard output, for logs of jobs: number, seconds, loss and metrics; ``fit(verbose=2)``.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.eye(2), [2, 3], epochs=2, verbose=2)
    epoch 1/2 ... s  loss ...
    epoch 2/2 ... s  loss ...
    """

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Look at the clock."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Print the line."""
        seconds = time.perf_counter() - self._began
        print(f"epoch {epoch + 1}/{self.params['epochs']}  {seconds:.1f} s  {as_text(logs)}", flush=True)


#: What `verbose` shows.
_SHOWN: tuple[tuple[Any, ...], ...] = (), (ProgressBar,), (EpochLines,)


def shown(verbose: Any) -> list[Callback]:
    """Return the callbacks that show how `fit` goes on, or raise an error that names `verbose`."""
    return [kind() for kind in _SHOWN[check_verbose(verbose, "a line an epoch")]]


#: What `mode="auto"` takes for better where it is larger, by the end of its name.
_LARGER = ("acc", "accuracy", "auc", "precision", "recall", "f1", "f1_score", "r2", "r2_score")


class _Monitor(Callback):
    """A callback that watches whether a logged value becomes better."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        check_name("mode", mode, ("auto", "min", "max"))
        self.monitor, self.mode = monitor, mode
        self.min_delta = number("min_delta", min_delta, 0, math.inf)
        self._missed = False
        larger = mode == "max" or (mode == "auto" and str(monitor).endswith(_LARGER))
        self._sign = -1.0 if larger else 1.0
        self.best = self._sign * math.inf

    def on_train_begin(self, logs: Any = None) -> None:
        """Refuse a value that will not be logged."""
        self._missed = False
        if not self.params["more"]:
            check_name("value to monitor", self.monitor, self.params["metrics"])

    def value_in(self, logs: dict[str, float]) -> float | None:
        """Return the watched value of an epoch, or None; warn once if there is none that could have been foreseen.

        Parameters
        ----------
        logs : dict of str to float

        Returns
        -------
        float or None

        Examples
        --------
        >>> EarlyStopping("val_loss").value_in({"loss": 0.5, "val_loss": 0.75})
        0.75
        """
        value = logs.get(self.monitor)
        if value is None and self.monitor not in self.params["metrics"] and not self._missed:
            self._missed = True
            hint = suggest(self.monitor, logs)
            names = ", ".join(logs)
            kind = type(self).__name__
            warn(f"{kind} monitors {self.monitor!r}, which no callback before it has put into logs{hint or ';'}"
                 f"{' There' if hint else ' there'} are {names}")  # fmt: skip
        return value

    def get_state(self) -> dict[str, Any]:
        """Return the best value."""
        # an array: it may be infinite
        return {"best": np.array(self.best)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on with this best value."""
        self.best = float(state["best"])

    def improved(self, value: float) -> bool:
        """Whether a value is better than the best by more than `min_delta`; note it then. NaN never is.

        Parameters
        ----------
        value : float

        Returns
        -------
        bool

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(1)], seed=0)
        >>> model.compile("sgd", "mse")
        >>> stopper = EarlyStopping("loss")
        >>> history = model.fit(np.eye(2), [2, 3], epochs=5, verbose=0, callbacks=[stopper])
        >>> stopper.improved(stopper.best), stopper.improved(stopper.best / 2)
        (False, True)
        """
        better = self._beats(value, self.best)
        if better:
            self.best = value
        return better

    def _beats(self, value: float, other: float) -> bool:
        return self._sign * value < self._sign * other - self.min_delta


class EarlyStopping(_Monitor):
    """Stop when a logged value has not become better for some epochs.

    Parameters
    ----------
    monitor : str
        An epoch without it (`validation_freq`) does not count.
    min_delta : float
        What counts as better must be so by more than this.
    patience : int
        How many epochs in a row may be no better; 0 stops at the first.
    mode : {"auto", "min", "max"}
        Whether smaller or larger is better. auto: larger where the name ends in accuracy, auc, precision, recall,
        f1 or r2.
    restore_best_weights : bool
        Put the weights of the best epoch back when training ends, stopped or not. An error or Ctrl-C within an
        epoch leaves the weights as they are.
    start_from_epoch : int
        The first epoch that counts.
    baseline : float, optional
        What has to be reached, as in Keras: as long as no epoch was better than this, by more than `min_delta`, epochs
        count as no better, and the first one of them that is not the best so far, once there were `patience`, stops.

    Attributes
    ----------
    best : float
    best_epoch, stopped_epoch : int or None

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse")
    >>> stop = EarlyStopping(monitor="loss", min_delta=10, patience=2)
    >>> model.fit(np.eye(2), np.ones(2), epochs=9, verbose=0, callbacks=[stop]).epoch
    [0, 1, 2]
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        mode: str = "auto",
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
        baseline: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.baseline = None if baseline is None else number("baseline", baseline, -math.inf, math.inf)
        self.patience = integer("patience", patience, 0)
        self.start_from_epoch = integer("start_from_epoch", start_from_epoch, 0)
        self.restore_best_weights = bool(restore_best_weights)

    def on_train_begin(self, logs: Any = None) -> None:
        """Start anew."""
        super().on_train_begin()
        self.best, self.wait = self._sign * math.inf, 0
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._weights: list[Any] | None = None
        self._within = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Mark that an epoch is in progress: its weights are no epoch's yet."""
        self._within = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Compare with the best epoch."""
        self._within, value = False, self.value_in(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.improved(value) or self.best_epoch is None:
            reached = self.baseline is None or self._beats(value, self.baseline)
            self.wait, self.best_epoch = 0 if reached else self.wait + 1, epoch
            if self.restore_best_weights:
                self._weights = self.model.get_weights()
            return
        self.wait += 1
        if self.wait >= self.patience:
            self.stopped_epoch, self.model.stop_training = epoch, True

    def get_state(self) -> dict[str, Any]:
        """Return counters and the best weights."""
        weights = {f"weights/{k}": w for k, w in enumerate(self._weights or ())}
        counters = {"wait": self.wait, "best_epoch": self.best_epoch, "stopped_epoch": self.stopped_epoch}
        return {**super().get_state(), **counters, **weights}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the saved state."""
        super().set_state(state)
        self.wait = integer("wait", state["wait"], 0)
        self.best_epoch, self.stopped_epoch = (
            None if state[name] is None else integer(name, state[name], 0) for name in ("best_epoch", "stopped_epoch")
        )
        names = sorted((name for name in state if name.startswith("weights/")), key=lambda name: int(name[8:]))
        weights = [state[name] for name in names]
        # now, and not when training ends
        if weights and [w.shape for w in weights] != [w.shape for w in self.model.get_weights()]:
            raise ValueError("the best weights do not fit the model")
        self._weights = weights or None

    def on_train_end(self, logs: Any = None) -> None:
        """Put the best weights back."""
        if self._weights is not None and not self._within:
            self.model.set_weights(self._weights)


class ReduceLROnPlateau(_Monitor):
    """Lower the learning rate when a logged value has not become better for some epochs.

    Parameters
    ----------
    monitor : str
    factor : float
        In (0, 1): ``lr = max(lr * factor, min_lr)``.
    patience : int
        How many epochs in a row may be no better.
    mode : {"auto", "min", "max"}
        As for `EarlyStopping`.
    min_delta : float
        What counts as better must be so by more than this.
    cooldown : int
        Epochs after a change that do not count.
    min_lr : float

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.Dense(1)], seed=0)
    >>> model.compile(fastbp.optimizers.SGD(lr=1.0), "mse")
    >>> plateau = ReduceLROnPlateau(monitor="loss", factor=0.5, patience=1, min_delta=10)
    >>> model.fit(np.eye(2), np.ones(2), epochs=4, verbose=0, callbacks=[plateau]).history["lr"]
    [1.0, 1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = number("factor", factor, 0, 1, closed_low=False)
        self.patience = integer("patience", patience, 0)
        self.cooldown = integer("cooldown", cooldown, 0)
        self.min_lr = number("min_lr", min_lr, 0, math.inf)

    def on_train_begin(self, logs: Any = None) -> None:
        """Start anew."""
        super().on_train_begin()
        schedule = self.model.optimizer.schedule
        if schedule is not None:
            raise ValueError(f"ReduceLROnPlateau needs a learning rate that is a number; it is {schedule!r}")
        self.best = self._sign * math.inf
        self.wait = self.rest = 0

    def get_state(self) -> dict[str, Any]:
        """Return the counters."""
        return {**super().get_state(), "wait": self.wait, "rest": self.rest}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the saved state."""
        super().set_state(state)
        self.wait, self.rest = (integer(name, state[name], 0) for name in ("wait", "rest"))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Compare with the best epoch."""
        value = self.value_in(logs)
        if value is None:
            return
        if self.rest:
            self.rest, self.wait = self.rest - 1, 0
        if self.improved(value):
            self.wait = 0
        elif not self.rest:
            self.wait += 1
            lr = self.model.optimizer.lr
            if self.wait >= self.patience and lr > self.min_lr:
                self.model.optimizer.lr = max(lr * self.factor, self.min_lr)
                self.rest, self.wait = self.cooldown, 0


class LearningRateScheduler(Callback):
    """Set the learning rate before every epoch.

    A schedule by epochs; one by steps is ``Adam(lr=schedule)``, see `fastbp.schedules`.

    Parameters
    ----------
    schedule : callable
        ``schedule(epoch, lr)``, given the last rate, or ``schedule(epoch)`` returns the rate; its signature decides.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.Dense(1)], seed=0)
    >>> model.compile(fastbp.optimizers.SGD(lr=1.0), "mse")
    >>> halve = LearningRateScheduler(lambda epoch, lr: lr / 2 if epoch else lr)
    >>> model.fit(np.eye(2), np.ones(2), epochs=3, verbose=0, callbacks=[halve]).history["lr"]
    [1.0, 0.5, 0.25]
    """

    def __init__(self, schedule: Callable[..., float]) -> None:
        if not callable(schedule):
            raise TypeError(f"schedule is {schedule!r}; it must be a function of the epoch, or of that and the rate")
        self.schedule = schedule
        self._takes_lr = takes_more("schedule", schedule, 1, ("lr", "learning_rate"))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the rate."""
        optimizer = self.model.optimizer
        lr = self.schedule(epoch, optimizer.lr) if self._takes_lr else self.schedule(epoch)
        optimizer.lr = number(f"the learning rate of epoch {epoch}", lr, 0, math.inf, False)


def check_writable(name: str, path: str) -> None:
    """Raise an error that names an argument if its file could not be written."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{name} is {path!r}; there is no directory {folder!r}")
    if not os.path.basename(path):
        raise ValueError(f"{name} is {path!r}; it must be the name of a file")
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"{name} is {path!r}, which is not a regular file")
    for place in (folder, path):
        if os.path.exists(place) and not os.access(place, os.W_OK):
            raise PermissionError(f"{name} is {path!r}; {place!r} is read-only")


class ModelCheckpoint(_Monitor):
    """Save the model after every epoch, or after every epoch that is the best so far.

    `load_model` reads the file. It is written beside and renamed, so that a file of that name is always whole. To go
    on with a run that was interrupted use ``fit(checkpoint=...)``, which keeps more than the model.

    Parameters
    ----------
    filepath : path-like
        May name ``{epoch}``, counted from 1, and logged values, as ``"model-{epoch:03d}-{val_loss:.3f}.npz"``.
    monitor : str
        What `save_best_only` looks at.
    save_best_only : bool
        The best counts over all calls of `fit` that are given this object, as in Keras 3: a call that goes on and is
        worse leaves the file alone. For another model make another object.
    mode : {"auto", "min", "max"}
        As for `EarlyStopping`.

    Attributes
    ----------
    best : float

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, fastbp
    >>> folder = tempfile.mkdtemp()
    >>> model = fastbp.Sequential([fastbp.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse")
    >>> save = ModelCheckpoint(os.path.join(folder, "{epoch:02d}.npz"))
    >>> history = model.fit(np.eye(2), np.ones(2), epochs=2, verbose=0, callbacks=[save])
    >>> sorted(os.listdir(folder))
    ['01.npz', '02.npz']
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        save_best_only: bool = False,
        mode: str = "auto",
    ) -> None:
        super().__init__(monitor, mode)
        if not isinstance(filepath, (str, os.PathLike)):
            raise TypeError(f"filepath is {filepath!r}; it must be text or a path-like object")
        self.filepath = as_path("filepath", filepath)
        self.save_best_only = bool(save_best_only)

    def _path(self, epoch: int, logs: dict[str, float]) -> str:
        values = {**dict.fromkeys(self.params["metrics"], math.nan), **logs, "epoch": epoch + 1}
        return self.filepath.format_map(defaultdict(lambda: math.nan, values) if self.params["more"] else values)

    def on_train_begin(self, logs: Any = None) -> None:
        """Refuse what could not be saved later."""
        if self.save_best_only:
            super().on_train_begin()
        try:
            check_writable("filepath", self._path(0, {}))
        except (KeyError, IndexError, ValueError) as error:
            names = ", ".join(["epoch", *self.params["metrics"]])
            raise ValueError(f"filepath is {self.filepath!r} ({error}); it may name {names} in braces") from None
        self.model.get_config()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save the model."""
        value = self.value_in(logs) if self.save_best_only else None
        if not self.save_best_only or (value is not None and self.improved(value)):
            self.model.save(self._path(epoch, logs))


class CSVLogger(Callback):
    """Write what is logged, and the learning rate of the last step, to a CSV file: a line an epoch.

    The first epoch decides about columns: what callbacks before this one add to it comes last.

    Parameters
    ----------
    filename : path-like
    separator : str
    append : bool
        Go on with a file that is there, instead of a new one.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, fastbp
    >>> path = os.path.join(tempfile.mkdtemp(), "log.csv")
    >>> model = fastbp.Sequential([fastbp.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.eye(2), np.ones(2), epochs=2, verbose=0, callbacks=[CSVLogger(path)])
    >>> print(open(path).readline().strip())
    epoch,loss,lr
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        self.filename, self.separator, self.append = as_path("filename", filename), separator, bool(append)
        if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n':
            raise ValueError(f"separator is {separator!r}; it must be one character, no quote and no end of a line")

    def on_train_begin(self, logs: Any = None) -> None:
        """Look whether the file can be written; it is opened after the first epoch."""
        check_writable("filename", self.filename)
        self._columns = ["epoch", *self.params["metrics"], "lr"]
        self._file: Any = None
        self._begun, self._missed = False, False
        # logs without "lr" say that it never changed
        self._lr = self.model.optimizer.lr
        self._end = 0
        if self.append and os.path.exists(self.filename):
            import csv

            with open(self.filename, encoding="utf-8", newline="") as file:
                header = next(csv.reader(file, delimiter=self.separator), [])
            columns = header or self._columns
            if columns[: len(self._columns)] != self._columns or not (self.params["more"] or columns == self._columns):
                there = self.separator.join(header)
                raise ValueError(f"{self.filename!r} has the columns {there!r}; they must be {self._columns}")
            self._columns, self._begun = columns, bool(header)
            self._end = os.path.getsize(self.filename)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write a line."""
        added = [name for name in logs if name not in self._columns]
        if not self._begun:
            self._columns += added
            self._begun = True
        elif added and not self._missed:
            self._missed = True
            warn(f"CSVLogger: {self.filename!r} has no column for {added[0]!r}, which the first epoch did not log")
        if self._file is None:
            self._file = open(self.filename, "r+b" if os.path.exists(self.filename) else "xb")  # noqa: SIM115
            self._file.truncate(min(self._end, self._file.seek(0, os.SEEK_END)))
            if self._file.seek(0, os.SEEK_END) == 0:
                self._write(self._columns)
        values = {"lr": self._lr, **logs}
        self._write([epoch, *(values.get(name, "") for name in self._columns[1:])])

    def _write(self, values: list[Any]) -> None:
        import csv

        line = io.StringIO(newline="")
        # names may hold anything
        csv.writer(line, delimiter=self.separator, lineterminator="\n").writerow(values)
        self._file.write(line.getvalue().encode())
        self._file.flush()

    def get_state(self) -> dict[str, Any]:
        """Return how long the file is; what comes after that has not happened."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._end = self._file.tell()
        return {"end": self._end, "columns": list(self._columns)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._end, self._columns = integer("end", state["end"], 0), list(map(str, state["columns"]))
        self._begun = self._end > 0

    def on_train_end(self, logs: Any = None) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def __getattr__(name: str) -> Any:
    return elsewhere(__name__, name)
