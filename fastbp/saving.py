"""What a file holds of a model, and the model that it stands for; `fastbp.io` says how files look."""

from __future__ import annotations

from contextlib import contextmanager
from numbers import Integral
from typing import TYPE_CHECKING

from . import losses, optimizers
from .checks import integer, saved_seed, suggest
from .data import dtype_name
from .engine import Memory, Setup
from .kernels import BACKENDS
from .layers import from_config
from .registry import NotDefinedError, check_readable, name_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    import numpy as np

    from .compiler import Layout

    #: The classes of models by their names in files.
    Makers = Mapping[str, Any]

__all__ = [
    "config_of", "contents", "each", "each_config", "fitting", "names_of", "reading", "restored", "usable",
    "weights_config", "weights_of_file",
]  # fmt: skip


def config_of(model: Any, layout: Layout, optimizer: list[Any] | None) -> dict[str, Any]:
    """Return layers, loss, optimizer and options of a model as plain data.

    Parameters
    ----------
    model : Model
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
    heads = model.heads
    losses_of = [head.joint or head.loss for head in heads]
    measured = [metric for head in heads for metric in head.metrics]
    users = check_readable(layout.layers, losses_of, model.optimizer, measured)
    config: dict[str, Any] = {"dtype": model.dtype, **structure_of(model)}
    if "nodes" not in config:
        config["input_shape"] = list(layout.input_shape)
    seeds = {"seed": model.seed, "fit_seed": model.fit_seed}
    config.update((name, int(seed)) for name, seed in seeds.items() if isinstance(seed, Integral))
    if model.optimizer is not None:
        config["backend"], config["numerics"] = model.backend, model.numerics
        of_heads = [
            ([name_of(type(loss)), loss.get_config()], [metric.get_config() for metric in head.metrics])
            for head in heads
            for loss in [head.joint or head.loss]
        ]
        if "nodes" in config:
            config["loss"] = {
                head.output: {"loss": loss, "metrics": measured, "weight": head.weight}
                for head, (loss, measured) in zip(heads, of_heads, strict=True)
            }
            config["loss"] = [config["loss"].get(k) for k in range(len(config["outputs"]["names"]))]
        else:
            config["loss"], config["metrics"] = of_heads[0] if of_heads else (None, [])
            if of_heads and heads[0].weight != 1:
                config["loss_weight"] = heads[0].weight
        config["optimizer"] = optimizer
    if users:
        _check_parts(config)
    if model.metadata:
        config["metadata"] = model.metadata
    return config


def structure_of(model: Any) -> dict[str, Any]:
    """Return the layers of a model, and how they are put together, as plain data."""
    own = {"trainable": model.trainable, "lr_factor": model.lr_factor}
    config: dict[str, Any] = {
        "layers": [
            [type(layer).__name__, {"name": layer.name, **structure_of(layer)}]
            if hasattr(layer, "layers")
            else [name_of(type(layer)), layer.get_config()]
            for layer in model.layers
        ],
        **{name: value for name, value in own.items() if value != 1},
    }
    return {**config, **model.described()}


def each(layers: Iterable[Any]) -> Iterator[Any]:
    """Yield layers, and those of models among them, in the order of `structure_of`."""
    for layer in layers:
        yield layer
        yield from each(getattr(layer, "layers", ()))


def each_config(layers: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Yield what `structure_of` says of them."""
    for _, config in layers:
        yield config
        yield from each_config(config.get("layers", ()))


def each_layer(layers: Iterable[Any]) -> Iterator[Any]:
    """Yield the layers alone of what `structure_of` says, with their classes."""
    for kind, config in layers:
        if "layers" in config:
            yield from each_layer(config["layers"])
        else:
            yield kind, config


def _heads(config: Mapping[str, Any]) -> Iterator[tuple[int, Any, Any, float]]:
    """Yield output, loss, metrics and factor of each head of a file."""
    if "nodes" in config:
        for k, head in enumerate(config["loss"]):
            if head is not None:
                yield k, head["loss"], head["metrics"], head["weight"]
    elif config["loss"] is not None:
        yield 0, config["loss"], config["metrics"], config.get("loss_weight", 1.0)


def _made(kind: str, config: Mapping[str, Any], makers: Makers) -> Any:
    """Return a model of what `structure_of` returned."""
    layers = [
        _made(name, options, makers) if name in makers else from_config(name, options)
        for name, options in config["layers"]
    ]
    model = makers[kind].from_structure(layers, config)
    for name in ("trainable", "lr_factor"):
        if name in config:
            setattr(model, name, config[name])
    return model


def _metric(*told: Any) -> Any:
    from .metrics import get

    return get([*told])


#: What a part that a file describes says of itself.
_TOLD: dict[str, Callable[[str, Any], Any]] = {
    "layer": lambda *told: from_config(*told).get_config(),
    "loss": lambda *told: losses.from_config(*told).get_config(),
    "metric": lambda *told: _metric(*told).get_config()[1],
    "optimizer": lambda *told: optimizers.to_config(optimizers.from_config(*told))[1],
}


def _check_parts(config: dict[str, Any]) -> None:
    """Raise ValueError where a part could not be made again of what it says: classes of users may say too little."""
    parts = [("layer", *layer) for layer in each_layer(config["layers"])]
    if "loss" in config:
        optimizer = config["optimizer"]
        # of a checkpoint it may lack the rate, where that is a function
        chosen = [] if optimizer is None or optimizer[1]["lr"] is None else [optimizer]
        for _, loss, measured, _ in _heads(config):
            parts.append(("loss", *loss))
            parts += [("metric", *metric) for metric in measured if not isinstance(metric, str)]
        parts += [("optimizer", *one) for one in chosen]
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
    arrays = model.engine().memory.saved
    if model.optimizer is not None:
        arrays.update((f"optimizer.{name}", array) for name, array in model.optimizer.get_state().items())
    return config, arrays


def names_of(layout: Layout) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all parameters and statistics by layer and name, as files of weights have them."""
    return {f"{layout.names[k]}/{name}": shape for k, name, shape in layout.weights}


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
    names, ports = memory.layout.names, memory.layout.graph.ports
    arrays = {f"{names[entry.layer]}/{entry.name}": array.copy() for entry, array in memory.weights}
    shapes = [list(port.shape) for port in ports]
    return {"weights": {"input_shape": shapes[0] if len(shapes) == 1 else shapes}}, arrays


def weights_of_file(
    path: str | os.PathLike[str], makers: Makers
) -> tuple[list[tuple[int, ...]], dict[str, np.ndarray]]:
    """Return the shapes of the inputs and the weights by name of a file, of weights or of a whole model."""
    from .io import load_arrays

    config, arrays = load_arrays(path)
    with reading(path):
        if "weights" not in config:
            config, arrays = weights_config(_uncompiled(config, arrays, makers))
        shape = config["weights"]["input_shape"]
        return [_shape(one) for one in (shape if shape and isinstance(shape[0], list) else [shape])], arrays


def _shape(shape: Any) -> tuple[int, ...]:
    return tuple(integer("input_shape", n, 1) for n in shape)


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Say which file it is whose values are wrong."""
    from .io import FileFormatError

    try:
        yield
    except NotDefinedError as error:
        raise FileFormatError(f"{path}: {error}") from error
    except (AttributeError, LookupError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        # whatever Python makes of a value of another type than was written
        raise FileFormatError(f"{path}: not a model of this version of fastbp: {error}") from error


def restored(path: str | os.PathLike[str], makers: Makers) -> tuple[Any, dict[str, Any]]:
    """Return the model of a file, and all that the file says in plain data; see `fastbp.load_model`.

    Parameters
    ----------
    path : path-like
    makers : dict of str to type
        The classes of models.

    Returns
    -------
    Model, dict of str to object
    """
    from .io import FileFormatError, load_arrays

    config, arrays = load_arrays(path)
    if "weights" in config:
        raise FileFormatError(f"{path}: it holds weights and no model; make one, and call its load_weights")
    with reading(path):
        model = _uncompiled(config, arrays, makers)
        if "loss" in config:
            _compile(model, config, arrays)
        model.metadata = dict(config.get("metadata", {}))
    return model, config


def _uncompiled(config: dict[str, Any], arrays: dict[str, np.ndarray], makers: Makers) -> Any:
    """Return the built model of a file."""
    # a checkpoint of fit's is a model with more
    arrays = {name: array for name, array in arrays.items() if "training" not in config or "/" not in name}
    model = _made("Model" if "nodes" in config else "Sequential", config, makers)
    layout = model.layout_for([_shape(config["input_shape"])] if "input_shape" in config else None)
    dtype = dtype_name(config["dtype"])
    # before any memory is taken: a damaged file may ask for much
    known = layout.check_saved(arrays, dtype)
    for name in arrays:
        if name not in known and not ("loss" in config and name.startswith("optimizer.")):
            raise ValueError(f"nothing is known of the array {name!r}")
    memory = Memory(layout, dtype)
    memory.load(arrays)
    model.place(Setup(dtype=dtype), memory)
    model.seed, model.fit_seed = (saved_seed(name, config.get(name)) for name in ("seed", "fit_seed"))
    return model


def _compile(model: Any, config: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    n = len(config["outputs"]["names"]) if "nodes" in config else 1
    weights: Any = [None] * n
    loss: list[Any] = [None] * n
    measured: list[Any] = [()] * n
    for k, one, own, weight in _heads(config):
        loss[k], measured[k], weights[k] = losses.from_config(*one), own, weight
    optimizer = optimizers.from_config(*config["optimizer"])
    state = {k.removeprefix("optimizer."): array for k, array in arrays.items() if k.startswith("optimizer.")}
    optimizer.check_state(state, model.layout.n, model.dtype)
    backend = usable(config["backend"])
    given: Any = (loss, measured, weights)
    if "nodes" not in config or config["outputs"]["kind"] == "one":
        given = [parts[0] for parts in given]
    loss, measured, weights = given
    if n > 1 and loss[0] is not None and loss[0].outputs is not None:
        loss, weights = loss[0], weights[0]
    numerics = config.get("numerics", "numpy")
    model.compile(optimizer, loss, measured, backend, model.dtype, numerics, loss_weights=weights)
    optimizer.set_state(state)


def usable(backend: Any) -> Any:
    """Return the backend of a model of elsewhere, or None for the default, which warns: the bits are the same."""
    return None if backend in BACKENDS and BACKENDS[backend].missing else backend
