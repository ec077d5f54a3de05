"""The command `fastbp` on tables: training, and all that is done with the model afterwards."""

import csv
import gzip
import hashlib
import io
import json
import os
import platform
import random
import signal
import subprocess
import sys
import threading
import time
import tomllib

import numpy as np
import pytest
from _arrays import needs_modules
from _command import QUICK, environment, in_a_process, needs_pandas, refuse, run

import fastbp
from fastbp import cli
from fastbp.cli import compare as comparing
from fastbp.cli import scores, splits
from fastbp.datasets import train_test_split
from fastbp.io import load_history

pytestmark = needs_pandas


def flats(n=240, seed=0, **columns):
    """Return the lines of a table: numbers with gaps, text, booleans, dates; a rent, and whether that is high."""
    rng = random.Random(seed)
    lines = ["area,district,lift,built,rent,dear"]
    for k in range(n):
        area, district = round(rng.uniform(20, 150), 1), rng.choice(["harbour", "hill", "station"])
        lift, year = rng.choice(["true", "false"]), rng.randint(1950, 2020)
        rent = area * {"harbour": 15, "hill": 20, "station": 10}[district] + 100 * (lift == "true")
        shown = "" if k % 40 == 7 else area
        lines.append(f"{shown},{district},{lift},{year}-05-01,{rent:.2f},{'yes' if rent > 1200 else 'no'}")
    for name, values in columns.items():
        lines = [f"{line},{value}" for line, value in zip(lines, [name, *values], strict=True)]
    return lines


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flats.csv").write_text("\n".join(flats()) + "\n")
    return tmp_path


def write(lines, name="data.csv"):
    with open(name, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return name


def document(capsys, *arguments):
    """Run a command that prints one JSON document; return it."""
    return json.loads(run(capsys, *arguments, "--json"))


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


# --------------------------------------------------------------------------------------- what is said


def test_columns_are_told_before_the_training(capsys, monkeypatch):
    seen, fit = [], fastbp.Sequential.fit

    def noting(*args, **options):
        seen.append(capsys.readouterr().out)
        return fit(*args, **options)

    monkeypatch.setattr(fastbp.Sequential, "fit", noting)
    run(capsys, "train", "flats.csv", *QUICK, "--no-compare", "--drop", "rent")
    assert seen[0].splitlines()[:7] == [
        "data           flats.csv: 192 rows to train on, 48 to test, classification of 2 classes",
        "",
        "column    kind     becomes                                                            features  gaps  note",
        "area      number   (area - 81.8714) / 36.8941, a gap is 81.8                                 2     3",
        "district  text     0 or 1 for each of 3 categories                                           3",
        "lift      boolean  0 for false, 1 for true                                                   1",
        "built     date     days since 1984-08-30 / 7601.87, sine and cosine of year and week         5",
    ]
    assert "\nnetwork        11-8-2, relu, sparse_categorical_crossentropy, adam, " in seen[0]
    assert "portable numerics" in seen[0]


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_scores_beside_the_baseline(capsys, task):
    target = "dear" if task == "classification" else "rent"
    drop = ["--drop", "rent"] if target == "dear" else ["--drop", "dear", "--target", "rent"]
    said = document(capsys, "train", "flats.csv", *drop, "--quiet", "--no-compare", "--epochs", "30")
    model = fastbp.load_model("model.npz")
    table = fastbp.table.read("flats.csv")
    places, labels = np.arange(240), np.asarray(table["dear"])
    if task == "classification":
        train, test, _, _ = train_test_split(places, labels, stratify=True)
    else:
        train, test, _, _ = train_test_split(places, places, stratify=False)
    predicted, true = model.predict(table.iloc[test]), np.asarray(table[target])[test]
    scores, baseline = said["scores"], said["scores"]["baseline"]
    if task == "classification":
        assert scores["accuracy"] == (np.array(["no", "yes"])[predicted.argmax(axis=1)] == true).mean() > 0.8
        most = max(("no", "yes"), key=list(labels[train]).count)
        assert (baseline["class"], baseline["accuracy"]) == (most, (true == most).mean())
    else:
        apart = predicted[:, 0] - true
        mean = np.asarray(table["rent"])[train].mean()
        assert scores["rmse"] == pytest.approx(np.sqrt((apart**2).mean()), rel=1e-12)
        assert scores["mae"] == pytest.approx(np.abs(apart).mean(), rel=1e-12)
        assert scores["r2"] == pytest.approx(1 - (apart**2).mean() / true.var(), rel=1e-12)
        assert baseline["mean"] == pytest.approx(mean, rel=1e-12)
        assert baseline["rmse"] == pytest.approx(np.sqrt(((true - mean) ** 2).mean()), rel=1e-12)
        assert 5 * scores["rmse"] < baseline["rmse"]
    text = run(capsys, "evaluate", "model.npz", "flats.csv")
    word = "accuracy       " if task == "classification" else "error          RMSE "
    assert word in text and "\nbaseline       " in text


def test_test_rows_change_nothing_that_is_learnt(capsys):
    options = ["train", "data.csv", *QUICK, "--no-compare", "--split-last", "--target", "rent", "--drop", "dear"]
    write(flats())
    run(capsys, *options)
    first = fastbp.load_model("model.npz")
    lines = flats()
    lines[-1] = "9999,elsewhere,true,1066-01-01,1e9,no"
    write(lines)
    text = run(capsys, *options)
    second = fastbp.load_model("model.npz")
    assert first.preparation.get_config() == second.preparation.get_config()
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first.get_weights(), second.get_weights(), strict=True))
    assert "the test rows have what the training had not: 1 of 48 rows of column 'district' have another" in text


def test_what_is_left_out_and_what_leaks(capsys):
    names, double = [f"flat {k}" for k in range(240)], [line.split(",")[4] for line in flats()[1:]]
    write(flats(name=names, again=double))
    said = document(capsys, "train", "data.csv", *QUICK, "--target", "rent", "--drop", "dear", "--no-compare")
    warned = " ".join(said["warnings"])
    assert "column 'name' is left out" in warned and "column 'again' determines the target" in warned
    assert {column["name"]: column["kind"] for column in said["columns"]}["name"] == "left out"
    text = run(capsys, "train", "data.csv", *QUICK, "--target", "rent", "--drop", "dear", "--no-compare")
    assert text.count("warning        column") == 2
    assert "192 rows, more than --max-categories 50" in text
    assert "if that is not known beforehand, --drop leaves it out" in text


def test_whole_numbers_that_may_be_classes(capsys):
    write([f"{line},{'number' if k == 0 else f'{k % 3}.0'}" for k, line in enumerate(flats())])
    text = run(capsys, "train", "data.csv", *QUICK, "--no-compare")
    assert "the target has only the numbers 0, 1, 2; --task classification takes them for classes" in text
    text = run(capsys, "train", "data.csv", *QUICK, "--no-compare", "--task", "classification")
    assert "--task" not in text and "classification of 3 classes" in text
    assert fastbp.load_model("model.npz").preparation.classes == [0, 1, 2]


def test_classes_that_may_be_numbers(capsys):
    write([f"{line},{'number' if k == 0 else k % 25}" for k, line in enumerate(flats())])
    text = run(capsys, "train", "data.csv", *QUICK, "--no-compare")
    assert "the target has 25 different whole numbers, taken for classes; --task regression takes them" in text
    assert "note " not in run(capsys, "train", "data.csv", *QUICK, "--no-compare", "--task", "regression")


def test_a_separator_that_is_not_seen(capsys, folder):
    write([line.replace(",", " ") for line in flats()])
    message = "data.csv has the columns 'area district .*, with ',' between cells; --separator blank takes another mark"
    refuse(capsys, folder, message, "train", "data.csv", *QUICK)
    write([line.replace(",", " ") for line in flats() if not line.startswith(",")])
    run(capsys, "train", "data.csv", *QUICK, "--no-compare", "--separator", "blank")


def test_what_was_found_in_a_file(capsys):
    lines = [line.replace(",", ";").replace(".", ",") for line in flats()]
    with open("data.csv", "w", encoding="latin-1") as file:
        file.write("\n".join(f"{k - 1 if k else ''};{line.replace('hill', 'Höhe')}" for k, line in enumerate(lines)))
    text = run(capsys, "train", "data.csv", "--encoding", "latin-1", *QUICK, "--no-compare")
    assert "read           semicolons between cells, decimal commas, latin-1, left out the unnamed column" in text
    assert "Höhe" in "".join(fastbp.load_model("model.npz").preparation.features)


# --------------------------------------------------------------------------------------------- options


def test_only_drop_and_kinds_of_columns(capsys):
    codes = [f"{k % 3:03d}" for k in range(240)]
    write(flats(code=codes))
    run(capsys, "train", "data.csv", *QUICK, "--no-compare", "--target", "dear", "--only", "area", "code")
    assert fastbp.load_model("model.npz").preparation.features == [
        "area", "area is missing", "code=000", "code=001", "code=002",
    ]  # fmt: skip
    options = ["--drop", "rent", "--drop", "code", "lift", "--columns", "built:text", "--max-categories", "100"]
    run(capsys, "train", "data.csv", *QUICK, "--no-compare", "--target", "dear", *options)
    features = fastbp.load_model("model.npz").preparation.features
    assert "built=1986-05-01" in features and not any("code" in name or "lift" in name for name in features)


def test_an_unnamed_column(capsys, folder):
    lines = flats()
    write([f"{'' if k == 0 else f'flat {k}'},{line}" for k, line in enumerate(lines)])
    refuse(capsys, folder, "--columns column_1:drop leaves it out", "train", "data.csv", *QUICK)
    run(capsys, "train", "data.csv", *QUICK, "--no-compare", "--columns", "column_1:drop")
    assert fastbp.load_model("model.npz").preparation.features[0] == "area"
    found = run(capsys, "predict", "model.npz", "data.csv")
    assert found == run(capsys, "predict", "model.npz", "flats.csv")


def test_columns_whose_names_have_colons(capsys):
    lines = flats()
    lines[0] = lines[0].replace("built", "built: when")
    write(lines)
    options = ["--no-compare", "--columns", "built: when:text", "lift:text"]
    said = document(capsys, "train", "data.csv", *QUICK, *options)
    kinds = {column["name"]: column["kind"] for column in said["columns"]}
    assert kinds["built: when"] == kinds["lift"] == "text"


def test_missing_values(capsys):
    lines = flats()
    for k, cell in ((3, "-99"), (9, "unknown"), (20, "NA")):
        lines[k] = ",".join([cell, *lines[k].split(",")[1:]])
    write(lines)
    said = document(capsys, "train", "data.csv", *QUICK, "--no-compare", "--missing", "-99", "unknown", "--split-last")
    assert {column["name"]: column["gaps"] for column in said["columns"]}["area"] == 5 + 3
    # the rows that are predicted are read in the same way
    write([lines[0], lines[3], lines[9]], "new.csv")
    assert len(rows_of(run(capsys, "predict", "model.npz", "new.csv"))) == 2


def test_missing_targets(capsys, folder):
    lines = flats()
    for k in (5, 70):
        lines[k] = lines[k].removesuffix("yes").removesuffix("no") + ("NA" if k == 5 else "")
    write(lines)
    message = "data.csv, line 6: column 'dear', the target, is missing, in 2 of 240 rows; --drop-missing-targets leaves"
    refuse(capsys, folder, message, "train", "data.csv", *QUICK)
    said = document(capsys, "train", "data.csv", *QUICK, "--no-compare", "--drop-missing-targets")
    assert (said["data"]["without a target"], said["data"]["train"] + said["data"]["test"]) == (2, 238)
    assert fastbp.load_model("model.npz").preparation.classes == ["no", "yes"]
    refuse(capsys, folder, "line 6: column 'dear', the target, is missing", "evaluate", "model.npz", "data.csv")
    assert document(capsys, "evaluate", "model.npz", "data.csv", "--drop-missing-targets")["data"]["rows"] == 238
    # where targets are not needed they may be missing
    assert len(rows_of(run(capsys, "predict", "model.npz", "data.csv"))) == 240
    write([flats()[0], *[line.rpartition(",")[0] + "," for line in flats()[1:]]])
    refuse(capsys, folder, "'dear', the target, has no values", "train", "data.csv", *QUICK, "--drop-missing-targets")


def test_separators_decimals_headers_and_encodings(capsys):
    run(capsys, "train", "flats.csv", *QUICK, "--no-compare")
    right = fastbp.load_model("model.npz").get_weights()
    lines = flats()
    forms = {
        "semicolon": (["\n".join(line.replace(",", ";").replace(".", ",") for line in lines)], []),
        "tab": (["\n".join(line.replace(",", "\t") for line in lines)], ["--separator", "tab", "--decimal", "."]),
        "tilde": (["\n".join(line.replace(",", "~") for line in lines)], ["--separator", "~"]),
        "two files": (["\n".join(lines[:100]), "\n".join([lines[0], *lines[100:]])], []),
        "utf-16": (["\n".join(lines)], ["--encoding", "utf-16"]),
    }
    for name, (texts, options) in forms.items():
        files = [f"{k}.csv" for k in range(len(texts))]
        for file, text in zip(files, texts, strict=True):
            with open(file, "w", encoding="utf-16" if name == "utf-16" else "utf-8") as out:
                out.write(text)
        run(capsys, "train", *files, *QUICK, "--no-compare", *options)
        found = fastbp.load_model("model.npz").get_weights()
        assert all(a.tobytes() == b.tobytes() for a, b in zip(right, found, strict=True)), name
    with gzip.open("data.csv.gz", "wt") as out:
        out.write("\n".join(lines))
    # options between files
    said = document(capsys, "train", "data.csv.gz", "--quiet", "--epochs", "1", "flats.csv", "--no-compare")
    assert said["data"]["train"] + said["data"]["test"] == 480


def test_no_header(capsys, folder):
    write([line.replace("true", "1.5").replace("false", "2.5") for line in flats()[1:]])
    refuse(capsys, folder, "--no-header", "train", "data.csv", *QUICK)
    run(capsys, "train", "data.csv", *QUICK, "--no-compare", "--no-header")
    model = fastbp.load_model("model.npz")
    assert model.preparation.target == "column_6" and model.preparation.columns[0].name == "column_1"
    assert len(rows_of(run(capsys, "predict", "model.npz", "data.csv"))) == 240


def test_weights_of_rows(capsys, folder):
    write(flats(weight=[k % 2 for k in range(240)], other=[3 * (k % 2) for k in range(240)]))
    options = ["--target", "dear", "--split-last", "--no-compare", "--drop", "rent"]
    run(capsys, "train", "data.csv", *QUICK, "--weights-column", "weight", "--drop", "other", *options)
    first = fastbp.load_model("model.npz")
    assert not any("weight" in name for name in first.preparation.features)
    # only how they compare to each other counts
    run(capsys, "train", "data.csv", *QUICK, "--weights-column", "other", "--drop", "weight", *options)
    for a, b in zip(first.get_weights(), fastbp.load_model("model.npz").get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()
    table = fastbp.table.read("data.csv").iloc[:192]
    net = fastbp.Sequential([fastbp.Dense(8, activation="relu"), fastbp.Dense(2)], seed=0)
    net.compile("adam", "sparse_categorical_crossentropy", numerics="portable")
    x, y = first.preparation.transform(table), first.preparation.transform_target(table["dear"])
    net.fit(x, y, epochs=2, seed=0, verbose=0, sample_weight=2 * (np.arange(192) % 2))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first.get_weights(), net.get_weights(), strict=True))
    write(flats(weight=["-1", *["1"] * 239]))
    message = "line 2: column 'weight', the weights, is -1.0; it must be a number from 0 on"
    refuse(capsys, folder, message, "train", "data.csv", *QUICK, "--weights-column", "weight", "--split-last",
           "--target", "dear")  # fmt: skip
    message = "no such column; did you mean 'weight'"
    refuse(capsys, folder, message, "train", "data.csv", *QUICK, "--weights-column", "weights")
    message = "'dear', which does not hold numbers"
    refuse(capsys, folder, message, "train", "flats.csv", *QUICK, "--weights-column", "dear", "--target", "rent")
    write(flats(weight=[0] * 240))
    refuse(capsys, folder, "where all weights are 0", "train", "data.csv", *QUICK, "--weights-column", "weight",
           "--target", "dear")  # fmt: skip


def test_balanced_classes(capsys):
    run(capsys, "train", "flats.csv", *QUICK, "--no-compare", "--class-weight", "balanced", "--split-last")
    model = fastbp.load_model("model.npz")
    table = fastbp.table.read("flats.csv").iloc[:192]
    net = fastbp.Sequential([fastbp.Dense(8, activation="relu"), fastbp.Dense(2)], seed=0)
    net.compile("adam", "sparse_categorical_crossentropy", numerics="portable")
    x, y = model.preparation.transform(table), model.preparation.transform_target(table["dear"])
    net.fit(x, y, epochs=2, seed=0, verbose=0, class_weight="balanced")
    assert all(a.tobytes() == b.tobytes() for a, b in zip(model.get_weights(), net.get_weights(), strict=True))


@needs_modules
@pytest.mark.parametrize("option", [["--class-weight", "balanced"], ["--weights-column", "area", "--missing", "0"]])
def test_the_comparison_weighs_too(capsys, option):
    lines = flats()
    write([line if not line.startswith(",") else f"1{line}" for line in lines])
    assert "every bit of losses" in run(capsys, "train", "data.csv", *QUICK, *option)


def test_sizes_of_layers(capsys):
    for sizes in (["12", "7"], ["12,7"], ["12", ",7".strip(",")]):
        run(capsys, "train", "--layers", *sizes, "flats.csv", "--quiet", "--epochs", "1", "--no-compare")
        net = fastbp.load_model("model.npz").net
        assert [layer.w.shape[1] for layer in net.layers] == [12, 7, 2]
    run(capsys, "train", "flats.csv", "--quiet", "--epochs", "1", "--no-compare", "--layers", "5", "4")
    assert [layer.w.shape[1] for layer in fastbp.load_model("model.npz").net.layers] == [5, 4, 2]


@pytest.mark.parametrize("name", sorted({cls.names[0] for cls in fastbp.losses.Loss.registry.named.values()}))
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_every_loss_trains_or_is_refused_in_words(capsys, task, name):
    target, other = ("dear", "rent") if task == "classification" else ("rent", "dear")
    options = ["--target", target, "--drop", other, "--loss", name, "--epochs", "40", "--quiet", "--no-compare"]
    status = cli.main(["train", "flats.csv", *options, "--json"])
    out, err = capsys.readouterr()
    if status == 2:
        assert err.startswith(f"fastbp: loss is {name!r}, ") and ("; " in err or ": " in err)
        return
    scores = json.loads(out)["scores"]
    if task == "classification":
        found = fastbp.load_model("model.npz").predict(fastbp.table.read("flats.csv"))
        assert np.allclose(found.sum(axis=1), 1, atol=1e-5) and found.min() >= 0
        assert scores["accuracy"] > 0.8
    else:
        assert scores["r2"] > 0.5


def test_binary_crossentropy_of_labels(capsys):
    text = run(capsys, "train", "flats.csv", "--loss", "bce", "--epochs", "20", "--quiet", "--no-compare")
    model = fastbp.load_model("model.npz")
    assert model.net.layers[-1].w.shape == (256, 1)
    found = model.predict(fastbp.table.read("flats.csv"))
    assert found.shape == (240, 2) and np.allclose(found.sum(axis=1), 1)
    assert "binary_crossentropy" in text


def test_without_pandas(capsys, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    message = "pandas, the extra 'table', which is not installed: pip install pandas"
    refuse(capsys, folder, message, "train", "flats.csv", *QUICK)


# ------------------------------------------------------------------------------------------- rows apart


def test_groups_stay_together(capsys):
    write(flats(house=[f"house {k // 6}" for k in range(240)]))
    said = document(capsys, "train", "data.csv", *QUICK, "--split-by", "house", "--target", "dear", "--no-compare")
    assert said["data"]["test"] == 48 and "house" not in [column["name"] for column in said["columns"]]
    groups = [k // 6 for k in range(240)]
    train, test = splits.divide(240, None, 0.2, 0, groups)
    assert sorted([*train, *test]) == list(range(240)) and not {k // 6 for k in train} & {k // 6 for k in test}
    # a value that is missing is no group
    missing = ["a", "a", "a", None, float("nan"), None]
    assert sorted(len(test) for _, test in splits.folds(6, None, 4, 0, missing)) == [1, 1, 1, 3]
    assert len(splits.divide(6, None, 0.01, 3, missing)[1]) in (1, 3)
    with pytest.raises(ValueError, match="all rows have one value"):
        splits.divide(3, None, 0.2, 0, ["a", "a", "a"])


def test_the_last_rows(capsys):
    said = document(capsys, "train", "flats.csv", *QUICK, "--split-last", "--test-size", "0.3", "--no-compare")
    assert (said["data"]["train"], said["data"]["test"]) == (168, 72)
    train, test = splits.divide(10, None, 0.2, 0, last=True)
    assert (train.tolist(), test.tolist()) == (list(range(8)), [8, 9])


def test_another_split(capsys):
    first = document(capsys, "train", "flats.csv", *QUICK, "--no-compare")
    second = document(capsys, "train", "flats.csv", *QUICK, "--no-compare", "--split-seed", "1")
    assert first["columns"] != second["columns"]


@pytest.mark.parametrize("form", ["plain", "classes", "groups", "last"])
def test_folds(form):
    labels = [k % 3 for k in range(50)] if form == "classes" else None
    groups = [k // 5 for k in range(50)] if form == "groups" else None
    found = list(splits.folds(50, labels, 5, 0, groups, form == "last"))
    assert len(found) == 5
    tested = np.concatenate([test for _, test in found])
    for train, test in found:
        assert not {*train} & {*test}
        if form == "last":
            assert train.max() < test.min()
        else:
            assert len(train) + len(test) == 50 and len(test) == 10
        if form == "classes":
            assert {np.count_nonzero(test % 3 == k) for k in range(3)} <= {3, 4}
        if form == "groups":
            assert not {*(train // 5)} & {*(test // 5)}
    assert form == "last" or sorted(tested) == list(range(50))


def test_a_class_of_one_row_is_in_no_test():
    labels = [0, 1, 1, 1, 2, 2, 2, 1, 2]
    tested = np.concatenate([test for _, test in splits.folds(9, labels, 3, 0)])
    assert sorted(tested) == list(range(1, 9))


def test_cross_validation(capsys):
    said = document(capsys, "train", "flats.csv", *QUICK, "--folds", "4", "--no-compare")
    scores = [one["accuracy"] for one in said["folds"]["scores"]]
    assert len(scores) == 4 and len({*scores}) > 1
    assert said["folds"]["mean"]["accuracy"] == pytest.approx(np.mean(scores))
    assert said["folds"]["spread"]["accuracy"] == pytest.approx(np.std(scores, ddof=1))
    # the model is the one of a run without folds
    weights = fastbp.load_model("model.npz").get_weights()
    text = run(capsys, "train", "flats.csv", *QUICK, "--no-compare")
    for a, b in zip(weights, fastbp.load_model("model.npz").get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()
    text = run(capsys, "train", "flats.csv", *QUICK, "--no-compare", "--folds", "2", "--target", "rent")
    lines = text.splitlines()
    at = next(k for k, line in enumerate(lines) if line.startswith("2 folds        RMSE "))
    assert lines[at].count("+-") == 3 and lines[at + 1].startswith("  baseline     RMSE ")
    for option in (["--split-last"], ["--split-by", "district"]):
        assert "folds" in run(capsys, "train", "flats.csv", *QUICK, "--no-compare", "--folds", "2", *option)


# ----------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "dera"], "--target is 'dera'; the table has no such column; did you mean 'dear'"),
        (["--drop", "are"], "drop has 'are'; .* no such column; did you mean 'area'"),
        (["--split-by", "districts"], "did you mean 'district'"),
        (["--columns", "built"], "'built' is not NAME:KIND; kinds are number, text"),
        (["--columns", "buil:text"], "no column 'buil'; did you mean 'built'"),
        (["--columns", "district:number"], "line 2, column 'district'"),
        (["--folds", "1"], "folds is 1"),
        (["--folds", "500"], "folds is 500; there are 192 rows"),
        (["--split-seed", "-1"], "split-seed is -1"),
        (["--split-last", "--split-by", "lift"], "take one of them"),
        (["--split-last", "--test-size", "1.5"], "test_size is 1.5"),
        (["--separator", "ab"], "separator is 'ab'; it must be one character"),
        (["--task", "regression"], "text .'(yes|no)'.; a regression takes numbers"),
        (["--task", "regression", "--target", "rent", "--loss", "poisson"], "targets are standardised here"),
        (["--max-categories", "0"], "max_categories is 0"),
        (["--config", "missing.toml"], "No such file or directory: missing.toml"),
        (["--write-config", "no/run.toml"], "no is not a directory to write in"),
        (["--write-config", "flats.csv"], "which is an input, too"),
    ],
)
def test_refused_options(capsys, folder, options, message):
    refuse(capsys, folder, message, "train", "flats.csv", *QUICK, *options)


def test_refused_targets(capsys, folder):
    write(flats(name=[f"flat {k // 2}" for k in range(240)]))
    message = "'name' of table has 120 different texts in 240 rows.*--task classification takes them for classes"
    refuse(capsys, folder, message, "train", "data.csv", *QUICK)
    write(flats(500, name=[f"name {k % 301}" for k in range(500)]))
    refuse(capsys, folder, "has 301 different texts.*; --target NAME takes another column", "train", "data.csv", *QUICK)
    message = "has 301 different values in 500 rows.*; --target NAME takes another column\n"
    refuse(capsys, folder, message, "train", "data.csv", *QUICK, "--task", "classification")
    write(flats(part=[f"{k / 7:.3f}" for k in range(240)]))
    message = "has 240 different values in 240 rows: as classes they cannot be learnt; --target NAME .*, --task reg"
    refuse(capsys, folder, message, "train", "data.csv", *QUICK, "--task", "classification")
    write(flats(same=["x"] * 240))
    refuse(capsys, folder, "one class only, 'x'", "train", "data.csv", *QUICK)


def test_a_file_behind_an_option_that_takes_several(capsys, folder):
    message = "--drop is for a table, and there is no file; 'flats.csv' is one, name it before the options"
    refuse(capsys, folder, message, "train", *QUICK, "--drop", "rent", "flats.csv")


# ------------------------------------------------------------------------------------------ the model


def test_predictions(capsys, folder):
    run(capsys, "train", "flats.csv", "--quiet", "--no-compare", "--epochs", "30", "--drop", "rent")
    assert cli.main(["predict", "model.npz", "flats.csv"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    rows = rows_of(out)
    assert list(rows[0]) == ["prediction", "p_no", "p_yes"]
    model = fastbp.load_model("model.npz")
    found = model.predict(fastbp.table.read("flats.csv"))
    assert found.dtype == np.float32 and model.preparation.classes == ["no", "yes"]
    shown = np.array([[row["p_no"], row["p_yes"]] for row in rows]).astype(np.float32)
    assert shown.tobytes() == found.tobytes()
    assert [row["prediction"] for row in rows] == [["no", "yes"][k] for k in found.argmax(axis=1)]
    # in the order of the rows; without the target, with columns in another order and another one
    lines = [line.split(",") for line in flats()]
    write([",".join([x[3], str(k), x[1], x[0], x[2]]) for k, x in enumerate(lines[::-1][:-1])], "body.csv")
    with open("body.csv") as body:
        write(["built,extra,district,area,lift", *body.read().splitlines()], "new.csv")
    assert cli.main(["predict", "model.npz", "new.csv"]) == 0
    out, err = capsys.readouterr()
    assert rows_of(out) == rows[::-1]
    assert err == "fastbp: new.csv has columns that the training had not, which are left alone: 'extra'\n"


def test_what_is_new_is_counted(capsys):
    run(capsys, "train", "flats.csv", *QUICK, "--no-compare", "--drop", "rent")
    write(["area,district,lift,built", "50,airport,true,1990-05-01", "60,hill,,1990-05-01", ",port,true,1990-05-01"])
    assert cli.main(["predict", "model.npz", "data.csv"]) == 0
    out, err = capsys.readouterr()
    assert len(rows_of(out)) == 3 and err.count("\n") == 1
    assert "2 of 3 rows of column 'district' have another category" in err
    assert "1 of 3 rows of column 'lift' have no value" in err
    assert cli.main(["predict", "model.npz", "data.csv", "--quiet"]) == 0
    assert capsys.readouterr() == (out, "")


def test_predictions_of_numbers(capsys):
    run(capsys, "train", "flats.csv", *QUICK, "--no-compare", "--drop", "dear")
    rows = rows_of(run(capsys, "predict", "model.npz", "flats.csv"))
    assert list(rows[0]) == ["prediction"]
    found = fastbp.load_model("model.npz").predict(fastbp.table.read("flats.csv"))
    assert [float(row["prediction"]) for row in rows] == found[:, 0].tolist()


def test_codes_stay_codes_in_the_rows_that_are_predicted(capsys):
    write(flats(code=[f"{k % 3:03d}" if k % 3 else "7" for k in range(240)]))
    run(capsys, "train", "data.csv", *QUICK, "--no-compare", "--target", "dear")
    write(["area,district,lift,built,rent,code", "50,hill,true,1990-05-01,1000,7", "60,hill,true,1990-05-01,900,7"])
    assert cli.main(["predict", "model.npz", "data.csv"]) == 0
    assert capsys.readouterr().err == ""
    # so do labels
    write(flats(code=[f"{k % 3:03d}" if k % 3 else "7" for k in range(240)]))
    run(capsys, "train", "data.csv", *QUICK, "--no-compare")
    write([flats()[0] + ",code", *[line + ",7" for line in flats()[1:4]]])
    assert document(capsys, "evaluate", "model.npz", "data.csv")["data"]["rows"] == 3


def test_a_column_that_is_missing(capsys, folder):
    run(capsys, "train", "flats.csv", *QUICK, "--no-compare")
    write(["area,district,lift,rent", "50,hill,true,1000"])
    refuse(capsys, folder, "data.csv has no column 'built'", "predict", "model.npz", "data.csv")


def test_arrays_are_predicted_and_evaluated(capsys, folder):
    x, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2
    np.savez("data.npz", x=x, y=y)
    np.save("x.npy", x)
    np.save("y.npy", y)
    run(capsys, "train", "data.npz", *QUICK, "--no-compare")
    found = run(capsys, "predict", "model.npz", "x.npy")
    assert list(rows_of(found)[0]) == ["prediction", "p_0", "p_1"] and len(rows_of(found)) == 60
    assert run(capsys, "predict", "model.npz", "data.npz") == found
    scores = document(capsys, "evaluate", "model.npz", "data.npz")["scores"]
    assert scores == document(capsys, "evaluate", "model.npz", "x.npy", "y.npy")["scores"]
    write(["a,b,c", *(",".join(map(str, row)) for row in x.tolist())], "x.csv")
    assert run(capsys, "predict", "model.npz", "x.csv") == found
    np.save("x.npy", x[:, :2])
    refuse(capsys, folder, "x has 2 columns; it must have 3", "predict", "model.npz", "x.npy")


def test_several_targets(capsys):
    x = np.random.default_rng(0).normal(size=(80, 3))
    np.savez("data.npz", x=x, y=x @ np.ones((3, 2)))
    assert "RMSE" in run(capsys, "train", "data.npz", *QUICK, "--no-compare")
    rows = rows_of(run(capsys, "predict", "model.npz", "data.npz"))
    assert list(rows[0]) == ["prediction", "prediction_2"]
    assert len(document(capsys, "evaluate", "model.npz", "data.npz")["scores"]["rmse"]) == 2


def test_files_without_a_preparation(capsys, folder):
    net = fastbp.Sequential([fastbp.Dense(2)], input_shape=3)
    net.save("net.npz")
    refuse(capsys, folder, "net.npz holds a net and no preparation of rows", "predict", "net.npz", "flats.csv")
    assert "dense_1" in run(capsys, "info", "net.npz")
    refuse(capsys, folder, "No such file or directory: none.npz", "info", "none.npz")
    write(["a"], "bad.npz")
    refuse(capsys, folder, "bad.npz", "predict", "bad.npz", "flats.csv")


def test_info(capsys, folder):
    run(capsys, "train", "flats.csv", *QUICK, "--no-compare", "--seed", "7", "--columns", "lift:text", "--drop", "rent")
    said = document(capsys, "info", "model.npz")
    metadata = said["metadata"]
    digest = hashlib.sha256((folder / "flats.csv").read_bytes()).hexdigest()
    assert metadata["data"] == [{"sha256": digest, "bytes": (folder / "flats.csv").stat().st_size}]
    assert metadata["versions"]["fastbp"] == fastbp.__version__ and metadata["versions"]["numpy"] == np.__version__
    assert metadata["rows"] == {"train": 192, "test": 48}
    options = metadata["options"]
    assert (options["seed"], options["columns"], options["layers"]) == (7, ["lift:text"], [8])
    assert [column["name"] for column in said["preparation"]["columns"]] == ["area", "district", "lift", "built"]
    text = run(capsys, "info", "model.npz")
    for word in ("area number ", "dense_2", "seed 7", f"sha256 {digest},", f"fastbp {fastbp.__version__}", "Adam(lr="):
        assert word in " ".join(text.split())


def test_what_a_file_does_not_say(capsys, folder):
    (folder / "of a person").mkdir()
    os.rename("flats.csv", folder / "of a person" / "secret.csv")
    path = folder / "of a person" / "secret.csv"
    run(capsys, "train", path, *QUICK, "--no-compare", "--plot")
    for name in ("model.npz", "model.data.json", "history.json"):
        content = (folder / name).read_bytes()
        for word in ("secret", "of a person", str(folder), os.path.expanduser("~"), platform.node()):
            assert word.encode() not in content, (name, word)
    assert b"sha256\\u" not in content
    run(capsys, "train", path, *QUICK, "--no-compare", "--no-provenance")
    metadata = fastbp.load_model("model.npz").metadata
    assert [*metadata] == ["reading"]
    assert "versions" not in run(capsys, "info", "model.npz")


def test_a_run_is_repeated_from_what_its_file_says(capsys, folder):
    options = ["--layers", "9", "4", "--lr", "0.01", "--drop", "rent", "--folds", "2", "--columns", "lift:text"]
    run(capsys, "train", "flats.csv", "--quiet", "--epochs", "3", "--no-compare", *options)
    before = (folder / "model.npz").read_bytes()
    told = document(capsys, "info", "model.npz")["metadata"]["options"]
    lines = [f"{name} = {json.dumps(value)}" for name, value in told.items() if value is not None]
    write(lines, "again.toml")
    run(capsys, "train", "flats.csv", "--quiet", "--no-compare", "--config", "again.toml")
    assert (folder / "model.npz").read_bytes() == before


def test_description_of_the_data(capsys):
    run(capsys, "train", "flats.csv", *QUICK, "--no-compare", "--output", "a.model.npz")
    with open("a.model.data.json", encoding="utf-8") as file:
        told = json.load(file)
    model = fastbp.load_model("a.model.npz")
    assert (told["task"], told["target"], told["classes"]) == ("classification", "dear", ["no", "yes"])
    assert told["features"] == model.preparation.features
    again = fastbp.table.Preparation.from_config(told["preparation"])
    table = fastbp.table.read("flats.csv")
    assert again.transform(table).tobytes() == model.preparation.transform(table).tobytes()


# ------------------------------------------------------------------------------------- files of options


def test_options_from_a_file(capsys, folder):
    name = 'a "b"\\c\td,ü'
    lines = flats()
    lines[0] = lines[0].replace("district", '"a ""b""\\c\td,ü"')
    write(lines)
    options = ["--layers", "6", "5", "--lr", "1e-2", "--drop", name, "lift", "--split-last", "--no-compare"]
    options += ["--missing", "-9", "\x7f", "--columns", "built:text", "--quiet", "--epochs", "3"]
    run(capsys, "train", "data.csv", *options, "--write-config", "run.toml")
    first = (folder / "model.npz").read_bytes()
    with open("run.toml", "rb") as file:
        written = tomllib.load(file)
    assert written["missing"] == ["-9", "\x7f"] and written["drop"] == [name, "lift"]
    assert written["layers"] == [6, 5] and written["lr"] == 0.01
    assert written["data"] == ["data.csv"] and written["columns"] == ["built:text"] and written["split-last"] is True
    assert not {"quiet", "json", "config", "write-config", "run"} & written.keys()
    run(capsys, "train", "--config", "run.toml", "--quiet")
    assert (folder / "model.npz").read_bytes() == first
    # what is typed comes before the file; lists take each other's place
    run(capsys, "train", "--config", "run.toml", "--quiet", "--epochs", "1", "--drop", "lift", "--no-split-last")
    assert len(load_history("history.json")["loss"]) == 1
    assert any(feature.startswith(name) for feature in fastbp.load_model("model.npz").preparation.features)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("laers = [3]", "has 'laers'; there is no such option; did you mean 'layers'"),
        ("epochs = ", "bad.toml', which is not TOML: "),
        ("epochs = 'x'", "bad.toml': argument --epochs: invalid int value: 'x'"),
        ("task = 'clasification'", "bad.toml': argument --task: invalid choice"),
        ("[train]\nepochs = 3", "has 'train'; there is no such option"),
        ("epochs = {a = 1}", "where epochs is {'a': 1}; it must be text, numbers or a list"),
        ("config = 'other.toml'", "has 'config'; that is typed"),
    ],
)
def test_bad_files_of_options(capsys, folder, text, message):
    (folder / "bad.toml").write_text(text)
    refuse(capsys, folder, message, "train", "--config", "bad.toml", *QUICK)


# ---------------------------------------------------------------------------------------------- output


def test_json(capsys):
    assert cli.main(["train", "flats.csv", "--epochs", "2", "--layers", "4", "--json"]) == 0
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert err == "" and said["data"]["target"] == "dear" and said["network"]["sizes"] == [12, 4, 2]
    assert said["files"] == ["model.npz", "history.json", "model.data.json"]
    assert said["comparison"]["different"] == []
    # numbers that are not finite are null
    write(["a,b", *(f"{k % 5},1.5" for k in range(30))])
    said = document(capsys, "train", "data.csv", "--epochs", "1", "--no-compare")
    assert said["scores"]["r2"] is None


def test_help_lists_what_there_is(capsys):
    text = " ".join(run(capsys, "train", "--help").split())
    for base in (fastbp.optimizers.Optimizer, fastbp.losses.Loss):
        for cls in base.registry.named.values():
            if cls.__module__.startswith("fastbp."):
                assert f"{cls.names[0]}," in text or f"{cls.names[0]}." in text or f"{cls.names[0]};" in text
    for name in ("relu", "softplus", "gelu", "identity"):
        assert f" {name}," in text
    for option in ("--no-compare", "--no-header", "--no-provenance", "--json", "--config", "--write-config", "--folds"):
        assert option in text
    for command in ("predict", "evaluate", "info"):
        assert "MODEL.npz" in run(capsys, command, "--help")


def test_completion():
    pytest.importorskip("argcomplete")

    def completed(line):
        asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": " ", "_ARGCOMPLETE_SUPPRESS_SPACE": "1", "COMP_TYPE": "9"}
        asked |= {"COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_STDOUT_FILENAME": "completions"}
        subprocess.run([sys.executable, "-m", "fastbp"], env=environment(**asked), check=True, timeout=100)
        with open("completions") as file:
            return file.read().split()

    assert completed("fastbp pre") == ["predict"]
    assert completed("fastbp train --optimizer ada") == ["adadelta", "adagrad", "adam", "adamax", "adamw"]
    assert "tanh" in completed("fastbp train --activation t")
    assert completed("fastbp train --split-") == ["--split-seed", "--split-by", "--split-last"]


def test_the_mark_of_argcomplete():
    with open(cli.__file__, encoding="utf-8") as file:
        assert "PYTHON_ARGCOMPLETE_OK" in file.read(1024)


@pytest.mark.skipif(os.name != "posix", reason="the pipes are POSIX's")
@pytest.mark.parametrize("command", ["train flats.csv --quiet --epochs 300", "predict m.npz flats.csv", "info m.npz",
                                     "train flats.csv --quiet --json", "train --help", "versions"])  # fmt: skip
def test_a_pipe_that_is_closed(capsys, folder, command):
    run(capsys, "train", "flats.csv", *QUICK, "--no-compare", "--output", "m.npz")
    process = subprocess.Popen([sys.executable, "-m", "fastbp", *command.split()], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=environment())  # fmt: skip
    process.stdout.readline()
    process.stdout.close()
    error = process.stderr.read()
    assert (process.wait(timeout=100), error) == (0, b"")
    if command.startswith("train flats"):
        assert fastbp.load_model("model.npz").preparation.target == "dear"
        assert load_history("history.json")


@needs_modules
def test_ctrl_c_in_the_comparison_leaves_the_model(capsys, folder, monkeypatch):
    def interrupted(*_):
        assert sorted(os.listdir()) == ["flats.csv", "history.json", "model.data.json", "model.npz"]
        raise KeyboardInterrupt

    monkeypatch.setattr(comparing, "timed_fit", interrupted)
    assert cli.main(["train", "flats.csv", *QUICK]) == 130
    out, err = capsys.readouterr()
    assert "wrote          model.npz, history.json, model.data.json" in out and err == "fastbp: interrupted\n"
    assert len(load_history("history.json")["loss"]) == 2
    assert fastbp.load_model("model.npz").optimizer.iterations == 2 * 6
    assert cli.main(["train", "flats.csv", *QUICK, "--json"]) == 130
    assert json.loads(capsys.readouterr().out)["files"] == ["model.npz", "history.json", "model.data.json"]


@needs_modules
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_in_a_process_that_compares(folder):
    code = ("import sys; from fastbp.cli import compare, main; compare.BUDGET = 1e9;"
            "sys.exit(main(['train', 'flats.csv', '--quiet', '--epochs', '20000', '--layers', '4']))")  # fmt: skip
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=environment())  # fmt: skip
    signal.signal(signal.SIGINT, before)
    try:
        while not process.stdout.readline().startswith("wrote "):
            assert process.poll() is None
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, error) == (130, "fastbp: interrupted\n")
    assert len(load_history("history.json")["loss"]) == 20000
    assert fastbp.load_model("model.npz").preparation.classes == ["no", "yes"]


def test_a_screen_that_cannot_show_all(folder):
    write([line.replace("district", "Höhe ☃") for line in flats()])
    command = [sys.executable, "-m", "fastbp", "train", "data.csv", *QUICK, "--no-compare"]
    done = subprocess.run(command, env=environment(PYTHONIOENCODING="ascii"), capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert rb"\nH\xf6he \u2603" in done.stdout.replace(b"\n", rb"\n")
    assert "☃" in "".join(fastbp.load_model("model.npz").preparation.features)


def test_no_comparison(capsys):
    assert "NumPy" not in run(capsys, "train", "flats.csv", *QUICK, "--no-compare")


def test_a_shell(folder):
    done = in_a_process("predict", "nothing.npz", "flats.csv")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "fastbp: No such file or directory: nothing.npz\n")


def test_scores_in_words():
    words = scores.told("regression", {"rmse": [1.0, 2.5], "mae": 0.25, "r2": -0.00001})
    assert words == "RMSE 1 2.5, MAE 0.25, R2 0.0000"
    assert scores.told("classification", {"accuracy": 0.5, "loss": 1}, {"accuracy": 0.25, "loss": 0.5}) == (
        "accuracy 50.00 % +- 25.00 %, loss 1.0000 +- 0.5000"
    )


@pytest.mark.parametrize("weights", [["2020-01-01", "2021-05-02"], ["007", "1_0"]])
def test_weights_are_numbers_and_nothing_that_numpy_takes_for_such(capsys, folder, weights):
    (folder / "data.csv").write_text("\n".join(flats(weight=weights * 120)) + "\n")
    refuse(capsys, folder, "--weights-column is 'weight', which does not hold numbers", "train", "data.csv", *QUICK,
           "--weights-column", "weight", "--target", "rent")  # fmt: skip


def test_labels_that_the_training_had_not_are_named_by_their_line(capsys, folder):
    run(capsys, "train", "flats.csv", "--drop", "rent", "--no-compare", *QUICK)
    lines = flats()
    lines[4] = lines[4].rpartition(",")[0] + ",perhaps"
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    match = "data.csv, line 5: column 'dear', the target, is 'perhaps', which the training has not: 'no', 'yes'"
    refuse(capsys, folder, match, "evaluate", "model.npz", "data.csv")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_pipes_have_no_hash_and_are_read_once(capsys, folder):
    content = (folder / "flats.csv").read_bytes()
    os.mkfifo("pipe")

    def writing():
        with open("pipe", "wb") as file:
            file.write(content)

    for options in ([], ["--no-provenance"]):
        writer = threading.Thread(target=writing)
        writer.start()
        arguments = ["train", "pipe", "--no-compare", *QUICK, *options]
        if options:
            run(capsys, *arguments)
        else:
            refuse(capsys, folder, "pipe is no regular file.*--no-provenance", *arguments)
        writer.join()
    assert run(capsys, "predict", "model.npz", "flats.csv").count("\n") == 241


def test_standard_output_may_be_closed_or_have_few_letters(folder):
    lines = [line.replace(",yes", ",öfter") for line in flats()]
    (folder / "data.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert in_a_process("train", "data.csv", "--no-compare", "--no-provenance", *QUICK).returncode == 0
    command = [sys.executable, "-m", "fastbp", "predict", "model.npz", "data.csv"]
    ascii = {**environment(), "PYTHONIOENCODING": "ascii"}
    told = subprocess.run(command, capture_output=True, text=True, env=ascii, timeout=100)
    assert told.returncode == 2
    assert told.stderr == (
        "fastbp: standard output is ascii, which has no 'ö'; "
        "the environment variable PYTHONIOENCODING=utf-8 makes it UTF-8\n"
    ).encode("ascii", "backslashreplace").decode()
    if os.name == "posix":
        command = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
        told = subprocess.run(command, stderr=subprocess.PIPE, env=environment(), timeout=100)
        assert (told.returncode, told.stderr) == (0, b"")


@pytest.mark.parametrize(
    "metadata",
    [
        {"reading": "by hand", "shape": [[1, 2], 3]},
        {"reading": {"missing": [3]}, "data": ["x"]},
        {"reading": {"columns": ["area"]}, "data": 7},
        {"reading": {"dates": [1]}, "mine": {"note": [None, {"a": 1}]}},
    ],
)
def test_metadata_of_ones_own_are_shown_and_not_read(capsys, folder, metadata):
    run(capsys, "train", "flats.csv", *QUICK, "--no-compare")
    model = fastbp.load_model("model.npz")
    model.metadata = metadata
    model.save("model.npz")
    assert document(capsys, "info", "model.npz")["metadata"] == metadata
    assert all(part in run(capsys, "info", "model.npz") for part in metadata)
    refuse(capsys, folder, "metadata of reading that are not `fastbp train`'s", "predict", "model.npz", "flats.csv")


def saved_by_python(loss, units, folder, **given):
    """Write a model of `flats.csv` that Python has trained."""
    table = fastbp.table.read(folder / "flats.csv")
    preparation = fastbp.table.Preparation(drop=["rent"], **given).fit(table, *([] if given else [table["rent"]]))
    net = fastbp.Sequential([fastbp.Dense(units)], seed=0)
    net.compile(fastbp.optimizers.Adam(lr=0.05), loss)
    model = fastbp.table.PreparedModel(net, preparation)
    if given:
        model.fit(table, epochs=10, seed=0, verbose=0)
    model.save(folder / "model.npz")
    return table, model


@pytest.mark.parametrize("units", [1, 2])
def test_margins_are_no_probabilities(capsys, folder, units):
    table, model = saved_by_python("hinge", units, folder, target="dear")
    rows = list(csv.reader(io.StringIO(run(capsys, "predict", "model.npz", "flats.csv"))))
    assert rows[0] == ["prediction", *["margin_no", "margin_yes"][-units:]]
    labels = model.predict_classes(table)
    assert [row[0] for row in rows[1:]] == labels.tolist() and {*labels} == {"no", "yes"}
    right = float((labels == np.asarray(table["dear"])).mean())
    assert document(capsys, "evaluate", "model.npz", "flats.csv")["scores"]["accuracy"] == right


def test_a_target_without_a_name_is_not_guessed(capsys, folder):
    saved_by_python("mse", 1, folder)
    assert run(capsys, "predict", "model.npz", "flats.csv").count("\n") == 241
    refuse(capsys, folder, "has no name of a target", "evaluate", "model.npz", "flats.csv")


def test_a_column_that_counted_rows_need_not_do_so_later(capsys, folder):
    lines = [f"{k - 1 if k else ''},{line}" for k, line in enumerate(flats())]
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    (folder / "some.csv").write_text("\n".join([lines[0], *lines[90:60:-2]]) + "\n")
    run(capsys, "train", "data.csv", *QUICK, "--no-compare")
    every = run(capsys, "predict", "model.npz", "data.csv").splitlines()
    assert run(capsys, "predict", "model.npz", "some.csv").splitlines() == [every[0], *every[90:60:-2]]
    assert run(capsys, "predict", "model.npz", "flats.csv").splitlines() == every
    run(capsys, "evaluate", "model.npz", "some.csv")


def test_losses_of_numbers_have_probabilities_of_a_softmax(capsys, folder):
    run(capsys, "train", "flats.csv", *QUICK, "--no-compare", "--loss", "mean_squared_error")
    rows = list(csv.reader(io.StringIO(run(capsys, "predict", "model.npz", "flats.csv"))))
    assert rows[0] == ["prediction", "p_no", "p_yes"]
    assert all(abs(float(row[1]) + float(row[2]) - 1) < 1e-6 for row in rows[1:])


def test_columns_that_are_not_needed_may_hold_anything(capsys, folder):
    values = ["oops" if k == 50 else "1e999" if k == 70 else k for k in range(240)]
    lines = flats(junk=values)
    lines = [",".join([*line.split(",")[:-2], line.split(",")[-1], line.split(",")[-2]]) for line in lines]
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    refuse(capsys, folder, "data.csv, line 52, column 'junk': 'oops' is no number", "train", "data.csv", *QUICK)
    quick = [*QUICK, "--no-compare"]
    run(capsys, "train", "data.csv", *quick, "--drop", "junk", "rent", "--output", "dropped.npz")
    only = ["--only", "area", "district", "lift", "built"]
    run(capsys, "train", "data.csv", *quick, *only, "--output", "only.npz")
    found = [run(capsys, "predict", name, "data.csv") for name in ("dropped.npz", "only.npz")]
    run(capsys, "train", "flats.csv", *quick, *only, "--output", "clean.npz")
    assert found[0] == found[1] == run(capsys, "predict", "clean.npz", "data.csv")
    run(capsys, "evaluate", "clean.npz", "data.csv")
    # the target is needed, whether it is named or the last one
    refuse(capsys, folder, "column 'junk': 'oops' is no number", "train", "data.csv", *QUICK, *only, "--target", "junk")
    (folder / "last.csv").write_text("\n".join(flats(junk=values)) + "\n")
    refuse(capsys, folder, "column 'junk': 'oops' is no number", "train", "last.csv", *QUICK, *only)


def test_errors_of_numbers_whose_squares_are_none():
    y = 1e200 * np.arange(10.0)
    preparation = fastbp.table.Preparation().fit(np.arange(10.0)[:, None], y)
    found = scores.scores_of(preparation, (y + 1e199)[:, None], y, 0.0)
    assert found["rmse"] == pytest.approx(1e199) and found["mae"] == pytest.approx(1e199)
    assert found["r2"] == pytest.approx(1 - 10 * 0.01 / 82.5) and found["baseline"]["r2"] == pytest.approx(0)
