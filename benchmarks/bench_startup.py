"""What fastbp costs before and beside training: imports, the first step of a process, memory."""

import tempfile
from pathlib import Path

import numpy as np

from .common import FIRST_STEP, NETS, Benchmark, Task, alternate, choice, make_model, run_python
from .peers import plain_numpy


def _first_step(backend):
    name, options = choice(backend)
    words = "".join(f", {key}={value!r}" for key, value in {"backend": name, **options}.items())
    return (
        "import numpy as np, fastbp; rng = np.random.default_rng(0); "
        "x, y = rng.standard_normal((32, 64), dtype=np.float32), rng.integers(0, 10, 32); "
        "model = fastbp.Sequential([fastbp.Dense(128, activation='relu'), fastbp.Dense(10)], seed=0, input_shape=64); "
        f"model.compile(optimizer='adam', loss='sparse_categorical_crossentropy'{words}); "
        "print(model.train_on_batch(x, y))"
    )


#: Arguments of Python whose whole process is timed, as those of `FIRST_STEP`. Append only.
SCRIPTS = {
    "fastbp": (FIRST_STEP["fastbp"],),
    "numpy": (FIRST_STEP["numpy"],),
    "cython portable": ("-c", _first_step("cython portable")),
    "numba": ("-c", _first_step("numba")),
    "numba portable": ("-c", _first_step("numba portable")),
}


def _run(arguments):
    # of a script that an installed fastbp may not be able to run yet
    try:
        return run_python(*arguments)
    except RuntimeError as error:
        raise NotImplementedError(str(error)) from error


class Import:
    """``import fastbp`` in a fresh process that has imported NumPy."""

    version = "1"

    def timeraw_import_after_numpy(self):
        return "import fastbp", "import numpy"

    def timeraw_import_numpy(self):
        return "import numpy"


class _Process(Benchmark):
    # samples of one process; `prepare` sets its arguments and runs it: bytecode and compiled code are written once
    repeat, warmup_time, sample_time, blocks = (5, 15, 5), 0, 0.001, 1
    timeout = 120

    def time_process(self, value):
        self.timer.run(lambda: run_python(*self.arguments))


class FirstStep(_Process):
    """A fresh process from its start to its end, one train step of 64-128-10 in between."""

    params = [list(SCRIPTS)]
    param_names = ["script"]

    def prepare(self, script):
        self.arguments = SCRIPTS[script]
        _run(self.arguments)


class FirstPrediction(_Process):
    """A fresh process that loads a model from its file and predicts one row."""

    params = [list(NETS)]
    param_names = ["net"]

    def prepare(self, net):
        self.folder = tempfile.TemporaryDirectory(prefix="fastbp-bench-")
        path = str(Path(self.folder.name) / "model.npz")
        widths = Task(net).widths
        make_model(widths, "cython").save(path)
        load = f"import fastbp, numpy; model = fastbp.load_model({path!r})"
        self.arguments = "-c", f"{load}; print(model.predict(numpy.zeros((1, {widths[0]}), numpy.float32)))"
        _run(self.arguments)

    def time_process(self, net):
        self.timer.run(lambda: run_python(*self.arguments))


def track_first_step_ratio_to_numpy():
    """A process with fastbp over one with the plain NumPy script: less is better."""
    jobs = {name: lambda name=name: run_python(FIRST_STEP[name]) for name in ("fastbp", "numpy")}
    alternate(jobs, 1)  # bytecode is written once
    seconds = alternate(jobs, 9)
    return float(np.median(seconds["fastbp"] / seconds["numpy"]))


track_first_step_ratio_to_numpy.unit = "ratio"
track_first_step_ratio_to_numpy.version = "1"


class LongProgram:
    """A recurrence that is unrolled over some steps, with its gradients: seven calls a step."""

    version = "1"
    params = [[128, 1430]]
    param_names = ["steps"]
    timeout = 120

    def setup(self, steps):
        try:
            self.time_made_ready(steps)
        except (ImportError, TypeError) as error:
            raise NotImplementedError(f"the installed fastbp has no views that move with the batch: {error}") from error

    def time_made_ready(self, steps):
        """Made, verified, planned and bound to memory: 10,010 calls of the longer one."""
        from fastbp.backends import make_executor

        make_executor(_recurrence(steps), "cython", {}, 32)

    def track_arena_bytes(self, steps):
        return _recurrence(steps).plan(32).nbytes

    track_arena_bytes.unit = "bytes"


def _recurrence(steps):
    from fastbp.program import BATCH, Program

    program = Program("float32")
    w = program.buffer("w", (4, 4), role="parameter")
    dw = program.buffer("dw", (4, 4), role="gradient")
    x = program.buffer("x", (steps, BATCH, 4), role="input")
    h, saved = program.buffer("h", (BATCH, 4), role="input"), []
    for t in range(steps):
        now = program.buffer(f"x{t}", (BATCH, 4), role="input", parent=x, offset=t * BATCH * 4)
        y = program.call("tanh_forward", program.call("add", program.call("matmul_nn", h, w), now))
        saved.append((h, y))
        h = y
    dy = program.call("identity_forward", h)
    for before, y in reversed(saved):
        dz = program.call("tanh_backward", dy, y)
        program.call("matmul_tn", before, dz, into={"y": dw})
        dy = program.call("matmul_nt", dz, w)
    return program


class Memory:
    """The peak of a process that trains one epoch, and the bytes that a train step's program holds."""

    version = "1"
    params = [list(NETS)]
    param_names = ["net"]

    def setup(self, net):
        self.task = Task(net)

    def peakmem_fit(self, net):
        task = self.task
        make_model(task.widths, "cython").fit(task.x, task.y, batch_size=task.batch, verbose=0)

    def peakmem_numpy(self, net):
        task, rng = self.task, np.random.default_rng(0)
        parameters = plain_numpy.initial_parameters(task.widths, rng)
        plain_numpy.train_epoch(parameters, plain_numpy.Adam(parameters), task.x, task.y, task.batch, rng)

    def track_program_bytes(self, net):
        task = self.task
        model = make_model(task.widths, "cython")
        model.train_on_batch(task.x[: task.batch], task.y[: task.batch])
        program = model.program
        held = sum(program.role_bytes(role, task.batch) for role in ("parameter", "gradient", "state"))
        return held + program.executor.plan.nbytes

    track_program_bytes.unit = "bytes"
