"""Copies and pickles of models and their parts: the twin goes on with the same bits, and nothing is shared."""

import copy
import gc
import multiprocessing
import pickle
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

import fastbp
from fastbp import Dense, Dropout, Sequential, callbacks, constraints, custom, losses, metrics, optimizers, schedules
from fastbp.engine import Engine
from fastbp.layers import BatchNorm, GaussianNoise, PReLU

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(24, 3)).astype("f4"), RNG.normal(size=(24, 2)).astype("f4")
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def pickled(protocol):
    return lambda value: pickle.loads(pickle.dumps(value, protocol))


WAYS = {"deepcopy": copy.deepcopy, "copy": copy.copy, **{f"pickle {p}": pickled(p) for p in PROTOCOLS}}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))


class Named(Sequential):
    """A model of a user's, with attributes."""

    def __init__(self, *args, title="", **kwargs):
        super().__init__(*args, **kwargs)
        self.title, self.first = title, self.layers[0]


def layers_of():
    bent = custom.activation(lambda x: np.sqrt(x * x + 1) + x, "bent_in_copies")
    return [
        Dense(5, bent, kernel_regularizer="l2", kernel_constraint=constraints.MaxNorm(3)), BatchNorm(), Dropout(0.4),
        Dense(4, "tanh"), GaussianNoise(0.1, seed=3), Dense(2),
    ]  # fmt: skip


def unbuilt():
    return Sequential(layers_of(), seed=4)


def uncompiled():
    return Sequential(layers_of(), input_shape=3, seed=4)


def compiled(optimizer=None, **options):
    model = Named(layers_of(), seed=4, title="mine")
    rates = schedules.CosineDecay(0.05, decay_steps=30)
    model.compile(optimizer or optimizers.Adam(rates), losses.Huber(), metrics=["mae", metrics.R2Score()], **options)
    return model


def trained(optimizer=None, **options):
    model = compiled(optimizer, **options)
    model.layers[3].lr_factor = 0.5
    model.fit(X, Y, batch_size=5, epochs=2, seed=1, verbose=0)
    model.layers[0].trainable = False
    model.train_on_batch(X[:7], Y[:7])
    return model


MODELS = {"unbuilt": unbuilt, "uncompiled": uncompiled, "compiled": compiled, "trained": trained}


def arrays_of(model):
    """Return all arrays by name that a model goes on from."""
    return {} if model.layout is None else model.snapshot()


def assert_same_arrays(model, twin):
    ours, others = arrays_of(model), arrays_of(twin)
    assert ours.keys() == others.keys()
    for name, array in ours.items():
        # a scheduled rate is computed where it is needed
        if name not in ("gradients", "lr"):
            assert_same_bits(others[name], array, name)
    assert model.optimizer is None or twin.optimizer.lr == model.optimizer.lr


def go_on(model):
    """Train a model in each of the ways; return what came out."""
    if model.loss_function is None:
        model.compile("rmsprop", "mse")
    found = [model.train_on_batch(X[:6], Y[:6])]
    model.forward(X)
    found.append(model.loss(Y))
    model.backward()
    model.update()
    found += [*model.fit(X, Y, batch_size=7, epochs=2, verbose=0, seed=2).history.values()]
    return [*found, model.optimizer.iterations, model.optimizer.lr, model.batch_losses, model.predict(X)]


def assert_goes_on_alike(model, twin):
    for mine, other in zip(go_on(model), go_on(twin), strict=True):
        assert_same_bits(np.asarray(other), np.asarray(mine))
    assert_same_arrays(model, twin)


def public(model):
    names = ("seed", "fit_seed", "stop_training", "input_shape", "backend", "dtype", "numerics", "metric_names")
    config = None if model.input_shape is None else model.get_config()
    return {name: getattr(model, name) for name in names}, config, repr(model), repr(model.optimizer)


@every_way
@pytest.mark.parametrize("kind", MODELS)
def test_a_twin_goes_on_with_the_same_bits(kind, way):
    model = MODELS[kind]()
    twin = way(model)
    assert type(twin) is type(model) and public(twin) == public(model)
    assert_same_arrays(model, twin)
    if kind == "trained":
        assert twin.title == "mine" and twin.first is twin.layers[0]
        assert twin.history.history == model.history.history and twin.history.params == model.history.params
        assert twin.history.model is twin and twin.history.history is not model.history.history
        assert_same_bits(twin.batch_losses, model.batch_losses)
        assert [(a.trainable, a.lr_factor) for a in twin.layers] == [(a.trainable, a.lr_factor) for a in model.layers]
        assert_same_bits(twin.layers[0].w, model.layers[0].w)
    before = arrays_of(model)
    go_on(way(twin))
    for name, array in before.items():
        assert_same_bits(arrays_of(twin)[name] if name != "gradients" else array, array)
    assert_goes_on_alike(model, twin)


@pytest.mark.parametrize("backend", ["numpy", *BACKENDS])
@pytest.mark.parametrize("numerics", ["numpy", "portable"])
def test_in_every_backend(backend, numerics):
    model = trained(optimizers.Nadam(0.01, clipnorm=1.0), backend=backend, numerics=numerics, dtype="float64")
    assert_goes_on_alike(model, copy.deepcopy(pickled(5)(model)))


@pytest.mark.parametrize("kind", [name for name in optimizers.__all__ if name not in ("Optimizer", "get")])
def test_every_optimizer_keeps_its_state(kind):
    options = {"momentum": 0.9} if kind == "SGD" else {}
    model = trained(getattr(optimizers, kind)(0.01, **options))
    assert_goes_on_alike(model, pickled(2)(model))


def test_a_generator_as_seed_is_a_twins_own():
    model = Sequential([Dense(3), Dropout(0.5)], seed=np.random.default_rng(5))
    model.compile("sgd", "mse")
    twin = pickled(4)(model)
    assert twin.seed is not model.seed
    y = Y[:, [0, 0, 0]]
    losses = [m.fit(X, y, seed=np.random.default_rng(1), verbose=0).history["loss"] for m in (model, twin)]
    assert losses[0] == losses[1] and model.fit_seed is twin.fit_seed is None


def test_gradients_and_steps_by_hand_begin_anew():
    model = trained()
    model.forward(X)
    model.loss(Y)
    model.backward()
    twin = copy.deepcopy(model)
    assert model.layers[-1].dw.any() and not twin.layers[-1].dw.any()
    with pytest.raises(RuntimeError, match=r"update\(\) needs gradients"):
        twin.update()
    model.update()


@every_way
def test_what_is_one_object_stays_one(way):
    model = trained()
    other = Sequential([Dense(1)], input_shape=3, seed=0)
    found = way({"a": [model, model.layers[1], model.history], "b": (model, other), "c": model.optimizer})
    if way is copy.copy:
        assert found["b"][0] is model  # of a dict, which is shallow
        return
    twin = found["b"][0]
    assert found["a"][0] is twin and found["a"][1] is twin.layers[1] and found["c"] is twin.optimizer
    assert found["a"][2] is twin.history and found["a"][2].model is twin
    assert_same_bits(found["b"][1].layers[0].w, other.layers[0].w)
    twin.optimizer.lr = 0.25
    assert_goes_on_alike(*(pickled(3)(each) for each in (twin, way(twin))))


@every_way
def test_a_copied_layer_is_free_and_brings_its_weights(way):
    model = trained()
    ones = [way(layer) for layer in model.layers[:2]]
    dense = ones[0]
    assert not dense.owners and repr(dense) == repr(model.layers[0]) and not dense.trainable
    assert_same_bits(dense.w, model.layers[0].w)
    assert not np.shares_memory(dense.w, model.layers[0].w)
    with pytest.raises(AttributeError, match="no dw yet"):
        _ = dense.dw
    dense.w[0, 0] = 7.0
    other = Sequential([*ones, Dense(2, name="head")], seed=9)
    other.compile("adam", "mse")
    again = way(other)  # not built yet
    other.train_on_batch(X, Y)
    again.train_on_batch(X, Y)
    for each in (other, again):
        assert each.layers[0].w[0, 0] == 7.0 and each.layers[0].w[0, 1] == model.layers[0].w[0, 1]
        assert_same_bits(each.layers[0].b, model.layers[0].b)
        assert each.layers[0].initial == {} and list(each.layers[1].owners) == [each]
    assert_same_bits(other.layers[2].w, again.layers[2].w)
    fresh = Sequential([Dense(5), BatchNorm(), Dense(2)], seed=9, input_shape=3)
    # what a copy brings along does not change what is drawn for the others
    untrained = Sequential([way(model.layers[0]), way(model.layers[1]), Dense(2)], seed=9, input_shape=3)
    assert_same_bits(untrained.layers[2].w, fresh.layers[2].w)
    assert_same_bits(untrained.layers[1].moving_mean, model.layers[1].moving_mean)


def test_a_copied_layer_does_not_fit_everywhere():
    model = trained()
    other = Sequential([copy.deepcopy(model.layers[0]), Dense(2)], seed=0)
    other.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"layer dense_1 is a copy whose w has shape \(3, 5\); here .* \(4, 5\)"):
        other.fit(np.ones((2, 4)), np.ones((2, 2)), verbose=0)
    # it is as it was
    assert other.layout is None and other.history is None
    other.fit(X, Y, verbose=0)


def test_a_layer_of_no_model_and_of_one_that_is_gone():
    layer = Dense(3)
    assert repr(copy.deepcopy(layer)) == repr(pickled(0)(layer)) == repr(layer) and copy.copy(layer).initial == {}
    model = Sequential([layer], input_shape=2, seed=0)
    w = layer.w.copy()
    del model
    gc.collect()
    assert not layer.owners
    assert copy.copy(layer).initial.keys() == {"w", "b"}
    assert_same_bits(copy.copy(layer).w, w)


@every_way
def test_a_copied_optimizer_is_free_and_brings_its_state(way):
    model = trained()
    optimizer = way(model.optimizer)
    assert repr(optimizer) == repr(model.optimizer) and optimizer.iterations == model.optimizer.iterations == 11
    ours, state = model.optimizer.get_state(), optimizer.get_state()
    assert ours.keys() == state.keys() and all((ours[name] == state[name]).all() for name in ours)
    twin = model.clone()
    twin.compile(optimizer, losses.Huber(), metrics=["mae", metrics.R2Score()])
    assert_goes_on_alike(model, twin)
    small = Sequential([Dense(1)], input_shape=3, seed=0)
    other = way(optimizer)
    with pytest.raises(ValueError, match=r"optimizer is a copy whose m has shape .* Call its reset\(\) first"):
        small.compile(other, "mse")
    assert small.optimizer is None
    other.reset()
    small.compile(other, "mse")
    assert other.iterations == 0 and not other.get_state()["m"].any()
    small.fit(X, Y[:, :1], verbose=0)


@every_way
def test_an_optimizer_that_a_model_has_no_more(way):
    model = trained()
    older, state = model.optimizer, model.optimizer.get_state()
    model.compile("rmsprop", "mse")
    model.train_on_batch(X, Y)
    twin = way(older).get_state()
    assert twin.keys() == state.keys() and all((twin[name] == state[name]).all() for name in state)


def test_reset_begins_anew():
    model, other = trained(), trained()
    model.optimizer.reset()
    other.compile(optimizers.Adam(schedules.CosineDecay(0.05, decay_steps=30)), losses.Huber(), other.metrics)
    assert_goes_on_alike(model, other)


PARTS = [
    *(losses.Huber(2.0), losses.CategoricalCrossEntropy(label_smoothing=0.1), losses.TripletMargin(0.5)),
    *(metrics.R2Score(), metrics.AUC(), schedules.WarmUp(schedules.StepDecay(0.1, 3), 4)),
    *(fastbp.initializers.HeNormal(), fastbp.initializers.Constant(2.0), fastbp.regularizers.L1L2(0.1, 0.2)),
    constraints.MaxNorm(2),
    *(optimizers.Lion(0.1), Dense(3, "relu"), fastbp.Activation("leaky_relu", alpha=0.5)),
]


@every_way
@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_parts(part, way):
    twin = way(part)
    assert type(twin) is type(part) and twin is not part and repr(twin) == repr(part)


@every_way
def test_functions_of_ones_own(way):
    loss = custom.loss(lambda t, y: (y - t) ** 2, "squares_in_copies", reduction="sum")
    bent = custom.activation(lambda x: x * x, "squared_in_copies")
    for part in (loss, bent):
        assert repr(way(part)) == repr(part) and way(part).row is part.row
    assert way(loss)([1.0, 2.0], [2.0, 4.0]) == 5.0


@every_way
def test_a_history_is_kept_without_its_model(way):
    model = compiled(optimizers.SGD(lambda step: 0.1 / (1 + step)))  # which nothing could pickle
    history = model.fit(X, Y, verbose=0, epochs=2)
    twin = way(history)
    assert twin.history == history.history and twin.epoch == history.epoch and twin.params == history.params
    assert twin.model is None and history.model is model
    twin.on_epoch_end(2, {"loss": 1.0})
    assert len(history.history["loss"]) == 2


def test_what_cannot_be_pickled_says_so_and_deepcopies():
    model = trained(optimizers.SGD(lambda step: 0.1 / (1 + step)))
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(model)
    assert_goes_on_alike(model, copy.deepcopy(model))


@every_way
def test_reports(way):
    model = trained()
    report = fastbp.blame(model, X, Y)
    finding = fastbp.insight.Finding("dead", ["dense_1"], "Dead.")
    assert str(way(report)) == str(report) and way(report)["dense_1"].w == report["dense_1"].w
    assert (way(finding), way(finding).kind, way(finding).layers) == ("Dead.", "dead", ["dense_1"])
    check = fastbp.gradient_check(model, X, Y)
    assert str(way(check)) == str(check)


@pytest.mark.parametrize("way", ["deepcopy", "copy", "pickle 2", "pickle 5"])
def test_programs(way):
    program = trained().program
    twin = WAYS[way](program)
    assert [str(call) for call in twin.calls] == [str(call) for call in program.calls]
    assert twin.executor is None and program.executor is not None
    assert "adam_update" in str(twin)


# ---------------------------------------------------------------------- turns


class Copies(callbacks.Callback):
    """Copies the model in a callback."""

    def __init__(self, way):
        self.way, self.twins = way, []

    def on_epoch_end(self, epoch, logs):
        self.twins.append((self.way(self.model), self.model.get_weights()))

    def on_train_batch_end(self, batch, logs):
        if batch == 1:
            self.twins.append((self.way(self.model), self.model.get_weights()))


@pytest.mark.parametrize("way", ["deepcopy", "pickle 5"])
def test_a_callback_finds_the_model_after_the_last_whole_step(way):
    model, plain = compiled(), compiled()
    hook = Copies(WAYS[way])
    model.fit(X, Y, batch_size=5, epochs=2, seed=1, verbose=0, callbacks=[hook])
    plain.fit(X, Y, batch_size=5, epochs=2, seed=1, verbose=0)
    assert_same_arrays(model, plain)
    assert [twin.optimizer.iterations for twin, _ in hook.twins] == [2, 5, 7, 10]
    for twin, weights in hook.twins:
        for mine, other in zip(weights, twin.get_weights(), strict=True):
            assert_same_bits(mine, other)
    assert_goes_on_alike(hook.twins[-1][0], copy.deepcopy(model))


@pytest.mark.parametrize("way", ["deepcopy", "copy", "pickle 5"])
def test_another_thread_is_refused_while_fit_runs(way):
    model, inside, go = compiled(), threading.Event(), threading.Event()

    class Hold(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            inside.set()
            go.wait(60)

    thread = threading.Thread(target=model.fit, args=(X, Y), kwargs={"verbose": 0, "callbacks": [Hold()]})
    thread.start()
    try:
        assert inside.wait(60)
        for part in (model, model.layers[0], model.optimizer):
            with pytest.raises(RuntimeError, match="fit is running on this model in another thread"):
                WAYS[way](part)
    finally:
        go.set()
        thread.join()
    WAYS[way](model)


@pytest.mark.parametrize("way", ["deepcopy", "pickle 2", "pickle 5"])
def test_copies_are_of_one_moment(way, monkeypatch):
    """The values of all parts are read once, in one turn: who would change them waits."""
    model, threads, waits, read = trained(), [], [], Engine.values
    before, after = model.get_weights(), [np.full(w.shape, 7.0) for w in model.get_weights()]

    def values(engine):
        threads.append(threading.Thread(target=model.set_weights, args=(after,)))
        threads[-1].start()
        threads[-1].join(0.2)
        waits.append(threads[-1].is_alive())
        return read(engine)

    monkeypatch.setattr(Engine, "values", values)
    twin, layer, optimizer = WAYS[way]([model, model.layers[0], model.optimizer])
    for thread in threads:
        thread.join()
    assert waits == [True] and layer is twin.layers[0] and optimizer is twin.optimizer
    for mine, now, old, new in zip(twin.get_weights(), model.get_weights(), before, after, strict=True):
        assert_same_bits(mine, old)
        assert (now == new).all()


def test_copies_leave_nothing_behind():
    model = trained()
    gone = weakref.ref(copy.deepcopy(model)), weakref.ref(pickled(5)(model).layers[0])
    gc.collect()
    assert all(one() is None for one in gone)
    layer, optimizer = copy.deepcopy(model.layers[0]), copy.deepcopy(model.optimizer)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None and layer.w is not None and optimizer.iterations == 11


# ---------------------------------------------------------------------- other processes


def predicted(model):
    model.train_on_batch(X[:6], Y[:6])
    return model.predict(X)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_models_go_to_other_processes(method, monkeypatch):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("not on this platform")
    # this module may be called tests.test_copies, and an installed fastbp comes first
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parent.parent)])
    models = [trained(), uncompiled()]
    models[1].compile("sgd", "mse")
    with multiprocessing.get_context(method).Pool(2) as pool:
        # a worker that cannot read its task ends, and nobody would be told
        found = pool.map_async(predicted, models).get(timeout=120)
    for model, y in zip(models, found, strict=True):
        assert_same_bits(predicted(model), y)


def test_a_script_that_defines_nothing_reads_the_pickle(tmp_path):
    """A pickle has the expressions of activations and losses of the user's own."""
    model = Sequential([Dense(3, custom.activation(lambda x: x * x + 0.5 * x, "only_here")), Dense(2)], seed=0)
    model.compile("adam", custom.loss(lambda t, y: np.abs(y - t) ** 3, "cubes_only_here"))
    model.fit(X, Y, verbose=0, seed=0)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    np.save(tmp_path / "x.npy", X)
    code = (
        f"import pickle, numpy as np\nfolder = {str(tmp_path)!r}\n"
        "model = pickle.load(open(f'{folder}/model.pkl', 'rb'))\nx = np.load(f'{folder}/x.npy')\n"
        "model.fit(x, x[:, :2], verbose=0, seed=1)\nprint(model.predict(x).tobytes().hex())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    model.fit(X, X[:, :2], verbose=0, seed=1)
    assert done.stdout.strip() == model.predict(X).tobytes().hex()


def test_joblib(tmp_path):
    joblib = pytest.importorskip("joblib", reason="the package joblib is not installed")
    model = trained()
    joblib.dump(model, tmp_path / "model.joblib")
    twin, mapped = (joblib.load(tmp_path / "model.joblib", mmap_mode=mode) for mode in (None, "r"))
    # what is mapped for reading is not written to
    for part in (mapped.engine().shared.values(), [mapped.optimizer.counter]):
        assert all(array.flags.writeable for array in part)
    assert_goes_on_alike(twin, mapped)
    assert_goes_on_alike(model, joblib.load(tmp_path / "model.joblib"))


# ---------------------------------------------------------------------- clones and target networks


def test_a_clone_has_the_weights_and_begins_anew():
    model = trained(optimizers.Adam(0.01))
    weights = model.get_weights()
    twin = model.clone()
    assert type(twin) is Named and twin.title == "mine" and twin.get_config()["layers"] == model.get_config()["layers"]
    assert twin.history is None and twin.batch_losses is None and twin.fit_seed is None and not twin.stop_training
    assert repr(twin.optimizer) == repr(model.optimizer) and twin.optimizer is not model.optimizer
    assert twin.optimizer.iterations == 0 and not twin.optimizer.get_state()["m"].any()
    other = copy.deepcopy(model)
    other.compile(optimizers.Adam(0.01), model.loss_function, other.metrics)
    assert_goes_on_alike(other, twin)
    for mine, now in zip(weights, model.get_weights(), strict=True):
        assert_same_bits(now, mine)
    for kind in ("unbuilt", "uncompiled", "compiled"):
        model = MODELS[kind]()
        twin = model.clone()
        assert public(twin) == public(model) and (twin.layout is None) == (model.layout is None)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("tau", [0, 0.005, 0.5, 1])
def test_weights_move_towards_anothers(tau, dtype):
    model, target = trained(dtype=dtype), trained(dtype=dtype)
    model.fit(X, Y, epochs=2, seed=5, verbose=0)
    before, theirs = target.get_weights(), model.get_weights()
    assert any((w != w2).any() for w, w2 in zip(before, theirs, strict=True))
    engine = target.engine()
    assert target.copy_weights_from(model, tau=tau) is None
    for w, w2, now in zip(before, theirs, target.get_weights(), strict=True):
        assert_same_bits(now, w2 if tau == 1 else w + tau * (w2 - w))
    for mine, other in zip(theirs, model.get_weights(), strict=True):
        assert_same_bits(other, mine)
    assert target.engine() is engine  # nothing is compiled anew


def test_weights_of_another_dtype_move_in_the_models_own():
    model, target = trained(dtype="float64"), trained()
    before = target.get_weights()
    target.copy_weights_from(model, 0.25)
    for w, w2, now in zip(before, model.get_weights(), target.get_weights(), strict=True):
        assert now.dtype == np.float32
        assert_same_bits(now, w + 0.25 * (w2.astype("f4") - w))


def test_models_that_are_not_built_copy_weights():
    model = Sequential([Dense(2)], input_shape=3, seed=0)
    target = Sequential([Dense(2)])
    target.copy_weights_from(model)
    assert target.input_shape == (3,)
    assert_same_bits(target.layers[0].w, model.layers[0].w)
    target.copy_weights_from(target, 0.5)
    assert_same_bits(target.layers[0].w, model.layers[0].w)
    with pytest.raises(RuntimeError, match="the input shape is not known yet"):
        target.copy_weights_from(Sequential([Dense(2)]))


@pytest.mark.parametrize(
    ("other", "tau", "error", "message"),
    [
        (
            lambda: Sequential([Dense(4)], input_shape=3),
            1,
            ValueError,
            r"other has layers\[0\].w of shape \(3, 4\); .*\(3, 2\)",
        ),
        (
            lambda: Sequential([PReLU(), Dense(2)], input_shape=3),
            1,
            ValueError,
            r"other has no layers\[0\].w; .* It has layers\[0\].alpha",
        ),
        (lambda: Sequential([Dense(2), BatchNorm()], input_shape=3), 1, ValueError, r"has layers\[1\].gamma.* besides"),
        (lambda: 5, 1, TypeError, "other is 5; it must be a fastbp.Model or fastbp.Sequential"),
        (None, 1.5, ValueError, r"tau is 1.5; it must be in \[0, 1\]"),
        (None, "a", TypeError, "tau is 'a'; it must be a number"),
    ],
)
@pytest.mark.parametrize("built", [True, False])
def test_what_weights_cannot_be_copied_from(other, tau, error, message, built):
    model = Sequential([Dense(2)], input_shape=3, seed=0)
    target = Sequential([Dense(2)], input_shape=3 if built else None, seed=1)
    before = target.get_weights() if built else None
    with pytest.raises(error, match=message):
        target.copy_weights_from(other() if other else model, tau)
    assert (target.layout is not None) == built
    for mine, now in zip(before or (), target.get_weights() if built else (), strict=True):
        assert_same_bits(now, mine)


def test_a_callback_copies_weights_and_a_training_target_is_refused():
    model, target = compiled(), trained()

    class Follow(callbacks.Callback):
        def on_train_batch_end(self, batch, logs):
            target.copy_weights_from(self.model, 0.5)

    model.fit(X, Y, verbose=0, callbacks=[Follow()])

    class Onto(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            self.model.copy_weights_from(target)

    model.fit(X, Y, verbose=0, callbacks=[Onto()])
    for mine, now in zip(target.get_weights(), model.get_weights(), strict=True):
        assert_same_bits(now, mine)
    with pytest.raises(RuntimeError, match="train_on_batch is running; within it"):
        model.alone("train_on_batch", model.copy_weights_from, target)


# ---------------------------------------------------------------------- layers by name, weights in files


def test_get_layer():
    model = Sequential([Dense(2, name="hidden"), Dense(3)])
    assert model.get_layer("hidden") is model.get_layer(index=0) is model.layers[0]
    assert model.get_layer(index=-1) is model.get_layer(name="dense_1") is model.get_layer(index=np.int64(1))
    for arguments, error, message in (
        ({"name": "hiden"}, ValueError, "there is no layer 'hiden'; did you mean 'hidden'? There are hidden, dense_1"),
        ({"name": 0}, ValueError, "there is no layer 0"),
        ({"index": 2}, IndexError, "index is 2; the model has 2 layers"),
        ({"index": -3}, IndexError, "index is -3; the model has 2 layers"),
        ({"index": "a"}, TypeError, "index is 'a'; it must be an integer"),
        ({}, ValueError, "name is None and index is None; give one of them"),
        ({"name": "hidden", "index": 0}, ValueError, "name is 'hidden' and index is 0; give one of them"),
    ):
        with pytest.raises(error) as caught:
            model.get_layer(**arguments)
        assert str(caught.value).startswith(message)


def test_pop():
    model = Sequential([Dense(2), Dense(3), Dense(4, name="head")])
    head = model.pop()
    assert head.name == "head" and [layer.name for layer in model.layers] == ["dense_1", "dense_2"]
    other = Sequential([Dense(1), head, model.pop(), model.pop()])
    # names that a model gave are given anew where they are taken
    assert [layer.name for layer in other.layers] == ["dense_1", "head", "dense_2", "dense_3"]
    with pytest.raises(RuntimeError, match="the model has no layers"):
        model.pop()
    model.add(Dense(2))
    model.compile("sgd", "mse")
    for done in ("compiled", "built"):
        with pytest.raises(RuntimeError, match=f"the model is {done}, and its layers stay; make a new one of copies"):
            model.pop()
        assert len(model.layers) == 1
        model.build(3)
    with pytest.raises(ValueError, match="two layers are called 'head'"):
        Sequential([head.__class__(2, name="head"), copy.copy(head)])


def test_weights_in_files(tmp_path):
    model, other = trained(), compiled()
    path = tmp_path / "weights.npz"
    model.save_weights(path)
    with np.load(path, allow_pickle=False) as file:
        assert_same_bits(file["batchnorm_1/moving_mean"], model.layers[1].moving_mean)
    other.fit(X, Y, verbose=0, seed=0)
    state = other.optimizer.get_state()
    other.load_weights(path)
    for mine, now in zip(model.get_weights(), other.get_weights(), strict=True):
        assert_same_bits(now, mine)
    assert (state["m"] == other.optimizer.get_state()["m"]).all() and other.optimizer.iterations == state["step"]
    # of a whole model, and of a checkpoint; the file says the input shape
    model.save(tmp_path / "model.npz")
    again = compiled()
    again.fit(X, Y, verbose=0, seed=0, checkpoint=tmp_path / "run.npz")
    for file, source in (("model.npz", model), ("run.npz", again), ("weights.npz", model)):
        new = Sequential(layers_of(), seed=7)
        new.load_weights(tmp_path / file)
        assert new.input_shape == (3,)
        for mine, now in zip(source.get_weights(), new.get_weights(), strict=True):
            assert_same_bits(now, mine)
    wide = trained(dtype="float64")
    wide.load_weights(path)
    assert_same_bits(wide.layers[0].w, model.layers[0].w.astype("f8"))

    # of a loss that is not known here nothing is needed
    class Elsewhere(losses.MeanSquaredError):
        pass

    model.compile("sgd", Elsewhere())
    model.save(tmp_path / "model.npz")
    del losses.Loss.registry.classes[fastbp.registry.name_of(Elsewhere)]
    with pytest.raises(fastbp.io.FileFormatError, match=r"the loss '.*Elsewhere' is not defined here"):
        fastbp.load_model(tmp_path / "model.npz")
    wide.load_weights(tmp_path / "model.npz")
    assert_same_bits(wide.layers[0].w, model.layers[0].w.astype("f8"))
    with pytest.raises(fastbp.io.FileFormatError, match="it holds weights and no model; make one, and call its load_w"):
        fastbp.load_model(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.npz", "run.npz", "weights.npz"]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([Dense(2)], r"path is '.*', which has dense_1/w of shape \(3, 4\); this model's has \(3, 2\)"),
        (
            [Dense(4, name="dens_1")],
            r"path is '.*', which has no dens_1/w; did you mean 'dense_1/w'\? It has dense_1/w,",
        ),
        ([Dense(4), Dense(2)], "which has no dense_2/w"),
        ([Dense(4, use_bias=False)], "which has dense_1/b besides; this model has dense_1/w"),
        ([Dense(4), Dropout(0.5)], None),
    ],
)
def test_weights_of_another_model_are_refused(layers, message, tmp_path):
    Sequential([Dense(4)], input_shape=3, seed=0).save_weights(tmp_path / "weights.npz")
    model = Sequential(layers, seed=1)
    if message is None:
        model.load_weights(tmp_path / "weights.npz")
        return
    with pytest.raises(ValueError, match=message):
        model.load_weights(tmp_path / "weights.npz")
    assert model.layout is None and model.seed == 1
    model.build(3)
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.load_weights(tmp_path / "weights.npz")
    for mine, now in zip(before, model.get_weights(), strict=True):
        assert_same_bits(now, mine)


def test_damaged_weights_are_refused(tmp_path):
    path = tmp_path / "weights.npz"
    model = Sequential([Dense(4)], input_shape=3, seed=0)
    model.save_weights(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-30] + b"x" + whole[-29:])
    with pytest.raises(fastbp.io.FileFormatError):
        model.load_weights(path)
    arrays = {"dense_1/w": np.zeros((3, 4)), "dense_1/b": np.zeros(4)}
    for shape in ([0], [-3], "three", None, [1.5], {"a": 1}):
        fastbp.io.save_arrays(path, {"weights": {"input_shape": shape}}, arrays)
        with pytest.raises(fastbp.io.FileFormatError, match="not a model of this version"):
            model.load_weights(path)
    fastbp.io.save_arrays(path, {"weights": 3}, arrays)
    with pytest.raises(fastbp.io.FileFormatError, match="not a model of this version"):
        model.load_weights(path)
    with pytest.raises(FileNotFoundError):
        model.load_weights(tmp_path / "none.npz")
    with pytest.raises(FileNotFoundError, match="there is no such directory"):
        model.save_weights(tmp_path / "none" / "weights.npz")


def test_weights_are_loaded_between_steps(tmp_path):
    model, path = compiled(), tmp_path / "weights.npz"

    class Restore(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 0:
                self.model.save_weights(path)
            else:
                self.model.load_weights(path)

    model.fit(X, Y, verbose=0, epochs=3, callbacks=[Restore()])
    fresh = compiled()
    fresh.load_weights(path)
    for mine, now in zip(fresh.get_weights(), model.get_weights(), strict=True):
        assert_same_bits(now, mine)
