"""Train steps, epochs and predictions: float32, Adam, softmax cross-entropy, one thread."""

import inspect
import threading
from functools import partial

import numpy as np

from .common import (
    BACKENDS,
    NETS,
    SCRIPT,
    Benchmark,
    NumpyScript,
    Task,
    alternate,
    alternate_short,
    compiled,
    make_model,
)
from .images import IMAGE_NETS, ImageTask


def _fit(model, task):
    model.fit(task.x, task.y, batch_size=task.batch, epochs=task.epochs, seed=task.seed, verbose=0)


def _weighs(method):
    # of an installed fastbp whose `train_on_batch` may not know the word yet
    if "sample_weight" not in inspect.signature(method).parameters:
        raise NotImplementedError(f"{method.__name__} takes no sample_weight")


class Fit(Benchmark):
    """A train step as part of an epoch of `fit`: shuffled, gathered, logged."""

    params = [list(NETS), list(BACKENDS)]
    param_names = ["net", "backend"]
    timeout = 120

    def prepare(self, net, backend):
        self.task = Task(net)
        self.model = make_model(self.task.widths, backend)

    def track_step_in_fit(self, net, backend):
        rounds = 5
        seconds = alternate({"fit": lambda: _fit(self.model, self.task)}, rounds)["fit"]
        return float(np.median(seconds) / self.task.steps)

    track_step_in_fit.unit = "seconds"
    # the dashboard's ratios are to this one's times
    track_step_in_fit.beside = "bench_training.PlainNumpy.time_train_step"

    def track_ratio_to_numpy(self, net, backend):
        """fastbp's time over the plain NumPy script's, in alternation: below 1 is faster, and less is better."""
        script = NumpyScript(self.task)
        jobs = {"fit": lambda: _fit(self.model, self.task), "numpy": script.epoch}
        seconds = alternate(jobs, 5, before=lambda name: script.reset())
        return float(np.median(seconds["fit"] / seconds["numpy"]) * self.task.batches / self.task.steps)

    track_ratio_to_numpy.unit = "ratio"


class TrainOnBatch(Benchmark):
    """One step that takes its batch as it is."""

    params = [list(NETS), list(BACKENDS)]
    param_names = ["net", "backend"]

    def prepare(self, net, backend):
        task = Task(net)
        self.model = make_model(task.widths, backend)
        self.x, self.y = task.first_epoch()[0]
        self.model.train_on_batch(self.x, self.y)

    def time_train_on_batch(self, net, backend):
        self.timer.run(lambda: self.model.train_on_batch(self.x, self.y))

    time_train_on_batch.beside = "bench_training.PlainNumpy.time_train_step"


class WeightedStep(Benchmark):
    """One step whose samples have weights."""

    params = [list(NETS), list(BACKENDS)]
    param_names = ["net", "backend"]

    def prepare(self, net, backend):
        task = Task(net)
        self.model = make_model(task.widths, backend)
        _weighs(self.model.train_on_batch)
        self.x, self.y = task.first_epoch()[0]
        self.weights = np.random.default_rng(1).random(len(self.x))
        self.model.train_on_batch(self.x, self.y, sample_weight=self.weights)

    def time_weighted_step(self, net, backend):
        self.timer.run(lambda: self.model.train_on_batch(self.x, self.y, sample_weight=self.weights))

    time_weighted_step.beside = "numpy"

    def track_ratio_to_unweighted(self, net, backend):
        """What the weights cost, in alternation: 1 is nothing, and less is better."""
        model, x, y, weights = self.model, self.x, self.y, self.weights
        jobs = {
            "weighted": lambda: model.train_on_batch(x, y, sample_weight=weights),
            "unweighted": lambda: model.train_on_batch(x, y),
        }
        alternate(jobs, 3)
        seconds = alternate(jobs, 51)
        return float(np.median(seconds["weighted"]) / np.median(seconds["unweighted"]))

    track_ratio_to_unweighted.unit = "ratio"


class Feed(Benchmark):
    """An epoch of batches from an iterable, beside a loop of `train_on_batch` over the same batches."""

    params = [list(NETS), ["numba portable", "cython portable"]]
    param_names = ["net", "backend"]
    timeout = 120

    def prepare(self, net, backend):
        task = Task(net)
        model, self.batches = make_model(task.widths, backend), task.first_epoch()
        if "steps_per_epoch" not in inspect.signature(model.fit).parameters:
            raise NotImplementedError("fit takes no iterable of batches")

        def loop():
            for x, y in self.batches:
                model.train_on_batch(x, y)

        self.jobs = {"fed": lambda: model.fit(iter(self.batches), verbose=0), "loop": loop}

    def _seconds(self):
        alternate(self.jobs, 2)
        found = alternate(self.jobs, 21)
        return {name: float(np.median(seconds)) / len(self.batches) for name, seconds in found.items()}

    def track_ratio_to_train_on_batch(self, net, backend):
        """The time over that of the loop, in alternation: less is better."""
        seconds = self._seconds()
        return seconds["fed"] / seconds["loop"]

    def track_more_than_train_on_batch(self, net, backend):
        seconds = self._seconds()
        return seconds["fed"] - seconds["loop"]

    track_ratio_to_train_on_batch.unit = "ratio"
    track_more_than_train_on_batch.unit = "seconds"


class Epoch(Benchmark):
    """A whole call: `fit` for one epoch, with its checks and its history, and `evaluate` of the same rows."""

    params = [list(NETS), [SCRIPT, *BACKENDS]]
    param_names = ["net", "backend"]
    timeout = 120

    def prepare(self, net, backend):
        self.task = task = Task(net)
        if backend == SCRIPT:
            script = NumpyScript(task)
            self.epoch, self.evaluate = script.epoch, lambda: script.loss(task.x, task.y)
        else:
            model = make_model(task.widths, backend)
            self.epoch = lambda: model.fit(task.x, task.y, batch_size=task.batch, seed=task.seed, verbose=0)
            self.evaluate = lambda: model.evaluate(task.x, task.y)

    def time_fit_one_epoch(self, net, backend):
        self.timer.run(self.epoch)

    def time_evaluate(self, net, backend):
        self.timer.run(self.evaluate)

    time_fit_one_epoch.beside = time_evaluate.beside = SCRIPT


class Predict(Benchmark):
    """The output for one row and for a batch."""

    params = [list(NETS), list(BACKENDS)]
    param_names = ["net", "backend"]

    def prepare(self, net, backend):
        task = Task(net)
        self.model = make_model(task.widths, backend)
        self.row, self.batch = task.x[:1], task.x[: task.batch]
        # the largest first: the memory is then planned once
        self.model.predict(self.batch)
        self.model.predict(self.row)

    def time_one_row(self, net, backend):
        self.timer.run(lambda: self.model.predict(self.row))

    time_one_row.beside = "bench_training.PlainNumpy.time_predict_one_row"

    def time_batch(self, net, backend):
        self.timer.run(lambda: self.model.predict(self.batch))

    time_batch.beside = "bench_training.PlainNumpy.time_predict_batch"


class SharedModel(Benchmark):
    """Predictions of two threads at a time: with one model, over those with a model for each."""

    params = [["64-128-10 b32"], list(BACKENDS)]
    param_names = ["net", "backend"]
    timeout = 120

    def prepare(self, net, backend):
        task = Task(net)
        self.models = [make_model(task.widths, backend) for _ in range(2)]
        self.x = np.resize(task.x, (1797, task.widths[0]))

    def track_ratio_to_a_model_each(self, net, backend):
        """Less is better; 1 is that sharing costs nothing."""

        def both(models):
            def work(model):
                for _ in range(50):
                    model.predict(self.x)

            threads = [threading.Thread(target=work, args=(model,)) for model in models]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        jobs = {"one": lambda: both(self.models[:1] * 2), "each": lambda: both(self.models)}
        try:
            alternate(jobs, 1)
        except RuntimeError as error:
            raise NotImplementedError(f"the installed fastbp has one prediction at a time: {error}") from error
        seconds = alternate(jobs, 15)
        return float(np.median(seconds["one"] / seconds["each"]))

    track_ratio_to_a_model_each.unit = "ratio"


class Compile(Benchmark):
    """From layers to a program that is ready to run."""

    params = [list(NETS), list(BACKENDS)]
    param_names = ["net", "backend"]

    def prepare(self, net, backend):
        self.widths = Task(net).widths
        make_model(self.widths, backend)

    def time_compile(self, net, backend):
        self.timer.run(lambda: make_model(self.widths, backend))


def _four_steps(model, x, y):
    model.forward(x)
    model.loss(y)
    model.backward()
    model.update()


def _step_from_gradient(model, x, dy):
    model.forward(x)
    model.backward(dy)
    model.update()


def _compile_and_step(model, x, y):
    model.compile("adam", model.loss_function, backend=model.backend, numerics=model.numerics)
    model.train_on_batch(x, y)


class Images(Benchmark):
    """A step of a net of images that takes its batch as it is."""

    params = [list(IMAGE_NETS), ["cython", "cython portable"]]
    param_names = ["net", "backend"]
    timeout = 120

    def prepare(self, net, backend):
        task = ImageTask(net)
        self.model = task.make_model(backend)
        self.x, self.y = task.first_epoch()[0]
        self.model.train_on_batch(self.x, self.y)

    def time_train_on_batch(self, net, backend):
        self.timer.run(lambda: self.model.train_on_batch(self.x, self.y))


class PredictImages(Benchmark):
    """The output of LeNet-5 for one image and for many."""

    params = [[1, 256], ["cython", "cython portable"]]
    param_names = ["images", "backend"]

    def prepare(self, images, backend):
        task = ImageTask(IMAGE_NETS[0])
        self.model, self.x = task.make_model(backend), task.inputs(images, images)[0]
        self.model.predict(self.x)

    def time_predict(self, images, backend):
        self.timer.run(lambda: self.model.predict(self.x))


#: Calls of a model by name: the call and what runs beside it, made from a model, its script, x and y. Append only.
CALLS = {
    "four steps": lambda m, s, x, y: (lambda: _four_steps(m, x, y), lambda: m.train_on_batch(x, y)),
    "predict a float64 row": lambda m, s, x, y: (
        partial(m.predict, x[:1].astype("f8")), partial(s.predict, x[:1]),
    ),
    "predict a list": lambda m, s, x, y: (partial(m.predict, x[:1].tolist()), partial(s.predict, x[:1])),
    "evaluate": lambda m, s, x, y: (lambda: m.evaluate(x, y), lambda: s.loss(x, y)),
    "fit, a Generator": lambda m, s, x, y: (
        partial(m.fit, x, y, seed=np.random.default_rng(0), verbose=0), partial(np.random.default_rng, 0),
    ),
    "fit, a seed": lambda m, s, x, y: (partial(m.fit, x, y, seed=0, verbose=0), partial(np.random.default_rng, 0)),
    "compile and a step": lambda m, s, x, y: (
        partial(_compile_and_step, m, x, y), partial(np.random.default_rng, 0),
    ),
    "forward as predict": lambda m, s, x, y: (lambda: m.forward(x, training=False), lambda: m.predict(x)),
    "a step from a gradient": lambda m, s, x, y: (
        partial(_step_from_gradient, m, x, m.predict(x)), lambda: m.train_on_batch(x, y),
    ),
    "input_gradient": lambda m, s, x, y: (lambda: m.input_gradient(x, y), lambda: s.loss(x, y)),
}  # fmt: skip
#: Those of models with objectives of their users'.
OBJECTIVES = ("forward as predict", "a step from a gradient", "input_gradient")


class Calls(Benchmark):
    """What a call of a small model costs, on 32 rows: over the call of NumPy's, or of the model's own, beside it."""

    params = [list(CALLS), ["cython", "cython portable"]]
    param_names = ["call", "backend"]
    timeout = 120

    def prepare(self, call, backend):
        task = Task(next(iter(NETS)))
        x, y = task.first_epoch()[0]
        model = make_model(task.widths, backend)
        if call in OBJECTIVES and not hasattr(model, "input_gradient"):
            raise NotImplementedError("the installed fastbp trains on losses alone")
        model.train_on_batch(x, y)
        self.jobs = dict(zip(("call", "beside"), CALLS[call](model, NumpyScript(task), x, y), strict=True))

    def track_ratio_to_what_is_beside(self, call, backend):
        """Less is better."""
        seconds = alternate_short(self.jobs, 51)
        return float(seconds["call"].min() / seconds["beside"].min())

    track_ratio_to_what_is_beside.unit = "ratio"


class TargetNetwork(Benchmark):
    """The weights of a second model moved towards those of the first, as after each step of reinforcement learning."""

    params = [list(NETS), [0.005, 1.0]]
    param_names = ["net", "tau"]

    def prepare(self, net, tau):
        task = Task(net)
        model, target = make_model(task.widths, "cython"), make_model(task.widths, "cython")
        if not hasattr(target, "copy_weights_from"):
            raise NotImplementedError("there is no copy_weights_from")
        ours, others = target.get_weights(), model.get_weights()

        def numpy():
            for w, goal in zip(ours, others, strict=True):
                if tau == 1:
                    w[...] = goal
                else:
                    w += tau * (goal - w)

        self.jobs = {"fastbp": lambda: target.copy_weights_from(model, tau), "numpy": numpy}

    def track_ratio_to_numpy(self, net, tau):
        """Its time over NumPy's expression, array by array, in alternation: less is better."""
        seconds = alternate_short(self.jobs, 51)
        return float(np.median(seconds["fastbp"] / seconds["numpy"]))

    track_ratio_to_numpy.unit = "ratio"


#: Nets of few outputs. Append only.
NARROW = ("4-16-3 b32", "8-64-2 b32", "4-16-3 b4096")


class Passes(Benchmark):
    """What narrow layers are spared: portable steps by one call for several, and by a call for each."""

    params = [list(NARROW)]
    param_names = ["net"]

    def prepare(self, net):
        try:
            from fastbp.program.passes import PASSES, join_loss, sweep_backward
        except ImportError as error:
            raise NotImplementedError(str(error)) from error
        task = Task(net)
        self.model, (x, y) = make_model(task.widths, "cython portable"), task.first_epoch()[0]
        each = [shorten for shorten in PASSES if shorten not in (join_loss, sweep_backward)]
        self.jobs = {"one": self.steps(PASSES, x, y), "each": self.steps(each, x, y)}

    def steps(self, passes, x, y):
        """Return a function that trains some steps on one batch."""
        from fastbp.backends import make_executor
        from fastbp.compiler import compile_training

        model, engine, batch = self.model, self.model.engine(), len(x)
        network = compile_training(
            engine.layout, model.heads, model.optimizer, model.dtype, model.numerics, metrics=False, passes=passes
        )
        program = network.program
        executor = make_executor(program, engine.backend, engine.shared, batch)
        executor.bind(network.inputs[0], x)
        executor.bind(network.objectives[0].y_true, y)
        span, rows = (program.start, len(program.calls)), max(10, 2**15 // batch) * batch
        return lambda: executor.run_steps(span, rows, batch, {})

    def track_ratio_to_a_call_each(self, net):
        """Less is better; 1 is that the passes save nothing."""
        alternate(self.jobs, 3)
        seconds = alternate(self.jobs, 51)
        return float(np.median(seconds["one"] / seconds["each"]))

    track_ratio_to_a_call_each.unit = "ratio"


class PlainNumpy(Benchmark):
    """The yardstick: the plain NumPy script."""

    params = [list(NETS)]
    param_names = ["net"]

    def prepare(self, net):
        task = Task(net)
        self.script = NumpyScript(task)
        self.x, self.y = task.first_epoch()[0]

    def time_train_step(self, net):
        self.timer.run(lambda: self.script.train_on_batch(self.x, self.y))

    def time_predict_one_row(self, net):
        self.timer.run(lambda: self.script.predict(self.x[:1]))

    def time_predict_batch(self, net):
        self.timer.run(lambda: self.script.predict(self.x))


# 64-128-128-10 with something behind each hidden layer
def _behind(make):
    def layers(fastbp):
        hidden = [layer for _ in range(2) for layer in (fastbp.Dense(128, activation="relu"), *make(fastbp))]
        return [*hidden, fastbp.Dense(10)]

    return layers


#: Nets of other layers by name, as functions of the package that return a list of layers. Append only.
LAYERS = {
    "Dense": _behind(lambda fastbp: []),
    "BatchNorm": _behind(lambda fastbp: [fastbp.BatchNorm()]),
    "LayerNorm": _behind(lambda fastbp: [fastbp.LayerNorm()]),
    "RMSNorm": _behind(lambda fastbp: [fastbp.RMSNorm()]),
    "Dropout": _behind(lambda fastbp: [fastbp.Dropout(0.5)]),
    "AlphaDropout": _behind(lambda fastbp: [fastbp.AlphaDropout(0.1)]),
    "GaussianNoise": _behind(lambda fastbp: [fastbp.GaussianNoise(0.1)]),
    "PReLU": _behind(lambda fastbp: [fastbp.PReLU()]),
    "Embedding": lambda fastbp: [
        fastbp.Embedding(1000, 16), fastbp.Flatten(), fastbp.Dense(128, activation="relu"), fastbp.Dense(10),
    ],
}  # fmt: skip


class Layers(Benchmark):
    """A step and a prediction of 32 rows by nets of other layers; "Dense" is what they are to be compared with."""

    params = [list(LAYERS), list(BACKENDS)]
    param_names = ["layer", "backend"]

    def prepare(self, layer, backend):
        import fastbp

        try:
            layers = LAYERS[layer](fastbp)
        except AttributeError as error:
            raise NotImplementedError(str(error)) from error
        words = layer == "Embedding"
        rng = np.random.default_rng(0)
        x = rng.integers(0, 1000, (32, 16)) if words else rng.standard_normal((32, 64))
        self.x, self.y = x.astype(np.float32), rng.integers(0, 10, 32)
        self.model = compiled(layers, self.x.shape[1], backend)
        self.model.train_on_batch(self.x, self.y)
        self.model.predict(self.x)

    def time_train_on_batch(self, layer, backend):
        self.timer.run(lambda: self.model.train_on_batch(self.x, self.y))

    def time_predict(self, layer, backend):
        self.timer.run(lambda: self.model.predict(self.x))

    time_train_on_batch.beside = time_predict.beside = "numpy"
