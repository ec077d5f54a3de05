"""The package as users get it: sdist, wheel, editable install, build in place; each in an environment of its own."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

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
    return place


def environment(place):
    run(sys.executable, "-m", "venv", place, cwd=place.parent)
    return place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def test_sdist_and_wheel(sources, tmp_path):
    # `build` makes the wheel from the sdist, so a file that the sdist lacks is missed here
    run(sys.executable, "-m", "build", "--outdir", tmp_path, sources, cwd=tmp_path)
    (sdist,) = tmp_path.glob("fastbp-*.tar.gz")
    (wheel,) = tmp_path.glob("fastbp-*.whl")
    assert sdist.stat().st_size < 1e6 and wheel.stat().st_size < 1e6
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"fastbp"}
    for needed in ("fastbp/py.typed", "fastbp/kernels/abi.h", "fastbp/datasets/digits.npz", "fastbp/runner.pyi"):
        assert needed in names
    python = environment(tmp_path / "venv")
    run(python, "-m", "pip", "install", "-q", wheel, "pytest>=8", cwd=tmp_path)
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=NOT_SOURCES)
    suite = [
        tmp_path / "tests" / f"test_{name}.py"
        for name in ("kernels", "training_exact", "worked_examples", "model", "datasets", "io")
    ]
    output = run(
        python, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", *suite,
        # nothing of a wheel could change these definitions, which take their time
        "-k", "not portable_bits and not expression",
        cwd=tmp_path, FASTBP_TEST_BACKENDS="cython",
    )  # fmt: skip
    assert " passed" in output
    assert str(tmp_path / "venv") in run(python, "-c", TRAIN, cwd=tmp_path)
    assert "every bit" in run(tmp_path / "venv" / "bin" / "fastbp", "train", "--epochs", "5", "--quiet", cwd=tmp_path)


@pytest.mark.parametrize("mode", ["lenient", "strict"])
def test_editable(sources, tmp_path, mode):
    python = environment(tmp_path / "venv")
    run(python, "-m", "pip", "install", "-q", "--config-settings", f"editable_mode={mode}", "-e", sources, cwd=tmp_path)
    found = Path(run(python, "-c", TRAIN, cwd=tmp_path).strip())
    assert found.resolve() == (sources / "fastbp" / "__init__.py").resolve()


def test_build_in_place(sources, tmp_path):
    python = environment(tmp_path / "venv")
    run(python, "-m", "pip", "install", "-q", "numpy", "cython>=3.1", "setuptools>=77", cwd=tmp_path)
    run(python, "setup.py", "-q", "build_ext", "--inplace", "-j2", cwd=sources)
    run(python, "-c", TRAIN, cwd=tmp_path, PYTHONPATH=str(sources))
