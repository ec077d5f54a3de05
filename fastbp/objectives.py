"""Gradients for objectives of one's own: by the inputs, and of each row by the parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .data import Rows
    from .engine import Engine

__all__ = ["gradient_of_loss", "pulled_back", "row_gradients"]


def gradient_of_loss(engine: Engine, data: Rows, trained: frozenset[int] | None) -> np.ndarray:
    """Return dLoss/dx of a batch for the compiled loss, without a turn.

    Parameters
    ----------
    engine : Engine
    data : Rows
        The batch.
    trained : frozenset of int or None
        As of `Engine.compile`.

    Returns
    -------
    ndarray
    """
    more = {"y_true": data.y} if data.weight is None else {"y_true": data.y, "weight": data.weight}
    return _run(engine, "input gradient", data.x, more, data.weight is not None, trained)


def pulled_back(engine: Engine, x: np.ndarray, dy: np.ndarray, trained: frozenset[int] | None) -> np.ndarray:
    """Return dLoss/dx of a batch from dLoss/dy_pred; see `gradient_of_loss`.

    Parameters
    ----------
    engine : Engine
    x, dy : ndarray
    trained : frozenset of int or None

    Returns
    -------
    ndarray
    """
    return _run(engine, "pull", x, {"dy": dy}, False, trained)


def _run(
    engine: Engine,
    purpose: str,
    x: np.ndarray,
    more: dict[str, np.ndarray],
    weighted: bool,
    trained: frozenset[int] | None,
) -> np.ndarray:
    network, executor = engine.lend(purpose, len(x), weighted, trained)
    dx = np.empty_like(x)
    streams = {network.x: x, network.dx: dx, **{getattr(network, name): array for name, array in more.items()}}
    try:
        executor.run_steps((0, len(network.program.calls)), len(x), len(x), streams)
    finally:
        engine.give_back(purpose, executor, weighted, trained)
    return dx


def row_gradients(engine: Engine, data: Rows) -> np.ndarray:
    """Return the gradient of each row's own loss by all parameters, without a turn.

    Parameters
    ----------
    engine : Engine
    data : Rows

    Returns
    -------
    ndarray, shape (rows, parameters)
    """
    network, executor = engine.lend("row gradients", 1)
    gradients = np.empty((len(data.x), engine.layout.n), data.x.dtype)
    streams = {network.x: data.x, network.y_true: data.y, network.row_gradient: gradients}
    try:
        executor.run_steps((0, len(network.program.calls)), len(data.x), 1, streams)
    finally:
        engine.give_back("row gradients", executor)
    return gradients
