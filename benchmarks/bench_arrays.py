"""What is made of whole arrays beside training: draws, metrics and data made ready, as ratios to NumPy's calls."""

import numpy as np

from .common import Benchmark, alternate

ROWS = 10_240, 1_000_000


def draws(n):
    """Return pairs of calls by name: fastbp's and NumPy's beside it, which makes the same numbers."""
    from fastbp.kernels.draws import PortableGenerator

    own, numpys = PortableGenerator(np.random.PCG64(0)), np.random.default_rng(0)
    return {
        "permutation": (lambda: own.permutation(n), lambda: numpys.permutation(n)),
        "standard_normal": (lambda: own.standard_normal(n), lambda: numpys.standard_normal(n)),
        "uniform": (lambda: own.uniform(-1, 1, n), lambda: numpys.uniform(-1, 1, n)),
    }


def metrics(n):
    """Return pairs of calls by name: a metric, and a NumPy call that reads its arrays once, or sorts its scores."""
    from fastbp import metrics as m

    rng = np.random.default_rng(0)
    t, p = rng.integers(0, 10, (2, n))
    x, y = rng.standard_normal((2, n))
    two, guess, scores = t // 5, p // 5, y + t // 5
    read, read_two, read_labels = (lambda a=a, b=b: (a.sum(), b.sum()) for a, b in ((x, y), (two, guess), (t, p)))
    return {
        "accuracy_score": (lambda: m.accuracy_score(t, p), read_labels),
        "precision_score": (lambda: m.precision_score(two, guess), read_two),
        "f1_score": (lambda: m.f1_score(t, p, "macro"), read_labels),
        "confusion_matrix": (lambda: m.confusion_matrix(t, p), read_labels),
        "mean_absolute_error": (lambda: m.mean_absolute_error(x, y), read),
        "mean_squared_error": (lambda: m.mean_squared_error(x, y), read),
        "r2_score": (lambda: m.r2_score(x, y), read),
        "roc_auc_score": (lambda: m.roc_auc_score(two, scores), lambda: np.sort(scores)),
    }


def data(n):
    """Return pairs of calls by name: data made ready for a float32 model, and the conversion alone."""
    import fastbp

    model = fastbp.Sequential([fastbp.Dense(2)], input_shape=16)
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).standard_normal((n // 16, 16))
    y, columns, rows = np.zeros((len(x), 2), np.float32), np.asfortranarray(x), x.tolist()
    return {
        "prepare float64": (lambda: model.prepare(x, y), lambda: x.astype(np.float32)),
        "prepare columns": (lambda: model.prepare(columns, y), lambda: columns.astype(np.float32, order="C")),
        "prepare lists": (lambda: model.prepare(rows, y), lambda: np.asarray(rows)),
    }


#: Who makes the calls, by name; append only.
CALLS = dict.fromkeys(["permutation", "standard_normal", "uniform"], draws) | dict.fromkeys(
    [
        "accuracy_score", "precision_score", "f1_score", "confusion_matrix", "mean_absolute_error",
        "mean_squared_error", "r2_score", "roc_auc_score",
    ],
    metrics,
) | dict.fromkeys(["prepare float64", "prepare columns", "prepare lists"], data)  # fmt: skip


class Arrays(Benchmark):
    """A call on arrays of so many rows."""

    params = [list(CALLS), list(ROWS)]
    param_names = ["call", "rows"]

    def prepare(self, call, rows):
        try:
            self.own, self.numpys = CALLS[call](rows)[call]
        except ImportError as error:
            raise NotImplementedError(str(error)) from error

    def time_call(self, call, rows):
        self.timer.run(self.own)

    def track_ratio_to_numpy(self, call, rows):
        """The time over that of NumPy's call, in alternation: less is better."""
        jobs = {"own": self.own, "numpy": self.numpys}
        alternate(jobs, 3)
        seconds = alternate(jobs, 51)
        return float(seconds["own"].min() / seconds["numpy"].min())

    track_ratio_to_numpy.unit = "ratio"
