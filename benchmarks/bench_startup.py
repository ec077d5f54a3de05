"""What fastbp costs before and beside training: imports, the first step of a process, memory."""

import numpy as np

from .common import FIRST_STEP, NETS, Task, alternate, make_model, run_python
from .peers import plain_numpy


class Import:
    """``import fastbp`` in a fresh process that has imported NumPy."""

    def timeraw_import_after_numpy(self):
        return "import fastbp", "import numpy"

    def timeraw_import_numpy(self):
        return "import numpy"


class FirstStep:
    """A fresh process from its start to its end, one train step of 64-128-10 in between."""

    params = ["fastbp", "numpy"]
    param_names = ["script"]
    number, rounds, repeat, warmup_time = 1, 1, (5, 15, 5), 0

    def setup(self, script):
        run_python(FIRST_STEP[script])  # byte code is written once

    def time_process(self, script):
        run_python(FIRST_STEP[script])


def track_first_step_ratio_to_numpy():
    """A process with fastbp over one with the plain NumPy script: less is better."""
    jobs = {name: lambda script=script: run_python(script) for name, script in FIRST_STEP.items()}
    alternate(jobs, 1)  # byte code is written once
    seconds = alternate(jobs, 9)
    return float(np.median(seconds["fastbp"] / seconds["numpy"]))


track_first_step_ratio_to_numpy.unit = "ratio"


class Memory:
    """The peak of a process that trains one epoch, and the bytes that a train step's program holds."""

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
