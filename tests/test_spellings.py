"""The table of Keras' and PyTorch's spellings: every row of it, and what it says of the libraries where they are."""

import copy
import functools
import inspect
import os
import pickle
import sys
import tempfile

import numpy as np
import pytest

import fastbp
from fastbp import Dense, Sequential, callbacks, layers, losses, metrics, optimizers, schedules
from fastbp.kernels.table import TABLE
from fastbp.naming import own_name, value_of
from fastbp.registry import Registered
from fastbp.spellings import ARGUMENTS, ATTRIBUTES, CLASSES, DEFAULTS, MODULES, PLACES, STRINGS

#: Arguments without which there is no object of a class.
NEEDED = {
    "Activation": {"activation": "relu"}, "AlphaDropout": {"rate": 0.5}, "CosineDecay": {"lr": 0.5, "decay_steps": 9},
    "CosineDecayRestarts": {"lr": 0.5, "first_decay_steps": 9}, "Dense": {"units": 2}, "Dropout": {"rate": 0.5},
    **{name: {"filters": 2, "kernel_size": 3} for name in (
        "Conv1D", "Conv2D", "Conv1DTranspose", "Conv2DTranspose", "SeparableConv1D", "SeparableConv2D",
    )},
    "DepthwiseConv1D": {"kernel_size": 3}, "DepthwiseConv2D": {"kernel_size": 3}, "SpatialDropout1D": {"rate": 0.5},
    "SpatialDropout2D": {"rate": 0.5},
    "Embedding": {"input_dim": 7, "output_dim": 2}, "GaussianNoise": {"stddev": 0.1},
    "ModelCheckpoint": {"filepath": "m.npz"}, "PolynomialDecay": {"lr": 0.5, "decay_steps": 9},
    "RandomCrop": {"height": 2, "width": 3}, "RandomTranslation": {"height_factor": 0.1, "width_factor": 0.2},
    "Rescaling": {"scale": 0.5},
    "Reshape": {"target_shape": -1},
}  # fmt: skip
#: What an argument may be, and is not by default.
VALUES = {
    "activation": None, "alpha": 0.3, "alpha_initializer": 0.5, "beta": 2.5, "beta1": 0.7, "beta2": 0.6,
    "dilation_rate": 2, "filters": 3, "groups": 4, "interpolation": "bilinear", "pool_size": 3, "size": 3, "strides": 4,
    "class_weight": [1.0, 2.0], "end_lr": 0.2, "eps": 1e-2, "grow": 1.5, "high": 0.5, "ignore_index": -1,
    "input_dim": 5, "input_shape": 3, "low": -0.5, "lr": 0.25, "max_step": 9.0, "min_step": 1e-4, "output_dim": 3,
    "rate": 0.25, "rho": 0.5, "shrink": 0.4, "std": 0.3, "threshold": 0.25, "units": 5, "use_bias": False, "value": 2.0,
}  # fmt: skip
#: For rows of a base class.
ONE_OF = {
    "Callback": "EarlyStopping", "Initializer": "HeNormal", "Layer": "Dense", "Loss": "MeanSquaredError",
    "Metric": "Accuracy", "Optimizer": "SGD", "Schedule": "PolynomialDecay",
}  # fmt: skip
#: Of an activation that has the argument.
ACTIVATIONS = {"lambd": "hard_shrink", "negative_slope": "leaky_relu", "axis": "softmax", "dim": "softmax"}


def module_of(name):
    return next(module for module in modules() if hasattr(module, name) and name in {**vars(module), **aliases(module)})


def modules():
    return [getattr(fastbp, place) for place in MODULES.values()]


def aliases(module):
    return {row.theirs: row for row in CLASSES if f"fastbp.{MODULES[row.kind]}" == module.__name__}


def state(made):
    config = made.get_config() if hasattr(made, "get_config") else vars(made)
    return type(made), config, getattr(made, "input_shape", None)


# ------------------------------------------------------------------------------------------- its rows
@pytest.mark.parametrize("row", CLASSES, ids=lambda row: f"{row.kind}-{row.theirs}")
def test_classes(row):
    module = getattr(fastbp, MODULES[row.kind])
    theirs = getattr(module, row.theirs)
    assert row.theirs not in dir(module) and bool(row.own) != bool(row.advice)
    if not row.own:
        with pytest.raises(TypeError, match=f"no {row.kind} '{row.theirs}': ") as error:
            theirs(3, 4)
        assert row.advice in str(error.value)
        return
    own = getattr(module, row.own)
    assert (theirs is own) == (not row.given)
    if row.own == "Schedule":
        return
    needed = {k: v for k, v in NEEDED.get(row.own, {}).items() if k not in row.given}
    assert state(theirs(**needed)) == state(own(**needed, **row.given))
    for name in row.order:
        assert state(theirs(VALUES[name])) == state(own(**row.given, **{name: VALUES[name]}))
    if row.given:
        with pytest.raises(TypeError, match=f"^{row.theirs} is {row.own}.*by their names"):
            theirs(*[None] * 5)
    if row.kind == "layer":
        assert getattr(fastbp, row.theirs)(**needed).get_config() == theirs(**needed).get_config()


def maker(row):
    """Return what takes the arguments of a row, and those that it needs."""
    name = ONE_OF.get(row.of, row.of)
    needed = dict(NEEDED.get(name, {}))
    if name == "Activation":
        needed["activation"] = ACTIVATIONS.get(row.theirs, "relu")
    return getattr(module_of(name), name), needed


OF_CLASSES = [row for row in ARGUMENTS if "." not in row.of and row.of != "load_model"]
OF_METHODS = [row for row in ARGUMENTS if row not in OF_CLASSES]


@pytest.mark.parametrize("row", OF_CLASSES, ids=lambda row: f"{row.of}-{row.theirs}")
def test_arguments(row):
    make, needed = maker(row)
    if row.values:
        for theirs, own in row.values.items():
            assert make(**{row.theirs: theirs}).activation == own
        with pytest.raises(ValueError, match=f"{row.theirs} of {row.of} is 'other'; it must be 'none' or 'tanh'"):
            make(**{row.theirs: "other"})
    elif isinstance(row.own, tuple):
        values = [VALUES[name] for name in row.own]
        assert state(make(**{row.theirs: values})) == state(make(**dict(zip(row.own, values, strict=True))))
        with pytest.raises(TypeError, match=rf"{row.theirs} of {row.of} is 0.9; it must be \({', '.join(row.own)}\)"):
            make(**{row.theirs: 0.9})
    elif row.own:
        value = VALUES[row.own]
        others = {k: v for k, v in needed.items() if k != row.own}
        found = state(make(**others, **{row.theirs: value}))
        assert found == state(make(**others, **{row.own: value})) != state(make(**needed))
        with pytest.raises(TypeError, match=f"is given {row.own} and {row.theirs}, which are one argument, {row.own}"):
            make(**{row.own: value, **others, row.theirs: value})
    else:
        for value in row.neutral:
            got, want = make(**needed, **{row.theirs: value}), make(**needed)
            assert state(got) == state(want)
        for value in (object(), 7.5, "other"):
            with pytest.raises(TypeError, match=f"has no argument {row.theirs!r}: ") as error:
                make(**needed, **{row.theirs: value})
            assert row.advice in str(error.value)
    if row.own:
        assert not row.advice and not row.neutral


@pytest.mark.parametrize("row", OF_METHODS, ids=lambda row: f"{row.of}-{row.theirs}")
def test_arguments_of_methods(row, tmp_path):
    model = Sequential([Dense(2)], input_shape=3, seed=0)
    model.compile("adam", "mse")
    model.save(tmp_path / "m.npz")
    model.save_weights(tmp_path / "w.npz")
    x = np.zeros((4, 3))
    method, needed = {
        "compile": (model.compile, {"optimizer": "adam", "loss": "mse"}),
        "fit": (model.fit, {"x": x, "y": x[:, :2], "verbose": 0}),
        "save": (model.save, {"path": tmp_path / "n.npz"}),
        "save_weights": (model.save_weights, {"path": tmp_path / "v.npz"}),
        "load_weights": (model.load_weights, {"path": tmp_path / "w.npz"}),
        "load_model": (fastbp.load_model, {"path": tmp_path / "m.npz"}),
    }[row.of.rpartition(".")[2]]
    if row.own:
        method(**{row.theirs if name == row.own else name: value for name, value in needed.items()})
        with pytest.raises(TypeError, match=f"{row.of} is given {row.own} and {row.theirs}"):
            method(**needed, **{row.theirs: needed[row.own]})
        return
    for value in row.neutral:
        method(**needed, **{row.theirs: value})
    for value in (object(), 7.5, "other"):
        with pytest.raises(TypeError, match=f"^{row.of} has no argument {row.theirs!r}: ") as error:
            method(**needed, **{row.theirs: value})
        assert row.advice in str(error.value)


@pytest.mark.parametrize("row", ATTRIBUTES, ids=lambda row: f"{row.of}-{row.theirs}")
def test_attributes(row):
    model = Sequential([Dense(2)], input_shape=3, seed=0)
    model.compile("adam", "mse")
    owners = {"Model": model, "Optimizer": model.optimizer, "fastbp": fastbp, "Layer": model.layers[0]}
    if (owner := owners.get(row.of)) is None:
        owner = getattr(layers, row.of)(**NEEDED[row.of])
        shape = (5,) * (2 if "1D" in row.of else 3) if "Conv" in row.of else 3
        Sequential([owner], input_shape=shape, seed=0).build()
    assert row.theirs not in dir(owner) and bool(row.own) != bool(row.advice)
    if row.own:
        value = np.multiply(getattr(owner, row.theirs), 0.5)
        setattr(owner, row.theirs, value if value.ndim else float(value))
        assert (getattr(owner, row.own) == value).all() and (getattr(owner, row.theirs) == value).all()
        return
    with pytest.raises(AttributeError, match=f"has no attribute '{row.theirs}': ") as error:
        getattr(owner, row.theirs)
    assert row.advice in str(error.value) and not hasattr(owner, row.theirs)
    if owner is not fastbp:  # whoever sets it learns that nobody looks at it
        with pytest.raises(AttributeError, match=f"has no attribute '{row.theirs}': "):
            setattr(owner, row.theirs, False)


def test_attributes_in_classes_of_users():
    class Mine(Dense):
        def __init__(self):
            super().__init__(2)
            self.weight = 3

        def get_weights(self):
            return "mine"

    layer = Mine()
    assert (layer.weight, layer.get_weights()) == (3, "mine") and {"weight", "get_weights"} <= set(dir(layer))
    assert copy.deepcopy(layer).weight == 3
    told = r"no layer 'Module': a model is fastbp.Sequential.*; PyTorch's forward\(self, x\)"
    with pytest.raises(TypeError, match=told):
        type("Net", (layers.Module,), {})


def named(kind):
    if kind == "activation":
        return layers.ACTIVATIONS
    if kind in ("callback", "reduction"):
        return {"callback": (), "reduction": ("mean", "sum", "none")}[kind]
    return next(base.registry.named for base in Registered.__subclasses__() if base.registry.kind == kind)


@pytest.mark.parametrize("row", STRINGS, ids=lambda row: f"{row.kind}-{row.theirs}")
def test_strings(row):
    make = {
        "activation": lambda name: Dense(2, activation=name).activation,
        "reduction": lambda name: losses.Huber(reduction=name),
    }.get(row.kind) or getattr(fastbp, MODULES.get(row.kind, "losses")).get
    assert row.theirs not in named(row.kind)
    if row.own:
        assert row.own in named(row.kind) and not row.advice
        found, want = make(row.theirs), make(row.own)
        assert type(found) is type(want) and (row.kind == "metric" or state(found) == state(want))
    else:
        with pytest.raises(ValueError, match=f"'{row.theirs}'") as error:
            make(row.theirs)
        assert row.advice in str(error.value)


def test_nothing_hides_a_name_of_fastbp():
    for rows in (CLASSES, STRINGS):
        assert len({(row.kind, row.theirs) for row in rows}) == len(rows)
    assert len({(row.of, row.theirs) for row in ARGUMENTS}) == len(ARGUMENTS)
    for row in CLASSES:
        assert row.theirs not in named(row.kind) or row.kind in ("regularizer", "constraint")
        assert row.theirs not in getattr(fastbp, MODULES[row.kind]).__all__
    for row in OF_CLASSES:
        make, _ = maker(row)
        if isinstance(make, type) and make.__name__ == row.of:
            assert row.theirs not in inspect.signature(make).parameters, row
    assert len({(row.of, row.theirs) for row in ATTRIBUTES}) == len(ATTRIBUTES)
    assert all(PLACES[name] in MODULES.values() for name in PLACES)
    assert optimizers.schedules is schedules and fastbp.optim is optimizers


def test_strings_are_those_of_classes_too():
    assert type(losses.get("MSELoss")) is losses.MeanSquaredError
    assert losses.get("BCEWithLogitsLoss").from_logits is True and losses.get("BCELoss").from_logits is False
    with pytest.raises(ValueError, match="no loss 'KLDivLoss': PyTorch's KLDivLoss takes the logarithm"):
        losses.get("KLDivLoss")
    assert own_name("loss", "mine") == ("mine", {}) and own_name("loss", 7) == (7, {})
    assert value_of("reduction", "other") == "other" and value_of("reduction", 0) == 0


def test_optimizers_are_found_in_any_case():
    for name in ("ADAM", "Adam", "aDaM"):
        assert type(optimizers.get(name)) is optimizers.Adam
    assert type(optimizers.get("NADAM")) is optimizers.Nadam and type(optimizers.get("NAdam")) is optimizers.Nadam
    with pytest.raises(ValueError, match="no loss 'Huber_'; did you mean 'huber'"):
        losses.get("Huber_")
    with pytest.raises(ValueError, match="no activation 'RELU'; did you mean 'relu'"):
        Dense(2, activation="RELU")


def test_the_name_in_the_history_is_the_one_that_was_written():
    model = Sequential([Dense(2)], input_shape=3, seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["acc"])
    history = model.fit(np.zeros((4, 3)), [0, 1, 0, 1], verbose=0).history
    assert list(history) == ["loss", "acc"] and repr(model.metrics[0]) == "Accuracy(name='acc')"


# --------------------------------------------------------------------------------------- wrong names
@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        (lambda: layers.Dens, AttributeError, "'fastbp.layers' has no attribute 'Dens'; did you mean 'Dense'"),
        (lambda: layers.BatchNormalisation, AttributeError, "did you mean 'BatchNorm'"),
        (lambda: layers.LeakyRelu, AttributeError, "did you mean 'LeakyReLU'"),
        (lambda: fastbp.Sequental, AttributeError, "'fastbp' has no attribute 'Sequental'; did you mean 'Sequential'"),
        (lambda: fastbp.Adam, AttributeError, "'fastbp' has no attribute 'Adam'; it is fastbp.optimizers.Adam"),
        (lambda: losses.Meansquarederror, AttributeError, "did you mean 'MeanSquaredError'"),
        (lambda: losses.mse, AttributeError, "'fastbp.losses' has no attribute 'mse'; did you mean 'MeanSquaredError'"),
        (lambda: callbacks.EarlyStoping, AttributeError, "did you mean 'EarlyStopping'"),
        (lambda: metrics.qqqq, AttributeError, "module 'fastbp.metrics' has no attribute 'qqqq'$"),
        (lambda: Dense(3, activaton="relu"), TypeError, "^Dense has no .*'activaton'; did you mean 'activation'"),
        (lambda: optimizers.Adam(lerning_rate=1), TypeError, "^Adam has no .*'lerning_rate'; did you mean 'lr'"),
        (lambda: optimizers.SGD(clip_norm=1), TypeError, "^SGD has no argument 'clip_norm'; did you mean 'clipnorm'"),
        (lambda: optimizers.SGD(qqqq=1), TypeError, "'qqqq'; it has lr, momentum, nesterov, dampening, clipvalue"),
        (lambda: optimizers.Adam(0.1, learning_rate=2), TypeError, "Adam is given lr by its place and learning_rate"),
        (lambda: optimizers.Adam(betas=(0.9, 0.99), beta_1=0), TypeError, "given betas and beta_1, which are one"),
        (lambda: layers.Flatten(units=3), TypeError, "Flatten has no argument 'units'; .* input_shape, name"),
        (lambda: layers.LeakyReLU(slope=3), TypeError, "'leaky_relu' has no attribute 'slope'; it has alpha"),
        (lambda: fastbp.initializers.HeNormal(gain=2), TypeError, "HeNormal has no argument 'gain'; it has none"),
        (lambda: callbacks.EarlyStopping(patence=2), TypeError, "did you mean 'patience'"),
        (lambda: metrics.Accuracy(nam="a"), TypeError, "did you mean 'name'"),
        (lambda: Sequential(layer=[]), TypeError, "Sequential has no argument 'layer'; did you mean 'layers'"),
        (lambda: Sequential().fit(epoch=3), TypeError, "^Model.fit has no .*'epoch'; did you mean 'epochs'"),
        (lambda: Sequential().compile(optimiser="adam"), TypeError, "did you mean 'optimizer'"),
        (lambda: fastbp.custom.loss(abs, nam="a"), TypeError, "^loss has no argument 'nam'; did you mean 'name'"),
        (lambda: fastbp.gradient_check(None, 0, 0, tol=1), TypeError, "^gradient_check .* did you mean 'tolerance'"),
        (lambda: fastbp.load_model(pth=""), TypeError, "load_model has no argument 'pth'; did you mean 'path'"),
        (lambda: optimizers.get("adamm"), ValueError, "no optimizer 'adamm'; did you mean 'adam'"),
        (lambda: fastbp.initializers.get("xavier_norml"), ValueError, "did you mean 'glorot_normal'"),
        (lambda: Dense(3, 4), TypeError, "activation is 4; .* input_shape=, where PyTorch's Linear has them first"),
        (lambda: layers.LayerNorm(64), ValueError, "eps is 64; it must be a number, and no size"),
        (lambda: layers.BatchNorm((64,)), ValueError, r"momentum is \(64,\); it must be a number, and no size"),
        (lambda: Sequential([fastbp.Input(2), Dense(3)]), TypeError, "in a Sequential the shape .* input_shape"),
        (lambda: Sequential(Dense(2), Dense(3)), TypeError, r"layers is Dense\(.*it must be a list of layers"),
    ],
)
def test_wrong_names(wrong, kind, message):
    with pytest.raises(kind, match=message):
        wrong()


def test_functions_and_classes_lead_on():
    model = Sequential([Dense(1)], seed=0)
    with pytest.raises(TypeError, match=r"made a loss by fastbp.custom.loss\(lambda y_true, y_pred: ") as error:
        model.compile("adam", lambda y_true, y_pred: (y_true - y_pred) ** 2)
    code = str(error.value).partition(" made a loss by ")[2]
    model.compile("adam", eval(code))
    with pytest.raises(TypeError, match=r"made an activation by fastbp.custom.activation\(lambda x: ") as error:
        Dense(1, activation=lambda x: x)
    code = str(error.value).partition(" made an activation by ")[2]
    assert Dense(1, activation=eval(code)).activation.activation == "my_activation"
    for make in (fastbp.Activation, lambda activation: Dense(1, activation=activation)):
        with pytest.raises(TypeError, match=r"activation is <ufunc 'tanh'>; .*: write 'tanh'"):
            make(np.tanh)
    with pytest.raises(TypeError, match=r"it must be .* Loss: make an object of the class, Huber\(...\)"):
        model.compile("adam", losses.Huber)
    for make in (
        lambda: Dense(1, activation=layers.ReLU),
        lambda: Sequential([layers.ReLU]),
        lambda: model.compile("adam", losses.CrossEntropyLoss),
    ):
        with pytest.raises(TypeError, match=r": make an object of the class, (ReLU|CrossEntropyLoss)\(...\)$"):
            make()
    with pytest.raises(ValueError, match="there is no loss 7; "):
        model.compile("adam", 7)


def test_objects_of_other_libraries_lead_on(monkeypatch):
    def thing(name, module):
        return type(name, (), {"__module__": module, "__repr__": lambda self: name})()

    # nothing is imported for it
    monkeypatch.setitem(sys.modules, "torch", None)
    model = Sequential([Dense(1)], seed=0)
    for wrong, message in (
        (lambda: model.compile(thing("Adam", "torch.optim"), "mse"), r"PyTorch: .*optimizers of its own, such as Ad"),
        (lambda: model.compile("adam", thing("MSELoss", "torch.nn")), r"losses of its own, such as MeanSquaredErr"),
        (lambda: model.compile("adam", thing("KLDivLoss", "torch.nn")), "KLDivLoss; .*: PyTorch's KLDivLoss takes the"),
        (lambda: model.add(thing("Linear", "torch.nn")), r"layer 1 is Linear; .*PyTorch's Linear\(n_in, n_out\) is"),
        (lambda: Dense(1, activation=thing("SiLU", "torch.nn")), "SiLU; it must be .*: write 'silu'$"),
        (lambda: model.add(thing("Dense", "keras.src")), r"of Keras: fastbp has layers of its own, such as Dense\("),
        (lambda: model.add(thing("Conv2D", "keras.src")), r"of Keras: fastbp has layers of its own, such as Conv2D\("),
        (lambda: model.add(thing("Conv2d", "torch.nn")), r"PyTorch's Conv2d\(n_in, n_out, k\) is Conv2D\(n_out, k\)"),
        (lambda: model.add(thing("Attention", "keras.src")), "of Keras: fastbp has layers of its own$"),
    ):
        with pytest.raises(TypeError, match=message):
            wrong()


# ------------------------------------------------------------------------------------- nothing breaks
def test_subclasses_of_users():
    class Mine(optimizers.SGD):
        def __init__(self, strength, **others):
            self.strength = strength
            super().__init__(**others)

    class Open(Dense):
        def __init__(self, units, **others):
            self.mine = others.pop("bias", "kept")
            super().__init__(units, **others)

    assert Mine(3, learning_rate=0.5).lr == 0.5
    with pytest.raises(TypeError, match=r"^Mine has no .*'momentun'; did you mean 'momentum'\? It has strength, lr"):
        Mine(3, momentun=0.5)
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        type("Own", (Dense,), {"__init__": lambda self, units: None})(units=3, unts=4)
    layer = Open(3, bias=7, in_features=2)
    assert (layer.mine, layer.use_bias, layer.input_shape) == (7, True, (2,))

    class Plain(callbacks.Callback):
        def __new__(cls, anything):
            return super().__new__(cls)

    assert isinstance(Plain(3), callbacks.Callback)


def test_signatures_and_pickles_stay():
    assert list(inspect.signature(Dense).parameters)[:3] == ["units", "activation", "use_bias"]
    assert "epochs" in inspect.signature(fastbp.Model.fit).parameters
    assert inspect.signature(fastbp.initializers.HeNormal).parameters == {}
    assert fastbp.Model.fit.__doc__.startswith("Train for some epochs")
    for made in (Dense(3, bias=False), optimizers.Adam(betas=(0.8, 0.9)), losses.BCELoss(), layers.ReLU()):
        assert state(pickle.loads(pickle.dumps(made))) == state(made)
    for place in (layers.ReLU, fastbp.ReLU, losses.CrossEntropyLoss, layers.Linear, layers.BatchNormalization):
        assert pickle.loads(pickle.dumps(place)) is place
    assert layers.ReLU is layers.ReLU
    assert repr(optimizers.Adam(learning_rate=0.5, beta_1=0.8)) == "Adam(lr=0.5, beta1=0.8, beta2=0.999, eps=1e-08)"


def test_what_is_called_often_is_called_as_it_is():
    often = {"backward", "evaluate", "forward", "loss", "predict", "train_on_batch", "update"}
    assert not [name for name in often if hasattr(vars(fastbp.Model)[name], "__wrapped__")]
    assert all(hasattr(vars(fastbp.Model)[name], "__wrapped__") for name in ("__init__", "compile", "fit", "save"))
    # nor may looking an attribute up be slow
    assert not hasattr(fastbp.Model, "__getattr__") and fastbp.Model.__getattribute__ is object.__getattribute__


def test_files_have_names_of_fastbp(tmp_path):
    hidden = [Dense(4, kernel_initializer="xavier_normal_", input_dim=3), layers.SiLU(), Dense(3, "swish")]
    model = Sequential([*hidden, layers.BatchNormalization(epsilon=1e-2), Dense(1)])
    model.compile(optimizers.NAdam(learning_rate=0.1), losses.SmoothL1Loss(), metrics=["mae"])
    text = str(model.get_config())
    assert not [row.theirs for row in (*CLASSES, *ARGUMENTS, *STRINGS) if row.own and f"'{row.theirs}'" in text]
    model.save(tmp_path / "m.npz")
    assert fastbp.load_model(tmp_path / "m.npz").get_config() == model.get_config()


# --------------------------------------------------------------------------------- what others compute
@functools.cache
def torch():
    return pytest.importorskip("torch")


@functools.cache
def keras():
    torch()
    os.environ.setdefault("KERAS_BACKEND", "torch")
    os.environ.setdefault("KERAS_HOME", os.path.join(tempfile.gettempdir(), "keras"))  # it writes its settings there
    return pytest.importorskip("keras")


def test_defaults():
    own = {name: cls for module in modules() for name, cls in vars(module).items() if isinstance(cls, type)}
    for row in DEFAULTS:
        assert inspect.signature(own[row.of]).parameters[row.argument].default == row.own, row
        assert {row.keras, row.pytorch} > {None} and row.own not in {row.keras, row.pytorch} - {None}


#: Whose defaults differ in spelling only, or as `DIFFERENCES` says: an argument, or a class with one.
EXPLAINED = {
    "padding", "strides", "dilation_rate", "pool_size", "size", "cropping",
    "reduction", "from_logits", "name", "betas", "mode", "Precision threshold", "Recall threshold", "F1Score threshold",
    "F1Score average", "FBetaScore threshold", "FBetaScore average", "Lion weight_decay", "RMSNorm eps",
}  # fmt: skip


def defaults_beside(library, places):
    """Yield class, argument and default there of all arguments that both have, where the defaults are not equal."""
    for kind, others in places.items():
        for name in getattr(fastbp, MODULES[kind]).__all__:
            cls = getattr(getattr(fastbp, MODULES[kind]), name)
            named = [row.theirs for row in CLASSES if row.own == name and library in row.library and not row.given]
            theirs = next((getattr(place, n) for n in (name, *named) for place in others if hasattr(place, n)), None)
            if not isinstance(cls, type) or theirs is None:
                continue
            taken = inspect.signature(theirs.__init__).parameters
            bases = {base.__name__ for base in cls.__mro__}
            for argument in inspect.signature(cls).parameters.values():
                # where it is not taken for eps, its default is still another
                names = [argument.name, "epsilon" if argument.name == "eps" else ""]
                names += [row.theirs for row in ARGUMENTS if row.of in bases and row.own == argument.name]
                for other in set(names) & taken.keys():
                    both = argument.default, taken[other].default
                    if argument.empty not in both and both[0] != both[1]:
                        yield name, argument.name, both[1]


def assert_defaults(library, places):
    wanted = {(row.of, row.argument): getattr(row, library.lower()) for row in DEFAULTS}
    beside = defaults_beside(library, places)
    found = {(name, a): theirs for name, a, theirs in beside if not EXPLAINED & {a, f"{name} {a}"}}
    # of classes of another name and meaning
    others = {("BatchNorm", "eps"): 1e-5, ("Poisson", "log_input"): True,
              ("Poisson", "eps"): 1e-8, ("SparseCategoricalCrossEntropy", "ignore_index"): -100}  # fmt: skip
    assert {**found, **(others if library == "PyTorch" else {})} == {k: v for k, v in wanted.items() if v is not None}


def test_all_defaults_that_differ_from_keras():
    places = {kind: [getattr(keras(), place)] for kind, place in MODULES.items() if kind != "schedule"}
    assert_defaults("Keras", {**places, "schedule": [keras().optimizers.schedules]})


def test_all_defaults_that_differ_from_pytorch():
    nn, optim = torch().nn, torch().optim
    assert_defaults("PyTorch", {"layer": [nn], "loss": [nn], "optimizer": [optim], "callback": [optim.lr_scheduler]})
    taken = {name: inspect.signature(getattr(nn, name).__init__).parameters for name in dir(nn) if name[0].isupper()}
    assert (taken["BatchNorm1d"]["eps"].default, taken["BatchNorm1d"]["momentum"].default) == (1e-5, 0.1)
    assert (taken["PoissonNLLLoss"]["log_input"].default, taken["PoissonNLLLoss"]["eps"].default) == (True, 1e-8)
    assert taken["CrossEntropyLoss"]["ignore_index"].default == -100


def close(got, want, rtol=1e-6):
    want = want.detach().numpy() if hasattr(want, "detach") else np.asarray(want)
    np.testing.assert_allclose(np.asarray(got), want, rtol=rtol, atol=1e-7)


X = np.linspace(-4, 4, 41)[:, np.newaxis] * [1.0, 1.1, 1.5]


def through(layer, x=X):
    model = Sequential([layer], input_shape=x.shape[1:])
    model.compile("sgd", "mse", dtype="float64")
    return model.predict(x)


@pytest.mark.parametrize("row", [row for row in CLASSES if row.own == "Activation"], ids=lambda row: row.theirs)
def test_activations_are_pytorch_s(row):
    given = {"dim": -1} if "softmax" in row.theirs.lower() else {}
    own, theirs = getattr(layers, row.theirs), getattr(torch().nn, row.theirs)
    close(through(own(**given)), theirs(**given)(torch().tensor(X)))
    for option in ({"negative_slope": 0.3}, {"alpha": 0.3}, {"approximate": "tanh"}):
        if next(iter(option)) in inspect.signature(theirs.__init__).parameters:
            close(through(own(**option)), theirs(**option)(torch().tensor(X)))


#: One name, and two functions.
OTHERS_IN_KERAS = {"gelu": "gelu_exact", "leaky_relu": None}


def test_activations_are_keras_s():
    known = keras().activations
    others = [row.theirs for row in STRINGS if row.kind == "activation" and row.library == "Keras"]
    names = {*layers.ACTIVATIONS, *others}
    compared = [name for name in sorted(names) if hasattr(known, name) and OTHERS_IN_KERAS.get(name, name) == name]
    x = keras().ops.convert_to_tensor(X, "float64")
    for name in compared:
        close(through(fastbp.Activation(name)), getattr(known, name)(x))
    assert len(compared) > 15
    close(through(fastbp.Activation("gelu_exact")), known.gelu(x))
    close(through(fastbp.Activation("leaky_relu", negative_slope=0.2)), known.leaky_relu(x))
    assert abs(through(fastbp.Activation("gelu")) - np.asarray(known.gelu(x))).max() > 1e-4


RNG = np.random.default_rng(0)
P, Y = RNG.random((8, 3)) * 0.8 + 0.1, RNG.random((8, 3))
ROWS, LABELS = P / P.sum(axis=1, keepdims=True), RNG.integers(3, size=8)
ONE_HOT, BINARY = np.eye(3)[LABELS], (Y > 0.5) * 1.0


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_losses_are_pytorch_s(reduction):
    # the order of the arguments is another one
    for name, y_true, y_pred, options in (
        ("MSELoss", Y, P, {}), ("L1Loss", Y, P, {}), ("HuberLoss", Y, 3 * P, {"delta": 0.7}),
        ("SmoothL1Loss", Y, 3 * P, {"beta": 1.0}), ("BCELoss", BINARY, P, {}), ("BCEWithLogitsLoss", BINARY, 3 * P, {}),
        ("CrossEntropyLoss", LABELS, 3 * P, {}), ("CrossEntropyLoss", LABELS, 3 * P, {"label_smoothing": 0.1}),
        ("CrossEntropyLoss", LABELS, 3 * P, {"ignore_index": 1}), ("PoissonNLLLoss", Y, P, {}),
        ("PoissonNLLLoss", Y, P, {"log_input": False, "eps": 1e-3}), ("SmoothL1Loss", Y, 3 * P, {"beta": 0.3}),
        ("NLLLoss", LABELS, P, {"ignore_index": 1}), ("MultiMarginLoss", LABELS, P, {"p": 2, "margin": 0.5}),
        ("SoftMarginLoss", 2 * BINARY - 1, P, {}), ("HingeEmbeddingLoss", 2 * BINARY - 1, P, {"margin": 0.5}),
    ):  # fmt: skip
        own = getattr(losses, name)(reduction=reduction, **options)
        theirs = getattr(torch().nn, name)(reduction=reduction, **options)
        close(own(y_true, y_pred), theirs(torch().tensor(y_pred), torch().tensor(y_true)), 1e-9)
    weight = np.array([1.0, 2.0, 4.0])
    for name in ("CrossEntropyLoss", "NLLLoss"):
        theirs = getattr(torch().nn, name)(weight=torch().tensor(weight), reduction=reduction)
        own = getattr(losses, name)(weight=weight, reduction=reduction)
        close(own(LABELS, 3 * P), theirs(torch().tensor(3 * P), torch().tensor(LABELS)), 1e-9)
    anchor, positive, negative = P[:4], P[4:], Y[:4]
    theirs = torch().nn.TripletMarginLoss(reduction=reduction)(*map(torch().tensor, (anchor, positive, negative)))
    close(losses.TripletMarginLoss(reduction=reduction, p=2)(anchor, positive, negative), theirs, 1e-9)


def test_losses_that_are_not_pytorch_s():
    logs, y = torch().tensor(np.log(ROWS)), torch().tensor(Y / Y.sum(axis=1, keepdims=True))
    divergence = losses.KLDivergence()(y.numpy(), ROWS)
    close(divergence, torch().nn.KLDivLoss(reduction="batchmean")(logs, y), 1e-9)
    assert abs(divergence - torch().nn.KLDivLoss()(logs, y).item()) > 0.01
    weight = torch().tensor([1.0, 2.0, 4.0]).double()
    rows = torch().nn.CrossEntropyLoss(weight)(torch().tensor(3 * P), torch().tensor(ONE_HOT)) * 8
    own = losses.CategoricalCrossEntropy(True, class_weight=[1, 2, 4])
    close(own(ONE_HOT, 3 * P) * weight[LABELS].sum(), rows, 1e-9)
    several = torch().nn.MultiLabelSoftMarginLoss()(torch().tensor(P), torch().tensor(BINARY))
    close(losses.BinaryCrossEntropy(from_logits=True)(BINARY, P), several, 1e-9)


def test_losses_are_keras_s():
    mean = {"reduction": "sum_over_batch_size", "axis": -1}
    for name, y_true, y_pred, options in (
        ("MeanSquaredError", Y, P, {}), ("MeanAbsoluteError", Y, P, {}), ("Huber", Y, 3 * P, {"delta": 0.7}),
        ("LogCosh", Y, P, {}), ("Hinge", 2 * BINARY - 1, P, {}), ("SquaredHinge", 2 * BINARY - 1, P, {}),
        ("CategoricalHinge", ONE_HOT, P, {}), ("CosineSimilarity", Y, P, {}), ("KLDivergence", Y, ROWS, {}),
        ("Poisson", Y, P, {}), ("BinaryCrossentropy", BINARY, P, {"label_smoothing": 0.1}),
        ("BinaryCrossentropy", BINARY, P, {"from_logits": True}),
        ("CategoricalCrossentropy", ONE_HOT, ROWS, {"label_smoothing": 0.1}),
        ("SparseCategoricalCrossentropy", LABELS, 3 * P, {"from_logits": True}),
        ("SparseCategoricalCrossentropy", LABELS, 3 * P, {"from_logits": True, "ignore_class": 1}),
        ("BinaryFocalCrossentropy", BINARY, 3 * P, {"from_logits": True, "apply_class_balancing": True}),
        ("CategoricalFocalCrossentropy", ONE_HOT, ROWS, {"alpha": 0.5, "gamma": 1.5}), ("Dice", Y, P, {}),
        ("CategoricalFocalCrossentropy", ONE_HOT, 3 * P, {"from_logits": True, "label_smoothing": 0.1}),
        ("MeanAbsolutePercentageError", Y, P, {}), ("MeanSquaredLogarithmicError", Y, P, {}),
    ):  # fmt: skip
        theirs = getattr(keras().losses, name)
        own = getattr(losses, name)(**mean, **options)
        taken = inspect.signature(theirs.__init__).parameters
        want = theirs(**{k: v for k, v in {**mean, **options}.items() if k in taken})(y_true, y_pred)
        close(own(y_true, y_pred), want, 2e-5)
    # of rows of three outputs the sum is three times Keras', where a row's loss is a mean
    close(losses.Huber(reduction="sum")(Y, P) / 3, keras().losses.Huber(reduction="sum")(Y, P), 1e-5)
    balanced = losses.BinaryFocalCrossEntropy(alpha=0.5)(BINARY, 3 * P)
    close(2 * balanced, keras().losses.BinaryFocalCrossentropy(from_logits=True)(BINARY, 3 * P), 1e-5)


def test_norms():
    for own, theirs in (
        (layers.BatchNormalization(epsilon=0.1, axis=-1), keras().layers.BatchNormalization(epsilon=0.1)),
        (layers.LayerNormalization(epsilon=0.1), keras().layers.LayerNormalization(epsilon=0.1)),
        (layers.RMSNormalization(epsilon=0.1), keras().layers.RMSNormalization(epsilon=0.1)),
        (layers.LayerNorm(), torch().nn.LayerNorm(3, dtype=torch().float64)),
    ):
        close(through(own, 3 * P), theirs(torch().tensor(3 * P)), 1e-5)


def test_moving_averages():
    def moved(momentum):
        model = Sequential([layers.BatchNorm(momentum=momentum, eps=1e-5)], input_shape=3)
        model.compile(optimizers.SGD(lr=1e-9), "mse", dtype="float64")
        model.train_on_batch(3 * P, Y)
        return model.layers[0]

    theirs = torch().nn.BatchNorm1d(3, momentum=0.1, dtype=torch().float64)
    theirs(torch().tensor(3 * P))
    close(moved(0.9).moving_mean, theirs.running_mean)
    n = len(P)
    close(0.9 + (moved(0.9).moving_variance - 0.9) * n / (n - 1), theirs.running_var)
    other = keras().layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    other(3 * P, training=True)
    close(moved(0.9).moving_mean, other.moving_mean, 1e-5)
    close(moved(0.9).moving_variance, other.moving_variance, 1e-5)


def trained(optimizer, **options):
    """Return the weights of a layer after some steps, and the batches."""
    model = Sequential([Dense(2, input_shape=3, use_bias=True, **options)], seed=1)
    model.compile(optimizer, "mse", dtype="float64")
    start = [w.copy() for w in model.get_weights()]
    for _ in range(12):
        model.train_on_batch(P, Y[:, :2])
    return start, model.get_weights()


def trained_by_pytorch(start, make):
    w, b = (torch().tensor(a, requires_grad=True) for a in start)
    optimizer = make([w, b])
    for _ in range(12):
        optimizer.zero_grad()
        torch().nn.functional.mse_loss(torch().tensor(P) @ w + b, torch().tensor(Y[:, :2])).backward()
        optimizer.step()
    return w, b


def trained_by_keras(start, optimizer):
    w, b = (keras().Variable(a, dtype="float64") for a in start)
    for _ in range(12):
        error = 2 * (P @ np.asarray(w) + np.asarray(b) - Y[:, :2]) / (2 * len(P))
        gradients = [keras().ops.convert_to_tensor(g, "float64") for g in (P.T @ error, error.sum(axis=0))]
        optimizer.apply(gradients, [w, b])
    return w, b


def test_weight_decay_of_pytorch_is_a_penalty():
    decay = fastbp.regularizers.L2(0.3 / 2)
    penalties = {"kernel_regularizer": decay, "bias_regularizer": decay}
    optim = torch().optim
    for own, make in (
        (optimizers.SGD(lr=0.1, momentum=0.5), lambda w: optim.SGD(w, lr=0.1, momentum=0.5, weight_decay=0.3)),
        (optimizers.Adam(lr=0.1), lambda w: optim.Adam(w, lr=0.1, weight_decay=0.3)),
    ):
        start, got = trained(own, **penalties)
        for ours, theirs in zip(got, trained_by_pytorch(start, make), strict=True):
            close(ours, theirs, 1e-9)


def test_optimizers_are_pytorch_s():
    # test_outsiders.py has all of them by fastbp's names
    optim = torch().optim
    for own, make in (
        (optimizers.Adam(lr=0.1, betas=(0.8, 0.9)), lambda w: optim.Adam(w, lr=0.1, betas=(0.8, 0.9))),
        (optimizers.AMSGrad(lr=0.1, amsgrad=True), lambda w: optim.Adam(w, lr=0.1, amsgrad=True)),
        (optimizers.NAdam(lr=0.1), lambda w: optim.NAdam(w, lr=0.1)),
        (
            optimizers.RMSprop(lr=0.1, alpha=0.9, eps=1e-3, weight_decay=0),
            lambda w: optim.RMSprop(w, lr=0.1, alpha=0.9, eps=1e-3),
        ),
        (optimizers.SGD(lr=0.1, dampening=0), lambda w: optim.SGD(w, lr=0.1, dampening=0)),
    ):
        start, got = trained(own)
        for ours, theirs in zip(got, trained_by_pytorch(start, make), strict=True):
            close(ours, theirs, 1e-6)


#: With an epsilon that shows where it stands.
SAME_IN_KERAS = {
    "SGD": {"learning_rate": 0.1, "momentum": 0.5, "nesterov": True},
    "Adadelta": {"learning_rate": 0.5, "rho": 0.8, "epsilon": 1e-2},
    "Nadam": {"learning_rate": 0.1, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-2},
    "Lion": {"learning_rate": 0.1, "beta_1": 0.8, "beta_2": 0.9, "weight_decay": 0.3},
    "AdamW": {"learning_rate": 0.1, "beta_1": 0.8, "beta_2": 0.9, "weight_decay": 0.3},
    "Adam": {"learning_rate": 0.1, "beta_1": 0.8, "beta_2": 0.9, "clipnorm": 0.1},
    "Adamax": {"learning_rate": 0.1, "beta_1": 0.8, "beta_2": 0.9, "global_clipnorm": 0.1},
    "RMSprop": {"learning_rate": 0.1, "rho": 0.8, "momentum": 0.5, "clipvalue": 0.1},
}


@pytest.mark.parametrize("name", SAME_IN_KERAS)
def test_optimizers_are_keras_s(name):
    options = SAME_IN_KERAS[name]
    # where epsilon stands elsewhere it is left out of the comparison
    tiny = {} if "epsilon" in options or name in ("SGD", "Lion") else {"eps": 1e-12}
    own = getattr(optimizers, name)(**options, **tiny, **({"momentum_decay": 1.0} if name == "Nadam" else {}))
    start, got = trained(own)
    theirs = getattr(keras().optimizers, name)(**options, **({"epsilon": 1e-12} if tiny else {}))
    for ours, other in zip(got, trained_by_keras(start, theirs), strict=True):
        close(ours, other, 1e-4)


@pytest.mark.parametrize("name", ["Adam", "Adamax", "RMSprop", "Adagrad"])
def test_epsilon_of_keras_stands_elsewhere(name):
    own = getattr(optimizers, name)(lr=0.1, eps=0.1)
    start, got = trained(own)
    more = {"initial_accumulator_value": 0.0} if name == "Adagrad" else {}
    theirs = getattr(keras().optimizers, name)(learning_rate=0.1, epsilon=0.1, **more)
    assert max(abs(a - np.asarray(b)).max() for a, b in zip(got, trained_by_keras(start, theirs), strict=True)) > 1e-4


def test_weight_decay_of_keras_is_that_of_adamw():
    start, got = trained(optimizers.AdamW(lr=0.1, eps=1e-12, weight_decay=0.3))
    theirs = keras().optimizers.Adam(0.1, epsilon=1e-12, weight_decay=0.3)
    for ours, other in zip(got, trained_by_keras(start, theirs), strict=True):
        close(ours, other, 1e-4)


def test_schedules_are_keras_s():
    others = keras().optimizers.schedules
    steps = np.arange(30)
    for name, options in (
        ("ExponentialDecay", {"decay_steps": 7, "decay_rate": 0.5, "staircase": True}),
        ("InverseTimeDecay", {"decay_steps": 7, "decay_rate": 0.5}),
        ("PolynomialDecay", {"decay_steps": 9, "end_learning_rate": 0.1, "power": 2.0, "cycle": True}),
        ("CosineDecay", {"decay_steps": 20, "alpha": 0.1}),
        ("CosineDecayRestarts", {"first_decay_steps": 5, "t_mul": 2.0, "m_mul": 0.5}),
        ("CosineDecayRestarts", {"first_decay_steps": 5, "alpha": 0.1}),
    ):
        own = getattr(optimizers.schedules, name)(initial_learning_rate=0.5, **options)
        theirs = getattr(others, name)(initial_learning_rate=0.5, **options)
        close(own(steps), [float(theirs(int(step))) for step in steps], 1e-5)
    own, theirs = (place.PiecewiseConstantDecay([0, 7, 20], [0.5, 0.25, 1.0, 0.125]) for place in (schedules, others))
    close(own(steps), [float(theirs(int(step))) for step in steps])
    theirs = others.CosineDecay(0.1, 20, warmup_target=0.5, warmup_steps=6)
    own = schedules.WarmUp(schedules.CosineDecay(0.5, 20), 6, start_lr=0.1)
    close(own(steps), [float(theirs(int(step))) for step in steps], 1e-5)


def test_schedules_of_pytorch():
    torch_schedules, nn = torch().optim.lr_scheduler, torch().nn
    steps, lr, k = np.arange(24), 0.5, 3  # 3 steps an epoch

    def rates(make):
        optimizer = torch().optim.SGD(nn.Linear(1, 1).parameters(), lr=lr)
        schedule, found = make(optimizer), []
        for _ in range(len(steps) // k):
            found += [optimizer.param_groups[0]["lr"]] * k
            optimizer.step()
            schedule.step()
        return found

    for own, make in (
        (schedules.StepDecay(lr, 2 * k, gamma=0.3), lambda o: torch_schedules.StepLR(o, 2, 0.3)),
        (
            schedules.MultiStepDecay(lr, [m * k for m in (2, 5)], gamma=0.3),
            lambda o: torch_schedules.MultiStepLR(o, [2, 5], 0.3),
        ),
        (schedules.ExponentialDecay(lr, k, 0.7, staircase=True), lambda o: torch_schedules.ExponentialLR(o, 0.7)),
    ):
        close(own(steps), rates(make))
    # these change within an epoch
    cosine = schedules.CosineDecay(lr, 8 * k, alpha=0.1 / lr)
    close(cosine(steps[::k]), rates(lambda o: torch_schedules.CosineAnnealingLR(o, 8, 0.1))[::k])
    restarts = schedules.CosineDecayRestarts(lr, 3 * k, t_mul=2, alpha=0.1 / lr)
    close(restarts(steps[::k]), rates(lambda o: torch_schedules.CosineAnnealingWarmRestarts(o, 3, 2, 0.1))[::k])
    for own, make in (
        (schedules.PolynomialDecay(lr, 5 * k, 0.0, 2.0), lambda o: torch_schedules.PolynomialLR(o, 5, 2.0)),
        (schedules.WarmUp(lr, 4 * k, 0.25 * lr), lambda o: torch_schedules.LinearLR(o, 0.25, total_iters=4)),
        (schedules.Delayed(lr, 4 * k, 0.25 * lr), lambda o: torch_schedules.ConstantLR(o, 0.25, 4)),
        (
            schedules.Joined([0.25 * lr, schedules.ExponentialDecay(lr, k, 0.7)], [3 * k]),
            lambda o: torch_schedules.SequentialLR(
                o, [torch_schedules.ConstantLR(o, 0.25, 99), torch_schedules.ExponentialLR(o, 0.7)], [3]
            ),
        ),
    ):
        close(own(steps[::k]), rates(make)[::k], 1e-6)
    # a step is what PyTorch's counts, too
    for mode in ("triangular", "triangular2", "exp_range"):
        for down in (None, 3):
            own = schedules.Cyclic(0.1, lr, 2, down, mode, 0.9)
            options = {"step_size_down": down, "mode": mode, "gamma": 0.9, "cycle_momentum": False}
            theirs = rates(lambda o, options=options: torch_schedules.CyclicLR(o, 0.1, lr, 2, **options))[::k]
            close(own(np.arange(len(theirs))), theirs)


def test_early_stopping_is_keras_s():
    class Model:
        stop_training = False

    def stopped(callback):
        for epoch, value in enumerate(values):
            callback.on_epoch_end(epoch, {"loss": float(value)})
            if callback.model.stop_training:
                return epoch
        return None

    rng, found = np.random.default_rng(0), []
    for _ in range(300):
        values = rng.integers(0, 8, size=12)
        names = ("patience", "min_delta", "baseline", "start_from_epoch")
        options = dict(zip(names, rng.integers(0, [4, 2, 8, 3]).tolist(), strict=True))
        options |= {"monitor": "loss", "mode": str(rng.choice(["min", "max"]))}
        own, theirs = (place.EarlyStopping(**options) for place in (callbacks, keras().callbacks))
        own.model, own.params = Model(), {"more": False, "metrics": ["loss"]}
        theirs.set_model(Model())
        for callback in (own, theirs):
            callback.on_train_begin()
        found.append(stopped(own))
        assert found[-1] == stopped(theirs), (options, values)
    assert len(set(found)) > 8


def test_initializers_are_pytorch_s():
    init = torch().nn.init
    for row in STRINGS:
        if row.kind == "initializer" and row.library == "PyTorch" and row.own and row.theirs.endswith("_"):
            # w of PyTorch's Linear is (n_out, n_in)
            theirs = getattr(init, row.theirs)(torch().empty(600, 200, dtype=torch().float64)).numpy()
            own = fastbp.initializers.get(row.own)((200, 600), np.random.default_rng(0))
            assert abs(own.std() - theirs.std()) < 0.01 * theirs.std() + 1e-12
            assert abs(own.max() - theirs.max()) < 0.2 * theirs.max() + 1e-12


def test_penalties_and_constraints_are_keras_s():
    from fastbp import constraints, regularizers

    w = RNG.normal(size=(5, 4)) * 3
    for name, arguments in (("l1", {"l1": 0.1}), ("l2", {"l2": 0.1}), ("l1_l2", {"l1": 0.1, "l2": 0.2})):
        own = getattr(regularizers, name)(**arguments)
        penalty = fastbp.kernels.l1_l2_penalty(w, l1=own.l1, l2=own.l2)
        close(penalty, getattr(keras().regularizers, name)(**arguments)(keras().ops.convert_to_tensor(w)), 1e-5)
    assert constraints.max_norm(3, axis=0).max_value == 3
    theirs = keras().constraints.max_norm(3)(keras().ops.convert_to_tensor(w))
    close(fastbp.kernels.max_norm(w, limit=3.0), theirs, 1e-5)


def test_the_table_knows_what_keras_has():
    """What Keras has by the name of a class of fastbp's is the same thing, or the table says what is not."""
    for row in CLASSES:
        if row.library != "PyTorch":
            place = keras().optimizers.schedules if row.kind == "schedule" else getattr(keras(), MODULES[row.kind])
            assert hasattr(place, row.theirs) or hasattr(keras(), row.theirs), row
    nn, optim = torch().nn, torch().optim
    for row in CLASSES:
        if row.library != "Keras":
            assert any(hasattr(place, row.theirs) for place in (nn, optim, optim.lr_scheduler)), row


def test_no_op_is_called_like_a_string_of_others():
    assert not {row.theirs for row in STRINGS if row.kind == "activation"} & TABLE.keys()
