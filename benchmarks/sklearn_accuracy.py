"""How well `fastbp.sklearn`'s perceptrons learn beside scikit-learn's: ``python -m benchmarks.sklearn_accuracy``.

Accuracy, or R2, of a test part of 25 %, the mean over five seeds, which decide the split, the initial weights and the
shuffles; features are standardised by the training rows. Arguments are the same on both sides, and otherwise defaults.
"""

import argparse
import sys
import warnings

import numpy as np
from sklearn import datasets, neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastbp.sklearn

SEEDS = 5


def _classification(features, informative, classes, separation, noise):
    return lambda: datasets.make_classification(
        1000, features, n_informative=informative, n_classes=classes, class_sep=separation, flip_y=noise, random_state=0
    )


def _standardised(load):
    def loaded():
        x, y = load()
        return x, (y - y.mean()) / y.std()

    return loaded


#: By name: the data, and what both estimators are given.
DATA = {
    "iris": (lambda: datasets.load_iris(return_X_y=True), {"max_iter": 500}),
    "wine": (lambda: datasets.load_wine(return_X_y=True), {}),
    "breast cancer": (lambda: datasets.load_breast_cancer(return_X_y=True), {}),
    "digits": (lambda: datasets.load_digits(return_X_y=True), {}),
    "classification 20": (_classification(20, 10, 2, 1.0, 0.01), {}),
    "classification 40": (_classification(40, 15, 5, 1.5, 0.05), {"hidden_layer_sizes": (64, 32)}),
    "moons": (lambda: datasets.make_moons(600, noise=0.2, random_state=0), {"learning_rate_init": 0.01}),
    "circles": (
        lambda: datasets.make_circles(600, noise=0.1, factor=0.6, random_state=0), {"learning_rate_init": 0.01},
    ),
    "diabetes": (_standardised(lambda: datasets.load_diabetes(return_X_y=True)), {"early_stopping": True}),
    "friedman1": (
        _standardised(lambda: datasets.make_friedman1(1000, noise=0.5, random_state=0)), {"learning_rate_init": 0.01},
    ),
    "friedman2": (
        _standardised(lambda: datasets.make_friedman2(1000, noise=10, random_state=0)),
        {"solver": "lbfgs", "alpha": 1.0},
    ),
    "friedman3": (
        _standardised(lambda: datasets.make_friedman3(1000, noise=0.1, random_state=0)),
        {"hidden_layer_sizes": (50, 50), "alpha": 0.01},
    ),
}  # fmt: skip


def scores(name, seeds=SEEDS):
    """Return the mean score of scikit-learn's estimator and of fastbp's."""
    load, options = DATA[name]
    x, y = load()
    kind = "MLPClassifier" if y.dtype.kind == "i" else "MLPRegressor"
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for seed in range(seeds):
            stratify = y if kind == "MLPClassifier" else None
            parts = train_test_split(x, y, random_state=seed, stratify=stratify)
            found.append([
                make_pipeline(StandardScaler(), getattr(module, kind)(random_state=seed, **options))
                .fit(parts[0], parts[2])
                .score(parts[1], parts[3])
                for module in (neural_network, fastbp.sklearn)
            ])
    return np.mean(found, axis=0).tolist()


def main(arguments=None):
    """Print a line for each data set; return 1 if one of them is learnt worse by more than a point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sklearn_accuracy", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="data sets, by default all", metavar="NAME")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    options = parser.parse_args(arguments)
    worse = []
    print(f"{'':20} scikit-learn  fastbp")
    for name in options.names or DATA:
        theirs, ours = scores(name, options.seeds)
        print(f"{name:20} {theirs:12.3f}  {ours:.3f}", flush=True)
        if ours < theirs - 0.01:
            worse.append(name)
    print("worse by more than a point:", ", ".join(worse) or "none")
    return int(bool(worse))


if __name__ == "__main__":
    sys.exit(main())
