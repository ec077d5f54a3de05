"""Training by `scipy.optimize.minimize`: L-BFGS and others that look at all rows at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .backends import make_executor
from .checks import check_kind
from .training import inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from numpy.typing import ArrayLike

    from .model import Sequential

__all__ = ["minimize"]


def minimize(
    model: Sequential,
    x: ArrayLike,
    y: ArrayLike,
    method: str = "L-BFGS-B",
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[int, float] | str | None = None,
    **options: Any,
) -> Any:
    """Train a model with a method of `scipy.optimize.minimize` over the flat vector of its parameters.

    The loss of all rows, penalties included, and its gradient are what the method is given. The optimizer that the
    model was compiled with, its learning rate and state play no part. L-BFGS [1]_ needs few steps where the rows are
    some thousands at most and the loss is smooth; it is what scikit-learn's ``solver="lbfgs"`` does.

    Parameters
    ----------
    model : Sequential
        Compiled. float64 lets the line search see small gains. Layers that are not `trainable` stay as they are.
    x, y : array_like
        As for `Model.fit`. All rows are one batch, in memory with their activations.
    method : str
        One that uses gradients, such as "L-BFGS-B", "BFGS", "CG" or "TNC".
    sample_weight : array_like, optional
        As for `Model.fit`.
    class_weight : dict of int to float or "balanced", optional
        As for `Model.fit`.
    **options
        Of `scipy.optimize.minimize`, such as ``tol``, ``callback`` or ``options={"maxiter": 200}``.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``fun`` is the loss, ``nit`` the number of iterations, ``message`` why it ended. The model has the parameters
        ``x``, rounded to its dtype.

    Raises
    ------
    ImportError
        Without SciPy: ``pip install scipy``.
    ValueError
        For bad input, for constraints and for statistics (batch normalisation), which only steps of `fit` keep; the
        model is as it was.

    Notes
    -----
    Layers that draw random numbers draw the same ones at every evaluation. If the method or a callback raises, Ctrl-C
    included, the model has the best parameters that were evaluated.

    References
    ----------
    .. [1] Byrd, Lu, Nocedal & Zhu 1995, SIAM J. Sci. Comput. 16

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> model = fastbp.Sequential([fastbp.Dense(8, "tanh"), fastbp.Dense(1)], input_shape=1, seed=0)
    >>> model.compile(loss="mse", dtype="float64")
    >>> result = fastbp.minimize(model, x, np.sin(3 * x), options={"maxiter": 200})
    >>> bool(result.fun < 1e-4), bool(model.evaluate(x, np.sin(3 * x))["loss"] == result.fun)
    (True, True)
    """
    try:
        from scipy.optimize import minimize as search
    except ImportError as error:
        raise ImportError(f"fastbp.minimize needs SciPy ({error}); pip install scipy") from error
    from .model import Sequential

    check_kind("model", model, Sequential, "a fastbp.Sequential")
    if not callable(method):
        check_kind("method", method, str, "the name of one of scipy.optimize.minimize's, or a function")
    return model.alone("minimize", _minimize, search, model, x, y, method, sample_weight, class_weight, options)


def _minimize(
    search: Callable[..., Any],
    model: Sequential,
    x: ArrayLike,
    y: ArrayLike,
    method: str,
    sample_weight: ArrayLike | None,
    class_weight: Any,
    options: dict[str, Any],
) -> Any:
    data = model.prepare(x, y, sample_weight, class_weight)
    engine = model.engine([x.shape[1:] for x in data.x])
    layout, rows = engine.layout, data.n
    if layout.statistics:
        raise ValueError(
            f"layer {layout.names[layout.statistics[0].layer]} keeps statistics, which only fit updates"
        )
    for (k, name), spec in layout.specs.items():
        if spec.constraint is not None:
            raise ValueError(
                f"{layout.names[k]}.{name} has the constraint {spec.constraint!r}, which only fit keeps"
            )
    # a loss that is not finite ends a line search, not the run
    network = engine.compile("steps", data.given)
    executor = make_executor(network.program, engine.backend, engine.shared, rows, turns=engine.turns)
    engine.turns.hand = ""
    for buffer, array in inputs(network, data).items():
        executor.bind(buffer, array)
    span = network.program.start, network.program.commit
    memory = engine.memory
    gradients, parameters = memory.arrays["gradients"], memory.flat("parameters")
    moving = np.zeros(layout.n, bool)
    for entry in layout.entries:
        moving[entry.part] = entry.layer in engine.trained
    best, best_parameters = np.inf, parameters.copy()

    def value_and_gradient(values: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal best, best_parameters
        parameters[moving] = values
        memory.put("parameters", parameters)
        # without an update no random numbers were drawn: they are the same every time
        executor.run(span, rows)
        value = float(executor.view(network.loss))
        if value < best:
            best, best_parameters = value, parameters.copy()
        return value, gradients[moving].astype(np.float64)

    try:
        with np.errstate(over="ignore", invalid="ignore"):
            result = search(
                value_and_gradient, parameters[moving].astype(np.float64), jac=True, method=method, **options
            )
        parameters[moving] = result.x
        memory.put("parameters", parameters)
    except BaseException:
        memory.put("parameters", best_parameters)
        raise
    return result
