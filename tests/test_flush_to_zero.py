"""A library that was built with -ffast-math has its loader flush subnormals: portable bits do not change."""

import json
import os
import shutil
import subprocess
import sys
import textwrap

import pytest
from _arrays import BACKENDS

from fastbp._selfcheck import TRIALS
from fastbp.kernels.threads import MISSING

HERE = os.path.dirname(os.path.abspath(__file__))
pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")

#: Load the library if it is the time; ``library`` is it, then.
HEAD = """
import ctypes, hashlib, json, sys
library = None
def load(now):
    global library
    if now == sys.argv[2]:
        library = ctypes.CDLL(sys.argv[1])
        library.control.restype = ctypes.c_uint64
        if "upward" in sys.argv:
            library.round_upward()
def digest(*arrays):
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()
load("before the import")
import numpy as np
import fastbp
from fastbp import kernels
"""
NEVER, TIMES = "never", ("before the import", "before the threads", "after the threads")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Return the path of a library that sets flush to zero as it is loaded."""
    path = tmp_path_factory.mktemp("library") / "flush.so"
    source = os.path.join(HERE, "flush_to_zero.c")
    done = subprocess.run(["cc", "-O1", "-shared", "-fPIC", source, "-o", path, "-lm"], capture_output=True, text=True)
    if "no control word" in done.stderr:
        pytest.skip("this architecture has no control word that fastbp knows")
    assert done.returncode == 0, done.stderr
    return path


def run(code, library, *arguments):
    """Run a script behind `HEAD`; return the object that it prints as JSON."""
    command = [sys.executable, "-c", HEAD + textwrap.dedent(code), str(library), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


SUBNORMAL = """
from fastbp.kernels.cython_ext import capsules
from fastbp.kernels.primitives import capsule_address
fastbp.set_num_threads(2)
load("before the threads")
tiny = np.full((200, 200), 1e-21, "f")
long = np.full((800, 800), 1e-21, "f")
# whoever calls a kernel from C runs as found; the threads, which begin with that, are the next one's too
kernel = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 4)(capsule_address(capsules("float32")["matmul_nn"]))
y = np.empty_like(long)
buffers = (ctypes.c_void_p * 3)(long.ctypes.data, long.ctypes.data, y.ctypes.data)
kernel(buffers, (ctypes.c_ssize_t * 3)(800, 800, 800), None, kernels.primitives_address("float32", "portable"))
load("after the threads")
found = {}
# products and updates that are shared among the threads
found["product"] = digest(*(kernels.matmul_nn(long, long, backend="cython", numerics="portable") for _ in range(20)))
model = fastbp.Sequential([fastbp.Dense(200)], input_shape=200, seed=0)
model.compile("adam", "mse", numerics="portable", backend="cython")
model.train_on_batch(tiny, tiny)
state = model.optimizer.get_state()
state["m"][...] = 1e-37
model.optimizer.set_state(state)
for _ in range(40):
    model.train_on_batch(0 * tiny, model.predict(0 * tiny))
found["update"] = digest(model.optimizer.get_state()["m"])
x, y = fastbp.datasets.load_digits()
for numerics in ("portable", "numpy"):
    model = fastbp.Sequential([fastbp.Dense(64, activation="relu"), fastbp.Dense(10)], input_shape=64, seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", numerics=numerics, backend="cython")
    model.fit(x[:400], y[:400], epochs=100, seed=0, verbose=0)
    m = model.optimizer.get_state()["m"]
    found[numerics] = digest(*model.get_weights(), *model.optimizer.get_state().values())
    found[numerics + " subnormals"] = np.count_nonzero((m.view("i4") & 0x7f800000 == 0) & (m.view("i4") << 1 != 0))
print(json.dumps(found, default=int))
"""


@pytest.fixture(scope="module")
def kept(library):
    """Return what a process finds that keeps subnormals."""
    found = run(SUBNORMAL, library, NEVER)
    assert found["portable subnormals"] > 100 and found["numpy subnormals"] > 100
    return found


@pytest.mark.skipif(MISSING is not None, reason="only compiled code can set it aside")
@pytest.mark.parametrize("time", TIMES)
def test_training_with_subnormals(time, library, kept):
    found = run(SUBNORMAL, library, time)
    for name in ("product", "update", "portable", "portable subnormals"):
        assert found[name] == kept[name], name
    # numerics "numpy" runs as found, as NumPy does
    assert found["numpy subnormals"] == 0


@pytest.mark.skipif(MISSING is not None, reason="only compiled code can set it aside")
@pytest.mark.parametrize("state", ["", "upward"], ids=["to nearest", "upward"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_networks(backend, state, library):
    code = """
        load("before the threads")
        from fastbp._selfcheck import TRIALS
        print(json.dumps([trial.train(sys.argv[3]) for trial in TRIALS.values()]))
    """
    found = run(code, library, "before the threads", backend, state)
    assert found == [trial.sha256 for trial in TRIALS.values()]


@pytest.mark.skipif(MISSING is not None, reason="only compiled code can set it aside")
@pytest.mark.parametrize("backend", ["numpy", *BACKENDS])
def test_the_caller_has_its_own_state_again(backend, library):
    code = """
        import signal
        from fastbp.kernels import primitives
        load("before the threads")
        backend = sys.argv[3]
        first, words, flags, inside = library.control(), {}, {}, []
        x = np.random.default_rng(0).normal(size=(500, 8)).astype("f")
        y = np.arange(500) % 3
        tiny = np.full(9, 2.0**-126, "f")
        def after(name, run):
            library.raise_flag()
            result = run()
            flags[numerics, name], words[numerics + name] = library.has_flag(), library.control()
            return result
        for numerics in ("portable", "numpy"):
            choice = dict(numerics=numerics, backend=backend)
            model = fastbp.Sequential([fastbp.Dense(8, activation="tanh"), fastbp.Dense(3)], input_shape=8, seed=0)
            model.compile("adam", "sparse_categorical_crossentropy", **choice)
            seen = fastbp.callbacks.LambdaCallback(on_train_batch_end=lambda *a: inside.append(library.control()))
            after("fit", lambda: model.fit(x, y, verbose=0, callbacks=[seen]))
            signal.signal(signal.SIGALRM, lambda *a: inside.append(library.control()))
            if backend != "numpy":  # there a handler may run between any two operations
                signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
                model.fit(np.tile(x, (2000, 1)), np.tile(y, 2000), epochs=2, shuffle=False, verbose=0)
                signal.setitimer(signal.ITIMER_REAL, 0)
            after("predict", lambda: model.predict(x))
            after("train_on_batch", lambda: model.train_on_batch(x[:32], y[:32]))
            small = after("kernel", lambda: kernels.leaky_relu_forward(-tiny, **choice))
            assert (small.view("i4") << 1 != 0).all() == (numerics == "portable")
            after("check", lambda: model.program.run(check="numpy"))
            try:
                kernels.embedding_forward(np.array([[5]]), np.ones((2, 2)), **choice)
            except IndexError:
                words["error"] = library.control()
        if backend == "cython":
            table = kernels.primitives_address("float32", "portable")
            after("evaluate", lambda: primitives.evaluate(table, "exp", tiny))
            assert flags["portable", "train_on_batch"]  # elsewhere NumPy's functions clear it
        print(json.dumps([first, sorted(set(words.values())), sorted(set(inside)), "error" in words]))
    """
    first, words, inside, error = run(code, library, "before the threads", backend)
    assert first and words == inside == [first] and error


def test_it_is_told(library):
    code = """
        from fastbp._show_versions import versions
        load("before the threads")
        certificate = fastbp.selfcheck(verbose=False)
        print(json.dumps([certificate.ok, str(certificate), versions()["floating point"]]))
    """
    usual = "floating point: round to nearest, subnormals kept\n"
    ok, text, version = run(code, library, NEVER)
    assert ok and usual in text and version in usual
    ok, text, version = run(code, library, "before the threads", "upward")
    assert ok == (MISSING is None) and "floating point: round upward, flush to zero is set: numerics 'numpy'" in text
    assert version in text
