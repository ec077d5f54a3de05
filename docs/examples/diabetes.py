"""The diabetes data: regression with early stopping, fastbp beside scikit-learn's MLPRegressor over some seeds.

Run ``python docs/examples/diabetes.py``; it fails if mean R2 differ by more than 2 %.
"""

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold
from sklearn.neural_network import MLPRegressor

import fastbp
from fastbp.callbacks import EarlyStopping
from fastbp.metrics import r2_score

CLAIM = 0.02
NAMES = "fastbp", "scikit-learn", "linear regression"
HIDDEN, BATCH, LR, FOLDS = 100, 32, 0.0005, 5


def train(x, y, epochs, seed, **options):
    """Train a model of fastbp; return it and its history."""
    model = fastbp.Sequential([fastbp.Dense(HIDDEN, activation="tanh"), fastbp.Dense(1)], seed=seed)
    # portable: the same figures on every machine
    model.compile(fastbp.optimizers.Adam(lr=LR), loss="mse", numerics="portable")
    return model, model.fit(x, y, batch_size=BATCH, epochs=epochs, seed=seed, verbose=0, **options)


def best_epochs(x, y, seed):
    """Return after how many epochs a fifth of the rows, held out for validation, is predicted best; and the history."""
    stop = EarlyStopping(monitor="val_loss", patience=10)
    _, history = train(x, y, 200, seed, validation_split=0.2, callbacks=[stop])
    return stop.best_epoch + 1, history


def of_sklearn(x, y, epochs, seed):
    """Train a model of scikit-learn: the same layers, optimizer, batches and epochs."""
    model = MLPRegressor(
        hidden_layer_sizes=(HIDDEN,), activation="tanh", learning_rate_init=LR, batch_size=BATCH,
        max_iter=epochs, n_iter_no_change=epochs, random_state=seed,
    )  # fmt: skip
    with warnings.catch_warnings():
        # that all epochs were used is what we want
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, y)


def predictions(x, y, seed):
    """Return what each predicts for every row, from models that were trained without it, and a history."""
    found = np.empty((len(NAMES), len(y)))
    for train_rows, test_rows in KFold(FOLDS, shuffle=True, random_state=seed).split(x):
        mean, std = x[train_rows].mean(axis=0), x[train_rows].std(axis=0)
        x_train, x_test = (x[train_rows] - mean) / std, (x[test_rows] - mean) / std
        mean, std = y[train_rows].mean(), y[train_rows].std()
        y_train = (y[train_rows] - mean) / std
        epochs, history = best_epochs(x_train, y_train, seed)
        models = (
            train(x_train, y_train, epochs, seed)[0],
            of_sklearn(x_train, y_train, epochs, seed),
            LinearRegression().fit(x_train, y_train),
        )
        for row, model in zip(found, models, strict=True):
            row[test_rows] = mean + std * model.predict(x_test).reshape(-1)
    return found, history


def draw(path, history, y, y_pred):
    """Draw how training was stopped in the last fold, and predictions against the truth."""
    figure = Figure(figsize=(9, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    history.plot(ax=left)
    right.plot(y, y_pred, ".", markersize=4)
    right.axline((y.mean(), y.mean()), slope=1, color="gray", linestyle=":")
    title = f"seed 0, cross-validated: R2 {r2_score(y, y_pred):.2f}"
    right.set(title=title, xlabel="disease progression", ylabel="predicted by fastbp")
    figure.savefig(path)


def main(arguments=None):
    """Compare and draw; return R2, an array of seeds by methods."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="how many, of weights, shuffles and folds")
    parser.add_argument("--picture", default=Path(__file__).with_suffix(".png"), help="where to write it")
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds is {options.seeds}; it must be at least 1")
    x, y = load_diabetes(return_X_y=True)

    print(f"{HIDDEN} tanh neurons, Adam, early stopping; {FOLDS}-fold cross-validation; seeds: {options.seeds}")
    found = [predictions(x, y, seed) for seed in range(options.seeds)]
    scores = np.array([[r2_score(y, row) for row in rows] for rows, _ in found])
    print("method             R2      sd")
    for name, values in zip(NAMES, scores.T, strict=True):
        print(f"{name:17}  {values.mean():.4f}  {values.std():.4f}")
    ours, theirs = scores.mean(axis=0)[:2]
    print(f"fastbp's R2 is {100 * (ours / theirs - 1):+.2f} % away from scikit-learn's")
    (rows, *_), history = found[0]
    draw(options.picture, history, y, rows)
    print(f"wrote {options.picture}")
    if abs(ours - theirs) > CLAIM * theirs:
        sys.exit(f"that is more than {100 * CLAIM:g} %")
    return scores


if __name__ == "__main__":
    main()
