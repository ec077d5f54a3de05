"""The package as users get it: sdist, wheel, editable install, build in place; each in an environment of its own."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import fastbp

ROOT = Path(__file__).parent.parent
NOT_SOURCES = shutil.ignore_patterns(
    "build", "dist", "*.so", "*.egg-info", "__pycache__", ".git", ".venv", ".asv", ".*_cache", "_build"
)
TRAIN = """
import fastbp
x, y = fastbp.datasets.load_digits()
model = fastbp.Sequential([fastbp.Dense(10)], seed=0)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
assert model.fit(x, y, epochs=9, seed=0, verbose=0).history["accuracy"][-1] > 0.5
assert fastbp.kernels.relu_forward([-1.0, 2.0]).tolist() == [0, 2]
print(fastbp.__file__)
"""

#: Budgets in bytes: of the wheel, of what it installs.
SDIST, WHEEL, INSTALLED = 2.1e6, 2.5e6, 9e6
#: Other versions of Python, tested where PATH has them.
OTHERS = [f"3.{n}" for n in range(11, 15) if n != sys.version_info.minor]
#: In an environment without the extension modules.
BARE = """
import sys, warnings
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    import numpy as np, fastbp
    x, y = np.ones((4, 3)), np.zeros((4, 2))
    def train(numerics, **backend):
        model = fastbp.Sequential([fastbp.Dense(2, activation="tanh")], seed=0)
        model.compile("adam", "mse", numerics=numerics, **backend)
        model.fit(x, y, verbose=0)
        assert model.backend == "numpy"
        return model
    for numerics in ("numpy", "portable"):
        train(numerics, backend="numpy")
    assert not seen, seen[0]
    train("numpy")
    train("portable")
    assert fastbp.kernels.relu_forward([-1.0, 2.0]).tolist() == [0, 2]
    assert fastbp.losses.MeanSquaredError()(y, y) == 0
    assert fastbp.Sequential([fastbp.Dense(1)]).predict(x).shape == (4, 1)
    loaded = fastbp.load_model(sys.argv[1])
    assert loaded.backend == "numpy" and np.isfinite(loaded.train_on_batch(x, y))
(warning,) = seen
assert warning.category is RuntimeWarning
for part in ("extension modules are missing", "No module named 'fastbp.kernels.pool'", "install a C compiler"):
    assert part in str(warning.message), warning.message
for backend in ("cython", "numba"):
    before = repr(loaded.get_config())
    try:
        loaded.compile("sgd", "mse", backend=backend)
    except ImportError as error:
        assert f"backend='{backend}' needs fastbp's extension modules" in str(error), error
        assert repr(loaded.get_config()) == before
    else:
        raise AssertionError(backend)
assert fastbp.set_num_threads(4) == fastbp.get_num_threads() == 1
fastbp.show_versions()
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="the tests lie outside a source tree"),
]


def run(*command, cwd, **env):
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env={**clean, **env}, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{(done.stdout + done.stderr)[-6000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    place = tmp_path_factory.mktemp("sources") / "fastbp"
    shutil.copytree(ROOT, place, ignore=NOT_SOURCES)
    # what was compiled already: here it matters how modules are installed. The wheel is made of the sources alone
    for name in ("cython", "stubs", *(path.name for path in ROOT.glob("build/lib.*"))):
        if (ROOT / "build" / name).exists():
            shutil.copytree(ROOT / "build" / name, place / "build" / name)
    for module, folder in ((fastbp, place / "fastbp"), (fastbp.kernels, place / "kernels")):
        for path in Path(module.__file__).parent.rglob("*.so"):
            # where the package is installed, the kernels lie within
            if module is not fastbp or "kernels" not in path.relative_to(Path(fastbp.__file__).parent).parts:
                shutil.copyfile(path, folder / path.relative_to(Path(module.__file__).parent))
    return place


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return the folder of an sdist and a wheel."""
    place = tmp_path_factory.mktemp("built")
    shutil.copytree(ROOT, place / "fastbp", ignore=NOT_SOURCES)
    # `build` makes the wheel from the sdist, so a file that the sdist lacks is missed here
    run(sys.executable, "-m", "build", "--outdir", place, place / "fastbp", cwd=place)
    return place


def environment(place, python=sys.executable):
    run(python, "-m", "venv", place, cwd=place.parent)
    return place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def suite(python, place, *names, options=(), **env):
    """Run test modules outside the checkout."""
    shutil.copytree(ROOT / "tests", place / "tests", ignore=NOT_SOURCES)
    paths = [place / "tests" / f"test_{name}.py" for name in names]
    command = [python, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", "-W", "ignore"]
    assert " passed" in run(*command, *paths, *options, cwd=place, **env)


def check_manylinux(wheel):
    """Nothing but the C library is needed: no OpenMP, no C++, which would have to be bundled."""
    report = " ".join(run(sys.executable, "-m", "auditwheel", "show", wheel, cwd=wheel.parent).split())
    assert 'is consistent with the following platform tag: "manylinux_2_' in report
    libraries = report.partition("system-provided shared libraries: ")[2].partition(" This constrains")[0]
    assert {word for word in libraries.split() if ".so" in word} <= {"libc.so.6", "libm.so.6"}


def test_sdist_and_wheel(built, tmp_path):
    (sdist,) = built.glob("fastbp-*.tar.gz")
    (wheel,) = built.glob("fastbp-*.whl")
    assert sdist.stat().st_size < SDIST and wheel.stat().st_size < WHEEL
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert wheel.name.startswith(f"fastbp-{fastbp.__version__}-cp311-abi3-")
    if importlib.util.find_spec("auditwheel"):
        check_manylinux(wheel)
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"fastbp"}
    headers = "fastbp/kernels/abi.h", "fastbp/kernels/operations.h"
    packages = "fastbp/cli/__init__.py", "fastbp/table/__init__.py"
    for needed in (*headers, *packages, "fastbp/py.typed", "fastbp/datasets/digits.npz", "fastbp/runner.pyi"):
        assert needed in names
    python = environment(tmp_path / "venv")
    run(python, "-m", "pip", "install", "-q", wheel, "pytest>=8", cwd=tmp_path)
    # nothing of a wheel could change these definitions, which take their time
    options = "-k", "not portable_bits"
    names = "kernels", "training_exact", "worked_examples", "model", "datasets", "io"
    suite(python, tmp_path, *names, options=options, FASTBP_TEST_BACKENDS="cython")
    where = Path(run(python, "-c", TRAIN, cwd=tmp_path).strip()).parent
    assert (tmp_path / "venv") in where.parents
    assert sum(path.stat().st_size for path in where.rglob("*") if path.is_file()) < INSTALLED
    assert "every bit" in run(tmp_path / "venv" / "bin" / "fastbp", "train", "--epochs", "5", "--quiet", cwd=tmp_path)


@pytest.mark.parametrize("version", OTHERS)
def test_another_python(built, tmp_path, version):
    python = shutil.which(f"python{version}")
    # a version manager's stand-in is there without the Python
    if python is None or subprocess.run([python, "-c", "import venv, ensurepip"], capture_output=True).returncode:
        pytest.skip(f"there is no python{version}")
    (wheel,) = built.glob("fastbp-*-abi3-*.whl")
    python = environment(tmp_path / "venv", python)
    run(python, "-m", "pip", "install", "-q", wheel, "pytest>=8", cwd=tmp_path)
    names = "kernels", "training_exact", "worked_examples", "model", "datasets", "io", "runner", "primitives"
    suite(python, tmp_path, *names, options=("-m", "not slow", "-k", "not portable_bits"))
    run(python, "-c", TRAIN, cwd=tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a compiler is found without PATH")
def test_without_a_compiler(sources, tmp_path):
    python = environment(tmp_path / "venv")
    (tmp_path / "empty").mkdir()
    nothing = {"PATH": str(tmp_path / "empty")}
    run(python, "-m", "pip", "install", "-q", sources, "pytest>=8", cwd=tmp_path, **nothing)
    model = fastbp.Sequential([fastbp.Dense(2)], input_shape=3, seed=0)
    model.compile("adam", "mse", backend="cython")
    model.save(tmp_path / "model.npz")
    output = run(python, "-c", BARE, tmp_path / "model.npz", cwd=tmp_path)
    assert "backend cython  no: No module named 'fastbp.kernels.pool'" in output
    command = tmp_path / "venv" / "bin" / "fastbp"
    assert "nothing to compare" in run(command, "train", "--epochs", "2", "--quiet", cwd=tmp_path)
    suite(python, tmp_path, "worked_examples", "model", "io", "weights")


@pytest.mark.parametrize("mode", ["lenient", "strict"])
def test_editable(sources, tmp_path, mode):
    python = environment(tmp_path / "venv")
    run(python, "-m", "pip", "install", "-q", "--config-settings", f"editable_mode={mode}", "-e", sources, cwd=tmp_path)
    found = Path(run(python, "-c", TRAIN, cwd=tmp_path).strip())
    assert found.resolve() == (sources / "fastbp" / "__init__.py").resolve()


def test_build_in_place(sources, tmp_path):
    python = environment(tmp_path / "venv")
    run(python, "-m", "pip", "install", "-q", "numpy", "cython>=3.1", "setuptools>=77", cwd=tmp_path)
    # all but two modules are compiled already, and newer than the Cython that was just installed
    for path in (*sources.glob("build/cython/**/*.c"), *sources.glob("build/lib.*/**/*.so")):
        path.touch()
    for name in ("pool", "runner"):
        for path in sources.rglob(f"{name}.*so"):
            path.unlink()
    run(python, "setup.py", "-q", "build_ext", "--inplace", "-j2", cwd=sources)
    assert [*sources.glob("fastbp/runner.*so")] and [*sources.glob("kernels/pool.*so")]
    run(python, "-c", TRAIN, cwd=tmp_path, PYTHONPATH=str(sources))
