"""Gradients for objectives of one's own: by the inputs, and of each row by the parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .training import inputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .data import Rows
    from .engine import Engine

__all__ = ["gradient_of_loss", "pulled_back", "row_gradients"]


def gradient_of_loss(engine: Engine, data: Rows, trained: frozenset[int] | None) -> list[np.ndarray]:
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
    list of ndarray
        For each input; zeros where none comes through.
    """
    return _run(engine, "input gradient", data, (), trained)


def pulled_back(
    engine: Engine, data: Rows, dys: Sequence[np.ndarray], trained: frozenset[int] | None
) -> list[np.ndarray]:
    """Return dLoss/dx of a batch from dLoss/d the outputs; see `gradient_of_loss`.

    Parameters
    ----------
    engine : Engine
    data : Rows
        The inputs of the batch.
    dys : list of ndarray
    trained : frozenset of int or None

    Returns
    -------
    list of ndarray
    """
    return _run(engine, "pull", data, dys, trained)


def _run(
    engine: Engine, purpose: str, data: Rows, dys: Sequence[np.ndarray], trained: frozenset[int] | None
) -> list[np.ndarray]:
    given = data.given
    network, executor = engine.lend(purpose, data.n, given, trained)
    found = [np.zeros_like(x) if dx is None else np.empty_like(x) for x, dx in zip(data.x, network.dxs, strict=True)]
    cursors = inputs(network, data)
    if purpose == "pull":
        cursors.update(zip([network.dys[output] for output in range(len(dys))], dys, strict=True))
    cursors.update((dx, array) for dx, array in zip(network.dxs, found, strict=True) if dx is not None)
    try:
        executor.run_steps((0, len(network.program.calls)), data.n, data.n, cursors)
    finally:
        engine.give_back(purpose, executor, given, trained)
    return found


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
    given = data.given
    network, executor = engine.lend("row gradients", 1, given)
    gradients = np.empty((data.n, engine.layout.n), engine.setup.dtype)
    cursors = {**inputs(network, data), network.row_gradient: gradients}
    try:
        executor.run_steps((0, len(network.program.calls)), data.n, 1, cursors)
    finally:
        engine.give_back("row gradients", executor, given)
    return gradients
