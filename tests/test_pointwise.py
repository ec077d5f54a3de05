"""Pointwise kernels are made of their definitions: what the vocabulary has, and that it says what it lacks."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from _arrays import assert_same_bits

from fastbp.kernels import numpy_ref, pointwise
from fastbp.kernels.table import KERNELS, TABLE, Kernel


def kernel(expression, signature="x[n] -> y[n]", row="leaky_relu"):
    return Kernel("try_forward", TABLE[row], signature, expression=expression)


def test_what_is_pointwise():
    for name in ("relu_forward", "huber_backward", "focal_forward", "adam_update", "lion_update"):
        assert pointwise.is_pointwise(KERNELS[name])
    for name in ("softmax_forward", "adam_advance", "matmul_nn", "gather", "binary_accuracy", "check_finite"):
        assert not pointwise.is_pointwise(KERNELS[name])


def test_sources_are_the_same_in_every_process():
    # or every build would compile everything anew
    code = (
        "import sys, types; package = sys.modules['kernels'] = types.ModuleType('kernels'); package.__path__ = ['.']; "
        "from kernels import chain, operations, pointwise, table; rows = table.KERNELS.values(); "
        "print(pointwise.cython_source(rows), pointwise.numba_source(rows), chain.cython_source(), "
        "chain.numba_source(), operations.c_source(), operations.cython_source())"
    )
    folder = os.path.dirname(pointwise.__file__)
    outputs = {
        subprocess.run(
            [sys.executable, "-S", "-c", code], cwd=folder, env={"PYTHONHASHSEED": seed}, capture_output=True,
            text=True, check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(outputs) == 1
    for name, kernel in KERNELS.items():
        assert (f"def {name}(buffers" in outputs.copy().pop()) == pointwise.is_pointwise(kernel)


@pytest.mark.parametrize(
    "expression",
    [
        "y = x ** 3", "y = np.sin(x)", "y = x.sum()", "y = exp(x)", "y = np.softplus(x)", "y = x @ x", "y = z + x",
        "y = np.maximum(x, x)", "y = x if x else 0", "y = x[0]", "y = 'a'", "x += 1", "y = 0 < x < 1", "y = ~(x > 0)",
        "y = x; loss = x.max() / 2", "y = x; loss = y.sum() * 2", "y = x.dtype.type(x)",
    ],
)  # fmt: skip
def test_a_word_that_the_vocabulary_lacks_is_named(expression):
    with pytest.raises(ValueError, match=r"try_forward: .* is not in the vocabulary of pointwise kernels"):
        pointwise.cython_source([kernel(expression)])


def test_a_choice_between_arrays_makes_a_loop_for_each():
    source = pointwise.cython_source([kernel("y = x * 2 if alpha else x * 3")])
    assert source.count("each(&i, 0, n)") == source.count("end()") == 2
    assert "if attributes[0] != 0:" in source and "if attributes[0] == 0:" in source


def test_equal_operations_are_one():
    source = pointwise.cython_source([kernel("a = x * x; b = x * x; y = a + b")])
    assert source.count("e0 * e0") == 1


def test_all_values_come_before_the_first_store():
    # outputs may share their buffers with inputs
    for name in ("adam_update", "momentum_update", "rmsprop_update"):
        lines = pointwise.numba_source([KERNELS[name]]).splitlines()
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
