"""Kernels are made of their definitions: what the vocabulary has, and that it says what it lacks."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from _arrays import assert_same_bits

from fastbp import kernels
from fastbp.kernels import numpy_ref
from fastbp.kernels.codegen import languages
from fastbp.kernels.codegen.graph import graphs
from fastbp.kernels.codegen.plan import Call, Loop, Plan
from fastbp.kernels.table import KERNELS, TABLE, Kernel


def kernel(expression, signature="x[n] -> y[n]", row="leaky_relu"):
    return Kernel("try_forward", TABLE[row], signature, expression=expression)


def test_what_is_written_by_hand():
    written = {"fastbp_" + name for name, kernel in KERNELS.items() if not kernel.by_hand}
    assert set(re.findall(r"^static int (\w+)\(", languages.c_source(KERNELS.values()), re.M)) == written
    by_hand = {}
    for path in (Path(__file__).parents[1] / "kernels/cython_ext").glob("*.pxi"):  # not installed
        by_hand |= dict.fromkeys(re.findall(r"^cdef api int (\w+)\(", path.read_text(), re.M), path.stem)
    assert by_hand.pop("chain") == "chain"
    assert by_hand == {name: kernel.row.family for name, kernel in KERNELS.items() if kernel.by_hand}
    # this one could be generated: it would store the squares and read them again
    for name in by_hand.keys() - {"batch_norm_affine_forward"}:
        with pytest.raises(ValueError, match=f"^{name}: "):
            [Plan(graph) for _, graph in graphs(KERNELS[name])]


def test_sources_are_the_same_in_every_process():
    # or every build would compile everything anew
    code = (
        "import sys, types; package = sys.modules['kernels'] = types.ModuleType('kernels'); package.__path__ = ['.']; "
        "from kernels import chain, operations, table; from kernels.codegen import languages; "
        "rows = table.KERNELS.values(); "
        "print(languages.c_source(rows), languages.numba_source(rows), chain.c_source(), "
        "operations.c_source(), operations.cython_source())"
    )
    folder = os.path.dirname(kernels.__file__)
    outputs = {
        subprocess.run(
            [sys.executable, "-S", "-c", code], cwd=folder, env={"PYTHONHASHSEED": seed}, capture_output=True,
            text=True, check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(outputs) == 1
    for name, kernel in KERNELS.items():
        assert (f"def {name}(buffers" in outputs.copy().pop()) == (not kernel.by_hand)


@pytest.mark.parametrize(
    "expression",
    [
        "y = x ** 3", "y = np.arcsin(x)", "y = x.sum()", "y = exp(x)", "y = np.softplus(x)", "y = x @ x", "y = z + x",
        "y = np.maximum(x, x)", "y = x if x else 0", "y = x[0]", "y = 'a'", "x += 1", "y = 0 < x < 1", "y = ~(x > 0)",
        "y = x; loss = x.max() / 2", "y = x; loss = y.sum() * 2", "y = x.dtype.type(x)",
    ],
)  # fmt: skip
def test_a_word_that_the_vocabulary_lacks_is_named(expression):
    with pytest.raises(ValueError, match=r"try_forward: .* is not in the vocabulary of generated kernels"):
        languages.c_source([kernel(expression)])


def test_a_choice_between_arrays_makes_a_loop_for_each():
    source = languages.c_source([kernel("y = x * 2 if alpha else x * 3")])
    assert source.count("FASTBP_MANY for") == 2
    assert "if (attributes[0] != 0) {" in source and "if (attributes[0] == 0) {" in source


def test_equal_operations_are_one():
    source = languages.c_source([kernel("a = x * x; b = x * x; y = a + b")])
    assert source.count("e0 * e0") == 1


MATRIX = "x[batch,n] -> y[batch,n]"


def plan(expression, signature=MATRIX, **options):
    made = Kernel("try_forward", TABLE["leaky_relu"], signature, expression=expression, **options)
    (graph,) = (graph for _, graph in graphs(made))
    return Plan(graph)


def calls(plan):
    return [(action.op, action.source.name, action.target.name) for action in plan.actions if isinstance(action, Call)]


def stored(plan):
    return [[place.name for _, place in action.stores] for action in plan.actions if isinstance(action, Loop)]


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        ("y = x - x.sum(axis=1)", r"of shapes \('batch', 'n'\) and \(1, 'batch'\)"),
        ("y = x - x.sum(axis=0)[:, None]", "not in the vocabulary"),
        ("y = x - x.sum(axis=1, keepdims=True)[:, 1]", "not in the vocabulary"),
        ("y = x - x.max(axis=0)", "not in the vocabulary"),
        ("y = x - x.sum(axis=1, dtype=x.dtype)", "not in the vocabulary"),
        ("y = x - x.sum(axis=batch)", "not in the vocabulary"),
        ("y = x / x.shape[n]", "not in the vocabulary"),
        ("y = x.sum(axis=1)", r"y\[batch,n\] must be an array, and is of shape \('batch',\)"),
        ("y = x / x.sum(axis=1, keepdims=True) - x.sum(axis=0)", "beside numbers of columns there are numbers of rows"),
        ("y = np.exp(x) - x.sum(axis=0)", "beside numbers of columns"),
    ],
)
def test_shapes_are_numpys(expression, what):
    with pytest.raises(ValueError, match=f"^try_forward: .*{what}"):
        plan(expression)


@pytest.mark.parametrize(
    ("expression", "signature"),
    [
        ("y = x * 2", "x[batch,3] -> y[batch,3]"),
        ("y = np.stack([x, x], axis=1)", "x[batch] -> y[batch,2]"),
        ("y = np.stack([x, x], axis=1)", "x[batch,n] -> y[batch,3,n]"),
        ("y = np.stack([x, lr[0]], axis=1)", "x[batch,n], lr[1]:f8 -> y[batch,2,n]"),
        ("y = x; z = np.array([lr[0]])", "x[batch,n], lr[1]:f8 -> y[batch,n], z[2]:f8"),
        ("y = x[:, 2]", "x[batch,2,n] -> y[batch,n]"),
        ("y = x[:, 0] * 2; loss = x[:, 1].sum() / len(y)", "x[batch,2,n] -> y[batch,n], loss[]"),
        ("y = x", "x[batch,n]:i8 -> y[batch,n]"),
        ("y = x", "x[batch,n]:u1 -> y[batch,n]"),
    ],
)
def test_operands_that_do_not_fit_are_named(expression, signature):
    with pytest.raises(ValueError, match=r"^try_forward: .*(\[.*\]|must be the sum of an operand)"):
        plan(expression, signature)


def test_means_are_sums_over_lengths():
    signature = "x[batch,n] -> y[batch,n]"
    for mean, total in (("x.mean(axis=-1, keepdims=True)", "x.sum(axis=1, keepdims=True) / x.shape[1]"),
                        ("x.mean(axis=0)", "x.sum(axis=0) / len(x)")):  # fmt: skip
        one, other = (languages.c_source([kernel(f"y = x - {text}", signature)]) for text in (mean, total))
        assert one == other
        for dtype in ("f4", "f8"):
            for shape in ((1, 3), (7, 10), (33, 1), (5, 9000)):
                x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
                assert_same_bits(eval(mean, {"x": x}), eval(total, {"x": x}))


def test_a_sum_that_waits_keeps_its_input():
    # dx may lie where dy does: whoever sums dy comes first
    signature = "dy[batch,n], x[batch,n] -> scratch[batch,n], dx[batch,n], db[n], dw[n]"
    expression = "t = dy * x; dw = t.sum(axis=0); db = dy.sum(axis=0); dx = dy * 2"
    found = plan(expression, signature, inplace=["dx=dy"], work=["scratch"])
    assert calls(found) == [("column_sum", "dy", "db"), ("column_sum", "scratch", "dw")]
    assert stored(found) == [["dx", "scratch"]]
    # but a loop over all elements does not become one over rows and columns
    assert stored(plan(expression + " * db", signature, work=["scratch"])) == [["scratch"], ["dx"]]
    # who reads it again behind a sum comes before, too
    expression = "db = (dy * dy).sum(axis=0); dw = (dy * db).sum(axis=0); dx = dy * x"
    found = plan(expression, signature, inplace=["dx=dy"], work=["scratch"])
    assert stored(found) == [["scratch"], ["dx", "scratch"]]


def test_what_calls_read_has_room_or_is_refused():
    assert calls(plan("y = x - (x * x).sum(axis=1, keepdims=True)")) == [("row_sum", "y", "v0")]
    with pytest.raises(ValueError, match="no room; it must have an operand to work in"):
        plan("y = x - (x * x).sum(axis=1, keepdims=True)", inplace=["y=x"])
    found = plan("y = x - (x * x).sum(axis=1, keepdims=True)", MATRIX + ", t[batch,n]", inplace=["y=x"], work=["t"])
    assert calls(found) == [("row_sum", "t", "v0")]


def test_the_largest_of_a_row_may_pass_over_nan_before_exp_alone():
    less = "z = x - x.max(axis=1, keepdims=True); "
    assert calls(plan(less + "y = np.exp(z)")) == [("subtract_max", "x", "y"), ("exp", "y", "y")]
    assert calls(plan(less + "y = np.tanh(z)"))[0] == ("row_max", "x", "v0")
    assert calls(plan(less + "y = z"))[0] == ("row_max", "x", "v0")
    both = plan(less + "y = np.exp(z)", MATRIX + ", z[batch,n]")
    assert calls(both)[0] == ("row_max", "x", "v0")


def test_all_values_come_before_the_first_store():
    # outputs may share their buffers with inputs
    for name in ("adam_update", "momentum_update", "rmsprop_update"):
        lines = languages.numba_source([KERNELS[name]]).splitlines()
        loops = [k for k, line in enumerate(lines) if "for i in range" in line] + [len(lines)]
        for start, stop in itertools.pairwise(loops):
            stores = [k for k in range(start, stop) if "[i] = " in lines[k]]
            loads = [k for k in range(start, stop) if lines[k].endswith("[i]")]
            assert max(loads) < min(stores)


def test_a_definition_is_a_function_of_inputs_and_attributes():
    scaled = numpy_ref.definition(kernel("y = alpha * np.where(x > 0, x, 0)"))
    x = np.array([-1, 0, 2], "f4")
    assert_same_bits(scaled(x, alpha=0.5), np.array([0, 0, 1], "f4"))
    assert_same_bits(scaled(x), x.dtype.type(0.01) * np.maximum(x, 0))
    assert numpy_ref.get("relu_forward") is numpy_ref.get("relu_forward")
