"""Checkpoints of a training: all that `fit` needs to go on with a run as if it had never been interrupted.

A checkpoint is a model file (see `fastbp.io`), which `load_model` reads, with ``config["training"]`` and arrays
``training/...`` besides: epochs done, the state of the generator that shuffles, the seed, the learning rate, and the
state of the history and of every callback.
"""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from . import schedules
from .callbacks import check_writable
from .checks import as_path, integer, number, saved_seed
from .io import FileFormatError, load_arrays, save_arrays
from .optimizers import Optimizer
from .registry import name_of
from .saving import config_of, each, each_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .callbacks import Callback
    from .compiler import Layout
    from .engine import Engine

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
        Compiled; it need not be built.
    layout : Layout
        Of the model, as it is or will be built.
    rng : numpy.random.Generator or None
        What shuffles.
    callbacks : list of Callback
        The history is the first of them.
    params : dict
        Of the callbacks. The seed of a run that goes on takes its place there.

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
        If the file cannot be read, or could not be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        model: Any,
        layout: Layout,
        rng: np.random.Generator | None,
        callbacks: list[Callback],
        params: dict[str, Any],
    ) -> None:
        self.path, self.model, self.rng = as_path("checkpoint", path), model, rng
        check_writable("checkpoint", self.path)
        self.callbacks = callbacks
        optimizer = model.optimizer
        self.done, self.stopped, self.first_lr = params["initial_epoch"], False, optimizer.lr
        self._function = optimizer.schedule
        self._began = _plain(optimizer.get_config()["lr"])
        self._setup = {
            **{name: params[name] for name in ("initial_epoch", "rows", "batch_size")},
            "shuffle": rng is not None,
            "bit generator": None if rng is None else type(rng.bit_generator).__name__,
            "logged": params["metrics"],
            "callbacks": [type(callback).__name__ for callback in callbacks],
        }
        self._due = 0.0
        self._found: _Found | None = None
        self._undo: list[Callable[[], None]] = []
        if os.path.exists(self.path):
            self._found = self._load(layout)
            self.done, self.stopped, self.first_lr = self._found.done, self._found.stopped, self._found.first_lr
            params["seed"] = self._found.seed

    def _load(self, layout: Layout) -> _Found:
        """Return what the file holds, all of it looked at; nothing is changed."""
        model = self.model
        config, arrays = load_arrays(self.path)
        if "training" not in config:
            raise ValueError(f"checkpoint is {self.path!r}, which is a model and no checkpoint of fit's")
        try:
            training = config["training"]
            self._compare(config, training, layout)
            layout.check_saved(arrays, model.dtype)
            states = [dict(state) for state in training["states"]]
            for name, array in arrays.items():
                if name.startswith("training/"):
                    k, _, key = name.removeprefix("training/").partition("/")
                    states[int(k)][key] = array
            lr = training["lr"]
            if isinstance(lr, list):
                lr = schedules.from_config(*lr)
            if lr is not None:
                Optimizer(lr if callable(lr) else number("lr", lr, 0, math.inf))  # which refuses what is no rate
            generator = None
            if self.rng is not None:
                # tried on another one of its kind
                generator = _decoded(training["generator"])
                type(self.rng.bit_generator)().state = generator
            state = {name.removeprefix("optimizer."): a for name, a in arrays.items() if name.startswith("optimizer.")}
            model.optimizer.check_state(state, layout.n, model.dtype)
            if not isinstance(training["stopped"], bool):
                raise TypeError(f"stopped is {training['stopped']!r}")
            return _Found(
                integer("done", training["done"], 0),
                training["stopped"],
                number("first_lr", training["first_lr"], 0, math.inf),
                lr,
                generator,
                saved_seed("seed", training.get("seed")),
                saved_seed("seed", config.get("seed")),
                [_changeable(options) for options in each_config(config["layers"])],
                state,
                arrays,
                states,
            )
        except _Differs:
            raise
        except _WRONG as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> FileFormatError:
        return FileFormatError(f"{self.path}: not a checkpoint of this version of fastbp: {error}")

    def _compare(self, config: dict[str, Any], training: dict[str, Any], layout: Layout) -> None:
        """Refuse the file of a run that is not this one."""
        mine, its = self._config(layout), config
        pairs: dict[str, tuple[Any, Any]] = {
            name: (mine.get(name), its.get(name))
            for name in _COMPARED
            if name in mine or name in its
        }
        pairs["layers"] = _fixed(mine["layers"]), _fixed(its["layers"])
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
                if name == "preparation":  # long, and of hundreds of numbers one may differ
                    raise _Differs(
                        f"checkpoint is {self.path!r}, of a run whose preparation is another one. "
                        "Remove the file to start anew"
                    )
                raise _Differs(
                    f"checkpoint is {self.path!r}, of a run whose {name} is {there!r}; here it is {here!r}. "
                    "Remove the file to start anew"
                )

    def _config(self, layout: Layout) -> dict[str, Any]:
        optimizer = self.model.optimizer
        options = optimizer.get_config()
        config = config_of(self.model, layout, [name_of(type(optimizer)), {**options, "lr": _plain(options["lr"])}])
        if self.model.prepared is not None:
            config["preparation"] = self.model.prepared.preparation.get_config()
        return config

    def restore(self, engine: Engine) -> None:
        """Set model, optimizer and generator to what the file holds, if there is one; `undo` takes it back."""
        found, optimizer, rng = self._found, self.model.optimizer, self.rng
        if found is None:
            return
        arrays, lr = engine.copy(), optimizer.schedule or optimizer.lr
        layers = [(layer.trainable, layer.lr_factor) for layer in each(self.model.layers)]
        iterations = optimizer.iterations
        generator: Any = None if rng is None else rng.bit_generator.state

        def undo() -> None:
            optimizer.lr = lr
            optimizer.iterations = iterations
            engine.restore(arrays)
            if rng is not None:
                rng.bit_generator.state = generator
            _set_layers(self.model, layers)

        self._undo.append(undo)
        if found.lr is not None:
            optimizer.lr = found.lr
        optimizer.set_state(found.state)
        if rng is not None:
            rng.bit_generator.state = found.generator
        engine.memory.load(found.arrays)
        self.model.seed = found.initial_seed
        _set_layers(self.model, found.layers)

    def undo(self) -> None:
        """Set all back that `restore` changed."""
        while self._undo:
            self._undo.pop()()

    def begin(self) -> None:
        """Give history and callbacks their states, after their ``on_train_begin``."""
        if self._found is None:
            return
        try:
            for callback, state in zip(self.callbacks, self._found.states, strict=True):
                callback.set_state(state)
        except _WRONG as error:
            raise self._unreadable(error) from error

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
        engine = self.model.engine()
        arrays = engine.memory.saved
        arrays.update((f"optimizer.{name}", array) for name, array in optimizer.get_state().items())
        states = [callback.get_state() for callback in self.callbacks]
        for k, state in enumerate(states):
            arrays.update((f"training/{k}/{key}", a) for key, a in state.items() if isinstance(a, np.ndarray))
        training = {
            "setup": self._setup,
            "done": done,
            "stopped": self.model.stop_training,
            "first_lr": self.first_lr,
            "seed": self.callbacks[0].params["seed"],
            "began": self._began,
            "lr": _plain(lr),
            "generator": None if self.rng is None else _encoded(self.rng.bit_generator.state),
            "states": [{k: v for k, v in state.items() if not isinstance(v, np.ndarray)} for state in states],
        }
        save_arrays(self.path, {**self._config(engine.layout), "training": training}, arrays)
        now = time.monotonic()
        self._due = now + (_SHARE - 1) * (now - began)


class _Found(NamedTuple):
    """What a file holds besides the model's description."""

    done: int
    stopped: bool
    first_lr: float
    lr: Any
    generator: Any
    seed: int | None
    initial_seed: int | None  # of the weights that the run began with
    layers: list[tuple[bool, float]]  # whether they are trained, and their learning rates
    state: dict[str, np.ndarray]  # of the optimizer
    arrays: dict[str, np.ndarray]
    states: list[dict[str, Any]]  # of the callbacks


def _set_layers(model: Any, values: list[tuple[bool, float]]) -> None:
    for layer, (trainable, lr_factor) in zip(each(model.layers), values, strict=True):
        if (layer.trainable, layer.lr_factor) != (trainable, lr_factor):
            layer.trainable, layer.lr_factor = trainable, lr_factor


def _changeable(options: dict[str, Any]) -> tuple[bool, float]:
    """Return what a callback may have changed of a layer, from its config."""
    lr_factor = number("lr_factor", options.get("lr_factor", 1.0), 0, math.inf, closed_low=False)
    return bool(options.get("trainable", True)), lr_factor


def _fixed(layers: list[Any]) -> list[Any]:
    """Return configs of layers without that."""
    found = []
    for kind, options in layers:
        kept = {k: v for k, v in options.items() if k not in _CHANGEABLE}
        if "layers" in kept:
            kept["layers"] = _fixed(kept["layers"])
        found.append([kind, kept])
    return found


_CHANGEABLE = "trainable", "lr_factor"
#: What must be the same of the run that a checkpoint is of.
_COMPARED = "input_shape", "inputs", "outputs", "nodes", "dtype", "numerics", "layers", "loss", "preparation"
#: What Python raises for values of other types than were written.
_WRONG = (AttributeError, LookupError, OverflowError, TypeError, ValueError)


class _Differs(ValueError):
    """The file is whole, and of another run."""


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _listed(item) for name, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, (list, tuple)) else value
