"""Reading tables, learning what becomes of their columns, and preparing rows, beside pandas and plain NumPy."""

import io  # noqa: F401
from timeit import Timer

import numpy as np

from .common import Benchmark, alternate


def plain_learn(x):
    """Learn means, deviations and categories, as a script does."""
    moments = {name: (values.mean(), values.std()) for name, values in x.items() if name != "city"}
    return moments, np.unique(x["city"])


def plain_prepare(x, moments, categories):
    """Return the features of rows, as a script does."""
    columns = [(np.asarray(x[name]) - mean) / std for name, (mean, std) in moments.items()]
    return np.column_stack([*columns, np.asarray(x["city"])[:, None] == categories])


#: What is done with a table of 20,000 rows or with one row, by name, and what a script does instead: append only.
TASKS = {
    "read": ("read(io.StringIO(text))", "pandas.read_csv(io.StringIO(text))"),
    "learn": ("Preparation().fit(x, y)", "plain_learn(x)"),
    "prepare": ("prepared.transform(x)", "plain_prepare(x, *learnt)"),
    "prepare a row": ("prepared.transform(row)", "plain_prepare(row, *learnt)"),
    "prepare a row of numbers": ("numbers.transform(row_of_numbers)", "(row_of_numbers - mean) / std"),
}
_ROWS = 20_000


def namespace():
    """Return what the statements of `TASKS` use."""
    from fastbp.table import Preparation

    rng = np.random.default_rng(0)
    x = {f"n{k}": rng.normal(100, 5, _ROWS).round(3) for k in range(6)}
    matrix = np.column_stack(list(x.values()))
    x["city"] = rng.choice(["Bern", "Oslo", "Rome"], _ROWS).astype(object)
    y = x["n0"] * 2 + x["n1"] + rng.normal(size=_ROWS)
    return {
        **globals(), "Preparation": Preparation, "x": x, "y": y, "learnt": plain_learn(x),
        "row": {name: [values[0]] for name, values in x.items()}, "prepared": Preparation().fit(x, y),
        "numbers": Preparation().fit(matrix, y), "row_of_numbers": matrix[:1], "mean": matrix.mean(axis=0),
        "std": matrix.std(axis=0),
    }  # fmt: skip


def of_files(names):
    """Return what reading takes besides."""
    import pandas

    from fastbp.table import read

    return {"pandas": pandas, "read": read, "text": pandas.DataFrame(names["x"]).to_csv(index=False)}


class Tables(Benchmark):
    """A task on a table, and the same by plain means in one process, in alternation."""

    params = [list(TASKS)]
    param_names = ["task"]

    def prepare(self, task):
        try:
            names = namespace()
            if task == "read":
                names.update(of_files(names))
        except ImportError as error:
            raise NotImplementedError(str(error)) from error
        ours, plain = TASKS[task]
        self.jobs = {"fastbp": Timer(ours, globals=names), "plain": Timer(plain, globals=names)}
        self.times = 50 if "row" in task else 1

    def track_seconds(self, task):
        return min(self.jobs["fastbp"].repeat(5, self.times)) / self.times

    track_seconds.unit = "seconds"

    def track_ratio_to_plain(self, task):
        """The time over that of pandas or of plain NumPy, in alternation: below 1 is faster, and less is better."""
        jobs = {name: lambda timer=timer: timer.timeit(self.times) for name, timer in self.jobs.items()}
        seconds = alternate(jobs, 10)
        return float(seconds["fastbp"].min() / seconds["plain"].min())

    track_ratio_to_plain.unit = "ratio"
