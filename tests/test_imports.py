"""The house: imports run one way, and `import fastbp` takes along only what it needs."""

import ast
import os
import subprocess
import sys
import tomllib

import pytest
from _arrays import needs_modules

import fastbp
from fastbp import kernels
from fastbp.kernels.table import FAMILIES

PACKAGE = os.path.dirname(os.path.abspath(fastbp.__file__))
KERNELS = os.path.dirname(os.path.abspath(kernels.__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

#: What each module may import at its top, of fastbp's own. A module that is missing here fails the test.
ALLOWED = {
    "kernels.table": {"kernels.table.row", *(f"kernels.table.{family}" for family in FAMILIES)},
    "kernels.table.row": set(),
    **{f"kernels.table.{family}": {"kernels.table.row"} for family in FAMILIES},
    "kernels.pointwise": set(),
    "kernels.chain": {"kernels.pointwise"},
    "kernels.caller": set(),
    "kernels": {"kernels.caller", "kernels.table", "kernels.threads"},
    "kernels.primitives": set(),
    "kernels.pool": set(),
    "kernels.threads": {"kernels.pool"},
    "kernels.fpcontrol": {"kernels.pool", "kernels.threads"},
    "kernels.portable": set(),
    "kernels.portable.fma": set(),
    "kernels.portable.elementary": {"kernels.portable.fma"},
    "kernels.portable.array": {
        "kernels.fpcontrol", "kernels.portable", "kernels.portable.elementary", "kernels.portable.fma",
    },
    "program": {"program.build", "program.ir", "program.plan"},
    "program.ir": {"kernels.table"},
    "program.plan": set(),
    "program.verify": {"program.ir"},
    "program.listing": set(),
    "program.passes": set(),
    "program.build": {"kernels.table", "program.ir", "program.listing", "program.plan", "program.verify"},
    "names": {"kernels.table"},
    "custom": {"kernels", "layers", "losses"},
    "initializers": {"names"},
    "layers": {
        "layers.base", "layers.core", "layers.embedding", "layers.norm", "layers.random", "layers.shape", "names",
    },
    "regularizers": {"data", "names"},
    "constraints": {"data", "names"},
    "layers.base": {"data"},
    "layers.core": {"constraints", "initializers", "kernels.table", "layers.base", "names", "regularizers"},
    "layers.embedding": {"data", "initializers", "layers.base"},
    "layers.norm": {"data", "initializers", "layers.base"},
    "layers.random": {"data", "layers.base"},
    "layers.shape": {"layers.base"},
    "losses": {"data", "kernels.table", "names"},
    "schedules": {"data", "names"},
    "optimizers": {"data", "kernels.table", "names", "schedules", "turns"},
    "metrics": {"data", "kernels.table", "names"},
    "callbacks": {"data", "names"},
    "data": {"kernels"},
    "io": {"data"},
    "turns": set(),
    "checkpoint": {"callbacks", "data", "io", "optimizers", "schedules", "turns"},
    "compiler": {"program", "program.passes"},
    "backends": {"data", "kernels", "kernels.table", "program", "turns"},
    "engine": {"backends", "compiler", "kernels", "turns"},
    "training": {"backends", "callbacks", "kernels.caller", "program"},
    "runner": set(),
    "model": {
        "callbacks", "compiler", "data", "engine", "kernels", "kernels.caller", "kernels.table", "kernels.threads",
        "layers", "losses", "metrics", "optimizers", "program", "training", "turns",
    },
    "_minimize": {"backends", "data", "training", "turns"},
    "insight": {
        "backends", "callbacks", "compiler", "data", "kernels.caller", "kernels.table", "model", "training",
    },
}  # fmt: skip
#: The same for what a function imports when it runs.
LATER = {
    "kernels": {
        "kernels.numpy_ref", "kernels.numba_jit", "kernels.numba_jit.portable", "kernels.cython_ext",
        "kernels.primitives", "kernels.portable.array", "kernels.chain", "kernels.numba_jit.foreign",
    },
    "backends": {"kernels.pool", "runner"},
    "losses": {"kernels"},
    "layers.core": {"kernels"},
    "callbacks": {"io"},
    "_minimize": {"model"},
    "engine": {"kernels.numpy_ref.words"},
    "optimizers": {"kernels.numpy_ref"},
    "model": {"checkpoint", "io"},
}
#: Modules at the top of the house, which may use all others.
TOP = {"", "__main__", "_selfcheck", "_show_versions", "_threadpoolctl", "_version", "cli"}


def modules():
    """Yield (name in fastbp, path) of all Python modules."""
    for folder, prefix in ((PACKAGE, ""), (KERNELS, "kernels")):
        for path, folders, files in os.walk(folder):
            folders[:] = [f for f in folders if f not in ("__pycache__", "kernels")]
            for file in sorted(files):
                if file.endswith(".py"):
                    parts = [prefix, *os.path.relpath(os.path.join(path, file)[:-3], folder).split(os.sep)]
                    yield ".".join(p for p in parts if p not in ("", "__init__")), os.path.join(path, file)


MODULES = dict(modules())


class Imports(ast.NodeVisitor):
    """Collects what a module imports: at its top, in functions; imports for type checkers are left out."""

    def __init__(self, name, path):
        self.package = name if os.path.basename(path) == "__init__.py" else name.rpartition(".")[0]
        self.top, self.later, self.depth = set(), set(), 0
        with open(path, encoding="utf-8") as file:
            self.visit(ast.parse(file.read()))

    def visit_If(self, node):
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        self.generic_visit(node)

    def visit_FunctionDef(self, node):
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    def note(self, name):
        (self.later if self.depth else self.top).add(name)

    def visit_Import(self, node):
        for alias in node.names:
            self.note(alias.name)

    def visit_ImportFrom(self, node):
        if not node.level:
            self.note(node.module)
            return
        parts = ["fastbp", *(p for p in self.package.split(".") if p)]
        base = ".".join(parts[: len(parts) - node.level + 1] + ([node.module] if node.module else []))
        for alias in node.names:
            inner = f"{base}.{alias.name}".removeprefix("fastbp.")
            compiled = inner in ("runner", "kernels.primitives", "kernels.pool")
            self.note(f"fastbp.{inner}" if inner in MODULES or compiled else base)

    def own(self, later=False):
        names = self.later if later else self.top
        return {n.removeprefix("fastbp").lstrip(".") for n in names if n.partition(".")[0] == "fastbp"}

    def foreign(self):
        return {n.partition(".")[0] for n in self.top | self.later} - {"fastbp"}


IMPORTS = {name: Imports(name, path) for name, path in MODULES.items()}


def backend_module(name):
    return name.startswith(("kernels.numpy_ref", "kernels.numba_jit", "kernels.cython_ext"))


def test_the_walk_finds_the_house():
    some = {"", "program", "model", "layers.core", "kernels", "kernels.table", "kernels.table.loss"}
    assert some <= set(MODULES)
    assert IMPORTS["model"].own() >= {"compiler", "engine"} and "numpy" in IMPORTS["model"].foreign()
    assert "runner" in IMPORTS["backends"].own(later=True)


@pytest.mark.parametrize("name", [n for n in MODULES if n not in TOP and not backend_module(n)])
def test_imports_run_one_way(name):
    if name.startswith("datasets"):
        assert all(m.startswith(("datasets", "io", "data")) for m in IMPORTS[name].own())
        return
    top, later = IMPORTS[name].own(), IMPORTS[name].own(later=True)
    assert top <= ALLOWED[name], f"{name} imports {sorted(top - ALLOWED[name])}"
    assert later <= ALLOWED[name] | LATER.get(name, set()), f"{name} imports {sorted(later)} in a function"


def test_the_order_has_no_circle():
    order, left = [], dict(ALLOWED)
    while left:
        free = [name for name, uses in left.items() if uses <= set(order) | {name}]
        assert free, f"a circle among {sorted(left)}"
        order += free
        for name in free:
            del left[name]
    places = [order.index(n) for n in ("kernels.table", "program", "compiler", "engine", "training", "model")]
    assert places == sorted(places)


@pytest.mark.parametrize("name", [n for n in MODULES if backend_module(n)])
def test_kernel_modules_are_leaves(name):
    backend, module = ".".join(name.split(".")[:2]), name.split(".")[-1]
    inside = IMPORTS[name].own() | IMPORTS[name].own(later=True)
    # families stand on each other and their backend's helpers; those that load them may read the table
    allowed = {f"{backend}.{module}" for module in (*FAMILIES, "common", "words")}
    allowed |= {"kernels.primitives", "kernels.pool"}
    if module not in FAMILIES:
        allowed |= {m for m in MODULES if m.startswith("kernels")}
    assert inside <= allowed
    libraries = {"numpy"} | ({"numba", "llvmlite"} if backend == "kernels.numba_jit" else set())
    assert IMPORTS[name].foreign() <= libraries | sys.stdlib_module_names


@pytest.mark.parametrize("package", ["table", "numba_jit"])
def test_a_module_for_each_family(package):
    assert {f"kernels.{package}.{family}" for family in FAMILIES} <= set(MODULES)


def test_the_table_needs_the_standard_library_only():
    table = [name for name in MODULES if name.startswith("kernels.table")]
    for name in (*table, "kernels.pointwise", "kernels.chain"):
        assert IMPORTS[name].own() <= {"kernels.pointwise", *table}
        assert IMPORTS[name].foreign() <= sys.stdlib_module_names
    code = f"import sys; sys.path.insert(0, {KERNELS!r}); import table; print([m for m in sys.modules if 'numpy' in m])"
    assert run(code) == "[]"


def test_only_known_libraries():
    known = {"numpy", "numba", "llvmlite", "matplotlib", "scipy", "threadpoolctl", "tqdm"} | sys.stdlib_module_names
    for name, found in IMPORTS.items():
        assert found.foreign() <= known, name
        at_top = {m.partition(".")[0] for m in found.top}
        if "numba_jit" not in name:
            assert not at_top & {"numba", "llvmlite", "matplotlib", "scipy", "threadpoolctl", "tqdm"}, name


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_takes_along_little():
    loaded = run("import sys; import fastbp; print(' '.join(sys.modules))").split()
    assert "fastbp.model" in loaded
    heavy = ("numba", "llvmlite", "matplotlib", "tqdm", "argparse", "pickle", "unittest", "asyncio", "multiprocessing")
    numpy_alone = run("import sys; import numpy; print(' '.join(sys.modules))").split()
    roots = {m.partition(".")[0] for m in loaded} - {m.partition(".")[0] for m in numpy_alone}
    assert not roots & set(heavy)
    lazy = {"cli", "checkpoint", "custom", "datasets", "insight", "io"}
    assert not {f"fastbp.{name}" for name in lazy} & set(loaded)


@needs_modules
def test_training_takes_along_no_other_backend():
    code = (
        "import sys, numpy as np, fastbp\n"
        "m = fastbp.Sequential([fastbp.Dense(2)]); m.compile('adam', 'mse', backend=%r)\n"
        "m.fit(np.zeros((4, 3)), np.zeros((4, 2)), verbose=0)\n"
        "print(' '.join(sys.modules))"
    )
    loaded = run(code % "cython").split()
    assert "fastbp.runner" in loaded
    assert not {"numba", "matplotlib", "tqdm", "argparse", "fastbp.kernels.numpy_ref"} & set(loaded)
    loaded = run(code % "numpy").split()
    assert not {"numba", "fastbp.kernels.numba_jit"} & set(loaded)


def test_no_top_level_package_called_kernels():
    path = os.path.join(ROOT, "pyproject.toml")
    if not os.path.exists(path):
        pytest.skip("not in a checkout")
    with open(path, "rb") as file:
        tool = tomllib.load(file)["tool"]["setuptools"]
    assert {p.partition(".")[0] for p in tool["packages"]} == {"fastbp"}
    assert tool["package-dir"] == {"fastbp.kernels": "kernels"}
    assert kernels.__name__ == "fastbp.kernels"
    folders = {name for name in MODULES if os.path.basename(MODULES[name]) == "__init__.py"}
    assert {f"fastbp.{name}".rstrip(".") for name in folders} == set(tool["packages"])


def test_public_names_exist():
    for name in fastbp.__all__:
        assert getattr(fastbp, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Densee'"):
        _ = fastbp.Densee
