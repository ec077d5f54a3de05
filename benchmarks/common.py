"""What the benchmarks share: the standard nets, their data and models, alternating timing, fresh processes."""

import gc
import inspect
import math
import os
import subprocess
import sys
import tempfile
import time
from functools import cache, partial
from itertools import pairwise, repeat
from pathlib import Path

import numpy as np

from .peers import plain_numpy

#: The standard nets by name, as asv's parameters: append only, so that published results keep their names.
NETS = ("4-16-3 b32", "64-128-10 b32", "784-256-128-10 b64", "784-1024-1024-10 b256")
#: Likewise: a backend in numerics "numpy", or in the one that it names. Portable definitions are too slow to be timed.
BACKENDS = ("numpy", "numba", "cython", "numba portable", "cython portable")
#: Likewise.
DTYPES = ("float32", "float64")
NUMERICS = ("numpy", "portable")
#: What grows, over which values, and the net at each. The values are asv's parameters, too: append only.
SWEEPS = {
    "width": ((8, 16, 32, 64, 128, 256, 512, 1024, 2048), "64-{0}-{0}-10 b64"),
    "batch": ((1, 4, 16, 64, 256, 1024, 4096), "64-128-128-10 b{0}"),
    "depth": ((1, 2, 4, 8, 16, 32, 64), "64-{1}10 b32"),
}
#: The width of a net whose depth grows.
HIDDEN = 64
#: The backend "numpy script", likewise, is `NumpyScript`: what a user would have written without fastbp.
SCRIPT = "numpy script"

# (batches, epochs) of one fit: long enough that its checks of the data, made once, do not count
_LENGTHS = {NETS[0]: (128, 10), NETS[1]: (128, 5), NETS[2]: (32, 8), NETS[3]: (8, 3)}


class Task:
    """A net to train and the data to train it on: float32, integer labels that nothing can be learnt from.

    Parameters
    ----------
    net : str
        Of `NETS`, or another in the same spelling.

    Attributes
    ----------
    net : str
    widths : tuple of int
        n_in, the hidden layers, n_out.
    batch, batches, epochs, steps : int
        Rows of a batch, batches of an epoch, epochs and steps of a run.
    x, y : ndarray
    seed : int
        Of the shuffle.
    products : list of int
        Multiply-adds of a row by each layer.
    """

    #: Rows of the large array that is predicted.
    array_rows = 20_000
    #: Steps whose losses must agree.
    validated = 32

    def __init__(self, net):
        layers, rows = net.split(" b")
        self.net, self.batch = net, int(rows)
        self.widths = tuple(map(int, layers.split("-")))
        # another net's epochs are short: they are the least that `fit` can be asked for
        products = self.batch * sum(n_in * n_out for n_in, n_out in pairwise(self.widths))
        self.batches, self.epochs = _LENGTHS.get(net) or (max(4, min(128, 2**28 // products)), 1)
        self.steps = self.batches * self.epochs
        self.seed = 7
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((self.batch * self.batches, self.widths[0]), dtype=np.float32)
        self.y = rng.integers(0, self.widths[-1], len(self.x))

    @property
    def products(self):
        return [n_in * n_out for n_in, n_out in pairwise(self.widths)]

    def initial_parameters(self, rng):
        """Return the parameters that every library begins with."""
        return plain_numpy.initial_parameters(self.widths, rng)

    def make_model(self, backend):
        """Return a compiled model; see the function of that name."""
        return make_model(self.widths, backend)

    def weights(self, model, parameters):
        """Return the parameters, and the model's statistics, in the order of its `set_weights`."""
        return parameters

    def inputs(self, rows, count):
        """Return as many arrays of so many rows as `count` rows fill, or one."""
        x = np.random.default_rng(2).standard_normal((max(rows, count), *self.x.shape[1:]), dtype=np.float32)
        return [np.ascontiguousarray(x[i : i + rows]) for i in range(0, len(x), rows)]

    def first_epoch(self):
        """Return the batches (x, y) of a run's first epoch, in order, each contiguous."""
        order = np.random.default_rng(self.seed).permutation(len(self.x)).reshape(self.batches, self.batch)
        return [(self.x[index], self.y[index]) for index in order]


def net_of(sweep, value):
    """Return the net of one point of a sweep."""
    return SWEEPS[sweep][1].format(value, f"{HIDDEN}-" * value)


class NumpyScript:
    """The plain NumPy script as a net to train: the yardstick.

    Parameters
    ----------
    task : Task
    """

    def __init__(self, task):
        self.task = task
        self.reset()

    def reset(self):
        """Begin again, as a new model does."""
        self.rng = np.random.default_rng(self.task.seed)
        self.parameters = plain_numpy.initial_parameters(self.task.widths, self.rng)
        self.optimizer = plain_numpy.Adam(self.parameters)

    def train_on_batch(self, x, y):
        """Train one step."""
        plain_numpy.train_step(self.parameters, self.optimizer, x, y)

    def predict(self, x):
        """Return the logits."""
        return plain_numpy.predict(self.parameters, x)

    def loss(self, x, y):
        """Return the mean loss, without the gradients."""
        logits = self.predict(x)
        z = logits - logits.max(axis=1, keepdims=True)
        return (np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]).mean()

    def epoch(self):
        """Train one epoch."""
        task = self.task
        plain_numpy.train_epoch(self.parameters, self.optimizer, task.x, task.y, task.batch, self.rng)


class Clock:
    """asv's `timer` for a job of microseconds: it advances by the mean of many calls, whatever asv calls one.

    asv sets up again before each sample and then calls once (asv_runner 0.3.2), which would time cold caches and the
    clock itself. Of a sample's blocks of calls the fastest counts: a block is shorter than the turn that another
    process gets on a busy machine.

    Parameters
    ----------
    seconds : float
        Of a sample.
    blocks : int
        Of a sample; fewer where one takes longer than planned.
    """

    def __init__(self, seconds=0.01, blocks=5):
        self.seconds, self.blocks, self.now, self.calls = seconds, blocks, 0.0, 0

    def __call__(self):
        return self.now

    def run(self, job):
        """Call the job as often as a sample needs; count as one call."""
        self.calls = self.calls or self._calls(job, self.seconds / self.blocks)
        start, best = time.perf_counter(), math.inf
        for _ in range(self.blocks):
            best = min(best, self._time(job, self.calls))
            if time.perf_counter() - start > 4 * self.seconds:
                break
        self.now += best / self.calls

    def _calls(self, job, seconds):
        self._time(job, 1)  # which may make what the job needs
        calls = 1
        while (taken := self._time(job, calls)) < seconds / 2:
            calls = max(calls + 1, int(calls * min(10, seconds / max(taken, 1e-9))))
        return calls

    @staticmethod
    def _time(job, calls):
        start = time.perf_counter()
        for _ in repeat(None, calls):
            job()
        return time.perf_counter() - start


class Benchmark:
    """A class of asv's benchmarks: `prepare` once, samples of many calls, a version that only its meaning changes.

    asv calls `setup` before each sample. Without a `version` of its own a benchmark's would be a hash of its source,
    and a renamed variable would orphan the results of the past: raise it where another thing is measured.
    """

    version = "1"
    rounds, repeat, warmup_time = 1, (5, 15, 0.4), 0.03
    sample_time, blocks = 0.01, 5
    _prepared = None

    def setup(self, *parameters):
        """Prepare for these parameters, unless that is done.

        Raises
        ------
        NotImplementedError
            If the installed fastbp lacks something: asv then skips the point.
        """
        if self._prepared != parameters:
            self.timer = Clock(self.sample_time, self.blocks)
            self.prepare(*parameters)
            self._prepared = parameters

    def prepare(self, *parameters):
        """Make what is measured."""


def numerics():
    """Return the names of every numerics that the installed fastbp has; its `compile` may not know the word yet."""
    import fastbp

    parameters = inspect.signature(fastbp.Sequential.compile).parameters
    return tuple(name for name in NUMERICS if name == "numpy" or ("numerics" in parameters and _compiles(name)))


def _compiles(name):
    try:
        make_model((4, 3), f"cython {name}")
    except NotImplementedError:
        return False
    return True


def choice(backend):
    """Return a backend's own name and the options that choose its numerics.

    "numpy" is the default, and the only one where an installed fastbp does not know the word.
    """
    name, _, numerics = backend.partition(" ")
    return name, {} if numerics in ("", "numpy") else {"numerics": numerics}


def make_model(widths, backend):
    """Return a compiled fastbp model: ReLU, softmax cross-entropy, Adam, float32.

    Parameters
    ----------
    widths : tuple of int
    backend : str
        Of `BACKENDS`, or another in the same spelling.

    Raises
    ------
    NotImplementedError
        If the installed fastbp lacks the backend or the numerics: asv then skips the benchmark.
    """
    import fastbp

    hidden = [fastbp.Dense(n, activation="relu") for n in widths[1:-1]]
    return compiled([*hidden, fastbp.Dense(widths[-1])], widths[0], backend)


def compiled(layers, input_shape, backend):
    """Return a model of these layers, compiled like that of `make_model`, and with its errors."""
    import fastbp

    model = fastbp.Sequential(layers, input_shape=input_shape, seed=0)
    loss = fastbp.losses.SparseCategoricalCrossEntropy(from_logits=True)
    name, options = choice(backend)
    try:
        model.compile(optimizer=fastbp.optimizers.Adam(), loss=loss, backend=name, **options)
        assert model.program.calls  # asking for the program loads the kernels
    except (ImportError, TypeError, ValueError) as error:
        raise NotImplementedError(str(error)) from error
    return model


def alternate(jobs, rounds, before=None):
    """Time jobs in strict alternation, so that a change of the machine's mood meets all of them.

    Parameters
    ----------
    jobs : dict of str to callable
    rounds : int
    before : callable, optional
        Called with a job's name before each of its turns, untimed.

    Returns
    -------
    dict of str to ndarray
        Seconds of every round.
    """
    names, seconds = list(jobs), {name: [] for name in jobs}
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            # each round begins with another job: nobody always follows the same neighbour
            shift = turn % len(names)
            for name in names[shift:] + names[:shift]:
                if before is not None:
                    before(name)
                job = jobs[name]
                start = time.perf_counter()
                job()
                seconds[name].append(time.perf_counter() - start)
    finally:
        if collecting:
            gc.enable()
    return {name: np.array(values) for name, values in seconds.items()}


def alternate_short(jobs, rounds):
    """Time jobs that are over too soon to be timed singly, as `alternate` does: each so often that it takes 0.2 ms.

    Parameters
    ----------
    jobs : dict of str to callable
    rounds : int

    Returns
    -------
    dict of str to ndarray
        Seconds of a call, in every round.
    """

    def often(job, count):
        for _ in range(count):
            job()

    taken = alternate(jobs, 20)
    counts = {name: max(1, int(2e-4 / taken[name].min())) for name in jobs}
    seconds = alternate({name: partial(often, job, counts[name]) for name, job in jobs.items()}, rounds)
    return {name: values / counts[name] for name, values in seconds.items()}


@cache
def _child_environment():
    import fastbp

    # children see the same fastbp, and byte code is written for all alike, as after an installation
    folder = tempfile.TemporaryDirectory(prefix="fastbp-bench-")
    paths = [str(Path(fastbp.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONPYCACHEPREFIX": folder.name,
    }  # fmt: skip
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment, folder


def run_python(*arguments, **variables):
    """Run a fresh Python process, with these variables in its environment, and return what it printed."""
    environment, _ = _child_environment()
    done = subprocess.run([sys.executable, *arguments], env=environment | variables, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"python {' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout


def cpus():
    """Return the number of CPUs that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


#: Scripts whose whole process is timed: each trains one step of 64-128-10 on 32 rows and prints its loss.
FIRST_STEP = {
    "numpy": str(Path(__file__).with_name("peers") / "plain_numpy.py"),
    "fastbp": str(Path(__file__).with_name("peers") / "first_step.py"),
}
