"""Callbacks of `fit`, the history and the progress bar. Names of hooks and arguments are Keras'."""

from __future__ import annotations

import math
import os
import sys
from typing import TYPE_CHECKING

import numpy as np

from .checks import as_path, check_name, integer, number

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgressBar",
    "ReduceLROnPlateau",
]


class Callback:
    """Called by `fit`; override what you need. Hook names are Keras'.

    Attributes
    ----------
    model : Sequential
    params : dict
        ``initial_epoch``, ``epochs``, ``steps`` (batches an epoch), ``rows``, ``batch_size``, ``seed`` (which repeats
        the run; None for a generator of the caller's) and ``metrics``, the names of what will be logged.

    Notes
    -----
    An epoch runs without Python. A callback with ``on_train_batch_begin`` or ``on_train_batch_end`` brings it back
    for every batch, which costs 4 to 8 us each; the bits are the same.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> class StopAt(fastbp.Callback):
    ...     def __init__(self, loss):
    ...         self.loss = loss
    ...
    ...     def on_epoch_end(self, epoch, logs):
    ...         self.model.stop_training = logs["loss"] < self.loss
    >>> model = fastbp.Sequential([fastbp.Dense(1)], seed=0)
    >>> model.compile(fastbp.optimizers.SGD(lr=0.5), "mse")
    >>> history = model.fit(np.eye(2), [2, 3], epochs=1000, verbose=0, callbacks=[StopAt(1e-3)])
    >>> len(history.epoch) < 100, history.history["loss"][-1] < 1e-3
    (True, True)
    """

    # set by fit
    model: Any = None
    params: Any = None

    def on_train_begin(self) -> None:
        """Before the first epoch."""

    def on_train_end(self) -> None:
        """After the last epoch, also when training was stopped or failed."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Before an epoch, counted from 0.

        Parameters
        ----------
        epoch : int
        """

    def on_progress(self, epoch: int, step: int) -> None:
        """About ten times a second during an epoch: `step` batches are done.

        Parameters
        ----------
        epoch, step : int
        """

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """After an epoch; `logs` holds its loss and metrics. Set ``self.model.stop_training = True`` to stop.

        Parameters
        ----------
        epoch : int
        logs : dict of str to float
        """

    def on_train_batch_begin(self, batch: int) -> None:
        """Before a train step; batches are counted from 0 in every epoch.

        Parameters
        ----------
        batch : int
        """

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
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
        """
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take what `get_state` returned; called after ``on_train_begin``.

        Parameters
        ----------
        state : dict of str to object
        """

    def on_test_begin(self) -> None:
        """Before the validation data are evaluated."""

    def on_test_end(self, logs: dict[str, float]) -> None:
        """After that; `logs` holds loss and metrics, without ``val_``.

        Parameters
        ----------
        logs : dict of str to float
        """


def has_hook(callback: Callback, name: str) -> bool:
    """Whether a callback does something in a hook."""
    return getattr(getattr(callback, name), "__func__", None) is not getattr(Callback, name)


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

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Note the epoch."""
        for name in logs:
            if name not in self.history:
                self.history[name] = [math.nan] * len(self.epoch)
        for name, values in self.history.items():
            values.append(logs.get(name, math.nan))
        self.epoch.append(epoch)

    def get_state(self) -> dict[str, Any]:
        """Return epochs and lists as arrays."""
        return {"epoch": np.array(self.epoch, int), **{f"history/{k}": np.array(v) for k, v in self.history.items()}}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the saved lists."""
        epochs, lists = state["epoch"], {name: values for name, values in state.items() if name != "epoch"}
        if epochs.dtype.kind != "i" or any(values.shape != epochs.shape for values in lists.values()):
            raise ValueError("history has lists of different lengths, or no numbers of epochs")
        if epochs.ndim != 1 or (epochs.size and "history/loss" not in lists):
            raise ValueError("history has no losses of epochs")
        self.epoch = epochs.tolist()
        self.history = {name.removeprefix("history/"): values.tolist() for name, values in lists.items()}

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

    def plot(self, ax: Any = None, metric: str = "loss") -> Any:
        """Draw the loss of every epoch, and of the validation data if there was any.

        Parameters
        ----------
        ax : matplotlib axes, optional
        metric : str
            What to draw instead of the loss, such as ``"accuracy"`` or ``"lr"``.

        Returns
        -------
        matplotlib axes
        """
        if metric != "loss":
            check_name("value in the history", metric, self.history)
        if ax is None:
            try:
                from matplotlib import pyplot as plt
            except ImportError as error:
                raise ImportError("History.plot needs matplotlib: pip install 'fastbp[plot]'") from error
            ax = plt.subplots()[1]
        for name in (metric, f"val_{metric}"):
            points = zip(self.epoch, self.history.get(name, ()), strict=False)
            seen = [(epoch + 1, value) for epoch, value in points if not math.isnan(value)]
            if seen:
                ax.plot(*zip(*seen, strict=True), label=name)
        ax.set(xlabel="epoch", ylabel=metric)
        if ax.get_legend_handles_labels()[0]:
            ax.legend()
        return ax


class ProgressBar(Callback):
    """A bar on standard error, with loss and metrics of the last epoch; tqdm's where it is installed.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.eye(2), [2, 3], epochs=2, verbose=0)  # verbose=1 adds one
    """

    def on_train_begin(self) -> None:
        """Open the bar."""
        done, total = (self.params[name] * self.params["steps"] for name in ("initial_epoch", "epochs"))
        try:
            from tqdm import tqdm

            self._bar = tqdm(total=total, initial=done, unit="batch", file=sys.stderr, mininterval=0.1)
        except ImportError:
            self._bar = None

    def on_progress(self, epoch: int, step: int) -> None:
        """Move the bar within an epoch."""
        if self._bar is not None:
            self._bar.update(epoch * self.params["steps"] + step - self._bar.n)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Move the bar to the end of the epoch and show its losses."""
        text = "  ".join(
            f"{name} {value:.4g}" if name == "lr" else f"{name} {value:.4f}" for name, value in logs.items()
        )
        label = f"epoch {epoch + 1}/{self.params['epochs']}"
        if self._bar is None:
            print(f"{label}  {text}", file=sys.stderr)
        else:
            self._bar.set_description(label, refresh=False)
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update((epoch + 1) * self.params["steps"] - self._bar.n)

    def on_train_end(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()


#: What `mode="auto"` takes for better where it is larger, by the end of its name.
_LARGER = ("acc", "accuracy", "auc", "precision", "recall", "f1", "f1_score", "r2", "r2_score")


class _Monitor(Callback):
    """A callback that watches whether a logged value becomes better."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        check_name("mode", mode, ("auto", "min", "max"))
        self.monitor, self.mode = monitor, mode
        self.min_delta = number("min_delta", min_delta, 0, math.inf)
        larger = mode == "max" or (mode == "auto" and str(monitor).endswith(_LARGER))
        self._sign = -1.0 if larger else 1.0
        self.best = self._sign * math.inf

    def on_train_begin(self) -> None:
        """Refuse a value that will not be logged."""
        check_name("value to monitor", self.monitor, self.params["metrics"])

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
        """
        better = self._sign * value < self._sign * self.best - self.min_delta
        if better:
            self.best = value
        return better


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
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = integer("patience", patience, 0)
        self.start_from_epoch = integer("start_from_epoch", start_from_epoch, 0)
        self.restore_best_weights = bool(restore_best_weights)

    def on_train_begin(self) -> None:
        """Start anew."""
        super().on_train_begin()
        self.best, self.wait = self._sign * math.inf, 0
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._weights: list[Any] | None = None
        self._within = False

    def on_epoch_begin(self, epoch: int) -> None:
        """Mark that an epoch is in progress: its weights are no epoch's yet."""
        self._within = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Compare with the best epoch."""
        self._within = False
        if self.monitor not in logs or epoch < self.start_from_epoch:
            return
        if self.improved(logs[self.monitor]) or self.best_epoch is None:
            self.wait, self.best_epoch = 0, epoch
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

    def on_train_end(self) -> None:
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

    def on_train_begin(self) -> None:
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

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Compare with the best epoch."""
        if self.monitor not in logs:
            return
        if self.rest:
            self.rest, self.wait = self.rest - 1, 0
        if self.improved(logs[self.monitor]):
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
        ``schedule(epoch, lr)`` returns the rate, given the last one.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.Dense(1)], seed=0)
    >>> model.compile(fastbp.optimizers.SGD(lr=1.0), "mse")
    >>> halve = LearningRateScheduler(lambda epoch, lr: lr / 2 if epoch else lr)
    >>> model.fit(np.eye(2), np.ones(2), epochs=3, verbose=0, callbacks=[halve]).history["lr"]
    [1.0, 0.5, 0.25]
    """

    def __init__(self, schedule: Callable[[int, float], float]) -> None:
        if not callable(schedule):
            raise TypeError(f"schedule is {schedule!r}; it must be a function of the epoch and the rate")
        self.schedule = schedule

    def on_epoch_begin(self, epoch: int) -> None:
        """Set the rate."""
        optimizer = self.model.optimizer
        optimizer.lr = number(
            f"the learning rate of epoch {epoch}", self.schedule(epoch, optimizer.lr), 0, math.inf, False
        )


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
        return self.filepath.format(epoch=epoch + 1, **{**dict.fromkeys(self.params["metrics"], math.nan), **logs})

    def on_train_begin(self) -> None:
        """Refuse what could not be saved later."""
        if self.save_best_only:
            super().on_train_begin()
        try:
            check_writable("filepath", self._path(0, {}))
        except (KeyError, IndexError, ValueError) as error:
            names = ", ".join(["epoch", *self.params["metrics"]])
            raise ValueError(f"filepath is {self.filepath!r} ({error}); it may name {names} in braces") from None
        self.model.get_config()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Save the model."""
        if not self.save_best_only or (self.monitor in logs and self.improved(logs[self.monitor])):
            self.model.save(self._path(epoch, logs))


class CSVLogger(Callback):
    """Write what is logged, and the learning rate of the last step, to a CSV file: a line an epoch.

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
        if not isinstance(separator, str) or len(separator) != 1:
            raise ValueError(f"separator is {separator!r}; it must be one character")

    def on_train_begin(self) -> None:
        """Look whether the file can be written; it is opened after the first epoch."""
        check_writable("filename", self.filename)
        self._columns = ["epoch", *self.params["metrics"], "lr"]
        self._file: Any = None
        # logs without "lr" say that it never changed
        self._lr = self.model.optimizer.lr
        self._end = 0
        if self.append and os.path.exists(self.filename):
            with open(self.filename, encoding="utf-8") as file:
                header = file.readline().rstrip("\n")
            if header and header != self.separator.join(self._columns):
                raise ValueError(f"{self.filename!r} has the columns {header!r}; they must be {self._columns}")
            self._end = os.path.getsize(self.filename)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Write a line."""
        if self._file is None:
            self._file = open(self.filename, "r+b" if os.path.exists(self.filename) else "xb")  # noqa: SIM115
            self._file.truncate(min(self._end, self._file.seek(0, os.SEEK_END)))
            if self._file.seek(0, os.SEEK_END) == 0:
                self._write(self._columns)
        values = {"lr": self._lr, **logs}
        self._write([epoch, *(values.get(name, "") for name in self._columns[1:])])

    def _write(self, values: list[Any]) -> None:
        self._file.write((self.separator.join(map(str, values)) + "\n").encode())
        self._file.flush()

    def get_state(self) -> dict[str, Any]:
        """Return how long the file is; what comes after that has not happened."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._end = self._file.tell()
        return {"end": self._end}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._end = integer("end", state["end"], 0)

    def on_train_end(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
