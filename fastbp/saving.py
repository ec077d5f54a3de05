"""What a file holds of a model, and the model that it stands for; `fastbp.io` says how files look."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING

from . import losses, optimizers
from .checks import integer, saved_seed
from .compiler import Layout
from .data import dtype_name
from .engine import Memory, Setup
from .kernels import BACKENDS
from .layers import from_config
from .registry import NotDefinedError, check_readable, name_of
from .turns import put_values

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import Any

    import numpy as np

__all__ = ["config_of", "contents", "restored"]


def config_of(model: Any, layout: Layout, optimizer: list[Any] | None) -> dict[str, Any]:
    """Return layers, loss, optimizer and options of a model as plain data.

    Parameters
    ----------
    model : Sequential
    layout : Layout
        Of the model, as it is or will be built.
    optimizer : list or None
        Class name and arguments.

    Returns
    -------
    dict of str to object

    Raises
    ------
    ValueError
        If a class of a user's has its name no more.
    """
    check_readable(model.layers, model.loss_function, model.optimizer, model.metrics)
    config: dict[str, Any] = {
        "input_shape": list(layout.input_shape),
        "dtype": model.dtype,
        "layers": [[name_of(type(layer)), layer.get_config()] for layer in model.layers],
    }
    seeds = {"seed": model.seed, "fit_seed": model.fit_seed}
    config.update((name, int(seed)) for name, seed in seeds.items() if isinstance(seed, Integral))
    if model.optimizer is not None:
        loss = model.loss_function
        config["backend"], config["numerics"] = model.backend, model.numerics
        config["loss"] = None if loss is None else [name_of(type(loss)), loss.get_config()]
        config["optimizer"] = optimizer
        config["metrics"] = [metric.get_config() for metric in model.metrics]
    return config


def contents(model: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what a file of a built model holds: its `get_config`, and copies of the arrays by name."""
    config = model.get_config()
    arrays = {name: array.copy() for name, array in model.engine().memory.saved.items()}
    if model.optimizer is not None:
        arrays.update((f"optimizer.{name}", array) for name, array in model.optimizer.get_state().items())
    return config, arrays


def restored(path: str | os.PathLike[str], sequential: Callable[..., Any]) -> Any:
    """Return the model of a file; see `fastbp.load_model`.

    Parameters
    ----------
    path : path-like
    sequential : callable
        Makes a model of layers.

    Returns
    -------
    Sequential
    """
    from .io import FileFormatError, load_arrays

    config, arrays = load_arrays(path)
    # a checkpoint of fit's is a model with more
    arrays = {name: array for name, array in arrays.items() if "training" not in config or "/" not in name}
    try:
        model = sequential([from_config(kind, options) for kind, options in config["layers"]])
        layout = Layout(model.layers, tuple(integer("input_shape", n, 1) for n in config["input_shape"]))
        dtype = dtype_name(config["dtype"])
        # before any memory is taken: a damaged file may ask for much
        known = layout.check_saved(arrays, dtype)
        for name in arrays:
            if name not in known and not ("loss" in config and name.startswith("optimizer.")):
                raise ValueError(f"nothing is known of the array {name!r}")
        memory = Memory(layout, dtype)
        put_values([(array, arrays[name]) for name, array in memory.saved.items()])
        model.place(Setup(dtype=dtype), memory)
        model.seed, model.fit_seed = (saved_seed(name, config.get(name)) for name in ("seed", "fit_seed"))
        if "loss" in config:
            _compile(model, config, arrays)
    except NotDefinedError as error:
        raise FileFormatError(f"{path}: {error}") from error
    except (AttributeError, LookupError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        # whatever Python makes of a value of another type than was written
        raise FileFormatError(f"{path}: not a model of this version of fastbp: {error}") from error
    return model


def _compile(model: Any, config: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    loss = None if config["loss"] is None else losses.from_config(*config["loss"])
    optimizer = optimizers.from_config(*config["optimizer"])
    state = {k.removeprefix("optimizer."): array for k, array in arrays.items() if k.startswith("optimizer.")}
    optimizer.check_state(state, model.layout.n, model.dtype)
    backend = config["backend"]
    if backend in BACKENDS and BACKENDS[backend].missing:
        backend = None  # the default, which warns: the bits are the same
    model.compile(optimizer, loss, config["metrics"], backend, model.dtype, config.get("numerics", "numpy"))
    optimizer.set_state(state)
