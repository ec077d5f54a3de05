"""Preparation of tables: what is learnt of columns, what becomes of rows, and models that take raw rows."""

import copy
import datetime
import json
import math
import pickle
import warnings
from fractions import Fraction

import numpy as np
import pytest

import fastbp
from fastbp.kernels.arrays import same_bits as same
from fastbp.table import Preparation, PreparedModel
from fastbp.table.columns import moments

EDGE = [0.0, -0.0, 5e-324, 1e-310, 1.0, -1.5, 1e9, 1e9 + 1e-7, 1.7e308, -1.7e308]


def rows_of(table):
    return len(next(iter(table.values())))


def some(table, rows):
    return {name: [values[k] for k in rows] for name, values in table.items()}


def people(n=200, seed=0):
    """Return a table of all kinds of columns, with gaps, and labels that follow from two of them."""
    rng = np.random.default_rng(seed)
    age, city = rng.normal(40, 10, n).round(1), rng.choice(["Bern", "Oslo", "Rome"], n)
    label = np.where((age > 40) ^ (city == "Rome"), "yes", "no")
    first = datetime.date(2020, 1, 1)
    table = {
        "age": [None if k % 17 == 3 else float(a) for k, a in enumerate(age)],
        "city": [None if k % 23 == 5 else str(c) for k, c in enumerate(city)],
        "member": [bool(b) for b in rng.random(n) > 0.5],
        "since": [first + datetime.timedelta(int(d)) for d in rng.integers(0, 900, n)],
        "label": [str(v) for v in label],
    }
    return table


def classifier(preparation, **options):
    net = fastbp.Sequential([fastbp.Dense(8, activation="relu"), fastbp.Dense(preparation.n_outputs)], seed=0)
    net.compile("adam", "sparse_categorical_crossentropy", ["accuracy"], numerics="portable", **options)
    return PreparedModel(net, preparation)


def regressor(preparation, metrics=()):
    net = fastbp.Sequential([fastbp.Dense(4, activation="tanh"), fastbp.Dense(preparation.n_outputs)], seed=0)
    net.compile("adam", "mse", list(metrics), numerics="portable", dtype="float64")
    return PreparedModel(net, preparation)


# ------------------------------------------------------------------ numbers


@pytest.mark.parametrize("first", EDGE)
def test_moments_are_exact_wherever_numbers_lie(first):
    for second in EDGE:
        for third in EDGE:
            check_moments([first, second, third])


def check_moments(values):
    mean, scale, median = moments(np.array(values))
    exact = [Fraction(v) for v in values]
    if len(set(exact)) == 1:
        assert scale == 1 and mean == values[0]
        return
    middle = sum(exact) / 3
    variance = sum((v - middle) ** 2 for v in exact) / 3
    spread = max(exact) - min(exact)
    # a difference of the mean counts as far as the numbers are apart, or as float64 resolves
    assert abs(Fraction(mean) - middle) <= max(Fraction(math.ulp(mean)), spread * Fraction(1, 2**50))
    assert abs(Fraction(scale) ** 2 - variance) <= max(variance * Fraction(1, 2**40), Fraction(5e-324) ** 2 * 4)
    assert Fraction(median) == sorted(exact)[1]


@pytest.mark.parametrize("far", [0.0, 1e9, -1e12])
@pytest.mark.parametrize("unit", [1e-300, 1e-6, 1.0, 1e290])
def test_numbers_far_from_zero_and_tiny_ones_are_standardised(far, unit):
    if unit < 1 < abs(far) or unit > 1e200:
        far *= unit
    values = far + unit * np.arange(20.0)
    prepared = Preparation().fit(values[:, None], np.arange(20) % 2).transform(values[:, None])
    np.testing.assert_allclose(prepared[:, 0], (np.arange(20) - 9.5) / np.std(np.arange(20.0)), rtol=1e-3)


def test_a_constant_is_what_is_equal_in_all_rows_and_nothing_else():
    table = {"same": [1e9] * 4, "nearly": [1e9, 1e9, 1e9, np.nextafter(1e9, 2e9)]}
    preparation = Preparation().fit(table, [0.0, 1.0, 2.0, 3.0])
    same_, nearly = preparation.columns
    assert (same_.scale, same_.note, nearly.note) == (1.0, "constant", "")
    assert preparation.transform({"same": [1e9 + 2], "nearly": [1e9]})[0, 0] == 2.0
    assert 0 < nearly.scale < 1e-6


def test_gaps_are_the_median_and_have_an_indicator():
    preparation = Preparation().fit({"a": [1.0, None, 3.0, 100.0]}, [0.0, 1.0, 2.0, 3.0])
    (column,) = preparation.columns
    assert (column.gaps, column.fill, column.features) == (1, 3.0, ("a", "a is missing"))
    found = preparation.transform({"a": [None, 3.0, float("nan")]})
    assert found[:, 1].tolist() == [1, 0, 1] and len(set(found[:, 0])) == 1


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_numbers_are_refused_with_column_and_row(value):
    with pytest.raises(ValueError, match=r"column 'a' of table, row 1, is -?inf; it must be finite, or missing"):
        Preparation().fit({"a": [1.0, value]}, [0.0, 1.0])
    preparation = Preparation().fit({"a": [1.0, 2.0]}, [0.0, 1.0])
    with pytest.raises(ValueError, match=r"column 'a' of x, row 0, is -?inf"):
        preparation.transform({"a": [value]})


def test_numbers_too_far_from_the_training_are_refused():
    preparation = Preparation().fit({"a": [1e-300, 2e-300]}, [0.0, 1.0])
    with pytest.raises(ValueError, match=r"column 'a' of x, row 1, is 1e\+200; that is too far"):
        preparation.transform({"a": [1e-300, 1e200]})


# ------------------------------------------------------------------ categories, booleans, dates


def test_text_that_differs_is_another_category():
    preparation = Preparation().fit({"code": ["007", "7", "7.0", "1_0", "10"] * 2}, np.arange(10.0))
    assert preparation.columns[0].categories == ["007", "10", "1_0", "7", "7.0"]
    assert (preparation.transform({"code": ["007", "7"]}) == [[1, 0, 0, 0, 0], [0, 0, 0, 1, 0]]).all()


def test_numbers_may_be_categories_and_gaps_change_no_name():
    preparation = Preparation(columns={"zip": "text"}).fit({"zip": np.array([8001, 3000, 8001])}, [1.0, 2.0, 3.0])
    assert preparation.columns[0].categories == ["3000", "8001"]
    with pytest.warns(UserWarning, match="have no value"):
        found = preparation.transform({"zip": np.array([8001.0, np.nan])})
    assert found.tolist() == [[0, 1], [0, 0]]


def test_unseen_categories_are_other_and_told():
    preparation = Preparation().fit({"city": ["Rome", "Bern"]}, [1.0, 2.0])
    with pytest.warns(UserWarning, match=r'2 of 4 rows of column \'city\' have another category, and count as "other"'):
        found = preparation.transform({"city": ["Oslo", "Rome", "Wien", None]})
    assert found.tolist() == [[0, 0], [0, 1], [0, 0], [0, 0]]
    assert preparation.unseen == {"city": {"other": 2, "missing": 1}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        preparation.transform({"city": ["Rome"]})
    assert preparation.unseen == {}


def test_many_categories_are_the_most_frequent_ones_or_left_out():
    often = ["a"] * 30 + ["b"] * 20 + [f"rare {k}" for k in range(20)]
    names = [f"person {k}" for k in range(70)]
    preparation = Preparation(max_categories=2).fit({"often": often, "name": names}, np.arange(70.0))
    first, second = preparation.columns
    assert first.categories == ["a", "b"] and "2 most frequent of 22 texts" in first.note
    assert second.kind == "left out" and not second.features
    assert any("'name' is left out: 70 different texts in 70 rows" in text for text in preparation.warnings)
    # the training had others, too: they are no news
    assert preparation.transform({"often": ["rare 1", "b"]}).tolist() == [[0, 0], [0, 1]]
    assert preparation.unseen == {}


def test_booleans_are_0_and_1():
    preparation = Preparation().fit({"flag": [True, None, False, True]}, [0.0, 1.0, 2.0, 3.0])
    assert preparation.transform({"flag": [None, False, True]}).tolist() == [[1, 1], [0, 0], [1, 0]]
    with pytest.raises(TypeError, match="column 'flag' of x, row 0, is 'yes'; the column holds True and False"):
        preparation.transform({"flag": ["yes"]})


def test_dates_are_days_and_cycles():
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(k) for k in range(0, 700, 7)]
    preparation = Preparation().fit({"when": days}, np.arange(100.0))
    (column,) = preparation.columns
    assert [feature.partition("(")[2] for feature in column.features] == [
        "days)", "sine of the year)", "cosine of the year)", "sine of the week)", "cosine of the week)",
    ]  # fmt: skip
    found = preparation.transform({"when": days})
    assert np.ptp(found[:, 3]) == 0  # Mondays, all of them
    assert abs(found[:, 0].mean()) < 1e-12 and found[:, 1:].max() <= 1
    # the same instants however they are written
    ways = [np.array(days, "datetime64[D]"), np.array(days, "datetime64[ns]"), [np.datetime64(d) for d in days]]
    for way in ways:
        assert same(preparation.transform({"when": way}), found)
    times = [datetime.datetime(2024, 1, 1, hour) for hour in range(24)]
    assert Preparation().fit({"when": times}, np.arange(24.0)).n_features == 7


def test_times_of_zones_are_the_same_instant():
    zone = datetime.timezone(datetime.timedelta(hours=2))
    here = [datetime.datetime(2024, 1, 1, hour, tzinfo=zone) for hour in range(2, 24)]
    there = [moment.astimezone(datetime.UTC).replace(tzinfo=None) for moment in here]
    preparation = Preparation().fit({"when": there}, np.arange(22.0))
    assert same(preparation.transform({"when": here}), preparation.transform({"when": there}))


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (["a", 1.0], "text"),
        ([True, "a"], "boolean"),
        ([datetime.date(2020, 1, 1), 3], "date"),
        ([1j, 2j], "complex"),
        ([[1], [2]], "list"),
    ],
)
def test_columns_of_several_kinds_are_refused(values, word):
    with pytest.raises((TypeError, ValueError), match="column 'a'"):
        Preparation().fit({"a": np.array([*values, None], object)[:2]}, [0.0, 1.0])


def test_a_column_without_values_is_left_out():
    preparation = Preparation().fit({"a": [1.0, 2.0], "b": [None, None], "c": [math.nan] * 2}, [0.0, 1.0])
    assert [c.kind for c in preparation.columns] == ["number", "left out", "left out"]
    assert preparation.n_features == 1
    with pytest.raises(ValueError, match="no column that a net could be given"):
        Preparation().fit({"b": [None, None]}, [0.0, 1.0])


# ------------------------------------------------------------------ what goes where


def test_only_rows_of_the_training_count():
    table = people()
    train, test = some(table, range(150)), some(table, range(150, 200))
    before = Preparation(target="label").fit(train).get_config()
    test["age"][3], test["city"][0] = 1e6, "Atlantis"
    preparation = Preparation(target="label").fit(train)
    with pytest.warns(UserWarning):
        preparation.transform(test)
    assert preparation.get_config() == before


def test_columns_of_tables_go_by_name():
    table = people()
    preparation = Preparation(target="label").fit(table)
    right = preparation.transform(table)
    names = list(table)[::-1]
    assert same(preparation.transform({name: table[name] for name in names}), right)
    with pytest.raises(ValueError, match="x lacks the column 'age', which the model takes; did you mean 'Age'"):
        preparation.transform({("Age" if name == "age" else name): values for name, values in table.items()})
    with pytest.raises(ValueError, match="x lacks the columns 'age', 'city', which the model takes"):
        preparation.transform({"member": table["member"], "since": table["since"]})
    with pytest.warns(UserWarning, match="which are left alone: 'shoe size'"):
        assert same(preparation.transform({**table, "shoe size": [40] * 200}), right)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is said once, and the target is no surprise
        preparation.transform({**table, "shoe size": [40] * 200})


def test_columns_of_arrays_go_by_place_and_are_counted():
    table = people()
    names = [name for name in table if name != "label"]
    preparation = Preparation(target="label").fit(table)
    array = np.array([table[name] for name in names], object).T
    assert same(preparation.transform(array), preparation.transform(table))
    with pytest.raises(ValueError, match="x has 3 columns; it must have 4: they are age, city, member, since"):
        preparation.transform(array[:, :3])
    for wrong in (array[0], 3.0, [[1, 2], [3]]):
        with pytest.raises(ValueError, match=r"x has shape|inhomogeneous"):
            preparation.transform(wrong)


def test_columns_are_dropped_and_chosen():
    table = people()
    assert [c.name for c in Preparation("label", drop=["city"]).fit(table).columns] == ["age", "member", "since"]
    chosen = Preparation("label", only=["city", "age"]).fit(table)
    assert [c.name for c in chosen.columns] == ["age", "city"]
    for argument in ("drop", "only"):
        with pytest.raises(ValueError, match=f"{argument} has 'cty'; table has no such column; did you mean 'city'"):
            Preparation("label", **{argument: ["cty"]}).fit(table)
        with pytest.raises(TypeError, match=f"{argument} is 'city'; it must be a list"):
            Preparation("label", **{argument: "city"})
    with pytest.raises(ValueError, match="target is 'lable'; table has no such column; did you mean 'label'"):
        Preparation("lable").fit(table)
    array = np.arange(12.0).reshape(4, 3)
    assert [c.name for c in Preparation(2, drop=[0]).fit(array).columns] == ["x1"]


@pytest.mark.parametrize("dtype", ["frame", "Int64", "category", "nullable boolean"])
def test_data_frames_of_pandas(dtype):
    pandas = pytest.importorskip("pandas", reason="the package pandas is not installed")
    table = people()
    frame = pandas.DataFrame(table)
    right = Preparation("label").fit(table).transform(table)
    if dtype == "Int64":
        frame["n"] = pandas.array([1, 2, None, 3] * 50, dtype="Int64")
        table["n"] = [1, 2, None, 3] * 50
    elif dtype == "category":
        frame["city"] = frame["city"].astype("category")
    elif dtype == "nullable boolean":
        frame["member"] = frame["member"].astype("boolean")
    if dtype == "Int64":
        right = Preparation("label").fit(table).transform(table)
    frame.index = frame.index[::-1]
    preparation = Preparation("label").fit(frame)
    assert same(preparation.transform(frame), right)
    assert same(preparation.transform(frame[frame.columns[::-1]]), right)
    with pytest.raises(ValueError, match="two columns 'age'"):
        preparation.transform(pandas.concat([frame, frame[["age"]]], axis=1))


# ------------------------------------------------------------------ targets


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (["b", "a", "b", "a"], ["a", "b"]),
        ([3, 7, 3, 7], [3, 7]),
        ([True, False] * 2, [False, True]),
        (["007", "7", "007", "7"], ["007", "7"]),
        (["1_0", "10", "2_0"] * 2, ["10", "1_0", "2_0"]),
    ],
)
def test_labels_are_classes_with_their_own_names(y, classes):
    preparation = Preparation().fit(np.arange(len(y))[:, None], y)
    assert (preparation.task, preparation.classes) == ("classification", classes)
    numbers = preparation.transform_target(y)
    assert preparation.inverse_target(numbers).tolist() == y
    assert [type(c) for c in preparation.classes] == [type(v) for v in classes]


@pytest.mark.parametrize("y", [[0.5, 1.5, 2.5, 4.0], [0.0, 1.0, 2.0, 0.0], [1, 2, 3, 4]])
def test_other_numbers_are_a_regression(y):
    preparation = Preparation().fit(np.arange(4)[:, None], y)
    assert (preparation.task, preparation.classes) == ("regression", None)
    scaled = preparation.transform_target(y)
    assert scaled.shape == (4, 1) and abs(scaled.mean()) < 1e-15
    np.testing.assert_allclose(preparation.inverse_target(scaled)[:, 0], y)


def test_floats_are_classes_where_somebody_says_so():
    preparation = Preparation(task="classification").fit(np.arange(4)[:, None], [0.0, 1.0, 2.0, 0.0])
    assert preparation.classes == [0.0, 1.0, 2.0]


def test_names_are_no_classes():
    names = [f"item {k // 2}" for k in range(120)]
    with pytest.raises(ValueError, match=r"y has 60 different texts in 120 rows, 2\.0 rows a class.*task='class"):
        Preparation().fit(np.arange(120)[:, None], names)
    assert len(Preparation(task="classification").fit(np.arange(120)[:, None], names).classes) == 60


@pytest.mark.parametrize("missing", [None, float("nan")])
@pytest.mark.parametrize("y", [["a", "b", "a"], [1.5, 2.5, 3.5]])
def test_missing_targets_are_refused_with_their_row(y, missing):
    preparation = Preparation().fit(np.arange(3)[:, None], y)
    wrong = [y[0], missing, y[2]]
    with pytest.raises(ValueError, match="y, row 1, is missing"):
        Preparation().fit(np.arange(3)[:, None], wrong)
    with pytest.raises(ValueError, match="y, row 1, is missing"):
        preparation.transform_target(wrong)


@pytest.mark.parametrize(
    ("task", "y", "match"),
    [
        ("auto", ["a", "a"], "one class only, 'a'"),
        ("regression", ["a", "b"], r"task is 'regression' and y is text \('a'\)"),
        ("classification", [[0, 1], [1, 0]], "classes are one label a row"),
        ("auto", ["a", 1], "labels are text, whole numbers or booleans|holds texts and numbers|numbers and texts"),
        ("auto", [0.5, np.inf], "y, row 1, is inf"),
        ("auto", [1.0], "each must have a target"),
    ],
)
def test_wrong_targets_are_refused(task, y, match):
    with pytest.raises((TypeError, ValueError), match=match):
        Preparation(task=task).fit([[1.0], [2.0]], y)


def test_unknown_labels_are_refused():
    preparation = Preparation().fit([[1.0], [2.0]], ["no", "yes"])
    with pytest.raises(ValueError, match="y, row 1, is the label 'perhaps', which the training has not: 'no', 'yes'"):
        preparation.transform_target(["no", "perhaps"])


def test_baselines():
    assert Preparation().fit([[1.0]] * 5, ["a", "b", "b", "a", "b"]).baseline == "b"
    assert Preparation().fit([[1.0]] * 4, [1.5, 2.5, 3.0, 1.0]).baseline.tolist() == [2.0]


# ------------------------------------------------------------------ leaks


def leaks(table, y):
    return [text for text in Preparation().fit(table, y).warnings if "determine" in text]


def test_columns_that_determine_the_target_are_named():
    rng = np.random.default_rng(0)
    label = rng.choice(["alive", "dead"], 100)
    noise = rng.normal(size=100)
    assert leaks({"noise": noise, "outcome": np.where(label == "dead", 0, 1)}, label.tolist()) == [
        "column 'outcome' determines the target in every row; if that is not known beforehand, drop it"
    ]
    assert leaks({"noise": noise, "flag": rng.random(100) > 0.5}, label.tolist()) == []
    # a threshold's honest side
    assert leaks({"a": noise.round(1)}, np.where(noise.round(1) > 0, "yes", "no").tolist()) == []


def test_sums_that_are_the_target_are_named():
    rng = np.random.default_rng(0)
    casual, registered, noise = rng.integers(0, 300, (3, 200))
    table = {"noise": noise, "casual": casual, "registered": registered}
    (said,) = leaks(table, (casual + registered).astype(float))
    assert said.startswith("columns 'casual' and 'registered' determine the target")
    assert leaks(table, casual + registered + 0.1 * rng.normal(size=200)) == []
    (said,) = leaks({"kelvin": casual + 273.15}, casual.astype(float))
    assert said.startswith("column 'kelvin' determines the target")


# ------------------------------------------------------------------ as an object


@pytest.mark.parametrize("copied", ["config", "pickle", "deepcopy"])
def test_copies_do_the_same(copied):
    table = people()
    preparation = Preparation("label", columns={"member": "text"}).fit(table)
    if copied == "config":
        other = Preparation.from_config(json.loads(json.dumps(preparation.get_config())))
    else:
        other = copy.deepcopy(preparation) if copied == "deepcopy" else pickle.loads(pickle.dumps(preparation))
    assert same(other.transform(table), preparation.transform(table))
    assert other.get_config() == preparation.get_config()
    assert str(other) == str(preparation) and other.classes == preparation.classes


def test_what_has_learnt_nothing_says_so():
    preparation = Preparation("label")
    assert not preparation.fitted and str(preparation) == repr(preparation)
    # with what was asked for, by which a search tells them apart
    assert repr(preparation) == "<Preparation(target='label'): it has learnt nothing yet>"
    for use in (lambda: preparation.transform([[1]]), lambda: preparation.classes, lambda: preparation.columns):
        with pytest.raises(RuntimeError, match="has learnt nothing yet; call its fit"):
            use()
    with pytest.raises(ValueError, match="no target: give y, or the name of its column"):
        Preparation().fit({"a": [1.0]})
    with pytest.raises(ValueError, match="table has no rows"):
        Preparation("a").fit({"a": []})


def test_a_refused_fit_changes_nothing():
    table = people()
    preparation = Preparation("label").fit(table)
    before = preparation.get_config()
    with pytest.raises(ValueError, match="is inf"):
        preparation.fit({**table, "age": [np.inf] * 200})
    assert preparation.get_config() == before


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"task": "clasification"}, "did you mean 'classification'"),
        ({"columns": {"a": "txt"}}, "columns has 'txt' for 'a'; kinds are .*did you mean 'text'"),
        ({"columns": {"a": "left out"}}, "columns has 'left out' for 'a'; kinds are"),
        ({"max_categories": 0}, "max_categories is 0"),
        ({"standardize": "no"}, "standardize is 'no'"),
    ],
)
def test_wrong_options_are_refused(options, match):
    with pytest.raises((TypeError, ValueError), match=match):
        Preparation(**options)


def test_the_table_says_what_becomes_of_each_column():
    table = people()
    shown = str(Preparation("label").fit(table)).splitlines()
    assert shown[0].split() == ["column", "kind", "becomes", "features", "gaps", "note"]
    assert [line.split()[0] for line in shown[1:]] == ["age", "city", "member", "since", "target:"]
    assert "a gap is" in shown[1] and "3 categories" in shown[2]


# ------------------------------------------------------------------ models


def test_a_model_takes_raw_rows_everywhere():
    table = people()
    preparation = Preparation("label").fit(table)
    model, plain = classifier(preparation), classifier(preparation).net
    x, y = preparation.transform(table), preparation.transform_target(table["label"])
    history = model.fit(table, epochs=3, seed=0, verbose=0, validation_data=table)
    expected = plain.fit(x, y, epochs=3, seed=0, verbose=0, validation_data=(x, y))
    assert history.history == expected.history
    assert same(model.predict(table), plain.predict_proba(x))
    assert (model.predict_classes(table) == np.array(preparation.classes, object)[plain.predict_classes(x)]).all()
    assert dict(model.evaluate(table)) == dict(plain.evaluate(x, y)) == dict(model.evaluate(table, table["label"]))
    assert dict(model.test_on_batch(table)) == dict(plain.test_on_batch(x, y))
    assert model.train_on_batch(table) == plain.train_on_batch(x, y)
    weights = {"no": 1.0, "yes": 2.0}
    assert model.train_on_batch(table, class_weight=weights) == plain.train_on_batch(x, y, None, {0: 1.0, 1: 2.0})
    assert same(model.net.predict(x), plain.predict(x))
    with pytest.raises(ValueError, match="class_weight has 'maybe'; the classes are 'no', 'yes'"):
        model.fit(table, class_weight={"maybe": 1.0})


def test_batches_of_raw_rows():
    table = people()
    model, other = (classifier(Preparation("label").fit(table)) for _ in range(2))
    parts = [some(table, range(k, k + 50)) for k in range(0, 200, 50)]

    class Loader:
        def __iter__(self):
            return iter([(part, part["label"]) for part in parts])

    first = model.fit(Loader(), epochs=2, verbose=0)
    second = other.fit(table, batch_size=50, shuffle=False, epochs=2, verbose=0)
    assert first.history == second.history
    assert same(model.predict(iter(parts)), other.predict(table))
    assert dict(model.evaluate(Loader())) == dict(other.evaluate(table, batch_size=50))


def test_a_regression_is_in_the_unit_of_the_target():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2)) * [3, 800] + [200, 4000]
    price = 1e6 + 5e4 * (x[:, 0] - 200) + 20 * (x[:, 1] - 4000)
    model = regressor(Preparation().fit(x, price), ["mae", "r2_score"])
    model.fit(x, price, epochs=100, seed=0, verbose=0)
    found = model.predict(x)
    assert found.shape == (300, 1) and found.dtype == np.float64
    error = np.abs(found[:, 0] - price).mean()
    scores = model.evaluate(x, price)
    assert scores["mae"] == fastbp.metrics.mean_absolute_error(price[:, None], found) and error < 0.2 * price.std()
    assert scores["r2_score"] == fastbp.metrics.r2_score(price[:, None], found)
    # the net's are of standardised targets
    assert model.net.evaluate(model.preparation.transform(x), model.preparation.transform_target(price))["mae"] < 1
    for what in (model.predict_classes, model.predict_proba):
        with pytest.raises(ValueError, match="the target is a number"):
            what(x)


def test_weighted_metrics_are_in_the_unit_too():
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(50, 3)), rng.random(50)
    y = 100 * x[:, 0] + 5
    model = PreparedModel(fastbp.Sequential([fastbp.Dense(1)], seed=0), Preparation().fit(x, y))
    model.compile("adam", "mse", metrics=["mae"], weighted_metrics=["mae"])
    error = np.abs(model.predict(x)[:, 0] - y)
    scores = model.evaluate(x, y, sample_weight=weight)
    assert scores["mae"] == pytest.approx(error.mean())
    assert scores["weighted_mae"] == pytest.approx(np.average(error, weights=weight))


def test_several_numbers():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3))
    y = np.stack([100 * x[:, 0], 5 + x[:, 1]], axis=1)
    model = regressor(Preparation().fit(x, y))
    model.fit(x, y, epochs=2, verbose=0)
    assert model.predict(x).shape == (50, 2) and model.preparation.baseline.shape == (2,)


@pytest.mark.parametrize(
    ("units", "loss", "columns"),
    [
        (1, "binary_crossentropy", 2),
        (2, "categorical_crossentropy", 2),
        (2, "sparse_categorical_crossentropy", 2),
        (2, "categorical_hinge", 2),
    ],
)
def test_losses_of_classes_have_the_targets_that_they_take(units, loss, columns):
    table = people()
    net = fastbp.Sequential([fastbp.Dense(8, activation="relu"), fastbp.Dense(units)], seed=0)
    net.compile(fastbp.optimizers.Adam(lr=0.02), loss)
    model = PreparedModel(net, Preparation("label").fit(table))
    model.fit(table, epochs=40, seed=0, verbose=0)
    assert model.predict(table).shape == (200, columns)
    assert (model.predict_classes(table) == np.array(table["label"])).mean() > 0.9


def test_one_output_is_for_two_classes():
    net = fastbp.Sequential([fastbp.Dense(1)])
    net.compile("sgd", "binary_crossentropy")
    model = PreparedModel(net, Preparation().fit([[1.0], [2.0], [3.0]], ["a", "b", "c"]))
    with pytest.raises(ValueError, match="on one output, for two classes; there are 3"):
        model.fit([[1.0]], ["a"])


def test_files_have_the_preparation(tmp_path):
    table, path = people(), tmp_path / "model.npz"
    model = classifier(Preparation("label").fit(table))
    model.fit(table, epochs=2, seed=0, verbose=0)
    model.metadata["trained on"] = {"rows": 200}
    model.save(path)
    loaded = fastbp.load_model(path)
    assert isinstance(loaded, PreparedModel) and loaded.metadata == {"trained on": {"rows": 200}}
    assert same(loaded.predict(table), model.predict(table))
    assert loaded.preparation.get_config() == model.preparation.get_config()
    assert loaded.train_on_batch(table) == model.train_on_batch(table)
    # the bare net goes alone where somebody wants it
    model.net.save(path)
    assert isinstance(fastbp.load_model(path), fastbp.Sequential)


def test_a_model_keeps_plain_data(tmp_path):
    model = fastbp.Sequential([fastbp.Dense(2)], input_shape=3)
    assert model.metadata == {} and "metadata" not in model.get_config()
    model.metadata["licence"] = "CC0"
    model.save(tmp_path / "model.npz")
    assert fastbp.load_model(tmp_path / "model.npz").metadata == {"licence": "CC0"}
    assert copy.deepcopy(model).metadata == model.clone().metadata == {"licence": "CC0"}
    model.metadata["model"] = model
    before = (tmp_path / "model.npz").read_bytes()
    with pytest.raises((TypeError, ValueError)):
        model.save(tmp_path / "model.npz")
    assert (tmp_path / "model.npz").read_bytes() == before


def test_files_that_callbacks_write_have_the_preparation(tmp_path):
    table = people()
    model = classifier(Preparation("label").fit(table))
    seen = []
    shown = fastbp.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    saver = fastbp.callbacks.ModelCheckpoint(str(tmp_path / "best.npz"))
    model.fit(table, epochs=2, seed=0, verbose=0, callbacks=[saver, shown], checkpoint=tmp_path / "run.npz")
    assert seen == [0, 1] and saver.model is model
    for name in ("best.npz", "run.npz"):
        assert same(fastbp.load_model(tmp_path / name).predict(table), model.predict(table))
    # a run goes on with the same preparation, and with no other
    again = classifier(Preparation("label").fit(table))
    again.fit(table, epochs=2, seed=0, verbose=0, callbacks=[saver, shown], checkpoint=tmp_path / "run.npz")
    assert same(again.predict(table), model.predict(table))
    other = classifier(Preparation("label").fit(some(table, range(150))))
    with pytest.raises(ValueError, match="of a run whose preparation is"):
        other.fit(table, epochs=3, seed=0, verbose=0, callbacks=[saver, shown], checkpoint=tmp_path / "run.npz")


def test_callbacks_stop_a_prepared_model():
    table = people()
    model = classifier(Preparation("label").fit(table))

    class Stop(fastbp.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    assert len(model.fit(table, epochs=9, verbose=0, callbacks=Stop()).history["loss"]) == 1


@pytest.mark.parametrize("way", ["deepcopy", "copy", "pickle", "clone"])
def test_copies_of_models_are_whole(way):
    table = people()
    model = classifier(Preparation("label").fit(table))
    model.fit(table, epochs=1, seed=0, verbose=0)
    if way == "pickle":
        other = pickle.loads(pickle.dumps(model))
    else:
        other = model.clone() if way == "clone" else getattr(copy, way)(model)
    assert other.net is not model.net and other.net.prepared is other and model.net.prepared is model
    assert same(other.predict(table), model.predict(table))
    other.train_on_batch(table)
    assert not same(other.predict(table), model.predict(table))
    assert copy.deepcopy(model.net).prepared is None


def test_what_is_for_prepared_arrays_says_so():
    table = people()
    model = classifier(Preparation("label").fit(table))
    for name in ("forward", "input_gradient", "engine", "prepare", "alone", "read"):
        with pytest.raises(AttributeError, match=rf"no '{name}'; model.net has, for prepared arrays"):
            getattr(model, name)
    with pytest.raises(AttributeError, match=r"no 'fitt'$"):
        model.fitt  # noqa: B018
    with pytest.raises((AttributeError, TypeError)):
        fastbp.blame(model, table, table["label"])


def test_nets_that_do_not_fit_are_refused():
    preparation = Preparation().fit(np.eye(3), [0.5, 1.5, 2.5])
    with pytest.raises(ValueError, match=r"net takes rows of shape \(4,\); the preparation makes 3 features"):
        PreparedModel(fastbp.Sequential([fastbp.Dense(1)], input_shape=4), preparation)
    a, b = fastbp.Input(3), fastbp.Input(3)
    with pytest.raises(ValueError, match="several inputs or outputs"):
        PreparedModel(fastbp.Model([a, b], fastbp.Dense(1)(a + b)), preparation)
    with pytest.raises(TypeError, match="net is 3"):
        PreparedModel(3, preparation)
    with pytest.raises(TypeError, match="preparation is None"):
        PreparedModel(fastbp.Sequential([fastbp.Dense(1)]), None)
    with pytest.raises(RuntimeError, match="learnt nothing yet"):
        PreparedModel(fastbp.Sequential([fastbp.Dense(1)]), Preparation())


def test_repr_and_summary_show_the_preparation_first(capsys):
    table = people()
    model = classifier(Preparation("label").fit(table))
    assert repr(model).startswith(f"<PreparedModel: {model.preparation!r}, <Sequential: ")
    model.summary()
    shown = capsys.readouterr().out
    assert shown.index("target: label") < shown.index("dense_1") and shown == str(model) + "\n"
    assert model._repr_html_().index("becomes") < model._repr_html_().index("dense_1")


# ------------------------------------------------------------------ rows of files


def test_rows_of_files_are_named_by_their_lines(tmp_path):
    pytest.importorskip("pandas", reason="the package pandas is not installed")
    path = tmp_path / "people.csv"
    path.write_text("age,label\n40,yes\n50,no\n\n60,\n")
    frame = fastbp.table.read(path)
    with pytest.raises(ValueError, match=r"column 'label' of table, people\.csv, line 5, is missing"):
        Preparation("label").fit(frame)
    assert Preparation("label").fit(frame[:2]).classes == ["no", "yes"]


def test_objects_of_numpy_are_what_they_hold():
    truths = {"member": [np.True_, None, np.False_, np.True_]}
    preparation = Preparation().fit(truths, [1.0, 2.0, 3.0, 4.0])
    assert preparation.transform(truths).tolist() == [[1, 0], [1, 1], [0, 0], [1, 0]]
    ends = {"end": [np.inf, 1.0, -np.inf, np.nan]}
    assert Preparation(columns={"end": "text"}).fit(ends, [1.0, 2.0, 3.0, 4.0]).features == [
        "end=-inf", "end=1", "end=inf", "end is missing"
    ]  # fmt: skip


def test_missing_targets_of_pandas_are_named_whatever_their_dtype():
    pandas = pytest.importorskip("pandas")
    for values, dtype in ([True, None, False], "boolean"), ([1, None, 2], "Int64"), (["a", None, "b"], "string"):
        with pytest.raises(ValueError, match="y, row 1, is missing"):
            Preparation(task="classification").fit({"a": [1.0, 2.0, 3.0]}, pandas.array(values, dtype=dtype))


def test_weighted_metrics_in_the_unit_of_the_target():
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(60, 2)), rng.uniform(0, 3, 60)
    y = 100 + 20 * x[:, 0] + rng.normal(size=60)
    net = fastbp.Sequential([fastbp.Dense(1)], seed=0)
    net.compile("adam", "mse", metrics=["mae"], weighted_metrics=["mse"], dtype="float64")
    model = PreparedModel(net, Preparation().fit(x, y))
    apart = model.predict(x)[:, 0] - y
    found = model.evaluate(x, y, sample_weight=weight)
    assert found["mae"] == pytest.approx(np.abs(apart).mean(), rel=1e-12)
    assert found["mse"] == pytest.approx(np.average(apart**2, weights=weight), rel=1e-12)


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "soft_margin"])
@pytest.mark.parametrize("units", [1, 2])
def test_margins_of_classes(loss, units):
    x = np.random.default_rng(0).normal(size=(100, 2))
    y = np.where(x[:, 0] > 0, "right", "left")
    net = fastbp.Sequential([fastbp.Dense(units)], seed=0)
    net.compile(fastbp.optimizers.Adam(lr=0.1), loss)
    model = PreparedModel(net, Preparation().fit(x, y))
    model.fit(x, y, epochs=20, seed=0, verbose=0)
    assert model.predict(x).shape == (100, units)
    assert (model.predict_classes(x) == y).mean() > 0.95


@pytest.mark.parametrize(
    ("loss", "units", "match"),
    [
        ("sparse_categorical_crossentropy", 3, "the net has 3 outputs.* one for each of 2 classes"),
        ("categorical_crossentropy", 1, "the net has 1 output; .* one for each of 2 classes"),
        ("hinge_embedding", 1, "takes distances"),
    ],
)
def test_losses_and_outputs_that_classes_do_not_have(loss, units, match):
    x, y = [[1.0], [2.0], [3.0]], ["no", "yes", "no"]
    net = fastbp.Sequential([fastbp.Dense(units)], seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net.compile("adam", loss)
    model = PreparedModel(net, Preparation().fit(x, y))
    with pytest.raises(ValueError, match=match):
        model.fit(x, y, verbose=0)


def saved_table():
    table = {**people(), "price": [float(k) for k in range(200)], "code": [f"c{k}" for k in range(200)]}
    preparation = Preparation(target="price").fit(table)
    net = fastbp.Sequential([fastbp.Dense(1)], seed=0)
    net.compile("adam", "mse")
    return table, PreparedModel(net, preparation)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("columns", 0, "name"), 3),
        (("columns", 0, "note"), None),
        (("columns", 0, "scale"), 0.0),
        (("columns", 0, "scale"), -1.0),
        (("columns", 0, "gaps"), -1),
        (("columns", 1, "categories", 0), ["Bern"]),
        (("columns", 1, "categories"), ["Bern", "Bern", "Rome"]),
        (("columns", 3, "mean"), 1e300),
        (("columns", 3, "fill"), -1e300),
        (("columns", 3, "scale"), 0),
        (("goal", "mean"), [None]),
        (("goal", "scale"), [0.0]),
        (("goal",), {"task": "classification", "classes": ["a", 2], "counts": [1, 1]}),
        (("goal",), {"task": "classification", "classes": ["a", "a"], "counts": [1, 1]}),
        (("goal",), {"task": "classification", "classes": ["a"], "counts": [1]}),
    ],
)
def test_files_whose_preparation_cannot_be_are_refused(tmp_path, place, value):
    path = tmp_path / "model.npz"
    saved_table()[1].save(path)
    config, arrays = fastbp.io.load_arrays(path)
    *parents, last = place
    part = config["preparation"]
    for name in parents:
        part = part[name]
    assert last in part if isinstance(part, dict) else last < len(part)
    part[last] = value
    fastbp.io.save_arrays(path, config, arrays)
    with pytest.raises(fastbp.io.FileFormatError, match="not a model of this version"):
        fastbp.load_model(path)


def test_what_the_net_has_is_set_and_listed(tmp_path):
    model = saved_table()[1]
    model.metadata = {"licence": "CC0"}
    assert model.net.metadata == {"licence": "CC0"} and "metadata" not in vars(model)
    model.save(tmp_path / "model.npz")
    assert fastbp.load_model(tmp_path / "model.npz").metadata == {"licence": "CC0"}
    assert {"fit", "optimizer", "compile", "layers"} <= set(dir(model))


def test_a_checkpoint_of_another_preparation_is_told_in_a_line(tmp_path):
    table, model = saved_table()
    model.fit(table, epochs=1, verbose=0, seed=0, checkpoint=tmp_path / "run.npz")
    table["age"] = [None if age is None else 2 * age for age in table["age"]]
    net = fastbp.Sequential([fastbp.Dense(1)], seed=0)
    net.compile("adam", "mse")
    other = PreparedModel(net, Preparation(target="price").fit(table))
    with pytest.raises(ValueError, match=r"preparation is another one\. Remove the file") as error:
        other.fit(table, epochs=2, verbose=0, seed=0, checkpoint=tmp_path / "run.npz")
    assert len(str(error.value)) < 150 + len(str(tmp_path))
