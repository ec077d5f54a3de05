"""Classes by name: fastbp's own, users' in files, and what may not take another's place."""

import os
import subprocess
import sys

import numpy as np
import pytest
from _arrays import assert_same_bits

import fastbp
from fastbp import (
    Dense,
    Sequential,
    initializers,
    load_model,
    losses,
    metrics,
    optimizers,
    regularizers,
    schedules,
)
from fastbp.constraints import Constraint
from fastbp.io import FileFormatError
from fastbp.layers import Layer, ParameterSpec
from fastbp.registry import make, name_of, restore

X, Y = np.random.default_rng(0).normal(size=(12, 3)), np.random.default_rng(1).normal(size=(12, 2))
BASES = (
    Layer, losses.Loss, optimizers.Optimizer, metrics.Metric, initializers.Initializer, regularizers.Regularizer,
    Constraint, schedules.Schedule,
)  # fmt: skip


class Scale(Layer):
    """Multiplies each input by a number of its own."""

    parameters = ("w",)

    def __init__(self, first=1.0, name=None):
        super().__init__(name=name)
        self.first = first

    def build(self, input_shape):
        return [ParameterSpec("w", input_shape, initializers.Constant(self.first))], input_shape

    def emit(self, program, x, weights, gradients):
        y = program.call("scale_forward", x, weights["w"], layer=self.name)

        def backward(dy, need_dx):
            into = {"dgamma": gradients["w"]} if gradients else {}
            return program.call("scale_backward", dy, x, weights["w"], layer=self.name, into=into)[1]

        return y, backward

    def get_config(self):
        return {"first": self.first, **super().get_config()}


class Doubled(losses.MeanSquaredError, names=("doubled",)):
    """The mean squared error, by another name."""


class Slow(optimizers.SGD):
    """SGD, by another name."""


class Halves(schedules.Schedule):
    """1 / (2 + steps)."""

    def rates(self, steps):
        return 1 / (2 + steps)


class Worst(metrics.RootMeanSquaredError):
    """A metric that is called like its class."""


class Ramp(initializers.Initializer):
    """0, 1, 2 ..., divided."""

    def __init__(self, by=1.0):
        self.by = by

    def __call__(self, shape, rng):
        return np.arange(np.prod(shape), dtype=float).reshape(shape) / self.by


class Small(regularizers.L2):
    """L2, by another name."""


class Positive(Constraint):
    """NonNeg, by another name."""

    def emit(self, program, w, layer):
        program.call("non_negative", w, layer=layer)


def model_of():
    dense = Dense(2, kernel_initializer=Ramp(8.0), kernel_regularizer=Small(0.1), kernel_constraint=Positive())
    model = Sequential([Scale(0.5), dense], seed=0)
    model.compile(Slow(lr=Halves()), Doubled(), metrics=[Worst(), "mae"], dtype="float64")
    model.fit(X, Y, epochs=2, batch_size=4, seed=0, verbose=0)
    return model


def assert_same_model(ours, other):
    for a, b in zip(ours.get_weights(), other.get_weights(), strict=True):
        assert_same_bits(a, b)
    assert ours.get_config() == other.get_config()
    assert_same_bits(ours.predict(X), other.predict(X))


def test_a_model_of_users_classes_comes_back(tmp_path):
    model = model_of()
    assert {"loss", "lr", "Worst", "mae"} == set(model.history.history)
    model.save(tmp_path / "model.npz")
    loaded = load_model(tmp_path / "model.npz")
    assert_same_model(loaded, model)
    kinds = [type(layer) for layer in loaded.layers], type(loaded.loss_function), type(loaded.optimizer)
    assert kinds == ([Scale, Dense], Doubled, Slow)
    assert isinstance(loaded.optimizer.schedule, Halves) and type(loaded.metrics[0]) is Worst
    dense = loaded.layers[1]
    parts = type(dense.kernel_initializer), type(dense.kernel_regularizer), type(dense.kernel_constraint)
    assert parts == (Ramp, Small, Positive)
    for each in (model, loaded):
        each.fit(X, Y, epochs=1, batch_size=4, seed=1, verbose=0)
    assert_same_model(loaded, model)


def test_files_say_whose_a_class_is():
    config = model_of().get_config()
    here = __name__
    assert [kind for kind, _ in config["layers"]] == [f"{here}.Scale", "Dense"]
    assert config["layers"][1][1]["kernel_initializer"] == [f"{here}.Ramp", {"by": 8.0}]
    assert (config["loss"][0], config["optimizer"][0]) == (f"{here}.Doubled", f"{here}.Slow")
    assert config["optimizer"][1]["lr"] == [f"{here}.Halves", {}]
    assert config["metrics"] == [[f"{here}.Worst", {"name": "Worst"}], "mae"]


def run(code, folder):
    path = os.pathsep.join([str(folder), os.path.dirname(fastbp.__path__[0])])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


MINE = """
import numpy as np, fastbp
from fastbp.layers import Layer
class Same(Layer):
    def build(self, input_shape):
        return [], input_shape
    def emit(self, program, x, weights, gradients):
        return x, lambda dy, need_dx: dy
"""


def test_another_process_must_know_the_class_and_imports_nothing(tmp_path):
    (tmp_path / "mine.py").write_text(MINE + "print('imported')\n")
    save = "model = fastbp.Sequential([{}(), fastbp.Dense(2)], input_shape=3, seed=0); model.save('{}.npz')"
    run("import fastbp, mine\n" + save.format("mine.Same", "module"), tmp_path)
    run(MINE + save.format("Same", "script"), tmp_path)
    for file, name in (("module", "mine.Same"), ("script", "__main__.Same")):
        code = f"import fastbp\ntry: fastbp.load_model('{file}.npz')\nexcept fastbp.io.FileFormatError as e: print(e)"
        message = run(code, tmp_path)
        assert f"the layer '{name}' is not defined here: import or define its class first" in message
        assert f"custom_objects={{'{name}': ...}}" in message and "imported" not in message
    loads = "import fastbp, mine\nprint(type(fastbp.load_model({}).layers[0]).__module__)"
    assert run(loads.format("'module.npz'"), tmp_path) == "imported\nmine"
    moved = "'script.npz', custom_objects={'__main__.Same': mine.Same}"
    assert run(loads.format(moved), tmp_path) == "imported\nmine"


HIDDEN = """
import fastbp
class Mine(fastbp.Dense):
    pass
class _Hidden(fastbp.losses.MeanSquaredError, names=("hidden",)):
    pass
def round_trip(file):
    model = fastbp.Sequential([Mine(2, name="mine")], input_shape=3, seed=0)
    model.compile("sgd", "hidden")
    model.save(file)
    loaded = fastbp.load_model(file)
    assert (type(loaded.layers[0]), type(loaded.loss_function)) == (Mine, _Hidden)
    try:
        class Thief(fastbp.losses.Loss, names=("hidden",)):
            pass
    except ValueError as error:
        print(error)
"""


def test_a_users_class_may_be_of_a_script_and_have_underscores(tmp_path):
    (tmp_path / "_private.py").write_text(HIDDEN)
    for module, code in (("__main__", HIDDEN), ("_private", "from _private import round_trip")):
        said = run(code + "\nround_trip('model.npz')", tmp_path)
        assert said.startswith(f"the loss 'hidden' is {module}._Hidden; {module}.round_trip.<locals>.Thief must have")


def twins(base):
    """Return two classes of one name; the second has taken the first one's place."""

    def define(k):
        class Twin(base):
            number = k

        return Twin

    return define(1), define(2)


OF_A_MODEL = {
    "layer": (Dense, lambda cls: {"layer": cls(2)}),
    "loss": (losses.MeanSquaredError, lambda cls: {"loss": cls()}),
    "optimizer": (optimizers.SGD, lambda cls: {"optimizer": cls()}),
    "metric": (Worst, lambda cls: {"metrics": [cls()]}),
    "schedule": (Halves, lambda cls: {"optimizer": optimizers.Adam(cls())}),
    "initializer": (Ramp, lambda cls: {"layer": Dense(2, kernel_initializer=cls())}),
    "regularizer": (Small, lambda cls: {"layer": Dense(2, kernel_regularizer=cls(0.1))}),
    "constraint": (Positive, lambda cls: {"layer": Dense(2, kernel_constraint=cls())}),
}


@pytest.mark.parametrize("kind", OF_A_MODEL)
def test_no_file_stands_for_another_class_of_the_same_name(kind, tmp_path):
    base, parts_of = OF_A_MODEL[kind]
    old, new = twins(base)
    for cls in (new, old):
        parts = {"layer": Dense(2), "optimizer": "sgd", "loss": "mse", "metrics": [], **parts_of(cls)}
        model = Sequential([parts.pop("layer")], input_shape=3, seed=0)
        model.compile(**parts)
        repr(model.layers[0])
        if cls is new:
            model.save(tmp_path / "new.npz")
            assert_same_model(load_model(tmp_path / "new.npz"), model)
            continue
        message = rf"class of {kind} '.*Twin' is not the one that a file would stand for: another .* was defined after"
        with pytest.raises(ValueError, match=message):
            model.save(tmp_path / "old.npz")
        with pytest.raises(ValueError, match=message):
            model.fit(X, Y, checkpoint=tmp_path / "old.npz", verbose=0)
        assert not (tmp_path / "old.npz").exists()


CELL = """
import fastbp
from fastbp.layers import Layer
class Again(Layer):
    scale = {scale}
    def __init__(self, by=1, **options):
        super().__init__(**options)
        self.by = by
    @property
    def doubled(self):
        return 2 * self.by
    def build(self, input_shape):
        return [], input_shape
    def emit(self, program, x, weights, gradients):
        return x, lambda dy, need_dx: dy
    def get_config(self):
        return {{"by": self.by, **super().get_config()}}
class AgainLoss(fastbp.losses.MeanSquaredError, names=("again_loss",)):
    pass
"""


def ran(**values):
    """Run a cell of a notebook."""
    space = {"__name__": "notebook"}
    exec(compile(CELL.format(**values), "<cell>", "exec"), space)
    return space


def test_a_cell_that_ran_again_defines_the_same_classes(tmp_path):
    space = ran(scale=1)
    model = Sequential([space["Again"](by=3), Dense(2)], input_shape=3, seed=0)
    model.compile("adam", "again_loss")
    newer = ran(scale=1)
    assert newer["Again"] is not space["Again"]
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.npz")
    loaded = load_model(tmp_path / "model.npz")
    assert type(loaded.layers[0]) is newer["Again"] and type(loaded.loss_function) is newer["AgainLoss"]
    assert_same_model(loaded, model)
    # one that was changed is another
    ran(scale=2)
    model.fit(X, Y, verbose=0)
    with pytest.raises(
        ValueError, match=r"class of layer 'notebook\.Again' is not the one that a file would stand for"
    ):
        model.save(tmp_path / "model.npz")


def test_variables_around_a_class_tell_two_apart():
    def made(n, default=0):
        class Closed(Dense):
            def __init__(self, units=n, k=default, **options):
                super().__init__(units, **options)

            def more(self):
                return n

        return Closed

    for one, other, alike in (((2,), (2,), True), ((2,), (3,), False), ((2, 0), (2, 1), False)):
        model = Sequential([made(*one)()], input_shape=3, seed=0)
        made(*other)
        if alike:
            model.get_config()
        else:
            with pytest.raises(ValueError, match="not the one that a file would stand for"):
                model.get_config()


class Forgets(Scale):
    """Does not say what it was made of."""

    def __init__(self, first, by, name=None):
        super().__init__(first, name=name)
        self.by = by


class OfArrays(Scale):
    """Says it in what no file can hold."""

    def get_config(self):
        return {**super().get_config(), "first": np.ones(3)}


class Drifts(Scale):
    """Says what makes another one."""

    def get_config(self):
        return {**super().get_config(), "first": self.first + 1}


class RampOf(Ramp):
    """An initializer that forgets what it was made of."""

    def __init__(self, by, more):
        super().__init__(by)


class Needs(optimizers.SGD):
    """An optimizer with an argument that it does not say."""

    def __init__(self, lr, extra):
        super().__init__(lr)


class NeedsToo(losses.MeanSquaredError):
    """A loss of that kind."""

    def __init__(self, extra):
        super().__init__()


class NeedsAsWell(metrics.RootMeanSquaredError):
    """A metric of that kind."""

    def __init__(self, extra):
        super().__init__()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"layer": Forgets(1.0, 2)}, r"the layer 'forgets_1' cannot be written: get_config of .*Forgets, and .*'by'"),
        ({"layer": Dense(3, kernel_initializer=RampOf(1.0, 2))}, "the layer 'dense_1' cannot be written: .*'more'"),
        ({"layer": OfArrays(1.0)}, "the layer 'ofarrays_1' cannot be written: .* ndarray is not JSON"),
        ({"layer": Drifts(1.0)}, "the layer 'drifts_1' cannot be written: .* of one that is made of"),
        ({"optimizer": Needs(0.1, 1)}, "the optimizer '.*Needs' cannot be written: .* unexpected keyword argument"),
        ({"loss": NeedsToo(1)}, "the loss '.*NeedsToo' cannot be written: .* unexpected keyword argument"),
        ({"metrics": [NeedsAsWell(1)]}, "the metric 'NeedsAsWell' cannot be written: .* unexpected keyword argument"),
    ],
    ids=lambda part: next(iter(part)) if isinstance(part, dict) else "",
)
def test_what_no_file_could_make_again_is_not_written(parts, message, tmp_path):
    parts = {"layer": Dense(3), "optimizer": "sgd", "loss": "mse", "metrics": [], **parts}
    model = Sequential([parts.pop("layer"), Dense(2)], input_shape=3, seed=0)
    model.compile(**parts)
    with pytest.raises(ValueError, match=message):
        model.save(tmp_path / "model.npz")
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y, checkpoint=tmp_path / "model.npz", verbose=0)
    assert not list(tmp_path.iterdir())


def own_classes(base):
    return {name: cls for name, cls in base.registry.classes.items() if cls.__module__ == base.__module__}


@pytest.mark.filterwarnings("ignore")  # of losses that do not go with the outputs
def test_none_of_fastbps_own_parts_is_refused_beside_a_users():
    rates = schedules.WarmUp(schedules.Constant(0.1), 3)
    known = own_classes(optimizers.Optimizer).values()
    parts = [("mse", cls(0.1 if cls is optimizers.Rprop else rates, clipnorm=1.0), ()) for cls in known]
    plain = [cls for cls in own_classes(losses.Loss).values() if not issubclass(cls, losses.CustomLoss)]
    parts += [(cls(), "sgd", ()) for cls in plain]
    of = {metrics.MeanLoss: ("huber",), metrics.Weighted: ("mae",)}
    for loss in ("mse", "sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"):
        parts += [(loss, "sgd", [cls(*of.get(cls, ()))]) for cls in own_classes(metrics.Metric).values()]
    written = 0
    for loss, optimizer, measured in parts:
        model = Sequential([Scale(0.5), Dense(4)], input_shape=3, seed=0)
        try:
            model.compile(optimizer, loss, metrics=measured)
        except ValueError:  # a metric that this loss has no numbers for
            continue
        model.get_config()
        written += 1
    assert written > 50


def test_custom_objects_by_their_own_names(tmp_path):
    class Other(Scale):
        pass

    model = model_of()
    model.save(tmp_path / "model.npz")
    given = {"Scale": Other, name_of(Ramp): Ramp}
    loaded = load_model(tmp_path / "model.npz", custom_objects=given)
    assert type(loaded.layers[0]) is Other
    with pytest.raises(FileFormatError, match=r"custom_objects\['Scale'\] is 7; it must be a subclass of Layer"):
        load_model(tmp_path / "model.npz", custom_objects={"Scale": 7})
    with pytest.warns(UserWarning, match=r"has 'Scal', which the file does not name; it names '.*\.Scale', "):
        load_model(tmp_path / "model.npz", custom_objects={"Scal": Scale, "Ramp": Ramp})


def test_checkpoints_name_users_optimizers(tmp_path):
    class SGD(optimizers.SGD):
        pass

    model = Sequential([Dense(2)], input_shape=3, seed=0)
    model.compile(SGD(), "mse")
    model.fit(X, Y, checkpoint=tmp_path / "run.npz", verbose=0)
    assert type(load_model(tmp_path / "run.npz").optimizer) is SGD


@pytest.mark.parametrize(
    ("name", "want"), [("_Hidden", "hidden"), ("__2nd", "nd"), ("Ünï", "n"), ("_Ä1b_C", "b_c"), ("\u5c42", "layer")]
)
def test_names_by_default_are_names_that_files_have(name, want, tmp_path):
    cls = type(name, (Dense,), {"__module__": __name__})
    model = Sequential([cls(2), cls(2)], input_shape=3, seed=0)
    assert [layer.name for layer in model.layers] == [f"{want}_1", f"{want}_2"]
    model.save(tmp_path / "model.npz")
    assert_same_model(load_model(tmp_path / "model.npz"), model)


def test_custom_objects_count_for_one_call(tmp_path):
    class Other(Scale):
        pass

    model = model_of()
    model.save(tmp_path / "model.npz")
    named = {name_of(Scale): Other, name_of(Ramp): initializers.Constant}
    with pytest.raises(FileFormatError, match="by"):  # the arguments of another class
        load_model(tmp_path / "model.npz", custom_objects=named)
    del named[name_of(Ramp)]
    assert type(load_model(tmp_path / "model.npz", custom_objects=named).layers[0]) is Other
    assert type(load_model(tmp_path / "model.npz").layers[0]) is Scale
    with pytest.raises(FileFormatError, match=r"custom_objects\['.*Scale'\] is 7; it must be a subclass of Layer"):
        load_model(tmp_path / "model.npz", custom_objects={name_of(Scale): 7})
    with pytest.raises(TypeError, match="custom_objects is 5; it must be a dict"):
        load_model(tmp_path / "model.npz", custom_objects=5)


def test_a_class_that_is_defined_again_takes_its_own_place(tmp_path):
    made = []
    for factor in (1.0, 3.0):

        class Again(losses.MeanSquaredError, names=("again",)):
            weight = factor

        made.append(Again)
        assert make(losses.Loss, "again").weight == factor
        assert type(restore(losses.Loss, name_of(Again), {})) is Again
    assert name_of(made[0]) == name_of(made[1]) and len(set(made)) == 2

    def define():
        class Again(losses.MeanSquaredError):
            pass

        return Again

    # another class of that name, and with a later definition the name is free
    assert name_of(define()) != name_of(made[1])
    assert losses.get("again").weight == 3.0


def test_no_name_is_taken_from_another_class():
    with pytest.raises(ValueError, match=r"the loss 'mse' is fastbp\.losses\.MeanSquaredError; .*Mine must have"):

        class Mine(losses.Loss, names=("other", "mse")):
            pass

    assert losses.get("mse").__class__ is losses.MeanSquaredError
    with pytest.raises(ValueError, match="no loss 'other'"):
        losses.get("other")

    # one that is called like one of fastbp's is another: files and names for users keep them apart
    class SGD(optimizers.SGD):
        pass

    assert type(optimizers.get("SGD")) is optimizers.SGD and type(optimizers.get("sgd")) is optimizers.SGD
    assert type(optimizers.get(name_of(SGD))) is SGD and name_of(SGD).endswith("<locals>.SGD")


@pytest.mark.parametrize("names", ["abc", ("",), (3,)])
def test_names_are_a_tuple_of_names(names):
    with pytest.raises(TypeError, match=r"names of .*Mine is .*; it must be a tuple of names"):

        class Mine(losses.Loss, names=names):
            pass

    assert not any(name.endswith("are_a_tuple_of_names.<locals>.Mine") for name in losses.Loss.registry.classes)


def test_names_for_users_work_as_strings():
    model = Sequential([Dense(2)], input_shape=3, seed=0)
    model.compile(name_of(Slow), "doubled", metrics=[name_of(Worst)])
    assert (type(model.optimizer), type(model.loss_function)) == (Slow, Doubled)
    with pytest.raises(TypeError, match="loss 'CustomLoss' has arguments; give an object"):
        model.compile("sgd", "CustomLoss")


@pytest.mark.parametrize("base", BASES, ids=lambda base: base.__name__)
def test_all_of_fastbps_own_are_found(base):
    module = fastbp if base is Layer else sys.modules[base.__module__]
    public = {value for name in module.__all__ if isinstance(value := getattr(module, name), type)}
    public = {cls for cls in public if issubclass(cls, base)} - {base}
    own = {cls for cls in base.registry.classes.values() if cls.__module__.startswith("fastbp.")}
    assert public == own and all(base.registry.classes[cls.__name__] is cls for cls in own)


def test_keras_short_names_are_names_here():
    kinds = {"MSE": "MeanSquaredError", "MAE": "MeanAbsoluteError"}
    others = {"kld": "KLDivergence", "KLD": "KLDivergence", "bce": "BinaryCrossEntropy", "BCE": "BinaryCrossEntropy"}
    for name, kind in {**kinds, **others}.items():
        assert type(losses.get(name)) is getattr(losses, kind)
    for name, kind in {**kinds, "acc": "Accuracy"}.items():
        assert type(metrics.get(name)) is getattr(metrics, kind) and metrics.get(name).name == name
    assert type(optimizers.get("RMSProp")) is optimizers.RMSprop
    model = Sequential([Dense(2)], input_shape=3, seed=0)
    model.compile("RMSProp", "MSE", metrics=["MAE", "mae"])
    assert {"MAE", "mae"} < model.fit(X, Y, verbose=0).history.keys()


@pytest.mark.parametrize("kind", ["Binary", "BinaryFocal", "Categorical", "SparseCategorical"])
def test_cross_entropies_have_three_spellings(kind):
    cls = getattr(losses, f"{kind}CrossEntropy")
    assert getattr(losses, f"{kind}Crossentropy") is cls
    snake = "".join("_" + c.lower() if c.isupper() else c for c in kind).lstrip("_")
    for name in (f"{snake}_crossentropy", f"{snake}_cross_entropy", f"{kind}CrossEntropy", f"{kind}Crossentropy"):
        assert type(losses.get(name)) is cls
    assert name_of(cls) == f"{kind}CrossEntropy"
