"""What a file holds of a model, and the model that it stands for; `fastbp.io` says how files look."""

from __future__ import annotations

from contextlib import contextmanager
from numbers import Integral
from typing import TYPE_CHECKING

from . import losses, metrics, optimizers
from .checks import integer, saved_seed, suggest
from .compiler import Layout
from .data import dtype_name
from .engine import Memory, Setup
from .kernels import BACKENDS
from .layers import from_config
from .registry import NotDefinedError, check_readable, name_of
from .turns import put_values

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    import numpy as np

    from .layers import Layer

__all__ = [
    "config_of", "contents", "fitting", "names_of", "restored", "usable", "weights_config", "weights_of_file",
]  # fmt: skip


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
    users = check_readable(model.layers, model.loss_function, model.optimizer, model.metrics)
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
    if users:
        _check_parts(config)
    return config


#: What a part that a file describes says of itself.
_TOLD: dict[str, Callable[[str, Any], Any]] = {
    "layer": lambda *told: from_config(*told).get_config(),
    "loss": lambda *told: losses.from_config(*told).get_config(),
    "metric": lambda *told: metrics.get([*told]).get_config()[1],
    "optimizer": lambda *told: optimizers.to_config(optimizers.from_config(*told))[1],
}


def _check_parts(config: dict[str, Any]) -> None:
    """Raise ValueError where a part could not be made again of what it says: classes of users may say too little."""
    parts = [("layer", *layer) for layer in config["layers"]]
    if "loss" in config:
        loss, optimizer = config["loss"], config["optimizer"]
        # of a checkpoint it may lack the rate, where that is a function
        chosen = [] if optimizer is None or optimizer[1]["lr"] is None else [optimizer]
        parts += [("loss", *one) for one in ([] if loss is None else [loss])]
        parts += [("optimizer", *one) for one in chosen]
        parts += [("metric", *metric) for metric in config["metrics"] if not isinstance(metric, str)]
    for which, kind, options in parts:
        _check_part(which, kind, options)


def _check_part(which: str, kind: str, options: dict[str, Any]) -> None:
    import json

    try:
        told = json.loads(json.dumps(options))
        other = json.loads(json.dumps(_TOLD[which](kind, told)))
        if other != told:
            raise ValueError(f"of one that is made of {told} it is {other}")
    except Exception as error:  # whatever the user's code raises
        raise ValueError(
            f"the {which} {options.get('name', kind)!r} cannot be written: get_config of {kind}, and of what it holds, "
            f"must return as plain data the arguments that make another one; {type(error).__name__}: {error}"
        ) from error


def contents(model: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what a file of a built model holds: its `get_config`, and copies of the arrays by name."""
    config = model.get_config()
    arrays = {name: array.copy() for name, array in model.engine().memory.saved.items()}
    if model.optimizer is not None:
        arrays.update((f"optimizer.{name}", array) for name, array in model.optimizer.get_state().items())
    return config, arrays


def names_of(layers: Sequence[Layer], layout: Layout) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all parameters and statistics by layer and name, as files of weights have them."""
    return {f"{layers[k].name}/{name}": shape for k, name, shape in layout.weights}


def fitting(
    argument: str, given: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]], value: Any = None
) -> None:
    """Raise ValueError unless weights, by name, have the names and shapes of a model's.

    Parameters
    ----------
    argument : str
        What messages call where they come from.
    given, wanted : dict of str to tuple
    value : object, optional
        Of the argument.
    """
    where = argument if value is None else f"{argument} is {str(value)!r}, which"
    for name, shape in wanted.items():
        if name not in given:
            hint = suggest(name, given)
            has = f"{f'{hint} It' if hint else '; it'} has {', '.join(given) or 'nothing'}"
            raise ValueError(f"{where} has no {name}{has}")
        if given[name] != shape:
            raise ValueError(f"{where} has {name} of shape {given[name]}; this model's has {shape}")
    more = [name for name in given if name not in wanted]
    if more:
        raise ValueError(f"{where} has {', '.join(more)} besides; this model has {', '.join(wanted) or 'no weights'}")


def weights_config(model: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what a file of the weights alone holds."""
    memory = model.engine().memory
    arrays = {f"{model.layers[entry.layer].name}/{entry.name}": array.copy() for entry, array in memory.weights}
    return {"weights": {"input_shape": list(memory.layout.input_shape)}}, arrays


def weights_of_file(
    path: str | os.PathLike[str], sequential: Callable[..., Any]
) -> tuple[tuple[int, ...], dict[str, np.ndarray]]:
    """Return the input shape and the weights by name of a file, of weights or of a whole model."""
    from .io import load_arrays

    config, arrays = load_arrays(path)
    with _reading(path):
        if "weights" not in config:
            config, arrays = weights_config(_uncompiled(config, arrays, sequential))
        return tuple(integer("input_shape", n, 1) for n in config["weights"]["input_shape"]), arrays


@contextmanager
def _reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Say which file it is whose values are wrong."""
    from .io import FileFormatError

    try:
        yield
    except NotDefinedError as error:
        raise FileFormatError(f"{path}: {error}") from error
    except (AttributeError, LookupError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        # whatever Python makes of a value of another type than was written
        raise FileFormatError(f"{path}: not a model of this version of fastbp: {error}") from error


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
    if "weights" in config:
        raise FileFormatError(f"{path}: it holds weights and no model; make one, and call its load_weights")
    with _reading(path):
        model = _uncompiled(config, arrays, sequential)
        if "loss" in config:
            _compile(model, config, arrays)
    return model


def _uncompiled(config: dict[str, Any], arrays: dict[str, np.ndarray], sequential: Callable[..., Any]) -> Any:
    """Return the built model of a file."""
    # a checkpoint of fit's is a model with more
    arrays = {name: array for name, array in arrays.items() if "training" not in config or "/" not in name}
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
    return model


def _compile(model: Any, config: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    loss = None if config["loss"] is None else losses.from_config(*config["loss"])
    optimizer = optimizers.from_config(*config["optimizer"])
    state = {k.removeprefix("optimizer."): array for k, array in arrays.items() if k.startswith("optimizer.")}
    optimizer.check_state(state, model.layout.n, model.dtype)
    backend = usable(config["backend"])
    model.compile(optimizer, loss, config["metrics"], backend, model.dtype, config.get("numerics", "numpy"))
    optimizer.set_state(state)


def usable(backend: Any) -> Any:
    """Return the backend of a model of elsewhere, or None for the default, which warns: the bits are the same."""
    return None if backend in BACKENDS and BACKENDS[backend].missing else backend
