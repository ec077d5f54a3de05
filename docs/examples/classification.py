"""Iris, wine and breast cancer: fastbp beside scikit-learn's MLPClassifier, by cross-validation over some seeds.

Run ``python docs/examples/classification.py``; it fails if mean accuracies differ by more than a point.
"""

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier

import fastbp
from fastbp.metrics import accuracy_score

CLAIM = 0.01
DATA = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer}
NAMES = "fastbp", "scikit-learn"
HIDDEN, BATCH, LR, EPOCHS, FOLDS = 100, 32, 0.005, 50, 5


def of_fastbp(x, y, x_test, seed):
    """Return the classes that a model of fastbp predicts."""
    layers = [fastbp.Dense(HIDDEN, activation="tanh"), fastbp.Dense(len(np.unique(y)))]
    model = fastbp.Sequential(layers, seed=seed)
    # portable: the same figures on every machine
    model.compile(fastbp.optimizers.Adam(lr=LR), "sparse_categorical_crossentropy", numerics="portable")
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, seed=seed, verbose=0)
    return model.predict_classes(x_test)


def of_sklearn(x, y, x_test, seed):
    """Return the classes that a model of scikit-learn predicts: the same layers, optimizer, batches and epochs."""
    model = MLPClassifier(
        hidden_layer_sizes=(HIDDEN,), activation="tanh", learning_rate_init=LR, batch_size=BATCH,
        max_iter=EPOCHS, n_iter_no_change=EPOCHS, random_state=seed,
    )  # fmt: skip
    with warnings.catch_warnings():
        # that all epochs were used is what we want
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, y).predict(x_test)


def predictions(x, y, seed):
    """Return what both predict for each row, from models that were trained without it."""
    found = np.empty((2, len(y)), int)
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, y):
        mean, std = x[train].mean(axis=0), x[train].std(axis=0)
        standardised = (x - mean) / std
        for row, predict in zip(found, (of_fastbp, of_sklearn), strict=True):
            row[test] = predict(standardised[train], y[train], standardised[test], seed)
    return found


def draw(path, accuracies, x, y, y_pred):
    """Draw the accuracy of every seed, and the petals of the irises with those that fastbp took for others."""
    figure = Figure(figsize=(9, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    for column, name in enumerate(accuracies):
        for library, (values, marker) in enumerate(zip(accuracies[name].T, "os", strict=True)):
            at = np.full(len(values), column + 0.3 * library - 0.15)
            label = NAMES[library] if column == 0 else None
            left.plot(at, 100 * values, marker, color=f"C{library}", alpha=0.5, label=label)
            left.hlines(100 * values.mean(), at[0] - 0.1, at[0] + 0.1, color=f"C{library}")
    left.set(title="every seed and the mean", ylabel="test accuracy, %", xticks=range(len(accuracies)))
    left.set_xticklabels(accuracies)
    left.legend()
    for label, (name, marker) in enumerate(zip(load_iris().target_names, "osD", strict=True)):
        right.plot(*x[y == label, 2:].T, marker, color=f"C{label + 2}", alpha=0.5, label=name)
    right.plot(*x[y_pred != y, 2:].T, "kx", markersize=10, label="fastbp is wrong")
    right.set(title="iris, seed 0", xlabel="petal length, cm", ylabel="petal width, cm")
    right.legend()
    figure.savefig(path)


def main(arguments=None):
    """Compare and draw; return the accuracies, for each data set an array of seeds by libraries."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="how many, of weights, shuffles and folds")
    parser.add_argument("--picture", default=Path(__file__).with_suffix(".png"), help="where to write it")
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds is {options.seeds}; it must be at least 1")

    print(f"{HIDDEN} tanh neurons, {EPOCHS} epochs of Adam; {FOLDS}-fold cross-validation; seeds: {options.seeds}")
    print("data           rows  features  classes  fastbp             scikit-learn       difference")
    accuracies, found = {}, {}
    for name, load in DATA.items():
        x, y = load(return_X_y=True)
        found[name] = [predictions(x, y, seed) for seed in range(options.seeds)]
        accuracies[name] = np.array([[accuracy_score(y, row) for row in rows] for rows in found[name]])
        cells = [f"{a.mean():.2f} % (sd {a.std():.2f})" for a in 100 * accuracies[name].T]
        difference = np.subtract(*accuracies[name].mean(axis=0))
        counts = f"{len(x):4}  {x.shape[1]:8}  {len(np.unique(y)):7}"
        print(f"{name:13}  {counts}  {cells[0]}  {cells[1]}  {100 * difference:+10.2f}")
    draw(options.picture, accuracies, *load_iris(return_X_y=True), found["iris"][0][0])
    print(f"wrote {options.picture}")
    apart = [name for name in DATA if abs(np.subtract(*accuracies[name].mean(axis=0))) > CLAIM]
    if apart:
        sys.exit(f"more than {100 * CLAIM:g} point apart: {', '.join(apart)}")
    return accuracies


if __name__ == "__main__":
    main()
