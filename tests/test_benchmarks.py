"""The suite of asv: names of the past stay, old commits are skipped, the gate's judgement. Nothing is timed here."""

import ast
import itertools
import json
import math
import re
import shutil
import subprocess

import pytest
from _benchmarks import ROOT, run_python

pytestmark = pytest.mark.skipif(
    not (ROOT / "benchmarks").is_dir() or not (ROOT / "kernels").is_dir(), reason="not a checkout"
)
pytest.importorskip("asv", reason="needs the package asv")
from asv.results import Results  # noqa: E402
from asv.runner import BenchmarkResult  # noqa: E402


def run(program, *arguments, folder):
    """Run a program in which benchmarks are imported before NumPy, in a process of its own; return what it printed."""
    # a file: asv reads the source of what it is given
    (folder / "program.py").write_text(program)
    done = run_python(folder, "program.py", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


_DISCOVER = """
import json, sys, benchmarks
from pathlib import Path
from asv_runner.discovery import disc_benchmarks
root = str(Path(benchmarks.__file__).parent)
every = list(disc_benchmarks(root))
assert all([b.check(root) for b in every])
json.dump({b.name: {"params": b.params, "version": b.version} for b in every}, sys.stdout)
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """All benchmarks as asv finds them."""
    folder = tmp_path_factory.mktemp("suite")
    return json.loads(run(_DISCOVER, folder=folder).split("\n")[-1])


def test_every_benchmark_has_a_version_of_its_own(suite):
    """A hash of the source would orphan all results of the past with every line that is tidied."""
    assert len(suite) > 20
    assert {name for name, found in suite.items() if not re.fullmatch(r"\d+", found["version"])} == set()


def test_kernels_are_those_of_the_table(suite):
    from fastbp.kernels.table import KERNELS

    assert suite["bench_kernels.Kernels.time_kernel"]["params"][0] == [repr(name) for name in KERNELS]


def recorded(name, params, values):
    """Return a result as asv keeps it."""
    result = Results({"machine": "m"}, {}, "0" * 40, 0, "3.11", "env", {})
    benchmark = {"name": name, "params": params, "version": "1", "type": "time"}
    made = BenchmarkResult(values, [None] * len(values), [None] * len(values), 0, "", None)
    result.add_result(benchmark, made)
    return result


def test_results_find_their_points_in_lists_that_grew(suite):
    """asv looks points up by their values: a kernel in the middle of the table moves nobody's results."""
    name = "bench_kernels.Kernels.time_kernel"
    kernels, *others = suite[name]["params"]
    old = [[k for k in kernels if k != "'dense'"][::-1], *others]
    n = math.prod(map(len, old))
    result = recorded(name, old, [float(k) for k in range(n)])
    values = result.get_result_value(name, suite[name]["params"])
    by_point = dict(zip(itertools.product(*suite[name]["params"]), values, strict=True))
    for k, point in enumerate(itertools.product(*old)):
        assert by_point[point] == k
    assert {point[0] for point, value in by_point.items() if value is None} == {"'dense'"}


def literal_lists(source):
    """Return the module's lists of names: tuples of strings, dicts' keys; of what can be read without running it."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            value = node.value
            keys = value.elts if isinstance(value, ast.Tuple) else value.keys if isinstance(value, ast.Dict) else []
            if keys and all(isinstance(k, ast.Constant) and isinstance(k.value, str) for k in keys):
                found[node.targets[0].id] = [k.value for k in keys]
    return found


def methods(source):
    """Return the names of the module's benchmarks."""
    found, kinds = set(), ("time_", "timeraw_", "track_", "peakmem_")
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith(kinds):
            found.add(node.name)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            names = [f.name for f in node.body if isinstance(f, ast.FunctionDef) and f.name.startswith(kinds)]
            found |= {f"{node.name}.{name}" for name in names}
    return found


LISTS = {
    "common": ("NETS", "BACKENDS", "DTYPES"), "bench_kernels": ("SIZES",), "bench_calls": ("CALLS",),
    "bench_training": ("LAYERS", "CALLS", "NARROW"), "bench_tables": ("TASKS",),
}  # fmt: skip


def test_lists_are_only_appended_to(suite):
    """Whatever a commit of the past called a benchmark or a value is called so today, and stands where it stood."""
    if not (ROOT / ".git").exists():
        pytest.skip("there is no history here")
    modules = [*sorted(p.stem for p in (ROOT / "benchmarks").glob("bench_*.py")), "common"]

    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)

    if shutil.which("git") is None or git("rev-parse", "HEAD").returncode:
        pytest.skip("git cannot read the history here")
    seen = 0
    for module in modules:
        path = f"benchmarks/{module}.py"
        today = literal_lists((ROOT / path).read_text())
        for commit in git("log", "--format=%H", "--", path).stdout.split():
            old = git("show", f"{commit}:{path}")
            if old.returncode:
                continue  # the commit that removed it
            for name in LISTS.get(module, ()):
                if name in (was := literal_lists(old.stdout)):
                    assert today[name][: len(was[name])] == was[name], f"{name} at {commit}"
                    seen += 1
            assert {f"{module}.{name}" for name in methods(old.stdout)} <= set(suite), commit
    if not seen:
        pytest.skip("the history here is too short")


_LACKING = """
import benchmarks
import fastbp, fastbp.kernels as kernels
from benchmarks import bench_kernels, bench_scaling, bench_training

def skipped(benchmark, *parameters):
    try:
        benchmark().setup(*parameters)
    except NotImplementedError:
        return True
    return False

kernel = ("relu_forward", "cython", "float32", "32x16")
assert not skipped(bench_kernels.Kernels, *kernel)
was = kernels.KERNELS["relu_forward"]
kernels.KERNELS["relu_forward"] = kernels.KERNELS["relu_backward"]  # of other operands
assert skipped(bench_kernels.Kernels, *kernel)
del kernels.KERNELS["relu_forward"]
assert skipped(bench_kernels.Kernels, *kernel)
kernels.KERNELS["relu_forward"] = was
load = kernels.load
kernels.load = lambda backend, dtype="float32", names=None: load(backend, dtype, names)
assert not skipped(bench_kernels.Kernels, *kernel)
assert skipped(bench_kernels.Kernels, "relu_forward", "cython portable", "float32", "32x16")
kernels.load = load

for layer in bench_training.LAYERS:
    assert not skipped(bench_training.Layers, layer, "cython"), layer
del fastbp.BatchNorm
assert skipped(bench_training.Layers, "BatchNorm", "cython")

net = "4-16-3 b32"
assert not skipped(bench_training.WeightedStep, net, "cython")
step = fastbp.Sequential.train_on_batch
fastbp.Sequential.train_on_batch = lambda self, x, y: step(self, x, y)
assert skipped(bench_training.WeightedStep, net, "cython") and not skipped(bench_training.TrainOnBatch, net, "cython")

assert not skipped(bench_scaling.Threads, 1, net, "cython portable")
bench_scaling.cpus = lambda: 2
assert skipped(bench_scaling.Threads, 4, net, "cython portable")
del fastbp.set_num_threads
assert skipped(bench_scaling.Threads, 1, net, "cython portable")

compile = fastbp.Sequential.compile
def older(self, optimizer, loss, metrics=(), backend="cython"):
    return compile(self, optimizer=optimizer, loss=loss, metrics=metrics, backend=backend)
fastbp.Sequential.compile = older
assert not skipped(bench_scaling.Depth, 1, "cython") and not skipped(bench_training.Epoch, net, "numpy script")
for benchmark in (bench_training.Fit, bench_training.Predict, bench_training.Compile, bench_training.Epoch):
    assert skipped(benchmark, net, "cython portable") and not skipped(benchmark, net, "cython"), benchmark
assert skipped(bench_scaling.Depth, 1, "cython portable")
"""


def test_what_an_old_commit_lacks_is_skipped(tmp_path):
    run(_LACKING, folder=tmp_path)


_CLOCK = """
import benchmarks, time
from benchmarks.common import Benchmark, Clock
from asv_runner.benchmarks.time import TimeBenchmark

class Sleeping(Benchmark):
    prepared = 0
    repeat, warmup_time, sample_time = 3, 0, 0.01

    def prepare(self):
        self.prepared += 1
        self.calls = 0

    def job(self):
        self.calls += 1
        time.sleep(0.0005)

    def time_job(self):
        self.timer.run(self.job)

one = Sleeping()
benchmark = TimeBenchmark("time_job", one.time_job, [one.time_job, one])
assert not benchmark.do_setup()
found = benchmark.run()
# a sample is the mean of many calls, whatever asv calls one, and nothing was prepared again
assert one.prepared == 1 and one.calls > 3 and len(found["samples"]) == 3
assert all(sample >= 0.0005 for sample in found["samples"])
# the fastest block counts: others may have had another process in them
clock, seconds = Clock(0.01, 5), [3.0, 2.0, 4.0, 5.0, 6.0]
clock.calls, clock._time = 2, lambda job, calls: seconds.pop(0)
clock.run(None)
assert clock() == 1.0 and seconds == []
one.setup("other parameters")
assert one.prepared == 2
"""


def test_a_sample_is_many_calls(tmp_path):
    run(_CLOCK.replace("def prepare(self):", "def prepare(self, *parameters):"), folder=tmp_path)


_SELECTIONS = """
import itertools, json, re, sys
from benchmarks.selection import SELECTIONS
suite = json.load(open(sys.argv[1]))
values = {name: itertools.product(*found["params"]) for name, found in suite.items()}
points = [f"{name}({', '.join(v)})" if v else name for name in suite for v in values[name]]
found = {}
for name, expressions in SELECTIONS.items():
    each = [[p for p in points if re.search(expression, p)] for expression in expressions]
    assert all(each), (name, [expression for expression, hits in zip(expressions, each) if not hits])
    for expression, hits in zip(expressions, each):
        values = set(re.findall("'[^']*'", expression.replace(chr(92), "")))
        assert values <= set(re.findall("'[^']*'", " ".join(hits))), expression
    found[name] = len(set(itertools.chain(*each)))
print(json.dumps(found))
"""


def test_every_expression_of_a_selection_finds_points(suite, tmp_path):
    (tmp_path / "suite.json").write_text(json.dumps(suite))
    found = json.loads(run(_SELECTIONS, str(tmp_path / "suite.json"), folder=tmp_path))
    assert found["all"] == sum(math.prod(map(len, f["params"])) for f in suite.values())
    assert 100 <= found["history"] <= 200 and 100 <= found["gate"] <= 300, found


_GATE = r"""
import benchmarks
import doctest, math, sys
from pathlib import Path
import numpy as np
from benchmarks import build, gate, history, selection
from asv.results import Results
from asv.runner import BenchmarkResult

for module in (gate, history, selection):
    assert doctest.testmod(module).failed == 0 and doctest.testmod(module).attempted, module

def recorded(values, samples):
    result = Results({"machine": "m"}, {}, "0" * 40, 0, "3.11", "env", {})
    benchmark = {"name": "b.time_x", "params": [["'slow'", "'same'", "'fails'", "'skips'", "'other'"]],
                 "version": "1", "type": "time"}
    result.add_result(benchmark, BenchmarkResult(values, samples, [1] * 5, 0, "", None), record_samples=True)
    return result

nan = math.nan
base = recorded([2.0, 2.0, 2.0, 2.0, 2.0], [[2.0, 2.5]] * 5)
# the median of what is the same is larger by half, the fastest sample is not
head = recorded([2.6, 3.0, None, nan, 9.0], [[2.6, 2.9], [2.0, 4.0], None, None, [9.0, 9.0]])
points = gate.compare(base, head, [r"time_x\('(slow|same|fails|skips)'\)"])
ratios = gate.ratios(points)
assert ratios == {"b.time_x('slow')": 1.3, "b.time_x('same')": 1.0, "b.time_x('fails')": math.inf}, ratios
assert gate.slower(ratios, 1.15) == ["b.time_x('fails')", "b.time_x('slow')"]
assert history.outcome(head) == (3, 1, 1, ["b.time_x"])

# one that is slower once only is let pass; one that is slower twice is named
taken = []
def measure(base, head, expressions, rounds, cpu, root):
    taken.append((list(expressions), rounds))
    slow, noisy = (1.3, 1.4) if len(taken) == 1 else (1.28, 1.0)
    return {"s(1)": (np.ones(2), np.full(2, slow)), "n(1)": (np.ones(2), np.full(2, noisy))}
gate.measure, gate.name_machine = measure, lambda root: None
found, first = gate.gate("a", "b", ["."], 1.15, 4, say=lambda line: None)
assert found == {"s(1)": 1.28} and first == {"s(1)": 1.3, "n(1)": 1.4}
assert taken == [(["."], 4), ([r"^n\(1\)$", r"^s\(1\)$"], 8)], taken

# what asv says is passed on but for benchmarks, and all of it written down
log, lines = Path(sys.argv[1]) / ".asv" / "log", "one\n\n[ 1.00%] ··· a benchmark\n   a table\ntwo\n"
status = history.follow([sys.executable, "-c", f"import sys; print({lines!r}, end=''); sys.exit(2)"], sys.argv[1], log)
assert status == 2 and log.read_text(encoding="utf-8") == lines

# a planted kernel is another function, and called in its stead
folder = Path(sys.argv[1]) / "kernels" / "cython_ext"
folder.mkdir(parents=True)
text = (Path(history.ROOT) / "kernels" / "cython_ext" / "loss.pxi").read_text()
(folder / "loss.pxi").write_text(text)
gate.slow_down(Path(sys.argv[1]), "check_finite")
planted = (folder / "loss.pxi").read_text()
assert planted.count("cdef api int check_finite(") == 1 and planted.count("check_finite_as_it_was(") == 2
assert "0.3" in planted
try:
    gate.slow_down(Path(sys.argv[1]), "no_such_kernel")
except ValueError as error:
    assert "no_such_kernel" in str(error)
else:
    raise AssertionError

v3 = "flags\t\t: fpu avx2 bmi1 bmi2 f16c fma movbe sse4_2\n"
v4 = v3.replace("fpu", "avx512f avx512bw avx512cd avx512dq avx512vl")
assert [build.level_of(t) for t in (v3, v4, v3.replace("fma", ""), "none")] == ["v3", "v4", "v2", None]
assert [build.is_needed(f"fastbp.kernels.cython_ext._f4_v{n}", "v3") for n in (2, 3, 4)] == [False, True, False]
assert build.is_needed("fastbp.runner", "v3") and build.is_needed("fastbp.kernels.cython_ext._f4_v2", None)
"""


def test_gate_history_and_build(tmp_path):
    """What they make of measurements and texts: that they measure well is for a quiet machine to show."""
    assert run(_GATE, str(tmp_path), folder=tmp_path) == "one\ntwo\n"
