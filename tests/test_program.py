"""Programs: building, the static check, the memory plan, the listing, and looking inside."""

import itertools
import pickle
import tracemalloc
from functools import partial

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

from fastbp import (
    Activation,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Input,
    LayerNorm,
    MaxPooling2D,
    Model,
    Reshape,
    Sequential,
    gradient_check,
    kernels,
)
from fastbp.backends import make_executor
from fastbp.compiler import compile_evaluation, compile_prediction, compile_training
from fastbp.data import Given
from fastbp.initializers import Ones
from fastbp.kernels import load, numpy_ref
from fastbp.kernels.table import KERNELS
from fastbp.layers import Layer, ParameterSpec
from fastbp.program import BATCH, ROWS, Length, Program, ProgramError
from fastbp.program.passes import PASSES, fuse_add, fuse_norm, fuse_relu, join_loss, remake_normal, share_calls

ALL_BACKENDS = ("numpy", *BACKENDS)
every_backend = pytest.mark.parametrize("backend", ALL_BACKENDS)

#: (widths, activations), loss, targets, optimizer: from the smallest to wide, deep, narrow in the middle.
NETWORKS = {
    "1-1": ((1, 1), ("identity",), "mse", "sgd"),
    "relu": ((64, 32, 10), ("relu", "identity"), "sparse_categorical_crossentropy", "adam"),
    "deep": ((7, 19, 5, 31, 3, 11, 2), ("tanh", "relu", "sigmoid", "softmax", "identity", "softmax"),
             "categorical_crossentropy", "adam"),
    "waist": ((40, 1, 40), ("sigmoid", "sigmoid"), "binary_crossentropy", "sgd"),
    "growing": ((2, 8, 64, 512), ("relu", "tanh", "softmax"), "sparse_categorical_crossentropy", "sgd"),
}  # fmt: skip
every_network = pytest.mark.parametrize("name", NETWORKS)


def model_of(name, backend="numpy", dtype="float32"):
    widths, activations, loss, optimizer = NETWORKS[name]
    layers = [Dense(n, activation=a) for n, a in zip(widths[1:], activations, strict=True)]
    model = Sequential(layers, input_shape=widths[0], seed=0)
    metrics = [] if loss == "mse" else ["accuracy"]
    model.compile(optimizer, loss, metrics=metrics, backend=backend, dtype=dtype)
    return model


def data_of(model, rows=50):
    rng = np.random.default_rng(1)
    n_in, n_out = model.layout.input_shape[0], model.layout.output_shape[0]
    x, labels = rng.normal(size=(rows, n_in)), rng.integers(n_out, size=rows)
    return x, labels if model.loss_function.targets == "labels" else np.eye(n_out)[labels]


def programs(name):
    """Return the programs of a network: of a training, with and without the stop, an evaluation, a prediction."""
    model = model_of(name)
    common = model.layout, model.heads
    return [
        compile_training(*common, model.optimizer, "float32").program,
        compile_training(*common, model.optimizer, "float64", stop_on_nan=False, metrics=False).program,
        compile_evaluation(*common, "float32").program,
        compile_prediction(model.layout, "float64").program,
    ]


def dense(batch=BATCH):
    """Return a small program by hand and its buffers: y = relu(x @ w + b)."""
    program = Program("float32")
    x = program.buffer("x", (batch, 4), role="input")
    w = program.buffer("w", (4, 3), role="parameter")
    b = program.buffer("b", (3,), role="parameter")
    z = program.call("matmul_nn", x, w, layer="dense")
    z = program.call("bias_forward", z, b, layer="dense")
    y = program.call("relu_forward", z, layer="dense")
    return program, x, w, b, y


# -------------------------------------------------------------------------------------- building
def test_calls_and_shapes_by_hand():
    program, x, w, b, y = dense()
    assert [call.kernel.name for call in program.calls] == ["matmul_nn", "bias_forward", "relu_forward"]
    assert y.shape == (BATCH, 3) and y.role == "temporary" and y.resolve(7) == (7, 3) and y.size(7) == 21
    product = program.calls[0]
    assert product.reads == (x, w) and product.sizes(7) == {"m": 7, "k": 4, "n": 3}
    assert product.affine_sizes() == [(0, 1), (4, 0), (3, 0)]
    assert program.calls[2].affine_sizes() == [(0, 3)]
    assert program.nbytes(y, 5) == 60 and program.find("b") is b
    with pytest.raises(KeyError, match=r"did you mean 'dense.y'"):
        program.find("dense.yy")
    program.verify(program.plan(9))


def test_sizes_are_affine_in_the_batch():
    for name in NETWORKS:
        for program in programs(name):
            for call in program.calls:
                for batch in (1, 2, 31, 1000):
                    affine = [fixed + per_row * batch for fixed, per_row in call.affine_sizes(rows=77)]
                    assert affine == list(call.sizes(batch, 77).values()), repr(call)


def test_another_shape_of_a_buffer_is_the_same_memory():
    program, _x, _w, _b, y = dense()
    n = len(program.buffers)
    flat = y.reshaped((BATCH, 3, 1)).reshaped((BATCH, 1, 3))
    assert flat.shape == (BATCH, 1, 3) and flat.number == y.number and flat.root is y and len(program.buffers) == n
    flat.role = "result"
    assert y.role == flat.role == "result"
    y.role = "temporary"
    assert flat.role == "temporary"
    for shape in ((BATCH, 4), (3,), (3, BATCH, BATCH)):
        with pytest.raises(ProgramError, match=r"dense.y\[batch, 3\] cannot be dense.y\["):
            y.reshaped(shape)


def test_plan_and_check_see_through_shapes():
    program = Program("float32")
    x = program.buffer("x", (BATCH, 2, 6), role="input")
    a = program.buffer("a", (BATCH, 12))
    unwritten = Program("float32")
    unwritten.call("relu_forward", unwritten.buffer("z", (BATCH, 4)).reshaped((BATCH, 2, 2)))
    with pytest.raises(ProgramError, match=r"z\[batch, 4\] is read before it is written"):
        unwritten.verify()
    # written in one shape and read in another, long after
    program.call("tanh_forward", x, into={"y": a.reshaped((BATCH, 2, 6))})
    b = program.call("sigmoid_forward", x, layer="b")
    c = program.call("tanh_backward", b.reshaped((BATCH, 12)), a.reshaped((BATCH, 12)), layer="c")
    d = program.call("tanh_backward", c.reshaped((BATCH, 3, 4)), a.reshaped((BATCH, 3, 4)), layer="d")
    plan = program.plan(5)
    assert set(plan.offsets) == {a, b, c, d}
    assert plan.offsets[a] != plan.offsets[b] == plan.offsets[c] == plan.offsets[d]
    program.verify(plan)
    plan.offsets[b] = plan.offsets[a]
    with pytest.raises(ProgramError, match=r"b.y\[batch, 2, 6\] would overwrite a\[batch, 12\]"):
        program.verify(plan)
    with pytest.raises(ProgramError, match="w and dw may not be one buffer"):
        w = program.buffer("w", (2, 6), role="parameter")
        lr = program.buffer("lr", (1,), "f8", role="state")
        program.call("sgd_update", w, w.reshaped((12,)), lr)
        program.verify()


def test_a_call_that_cannot_be():
    program, x, w, _b, y = dense()
    calls, buffers = list(program.calls), list(program.buffers)
    with pytest.raises(ProgramError, match="matmul_nn takes 2 inputs, got 1"):
        program.call("matmul_nn", x)
    with pytest.raises(ProgramError, match="no attribute 'epss'; did you mean 'eps'"):
        program.call("binary_cross_entropy_forward", y, y, epss=1.0)
    with pytest.raises(ValueError, match=r"matmul_nn: b.*says k is"):
        program.call("matmul_nn", x, b_of(program, 5))
    with pytest.raises(KeyError):
        program.call("matmul", x, w)
    with pytest.raises(ProgramError, match="tanh_forward makes no 'z', which into has; it makes y"):
        program.call("tanh_forward", x, into={"z": y})
    with pytest.raises(ProgramError, match="tanh_forward makes no 'x'"):
        program.call("tanh_forward", x, into={"x": y})
    with pytest.raises(ProgramError, match="sgd_update makes no 'w', which into has; it makes nothing"):
        program.call("sgd_update", w, w, program.buffer("lr", (1,), "f8", "state"), into={"w": w})
    assert program.calls == calls and program.buffers[: len(buffers)] == buffers


def b_of(program, n):
    return program.buffer("other", (n, 3), role="parameter")


def test_phases_and_the_point_of_no_return():
    program = model_of("relu").program
    phases = [call.phase for call in program.calls]
    assert list(dict.fromkeys(phases)) == ["gather", "forward", "loss", "backward", "update"]
    assert phases == sorted(phases, key=["gather", "forward", "loss", "backward", "update"].index)
    assert program.commit == phases.index("update")
    # before that point nothing that lasts is written
    for call in program.calls[: program.commit]:
        assert not any(b.role in ("parameter", "state") for b in call.writes), repr(call)
    assert program.span("gather") == (0, 2) and program.span("update")[1] == len(phases)
    assert dense()[0].commit == 3 and dense()[0].span("update") == (0, 0)


def test_parameters_are_one_array_and_so_are_gradients():
    model = model_of("deep")
    program = model.program
    for role, flat in (("parameter", "parameters"), ("gradient", "gradients")):
        pieces = [b for b in program.buffers if b.role == role and b.parent is not None]
        assert all(b.parent is program.find(flat) for b in pieces)
        ends = [(b.offset, b.offset + b.size(1)) for b in pieces]
        assert ends[0][0] == 0 and ends[-1][1] == model.count_params()
        assert all(a[1] == b[0] for a, b in itertools.pairwise(ends))


def test_the_first_layer_needs_no_input_gradient():
    program = model_of("relu").program
    assert sum(call.kernel.name == "matmul_nt" for call in program.calls) == 1


@every_network
def test_every_program_verifies(name):
    for program in programs(name):
        for batch in (1, 2, 33):
            program.verify(program.plan(batch))
            program.verify(program.plan(batch, keep=True))


# ---------------------------------------------------------------------- rules, each broken once
def test_read_before_written():
    program, _x, *_ = dense()
    ghost = program.buffer("ghost", (BATCH, 3))
    program.call("tanh_forward", ghost)
    with pytest.raises(ProgramError, match=r"call 3, tanh_forward.*ghost\[batch, 3\] is read before it is written"):
        program.verify()
    # in the wrong order
    program, *_ = dense()
    program.calls.reverse()
    with pytest.raises(ProgramError, match=r"call 0, relu_forward.*read before"):
        program.verify()


def test_written_again():
    program, _x, w, b, y = dense()
    z = program.calls[0].writes[0]
    program.call("tanh_forward", z, into={"y": y})
    with pytest.raises(
        ProgramError, match=r"call 3, tanh_forward.*dense.y\[batch, 3\] is written again: call 2 wrote dense.y\["
    ):
        program.verify()
    # whether it was read in between makes no difference
    again = program.calls.pop()
    program.call("tanh_forward", y)
    program.calls.append(again)
    with pytest.raises(ProgramError, match=r"call 4, tanh_forward.* is written again"):
        program.verify()
    # calls that read it may change it: they update it, or write in place
    program.calls.pop()
    program.call("bias_forward", y, b, into={"y": y})
    program.call("non_negative", w)
    program.call("non_negative", w)
    program.verify(program.plan(5))


@pytest.mark.parametrize("role", ["gradient", "result", "state", "parameter", "temporary"])
def test_written_again_in_part(role):
    """Views of one array may be written beside each other, not over each other."""
    program = Program("float32")
    x = program.buffer("x", (3,), role="input")
    flat = program.buffer("flat", (9,), role=role)
    parts = {at: program.buffer(f"part{at}", (3,), role=role, parent=flat, offset=at) for at in (0, 2, 3, 6)}
    for at in (6, 0, 3):
        program.call("tanh_forward", x, into={"y": parts[at]})
        program.verify()
    program.call("tanh_forward", x, into={"y": parts[2]})
    with pytest.raises(ProgramError, match=r"call 3, tanh_forward.*part2\[3\] is written again: call 1 wrote part0"):
        program.verify()
    program.calls.pop()
    if role == "gradient":
        # what is written into a gradient again is added
        program.call("tanh_forward", x, into={"y": parts[6]})
        assert program.calls[-1].kernel.name == "add" and program.calls[-1].reads[0] is program.calls[-1].writes[0]
        program.verify()
        return
    program.call("tanh_forward", x, into={"y": parts[6]})
    with pytest.raises(ProgramError, match=r"part6\[3\] is written again: call 0 wrote part6"):
        program.verify()


def test_views_of_temporaries():
    """What lies in a temporary is followed there: it is read where it was written, and lives as long as the whole."""
    program = Program("float32")
    x = program.buffer("x", (BATCH, 2), role="input")
    both = program.buffer("both", (2, BATCH, 2))
    first, second = (program.buffer(f"part{k}", (BATCH, 2), parent=both, offset=k * BATCH * 2) for k in range(2))
    program.call("tanh_forward", x, into={"y": first})
    program.call("relu_forward", both)
    with pytest.raises(ProgramError, match=r"call 1, relu_forward.*part1\[batch, 2\] is read before it is written"):
        program.verify()
    program.calls.pop()
    a = program.call("sigmoid_forward", x, layer="a")
    program.call("tanh_forward", a, into={"y": second})
    y = program.call("relu_forward", both, layer="y")
    late = program.call("tanh_forward", first, layer="late")
    plan = program.plan(7)
    assert set(plan.offsets) == {both, a, y, late}
    program.verify(plan)
    for buffer in (a, y):
        plan.offsets[buffer] = plan.offsets[both]
        with pytest.raises(ProgramError, match="would overwrite"):
            program.verify(plan)
        plan = program.plan(7)
    # a view of a view lies in the same memory
    inner = program.buffer("inner", (1, 2), parent=second, offset=2 * BATCH + (-2))
    assert inner.parent is both and inner.offset == 4 * BATCH + (-2)
    program.call("tanh_forward", inner)
    program.verify(program.plan(7))


def test_views_that_do_not_lie_in_their_parent():
    for parent, view, offset in (
        ((2, BATCH, 3), (BATCH, 3), 10**9),
        ((2, BATCH, 3), (BATCH, 3), -1),
        ((2, BATCH, 3), (BATCH, 3), BATCH * 3 + 1),
        ((3,), (4,), 0),
        ((BATCH,), (5,), 0),
    ):
        program = Program("float32")
        program.buffer("view", view, parent=program.buffer("whole", parent), offset=offset)
        with pytest.raises(ProgramError, match=r"buffer 1, view\[.*it begins at .* and does not lie in whole\["):
            program.verify(program.plan(4))
    program = Program("float32")
    program.buffer("view", (3,), parent=program.buffer("whole", (3,), "i8"))
    with pytest.raises(ProgramError, match=r"view\[3\]: of type real, is a view of whole\[3\] of type i8"):
        program.verify()
    for shape, what in (((-1,), "-1 is negative"), ((Length(10, -1),), "no length"), ((Length(-3, 2),), "is negative")):
        program = Program("float32")
        program.buffer("odd", shape)
        with pytest.raises(ProgramError, match=rf"buffer 0, odd\[.*{what}"):
            program.verify()


def test_buffers_of_another_program():
    program, *_ = dense()
    other = Program("float32")
    program.calls.append(_call(other, "tanh_forward", other.buffer("x", (BATCH, 4), role="input")))
    with pytest.raises(ProgramError, match=r"call 3, tanh_forward.*x\[batch, 4\] is no buffer of this program"):
        program.verify()
    program.calls.pop()
    program.buffer("view", (BATCH,), parent=other.buffers[0])
    with pytest.raises(ProgramError, match=r"view\[batch\]: its parent x\[batch, 4\] is no buffer of this program"):
        program.verify()


def test_read_of_what_is_nothing_for_one_row_only():
    program = Program("float32")
    flat = program.buffer("flat", (BATCH, 3))
    first = program.buffer("first", (1, 3), parent=flat)
    rest = program.buffer("rest", (BATCH - 1, 3), parent=flat, offset=3)
    program.call("tanh_forward", program.buffer("x", (1, 3), role="input"), into={"y": first})
    program.call("relu_forward", rest)
    with pytest.raises(ProgramError, match=r"rest\[-1\+batch, 3\] is read before it is written"):
        program.verify(program.plan(7))


def test_a_view_of_an_input_is_an_input():
    program = Program("float32")
    x = program.buffer("x", (BATCH, 4), role="input")
    program.call("tanh_forward", x, into={"y": program.buffer("view", (BATCH, 4), parent=x)})
    with pytest.raises(ProgramError, match="writes the input view"):
        program.verify()


@every_backend
@pytest.mark.parametrize("name", ["log_softmax_backward", "categorical_hinge_backward"])
def test_a_buffer_that_is_two_inputs(name, backend):
    """The output may lie where one of them does, not where the other does: so not in this buffer."""
    kernel, results = KERNELS[name], []
    for keep in (True, False):
        program = Program("float64")
        x = program.buffer("x", (BATCH, 3), role="input")
        y = program.call("tanh_forward", x)
        others = [
            program.call("bias_backward", program.call("tanh_forward", program.buffer("t", (3, BATCH), role="input")))
        ]
        inputs = [y if len(o.dims) == 2 else others[0] for o in kernel.inputs]
        out = program.call("identity_forward", program.call(name, *inputs))
        out.role = "result"
        executor = make_executor(program, backend, {}, 4, keep)
        rng = np.random.default_rng(0)
        for buffer in program.buffers:
            if buffer.role == "input":
                executor.view(buffer, 4)[...] = rng.normal(size=buffer.resolve(4))
        executor.run((0, len(program.calls)), 4)
        results.append(executor.view(out).copy())
    assert_same_bits(*results)


def test_programs_are_pickled():
    program, *_, y = dense()
    program.call("softmax_forward", y.reshaped((BATCH, 3)), layer="softmax")
    copy = pickle.loads(pickle.dumps(program))
    assert str(copy) == str(program) and copy.calls[3].kernel is KERNELS["softmax_forward"]
    copy.verify(copy.plan(3))


def test_views_that_overlap_for_some_batches_only():
    program = Program("float32")
    flat = program.buffer("flat", (3 * BATCH + 3,))
    x = program.buffer("x", (2,), role="input")
    program.call("tanh_forward", x, into={"y": program.buffer("a", (2,), parent=flat, offset=4)})
    # apart for one row, 1 to 3 of 3, and for many, but not for two: 2 to 4 after 4 to 6, 5 to 7 before
    program.call("tanh_forward", x, into={"y": program.buffer("b", (2,), parent=flat, offset=3 * BATCH + (-2))})
    with pytest.raises(ProgramError, match=r"b\[2\] is written again: call 0 wrote a\[2\]"):
        program.verify(program.plan(9))


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_views_move_with_the_batch(backend):
    """Time steps one after the other in memory: where one begins depends on the rows of the batch."""
    program = Program("float32")
    x = program.buffer("x", (BATCH, 3), role="input")
    steps = program.buffer("steps", (4, BATCH, 3), role="result")
    h = x
    for t in range(4):
        step = program.buffer(f"h{t}", (BATCH, 3), parent=steps, offset=t * BATCH * 3)
        h = program.call("tanh_forward", h, into={"y": step})
    executor = make_executor(program, backend, {}, 11)
    for rows in (11, 5, 1, 8):
        data = np.random.default_rng(rows).normal(size=(rows, 3)).astype("float32")
        executor.bind(x, data)
        executor.run((0, 4), rows)
        expected = [np.tanh(data)]
        for _ in range(3):
            expected.append(np.tanh(expected[-1]))
        assert_same_bits(executor.view(steps), np.stack(expected))
        assert_same_bits(executor.view(program.find("h2")), expected[2])
        # elsewhere
        out = np.full((4, 11, 3), np.nan, "float32")
        executor.bind(steps, out)
        executor.run((0, 4), rows)
        assert_same_bits(out.reshape(-1)[: rows * 12].reshape(4, rows, 3), np.stack(expected))
        executor.bind(steps)
    with pytest.raises(ValueError, match="batch is 12; this executor has memory for 11 rows"):
        executor.run((0, 4), 12)
    with pytest.raises(ValueError, match="batch is 12; this executor has memory for 11 rows"):
        executor.run_steps((0, 4), 24, 12, {})


class Twice(Layer):
    """y = (x * w) * w"""

    parameters = ("w",)

    def build(self, input_shape):
        return [ParameterSpec("w", input_shape, Ones())], input_shape

    def emit(self, program, x, weights, gradients):
        h = program.call("scale_forward", x, weights["w"], layer=self.name)
        y = program.call("scale_forward", h, weights["w"], layer=self.name)

        def backward(dy, need_dx):
            into = {"dgamma": gradients["w"]} if gradients else {}
            dh = program.call("scale_backward", dy, h, weights["w"], layer=self.name, into=into)[0]
            return program.call("scale_backward", dh, x, weights["w"], layer=self.name, into=into)[0]

        return y, backward


@every_backend
def test_a_weight_that_is_used_twice(backend):
    """Its gradient is the sum over both uses, the last one first."""
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    model = Sequential([Dense(3), Twice(), Dense(3)], input_shape=3, seed=0)
    model.compile("sgd", "mse", dtype="float64", backend=backend)
    model.layers[1].w = w = rng.normal(size=3)
    model.forward(x), model.loss(t), model.backward()
    h, dy = model.layers[0].y * w, model.layers[1].dy
    assert_same_bits(model.layers[1].dw, (dy * h).sum(axis=0) + ((dy * w) * model.layers[0].y).sum(axis=0))
    assert gradient_check(model, x, t).ok
    model.fit(x, t, verbose=0)
    names = [call.kernel.name for call in model.program.calls if call.layer == "twice_1"]
    assert names == ["scale_forward"] * 2 + ["scale_backward"] * 2 + ["add"]
    model.program.run(check="numpy")


@every_backend
def test_a_gradient_of_several_uses_in_parts(backend):
    """The same part by several views, and a part of what was made as a whole; what cannot be is refused whole."""
    program = Program("float64")
    x = program.buffer("x", (BATCH, 3), role="input")
    dw = program.buffer("dw", (3,), role="gradient")
    program.call("bias_backward", x, into={"db": program.buffer("one", (3,), role="gradient", parent=dw)})
    program.call("bias_backward", x, into={"db": program.buffer("two", (3,), parent=dw)})
    program.call(
        "bias_backward", x.reshaped((3 * BATCH, 1)), into={"db": program.buffer("part", (1,), parent=dw, offset=1)}
    )
    calls, buffers = list(program.calls), list(program.buffers)
    with pytest.raises(ValueError, match=r"bias_backward: db\[n\] has shape \(3,\); dy says n is 4"):
        program.call("bias_backward", program.buffer("x4", (BATCH, 4), role="input"), into={"db": dw})
    assert program.calls == calls and program.buffers[: len(buffers)] == buffers
    executor = make_executor(program, backend, {}, 5)
    data = np.random.default_rng(0).normal(size=(5, 3))
    executor.bind(x, data)
    executor.run((0, len(program.calls)), 5)
    expected = data.sum(axis=0) + data.sum(axis=0)
    expected[1] += data.reshape(-1, 1).sum(axis=0)[0]
    assert_same_bits(executor.view(dw), expected)


# ------------------------------------------------------------------------------------------- passes
def residual():
    """Return a net whose layers are added to what they take, in different ways."""
    x = h = Input(3)
    for units, activation in ((3, "relu"), (3, None), (3, "tanh"), (3, "relu")):
        h = h + Dense(units, activation=activation)(h)
    return Model(x, Dense(2)(h + Dense(3)(x)), seed=0)


#: What passes shorten and what they leave: layers (or a model), loss, metrics, numerics, dtype, rows.
STEPS = {
    "7-5-4": (
        lambda: [Dense(7, activation="relu"), Dense(5, activation="relu"), Dense(4, activation="sigmoid")],
        "binary_crossentropy", ["precision", "recall", "f1_score"], "numpy", "float32", 9,
    ),
    "16-3": (
        lambda: [Dense(16, activation="relu"), Dense(3)],
        "sparse_categorical_crossentropy", ["accuracy"], "portable", "float32", 32,
    ),
    "17-19-2-1": (
        lambda: [Dense(17, activation="relu"), Dense(19), Activation("relu"), Dense(2, activation="tanh"), Dense(1)],
        "mse", ["mae"], "portable", "float64", 7,
    ),
    "linear": (lambda: [Dense(9), Dense(2)], "sparse_categorical_crossentropy", [], "portable", "float32", 5),
    "1-1": (
        lambda: [Dense(1, activation="relu"), Dense(1, activation="sigmoid")],
        "binary_crossentropy", [], "portable", "float32", 40,
    ),
    "drop": (
        lambda: [Dense(20, activation="relu"), Dropout(0.3, seed=1), Dense(4, "relu", kernel_regularizer="l2"),
                 Dense(3, use_bias=False), LayerNorm(), Dense(2, activation="softmax")],
        "categorical_crossentropy", [], "portable", "float32", 21,
    ),
    "residual": (residual, "huber", [], "portable", "float32", 33),
    "normal": (
        lambda: [Dense(20), BatchNorm(), Activation("relu"), Dense(1), BatchNorm(), Activation("relu"), Dense(4),
                 BatchNorm(), Dense(3), BatchNorm(scale=False), Activation("relu")],
        "huber", [], "portable", "float32", 40,
    ),
    "positions": (
        lambda: [Reshape((3, 2)), Dense(4, activation="relu"), Flatten(), Dense(3, activation="relu"), Dense(1)],
        "huber", [], "portable", "float64", 6,
    ),
    "pooled": (
        lambda: [Reshape((6, 6, 1)), Conv2D(5, 2, activation="relu"), MaxPooling2D(2, strides=1),
                 Conv2D(4, 3, padding="same"), Activation("relu"), MaxPooling2D(2), Conv2D(3, 1, activation="relu"),
                 MaxPooling2D(2), Flatten(), Dense(3)],
        "sparse_categorical_crossentropy", [], "portable", "float32", 7,
    ),
    "large": (
        lambda: [Reshape((64, 64, 1)), Conv2D(32, 1, use_bias=False), BatchNorm(), Activation("relu"),
                 Conv2D(2, 3, strides=3), BatchNorm(), Conv2D(1, 2, strides=4), Flatten(), Dense(2)],
        "huber", [], "portable", "float32", 3,
    ),
}  # fmt: skip
#: How many inputs those have that do not have 3.
INPUTS = {"positions": 6, "pooled": 36, "large": 4096}


def steps_of(name, passes, backend):
    """Return the kernels that some steps call, and all that they leave behind."""
    make, loss, metrics, numerics, dtype, rows = STEPS[name]
    made = make()
    model = Sequential(made, input_shape=INPUTS.get(name, 3), seed=0) if isinstance(made, list) else made
    for k in (0, -1):
        model.layers[k].lr_factor = 0.5
    model.compile("adam", loss, metrics=metrics, backend=backend, numerics=numerics, dtype=dtype)
    engine = model.engine()
    network = compile_training(engine.layout, model.heads, model.optimizer, dtype, numerics, passes=passes)
    executor = make_executor(network.program, backend, engine.shared, rows)
    rng = np.random.default_rng(2)
    n_in, n_out = model.layout.input_shape[0], model.layout.output_shape[0]
    labels = rng.integers(n_out, size=rows)
    y = labels if model.loss_function.takes_integers else np.eye(n_out, dtype=dtype)[labels]
    executor.bind(network.inputs[0], rng.normal(size=(rows, n_in)).astype(dtype))
    executor.bind(network.objectives[0].y_true, y)
    span = network.program.start, len(network.program.calls)
    for _ in range(3):
        executor.run(span, rows)
    results = [executor.view(b).copy() for _, buffers, _ in network.objectives[0].metrics for b in buffers]
    results += [executor.view(network.loss).copy(), *(a.copy() for a in engine.shared.values())]
    network.program.verify(executor.plan)
    return [call.kernel.name for call in network.program.calls], results


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("without", PASSES, ids=lambda p: p.__name__)
def test_a_pass_moves_no_bit(backend, without):
    """Of the same step with and without a pass: fewer calls, or others, the same numbers everywhere."""
    changed = []
    for name in STEPS:
        n, found = steps_of(name, PASSES, backend)
        more, expected = steps_of(name, [p for p in PASSES if p is not without], backend)
        assert len(n) <= len(more) or without is remake_normal
        if n != more:
            changed.append(name)
        for got, want in zip(found, expected, strict=True):
            assert_same_bits(got, want, name)
    assert changed


def narrow(numerics="portable", units=16, outputs=3, dtype="float32"):
    model = Sequential([Dense(units, activation="relu"), Dense(outputs)], input_shape=4, seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy", numerics=numerics, dtype=dtype)
    return model


def calls_of(model, purpose="train", weighted=False):
    """Return the calls of a step between its last layer's output and the update."""
    calls = model.engine().compile(purpose, (Given.WEIGHTS,) if weighted else None).program.calls
    return [call.kernel.name for call in calls if call.phase in ("loss", "backward")]


def test_what_narrow_layers_are_spared():
    loss = [f"sparse_softmax_cross_entropy_{part}" for part in ("forward", "backward", "and_gradient")]
    one_by_one = ["bias_backward", "matmul_tn", "matmul_nt", "relu_backward", "bias_backward", "matmul_tn"]
    assert calls_of(narrow()) == [loss[2], "check_finite", "dense_pair_backward"]
    assert calls_of(narrow(), weighted=True) == [
        loss[2], "weigh_samples", "reduce_loss", "check_finite", "weigh_rows", "dense_pair_backward",
    ]  # fmt: skip
    # somebody looks at the gradients of what the layers return, after loss() and after backward()
    assert calls_of(narrow(), "steps") == [*loss[:2], "dense_backward", *one_by_one[3:]]
    for model in (narrow("numpy"), narrow(outputs=5)):
        assert calls_of(model) == [loss[0], "check_finite", loss[1], *one_by_one]
    assert calls_of(narrow(units=129)) == calls_of(narrow(units=65, dtype="float64")) == [
        loss[2], "check_finite", *one_by_one,
    ]  # fmt: skip
    frozen = narrow()
    frozen.layers[0].trainable = False
    assert calls_of(frozen) == [loss[2], "check_finite", *one_by_one[:2]]


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_normalisation_by_columns_takes_what_follows_it(backend):
    """In training and in prediction: the calls that are left, and the same outputs as of separate layers by hand."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(34, 5)).astype("f4"), rng.normal(size=(34, 2)).astype("f4")
    model = Sequential([Dense(18), BatchNorm(), Activation("relu"), Dense(2)], input_shape=5, seed=0)
    model.compile("sgd", "mse", backend=backend)
    model.fit(x, y, epochs=2, verbose=0)
    train = [call.kernel.name for call in model.engine().compile("train", None).program.calls]
    assert train.count("batch_norm_affine_forward") == train.count("batch_norm_affine_backward") == 1
    assert not {"relu_forward", "relu_backward", "affine_forward"} & {*train}
    predict = [call.kernel.name for call in model.engine().compile("predict", None).program.calls]
    assert "normalize_affine" in predict and not {"normalize", "affine_forward", "relu_forward"} & {*predict}
    first, norm, _, last = model.layers
    normal, _ = kernels.normalize(kernels.dense(x, first.w, first.b), norm.moving_mean, norm.moving_variance)
    h = kernels.relu_forward(kernels.affine_forward(normal, norm.gamma, norm.beta))
    assert_same_bits(model.predict(x), kernels.dense(h, last.w, last.b))


def test_normalisation_leaves_what_others_read():
    def build(program, twice):
        x = program.buffer("x", (BATCH, 3), role="input")
        mean, variance, gamma, beta = (program.buffer(name, (3,), role="parameter") for name in "abcd")
        normal, _ = program.call("normalize", x, mean, variance)
        z = program.call("affine_forward", normal, gamma, beta)
        h = program.call("relu_forward", z)
        y = program.call("add", h, {"normal": normal, "z": z, "": h}[twice])
        y.role = "result"
        return [call.kernel.name for call in program.calls], z

    for twice, left in (("normal", 4), ("z", 3), ("", 2)):
        program = Program("float32")
        build(program, twice)
        fuse_norm(program, ())
        assert len(program.calls) == left
        program.verify(program.plan(4))
    program = Program("float32")
    _, z = build(program, "")
    fuse_norm(program, {z})
    assert len(program.calls) == 3


def test_a_loss_is_not_joined_with_another_ones_gradient():
    """Two losses of one output: what is saved, the targets and the factor are those of the one or of the other."""
    program = Program("float32", "portable")
    y, labels = (program.buffer("y", (BATCH, 3), role="input"), program.buffer("labels", (BATCH,), "i8", "input"))
    others = program.buffer("others", (BATCH,), "i8", "input")
    name = "sparse_softmax_cross_entropy"
    p, _, _ = program.call(f"{name}_forward", y, labels)
    program.call(f"{name}_backward", p, others)
    q, _, _ = program.call(f"{name}_forward", y, labels)
    program.call(f"{name}_backward", q, labels, mean=0.0)
    r, _, _ = program.call(f"{name}_forward", y, labels)
    program.call("relu_forward", r)
    program.call(f"{name}_backward", r, labels)
    n = len(program.calls)
    join_loss(program, ())
    assert len(program.calls) == n
    s, *_ = program.call(f"{name}_forward", y, labels)
    dy = program.call(f"{name}_backward", s, labels)
    join_loss(program, {dy})
    assert len(program.calls) == n + 2
    join_loss(program, ())
    assert len(program.calls) == n + 1 and program.calls[-1].kernel.name == f"{name}_and_gradient"
    program.verify(program.plan(4))


def test_steps_by_hand_have_every_gradient_of_a_narrow_net():
    rng, model = np.random.default_rng(0), narrow()
    x, labels = rng.normal(size=(9, 4)).astype("f4"), rng.integers(3, size=9)
    model.forward(x)
    model.loss(labels)
    model.backward()
    first, last = model.layers
    dy = kernels.matmul_nt(last.dy, last.w, numerics="portable")
    assert_same_bits(first.dy, dy)
    dz = kernels.relu_backward(dy, first.y)
    assert_same_bits(first.dw, kernels.matmul_tn(x, dz, numerics="portable"))
    assert_same_bits(first.db, kernels.bias_backward(dz, numerics="portable"))


@every_backend
def test_passes_leave_alone_what_views_show(backend):
    """A view of what lies between, or of what takes its place, and outputs that are updated later."""
    rng = np.random.default_rng(0)
    data, w3 = rng.normal(size=(4, 5)).astype("f4"), rng.normal(size=(5, 3)).astype("f4")

    def between(program, x, w, b):
        z = program.call("dense", x, w, b, layer="a")
        h = program.call("relu_forward", z, layer="a")
        g = program.call("tanh_forward", program.buffer("v", (BATCH, 3), parent=z), layer="a")
        return program.call("add", g, h, layer="a")

    def behind(program, x, w, b):
        y = program.call("relu_forward", program.call("dense", x, w, b, layer="a"), layer="a")
        return program.call("tanh_forward", program.buffer("v", (BATCH, 3), parent=y), layer="a")

    def updated(program, x, w, b, which):
        z = program.call("dense", x, w, b, layer="a")
        both = []
        for k in range(2):
            a = program.call("tanh_forward", z, layer="a")
            if k == which:
                program.call("bias_forward", a, b, layer="a", into={"y": a})
            both.append(a)
        return program.call("add", *both, layer="a")

    def shared(program, x, w, b):
        z = program.call("dense", x, w, b, layer="a")
        first, second = (program.call("tanh_forward", z, layer="a") for _ in range(2))
        return program.call("add", first, program.buffer("v", (BATCH, 3), parent=second), layer="a")

    for build in (between, behind, partial(updated, which=0), partial(updated, which=1), shared):
        results = []
        for passes in ((), PASSES):
            program = Program("float32")
            x = program.buffer("x", (BATCH, 5), role="input")
            w, b = program.buffer("w", (5, 3), role="parameter"), program.buffer("b", (3,), role="parameter")
            y = build(program, x, w, b)
            y.role = "result"
            for shorten in passes:
                shorten(program, ())
            executor = make_executor(program, backend, {"w": w3, "b": np.arange(3, dtype="f4")}, 4)
            executor.bind(x, data)
            executor.run((0, len(program.calls)), 4)
            results.append(executor.view(y).copy())
        assert_same_bits(*results)


#: Products and an addition behind them: what is made of x, w, b, v (the square w), and the calls that are left.
ADDITIONS = {
    "behind a dense layer": (lambda call, x, w, b, c: call("add", call("dense", x, w, b), c), ["dense_add"]),
    "in front": (lambda call, x, w, b, c: call("add", c, call("dense", x, w, b)), ["dense_add"]),
    "behind a relu": (
        lambda call, x, w, b, c: call("add", call("relu_forward", call("dense", x, w, b)), c), ["dense_add"],
    ),
    "of two layers": (
        lambda call, x, w, b, c: call("add", call("dense", x, w, b), call("dense", c, w, b)), ["dense", "dense_add"],
    ),
    "of what others read": (
        lambda call, x, w, b, c: call("multiply", h := call("dense", x, w, b), call("add", h, c)),
        ["dense_add_both", "multiply"],
    ),
    "later, of what others read": (
        lambda call, x, w, b, c: call("add", h := call("dense", x, w, b), call("multiply", h, c)),
        ["dense", "multiply", "add"],
    ),
    "behind a call that reads it": (
        lambda call, x, w, b, c: [h := call("dense", x, w, b), call("tanh_forward", h), call("add", h, c)][-1],
        ["dense", "tanh_forward", "add"],
    ),
    "behind another call": (
        lambda call, x, w, b, c: [h := call("dense", x, w, b), call("tanh_forward", c), call("add", h, c)][-1],
        ["dense_add", "tanh_forward"],
    ),
    "twice the same": (lambda call, x, w, b, c: call("add", h := call("dense", x, w, b), h), ["dense", "add"]),
    "a gradient": (lambda call, x, w, b, c: call("add", c, call("matmul_nt", x, w)), ["matmul_nt_add"]),
    "a gradient that others read": (
        lambda call, x, w, b, c: call("multiply", h := call("matmul_nt", x, w), call("add", h, c)),
        ["matmul_nt", "add", "multiply"],
    ),
    "other shapes": (
        lambda call, x, w, b, c: call(
            "add", call("dense", x, w, b).reshaped((BATCH, 2, 3)), c.reshaped((BATCH, 2, 3))
        ).reshaped((BATCH, 6)),
        ["dense_add"],
    ),
    "one after the other": (
        lambda call, x, w, b, c: call("add", h := call("add", call("dense", x, w, b), c), call("dense", h, w, b)),
        ["dense_add", "dense_add"],
    ),
    "what changes": (
        lambda call, x, w, b, c: [
            h := call("dense", x, w, b), d := call("tanh_forward", c), call("bias_forward", d, b, into={"y": d}),
            call("add", h, d),
        ][-1],
        ["dense", "tanh_forward", "bias_forward", "add"],
    ),
    "what changes behind the product": (
        lambda call, x, w, b, c: [
            d := call("tanh_forward", c), h := call("dense", x, w, b), call("bias_forward", d, b, into={"y": d}),
            call("add", h, d),
        ][-1],
        ["tanh_forward", "dense", "bias_forward", "add"],
    ),
}  # fmt: skip


@every_backend
@pytest.mark.parametrize("numerics", ["numpy", "portable"])
@pytest.mark.parametrize("case", ADDITIONS)
def test_an_addition_joins_the_product_before_it(case, numerics, backend):
    build, left = ADDITIONS[case]
    rng, results = np.random.default_rng(0), []
    shared = {"w": rng.normal(size=(6, 6)).astype("f4"), "b": rng.normal(size=6).astype("f4")}
    data = [rng.normal(size=(9, 6)).astype("f4") for _ in range(2)]
    for passes in ((fuse_relu,), (fuse_relu, fuse_add)):
        program = Program("float32", numerics)
        x, c = (program.buffer(name, (BATCH, 6), role="input") for name in "xc")
        w, b = program.buffer("w", (6, 6), role="parameter"), program.buffer("b", (6,), role="parameter")
        y = build(partial(program.call, layer="a"), x, w, b, c)
        y.role = "result"
        for shorten in passes:
            shorten(program, ())
        program.verify(program.plan(9))
        executor = make_executor(program, backend, shared, 9)
        for buffer, array in zip((x, c), data, strict=True):
            executor.bind(buffer, array)
        executor.run((0, len(program.calls)), 9)
        results.append(executor.view(y).copy())
    assert_same_bits(*results)
    assert [call.kernel.name for call in program.calls] == left


def test_additions_that_stay():
    program = Program("float32")
    x, c = (program.buffer(name, (BATCH, 6), role="input") for name in "xc")
    w, b = program.buffer("w", (6, 6), role="parameter"), program.buffer("b", (6,), role="parameter")
    # somebody looks at what lies between: there is a kernel that keeps it, of the products of gradients there is none
    h, d = program.call("dense", x, w, b), program.call("matmul_nt", x, w)
    program.call("add", d, h)
    fuse_add(program, {d})
    assert len(program.calls) == 3
    program.calls[-1].phase = "backward"
    fuse_add(program, ())
    assert len(program.calls) == 3
    program.calls[-1].phase = "forward"
    fuse_add(program, ())
    assert [call.kernel.name for call in program.calls] == ["dense", "matmul_nt_add"]
    h = program.call("dense", x, w, b)
    program.call("add", h, c)
    fuse_add(program, {h})
    assert program.calls[-1].kernel.name == "dense_add_both" and program.calls[-1].buffers[4] is h
    # into what is a part of something, and a gradient that has a contribution
    both = program.buffer("both", (2 * BATCH, 6))
    part = program.buffer("part", (BATCH, 6), parent=both)
    program.call("add", program.call("dense", x, w, b), c, into={"y": part})
    program.call("add", program.call("dense", x, w, b), c, into={"y": program.buffer("g", (BATCH, 6), role="gradient")})
    # of a part, and of what the sum takes the place of
    twice = program.call("dense", program.buffer("xx", (2 * BATCH, 6), role="input"), w, b)
    program.call("add", program.buffer("half", (BATCH, 6), parent=twice), c)
    d = program.call("tanh_forward", c)
    program.call("add", d, program.call("dense", x, w, b), into={"y": d})
    n = len(program.calls)
    fuse_add(program, ())
    assert len(program.calls) == n


def test_what_no_pass_may_take():
    program, _x, _w, _b, y = dense()
    x, w, b = program.find("x"), program.find("w"), program.find("b")
    z = program.call("dense", x, w, b, layer="a")
    program.call("relu_forward", z, layer="a")
    # somebody reads what lies between, or looks at it
    program.call("tanh_forward", z, layer="a")
    kept = program.call("dense", x, w, b, layer="b")
    program.call("relu_forward", kept, layer="b")
    n = len(program.calls)
    fuse_relu(program, {kept})
    assert len(program.calls) == n
    kept.role = "result"
    fuse_relu(program, ())
    assert len(program.calls) == n
    kept.role = "temporary"
    fuse_relu(program, ())
    assert len(program.calls) == n - 1 and program.calls[-1].attributes == {"relu": 1.0}
    # equal calls of two layers; of one layer, but of numbers that change in between
    program.call("tanh_forward", y, layer="c")
    program.call("tanh_forward", y, layer="d")
    program.call("tanh_forward", w, layer="d")
    program.call("non_negative", w, layer="d")
    program.call("tanh_forward", w, layer="d")
    n = len(program.calls)
    share_calls(program, ())
    assert len(program.calls) == n
    again = program.call("tanh_forward", y, layer="d")
    after = program.call("relu_forward", again, layer="d")
    share_calls(program, ())
    assert len(program.calls) == n + 1 and after.name == "d.y"
    assert program.calls[-1].reads == (program.calls[n - 4].writes) and again.root is program.calls[n - 4].writes[0]
    assert [buffer.number for buffer in program.buffers] == list(range(len(program.buffers)))
    program.verify(program.plan(4))


# ------------------------------------------------------------------------------------------- lengths
def test_lengths():
    assert 3 * BATCH == BATCH * 3 == Length(0, 3) and BATCH * 0 == 0 and (2 * BATCH + 1) * 2 == Length(2, 4)
    assert BATCH + BATCH * 2 + 1 + 1 == Length(2, 3) and Length(1, 2) + Length(1, -2) == 2
    assert [repr(n) for n in (BATCH, ROWS, 2 * BATCH, BATCH + 3, 2 * ROWS + 1)] == [
        "batch", "rows", "2*batch", "3+batch", "1+2*rows",
    ]  # fmt: skip
    assert Length(2, 3).at(5, 7) == 17 and (3 * ROWS).at(5, 7) == 21
    assert np.int64(3) * BATCH == BATCH * np.int64(3) == 3 * BATCH and BATCH + np.int64(1) == BATCH + 1
    assert BATCH - 1 == Length(-1, 1) and BATCH * 3 - BATCH == 2 * BATCH
    for wrong in (lambda: BATCH * BATCH, lambda: BATCH * ROWS, lambda: BATCH + ROWS):
        with pytest.raises(ValueError, match=r"evenly|two kinds"):
            wrong()
    with pytest.raises(TypeError):
        _ = BATCH * 1.5


def test_lengths_of_outputs_have_the_slope_of_the_inputs():
    program = Program("float32")
    w = program.buffer("w", (4, 3), role="parameter")
    for length in (BATCH, 5 * BATCH, 2 * BATCH + 1, ROWS, 3 * ROWS, 7):
        y = program.call("matmul_nn", program.buffer("x", (length, 4), role="input"), w)
        assert y.shape == (length, 3)
        flat = program.call("tanh_forward", y.reshaped((length * 3,)))
        assert flat.shape == (length * 3,)
    pictures = program.buffer("pictures", (BATCH, 6, 2, 4), role="input")
    assert program.call("matmul_nn", pictures.reshaped((BATCH * 12, 4)), w).shape == (12 * BATCH, 3)
    assert pictures.matrix().shape == (12 * BATCH, 4) and pictures.matrix(1).shape == (BATCH, 48)
    assert pictures.matrix().root is pictures and w.matrix() is w
    assert program.calls[-1].affine_sizes() == [(0, 12), (4, 0), (3, 0)]
    assert program.calls[-1].sizes(10) == {"m": 120, "k": 4, "n": 3}
    program.verify(program.plan(3))
    with pytest.raises(ProgramError, match=r"pictures\[batch, 6, 2, 4\] cannot be pictures\[11\*batch, 4\]"):
        pictures.reshaped((BATCH * 11, 4))
    with pytest.raises(ProgramError, match="cannot be"):
        pictures.reshaped((ROWS * 12, 4))


# -------------------------------------------------------------------------------------- large programs
def unrolled(steps):
    """Return a recurrence ``h = tanh(h @ w + x)``, unrolled, with its gradients: seven calls a step."""
    program = Program("float32")
    w = program.buffer("w", (4, 4), role="parameter")
    dw = program.buffer("dw", (4, 4), role="gradient")
    x = program.buffer("x", (steps, BATCH, 4), role="input")
    h, saved = program.buffer("h", (BATCH, 4), role="input"), []
    for t in range(steps):
        now = program.buffer(f"x{t}", (BATCH, 4), role="input", parent=x, offset=t * BATCH * 4)
        z = program.call("add", program.call("matmul_nn", h, w), now)
        saved.append((h, program.call("tanh_forward", z)))
        h = saved[-1][1]
    dy = program.call("identity_forward", h)
    for before, y in reversed(saved):
        dz = program.call("tanh_backward", dy, y)
        program.call("matmul_tn", before, dz, into={"y": dw})
        dy = program.call("matmul_nt", dz, w)
    return program


@pytest.mark.parametrize("steps", [1, 5, 60, 500])
def test_a_long_program(steps):
    """Placing what comes first rather than what is largest takes little more; a wrong place is found in both."""
    program = unrolled(steps)
    plan = program.plan(6)
    program.verify(plan)
    most = max(sum(program.nbytes(b, 6) for b in alive) for alive in living(program)) if steps < 100 else 0
    if most:
        assert plan.nbytes <= 1.1 * most + 64 * len(plan.offsets)
    rng = np.random.default_rng(steps)
    buffers = list(plan.offsets)
    found = 0
    for _ in range(20):
        a, b = (buffers[k] for k in rng.integers(len(buffers), size=2))
        before, plan.offsets[a] = plan.offsets[a], plan.offsets[b]
        try:
            program.verify(plan)
        except ProgramError as error:
            assert "would overwrite" in str(error)
            found += 1
        plan.offsets[a] = before
    assert found or steps == 1
    program.verify(plan)


@pytest.mark.parametrize("depth", [12, 40, 90])
def test_both_ways_of_placing(depth, monkeypatch):
    """In the order of the calls, as for long programs, the arena is hardly larger than with the largest first."""
    rng = np.random.default_rng(depth)
    layers = [Dense(int(rng.integers(2, 200)), activation=rng.choice(["relu", "tanh", "gelu"])) for _ in range(depth)]
    model = Sequential(layers, input_shape=20, seed=0)
    model.compile("adam", "mse")
    program = model.engine().compile("train").program
    largest = program.plan(32)
    monkeypatch.setattr("fastbp.program.plan._LARGEST_FIRST", 0)
    in_order = program.plan(32)
    program.verify(in_order)
    assert in_order.offsets != largest.offsets
    assert in_order.nbytes <= 1.1 * largest.nbytes and in_order.unshared == largest.unshared


def test_wrong_dtype():
    program, *_, y = dense()
    labels = program.buffer("labels", (BATCH,), role="input")
    program.calls.append(_call(program, "sparse_softmax_cross_entropy_backward", y, labels))
    with pytest.raises(ProgramError, match=r"call 3.*y_true\[batch\]:i8 is given labels\[batch\] of type real"):
        program.verify()


def _call(program, name, *inputs):
    # by way of a program of its own: the rules are to be found broken by verify alone
    program.call(name, *inputs)
    return program.calls.pop()


def test_disagreeing_shapes():
    program, _x, _w, b, y = dense()
    b.shape = (4,)
    with pytest.raises(ProgramError, match=r"call 1, bias_forward.*\(4,\)"):
        program.verify()
    b.shape = (3,)
    program.verify()
    # equal for one length of batch only
    y.shape = (1009, 3)
    with pytest.raises(ProgramError, match="call 2, relu_forward"):
        program.verify()


def test_a_dimension_too_many():
    program, _x, w, *_ = dense()
    w.shape = (12,)
    with pytest.raises(ProgramError, match=r"call 0, matmul_nn.*w\[12\].*must be b\[k,n\]"):
        program.verify()


def test_forbidden_alias():
    program = Program("float32")
    a = program.buffer("a", (3, 3), role="parameter")
    b = program.buffer("b", (3, 3), role="parameter")
    program.call("matmul_nn", a, b, into={"y": a})
    with pytest.raises(ProgramError, match=r"call 0, matmul_nn.*y and a may not be one buffer"):
        program.verify()


def test_forbidden_alias_of_views():
    program = Program("float32")
    flat = program.buffer("flat", (18,), role="parameter")
    a = program.buffer("a", (3, 3), role="parameter", parent=flat, offset=0)
    over = program.buffer("over", (3, 3), role="parameter", parent=flat, offset=8)
    beside = program.buffer("beside", (3, 3), role="parameter", parent=flat, offset=9)
    program.call("matmul_nn", a, a, into={"y": beside})
    program.verify()
    program.call("matmul_nn", a, a, into={"y": over})
    with pytest.raises(ProgramError, match=r"call 1, matmul_nn.*may not be one buffer"):
        program.verify()


def test_a_bug_in_a_definition_is_not_called_a_wrong_label(monkeypatch):
    def broken(x):
        return x[len(x)]

    monkeypatch.setattr(KERNELS["tanh_forward"], "function", broken)
    numpy_ref.get.cache_clear()
    try:
        model = Sequential([Dense(2, activation="tanh", input_shape=2)])
        model.compile("sgd", "mse", backend="numpy")
        with pytest.raises(IndexError, match="out of bounds"):
            model.predict(np.ones((3, 2)))
    finally:
        numpy_ref.get.cache_clear()


def test_memory_to_work_in_is_written_and_no_result():
    program = Program("float64")
    dy, y = (program.buffer(name, ("batch", 3), role="input") for name in ("dy", "y"))
    dx = program.call("softmax_backward", dy, y)
    (call,) = program.calls
    assert call.results == (dx,) and [b.name for b in call.writes] == [".scratch", ".dx"]
    assert "softmax_backward(dy[batch, 3], y[batch, 3]) -> .scratch[batch, 3], .dx[batch, 3]" in repr(call)


@pytest.mark.parametrize("kernel", [k for k in KERNELS.values() if k.inplace], ids=lambda k: k.name)
def test_allowed_alias(kernel):
    for output, source in kernel.inplace:
        program = Program("float64")
        sizes = {"batch": 6, "n": 3}
        shapes = [
            (6, 3) if kernel.elementwise and o.dims == ("n",) else tuple(sizes.get(d, d) for d in o.dims)
            for o in kernel.inputs
        ]
        inputs = [
            program.buffer(o.name, shape, o.dtype, "parameter") for o, shape in zip(kernel.inputs, shapes, strict=True)
        ]
        target = inputs[[o.name for o in kernel.inputs].index(source)]
        program.call(kernel.name, *inputs, into={output: target})
        program.verify()


def test_write_to_an_input():
    program, x, *_, _y = dense()
    program.call("tanh_forward", x, into={"y": x})
    with pytest.raises(ProgramError, match=r"call 3, tanh_forward.*writes the input x\[batch, 4\]"):
        program.verify()
    program.calls[-1].phase = "gather"
    program.verify()


def test_part_of_the_flat_gradient_missing():
    model = model_of("relu")
    for missing in ("dense_2.db", "dense_1.dw"):
        program = model.engine().compile("train").program
        at = next(i for i, c in enumerate(program.calls) if program.find(missing) in c.writes)
        del program.calls[at]
        with pytest.raises(ProgramError, match=rf"adam_update.*{missing}\[.* is read before it is written"):
            program.verify()
    program = model.engine().compile("train").program
    program.find("gradients").shape = (model.count_params() + 1,)
    program.find("parameters").shape = program.find("m").shape = program.find("v").shape = (model.count_params() + 1,)
    with pytest.raises(ProgramError, match=r"adam_update.*a part of gradients"):
        program.verify()


@every_network
def test_overlapping_memory(name):
    """Move one buffer at a time onto one that is still to be read: verify must see every case."""
    for program in programs(name):
        plan = program.plan(16)
        alive = living(program)
        moved = 0
        for i, call in enumerate(program.calls):
            for out in call.writes:
                for other in alive[i]:
                    if out in plan.offsets and other is not out and last_read(program, other) > i:
                        before = plan.offsets[out]
                        plan.offsets[out] = plan.offsets[other]
                        with pytest.raises(ProgramError, match="would overwrite"):
                            program.verify(plan)
                        plan.offsets[out] = before
                        moved += 1
        program.verify(plan)
        # a forward chain alone needs no value for long
        assert moved or program.span("backward") == (0, 0) or name == "1-1"


# ---------------------------------------------------------------------------------- memory plan
def last_read(program, buffer):
    return max((i for i, call in enumerate(program.calls) if buffer in call.reads), default=-1)


def living(program):
    """Return for each call the temporaries that hold something then: written at or before it, read at or after."""
    found = []
    for i in range(len(program.calls)):
        written = {b for call in program.calls[: i + 1] for b in call.writes if b.role == "temporary"}
        read = {b for call in program.calls[i:] for b in call.reads}
        found.append((written & read) | {b for b in program.calls[i].writes if b.role == "temporary"})
    return found


def may_share(call, a, b):
    named = {o.name: buffer for o, buffer in zip(call.kernel.operands, call.buffers, strict=True)}
    return any({named[out], named[source]} == {a, b} for out, source in call.kernel.inplace)


@every_network
@pytest.mark.parametrize("batch", [1, 5, 64])
def test_no_two_living_buffers_overlap(name, batch):
    for program in programs(name):
        plan = program.plan(batch)
        bytes_of = {
            b: set(range(at, at + program.nbytes(b, batch))) for b, at in plan.offsets.items()
        }  # every byte by itself: nothing to get wrong
        for i, alive in enumerate(living(program)):
            assert alive <= set(plan.offsets)
            for a in alive:
                for b in alive:
                    if a.number < b.number and bytes_of[a] & bytes_of[b]:
                        call = program.calls[i]
                        ends = min(last_read(program, a), last_read(program, b))
                        assert may_share(call, a, b) and ends == i, f"{a!r} and {b!r} at {call!r}"
                        assert plan.offsets[a] == plan.offsets[b]
        assert all(at % 64 == 0 for at in plan.offsets.values())
        assert max((max(s) for s in bytes_of.values() if s), default=-1) < plan.nbytes


@every_network
def test_keep_shares_nothing(name):
    for program in programs(name):
        plan = program.plan(20, keep=True)
        ends = sorted((at, at + program.nbytes(b, 20)) for b, at in plan.offsets.items())
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(ends))
        assert plan.nbytes == plan.unshared == program.plan(20).unshared


def test_sharing_saves_memory():
    for name in ("relu", "deep", "growing"):
        for program in programs(name):
            plan = program.plan(64)
            most = max(sum(program.nbytes(b, 64) for b in alive) for alive in living(program))
            # the prediction of one hidden layer has nothing to share
            assert plan.nbytes < 0.9 * plan.unshared or len(plan.offsets) == 1, name
            # not far above what is alive at once, the floor of any plan that shares nothing in place
            assert plan.nbytes <= 1.1 * most + 64 * len(plan.offsets), name
    program = model_of("deep").program
    at = program.plan(8).offsets
    assert at[program.find("dense_1.y")] == at[program.find("dense_1.tanh.y")]


def test_places_that_overlap_in_part():
    """Of an input, where the kernel allows all of it; of another output, whether or not anybody reads the two."""
    program = Program("float32")
    x, mean = program.buffer("x", (BATCH, 32), role="input"), program.buffer("mean", (32,), role="state")
    a = program.call("tanh_forward", x, layer="a")
    y, inverse = program.call("normalize", a, mean, mean, layer="b")
    plan = program.plan(4)
    program.verify(plan)
    assert plan.offsets[y] == plan.offsets[a]
    plan.offsets[inverse] += 4096
    for buffer, at in ((y, plan.offsets[a] + 64), (inverse, plan.offsets[y] + 128)):
        before, plan.offsets[buffer] = plan.offsets[buffer], at
        with pytest.raises(ProgramError, match="would overwrite"):
            program.verify(plan)
        plan.offsets[buffer] = before


def test_a_buffer_that_is_read_later_is_not_overwritten_in_place():
    program, _x, _w, _b, y = dense()
    z = program.find("dense.y")
    assert z is not y and program.plan(8).offsets[z] == program.plan(8).offsets[y]
    late = program.call("tanh_forward", z, layer="late")
    at = program.plan(8).offsets
    assert at[z] != at[y] and at[z] == at[late]


# -------------------------------------------------------------------------------------- listing
def test_listing():
    model = model_of("relu", "cython" if "cython" in BACKENDS else "numpy")
    model.fit(*data_of(model), batch_size=32, verbose=0)
    text = str(model.program)
    lines = text.splitlines()
    assert lines[0].split() == ["#", "phase", "layer", "call", "inputs", "outputs", "bytes"]
    for i, call in enumerate(model.program.calls):
        assert lines[i + 1].split()[:2] == [str(i), call.phase] and call.kernel.name in lines[i + 1]
        assert all(repr(b) in lines[i + 1] for b in call.reads + call.writes)
    product = lines[1 + next(i for i, c in enumerate(model.program.calls) if c.kernel.name == "dense")]
    assert product.endswith(f"{4 * (32 * 64 + 64 * 32 + 32 + 32 * 32):,}")
    n = model.count_params()
    assert f"float32, {len(model.program.calls)} calls, batch 32" in lines[-1]
    assert f"parameters {4 * n:,}, gradients {4 * n:,}, state {8 * n + 24:,}, arena" in lines[-1]
    assert str(dense()[0])  # also without an executor


def test_without_executor():
    program = dense()[0]
    for action in (program.run, program.profile):
        with pytest.raises(RuntimeError, match="no executor"):
            action()


# -------------------------------------------------------------------------------------- running
@every_network
@every_backend
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_check_passes(name, backend, dtype):
    model = model_of(name, backend, dtype)
    model.fit(*data_of(model), batch_size=16, verbose=0)
    for _ in range(3):
        model.program.run(check="numpy")


@every_backend
def test_checked_run_is_a_step(backend):
    checked, plain = model_of("relu", backend), model_of("relu", backend)
    for model in (checked, plain):
        model.fit(*data_of(model), batch_size=25, seed=3, verbose=0)
    checked.program.run(check="numpy")
    plain.program.run()
    for a, b in zip(checked.get_weights(), plain.get_weights(), strict=True):
        assert_same_bits(a, b)
    with pytest.raises(ValueError, match="check is 'cython'"):
        plain.program.run(check="cython")


@pytest.mark.parametrize("backend", BACKENDS)
def test_check_names_a_wrong_attribute(backend):
    model = model_of("relu", backend)
    model.fit(*data_of(model), batch_size=25, verbose=0)
    at = next(i for i, c in enumerate(model.program.calls) if c.kernel.name == "adam_update")
    # the runner has the old one
    model.program.calls[at].attributes["eps"] = 1e-3
    with pytest.raises(AssertionError, match=rf"call {at}, adam_update.*parameters\[.* differs .* elements"):
        model.program.run(check="numpy")
    model.program.calls[at].attributes["eps"] = 1e-8
    model.program.run(check="numpy")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("tanh_forward", "sigmoid_forward"),
        ("sigmoid_forward", "relu_forward"),
        ("softmax_forward", "identity_forward"),
        ("categorical_cross_entropy_forward", "mean_squared_error_forward"),
        ("categorical_cross_entropy_backward", "binary_cross_entropy_backward"),
        ("softmax_backward", "tanh_backward"),
        ("relu_backward", "tanh_backward"),
        ("tanh_backward", "relu_backward"),
        ("sigmoid_backward", "tanh_backward"),
        ("matmul_nt", "matmul_nn"),
    ],
)
def test_check_names_a_wrong_kernel(backend, right, wrong):
    """Give the runner another kernel of the same operands: the first call of it must be named, and no other."""
    model = model_of("deep", backend, "float32")
    model.fit(*data_of(model), batch_size=7, verbose=0)
    program, executor = model.program, model.program.executor
    true_address = executor.kernels[right]
    executor.kernels[right] = load(backend, "float32", [wrong])[wrong]
    executor._prepare()
    rng, network = np.random.default_rng(0), model.engine().network("train")
    for buffer in (network.inputs[0], network.objectives[0].y_true):
        executor.view(buffer, 7)[...] = rng.random(buffer.resolve(7))
    at = next(i for i, c in enumerate(program.calls) if c.kernel.name == right)
    with pytest.raises(AssertionError, match=rf"^call {at}, {right}\("):
        program.run(check="numpy")
    executor.kernels[right] = true_address
    executor._prepare()
    program.run(check="numpy")


# ------------------------------------------------------------------------------------- profiling
@every_backend
def test_profile(backend):
    model = model_of("relu", backend)
    model.fit(*data_of(model), batch_size=25, verbose=0)
    model.train_on_batch(*data_of(model))
    weights, state = model.get_weights(), model.optimizer.get_state()
    gradients = [layer.dw.copy() for layer in model.layers]
    profile = model.program.profile(repeat=5)
    for got, want in zip(model.get_weights(), weights, strict=True):
        assert_same_bits(got, want, "parameters")
    for key, array in model.optimizer.get_state().items():
        assert_same_bits(array, state[key], key)
    for layer, dw in zip(model.layers, gradients, strict=True):
        assert_same_bits(layer.dw, dw, "gradients")
    start = model.program.start
    assert [call for call, *_ in profile.rows] == model.program.calls[start:]
    assert all(seconds >= 0 and nbytes > 0 for _, seconds, nbytes in profile.rows)
    assert profile.total == sum(seconds for _, seconds, _ in profile.rows) > 0
    lines = str(profile).splitlines()
    assert len(lines) == len(profile.rows) + 2 and "batch 50" in lines[-1]
    with pytest.raises(ValueError, match="repeat is 0"):
        model.program.profile(0)


@every_backend
def test_profile_of_arrays_that_are_gone(backend):
    model = model_of("relu", backend)
    for _ in range(3):
        x, y = data_of(model, 1000)
        model.train_on_batch(x.astype("float32"), y)
    del x, y
    # what now lies where the labels were would be out of range
    junk = [np.full((1000, 64), -1) for _ in range(20)]
    assert model.program.profile(repeat=2).total > 0
    del junk


@every_backend
def test_planned_bytes_are_those_that_are_taken(backend):
    """NumPy tells tracemalloc of every array's data: nothing but the plan's arena and the lasting arrays."""
    x = np.zeros((256, 784), np.float32)
    y = np.zeros(256, np.int64)
    warm = Sequential([Dense(3)], input_shape=784)
    warm.compile("adam", "sparse_categorical_crossentropy", backend=backend)
    warm.train_on_batch(x, y % 3)
    tracemalloc.start()
    try:
        model = Sequential([Dense(300, activation="relu"), Dense(10)], input_shape=784)
        model.compile("adam", "sparse_categorical_crossentropy", backend=backend)
        model.train_on_batch(x, y)
        snapshot = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    arrays = snapshot.filter_traces([tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)])
    taken = sum(trace.size for trace in arrays.traces)
    program = model.program
    planned = program.executor.plan.nbytes
    planned += sum(program.role_bytes(role, 256) for role in ("parameter", "gradient", "state", "result"))
    # each begins at a cache line of its own
    slack = 64 * sum(b.parent is None for b in program.buffers)
    # the inputs are the caller's; fit would gather batches of them
    planned += sum(program.nbytes(b, 256) for b in program.buffers if b.role == "input" and not b.of_data_set)
    assert planned <= taken <= planned + slack
