"""Search hyperparameters on many machines by joblib and Dask; here the machines are processes of this one.

The estimators' numerics are portable, so the scores, and the model that wins, have the bits of a serial search whatever
machines the cluster is made of.
"""

import argparse
import sys

import joblib
import numpy as np
from distributed import Client, LocalCluster
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from fastbp.sklearn import MLPClassifier

GRID = {"mlpclassifier__alpha": [1e-4, 1e-1], "mlpclassifier__dropout": [0.0, 0.2]}


def search(x, y, epochs):
    """Return a search over a pipeline that has seen the rows."""
    net = MLPClassifier((64,), max_iter=epochs, early_stopping=True, random_state=0)
    return GridSearchCV(make_pipeline(MinMaxScaler(), net), GRID, cv=3).fit(x, y)


def main(arguments=None):
    """Search twice and compare; return the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    x, y = load_digits(return_X_y=True)
    serial = search(x, y, options.epochs)
    # of a cluster that is there already: Client("address of its scheduler")
    cluster = LocalCluster(options.workers, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster), joblib.parallel_backend("dask"):
        many = search(x, y, options.epochs)
    print("alpha   dropout  accuracy")
    for parameters, accuracy in zip(many.cv_results_["params"], many.cv_results_["mean_test_score"], strict=True):
        alpha, dropout = parameters.values()
        print(f"{alpha:<6g}  {dropout:<7g}  {100 * accuracy:.2f} %")
    folds = [f"split{k}_test_score" for k in range(3)]
    same = all(serial.cv_results_[name].tobytes() == many.cv_results_[name].tobytes() for name in folds)
    same = same and serial.predict_proba(x).tobytes() == many.predict_proba(x).tobytes()
    print("the bits are those of the serial search" if same else "the bits differ from those of the serial search")
    if not same:
        sys.exit(1)
    return np.array(many.cv_results_["mean_test_score"])


if __name__ == "__main__":
    main()
