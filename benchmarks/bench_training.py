"""Train steps and predictions of the standard nets: float32, Adam, softmax cross-entropy, one thread."""

import numpy as np

from .common import BACKENDS, NETS, Task, alternate, make_model
from .peers import plain_numpy


def _fit(model, task):
    model.fit(task.x, task.y, batch_size=task.batch, epochs=task.epochs, seed=task.seed, verbose=0)


class _NumpyScript:
    def __init__(self, task):
        self.task = task
        self.reset()

    def reset(self):
        self.rng = np.random.default_rng(self.task.seed)
        self.parameters = plain_numpy.initial_parameters(self.task.widths, self.rng)
        self.optimizer = plain_numpy.Adam(self.parameters)

    def epoch(self):
        task = self.task
        plain_numpy.train_epoch(self.parameters, self.optimizer, task.x, task.y, task.batch, self.rng)


class Fit:
    """A train step as part of an epoch of `fit`: shuffled, gathered, logged."""

    params = [list(NETS), list(BACKENDS)]
    param_names = ["net", "backend"]
    timeout = 120

    def setup(self, net, backend):
        self.task = Task(net)
        self.model = make_model(self.task.widths, backend)

    def track_step_in_fit(self, net, backend):
        rounds = 5
        seconds = alternate({"fit": lambda: _fit(self.model, self.task)}, rounds)["fit"]
        return float(np.median(seconds) / self.task.steps)

    track_step_in_fit.unit = "seconds"
    # whose times the dashboard's ratios are to
    track_step_in_fit.beside = "bench_training.PlainNumpy.time_train_step"

    def track_ratio_to_numpy(self, net, backend):
        """fastbp's time over the plain NumPy script's, in alternation: below 1 is faster, and less is better."""
        script = _NumpyScript(self.task)
        jobs = {"fit": lambda: _fit(self.model, self.task), "numpy": script.epoch}
        seconds = alternate(jobs, 5, before=lambda name: script.reset())
        return float(np.median(seconds["fit"] / seconds["numpy"]) * self.task.batches / self.task.steps)

    track_ratio_to_numpy.unit = "ratio"


class TrainOnBatch:
    """One step that takes its batch as it is."""

    params = [list(NETS), list(BACKENDS)]
    param_names = ["net", "backend"]

    def setup(self, net, backend):
        task = Task(net)
        self.model = make_model(task.widths, backend)
        self.x, self.y = task.first_epoch()[0]
        self.model.train_on_batch(self.x, self.y)

    def time_train_on_batch(self, net, backend):
        self.model.train_on_batch(self.x, self.y)

    time_train_on_batch.beside = "bench_training.PlainNumpy.time_train_step"


class Predict:
    """The output for one row and for a batch."""

    params = [list(NETS), list(BACKENDS)]
    param_names = ["net", "backend"]

    def setup(self, net, backend):
        task = Task(net)
        self.model = make_model(task.widths, backend)
        self.row, self.batch = task.x[:1], task.x[: task.batch]
        # the largest first: the memory is then planned once
        self.model.predict(self.batch)
        self.model.predict(self.row)

    def time_one_row(self, net, backend):
        self.model.predict(self.row)

    time_one_row.beside = "bench_training.PlainNumpy.time_predict_one_row"

    def time_batch(self, net, backend):
        self.model.predict(self.batch)

    time_batch.beside = "bench_training.PlainNumpy.time_predict_batch"


class Compile:
    """From layers to a program that is ready to run."""

    params = [list(NETS), list(BACKENDS)]
    param_names = ["net", "backend"]

    def setup(self, net, backend):
        self.widths = Task(net).widths
        make_model(self.widths, backend)

    def time_compile(self, net, backend):
        make_model(self.widths, backend)


class PlainNumpy:
    """The yardstick: the plain NumPy script."""

    params = [list(NETS)]
    param_names = ["net"]

    def setup(self, net):
        task = Task(net)
        self.script = _NumpyScript(task)
        self.x, self.y = task.first_epoch()[0]

    def time_train_step(self, net):
        plain_numpy.train_step(self.script.parameters, self.script.optimizer, self.x, self.y)

    def time_predict_one_row(self, net):
        plain_numpy.predict(self.script.parameters, self.x[:1])

    def time_predict_batch(self, net):
        plain_numpy.predict(self.script.parameters, self.x)
