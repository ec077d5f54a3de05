"""The table is complete and says the same as the definitions; its signatures and sizes."""

import ast
import builtins
import importlib
import inspect
import os
import subprocess
import sys

import pytest

from fastbp.kernels import numpy_ref, table
from fastbp.kernels.pointwise import is_pointwise
from fastbp.kernels.table import FAMILIES, KERNELS, ROWS, STATUS, Kernel, suggest

DOMAINS = {
    "probability", "binary", "sign", "one_hot", "label", "index", "group", "power", "nonnegative", "generator",
    "uniform",
}  # fmt: skip
every_kernel = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
every_row = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)


def definition(kernel):
    return numpy_ref.get(kernel.name)


def test_needs_the_standard_library_only():
    # -I and -S leave site-packages out: tools read the table of a commit that they cannot build
    code = f"import runpy; print(len(runpy.run_path({table.__file__!r})['KERNELS']))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == str(len(KERNELS)), done.stderr
    with open(table.__file__) as file:
        nodes = list(ast.walk(ast.parse(file.read())))
    names = {a.name.split(".")[0] for n in nodes if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module.split(".")[0] for n in nodes if isinstance(n, ast.ImportFrom) and not n.level}
    assert names <= sys.stdlib_module_names


@every_row
def test_row_is_complete(row):
    assert ROWS[row.name] is row
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


@every_row
def test_forward_has_its_backward(row):
    forward = row.kernels.get(f"{row.name}_forward")
    assert row.differentiable == (forward is not None)
    if forward:
        known = {o.name: o for o in forward.operands}
        backward = row.kernels[f"{row.name}_backward"]
        assert set(row.saved) <= set(known)
        for operand in backward.operands:
            if operand.name != "scratch":
                like = known.get(operand.name) or known[operand.name.removeprefix("d")]
                assert (operand.dims, operand.dtype) == (like.dims, like.dtype)
        # a loss starts the chain, every other row continues it
        assert (row.family == "loss") == (not any(o.name.startswith("d") for o in backward.inputs))


@every_kernel
def test_signature(kernel):
    assert kernel.signature.split(" -> ")[0].split("], ") != [""]
    names = [o.name for o in kernel.operands]
    assert len(set(names)) == len(names) <= 16
    assert names[: len(kernel.inputs)] == [o.name for o in kernel.inputs]
    assert {o.dtype for o in kernel.operands} <= {"real", "i8", "f8"}
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
def test_expression_assigns_every_output(kernel):
    nodes = [n for n in ast.walk(ast.parse(kernel.expression)) if isinstance(n, ast.Name)]
    assigned = {n.id for n in nodes if isinstance(n.ctx, ast.Store)}
    assert {o.name for o in kernel.outputs} <= assigned
    inputs = {o.name for o in kernel.inputs}
    given = inputs | set(kernel.attributes) | set(vars(numpy_ref.common))
    assert {n.id for n in nodes} - assigned - given <= set(dir(builtins))
    # only what the signature says is updated is assigned
    assert assigned & inputs <= set(kernel.updates)
    # nothing in the signature is without effect, scratch excepted, which is an output
    read = {n.id for n in nodes if isinstance(n.ctx, ast.Load)}
    assert inputs <= read


@every_kernel
def test_definition_takes_inputs_and_attributes(kernel):
    parameters = inspect.signature(definition(kernel)).parameters
    assert list(parameters) == [*(o.name for o in kernel.inputs), *kernel.attributes]
    assert {k: p.default for k, p in parameters.items() if p.default is not p.empty} == kernel.attributes


@pytest.mark.parametrize("family", FAMILIES)
def test_family_defines_nothing_else(family):
    module = importlib.import_module(f"{numpy_ref.__name__}.{family}")
    functions = [f for f in vars(module).values() if inspect.isfunction(f) and f.__module__ == module.__name__]
    defined = {f.__name__ for f in functions if f.__name__[0] != "_"}
    by_hand = {k for k, kernel in KERNELS.items() if kernel.row.family == family and not is_pointwise(kernel)}
    assert defined == by_hand


def test_families_are_the_modules():
    here = os.path.dirname(numpy_ref.__file__)
    assert {name[:-3] for name in os.listdir(here) if name.endswith(".py")} == {*FAMILIES, "__init__", "common"}


def test_status():
    assert sorted(STATUS) == [1, 2]
    assert all(STATUS.values())


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
    kernel = Kernel("try", ROWS["relu"], "x[batch,n], step[2]:f8, i[]:i8 -> x[batch,n], y[n]", "", ["y=x"])
    assert [o.name for o in kernel.operands] == ["x", "step", "i", "y"]
    assert [o.dims for o in kernel.operands] == [("batch", "n"), (2,), (), ("n",)]
    assert [o.dtype for o in kernel.operands] == ["real", "f8", "i8", "real"]
    assert kernel.dims == ("batch", "n")
    assert kernel.updates == ("x",)
    assert kernel.inplace == (("y", "x"),)


def test_saved_is_what_backward_reads():
    assert ROWS["relu"].saved == ("y",)
    assert ROWS["identity"].saved == ()
    assert ROWS["softmax_cross_entropy"].saved == ("probabilities", "y_true")
    assert ROWS["relu"].differentiable
    assert not ROWS["sgd"].differentiable


def test_suggest():
    assert suggest("relu_forwrd", KERNELS) == "; did you mean 'relu_forward'?"
    assert suggest("RELU_FORWARD", KERNELS) == "; did you mean 'relu_forward'?"
    assert suggest("qqqq", KERNELS) == ""
    assert suggest(7, KERNELS) == ""
