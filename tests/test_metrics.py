"""Metrics: functions against scikit-learn, and what programs count against the functions."""

import functools
import math

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

import fastbp
from fastbp import Dense, Sequential, kernels, load_model, losses, metrics, optimizers
from fastbp.io import FileFormatError, load_history

ALL_BACKENDS = ("numpy", *BACKENDS)
every_backend = pytest.mark.parametrize("backend", ALL_BACKENDS)
AVERAGES = ("macro", "micro", "weighted")


@pytest.fixture
def oracle():
    return pytest.importorskip("sklearn.metrics")


def labels_of(seed, rows=60, n=4):
    rng = np.random.default_rng(seed)
    return rng.integers(n, size=rows), rng.integers(n, size=rows)


# ------------------------------------------------------------------------------ functions of arrays
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize(("rows", "n"), [(60, 4), (5, 9), (1, 3), (40, 2)])
def test_classes_like_sklearn(oracle, rows, n, average):
    for seed in range(20):
        t, p = labels_of(seed, rows, n)
        for name in ("precision_score", "recall_score", "f1_score"):
            want = getattr(oracle, name)(t, p, average=average, zero_division=0)
            assert getattr(metrics, name)(t, p, average) == pytest.approx(want, rel=1e-14), name
        assert metrics.accuracy_score(t, p) == pytest.approx(oracle.accuracy_score(t, p), rel=1e-15)
        assert_same_bits(metrics.confusion_matrix(t, p), oracle.confusion_matrix(t, p))
        texts = np.array(["b", "aa", "d", "c", "e", "z", "h", "g", "f"])
        assert_same_bits(metrics.confusion_matrix(texts[t], texts[p]), oracle.confusion_matrix(texts[t], texts[p]))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("t", "p"), [labels_of(s, 30, 2) for s in range(5)] + [([0, 0], [0, 0]), ([1], [0]), ([1], [1])]
)
def test_two_classes_like_sklearn(oracle, t, p):
    for name in ("precision_score", "recall_score", "f1_score"):
        want = getattr(oracle, name)(t, p, zero_division=0)
        assert getattr(metrics, name)(t, p) == pytest.approx(want, rel=1e-15), name


@pytest.mark.parametrize("ties", [False, True])
def test_area_like_sklearn(oracle, ties):
    rng = np.random.default_rng(2)
    for rows in (2, 3, 10, 500):
        t = np.arange(rows) % 3 == 0
        scores = rng.integers(4, size=rows) if ties else rng.standard_normal(rows)
        assert metrics.roc_auc_score(t, scores) == pytest.approx(oracle.roc_auc_score(t, scores), rel=1e-14)
    t, scores = rng.integers(2, size=(50, 3)), rng.standard_normal((50, 3))
    assert metrics.roc_auc_score(t, scores) == pytest.approx(oracle.roc_auc_score(t, scores), rel=1e-14)


def test_area_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(3)
    t, scores = rng.integers(2, size=40), rng.integers(6, size=40)
    pairs = [(a > b) + (a == b) / 2 for a in scores[t == 1] for b in scores[t == 0]]
    assert metrics.roc_auc_score(t, scores) == sum(pairs) / len(pairs)
    for t, scores in (([1, 1], [0.1, 0.2]), ([0, 0], [0.1, 0.2]), ([0, 1], [math.nan, 0.2])):
        assert math.isnan(metrics.roc_auc_score(t, scores))


def test_top_k_like_sklearn(oracle):
    rng = np.random.default_rng(4)
    t, scores = rng.integers(5, size=80), rng.standard_normal((80, 5))
    for k in range(1, 7):
        want = 1.0 if k >= 5 else oracle.top_k_accuracy_score(t, scores, k=k)
        assert metrics.top_k_accuracy_score(t, scores, k) == pytest.approx(want, rel=1e-15)
    ties = np.zeros((3, 4))
    assert metrics.top_k_accuracy_score([0, 1, 2], ties, 1) == metrics.accuracy_score([0, 1, 2], ties.argmax(axis=1))


@pytest.mark.parametrize("shape", [(2,), (50,), (50, 1), (50, 3)])
def test_errors_like_sklearn(oracle, shape):
    rng = np.random.default_rng(5)
    t, p = 1e4 + rng.standard_normal(shape), 1e4 + rng.standard_normal(shape)
    for name in ("mean_absolute_error", "mean_squared_error", "r2_score"):
        assert getattr(metrics, name)(t, p) == pytest.approx(getattr(oracle, name)(t, p), rel=1e-12), name
    if shape != (50, 3) and hasattr(oracle, "root_mean_squared_error"):
        assert metrics.root_mean_squared_error(t, p) == pytest.approx(oracle.root_mean_squared_error(t, p), rel=1e-14)


def test_explained_variance_of_constants(oracle):
    for t, p in (([2, 2], [2, 2]), ([2, 2], [2, 3]), ([[2, 1], [2, 5]], [[2, 1], [3, 5]])):
        assert metrics.r2_score(t, p) == oracle.r2_score(t, p)
    assert math.isnan(metrics.r2_score([1], [1]))


@pytest.mark.parametrize("name", ["mean_absolute_error", "mean_squared_error", "root_mean_squared_error", "r2_score"])
@pytest.mark.parametrize("shape", [(6,), (6, 2)])
@pytest.mark.parametrize("constant", [False, True])
def test_errors_with_a_number_missing_are_missing(name, shape, constant):
    whole = np.ones(shape) if constant else np.arange(float(np.prod(shape))).reshape(shape)
    gap = whole.copy()
    gap[(3, *[0] * (len(shape) - 1))] = np.nan
    for t, p in ((gap, whole), (whole, gap), (gap, gap)):
        assert math.isnan(getattr(metrics, name)(t, p))
    assert not math.isnan(getattr(metrics, name)(whole, whole))


SCORES_OF_LABELS = {
    **{name: getattr(metrics, name) for name in ("accuracy_score", "confusion_matrix", "f1_score")},
    **{
        f"{name}, {average}": functools.partial(getattr(metrics, name), average=average)
        for name in ("precision_score", "recall_score", "f1_score")
        for average in ("macro", "micro", "weighted")
    },
}


@pytest.mark.parametrize("score", SCORES_OF_LABELS.values(), ids=SCORES_OF_LABELS)
def test_probabilities_are_no_labels(score):
    message = r"y_pred\[1\] is 0.8; labels must be whole numbers; of probabilities y_pred > 0.5 or"
    with pytest.raises(ValueError, match=message):
        score([0, 1, 1], [0.0, 0.8, 0.9])
    with pytest.raises(ValueError, match=r"y_true\[2\] is nan; labels must be whole numbers"):
        score([0.0, 1.0, math.nan], [0, 1, 1])
    with pytest.raises(ValueError, match="y_true holds <U1 and y_pred int64; both must be text or both numbers"):
        score(["0", "1"], [0, 1])
    with pytest.raises(TypeError, match="y_pred has masked entries"):
        score([0, 1], np.ma.masked_array([0, 1], mask=[False, True]))
    np.testing.assert_array_equal(score([0.0, 1.0, 1.0], [0, 1, 0]), score([0, 1, 1], [False, True, False]))


def test_labels_beyond_the_scores_are_no_misses():
    scores = np.eye(3)
    for label in (-1, 3):
        with pytest.raises(ValueError, match=rf"y_true\[1\] is {label}; labels must be in 0 .. 2, y_score has 3"):
            metrics.top_k_accuracy_score([0, label, 2], scores, 2)
    with pytest.raises(ValueError, match=r"y_true\[0\] is 0.5; labels must be whole numbers"):
        metrics.top_k_accuracy_score([0.5, 1, 2], scores, 2)
    with pytest.raises(TypeError, match="y_true has dtype <U1; it must hold real numbers"):
        metrics.top_k_accuracy_score(["a", "b", "c"], scores, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.f1_score([0, 1], [0]), r"y_true has shape \(2,\) and y_pred has \(1,\); shapes must be equal"),
        (lambda: metrics.accuracy_score([], []), "with one row at least"),
        (
            lambda: metrics.f1_score([0, 2], [0, 1]),
            "average is 'binary' and y_true holds 2; it must hold 0 and 1 only",
        ),
        (lambda: metrics.f1_score([None], [None]), r"y_true\[0\] is nan; labels must be whole numbers"),
        (lambda: metrics.f1_score([0, 1], [0, 1], "makro"), "no average 'makro'; did you mean 'macro'"),
        (lambda: metrics.confusion_matrix([[1]], [[1]]), r"y_true has shape \(1, 1\); classes must be one label a row"),
        (lambda: metrics.roc_auc_score([0, 3], [0, 1]), "y_true holds .*3"),
        (lambda: metrics.top_k_accuracy_score([0, 1], [[1, 2]], 1), "equally many rows"),
        (lambda: metrics.top_k_accuracy_score([0], [1], 1), r"they must be \(rows,\) and \(rows, n\)"),
        (lambda: metrics.top_k_accuracy_score([0], [[1]], 0), "k is 0; it must be an integer of at least 1"),
        (lambda: metrics.Precision(threshold=1), "threshold is 1; it must be a probability between 0 and 1"),
        (lambda: metrics.Recall(average="binary"), "no average 'binary'; there are macro, micro, weighted"),
        (lambda: metrics.TopKCategoricalAccuracy(k=2.0), "k is 2.0; it must be an integer"),
        (lambda: metrics.AUC(name=""), "name is ''; it must be a non-empty string"),
        (lambda: metrics.get("prescision"), "no metric 'prescision'; did you mean 'precision'"),
    ],
)
def test_what_is_wrong_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("dtype", "shift"),
    [(dtype, shift) for dtype in ("int64", "int32", ">i4", "float64", "str") for shift in (0, -3, 10, 60, 100_000)]
    + [("uint8", 0), ("uint8", 200), ("int64", 10**12), ("float64", 10**17)],
)
def test_any_labels_are_counted(dtype, shift):
    rng = np.random.default_rng(0)
    given = [(rng.integers(0, 7, 3000) * (1 + abs(shift) // 10**6) + shift).astype(dtype) for _ in range(2)]
    a, b = (np.searchsorted(np.unique(given), labels) for labels in given)
    want = np.zeros((7, 7), int)
    np.add.at(want, (a, b), 1)
    np.testing.assert_array_equal(metrics.confusion_matrix(*given), want)
    hits, predicted, true = want.diagonal(), want.sum(axis=0), want.sum(axis=1)
    assert metrics.precision_score(*given, "macro") == pytest.approx((hits / predicted).mean(), rel=1e-14)
    assert metrics.f1_score(*given, "weighted") == pytest.approx(2 * hits / (predicted + true) @ true / 3000, rel=1e-14)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "float32", object])
def test_two_classes_of_any_type_and_shape(dtype):
    t, p = np.random.default_rng(2).integers(0, 2, (2, 30, 4))
    given = t.astype(dtype), p[::-1].astype(dtype)[::-1]
    assert metrics.precision_score(*given) == (t & p).sum() / p.sum()
    assert metrics.recall_score(*given) == (t & p).sum() / t.sum()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "uint64", "int32", "longdouble"])
@pytest.mark.parametrize("distinct", [3, 30_000])
@pytest.mark.parametrize("rows", [2, 3, 5, 64, 1001])
def test_the_area_is_a_count_of_pairs(dtype, distinct, rows):
    rng = np.random.default_rng(rows)
    for share in (0.5, 0.02, 0.98):
        t = rng.random(rows) < share
        t[:2] = True, False
        # of 64 bits: they differ in what a double has not
        far = 2**62 if dtype in ("int64", "uint64") else 0
        scores = (far + rng.integers(0, distinct, rows) + 2 * t).astype(dtype)
        up, down = scores[t][:, None], scores[~t]
        want = (np.count_nonzero(up > down) + np.count_nonzero(up == down) / 2) / (up.size * down.size)
        for labels in (t, t.astype(int), t.astype("float32")):
            assert metrics.roc_auc_score(labels, scores) == pytest.approx(want, rel=1e-15)
        assert metrics.roc_auc_score(np.stack([t, ~t], 1), np.stack([scores, scores], 1)) == pytest.approx(0.5)


def test_wins_of_what_is_not_sorted_stay_within_the_arrays():
    rng = np.random.default_rng(0)
    for n in (0, 1, 5, 300):
        x, y = rng.standard_normal(n), np.append(rng.standard_normal(n), np.nan)
        assert 0 <= kernels.count_wins(x, y) <= 2 * x.size * y.size
        assert 0 <= kernels.count_wins(y, x) <= 2 * x.size * y.size


@pytest.mark.parametrize("dtypes", [("f4", "f4"), ("f8", "f4"), ("int8", "f8"), ("longdouble", "f2")])
@pytest.mark.parametrize("shape", [(1000,), (33, 7), (5, 4, 3)])
def test_errors_are_summed_in_float64(dtypes, shape):
    rng = np.random.default_rng(1)
    t, p = (rng.integers(-90, 90, shape).astype(dtype) for dtype in dtypes)
    t = t[::-1]
    d = t.astype("float64") - p.astype("float64")
    assert metrics.mean_absolute_error(t, p) == pytest.approx(np.abs(d).mean(), rel=1e-14)
    assert metrics.mean_squared_error(t, p) == pytest.approx((d * d).mean(), rel=1e-14)
    n = shape[-1] if len(shape) > 1 else 1
    d, y = d.reshape(-1, n), t.astype("float64").reshape(-1, n)
    want = (1 - (d * d).sum(axis=0) / ((y - y.mean(axis=0)) ** 2).sum(axis=0)).mean()
    assert metrics.r2_score(t, p) == pytest.approx(want, rel=1e-12)


# ------------------------------------------------------------------ every argument, against scikit-learn
def assert_like(got, want, what):
    got, want = ((x,) if not isinstance(x, tuple) else x for x in (got, want))
    for ours, theirs in zip(got, want, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14, err_msg=str(what))


def weights_of(rng, rows):
    """Return weights with zeros among them, none of the first few."""
    weights = rng.integers(0, 4, rows).astype(float)
    weights[:4] = 1, 2, 1, 3
    return weights


every_weight = pytest.mark.parametrize("weighted", [False, True])
warns = pytest.mark.filterwarnings("ignore::UserWarning")


@warns
@every_weight
@pytest.mark.parametrize("zero", [0, 1, math.nan])
@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
def test_scores_of_classes_like_sklearn(oracle, average, zero, weighted):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        t, p = labels_of(seed, 5 + seed, 2 + seed % 4)
        for labels in (None, [1, 0], [0, 9]):
            options = {"average": average, "labels": labels, "zero_division": zero}
            options["sample_weight"] = weights_of(rng, len(t)) if weighted else None
            for name in ("precision_score", "recall_score", "f1_score"):
                got = getattr(metrics, name)(t, p, **options)
                assert type(got) is (np.ndarray if average is None else float)
                assert_like(got, getattr(oracle, name)(t, p, **options), (name, seed, options))
            for beta in (0, 0.5, 2, math.inf):
                got = metrics.fbeta_score(t, p, beta, **options)
                assert_like(got, oracle.fbeta_score(t, p, beta=beta, **options), (beta, seed, options))


@warns
@every_weight
@pytest.mark.parametrize("zero", [0, 1, math.nan])
@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted", "samples"])
def test_scores_of_several_labels_like_sklearn(oracle, average, zero, weighted):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        t, p = rng.integers(2, size=(2, 9, 4)) * (rng.random(4) < 0.7)
        for labels in (None, [2, 0]):
            options = {"average": average, "labels": labels, "zero_division": zero}
            options["sample_weight"] = weights_of(rng, 9) if weighted else None
            for name in ("precision_score", "recall_score", "f1_score"):
                want = getattr(oracle, name)(t, p, **options)
                assert_like(getattr(metrics, name)(t, p, **options), want, (name, seed, options))
            want = oracle.fbeta_score(t, p, beta=2, **options)
            assert_like(metrics.fbeta_score(t, p, 2, **options), want, (seed, options))


@warns
@every_weight
@pytest.mark.parametrize(
    ("classes", "positive"), [((0, 1), 1), ((0, 1), 0), ((-1, 1), 1), (("a", "b"), "b"), ((3, 7), 3)]
)
def test_one_of_two_classes_like_sklearn(oracle, classes, positive, weighted):
    rng = np.random.default_rng(7)
    t, p = (np.array(classes)[bits] for bits in rng.integers(2, size=(2, 20)))
    options = {"pos_label": positive, "sample_weight": weights_of(rng, 20) if weighted else None}
    for name in ("precision_score", "recall_score", "f1_score"):
        assert_like(getattr(metrics, name)(t, p, **options), getattr(oracle, name)(t, p, **options), name)
    got, scores = metrics.fbeta_score(t, p, 3, **options), rng.integers(6, size=20)
    assert_like(got, oracle.fbeta_score(t, p, beta=3, **options), "fbeta")
    for name in ("roc_curve", "precision_recall_curve", "average_precision_score"):
        assert_like(getattr(metrics, name)(t, scores, **options), getattr(oracle, name)(t, scores, **options), name)


@every_weight
def test_sample_weights_like_sklearn(oracle, weighted):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        t, p = labels_of(seed, 25, 4)
        t[:4], w = range(4), {"sample_weight": weights_of(rng, 25) if weighted else None}
        for normalize in (True, False):
            want = oracle.accuracy_score(t, p, normalize=normalize, **w)
            assert_like(metrics.accuracy_score(t, p, normalize=normalize, **w), want, seed)
        for adjusted in (False, True):
            want = oracle.balanced_accuracy_score(t, p, adjusted=adjusted, **w)
            assert_like(metrics.balanced_accuracy_score(t, p, adjusted=adjusted, **w), want, seed)
        for normalize in (None, "true", "pred", "all"):
            for labels in (None, [3, 1]):
                options = {"labels": labels, "normalize": normalize, **w}
                want = oracle.confusion_matrix(t, p, **options)
                assert_like(metrics.confusion_matrix(t, p, **options), want, (seed, options))
        scores = rng.random((25, 4))
        want = oracle.top_k_accuracy_score(t, scores, **w)
        assert_like(metrics.top_k_accuracy_score(t, scores, **w), want, seed)
        a, b = rng.random((2, 25, 3))
        for y, z in ((a[:, 0], b[:, 0]), (a, b)):
            for name in (
                "mean_absolute_error", "mean_squared_error", "mean_absolute_percentage_error", "r2_score",
                "mean_squared_log_error",
            ):  # fmt: skip
                assert_like(getattr(metrics, name)(y, z, **w), getattr(oracle, name)(y, z, **w), (name, seed))
            for outputs in ("raw_values", [0.5, 2, 0], "variance_weighted"):
                options = {**w, "multioutput": outputs}
                names = ["mean_absolute_error", "mean_squared_error", "mean_absolute_percentage_error"]
                names += ["mean_squared_log_error", "root_mean_squared_error"]
                for name in ["r2_score"] if outputs == "variance_weighted" else [*names, "r2_score"]:
                    if y.ndim > 1 or outputs == "raw_values":
                        want = getattr(oracle, name)(y, z, **options)
                        assert_like(getattr(metrics, name)(y, z, **options), want, (name, options))
    a[:, 1] = 1
    for outputs in ("raw_values", "variance_weighted"):
        got, want = (of.r2_score(a, b, multioutput=outputs) for of in (metrics, oracle))
        assert_like(got, want, outputs)
    for outputs, message in (
        ("mean", "no multioutput 'mean'; there are uniform_average, raw_values"), ([1, -1, 0], "weights, not negative"),
        ([0, 0, 0], "not all 0"), ([1, 2], "it must be 3 weights"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            metrics.mean_squared_error(a, b, multioutput=outputs)
    assert metrics.root_mean_squared_error([1, 2, 5], [1, 4, 5], [2, 1, 1]) == 1
    assert metrics.mean_absolute_percentage_error([0.0], [1.0]) == oracle.mean_absolute_percentage_error([0.0], [1.0])


@every_weight
def test_curves_and_areas_like_sklearn(oracle, weighted):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        rows = 4 + 3 * seed
        t, w = rng.integers(2, size=rows), {"sample_weight": weights_of(rng, rows) if weighted else None}
        t[:2] = 0, 1
        scores = rng.integers(5, size=rows) / 4 if seed % 2 else rng.standard_normal(rows)
        for drop in (False, True):
            for name in ("roc_curve", "precision_recall_curve"):
                want = getattr(oracle, name)(t, scores, drop_intermediate=drop, **w)
                assert_like(getattr(metrics, name)(t, scores, drop_intermediate=drop, **w), want, (name, seed))
        for name in ("average_precision_score", "roc_auc_score"):
            assert_like(getattr(metrics, name)(t, scores, **w), getattr(oracle, name)(t, scores, **w), (name, seed))
        several, columns = rng.integers(2, size=(rows, 3)), rng.standard_normal((rows, 3))
        several[:2] = [[0], [1]]
        several[2:] |= several[2:].sum(axis=1, keepdims=True) == 0
        several[2:, 0] &= several[2:].sum(axis=1) < 3
        for average in (None, "micro", "macro", "weighted"):
            for name in ("average_precision_score", "roc_auc_score"):
                want = getattr(oracle, name)(several, columns, average=average, **w)
                assert_like(getattr(metrics, name)(several, columns, average, **w), want, (name, seed, average))
        w = {name: None if found is None else found[2:] for name, found in w.items()}
        for name in ("average_precision_score", "roc_auc_score"):
            want = getattr(oracle, name)(several[2:], columns[2:], average="samples", **w)
            assert_like(getattr(metrics, name)(several[2:], columns[2:], "samples", **w), want, (name, seed))


@every_weight
def test_areas_of_classes_like_sklearn(oracle, weighted):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        n = 3 + seed % 3
        t = np.concatenate([np.arange(n), np.arange(n), rng.integers(n, size=10)])
        p = rng.integers(1, 5, (len(t), n)).astype(float)
        w = {"sample_weight": weights_of(rng, len(t)) if weighted else None}
        p /= p.sum(axis=1, keepdims=True)
        for average in (None, "macro", "micro", "weighted"):
            want = oracle.roc_auc_score(t, p, multi_class="ovr", average=average, **w)
            assert_like(metrics.roc_auc_score(t, p, average, multi_class="ovr", **w), want, (seed, average))
            want = oracle.average_precision_score(t, p, average=average, **w)
            assert_like(metrics.average_precision_score(t, p, average, **w), want, (seed, average))
        names = np.array(["d", "a", "c", "b", "e"])[:n]
        for average in ("macro", "weighted"):
            want = oracle.roc_auc_score(names[t], p, multi_class="ovo", average=average)
            assert_like(metrics.roc_auc_score(names[t], p, average, multi_class="ovo"), want, (seed, average))
        for normalize in (True, False):
            want = oracle.log_loss(t, p, normalize=normalize, **w)
            assert_like(metrics.log_loss(t, p, normalize=normalize, **w), want, seed)
            assert_like(metrics.log_loss(np.eye(n)[t], p, normalize=normalize, **w), want, seed)
        want = oracle.log_loss(t, p.astype("f4"), labels=range(n), **w)
        np.testing.assert_allclose(metrics.log_loss(t, p.astype("f4"), labels=range(n), **w), want, rtol=1e-6)
        bits = t % 2
        assert_like(metrics.log_loss(bits, p[:, 0], **w), oracle.log_loss(bits, p[:, 0], **w), seed)
    # sure and wrong: as far from 0 and 1 as the dtype tells apart
    for dtype in ("f4", "f8"):
        sure = np.array([[0, 1], [0, 1]], dtype)
        np.testing.assert_allclose(metrics.log_loss([0, 1], sure), oracle.log_loss([0, 1], sure), rtol=1e-6)


def test_scores_of_what_does_not_occur():
    assert metrics.f1_score([0, 0], [0, 0], zero_division=1) == 1 and metrics.f1_score([0, 0], [0, 0]) == 0
    assert math.isnan(metrics.recall_score([0, 0], [1, 1], zero_division=math.nan))
    assert metrics.precision_score([0, 0], [0, 0], zero_division="warn") == 0
    fpr, tpr, _ = metrics.roc_curve([0, 0], [0.1, 0.2])
    assert np.isnan(tpr).all() and fpr[-1] == 1
    assert metrics.average_precision_score([0, 0], [0.1, 0.2]) == 0
    assert math.isnan(metrics.average_precision_score([0, 1], [0.1, math.nan]))
    assert math.isnan(metrics.roc_auc_score([0, 1], [0.1, math.nan], sample_weight=[1, 2]))
    assert math.isnan(metrics.roc_auc_score([0, 1], [0.1, 0.3], sample_weight=[1, 0]))
    # of rows that all weigh nothing there is no mean
    for score in (metrics.accuracy_score, metrics.mean_absolute_error, metrics.r2_score):
        assert math.isnan(score([0, 1], [1, 1], sample_weight=[0, 0]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.f1_score([0, 1], [0, 1], zero_division=2), "zero_division is 2; it must be 0, 1, nan"),
        (lambda: metrics.f1_score([0, 1], [0, 1], "samples"), r"average is 'samples' and y_true has shape \(2,\)"),
        (lambda: metrics.f1_score([[0, 2]], [[0, 1]], "macro"), "y_true holds 2; it must hold 0 and 1 only"),
        (lambda: metrics.f1_score([[0, 1]], [[0, 1]], None, labels=[2]), r"labels is \[2\]; of 2 columns it must be a"),
        (lambda: metrics.f1_score([0, 1], [0, 1], None, labels=["a"]), "labels holds <U1 and y_true int64; both must"),
        (lambda: metrics.f1_score([0, 1], [0, 1], None, labels=[]), r"labels has shape \(0,\); it must be a list"),
        (lambda: metrics.f1_score(["a", "b"], ["a", "b"]), "pos_label is 1; the classes are"),
        (lambda: metrics.f1_score([1, 2], [1, 3], pos_label=2), "pos_label is 2; the classes are 1, 2, 3, not"),
        (lambda: metrics.fbeta_score([0, 1], [0, 1], -1), r"beta is -1; it must be in \[0, inf\)"),
        (lambda: metrics.accuracy_score([0, 1], [0, 1], [1, -1]), r"sample_weight\[1\] is -1.0; weights must"),
        (lambda: metrics.accuracy_score([0, 1], [0, 1], [1, math.nan]), r"sample_weight\[1\] is nan"),
        (lambda: metrics.accuracy_score([0, 1], [0, 1], [1]), r"sample_weight has shape \(1,\); it must be \(2,\)"),
        (lambda: metrics.roc_auc_score([0, 1, 2], np.eye(3)), "multi_class is 'raise'; y_score has 3"),
        (lambda: metrics.roc_auc_score([0, 1, 1], np.eye(3), multi_class="ovr"), "there are 3 columns of scores and 2"),
        (
            lambda: metrics.roc_auc_score([0, 1, 5], np.eye(3), multi_class="ovr", labels=[0, 1, 2]),
            r"y_true\[2\] is 5; it must be one of labels, \[0, 1, 2\]",
        ),
        (
            lambda: metrics.roc_auc_score([0, 1, 2], np.eye(3), "micro", multi_class="ovo"),
            "average is 'micro'; for multi_class='ovo' it must be 'macro' or 'weighted'",
        ),
        (
            lambda: metrics.roc_auc_score([0, 1, 2], np.eye(3), multi_class="ovo", sample_weight=[1, 1, 1]),
            "sample_weight is given; with multi_class='ovo' rows weigh alike",
        ),
        (
            lambda: metrics.roc_auc_score([0, 1, 2], np.eye(3), multi_class="ovr", labels=[1, 0, 2]),
            r"labels is \[1, 0, 2\]; the classes must be in order, each once",
        ),
        (lambda: metrics.roc_curve([0, 2], [0, 1]), r"y_true holds \[0, 2\]; pos_label must say which class is the"),
        (lambda: metrics.roc_curve([0, 1], [0, math.nan]), r"y_score\[1\] is nan; scores must be numbers"),
        (lambda: metrics.precision_recall_curve([[0, 1]], [[0, 1]]), r"y_true has shape \(1, 2\); it must"),
        (lambda: metrics.average_precision_score([0, 2], [0, 1]), "pos_label is 1; the classes are 0, 2"),
        (lambda: metrics.log_loss([0, 1], [0.5, 1.5]), r"y_pred\[1\] is 1.5; probabilities must be in 0 .. 1"),
        (lambda: metrics.log_loss([0, 0], [0.5, 0.5]), "there are 2 columns of scores and 1 classes in y_true"),
        (lambda: metrics.confusion_matrix([0], [0], normalize="rows"), "no normalize 'rows'; there are"),
        (lambda: metrics.mean_squared_log_error([0, -1], [0, 1]), r"y_true\[1\] is -1.0; it must be greater than -1"),
    ],
)
def test_what_is_wrong_with_arguments_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ------------------------------------------------------------------------------------ in a program
RNG = np.random.default_rng(0)
X = RNG.standard_normal((700, 6)).astype("float32")
LABELS = RNG.integers(5, size=700)
ONE_HOT = np.eye(5)[LABELS]
BITS = (X[:, :2] + RNG.standard_normal((700, 2)) > 0).astype(float)
NUMBERS = 1000 + X[:, :3] + 0.1 * RNG.standard_normal((700, 3))

CLASS_METRICS = [
    "accuracy", "precision", "recall", "confusion_matrix",
    metrics.F1Score(average="weighted"), metrics.F1Score(average="micro", name="micro"),
]  # fmt: skip


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def of_classes(t, y, k_name):
    p, m = y.argmax(axis=1), metrics
    return {
        "accuracy": m.accuracy_score(t, p),
        "precision": m.precision_score(t, p, "macro"),
        "recall": m.recall_score(t, p, "macro"),
        "f1_score": m.f1_score(t, p, "weighted"),
        "micro": m.f1_score(t, p, "micro"),
        k_name: m.top_k_accuracy_score(t, y, 5),
        "top2": m.top_k_accuracy_score(t, y, 2),
        "confusion_matrix": np.bincount(5 * t + p, minlength=25).reshape(5, 5),
    }


def of_bits(cut):
    def values(t, y):
        t, p, flat = t.astype(int), (y > 0.5).astype(int), np.ravel
        p75 = (y > cut).astype(int)
        return {
            "accuracy": (t == p).mean(),
            "binary_accuracy": (t == p).mean(),
            "precision": metrics.precision_score(t, p),
            "recall": metrics.recall_score(t, p75),
            "f1_score": metrics.f1_score(t, p),
            "auc": metrics.roc_auc_score(t, y),
            "confusion_matrix": metrics.confusion_matrix(flat(t), flat(p)),
        }

    return values


def of_numbers(t, y):
    t = t.astype("float32")
    return {
        "mae": metrics.mean_absolute_error(t, y),
        "mean_squared_error": metrics.mean_squared_error(t, y),
        "rmse": metrics.root_mean_squared_error(t, y),
        "r2_score": metrics.r2_score(t, y),
    }


#: By kind: loss, outputs, activation, targets, metrics and their values from targets and predictions.
CASES = {
    "labels": (
        "sparse_categorical_crossentropy", 5, None, LABELS,
        [*CLASS_METRICS, "sparse_top_k_categorical_accuracy", metrics.SparseTopKCategoricalAccuracy(2, name="top2")],
        lambda t, y: of_classes(t, y, "sparse_top_k_categorical_accuracy"),
    ),
    "one-hot": (
        "categorical_crossentropy", 5, "softmax", ONE_HOT,
        [*CLASS_METRICS, "top_k_categorical_accuracy", metrics.TopKCategoricalAccuracy(2, name="top2")],
        lambda t, y: of_classes(t.argmax(axis=1), y, "top_k_categorical_accuracy"),
    ),
    "bits": (
        "binary_crossentropy", 2, "sigmoid", BITS,
        ["accuracy", "binary_accuracy", "precision", metrics.Recall(0.75), "f1_score", "auc", "confusion_matrix"],
        of_bits(0.75),
    ),
    "numbers": ("mse", 3, None, NUMBERS, ["mae", "mean_squared_error", "rmse", "r2_score"], of_numbers),
}  # fmt: skip
every_case = pytest.mark.parametrize("case", CASES)


def model_of(case, backend="cython", numerics="numpy", optimizer=None, **options):
    loss, n, activation, _, found, _ = CASES[case]
    model = Sequential([Dense(8, activation="tanh"), Dense(n, activation=activation)], input_shape=6, seed=1)
    found = options.pop("metrics", found)
    model.compile(optimizer or optimizers.Adam(0.01), loss, found, backend, numerics=numerics, **options)
    return model


def assert_close(got, want):
    assert set(got) == {"loss", *want}
    for name, value in want.items():
        assert type(got[name]) is (np.ndarray if np.ndim(value) else float), name
        np.testing.assert_allclose(got[name], value, rtol=2e-6, err_msg=name)


@every_case
@every_backend
@pytest.mark.parametrize("numerics", ["numpy", "portable"])
def test_evaluate_is_the_function_of_the_predictions(case, backend, numerics):
    model, (*_, y, _, values) = model_of(case, backend, numerics), CASES[case]
    model.fit(X, y, epochs=1, verbose=0, seed=0)
    got = model.evaluate(X, y, batch_size=64)
    assert_close(dict(got), values(y, model.predict(X)))
    if numerics == "portable":
        # counts are exact: they know no backend
        other = model_of(case, "numpy", numerics)
        other.set_weights(model.get_weights())
        again = other.evaluate(X, y, batch_size=64)
        assert got == again


@every_case
@every_backend
@pytest.mark.parametrize("shuffle", [True, False])
def test_fit_counts_before_each_update(case, backend, shuffle):
    *_, y, _, values = CASES[case]
    model, twin = (model_of(case, backend) for _ in range(2))
    history = model.fit(X, y, epochs=2, batch_size=96, shuffle=shuffle, seed=4, verbose=0).history
    rng = np.random.default_rng(4)
    for epoch in range(2):
        order, outputs = rng.permutation(len(X)) if shuffle else np.arange(len(X)), []
        for start in range(0, len(X), 96):
            rows = order[start : start + 96]
            outputs.append(twin.predict(X[rows]))
            twin.train_on_batch(X[rows], y[rows])
        want = values(y[order], np.concatenate(outputs))
        # one number an epoch: no matrices
        want.pop("confusion_matrix", None)
        assert_close({name: series[epoch] for name, series in history.items()}, want)


@every_case
def test_validation_data_like_evaluate(case, tmp_path):
    y = CASES[case][3]
    model = model_of(case)
    history = model.fit(X[:500], y[:500], epochs=2, validation_data=(X[500:], y[500:]), seed=1, verbose=0)
    want = model.evaluate(X[500:], y[500:], return_dict=True)
    want.pop("confusion_matrix", None)
    assert {k.removeprefix("val_"): v[-1] for k, v in history.history.items() if k.startswith("val_")} == want
    history.save(tmp_path / "history.json")
    assert load_history(tmp_path / "history.json") == history.history


@every_case
@every_backend
def test_metrics_change_no_bit_of_a_training(case, backend):
    y = CASES[case][3]
    with_metrics, without = model_of(case, backend), model_of(case, backend, metrics=[])
    for model in (with_metrics, without):
        model.fit(X, y, epochs=2, seed=1, verbose=0)
    assert_same_bits(with_metrics.batch_losses, without.batch_losses)
    for a, b in zip(with_metrics.get_weights(), without.get_weights(), strict=True):
        assert_same_bits(a, b)


@every_case
@every_backend
def test_results_equal_the_reference(case, backend):
    y = CASES[case][3]
    histories = [
        model_of(case, b, "portable").fit(X, y, epochs=2, seed=1, verbose=0).history for b in (backend, "numpy")
    ]
    assert histories[0] == histories[1]


def test_a_threshold_is_a_probability_on_logits_too():
    logits, probabilities = (
        Sequential([Dense(2, activation=activation)], input_shape=6, seed=2) for activation in (None, "sigmoid")
    )
    found = [metrics.Precision(0.7), metrics.BinaryAccuracy(0.2), "auc"]
    results = []
    for model in (logits, probabilities):
        model.compile("sgd", "binary_crossentropy", found, dtype="float64")
        results.append(model.evaluate(X, BITS))
    assert logits.loss_function.from_logits and not probabilities.loss_function.from_logits
    assert results[0] == pytest.approx(results[1], rel=1e-12)


def test_metrics_share_what_they_count():
    model = model_of("bits", metrics=["precision", "recall", "f1_score", "confusion_matrix", "auc"])
    model.evaluate(X, BITS)
    calls = [call.kernel.name for call in model.engine().network("evaluate").program.calls if call.layer == "metric"]
    assert calls == ["binary_confusion", "identity_forward", "identity_forward"]
    model = model_of("numbers", metrics=["r2_score", "mse", "rmse"])
    model.evaluate(X, NUMBERS)
    calls = [call.kernel.name for call in model.engine().network("evaluate").program.calls if call.layer == "metric"]
    assert calls == ["mean_squared_error_forward", "bias_backward", "identity_forward"]


def test_many_metrics_at_once():
    found = [metrics.SparseTopKCategoricalAccuracy(k, name=f"top{k}") for k in range(1, 5)]
    found += [metrics.F1Score(average=a, name=a) for a in AVERAGES] + ["accuracy"]
    history = model_of("labels", metrics=found).fit(X, LABELS, verbose=0, seed=0).history
    assert history["top1"] == history["accuracy"] == history["micro"]
    assert history["top1"] < history["top2"] < history["top3"] < history["top4"]


@pytest.mark.parametrize(
    ("case", "metric", "message"),
    [
        ("labels", "mae", "metric 'mae' needs targets that are numbers, and outputs of their kind, got SparseCat"),
        ("labels", metrics.AUC(average="samples"), "metric 'auc' needs a cross-entropy loss"),
        ("numbers", "auc", "metric 'auc' needs a cross-entropy loss"),
        ("numbers", "average_precision", "metric 'average_precision' needs a cross-entropy loss"),
        ("labels", metrics.F1Score(average="samples"), "metric 'f1_score' has the average 'samples', of several"),
        ("labels", "huber", "metric 'huber' needs a loss with such targets and outputs, got SparseCategorical"),
        ("bits", "hinge", "metric 'hinge' needs a loss with such targets and outputs"),
        ("labels", "categorical_accuracy", "needs one-hot targets"),
        ("labels", "binary_accuracy", "needs targets of 0 and 1"),
        ("one-hot", "binary_accuracy", "needs targets of 0 and 1"),
        ("one-hot", "sparse_top_k_categorical_accuracy", "needs a loss on integer labels"),
        ("bits", "top_k_categorical_accuracy", "needs one-hot targets"),
        ("numbers", "precision", "metric 'precision' needs a cross-entropy loss, got MeanSquaredError"),
        ("numbers", "confusion_matrix", "needs a cross-entropy loss"),
        ("numbers", metrics.MeanAbsoluteError("loss"), "none may be 'loss'"),
        ("numbers", metrics.MeanAbsoluteError("r2_score"), "their names must be unique"),
    ],
)
def test_metrics_that_make_no_sense(case, metric, message):
    with pytest.raises(ValueError, match=message):
        model_of(case, metrics=[metric, *(["r2_score"] if case == "numbers" else [])])


def test_errors_on_logits_are_refused():
    model = Sequential([Dense(1)], input_shape=6)
    with pytest.raises(ValueError, match="needs targets that are numbers, and outputs of their kind"):
        model.compile("sgd", losses.BinaryCrossEntropy(), ["mae"])


@every_case
def test_way_into_a_file_and_back(case, tmp_path):
    y, model = CASES[case][3], model_of(case)
    model.fit(X, y, verbose=0, seed=0)
    model.save(tmp_path / "m.npz")
    loaded = load_model(tmp_path / "m.npz")
    assert list(map(repr, loaded.metrics)) == list(map(repr, model.metrics))
    assert loaded.metric_names == model.metric_names
    got, want = loaded.evaluate(X, y), model.evaluate(X, y)
    assert got == want


def test_a_name_is_enough_for_what_a_name_makes():
    assert metrics.get("rmse").get_config() == "rmse"
    assert metrics.F1Score().get_config() == "f1_score"
    other = metrics.F1Score(0.25)
    assert repr(metrics.get(other.get_config())) == repr(other)
    assert metrics.get(other) is other


def test_every_class_has_a_name():
    kinds = {c for c in vars(metrics).values() if isinstance(c, type) and c.__module__ == metrics.__name__}
    kinds = {c for c in kinds if c.__name__[0] != "_"} - {metrics.Metric}
    # these are made of others
    for kind in kinds - {metrics.MeanLoss, metrics.Weighted}:
        assert type(metrics.get(kind().name)) is kind
        assert type(metrics.get(kind.__name__)) is kind
    assert {c.__name__ for c in kinds} <= set(metrics.__all__)


@pytest.mark.parametrize("config", [["Precision", {"thresh": 1}], ["Precision", 5], ["os", {}], [["Precision"], {}]])
def test_files_with_other_metrics_are_refused(config, tmp_path, monkeypatch):
    model = model_of("labels", metrics=["precision"])
    monkeypatch.setattr(metrics.Metric, "get_config", lambda self: config)
    model.save(tmp_path / "m.npz")
    with pytest.raises(FileFormatError):
        load_model(tmp_path / "m.npz")


def test_a_class_that_does_not_occur_has_no_say():
    model = model_of("labels", metrics=["precision", "recall", "f1_score"])
    t = LABELS % 4
    model.layers[-1].b[4] = -1e6
    p = model.predict(X).argmax(axis=1)
    assert 4 not in t and 4 not in p
    got = model.evaluate(X, t)
    for name in ("precision", "recall", "f1_score"):
        want = getattr(metrics, name.removesuffix("_score") + "_score")(t, p, "macro")
        assert got[name] == pytest.approx(want, rel=1e-15)


# -------------------------------------------------------------------- averages, losses and weights
def test_scores_of_each_class():
    found = [metrics.F1Score(average=a, name=f"f1 {a}") for a in (None, *AVERAGES)]
    found += [metrics.FBetaScore(2, average=a, labels=[3, 1], name=f"f2 {a}") for a in (None, *AVERAGES)]
    found += [metrics.AUC(f"auc {a}", a) for a in (None, *AVERAGES)]
    found += [metrics.AUC(f"ovo {a}", a, "ovo") for a in ("macro", "weighted")]
    found += [metrics.AveragePrecision(f"ap {a}", a) for a in (None, *AVERAGES)]
    for case in ("labels", "one-hot"):
        model = model_of(case, metrics=found)
        history = model.fit(X, CASES[case][3], verbose=0, seed=0).history
        # arrays are in what evaluate returns alone
        assert set(history) == {"loss", *(m.name for m in found if "None" not in m.name)}
        got, y = model.evaluate(X, CASES[case][3], batch_size=64), model.predict(X)
        p = y.argmax(axis=1)
        for a in (None, *AVERAGES):
            assert_like(got[f"f1 {a}"], metrics.f1_score(LABELS, p, a, labels=range(5)), a)
            assert_like(got[f"f2 {a}"], metrics.fbeta_score(LABELS, p, 2, a, labels=[3, 1]), a)
            assert_like(got[f"auc {a}"], metrics.roc_auc_score(LABELS, y, a, multi_class="ovr"), a)
            assert_like(got[f"ap {a}"], metrics.average_precision_score(LABELS, y, a), a)
        for a in ("macro", "weighted"):
            assert_like(got[f"ovo {a}"], metrics.roc_auc_score(LABELS, y, a, multi_class="ovo"), a)


def test_scores_of_classes_that_do_not_occur():
    t = LABELS % 3
    model = model_of("labels", metrics=["auc", "average_precision", metrics.AUC("each", None)])
    got, y = model.evaluate(X, t), model.predict(X)
    assert np.isnan(got["each"]).tolist() == [False] * 3 + [True] * 2
    assert got["auc"] == pytest.approx(np.nanmean(got["each"]), rel=1e-14)
    want = [metrics.average_precision_score(t == k, y[:, k]) for k in range(3)]
    assert got["average_precision"] == pytest.approx(np.mean(want), rel=1e-14)
    # of one class alone there is nothing to rank
    assert math.isnan(model.evaluate(X, 0 * t)["auc"])


def test_scores_of_several_labels_in_a_program():
    averages = (None, *AVERAGES, "samples")
    found = [metrics.Precision(0.4, a, f"p {a}", multi_label=True) for a in averages]
    found += [metrics.FBetaScore(0.5, 0.4, a, f"f {a}", [1], True) for a in averages]
    found += [metrics.AUC(f"auc {a}", a) for a in (None, *AVERAGES)]
    found += [metrics.AveragePrecision(f"ap {a}", a) for a in averages]
    for activation in (None, "sigmoid"):
        model = Sequential([Dense(2, activation=activation)], input_shape=6, seed=2)
        model.compile("sgd", "binary_crossentropy", found, dtype="float64")
        got, t, y = model.evaluate(X, BITS, batch_size=100), BITS.astype(int), model.predict(X)
        p = (y > (0.4 if activation else math.log(0.4 / 0.6))).astype(int)
        for a in averages:
            assert_like(got[f"p {a}"], metrics.precision_score(t, p, a), a)
            assert_like(got[f"f {a}"], metrics.fbeta_score(t, p, 0.5, a, labels=[1]), a)
            assert_like(got[f"ap {a}"], metrics.average_precision_score(t, y, a), a)
            if a != "samples":
                assert_like(got[f"auc {a}"], metrics.roc_auc_score(t, y, a), a)


@every_backend
def test_losses_are_metrics(backend):
    y = np.abs(NUMBERS) / 1000
    found = ["huber", "poisson", "mape", "msle", losses.LogCosh("sum"), metrics.MeanLoss(losses.Huber(0.1), "tight")]
    for reduction in ("mean", "sum"):
        model = Sequential([Dense(3, activation="softplus")], input_shape=6, seed=1)
        model.compile("sgd", losses.MeanSquaredError(reduction), found, backend, "float64")
        got, p = model.evaluate(X, y, batch_size=64), model.predict(X)
        wanted = (losses.Huber(), losses.Poisson(), losses.MeanAbsolutePercentageError(),
                  losses.MeanSquaredLogarithmicError(), losses.LogCosh(), losses.Huber(0.1))  # fmt: skip
        assert model.metric_names == ["huber", "poisson", "mape", "msle", "log_cosh", "tight"]
        for name, loss in zip(model.metric_names, wanted, strict=True):
            assert got[name] == pytest.approx(float(loss(y, p)), rel=1e-12), name
    # by name the metric, where there is one, and a loss that is what others call so
    assert type(metrics.get("mse")) is metrics.MeanSquaredError and metrics.get("mse").get_config() == "mse"
    assert repr(metrics.get("kld").loss) == "KLDivergence(reduction='sum')" and metrics.get("kld").name == "kld"


@every_backend
def test_cross_entropies_are_metrics(backend):
    for case, loss in (("labels", losses.SparseCategoricalCrossEntropy), ("one-hot", losses.CategoricalCrossEntropy)):
        smooth = loss(label_smoothing=0.2)
        found = ["categorical_hinge" if case == "one-hot" else "multi_margin", metrics.MeanLoss(smooth, "smooth")]
        model, y = model_of(case, backend, metrics=found, dtype="float64"), CASES[case][3]
        other = losses.MultiMargin() if case == "labels" else losses.CategoricalHinge()
        with_logits = model.loss_function.from_logits
        twin = model_of(case, backend, metrics=[], dtype="float64")
        for _ in range(2):
            got, want = (m.fit(X, y, epochs=2, verbose=0, seed=0).history["loss"] for m in (model, twin))
            assert got == want
        got, p = model.evaluate(X, y), model.predict(X)
        assert got[found[0]] == pytest.approx(float(other(y, p)), rel=1e-12)
        assert got["smooth"] == pytest.approx(float(loss(with_logits, 0.2)(y, p)), rel=1e-12)
    custom = fastbp.custom.loss(lambda y_true, y_pred: (y_pred - y_true) ** 4, "fourth")
    model = model_of("numbers", backend, metrics=[custom], dtype="float64")
    want = ((model.predict(X) - NUMBERS) ** 4).mean()
    assert model.evaluate(X, NUMBERS)["fourth"] == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.MeanLoss("triplet_margin"), "the metric is the loss TripletMargin.*; it is no sum over"),
        (
            lambda: metrics.get(losses.SparseCategoricalCrossEntropy(ignore_index=1)),
            "ignore_index=1.*; a metric counts all rows alike",
        ),
        (lambda: metrics.get(losses.NLL(class_weight=[1, 2])), "class_weight.*; a metric counts all rows alike"),
        (
            lambda: metrics.get(fastbp.custom.loss(lambda t, y: y[0] * t[0] * y[1], "joint", outputs=2)),
            "it is of several outputs",
        ),
        (lambda: metrics.MeanLoss("hubber"), "no loss 'hubber'; did you mean 'huber'"),
        (lambda: metrics.F1Score(labels=[-1]), r"labels is \[-1\]; it must be a list of numbers of classes"),
        (lambda: metrics.FBetaScore(beta=-1), r"beta is -1; it must be in \[0, inf\)"),
        (lambda: metrics.AUC(multi_class="ovo", average=None), "average is None; for multi_class='ovo' it must be"),
        (lambda: metrics.AUC(multi_class="raise"), "no multi_class 'raise'; there are ovr, ovo"),
        (lambda: metrics.AveragePrecision(average="binary"), "no average 'binary'"),
    ],
)
def test_metrics_that_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()


WEIGHTS = RNG.integers(0, 4, 700) / 2
#: By kind what is measured, and its values from targets, predictions and weights.
WEIGHTED = {
    "labels": (
        ["accuracy", "f1_score", metrics.Recall(average=None, name="each"), "confusion_matrix", "auc",
         metrics.SparseTopKCategoricalAccuracy(2, name="top2"), "average_precision", "multi_margin"],
        lambda t, y, w: {
            "accuracy": metrics.accuracy_score(t, y.argmax(axis=1), w),
            "f1_score": metrics.f1_score(t, y.argmax(axis=1), "macro", sample_weight=w),
            "each": metrics.recall_score(t, y.argmax(axis=1), None, labels=range(5), sample_weight=w),
            "confusion_matrix": metrics.confusion_matrix(t, y.argmax(axis=1), labels=range(5), sample_weight=w),
            "auc": metrics.roc_auc_score(t, y, multi_class="ovr", sample_weight=w),
            "top2": metrics.top_k_accuracy_score(t, y, 2, w),
            "average_precision": metrics.average_precision_score(t, y, sample_weight=w),
            "multi_margin": float(w @ losses.MultiMargin(reduction="none")(t, y) / w.sum()),
        },
    ),
    "one-hot": (
        ["accuracy", metrics.F1Score(average="weighted"), "top_k_categorical_accuracy", "confusion_matrix", "auc"],
        lambda t, y, w: {
            "accuracy": metrics.accuracy_score(t.argmax(axis=1), y.argmax(axis=1), w),
            "f1_score": metrics.f1_score(t.argmax(axis=1), y.argmax(axis=1), "weighted", sample_weight=w),
            "top_k_categorical_accuracy": 1.0,
            "confusion_matrix": metrics.confusion_matrix(
                t.argmax(axis=1), y.argmax(axis=1), labels=range(5), sample_weight=w
            ),
            "auc": metrics.roc_auc_score(t.argmax(axis=1), y, multi_class="ovr", sample_weight=w),
        },
    ),
    "bits": (
        ["accuracy", metrics.BinaryAccuracy(0.6), "precision", metrics.Recall(average="macro", multi_label=True),
         metrics.F1Score(average="samples"), "auc", "average_precision", "confusion_matrix"],
        lambda t, y, w: {
            "accuracy": metrics.accuracy_score(t, y > 0.5, w),
            "binary_accuracy": metrics.accuracy_score(t, y > 0.6, w),
            "precision": metrics.precision_score(t, y > 0.5, sample_weight=w),
            "recall": metrics.recall_score(t, y > 0.5, "macro", sample_weight=w),
            "f1_score": metrics.f1_score(t, y > 0.5, "samples", sample_weight=w),
            "auc": metrics.roc_auc_score(t, y, sample_weight=w),
            "average_precision": metrics.average_precision_score(t, y, sample_weight=w),
            "confusion_matrix": metrics.confusion_matrix(
                t.reshape(-1), (y > 0.5).reshape(-1), sample_weight=np.repeat(w, 2)
            ),
        },
    ),
    "numbers": (
        ["mae", "mse", "rmse", "r2_score", "mape", "msle", "huber"],
        lambda t, y, w: {
            "mae": metrics.mean_absolute_error(t, y, w),
            "mse": metrics.mean_squared_error(t, y, w),
            "rmse": metrics.root_mean_squared_error(t, y, w),
            "r2_score": metrics.r2_score(t, y, w),
            "mape": 100 * metrics.mean_absolute_percentage_error(t, y, w),
            "msle": float(w @ losses.MeanSquaredLogarithmicError(reduction="none")(t, y) / w.sum()),
            "huber": float(w @ losses.Huber(reduction="none")(t, y) / w.sum()),
        },
    ),
}  # fmt: skip


def weighted_model(case, backend="cython", **options):
    return model_of(case, backend, metrics=[], weighted_metrics=WEIGHTED[case][0], dtype="float64", **options)


@every_case
@every_backend
def test_weighted_metrics_are_the_functions_with_weights(case, backend):
    model, y, values = weighted_model(case, backend), CASES[case][3], WEIGHTED[case][1]
    for size in (64, 700):
        got = dict(model.evaluate(X, y, sample_weight=WEIGHTS, batch_size=size))
        want = values(y, model.predict(X), WEIGHTS)
        assert set(got) == {"loss", *want}
        for name, value in want.items():
            np.testing.assert_allclose(got[name], value, rtol=1e-11, err_msg=name)
    # without weights it is the metric itself
    plain = model_of(case, backend, metrics=WEIGHTED[case][0], dtype="float64")
    plain.set_weights(model.get_weights())
    assert model.evaluate(X, y) == plain.evaluate(X, y)
    # metrics do not weigh beside them, and no bit of a training changes
    both = model_of(case, backend, metrics=WEIGHTED[case][0], weighted_metrics=WEIGHTED[case][0], dtype="float64")
    both.set_weights(model.get_weights())
    found = both.evaluate(X, y, sample_weight=WEIGHTS, batch_size=64)
    for name, value in plain.evaluate(X, y, batch_size=64).items():
        if name != "loss":
            np.testing.assert_array_equal(found[name], value)
            np.testing.assert_allclose(found[f"weighted_{name}"], want[name], rtol=1e-11)
    assert both.metric_names == [*plain.metric_names, *(f"weighted_{name}" for name in plain.metric_names)]
    bare = model_of(case, backend, metrics=[], dtype="float64")
    bare.set_weights(both.get_weights())
    for each in (both, bare):
        each.fit(X, y, sample_weight=WEIGHTS, epochs=2, seed=1, verbose=0)
    for a, b in zip(both.get_weights(), bare.get_weights(), strict=True):
        assert_same_bits(a, b)


@every_case
def test_weighted_metrics_in_fit(case):
    model, twin, y = weighted_model(case), weighted_model(case), CASES[case][3]
    history = model.fit(
        X, y, 96, 2, sample_weight=WEIGHTS, shuffle=False, seed=0, verbose=0, validation_data=(X, y, WEIGHTS)
    ).history
    for epoch in range(2):
        outputs = []
        for start in range(0, len(X), 96):
            rows = slice(start, start + 96)
            outputs.append(twin.predict(X[rows]))
            twin.train_on_batch(X[rows], y[rows], sample_weight=WEIGHTS[rows])
        want = WEIGHTED[case][1](y, np.concatenate(outputs), WEIGHTS)
        names = [metric.name for metric in model.metrics if metric.scalar]
        for name in names:
            np.testing.assert_allclose(history[name][epoch], want[name], rtol=1e-11, err_msg=name)
    found = model.evaluate(X, y, sample_weight=WEIGHTS)
    assert {name: history[f"val_{name}"][-1] for name in names} == {name: found[name] for name in names}


def test_classes_weigh_in_weighted_metrics():
    of_classes, each = {0: 4.0, 2: 0.0}, np.array([4.0, 1.0, 0.0, 1.0, 1.0])[LABELS]
    got, want = (
        weighted_model("labels").fit(X, LABELS, **options, verbose=0, seed=0, epochs=1).history
        for options in ({"class_weight": of_classes}, {"sample_weight": each})
    )
    assert got == want


def test_weighted_metrics_of_positions():
    rng = np.random.default_rng(3)
    x, y, w = rng.standard_normal((30, 4, 6)), rng.integers(5, size=(30, 4)), rng.random((30, 4))
    model = Sequential([Dense(5)], input_shape=(4, 6), seed=0)
    flat = Sequential([Dense(5)], input_shape=6, seed=0)
    found = WEIGHTED["labels"][0]
    for each in (model, flat):
        each.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=found, dtype="float64")
    flat.set_weights(model.get_weights())
    got = model.evaluate(x, y, sample_weight=w)
    want = flat.evaluate(x.reshape(-1, 6), y.reshape(-1), sample_weight=w.reshape(-1))
    for name, value in want.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-13)


@every_case
def test_weighted_metrics_come_back_from_a_file(case, tmp_path):
    model, y = weighted_model(case), CASES[case][3]
    model.save(tmp_path / "m.npz")
    loaded = load_model(tmp_path / "m.npz")
    assert [m.get_config() for m in loaded.metrics] == [m.get_config() for m in model.metrics]
    assert list(map(repr, (m.metric for m in loaded.metrics))) == list(map(repr, (m.metric for m in model.metrics)))
    assert loaded.evaluate(X, y, sample_weight=WEIGHTS) == model.evaluate(X, y, sample_weight=WEIGHTS)


def test_what_weighs_nothing_and_what_takes_no_weights():
    model = weighted_model("numbers")
    got = model.evaluate(X, NUMBERS, sample_weight=0 * WEIGHTS)
    assert all(math.isnan(got[name]) for name in model.metric_names)
    with pytest.raises(ValueError, match="weighted metric 'auc' takes no weights, with multi_class='ovo'"):
        model_of("labels", metrics=[], weighted_metrics=[metrics.AUC(multi_class="ovo")])
    model = Sequential([Dense(1)], input_shape=6)
    with pytest.raises(ValueError, match=r"metrics is .*'mae'.* and loss is missing"):
        model.compile("sgd", weighted_metrics=["mae"])

    class Own(metrics.Metric):
        def suits(self, loss):
            return True

        def emit(self, program, loss, y_pred, y_true):
            return [], lambda rows: 0.0

    with pytest.raises(ValueError, match=r"weighted metric 'own' takes no weights; Own has no measure\(\)"):
        model.compile("sgd", "mse", weighted_metrics=[Own("own")])
    # batches of an iterable, of which one lacks weights
    model.compile("sgd", "mse", weighted_metrics=["mae"])
    batches = [(X[:4], NUMBERS[:4, :1], np.ones(4)), (X[:4], NUMBERS[:4, :1])]
    with pytest.raises(ValueError, match="of one batch there are weights that another one lacks"):
        model.evaluate(iter(batches))


def test_weighted_metrics_of_several_outputs():
    x = fastbp.Input(6)
    model = fastbp.Model(x, {"a": Dense(1, name="a")(x), "b": Dense(5, name="b")(x)}, seed=0)
    losses_of = {"a": "mse", "b": "sparse_categorical_crossentropy"}
    model.compile("sgd", losses_of, metrics={"a": ["mae"]}, weighted_metrics={"a": "mae", "b": ["accuracy"]})
    assert model.metric_names == ["a_mae", "a_weighted_mae", "b_accuracy"]
    y = {"a": NUMBERS[:, :1], "b": LABELS}
    got = model.evaluate(X, y, sample_weight={"a": WEIGHTS})
    p = model.predict(X)
    assert got["a_weighted_mae"] == pytest.approx(metrics.mean_absolute_error(y["a"], p["a"], WEIGHTS), rel=1e-6)
    assert got["b_accuracy"] == metrics.accuracy_score(LABELS, p["b"].argmax(axis=1))
