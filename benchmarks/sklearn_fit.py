"""Time a step of `fastbp.sklearn`'s fit beside one of scikit-learn's, in alternation, on one thread.

    python -m benchmarks.sklearn_fit [repetitions]

A step is (a fit of E epochs - a fit of one) / (steps between them); "whole" is all of the fit of E epochs over all of
its steps. Both have Adam, relu, batches of 200, alpha 1e-4 and ``tol=0``, so that none stops early.
"""

import functools
import sys
import time
import warnings

import numpy as np
from sklearn import neural_network
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

import fastbp.sklearn

BATCH = 200


def works():
    """Yield name, features, targets, hidden layers and epochs, and how many times faster a step must be."""
    rng = np.random.default_rng(0)
    yield "1,000 x 20-100-2", rng.standard_normal((1000, 20)), rng.integers(0, 2, 1000), (100,), 40, (12, 7)
    x, y = load_digits(return_X_y=True)
    yield "digits 64-100-10", x / 16, y, (100,), 30, (6, 4)
    x = rng.standard_normal((10000, 50))
    yield "10,000 x 50-(100,100)-1", x, x[:, :5].sum(axis=1) + np.sin(x[:, 5]), (100, 100), 6, (5, 3.4)


def fitted(made, x, y, options, epochs):
    """Return the seconds of a fit."""
    start = time.perf_counter()
    made(max_iter=epochs, random_state=0, **options).fit(x, y)
    return time.perf_counter() - start


def main(repetitions):
    """Print a line for each work and dtype."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(f"{'':24} {'dtype':8} {'scikit-learn':>22} {'fastbp':>20}  ratio  whole  wanted")
    for name, x, y, hidden, epochs, wanted in works():
        steps = -(-len(x) // BATCH)
        kind = "MLPClassifier" if y.dtype.kind == "i" else "MLPRegressor"
        for dtype, least in zip(("float32", "float64"), wanted, strict=True):
            features, targets = x.astype(dtype), y if y.dtype.kind == "i" else y.astype(dtype)
            options = {"hidden_layer_sizes": hidden, "batch_size": BATCH, "tol": 0, "n_iter_no_change": 10**6}
            theirs, ours = (
                functools.partial(fitted, getattr(module, kind), features, targets, options)
                for module in (neural_network, fastbp.sklearn)
            )
            theirs(2), ours(2)
            found = []
            # a neighbour on the machine makes a fit slower, never faster: the fastest counts
            for _ in range(repetitions):
                found.append([(fit(1), fit(epochs)) for fit in (theirs, ours)])
            (one, many), (own_one, own_many) = np.min(found, axis=0) * 1e6
            a, c = (many - one) / (steps * (epochs - 1)), (own_many - own_one) / (steps * (epochs - 1))
            b, d = many / (steps * epochs), own_many / (steps * epochs)
            both = f"{a:9.1f} ({b:6.1f}) us {c:8.1f} ({d:5.1f}) us"
            print(f"{name:24} {dtype:8} {both}  {a / c:5.2f}  {b / d:5.2f}  {least}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 12)
