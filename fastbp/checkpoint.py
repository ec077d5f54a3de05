"""Checkpoints of a training: all that `fit` needs to go on with a run as if it had never been interrupted.

A checkpoint is a model file (see `fastbp.io`), which `load_model` reads, with ``config["training"]`` and arrays
``training/...`` besides: epochs done, the state of the generator that shuffles, the learning rate, and the state of
the history and of every callback.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import numpy as np

from . import schedules
from .callbacks import ProgressBar, check_folder
from .data import as_path
from .io import FileFormatError, load_arrays, save_arrays

if TYPE_CHECKING:
    from typing import Any

    from .callbacks import Callback

__all__ = ["Checkpoint"]

#: Writing takes at most a part in so many of the time.
_SHARE = 20


def _plain(lr: Any) -> Any:
    """Return a learning rate as plain data, None for a function of the user's."""
    try:
        return schedules.to_config(lr) if callable(lr) else lr
    except ValueError:
        return None


def _encoded(state: Any) -> Any:
    """Return a bit generator's state as plain data; some hold arrays and NumPy's integers."""
    if isinstance(state, dict):
        return {name: _encoded(value) for name, value in state.items()}
    if isinstance(state, np.ndarray):
        return [str(state.dtype), state.tolist()]
    return int(state) if isinstance(state, np.integer) else state


def _decoded(state: Any) -> Any:
    if isinstance(state, dict):
        return {name: _decoded(value) for name, value in state.items()}
    return np.array(state[1], state[0]) if isinstance(state, list) else state


class Checkpoint:
    """The checkpoint of one call of `fit`.

    Parameters
    ----------
    path : path-like
    model : Sequential
        Ready to train.
    rng : numpy.random.Generator or None
        What shuffles.
    hooks : list of Callback
        With their `params`; the history among them.

    Attributes
    ----------
    done : int
        The epochs that need not be trained.
    stopped : bool
        Whether a callback ended the run.
    first_lr : float
        The learning rate at the beginning of the run.

    Raises
    ------
    ValueError
        If the file is of another run or is no checkpoint; the model is as it was then.
    OSError
        If there is no such folder, or the file cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], model: Any, rng: Any, hooks: list[Any]) -> None:
        self.path, self.model, self.rng = as_path("checkpoint", path), model, rng
        check_folder("checkpoint", self.path)
        # the bar is there or not as `verbose` says
        self.hooks: list[Callback] = [hook for hook in hooks if not isinstance(hook, ProgressBar)]
        optimizer, params = model.optimizer, hooks[0].params
        self.done, self.stopped, self.first_lr = params["initial_epoch"], False, optimizer.lr
        self._function = optimizer.schedule
        self._began = _plain(optimizer.get_config()["lr"])
        self._setup = {
            **{name: params[name] for name in ("initial_epoch", "rows", "batch_size")},
            "shuffle": rng is not None,
            "bit generator": None if rng is None else type(rng.bit_generator).__name__,
            "logged": params["metrics"],
            "callbacks": [type(hook).__name__ for hook in self.hooks],
        }
        self._due = 0.0
        self._states: list[dict[str, Any]] = []
        if os.path.exists(self.path):
            self._load()

    def _load(self) -> None:
        model, optimizer = self.model, self.model.optimizer
        config, arrays = load_arrays(self.path)
        if "training" not in config:
            raise ValueError(f"checkpoint is {self.path!r}, which is a model and no checkpoint of fit's")
        try:
            training = config["training"]
            self._compare(config, training)
            model.layout.check_saved(arrays, model.dtype)
            states = [dict(state) for state in training["states"]]
            for name, array in arrays.items():
                if name.startswith("training/"):
                    number, _, key = name.removeprefix("training/").partition("/")
                    states[int(number)][key] = array
            done, stopped, first_lr = int(training["done"]), bool(training["stopped"]), float(training["first_lr"])
            lr = training["lr"]
            if isinstance(lr, list):
                lr = schedules.from_config(*lr)
            state = {k[10:]: array for k, array in arrays.items() if k.startswith("optimizer.")}
            before = optimizer.get_config()["lr"], self.rng and self.rng.bit_generator.state
            try:
                if lr is not None:
                    optimizer.lr = lr
                if self.rng is not None:
                    self.rng.bit_generator.state = _decoded(training["generator"])
                optimizer.set_state(state)
            except (KeyError, TypeError, ValueError):
                optimizer.lr = before[0]
                if self.rng is not None:
                    self.rng.bit_generator.state = before[1]
                raise
        except _Differs:
            raise
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            raise FileFormatError(f"{self.path}: not a checkpoint of this version of fastbp: {error}") from error
        model._restore(arrays)
        self.done, self.stopped, self.first_lr, self._states = done, stopped, first_lr, states

    def _compare(self, config: dict[str, Any], training: dict[str, Any]) -> None:
        """Refuse the file of a run that is not this one."""
        mine, its = self._config(), config
        pairs: dict[str, tuple[Any, Any]] = {
            name: (mine[name], its[name]) for name in ("input_shape", "dtype", "numerics", "layers", "loss")
        }
        one, other = ([kind, {**options, "lr": 0}] for kind, options in (mine["optimizer"], its["optimizer"]))
        pairs["optimizer"] = one, other
        pairs.update((name, (self._setup[name], training["setup"].get(name))) for name in self._setup)
        began = training["began"]
        # of two numbers the file's counts: a callback may have changed this one already
        if not (isinstance(began, float) and isinstance(self._began, float)):
            pairs["lr"] = self._began, began
        for name, (here, there) in pairs.items():
            # tuples are lists in a file
            if _listed(here) != there:
                raise _Differs(
                    f"checkpoint is {self.path!r}, of a run whose {name} is {there!r}; here it is {here!r}. "
                    "Remove the file to start anew"
                )

    def _config(self) -> dict[str, Any]:
        optimizer = self.model.optimizer
        options = optimizer.get_config()
        return self.model._config([type(optimizer).__name__, {**options, "lr": _plain(options["lr"])}])

    def begin(self) -> None:
        """Give history and callbacks their states, after their ``on_train_begin``."""
        for hook, state in zip(self.hooks, self._states, strict=False):
            hook.set_state(state)

    def save(self, done: int, last: bool = False) -> None:
        """Write the file after an epoch, unless it was written a moment ago.

        Parameters
        ----------
        done : int
            The epochs that need not be trained any more.
        last : bool
            Whether there will be no other chance.
        """
        began = time.monotonic()
        if began < self._due and not last:
            return
        optimizer = self.model.optimizer
        lr = optimizer.get_config()["lr"]
        if _plain(lr) is None and lr is not self._function:
            raise ValueError(f"the learning rate became {lr!r} during the run, which a checkpoint cannot hold")
        arrays = self.model._saved()
        arrays.update((f"optimizer.{name}", array) for name, array in optimizer.get_state().items())
        states = [hook.get_state() for hook in self.hooks]
        for k, state in enumerate(states):
            arrays.update((f"training/{k}/{key}", a) for key, a in state.items() if isinstance(a, np.ndarray))
        training = {
            "setup": self._setup,
            "done": done,
            "stopped": self.model.stop_training,
            "first_lr": self.first_lr,
            "began": self._began,
            "lr": _plain(lr),
            "generator": None if self.rng is None else _encoded(self.rng.bit_generator.state),
            "states": [{k: v for k, v in state.items() if not isinstance(v, np.ndarray)} for state in states],
        }
        save_arrays(self.path, {**self._config(), "training": training}, arrays)
        now = time.monotonic()
        self._due = now + (_SHARE - 1) * (now - began)


class _Differs(ValueError):
    """The file is whole, and of another run."""


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _listed(item) for name, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, (list, tuple)) else value
