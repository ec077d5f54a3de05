"""The table is complete: its rows, their definitions, signatures and sizes."""

import ast
import builtins
import inspect
import os
import subprocess
import sys

import numpy as np
import pytest
from _arrays import operands

from fastbp import kernels
from fastbp.checks import suggest
from fastbp.kernels import numpy_ref, table, words
from fastbp.kernels.operations import NotFiniteError, OutOfRangeError
from fastbp.kernels.table import FAMILIES, KERNELS, TABLE, Bound, Kernel, Row
from fastbp.program import BATCH

DOMAINS = {
    "probability", "binary", "sign", "one_hot", "label", "compared", "index", "group", "power", "nonnegative",
    "finite", "generator", "uniform", "sorted", "cell",
}  # fmt: skip
every_kernel = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
every_row = pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)


def test_needs_the_standard_library_only():
    # -I and -S leave site-packages out: setup.py reads the table before anything is built
    folder = os.path.dirname(os.path.dirname(table.__file__))
    code = f"import sys; sys.path.insert(0, {folder!r}); import table; print(len(table.KERNELS))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == str(len(KERNELS)), done.stderr


@every_row
def test_row_is_complete(row):
    assert TABLE[row.name] is row
    assert row.kernels
    assert row.source
    assert row.family in FAMILIES
    # a kink without its convention would leave the derivative open
    assert row.note or not row.kinks
    for name, kernel in row.kernels.items():
        assert KERNELS[name] is kernel
        assert kernel.row is row
        assert name == row.name or name.startswith(row.name + "_")
    names = {o.name for kernel in row.kernels.values() for o in kernel.operands}
    assert set(row.domain) <= names
    assert set(row.domain.values()) <= DOMAINS
    assert all(isinstance(default, float) for default in row.attributes.values())
    assert not names & set(row.attributes)
    assert set(row.bounds) <= set(row.attributes)
    for name, default in row.attributes.items():
        row.check(name, name, default)


@every_row
def test_forward_has_its_backward(row):
    forward = row.kernels.get(f"{row.name}_forward")
    assert row.differentiable == (forward is not None)
    if forward:
        known = {o.name: o for o in forward.operands}
        backward = row.kernels[f"{row.name}_backward"]
        assert row.saved == tuple(o.name for o in backward.inputs if o.name in known)
        assert not set(row.saved) & set(forward.work)
        for operand in backward.operands:
            if operand.name not in backward.work:
                like = known.get(operand.name) or known[operand.name.removeprefix("d")]
                assert (operand.dims, operand.dtype) == (like.dims, like.dtype)
        # a loss starts the chain, every other row continues it
        assert len(backward.inputs) == len(row.saved) + (row.family != "loss")
    else:
        assert not row.saved


@every_kernel
def test_signature(kernel):
    assert kernel.signature.split(" -> ")[0].split("], ") != [""]
    names = [o.name for o in kernel.operands]
    assert len(set(names)) == len(names) <= 16
    assert names[: len(kernel.inputs)] == [o.name for o in kernel.inputs]
    assert {o.dtype for o in kernel.operands} <= {"real", "i8", "u1", "f8"}
    text = ", ".join(map(repr, kernel.inputs)) + " -> " + ", ".join(map(repr, kernel.outputs))
    assert text == kernel.signature
    assert kernel.updates == tuple(o.name for o in kernel.inputs if o.name in {x.name for x in kernel.outputs})
    assert repr(kernel) == f"{kernel.name}: {kernel.signature}"


@every_kernel
def test_operands_that_may_share_a_buffer(kernel):
    inputs, outputs = ({o.name: o for o in part} for part in (kernel.inputs, kernel.outputs))
    for output, source in kernel.inplace:
        assert output not in inputs
        assert (outputs[output].dims, outputs[output].dtype) == (inputs[source].dims, inputs[source].dtype)


@every_kernel
def test_the_definition_takes_inputs_and_attributes(kernel):
    parameters = inspect.signature(numpy_ref.get(kernel.name)).parameters
    assert list(parameters) == [*(o.name for o in kernel.inputs), *kernel.attributes]
    assert {k: p.default for k, p in parameters.items() if p.default is not p.empty} == kernel.attributes
    assert kernel.function.__name__ == kernel.name and kernel.function.__module__.endswith(f".{kernel.row.family}")


@every_kernel
def test_the_definition_has_words_that_are_known(kernel):
    (tree,) = ast.parse(kernel.source).body
    names = [n for n in ast.walk(tree) if isinstance(n, ast.Name)]
    assigned = {n.id for n in names if isinstance(n.ctx, ast.Store)}
    inputs = {o.name for o in kernel.inputs}
    module = {k for k, v in vars(sys.modules[kernel.function.__module__]).items() if isinstance(v, (float, tuple))}
    given = inputs | {*kernel.attributes, *vars(words), *dir(builtins)} | module
    assert {n.id for n in names} - assigned <= given
    # only what the signature says is updated is assigned
    assert assigned & inputs <= set(kernel.updates)
    # nothing in the signature is without effect, but what is only checked
    checked = {name for name, domain in kernel.row.domain.items() if domain == "finite"}
    assert inputs - checked <= {n.id for n in names if isinstance(n.ctx, ast.Load)}


@every_kernel
def test_what_threads_may_share(kernel):
    # parts of a kernel write parts of its outputs, and read parts of what has the dimension
    if kernel.split:
        assert all(o.dims[0] == kernel.split for o in kernel.outputs)
        assert all(kernel.split not in o.dims[1:] for o in kernel.operands)


@every_row
def test_a_loss_says_what_its_mean_counts(row):
    assert (row.family == "loss" and row.differentiable) or row.mean_over is row.sample is None
    if row.sample:
        forward = row.kernels[f"{row.name}_forward"]
        (sample,) = (o for o in forward.results if o.name == row.sample)
        assert row.mean_over in ("elements", "rows")
        # a sum over what is lost at each sample, over how many there are
        inputs = operands(forward, {"batch": 4, "n": 3}, "float64", "ordinary", np.random.default_rng(0)).values()
        results = dict(zip((o.name for o in forward.results), numpy_ref.get(forward.name)(*inputs), strict=True))
        losses = results[sample.name]
        assert row.mean_over == "rows" or "n" in sample.dims
        count = 4 if row.mean_over == "rows" else losses.size
        np.testing.assert_allclose(results["loss"], losses.sum() / count)


@pytest.mark.parametrize("backend", ["numpy", "cython"])
def test_labels_and_indexes_out_of_range_have_an_error_of_their_own(backend):
    p = np.full((2, 3), 1 / 3)
    for labels in ([0, 3], [-1, 0]):
        with pytest.raises(OutOfRangeError, match="sparse_categorical_cross_entropy_forward: an index or label"):
            kernels.sparse_categorical_cross_entropy_forward(p, labels, backend=backend)
    for rows in ([[0.5]], [[2.0]], [[-1.0]], [[np.nan]], [[np.inf]]):
        with pytest.raises(OutOfRangeError):
            kernels.embedding_forward(rows, [[1.0], [2.0]], backend=backend)
    with pytest.raises(NotFiniteError, match="the loss is not finite"):
        kernels.check_finite(np.nan, backend=backend)
    assert issubclass(OutOfRangeError, IndexError) and issubclass(NotFiniteError, FloatingPointError)


def test_families_are_the_modules():
    here = os.path.dirname(table.__file__)
    assert {name[:-3] for name in os.listdir(here) if name.endswith(".py")} == {*FAMILIES, "__init__", "row", "windows"}


def test_sizes():
    product, relu, sgd = KERNELS["matmul_tn"], KERNELS["relu_backward"], KERNELS["sgd_update"]
    assert product.dims == ("k", "m", "n")
    assert product.sizes([(3, 2), (3, 5), (2, 5)]) == {"k": 3, "m": 2, "n": 5}
    assert list(product.sizes([(3, 2), (3, 5), None])) == ["k", "m", "n"]
    assert product.sizes([(3, 2), None, None]) == {"k": 3, "m": 2}
    assert relu.sizes([(2, 3), (6,), None]) == {"n": 6}
    assert sgd.sizes([(0,), (0,), (1,)]) == {"n": 0}
    assert KERNELS["check_finite"].sizes([()]) == {}


@pytest.mark.parametrize(
    ("name", "shapes", "message"),
    [
        ("matmul_nn", [(3, 2), (3, 5), None], "matmul_nn: b[k,n] has shape (3, 5); a says k is 2"),
        ("matmul_nn", [(3, 2), (2, 5), (3, 4)], "matmul_nn: y[m,n] has shape (3, 4); b says n is 5"),
        ("matmul_nn", [(3,), None, None], "matmul_nn: a has shape (3,); it must be a[m,k]"),
        ("relu_backward", [(2, 3), (5,), None], "relu_backward: y[n] has shape (5,); dy says n is 6"),
        ("sgd_update", [(2,), (2,), (2,)], "sgd_update: lr[1]:f8 has shape (2,)"),
        ("check_finite", [(1,)], "check_finite: loss has shape (1,); it must be loss[]"),
    ],
)
def test_sizes_that_disagree_name_the_operands(name, shapes, message):
    with pytest.raises(ValueError) as caught:
        KERNELS[name].sizes(shapes)
    assert str(caught.value) == message


def test_sizes_need_a_shape_for_each_operand():
    with pytest.raises(ValueError):
        KERNELS["matmul_nn"].sizes([(3, 2)])


def test_shape():
    product, relu = KERNELS["matmul_nt"], KERNELS["relu_forward"]
    y = product.outputs[0]
    assert product.shape(y, {"m": 2, "k": 3, "n": 5}) == (2, 5)
    assert relu.shape(relu.outputs[0], {"n": 6}) == (6,)
    assert relu.shape(relu.outputs[0], {"n": 6}, like=(2, 3)) == (2, 3)
    loss = KERNELS["mean_squared_error_forward"].outputs[1]
    assert KERNELS["mean_squared_error_forward"].shape(loss, {"n": 6}, like=(6,)) == ()
    power = KERNELS["adam_advance"].outputs[0]
    assert KERNELS["adam_advance"].shape(power, {}) == (2,)


def test_a_kernel_reads_its_signature():
    signature = "x[batch,n], step[2]:f8, i[]:i8 -> x[batch,n], y[n]"
    kernel = Kernel("try", TABLE["relu"], signature, inplace=["y=x"], work=["y"])
    assert [o.name for o in kernel.operands] == ["x", "step", "i", "y"]
    assert [o.dims for o in kernel.operands] == [("batch", "n"), (2,), (), ("n",)]
    assert [o.dtype for o in kernel.operands] == ["real", "f8", "i8", "real"]
    assert kernel.dims == ("batch", "n")
    assert kernel.updates == ("x",)
    assert kernel.inplace == (("y", "x"),)
    assert [o.name for o in kernel.outputs] == ["x", "y"]
    assert [o.name for o in kernel.results] == ["x"]
    assert kernel.function is None and kernel.source == ""


def test_saved_is_what_backward_reads():
    assert TABLE["relu"].saved == ("y",)
    assert TABLE["identity"].saved == ()
    assert TABLE["softmax_cross_entropy"].saved == ("probabilities", "y_true")
    assert TABLE["relu"].differentiable
    assert not TABLE["sgd"].differentiable


def test_lengths_follow_from_others():
    row = Row(
        "window", "data", attributes={"stride": 2.0}, lengths={"m": lambda n, k, stride: (n - k) // stride + 1},
        source="here",
    )  # fmt: skip
    row.kernel("x[batch,n], w[k] -> y[batch,m]")(lambda x, w, stride: x)
    (kernel,) = row.kernels.values()
    assert kernel.sizes([(3, 9), (3,), None]) == {"batch": 3, "n": 9, "k": 3, "m": 4}
    sizes = kernel.sizes([(3, 9), (3,), None], {"stride": 3.0})
    assert sizes == {"batch": 3, "n": 9, "k": 3, "m": 3} and type(sizes["m"]) is int
    assert kernel.shape(kernel.outputs[0], sizes) == (3, 3)
    assert kernel.sizes([(3, 9), (3,), (3, 3)], {"stride": 3.0}) == sizes
    # what is not known yet leaves others open
    assert kernel.sizes([(3, 9), None, None]) == {"batch": 3, "n": 9}
    with pytest.raises(ValueError, match="y says m is 5; it is 4, as n is 9, k is 3, stride is 2"):
        kernel.sizes([(3, 9), (3,), (3, 5)])
    with pytest.raises(ValueError, match="m would be -1, as n is 2, k is 7, stride is 3"):
        kernel.sizes([(3, 2), (7,), None], {"stride": 3.0})


def test_lengths_that_follow_from_the_batch():
    row = Row(
        "repeat", "data", attributes={"times": 2.0}, lengths={"m": lambda batch, times: int(times) * batch}, source=""
    )
    row.kernel("x[batch,n] -> y[m,n]")(lambda x, times: x)
    (kernel,) = row.kernels.values()
    assert kernel.sizes([(BATCH, 4), None], {"times": 3.0}) == {"batch": BATCH, "n": 4, "m": 3 * BATCH}
    assert kernel.sizes([(5 * BATCH, 4), (10 * BATCH, 4)])["m"] == 10 * BATCH
    with pytest.raises(ValueError, match=r"y says m is 9\*batch; it is 2\*batch, as batch is batch, times is 2"):
        kernel.sizes([(BATCH, 4), (9 * BATCH, 4)])


def test_cost():
    assert KERNELS["matmul_tn"].cost({"k": 3, "m": 2, "n": 5}) == 30
    assert KERNELS["dense"].cost({"batch": 2, "k": 3, "n": 5}, {"relu": 1.0}) == 30
    # it moves rows, as many as there are
    assert KERNELS["gather"].cost({"rows": 3, "n": 2, "batch": 5}) == 0


def test_bounds_of_attributes():
    row = Row("half", "activation", attributes={"a": 0.5}, bounds={"a": Bound("below 1", lambda a: a < 1)}, source="-")
    row.check("a", "a", 0.5)
    with pytest.raises(ValueError, match=r"^the slope is 2; it must be below 1$"):
        row.check("the slope", "a", 2)
    with pytest.raises(ValueError, match=r"^celu_forward: alpha is 0.0; it must be other than 0$"):
        kernels.celu_forward([1.0], alpha=0)
    with pytest.raises(ValueError, match=r"^dropout_forward: rate is 1.0; it must be in \[0, 1\)$"):
        kernels.dropout_forward([1.0], [0.5], rate=1)


def test_suggest():
    assert suggest("relu_forwrd", KERNELS) == "; did you mean 'relu_forward'?"
    assert suggest("RELU_FORWARD", KERNELS) == "; did you mean 'relu_forward'?"
    assert suggest("qqqq", KERNELS) == ""
    assert suggest(7, KERNELS) == ""
