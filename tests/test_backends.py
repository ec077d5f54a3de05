"""A backend is one object: what knows it, and what happens where it cannot run."""

import ast
import compileall
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from _arrays import assert_same_bits, needs_modules

import fastbp
from fastbp import kernels
from fastbp._show_versions import versions
from fastbp.backends import CompiledExecutor, NumpyExecutor
from fastbp.kernels.backend import BACKENDS, DEFAULT, REFERENCE, Functions

X, Y = np.random.default_rng(0).normal(size=(9, 3)), np.arange(9) % 2


def trained(backend, numerics="numpy"):
    model = fastbp.Sequential([fastbp.Dense(4, activation="tanh"), fastbp.Dense(2)], seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", backend=backend, numerics=numerics)
    model.fit(X, Y, epochs=2, batch_size=4, seed=0, verbose=0)
    return model


@pytest.fixture
def twin(monkeypatch):
    """A backend more, whose kernels are those of another."""
    monkeypatch.setitem(BACKENDS, "twin", Functions("twin", "numpy_ref", "fastbp.backends:NumpyExecutor"))


def test_the_objects_say_who_they_are():
    assert all(backend.name == name for name, backend in BACKENDS.items())
    assert not BACKENDS[REFERENCE].compiled and BACKENDS[REFERENCE].available() and BACKENDS[DEFAULT].compiled
    assert BACKENDS[REFERENCE].executor_class() is NumpyExecutor
    assert repr(BACKENDS["numba"]) == "<Compiled numba>"


@pytest.mark.parametrize("numerics", ["numpy", "portable"])
def test_one_object_is_all_that_a_new_backend_needs(twin, numerics, tmp_path):
    model = trained("twin", numerics)
    assert model.backend == "twin" and versions()["backend twin"] == "yes"
    for ours, reference in zip(model.get_weights(), trained(REFERENCE, numerics).get_weights(), strict=True):
        assert_same_bits(ours, reference)
    ours, reference = (kernels.tanh_forward(X, backend=name, numerics=numerics) for name in ("twin", REFERENCE))
    assert_same_bits(ours, reference)
    model.save(tmp_path / "model.npz")
    assert fastbp.load_model(tmp_path / "model.npz").backend == "twin"
    with pytest.raises(ValueError, match=r"backend is 'twim'; it must be one of .*, twin; did you mean 'twin'"):
        model.compile("adam", "mse", backend="twim")


def test_what_a_backend_needs_is_named(monkeypatch):
    lacking = Functions("lacking", "no_such_package", "fastbp.backends:NumpyExecutor", needs="no_such_distribution")
    monkeypatch.setitem(BACKENDS, "lacking", lacking)
    assert not lacking.available() and versions()["backend lacking"].startswith("no: ")
    with pytest.raises(ImportError, match=r"'lacking' cannot be imported here .*; pip install no_such"):
        kernels.load("lacking")


def test_only_compiled_kernels_take_primitives():
    with pytest.raises(ValueError, match="backend is 'numpy'; its kernels are not compiled, and take no primitives"):
        kernels.primitives_address("float32", backend="numpy")


def test_no_name_of_a_backend_is_compared():
    """What depends on the backend asks its object."""
    roots = [os.path.dirname(os.path.abspath(module.__file__)) for module in (fastbp, kernels)]
    for path in (os.path.join(place, file) for root in roots for place, _, files in os.walk(root) for file in files):
        if not path.endswith(".py"):
            continue
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read())
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                names = {getattr(side, "attr", getattr(side, "id", "")) for side in sides}
                texts = {n.value for side in sides for n in ast.walk(side) if isinstance(n, ast.Constant)}
                compared = texts & ({*BACKENDS} if "backend" in names else {*BACKENDS} - {REFERENCE})
                assert not compared, f"{path}:{node.lineno}"


def run(code, path):
    env = {**os.environ, "PYTHONPATH": os.fspath(path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif("not BACKENDS['numba'].available()", reason="compiles with Numba")
def test_numba_compiles_where_only_bytecode_is_installed(tmp_path):
    place = tmp_path / "fastbp"
    no_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(fastbp.__path__[0], place, ignore=no_caches)
    shutil.copytree(os.path.dirname(kernels.__file__), place / "kernels", ignore=no_caches, dirs_exist_ok=True)
    assert compileall.compile_dir(place, quiet=1, legacy=True)
    for source in place.rglob("*.py"):
        source.unlink()
    code = """if True:
        import fastbp
        assert fastbp.__file__.endswith(".pyc") and fastbp.kernels.__file__.endswith(".pyc")
        print(fastbp.kernels.relu_forward([-1.0, 2.0], backend="numba"))
    """
    assert run(code, tmp_path) == "[0. 2.]\n"


@pytest.mark.parametrize(
    ("absent", "message"),
    [
        ("numba", r"backend 'numba' cannot be imported here \(.*numba.*\); pip install numba"),
        ("fastbp.kernels.pool", "backend='numba' needs fastbp's extension modules, .*; (they are|the clone)"),
    ],
)
def test_functions_of_numba_without_what_they_need(absent, message):
    code = f"""if True:
        import sys
        sys.modules[{absent!r}] = None
        import fastbp
        for make in (fastbp.custom.activation, fastbp.custom.loss):
            try:
                make(lambda *x: x, "mine", derivative=lambda *x: x)
            except ImportError as error:
                print(error)
        assert "mine" not in fastbp.kernels.table.TABLE
    """
    said = run(code, os.path.dirname(fastbp.__path__[0])).splitlines()
    assert len(said) == 2 and all(re.search(message, line) for line in said), said


@pytest.mark.parametrize("value", [["numpy"], {"a": 1}, 3, "float16", np.array(["numpy", "cython"])])
def test_what_no_dict_looks_up_is_named(value):
    model = fastbp.Sequential([fastbp.Dense(2)], input_shape=3)
    said = re.escape(repr(value))
    for argument in ("backend", "dtype", "numerics"):
        with pytest.raises(ValueError, match=f"{argument} is {said}; it must be"):
            model.compile("sgd", "mse", **{argument: value})
    with pytest.raises(ValueError, match=f"dtype is {said}; it must be 'float32' or 'float64'"):
        kernels.load("numpy", value)
    for numerics in kernels.NUMERICS:
        with pytest.raises(ValueError, match=f"dtype is {said}; it must be 'float32' or 'float64'"):
            kernels.primitives_address(value, numerics)
    with pytest.raises(ValueError, match=f"numerics is {said}; it must be"):
        kernels.primitives_address("float32", value)
    with pytest.raises(ValueError, match=f"backend is {said}; it must be"):
        kernels.primitives_address("float32", backend=value)


@needs_modules
def test_a_data_set_whose_length_an_interrupt_kept_from_the_runner(monkeypatch):
    def interrupt(executor):
        raise KeyboardInterrupt

    x, y = np.random.default_rng(0).standard_normal((40, 3)), np.arange(40) % 2
    model = fastbp.Sequential([fastbp.Dense(2)], input_shape=3, seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy", backend="cython")
    model.fit(x[:20], y[:20], verbose=0)
    with monkeypatch.context() as patch:
        patch.setattr(CompiledExecutor, "_resize", interrupt)
        with pytest.raises(KeyboardInterrupt):
            model.fit(x, y, verbose=0)
    model.fit(x, y, verbose=0)
