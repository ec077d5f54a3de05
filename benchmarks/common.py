"""What the benchmarks share: the standard nets, their data and models, alternating timing, fresh processes."""

import gc
import inspect
import os
import subprocess
import sys
import tempfile
import time
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np

#: The standard nets by name, as asv's parameters: append only, so that published results keep their names.
NETS = ("4-16-3 b32", "64-128-10 b32", "784-256-128-10 b64", "784-1024-1024-10 b256")
#: Likewise: a backend in numerics "numpy", or in the one that it names. Portable definitions are too slow to be timed.
BACKENDS = ("numpy", "numba", "cython", "numba portable", "cython portable")
#: Likewise.
DTYPES = ("float32", "float64")
NUMERICS = ("numpy", "portable")

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
    """

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

    def first_epoch(self):
        """Return the batches (x, y) of a run's first epoch, in order, each contiguous."""
        order = np.random.default_rng(self.seed).permutation(len(self.x)).reshape(self.batches, self.batch)
        return [(self.x[index], self.y[index]) for index in order]


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
    model = fastbp.Sequential([*hidden, fastbp.Dense(widths[-1])], input_shape=widths[0], seed=0)
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


def run_python(*arguments):
    """Run a fresh Python process and return what it printed."""
    environment, _ = _child_environment()
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"python {' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout


#: Scripts whose whole process is timed: each trains one step of 64-128-10 on 32 rows and prints its loss.
FIRST_STEP = {
    "numpy": str(Path(__file__).with_name("peers") / "plain_numpy.py"),
    "fastbp": str(Path(__file__).with_name("peers") / "first_step.py"),
}
