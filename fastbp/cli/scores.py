"""How right a model is, beside what is right without any."""

import numpy as np

from ..table.model import chosen

__all__ = ["folded", "scores_of", "told"]

#: Scores by task, in the order in which they are told.
_NAMES = {"classification": ("accuracy", "loss"), "regression": ("rmse", "mae", "r2")}
_SHOWN = {"accuracy": "accuracy", "loss": "loss", "rmse": "RMSE", "mae": "MAE", "r2": "R2"}


def scores_of(preparation, predicted, targets, loss):
    """Return the scores of predictions, and of the trivial ones: the most frequent class or the mean of the training.

    Parameters
    ----------
    preparation : Preparation
    predicted : ndarray, shape (rows, classes) or (rows, n)
        Probabilities, or numbers in the target's unit.
    targets : ndarray, shape (rows,) or (rows, n)
        Labels, or numbers in the target's unit.
    loss : float

    Returns
    -------
    dict
        Of classes "accuracy" and "loss"; else "rmse" and "mae" in the target's unit (of several numbers a list each)
        and "r2". "baseline" has the same of the trivial prediction, and what that is.
    """
    baseline = preparation.baseline
    if preparation.task == "classification":
        labels = preparation.transform_target(targets)
        share = float((labels == preparation.classes.index(baseline)).mean())
        found = {"accuracy": float((chosen(predicted) == labels).mean()), "loss": float(loss)}
        return {**found, "baseline": {"accuracy": share, "class": baseline}}
    targets = np.asarray(targets, np.float64).reshape(len(predicted), -1)
    trivial = np.broadcast_to(baseline, targets.shape)
    errors = _errors(predicted.reshape(targets.shape), targets)
    return {**errors, "baseline": {**_errors(trivial, targets), "mean": _plain(baseline)}}


def _errors(predicted, targets):
    # in units of a power of two, which is exact: the square of a large number may be none of float64
    largest = max(np.abs(targets).max(initial=0.0), np.abs(predicted).max(initial=0.0))
    exponent = int(np.frexp(largest)[1])
    targets, predicted = (np.ldexp(np.asarray(values, np.float64), -exponent) for values in (targets, predicted))
    apart = predicted - targets
    spread = ((targets - targets.mean(axis=0)) ** 2).sum()
    return {
        "rmse": _plain(np.ldexp(np.sqrt((apart**2).mean(axis=0)), exponent)),
        "mae": _plain(np.ldexp(np.abs(apart).mean(axis=0), exponent)),
        "r2": float(1 - (apart**2).sum() / spread) if spread > 0 else None,
    }


def _plain(values):
    """Return a number, or a list of several."""
    values = np.asarray(values, np.float64).ravel().tolist()
    return values[0] if len(values) == 1 else values


def folded(found):
    """Return the mean and the spread (standard deviation) of the scores of some folds, as `told` takes them."""

    def over(function, parts):
        parts = [part for part in parts if None not in part.values()] or parts[:0]
        names = parts[0].keys() & _SHOWN.keys() if parts else ()
        return {name: _plain(function(np.array([part[name] for part in parts]))) for name in names}

    def spread(values):
        return values.std(axis=0, ddof=1)

    baselines = [one["baseline"] for one in found]
    return {
        kind: {**over(function, found), "baseline": over(function, baselines)}
        for kind, function in (("mean", lambda values: values.mean(axis=0)), ("spread", spread))
    }


def told(task, scores, spread=None):
    """Return scores in words: of classes "accuracy 97.50 %, loss 0.1021".

    Parameters
    ----------
    task : {"classification", "regression"}
    scores : dict
    spread : dict, optional
        How much each of them varies.
    """
    parts = []
    for name in _NAMES[task]:
        if scores.get(name) is not None:
            more = f" +- {_shown(name, spread[name])}" if spread is not None else ""
            parts.append(f"{_SHOWN[name]} {_shown(name, scores[name])}{more}")
    return ", ".join(parts)


def _shown(name, value):
    if isinstance(value, list):
        return " ".join(_shown(name, one) for one in value)
    if name == "accuracy":
        return f"{100 * value:.2f} %"
    # 0 in place of -0
    return f"{round(value, 4) + 0.0:.4f}" if name in ("loss", "r2") else f"{value:.6g}"
