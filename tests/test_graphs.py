"""Graphs of layers: beside PyTorch, by bits between backends, and what holds for every one of `graphs.GRAPHS`."""

import copy
import pickle
import re

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits
from graphs import GRAPHS, joined, listed, random_graph
from programs import PURPOSES, described, random_chain

import fastbp
from fastbp import kernels
from fastbp.data import Given

every_graph = pytest.mark.parametrize("case", GRAPHS.values(), ids=list(GRAPHS))
every_numerics = pytest.mark.parametrize("numerics", ["numpy", "portable"])


def named_weights(model):
    """Return parameters by the names that listings have for them, and which of them are trained at what rate."""
    layout = model.layout
    found, factors = {}, {}
    for entry, array in model.engine().memory.weights:
        name = f"{layout.names[entry.layer]}.{entry.name}"
        if layout.specs[entry.layer, entry.name].trainable:
            found[name] = array
            factors[name] = 0.0 if layout.graph.frozen(entry.layer) else layout.graph.lr_factor(entry.layer)
    return found, factors


# ------------------------------------------------------------------------------------ beside PyTorch
def losses_of(torch):
    F = torch.nn.functional
    return {
        "mse": F.mse_loss,
        "mae": F.l1_loss,
        "binary_crossentropy": F.binary_cross_entropy_with_logits,
        "sparse_categorical_crossentropy": F.cross_entropy,
        "cosine_similarity": lambda y, target: -F.cosine_similarity(y, target).mean(),
        "contrastive": lambda y, target: (target * y**2 + (1 - target) * torch.relu(1 - y) ** 2).mean(),
    }


@every_numerics
@every_graph
def test_like_pytorch(case, numerics):
    """20 steps on batches that change, one of them smaller."""
    torch = pytest.importorskip("torch")
    model, (_, peer) = case.model(numerics=numerics), case.graph()
    found, factors = named_weights(model)
    weights = {name: torch.tensor(array.copy(), requires_grad=factors[name] > 0) for name, array in found.items()}
    kind, options = case.optimizer
    options = {"lr": options["lr"], **{k: v for k, v in options.items() if k != "lr"}}
    groups = [{"params": [w], "lr": options["lr"] * factors[name]} for name, w in weights.items() if factors[name]]
    other = getattr(torch.optim, kind)(groups, **options)
    names, losses, start = [port.name for port in model.layout.graph.results], losses_of(torch), flat(found)
    for step in range(20):
        x, y = case.data(5 if step == 7 else 8, seed=step, missing=case.missing(step))
        ours = model.train_on_batch(x, y)
        outputs = peer(torch, weights, *[torch.tensor(array) for array in listed(x)])
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        total = 0.0
        for name, output, target in zip(names, outputs, listed(y), strict=True):
            if target is not None:
                loss = losses[case.loss_of(name, names)](output, torch.tensor(target))
                total = total + case.factor_of(name, names) * loss
        other.zero_grad()
        total.backward()
        other.step()
        np.testing.assert_allclose(ours, total.item(), rtol=1e-9, err_msg=f"loss of step {step}")
        for name, array in found.items():
            theirs = weights[name].detach().numpy()
            np.testing.assert_allclose(array, theirs, rtol=1e-9, atol=1e-9, err_msg=f"{name} after step {step}")
    # the comparison must be of something that moved
    assert np.abs(flat(found) - start).max() > 0.01


def flat(arrays):
    return np.concatenate([array.ravel() for array in arrays.values()])


# of the one with a BatchNorm the peer normalises as in training
@pytest.mark.parametrize("name", sorted(set(GRAPHS) - {"norms"}))
def test_gradients_by_inputs_are_pytorchs(name):
    """Of a loss, and of gradients of the outputs, as a list or a dict."""
    torch = pytest.importorskip("torch")
    case = GRAPHS[name]
    model, (_, peer) = case.model(), case.graph()
    weights = {name: torch.tensor(array.copy()) for name, array in named_weights(model)[0].items()}
    names, losses, (x, y) = [port.name for port in model.layout.graph.results], losses_of(torch), case.data(6)
    inputs = [torch.tensor(array, requires_grad=array.dtype.kind == "f") for array in listed(x)]
    outputs = peer(torch, weights, *inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    rng = np.random.default_rng(1)
    dys = [rng.standard_normal(output.shape) for output in outputs]
    total = sum(
        case.factor_of(name, names) * losses[case.loss_of(name, names)](output, torch.tensor(target))
        for name, output, target in zip(names, outputs, listed(y), strict=True)
    )
    pulled = sum((output * torch.tensor(dy)).sum() for output, dy in zip(outputs, dys, strict=True))
    known = [k for k, given in enumerate(inputs) if given.requires_grad]
    for found, what in (
        (lambda: model.input_gradient(x, y), total),
        (lambda: model.input_gradient(x, dy=joined(model.outputs, dys)), pulled),
    ):
        wanted = torch.autograd.grad(what, [inputs[k] for k in known], retain_graph=True)
        got = found()
        assert isinstance(got, type(x))
        for k, (array, given) in enumerate(zip(listed(got), inputs, strict=True)):
            # there is none by integers
            want = wanted[known.index(k)].numpy() if k in known else np.zeros(given.shape)
            np.testing.assert_allclose(array, want, rtol=1e-9, atol=1e-12)


# ------------------------------------------------------------------------------------ bits
def trained(case, steps=4, **options):
    """Return a model after some steps, and what it then says."""
    model = case.model(**options)
    losses = []
    for step in range(steps):
        x, y = case.data(5 if step == 1 else 8, seed=step, missing=case.missing(step))
        losses.append(model.train_on_batch(x, y))
    return model, losses


def assert_same_model(got, want, case):
    """Assert that two models say the same of new data, learn the same of it, and have the same weights then."""
    x, y = case.data(7, seed=99)
    for _ in range(2):
        for one, other in zip(listed(got.predict(x)), listed(want.predict(x)), strict=True):
            assert_same_bits(one, other)
        for one, other in zip(got.get_weights(), want.get_weights(), strict=True):
            assert_same_bits(one, other)
        assert dict(got.evaluate(x, y, return_dict=True)) == dict(want.evaluate(x, y, return_dict=True))
        assert got.train_on_batch(x, y) == want.train_on_batch(x, y)


@pytest.mark.parametrize(("numerics", "dtype"), [("numpy", "float64"), ("portable", "float32")])
@every_graph
def test_backends_have_the_same_bits(case, numerics, dtype):
    want, losses = trained(case, numerics=numerics, dtype=dtype, backend="numpy")
    assert np.isfinite(losses).all() and len(set(losses)) == len(losses)
    for backend in BACKENDS:
        got, others = trained(case, numerics=numerics, dtype=dtype, backend=backend)
        assert others == losses, backend
        assert_same_model(got, copy.deepcopy(want), case)


# ------------------------------------------------------------------------------------ what holds for every graph
@every_graph
def test_files_and_copies_go_on_with_the_same_bits(case, tmp_path):
    model, _ = trained(case, 3)
    path = tmp_path / "model.npz"
    model.save(path)
    twins = [fastbp.load_model(path), copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    kept = copy.deepcopy(model)
    for twin in twins:
        assert type(twin) is type(model)
        assert twin.layout.names == model.layout.names
        uses, other = ([vars(use) for use in m.layout.graph.uses] for m in (twin, model))
        assert uses == other
        assert_same_model(twin, copy.deepcopy(kept), case)
    model.save_weights(path)
    other = case.model()
    other.load_weights(path)
    for one, another in zip(other.get_weights(), model.get_weights(), strict=True):
        assert_same_bits(one, another)
    for one, another in zip(model.clone().get_weights(), model.get_weights(), strict=True):
        assert_same_bits(one, another)


@every_numerics
@every_graph
def test_every_program_keeps_the_rules(case, numerics):
    model = case.model(numerics=numerics)
    kinds = [None, (Given.WEIGHTS,) * len(model.heads)]
    if len(model.heads) > 1:
        # the first output without targets, the last one with weights
        kinds.append((Given.NOTHING, *(Given.TARGETS,) * (len(model.heads) - 2), Given.WEIGHTS))
    for purpose in (*PURPOSES, "inference steps", "input gradient", "row gradients", "pull"):
        for given in kinds if purpose not in ("predict", "pull") else [None]:
            described(model.engine().compile(purpose, given).program, 9)
    x, y = case.data(8)
    model.train_on_batch(x, y)
    model.program.run(check="numpy")


@every_graph
def test_gradients_are_right(case):
    x, y = case.data(6)
    check = fastbp.gradient_check(case.model(), x, y, sample=6)
    if any(layer.stops_gradient for layer in case.model().engine().layers):
        # a difference quotient does not stop there
        assert not check.ok
    else:
        assert check.ok, check


@every_graph
def test_the_loss_is_the_same_everywhere(case):
    """Of a train step, of the four steps by hand, and of an evaluation; of all of it, and of each output."""
    model, (x, y) = case.model(numerics="portable"), case.data(8)
    twin = copy.deepcopy(model)
    logs = model.evaluate(x, y, return_dict=True)
    as_in_training = any(isinstance(layer, fastbp.BatchNorm) for layer in model.engine().layers)
    outputs = twin.forward(x)
    assert type(outputs) is type(y)
    loss = twin.loss(y)
    twin.backward()
    twin.update()
    assert model.train_on_batch(x, y) == loss
    for one, other in zip(twin.get_weights(), model.get_weights(), strict=True):
        assert_same_bits(one, other)
    if not as_in_training:
        assert logs["loss"] == loss
        for one, other in zip(listed(outputs), listed(case.model(numerics="portable").predict(x)), strict=True):
            assert_same_bits(one, other)
    names = [port.name for port in model.layout.graph.results]
    if len(names) > 1:
        assert list(logs) == ["loss", *(f"{name}_loss" for name in names)]
        total = sum(case.factor_of(name, names) * logs[f"{name}_loss"] for name in names)
        assert total == logs["loss"]


@every_graph
def test_predictions_do_not_depend_on_pieces(case):
    model, (x, _) = case.model(numerics="portable"), case.data(50)
    whole = model.predict(x)
    assert type(whole) is type(joined(model.outputs, listed(whole)))
    for batch_size in (1, 7):
        for one, other in zip(listed(model.predict(x, batch_size)), listed(whole), strict=True):
            assert_same_bits(one, other)
    some = joined(x, [array[:3] for array in listed(x)])
    for one, other in zip(listed(model.forward(some, training=False)), listed(whole), strict=True):
        assert_same_bits(one, other[:3])


def gradients_of(model):
    """Return the gradients by all parameters, flat."""
    layout, flat = model.layout, np.zeros(model.layout.n)
    for entry in layout.entries:
        flat[entry.part] = layout.layers[entry.layer].arrays[f"d{entry.name}"].ravel()
    return flat


@every_graph
def test_backward_from_gradients_of_the_outputs(case):
    """What a loss makes of the outputs, given by hand, trains like the loss."""
    model, (x, y) = case.model(numerics="portable"), case.data(8)
    twin = copy.deepcopy(model)
    twin.forward(x)
    twin.loss(y)
    twin.backward()
    want = gradients_of(twin)
    names = [port.name for port in model.layout.graph.results]
    outputs, dys = model.forward(x), []
    for name, output, target in zip(names, listed(outputs), listed(y), strict=True):
        loss = case.loss_of(name, names)
        found = next(head.loss for head in model.heads if names[head.output] == name)
        dys.append(case.factor_of(name, names) * found.gradient(target, output))
        assert loss is not None
    model.backward(joined(model.outputs, dys))
    # a factor multiplies the mean's 1 / n here, and its product there
    np.testing.assert_allclose(gradients_of(model), want, rtol=1e-12, atol=1e-15)
    assert np.abs(want).max() > 1e-3


@every_graph
def test_gradients_of_rows_add_up(case):
    model, (x, y) = case.model(), case.data(5)
    model.forward(x, training=False)
    model.loss(y)
    model.backward()
    rows = model.row_gradients(x, y)
    assert rows.shape == (5, model.count_params())
    mean, layout = rows.mean(axis=0), model.layout
    for entry in layout.entries:
        if layout.graph.frozen(entry.layer):
            mean[entry.part] = 0
    np.testing.assert_allclose(mean, gradients_of(model), rtol=1e-9, atol=1e-12)


@every_graph
def test_it_can_be_looked_at(case, capsys):
    model, (x, y) = case.model(), case.data(8)
    model.summary()
    printed = capsys.readouterr().out
    for name in model.layout.names:
        assert name in printed
    assert model._repr_html_().count("<tr") >= len(model.layout.names)
    model.train_on_batch(x, y)
    listing = str(model.program)
    for use in model.layout.graph.uses:
        if any(call.layer == use.name for call in model.program.calls):
            assert use.name in listing
    fastbp.blame(model, x, y)
    assert repr(model)
    assert model.get_config()


# ------------------------------------------------------------------------------------ the order of additions
def kernels_of(numerics):
    """Return what computes as programs do: products, a dense layer with tanh, and what goes back through it."""

    def call(name, *arrays, **attributes):
        return getattr(kernels, name)(*arrays, numerics=numerics, **attributes)

    def forward(x, layer):
        return call("tanh_forward", call("dense", x, layer.w, layer.b))

    def backward(dy, x, y, layer):
        dz = call("tanh_backward", dy, y)
        dx = call("matmul_nt", dz, layer.w)
        return call("bias_backward", dz), call("matmul_tn", x, dz), dx

    return call, forward, backward


def assert_gradients(model, x, y, wanted, others):
    """Assert that gradients by layers' arrays are these, bit by bit, and not what another order gives."""
    model.forward(x)
    model.loss(y)
    model.backward()
    for layer, arrays in wanted.items():
        for name, want in arrays.items():
            assert_same_bits(layer.arrays[name], want, f"{layer.name}.{name}")
            np.testing.assert_allclose(others[layer][name], want, rtol=1e-9, atol=1e-12)
        assert any((others[layer][name] != want).any() for name, want in arrays.items()), "any order would do"


@every_numerics
def test_a_shared_layer_adds_its_last_use_first(numerics):
    """``y = (a + b + c) / 3`` with a, b and c of one layer: the mean uses each last, so its part comes first."""
    case = GRAPHS["used_three_times"]
    model, (x, y), (call, forward, backward) = case.model(numerics=numerics), case.data(8), kernels_of(numerics)
    layer = model.get_layer("again")
    a = forward(x, layer)
    b = forward(a, layer)
    c = forward(b, layer)
    dy = call("mean_squared_error_backward", (a + b + c) / 3, y, mean=True)
    d = dy / 3
    of_c = backward(d, b, c, layer)
    of_b = backward(d + of_c[2], a, b, layer)
    of_a = backward(d + of_b[2], x, a, layer)
    wanted = {layer: {"db": of_c[0] + of_b[0] + of_a[0], "dw": of_c[1] + of_b[1] + of_a[1]}}
    others = {layer: {"db": of_a[0] + of_b[0] + of_c[0], "dw": of_a[1] + of_b[1] + of_c[1]}}
    assert_gradients(model, x, y, wanted, others)


@every_numerics
def test_losses_are_the_last_uses_in_the_order_of_outputs(numerics):
    """Of the outputs a, b and a again: the last one's loss, then the first one's, then what comes from b."""
    case = GRAPHS["supervised_within"]
    model, (x, y), (call, forward, backward) = case.model(numerics=numerics), case.data(8), kernels_of(numerics)
    first, second = model.get_layer("a"), model.get_layer("b")
    a = forward(x, first)
    b = call("dense", a, second.w, second.b)
    of_first, of_b, of_last = (
        call("mean_squared_error_backward", output, target, mean=True)
        for output, target in zip((a, b, a), y, strict=True)
    )
    through_b = call("matmul_nt", of_b, second.w)
    parts = 0.5 * of_last, 0.1 * of_first, through_b
    db, dw, _ = backward(parts[0] + parts[1] + parts[2], x, a, first)
    db_other, dw_other, _ = backward(parts[2] + parts[1] + parts[0], x, a, first)
    assert_gradients(model, x, y, {first: {"db": db, "dw": dw}}, {first: {"db": db_other, "dw": dw_other}})


@every_numerics
def test_of_several_losses_on_one_tensor_the_last_counts_first(numerics):
    x, weights = fastbp.Input(4), [0.3, 1.0, 0.7]
    layer = fastbp.Dense(4, "tanh")
    model = fastbp.Model(x, [layer(x)] * 3, seed=5)
    model.compile("sgd", "mse", dtype="float64", numerics=numerics, loss_weights=weights)
    model.build()
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((8, 4)), list(rng.standard_normal((3, 8, 4)))
    call, forward, backward = kernels_of(numerics)
    h = forward(x, layer)
    first, second, third = (
        weight * call("mean_squared_error_backward", h, target, mean=True)
        for weight, target in zip(weights, y, strict=True)
    )
    found = []
    for dy in (third + second + first, first + second + third):
        db, dw, _ = backward(dy, x, h, layer)
        found.append({layer: {"db": db, "dw": dw}})
    assert_gradients(model, x, y, *found)
    losses = [call("mean_squared_error_forward", h, target, mean=True)[-1] for target in y]
    assert model.loss(y) == losses[0] * 0.3 + losses[1] * 1.0 + losses[2] * 0.7


@every_numerics
def test_contributions_come_in_reverse_order_of_use(numerics):
    """Of a tensor that four layers take, one of them twice, where the last place comes first."""
    x = fastbp.Input(4)
    first, left, right = (fastbp.Dense(4, "tanh") for _ in range(3))
    h = first(x)
    p = left(h)
    q = right(h)
    # h is the first operand, and the third
    model = fastbp.Model(x, fastbp.layers.Multiply()([h, p, h, q]) + h, seed=3)
    model.compile("sgd", "mse", dtype="float64", numerics=numerics)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((64, 4)), rng.standard_normal((64, 4))
    model.build()
    call, forward, backward = kernels_of(numerics)
    h = forward(x, first)
    p, q = forward(h, left), forward(h, right)
    hp, hph = h * p, h * p * h
    dy = call("mean_squared_error_backward", hph * q + h, y, mean=True)
    dq, dhph = dy * hph, dy * q
    third, dhp = dhph * hp, dhph * h
    dp, once = dhp * h, dhp * p
    of_q = backward(dq, h, q, right)[2]
    of_p = backward(dp, h, p, left)[2]
    found = {}
    for name, order in {"wanted": (dy, third, once, of_q, of_p), "other": (dy, once, third, of_q, of_p)}.items():
        total = order[0]
        for part in order[1:]:
            total = total + part
        db, dw, _ = backward(total, x, h, first)
        found[name] = {first: {"db": db, "dw": dw}}
    assert_gradients(model, x, y, found["wanted"], found["other"])


# ------------------------------------------------------------------------------------ chains, and memory
@pytest.mark.parametrize("seed", range(12))
def test_a_chain_is_the_same_program(seed):
    """A `Sequential` and the same layers as a `Model`: every call, buffer and place in memory, and all bits."""
    chain = random_chain(seed)
    x = h = fastbp.Input(chain.input_shape)
    twins = copy.deepcopy(chain.layers)
    for layer in twins:
        h = layer(h)
    model = fastbp.Model(x, h)
    setup = {"dtype": chain.dtype, "numerics": chain.numerics}
    model.compile(copy.deepcopy(chain.optimizer), chain.loss_function, chain.metrics, **setup)
    for purpose in PURPOSES:
        for given in (None, (Given.WEIGHTS,)) if purpose != "predict" else (None,):
            programs = [which.engine().compile(purpose, given).program for which in (model, chain)]
            assert described(programs[0], 9) == described(programs[1], 9)
    loss, rng = chain.loss_function, np.random.default_rng(seed)
    x = rng.standard_normal((40, *chain.layout.input_shape))
    shape = (40, *chain.layout.output_shape)
    y = rng.random(shape)
    if loss.takes_integers:
        y = rng.integers(shape[-1], size=40)
    elif "cross" in type(loss).__name__.lower() and "Binary" not in type(loss).__name__:
        y = np.eye(shape[-1])[rng.integers(shape[-1], size=40)]
    elif "Binary" in type(loss).__name__:
        y = (y > 0.5).astype(float)
    histories = [which.fit(x, y, epochs=2, seed=5, verbose=0, validation_split=0.2).history for which in (model, chain)]
    assert histories[0] == histories[1]
    for one, other in zip(model.get_weights(), chain.get_weights(), strict=True):
        assert_same_bits(one, other)


def live_bytes(program, batch):
    """Return the largest sum of temporaries that are written before a call, or by it, and read in it or later."""
    first, last, size = {}, {}, {}
    for k, call in enumerate(program.calls):
        for buffer in call.buffers:
            root = buffer.owner
            if root.role == "temporary":
                first.setdefault(root, k)
                last[root] = k
                size[root] = program.nbytes(root, batch)
    return max(
        sum(size[root] for root in size if first[root] <= k <= last[root]) for k in range(len(program.calls))
    )


@every_numerics
@pytest.mark.parametrize("kind", ["plain", "dense", "norm"])
def test_memory_of_a_deep_residual_net(kind, numerics):
    """64 blocks take what their backward passes need of the forward pass, and a few arrays more."""
    depth, batch, width = 64, 32, 16
    x = h = fastbp.Input(width)
    for _ in range(depth):
        if kind == "norm":
            h = h + fastbp.Dense(width, "relu")(fastbp.LayerNorm()(h))
        elif kind == "dense":
            h = h + fastbp.Dense(width)(fastbp.Dense(width, "relu")(h))
        else:
            h = h + fastbp.Dense(width, "relu")(h)
    model = fastbp.Model(x, fastbp.Dense(10)(h), seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", numerics=numerics)
    program = model.engine().compile("train").program
    plan = program.plan(batch)
    program.verify(plan)
    # the places of small arrays between large ones are rounded
    assert plan.nbytes <= 1.01 * live_bytes(program, batch)
    # of each block the input of a product, and what says where the relu lets through; of a norm a number a row besides
    array, per_row = 4 * batch * width, 4 * batch
    needed = {"plain": 2 * array, "dense": 2 * array, "norm": 3 * array + 2 * per_row}[kind]
    assert plan.nbytes <= depth * needed + 8 * array
    # a prediction needs a few arrays, however deep the net is
    predict = model.engine().compile("predict").program
    assert predict.plan(batch).nbytes <= 4 * array


@every_graph
def test_arenas_hold_little_more_than_what_lives(case):
    program = case.model().engine().compile("train").program
    assert program.plan(64).nbytes <= 1.1 * live_bytes(program, 64)


# ------------------------------------------------------------------------------------ data, names, shared weights
def both(x):
    """Return a model of two inputs and two outputs with names, whichever way data are handed over."""
    a, b = fastbp.Input(3, name="a"), fastbp.Input(2, name="b")
    h = fastbp.Dense(8, "tanh", name="h")(fastbp.layers.Concatenate()([a, b]))
    ends = [a, b], [fastbp.Dense(3, name="kind")(h), fastbp.Dense(1, name="size")(h)]
    if x is dict:
        ends = {"a": a, "b": b}, dict(zip(("kind", "size"), ends[1], strict=True))
    model = fastbp.Model(*ends, seed=1)
    losses = {"kind": "sparse_categorical_crossentropy", "size": "mse"}
    metrics = {"kind": ["accuracy"], "size": ["mae"]}
    model.compile("adam", losses, metrics, loss_weights={"size": 0.5}, numerics="portable")
    return model


RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((50, 3)), RNG.standard_normal((50, 2))
KIND, SIZE = RNG.integers(3, size=50), RNG.standard_normal((50, 1))
NAMED = {"a": A, "b": B}, {"kind": KIND, "size": SIZE}
LISTED = [A, B], [KIND, SIZE]
KEYS = ["loss", "kind_loss", "size_loss", "kind_accuracy", "size_mae"]


def test_lists_and_dicts_are_the_same():
    """In every call that takes or returns data; where a model has lists, dicts by the same names will do."""
    by_names, in_order = both(dict), both(list)
    want = by_names.fit(*NAMED, epochs=3, seed=0, verbose=0, validation_split=0.2).history
    assert sorted(want) == sorted([*KEYS, *(f"val_{key}" for key in KEYS)])
    assert in_order.fit(*LISTED, epochs=3, seed=0, verbose=0, validation_split=0.2).history == want
    again = both(list)
    assert again.fit(*NAMED, epochs=3, seed=0, verbose=0, validation_split=0.2).history == want
    outputs = in_order.predict([A, B])
    assert isinstance(outputs, list)
    for model in (by_names, in_order, again):
        # lists are in the order of the dict
        for x, y in (NAMED, LISTED):
            found = model.predict(x)
            assert type(found) is (dict if model is by_names else list)
            for one, other in zip(listed(found), outputs, strict=True):
                assert_same_bits(one, other)
            assert list(model.evaluate(x, y, return_dict=True).values()) == list(
                by_names.evaluate(*NAMED, return_dict=True).values()
            )
            for dx, array in zip(listed(model.input_gradient(x, y)), (A, B), strict=True):
                assert dx.shape == array.shape
    losses = {float(copy.deepcopy(by_names).train_on_batch(x, y)) for x, y in (NAMED, LISTED)}
    assert len(losses) == 1


def test_iterables_and_validation_data_have_the_same_forms():
    rows = [slice(start, start + 10) for start in range(0, 50, 10)]

    def batches(x, y):
        for part in rows:
            yield joined(x, [array[part] for array in listed(x)]), joined(y, [array[part] for array in listed(y)])

    want = both(dict).fit(*NAMED, batch_size=10, epochs=1, shuffle=False, verbose=0, validation_data=NAMED).history
    for x, y in (NAMED, LISTED):
        for form in (dict, list):
            model = both(form)
            found = model.fit(batches(x, y), epochs=1, verbose=0, validation_data=(x, y)).history
            assert found == want
    model = both(dict)
    found = model.predict(x for x, _ in batches(*NAMED))
    for one, other in zip(listed(found), listed(model.predict(NAMED[0])), strict=True):
        assert_same_bits(one, other)
    assert model.evaluate(batches(*NAMED)) == model.evaluate(*NAMED, batch_size=10)


def test_weights_of_samples_belong_to_outputs():
    weights = {"kind": np.linspace(0, 2, 50), "size": np.linspace(3, 0, 50)}
    model, twin = both(dict), both(list)
    loss = model.train_on_batch(*NAMED, sample_weight=weights)
    assert twin.train_on_batch(*LISTED, sample_weight=list(weights.values())) == loss
    # one array is for all
    one = both(dict).train_on_batch(*NAMED, sample_weight=weights["kind"])
    assert one == both(dict).train_on_batch(*NAMED, sample_weight=dict.fromkeys(weights, weights["kind"]))
    assert both(dict).train_on_batch(*NAMED, sample_weight={"kind": weights["kind"]}) != one
    # a weight of 0 takes a row out of one loss
    changed = {"kind": KIND.copy(), "size": SIZE}
    changed["kind"][0] = (KIND[0] + 1) % 3
    assert both(dict).train_on_batch(NAMED[0], changed, sample_weight=weights) == loss
    # classes belong to an output, too
    assert both(dict).train_on_batch(*NAMED, class_weight={"kind": {0: 3.0}}) != one
    with pytest.raises(ValueError, match=r"class_weight.*kind, size"):
        model.train_on_batch(*NAMED, class_weight={0: 3.0})


def test_missing_targets_are_no_loss_and_no_gradient():
    for y in ({"kind": KIND}, {"kind": KIND, "size": None}, [KIND, None]):
        model = both(dict)
        model.build()
        kept = model.get_layer("size").w.copy(), model.get_layer("kind").w.copy()
        logs = model.evaluate(NAMED[0], y, return_dict=True)
        assert logs["loss"] == logs["kind_loss"] and logs["size_loss"] == 0
        assert model.train_on_batch(NAMED[0], y) == logs["loss"]
        # nor does the optimizer's state of what leads there alone move
        parts = {model.layout.names[entry.layer]: entry.part for entry in model.layout.entries if entry.name == "w"}
        moved = {name for name, part in parts.items() if model.optimizer.get_state()["v"][part].any()}
        assert moved == {"h", "kind"}
        assert_same_bits(model.get_layer("size").w, kept[0])
        assert (model.get_layer("kind").w != kept[1]).any()
        history = model.fit(NAMED[0], y, epochs=2, seed=0, verbose=0).history
        assert history["size_loss"] == [0, 0]
    with pytest.raises(ValueError, match="y has no targets; outputs with a loss are kind, size"):
        model.train_on_batch(NAMED[0], {})


def test_models_that_share_layers_share_weights():
    x = fastbp.Input(4)
    body = fastbp.Dense(6, "tanh", name="body")
    h = body(x)
    left, right = fastbp.Model(x, fastbp.Dense(2)(h), seed=1), fastbp.Model(x, fastbp.Dense(3)(h), seed=2)
    features = fastbp.Model(left.inputs, left.get_layer("body").output)
    for model in (left, right, features):
        model.compile(fastbp.optimizers.SGD(lr=0.1), "mse")
        model.build()
    x = RNG.standard_normal((8, 4))
    left.forward(x)
    assert_same_bits(features.predict(x), body.y)
    for model, n in ((left, 2), (right, 3)):
        before, seen = body.w.copy(), features.predict(x)
        model.train_on_batch(x, np.zeros((8, n)))
        assert (body.w != before).any() and (features.predict(x) != seen).any()
        for other in (left, right, features):
            assert_same_bits(other.get_weights()[0], body.w)
    # a copy of one of them is by itself
    twin = copy.deepcopy(left)
    left.train_on_batch(x, np.ones((8, 2)))
    assert (twin.get_weights()[0] != body.w).any()


def test_frozen_parts_are_not_computed_backwards():
    case = GRAPHS["frozen"]
    model, (x, y) = case.model(), case.data(8)
    kept = {name: array.copy() for name, array in named_weights(model)[0].items()}
    model.train_on_batch(x, y)
    now = named_weights(model)[0]
    assert {name for name in now if (now[name] != kept[name]).any()} == {"first.w", "first.b", "last.w", "last.b"}
    called = [(call.layer, call.kernel.name) for call in model.program.calls if call.phase == "backward"]
    # gradients go through the frozen part once, to the layer before it, and not to the slice beside that
    assert [layer for layer, kernel in called if kernel == "matmul_nt"] == ["last", "body.b", "body.a"]
    model.get_layer("body").trainable = True
    model.train_on_batch(x, y)
    thawed = named_weights(model)[0]
    assert (thawed["body.a.w"] != kept["body.a.w"]).any()


def test_random_layers_in_branches():
    """Two uses of one dropout draw two masks, of one stream; a seed gives the same bits, in every backend."""

    def made(backend):
        x = fastbp.Input(4)
        drop = fastbp.Dropout(0.5)
        h = fastbp.Dense(6)(x)
        model = fastbp.Model(x, fastbp.Dense(2)(drop(h) - drop(h)), seed=1)
        model.compile("adam", "mse", backend=backend, numerics="portable")
        return model

    x, y = RNG.standard_normal((30, 4)), RNG.standard_normal((30, 2))
    want = made("numpy")
    history = want.fit(x, y, epochs=2, seed=3, verbose=0).history
    for backend in BACKENDS:
        got = made(backend)
        assert got.fit(x, y, epochs=2, seed=3, verbose=0).history == history
        for one, other in zip(got.get_weights(), want.get_weights(), strict=True):
            assert_same_bits(one, other)
    # with one mask the difference would be 0, as it is in predictions
    want.forward(x)
    assert (want.layers[-2].y != 0).any()
    assert (np.ptp(want.predict(x), axis=0) == 0).all()


def test_a_run_that_was_stopped_goes_on(tmp_path):
    case = GRAPHS["wide_and_deep"]
    x, y = case.data(40)
    whole = case.model()
    whole.fit(x, y, epochs=4, seed=1, verbose=0, batch_size=8)
    path = tmp_path / "run.npz"
    for epochs in (2, 4):
        model = case.model()
        model.fit(x, y, epochs=epochs, seed=1, verbose=0, batch_size=8, checkpoint=path)
    for one, other in zip(model.get_weights(), whole.get_weights(), strict=True):
        assert_same_bits(one, other)
    assert model.history.history == whole.history.history


@pytest.mark.parametrize("seed", range(20))
def test_random_graphs(seed, tmp_path):
    """Layers put together at random: gradients, bits in every backend, files, copies, memory."""
    model = random_graph(seed)
    model.compile("adam", "mse", dtype="float64", numerics=("numpy", "portable")[seed % 2], backend="numpy")
    model.build()
    rng = np.random.default_rng(seed)
    x = [rng.standard_normal((6, *port.shape)) for port in model.layout.graph.ports]
    y = [rng.standard_normal((6, *port.shape)) for port in model.layout.graph.results]
    check = fastbp.gradient_check(model, x, y, sample=3)
    assert check.ok or not any(check.compared.values()), check
    program = model.engine().compile("train").program
    described(program, 9)
    assert program.plan(64).nbytes <= 1.2 * live_bytes(program, 64)
    model.save(tmp_path / "model.npz")
    twins = [fastbp.load_model(tmp_path / "model.npz"), copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for backend in BACKENDS:
        twin = copy.deepcopy(model)
        twin.compile("adam", "mse", dtype="float64", numerics=model.numerics, backend=backend)
        twins.append(twin)
    want = [model.train_on_batch(x, y) for _ in range(3)]
    for twin in twins:
        assert [twin.train_on_batch(x, y) for _ in range(3)] == want
        for one, other in zip(twin.get_weights(), model.get_weights(), strict=True):
            assert_same_bits(one, other)
        for one, other in zip(twin.predict(x), model.predict(x), strict=True):
            assert_same_bits(one, other)


def test_seeds_of_models_that_share_layers():
    """Who was made first of those with a seed draws with it, whichever is built first; a part with its own."""

    def made(seeds):
        x = fastbp.Input(4)
        h = fastbp.Dense(6, name="body")(x)
        return [fastbp.Model(x, fastbp.Dense(2)(h), seed=seed) for seed in seeds]

    want = made([1, 2])[0].get_weights()
    for order in ([0, 1], [1, 0]):
        models = made([1, None])
        for k in order:
            models[k].build()
        assert_same_bits(models[1].get_weights()[0], want[0])
    for order in ([0, 1], [1, 0]):
        models = made([1, 2])
        for k in order:
            models[k].build()
        assert_same_bits(models[1].get_weights()[0], want[0])
    for outer in (None, 7):
        tower = fastbp.Sequential([fastbp.Dense(6)], input_shape=4, seed=1)
        x = fastbp.Input(4)
        model = fastbp.Model(x, fastbp.Dense(2)(tower(x)), seed=outer)
        assert_same_bits(model.get_weights()[0], tower.get_weights()[0])
        again = fastbp.Sequential([fastbp.Dense(6)], input_shape=4, seed=1)
        assert_same_bits(tower.get_weights()[0], again.get_weights()[0])


# ------------------------------------------------------------------------------------ what is refused
class Endless(fastbp.Layer):
    """A layer of a user's that comes to itself again, through another one."""

    def __init__(self, name):
        super().__init__(name=name)
        self.other = self

    def call(self, x):
        return self.other(x)


class Elsewhere(Endless):
    """One that takes a tensor from outside."""

    def call(self, x):
        return self.inner(fastbp.Input(3, name="outside"))


def wrong_graphs():
    """Yield what is wrong, what makes it, and the message."""
    L = fastbp.layers
    x, z = fastbp.Input(4, name="x"), fastbp.Input(3, name="z")
    h, k = fastbp.Dense(5, name="h")(x), fastbp.Dense(5, name="k")(z)
    yield "a tensor of another model", lambda: fastbp.Model(x, h + k), (
        "the model depends on <Tensor (3,) of input z>, which"
    )
    yield "an output of other inputs", lambda: fastbp.Model(x, [h, k]), (
        "depends on <Tensor (3,) of input z>, which is none"
    )
    yield "an output that is no input", lambda: fastbp.Model(x, [h, z]), (
        "depends on <Tensor (3,) of input z>, which is none"
    )
    yield "an unused input", lambda: fastbp.Model([x, z], h), (
        "does not use input z, <Tensor (3,) of input z>: no output"
    )
    yield "one by a name", lambda: fastbp.Model({"one": x, "two": z}, h), "does not use input z"
    yield "behind another input", lambda: fastbp.Model([x, h], fastbp.Dense(1)(h)), "does not use input x"
    yield "an input twice", lambda: fastbp.Model([x, x], h), "inputs has <Tensor (4,) of input x> twice"
    yield "no outputs", lambda: fastbp.Model(x, []), "outputs is given an empty list; it must hold tensors"
    yield "an array", lambda: fastbp.Model(np.ones((2, 4)), h), "inputs is given ndarray; it takes a tensor"
    yield "a layer", lambda: fastbp.Model(x, fastbp.Dense(3)), "outputs is given Dense; it takes a tensor"
    yield "a name", lambda: fastbp.Model({"a b": x}, h), "inputs has the name 'a b'; it must begin with a letter"
    yield "a sum", lambda: h + x, "Add of rows of (5,) and (4,); the shapes must be equal, but for a last axis of 1"
    yield "a named sum", lambda: L.Add(name="both")([h, x]), "both: Add of rows of (5,) and (4,)"
    yield "a product", lambda: L.Multiply()([h, k, x]), "Multiply of rows of (5,) and (4,)"
    yield "a concatenation", lambda: L.Concatenate(axis=1)([fastbp.Input((2, 3)), fastbp.Input((2, 4))]), (
        "(2, 3) and (2, 4)"
    )
    yield "a dot product", lambda: L.Dot(axes=1)([h, x]), (
        "Dot of rows of (5,) and (4,); axes (1, 1) must be of one length"
    )
    yield "several for one", lambda: fastbp.Dense(3, name="d")([h, k]), "d takes one tensor; it is given a list of 2"
    yield "one for several", lambda: L.Add()(h), (
        "Add takes a list of two inputs or more; it is given one, of shape (5,)"
    )
    yield "data", lambda: fastbp.Dense(3, name="d")(np.ones((2, 4))), "data go to predict, fit and forward of a model"
    yield "a part", lambda: h[0], "a tensor is indexed by 0; it takes t[..., start:stop], a part of its last axis"
    yield "a quotient", lambda: h / k, "a tensor is divided by a tensor; there is division by a number"
    shared = fastbp.Dense(3, name="shared")
    two = [shared(x), shared(z)]
    yield "two shapes", lambda: fastbp.Model([x, z], two), (
        "layer shared is used twice: for rows of shape (4,) its w has shape (4, 3), for rows of shape (3,) it would"
    )
    same = [fastbp.Dense(2, name="same")(x) for _ in range(2)]
    yield "two of a name", lambda: fastbp.Model(x, same), "two layers are called 'same'; names must differ"
    itself, first, second = Endless("itself"), Endless("first"), Endless("second")
    first.other, second.other = second, first
    yield "a layer of itself", lambda: itself(x), "itself.call calls itself: there is no end to it"
    yield "a cycle", lambda: first(x), "first.call calls first, through second: there is no end to it"
    outside = Elsewhere("mine")
    outside.inner = fastbp.Dense(2)
    yield "a layer with another input", lambda: outside(x), (
        "mine.call depends on <Tensor (3,) of input outside>, which is"
    )
    alone, chain, around = (fastbp.Sequential(name=name) for name in ("alone", "chain", "around"))
    yield "a chain in itself", lambda: alone.add(alone), "layer alone is the model itself, or has it inside"
    around.add(chain)
    yield "a change of a part", lambda: (chain.add(fastbp.Dense(2)), around), (
        "the model is a part of another one, or was called"
    )
    tower = fastbp.Sequential([fastbp.Dense(2)], name="tower")
    tower(x)
    for change in (lambda: tower.add(fastbp.Dense(2)), lambda: tower.pop()):
        yield "a change of what was called", change, "called"
    yield "two for a chain", lambda: tower([x, x]), "tower is given 2 tensors; it takes 1"
    model = fastbp.Model({"x": x, "z": z}, h + k, name="inner")
    yield "one for a model of two", lambda: model(x), (
        "the call of inner is a Tensor; it must be a dict of 2 arrays: x, z"
    )
    yield "another name", lambda: model({"x": x, "y": z}), "the call of inner has 'y'; the inputs of the model are x, z"
    yield "another shape", lambda: model({"x": x, "z": x}), (
        "inner is given <Tensor (4,) of input x>; it takes rows of shape (3,)"
    )


@pytest.mark.parametrize(("make", "message"), [pytest.param(*case[1:], id=case[0]) for case in wrong_graphs()])
def test_wrong_graphs_are_refused(make, message):
    with pytest.raises((TypeError, ValueError, RuntimeError), match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": {"sort": "mse"}}, "loss has 'sort'; the outputs of the model are kind, size"),
        ({"loss": ["mse"]}, "loss has 1 losses; the model has 2 outputs: kind, size"),
        ({"loss": {"size": "msee"}}, "there is no loss 'msee'; did you mean 'mse'"),
        ({"loss_weights": {"sort": 2}}, "loss_weights has 'sort'; the outputs of the model are kind, size"),
        ({"loss_weights": {"size": -1}}, "loss_weights of output 'size' is -1; it must be in [0, inf)"),
        (
            {"loss": {"kind": "mse"}, "loss_weights": {"size": 1}},
            "loss_weights of output 'size' is 1 and loss is missing",
        ),
        ({"loss_weights": 2.0}, "loss_weights is a float; it must be a"),
        (
            {"loss": {"kind": "mse"}, "metrics": {"size": ["mae"]}},
            "metrics of output 'size' is ['mae'] and loss is missing",
        ),
        ({"loss": {"kind": "gaussian_nll", "size": "mse"}}, "the model has 3 outputs; GaussianNLL takes 2 n in a row"),
    ],
)
def test_what_does_not_go_with_the_outputs_is_refused(options, message):
    model = both(dict)
    setup = model.loss_function, model.metric_names
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        model.compile("sgd", **{"loss": "mse", **options})
    assert (model.loss_function, model.metric_names) == setup


def test_integers_are_whole_numbers_of_their_range():
    x, y = GRAPHS["wide_and_deep"].data(4)
    model = GRAPHS["wide_and_deep"].model()
    kept = model.snapshot()
    calls = [lambda x: model.train_on_batch(x, y), model.predict, model.forward, lambda x: model.input_gradient(x, y)]
    for ids, message in (
        (x["ids"] + 0.5, r"x\['ids'\]\[0, 0\] is .*; this input takes whole numbers"),
        (x["ids"] + 5, r"x\['ids'\]\[0, 0\] is .*; words takes whole numbers in 0 .. 4"),
        (x["ids"][:3], r"x\['numbers'\] has 4 rows and x\['ids'\] has 3; they must be equal"),
        (x["ids"][:, :2], r"x\['ids'\] has shape \(4, 2\); it must be \(rows, 3\)"),
    ):
        for call in calls:
            with pytest.raises(ValueError, match=message):
                call({"ids": ids, "numbers": x["numbers"]})
    for name, array in model.snapshot().items():
        assert_same_bits(array, kept[name], name)
    # whole numbers may come as floats
    for one, other in zip(model.predict({**x, "ids": x["ids"] * 1.0}), model.predict(x), strict=True):
        assert_same_bits(one, other)


# ------------------------------------------------------------------------------------ batches without some targets
def two_heads(optimizer, loss_weights=None):
    """Return a model whose outputs have a layer each, and a common one."""
    x = fastbp.Input(3)
    h = fastbp.Dense(4, "tanh", name="h")(x)
    model = fastbp.Model(x, {"a": fastbp.Dense(1, name="a")(h), "b": fastbp.Dense(1, name="b")(h)}, seed=0)
    model.compile(optimizer, "mse", dtype="float64", loss_weights=loss_weights)
    model.build()
    return model


def test_accumulation_over_batches_without_some_targets():
    """The update at the end is of all that was learned, though the last batch had targets of one output only."""
    x, y = RNG.standard_normal((4, 3)), RNG.standard_normal((4, 1))
    model = two_heads(fastbp.optimizers.SGD(lr=0.1, gradient_accumulation_steps=2))
    both_halves = two_heads(fastbp.optimizers.SGD(lr=0.1), {"a": 0.5, "b": 0.5})
    for first, second in (("a", "b"), ("b", "a"), ("a", "b")):
        model.train_on_batch(x, {first: y})
        model.train_on_batch(x, {second: y})
        both_halves.train_on_batch(x, {"a": y, "b": y})
        for one, other in zip(model.get_weights(), both_halves.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)
    # of two batches of one output nothing comes of what the other one learned before
    kept = model.get_layer("a").w.copy()
    model.train_on_batch(x, {"b": y})
    model.train_on_batch(x, {"b": y})
    assert_same_bits(model.get_layer("a").w, kept)


def test_norms_of_gradients_are_of_this_batch():
    x, y = RNG.standard_normal((4, 3)), RNG.standard_normal((4, 1))
    model, twin = (two_heads(fastbp.optimizers.SGD(lr=0.1, global_clipnorm=0.1)) for _ in range(2))
    model.train_on_batch(x, {"a": 100 * y})
    twin.set_weights(model.get_weights())
    model.train_on_batch(x, {"b": y})
    twin.train_on_batch(x, {"b": y})
    for one, other in zip(model.get_weights(), twin.get_weights(), strict=True):
        assert_same_bits(one, other)
