"""Import layering: imports run one way, and `import fastbp` takes along only what it needs."""

import ast
import os
import re
import subprocess
import sys
import tomllib

import pytest
from _arrays import needs_modules

import fastbp
from fastbp import kernels
from fastbp.kernels.table import FAMILIES
from fastbp.kernels.table import KERNELS as KERNELS_OF_THE_TABLE

PACKAGE = os.path.dirname(os.path.abspath(fastbp.__file__))
KERNELS = os.path.dirname(os.path.abspath(kernels.__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

#: From the ground up: a module imports from its own floor and from those below. A name stands for what is in it, too.
FLOORS = (
    (
        "_version", "attributes", "checks", "frames", "html", "plotting", "progress", "results", "runner", "spellings",
        "turns",
    ),
    ("kernels", "naming"),
    ("program", "registry", "tensor"),
    ("constraints", "initializers", "io", "regularizers", "schedules"),
    ("callbacks", "layers", "losses", "optimizers"),
    ("data", "doubts", "feeds", "graph", "metrics"),
    ("compiler", "drawing"),
    ("backends", "summary"),
    ("engine",),
    ("checkpoint", "saving", "training"),
    ("objectives",),
    ("model",),
    ("table",),
    ("loading",),
    ("_minimize", "custom", "datasets", "insight"),
    ("sklearn",),
    ("", "__main__", "_selfcheck", "_show_versions", "_threadpoolctl", "cli"),
)


def modules():
    """Yield (name in fastbp, path) of all modules in Python and Cython; without sources, of what was compiled."""
    for folder, prefix in ((PACKAGE, ""), (KERNELS, "kernels")):
        for path, folders, files in os.walk(folder):
            folders[:] = [f for f in folders if f not in ("__pycache__", "kernels")]
            for file in sorted(files):
                # a source comes behind what was compiled of it, and takes its place
                if file.endswith((".py", ".pyx", ".so", ".pyd")):
                    stem = os.path.join(path, file.partition(".")[0])
                    parts = [prefix, *os.path.relpath(stem, folder).split(os.sep)]
                    yield ".".join(p for p in parts if p not in ("", "__init__")), os.path.join(path, file)


MODULES = dict(modules())


class Imports(ast.NodeVisitor):
    """Collects what a module imports: at its top, in functions and for type checkers.

    Attributes
    ----------
    top, later, types : set of str
        Full names; those of fastbp begin with "fastbp.".
    """

    def __init__(self, name, path):
        self.name = name
        self.package = name if os.path.basename(path) == "__init__.py" else name.rpartition(".")[0]
        self.top, self.later, self.types = set(), set(), set()
        self.into = self.top
        if path.endswith((".so", ".pyd")):
            return
        with open(path, encoding="utf-8") as file:
            source = file.read()
        if path.endswith(".pyx"):
            # Cython is no Python: of it only the lines that import are read
            lines = [line.replace("cimport", "import") for line in source.splitlines()]
            source = "\n".join(line for line in lines if re.match(r"(from|import) (?!cpython|libc|cython)", line))
        self.visit(ast.parse(source))

    def visit_under(self, node, into):
        before, self.into = self.into, into if self.into is self.top else self.into
        self.generic_visit(node)
        self.into = before

    def visit_If(self, node):
        guard = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        self.visit_under(node, self.types if guard else self.into)

    def visit_FunctionDef(self, node):
        self.visit_under(node, self.later)

    def visit_Lambda(self, node):
        self.visit_under(node, self.later)

    def visit_Import(self, node):
        self.into.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node):
        if not node.level:
            self.into.add(node.module)
            return
        base = self.absolute("." * node.level + (node.module or ""))
        for alias in node.names:
            inner = f"{base}.{alias.name}".removeprefix("fastbp.")
            self.into.add(f"fastbp.{inner}" if inner in MODULES else base)

    def visit_Call(self, node):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called == "import_module" and isinstance(node.args[0], ast.Constant):
            self.into.add(self.absolute(node.args[0].value))
        self.generic_visit(node)

    def absolute(self, name):
        inner = name.lstrip(".")
        level = len(name) - len(inner)
        if not level:
            return name
        parts = ["fastbp", *(p for p in self.package.split(".") if p)]
        return ".".join([*parts[: len(parts) - level + 1], *([inner] if inner else [])])

    def own(self, *kinds):
        """Return the modules of fastbp that are imported, by default in any way."""
        found = set().union(*(getattr(self, kind) for kind in kinds or ("top", "later", "types")))
        return {n.removeprefix("fastbp").lstrip(".") for n in found if n.partition(".")[0] == "fastbp"}

    def run(self):
        """Return what `own` does, and the packages that are run before: those which the importing module is not in."""
        found = self.own()
        parents = {".".join(n.split(".")[:k]) for n in found for k in range(1, n.count(".") + 1)}
        return (found | {p for p in parents if not f"{self.name}.".startswith(f"{p}.")}) - {self.name}

    def foreign(self):
        return {n.partition(".")[0] for n in self.top | self.later} - {"fastbp"}


IMPORTS = {name: Imports(name, path) for name, path in MODULES.items()}


def circles(graph):
    """Return the strongly connected components of more than one node (Tarjan 1972), each sorted."""
    number, low, stack, found = {}, {}, [], []

    def visit(node):
        number[node] = low[node] = len(number)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in number:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], number[other])
        if low[node] == number[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(graph):
        if node not in number:
            visit(node)
    return found


def floor(name):
    """Return the number of a module's floor: that of the longest name in `FLOORS` which it is, or is in."""
    places = {place: k for k, places in enumerate(FLOORS) for place in places}
    package = name
    while package not in places:
        assert "." in package, f"{name} has no floor; give it one in FLOORS"
        package = package.rpartition(".")[0]
    return places[package]


def backend_module(name):
    return name.startswith(("kernels.numpy_ref", "kernels.numba_jit", "kernels.cython_ext"))


def test_the_walk_finds_the_modules():
    names = {"", "program", "model", "runner", "layers.core", "kernels", "kernels.table", "kernels.table.loss"}
    assert names <= set(MODULES)
    assert IMPORTS["model"].own("top") >= {"compiler", "engine"} and "numpy" in IMPORTS["model"].foreign()
    assert "runner" in IMPORTS["backends"].own("later") and "program" in IMPORTS["regularizers"].own("types")
    assert "kernels" in IMPORTS["kernels.numba_jit.extension"].own()


def test_the_search_finds_circles():
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": {"d"}, "f": {"a", "e"}}
    assert sorted(circles(graph)) == [["a", "b", "c"], ["d", "e"]]


def test_no_circle():
    """No modules import each other, at the top, in a function or for type checkers."""
    graph = {name: found.run() & set(MODULES) for name, found in IMPORTS.items()}
    assert circles(graph) == []


@pytest.mark.parametrize("name", MODULES)
def test_imports_run_down(name):
    up = {other for other in IMPORTS[name].own() if floor(other) > floor(name)}
    assert not up, f"{name} imports from a floor above"


class Names(ast.NodeVisitor):
    """Collects the private names that a module defines, and those that it takes from another object or module."""

    def __init__(self, name, path):
        self.name, self.own, self.taken = name, set(), {}
        with open(path, encoding="utf-8") as file:
            self.visit(ast.parse(file.read()))

    def take(self, name, node):
        if name.startswith("_") and not name.endswith("__"):
            self.taken.setdefault(name, node.lineno)

    def visit_define(self, node):
        self.own.add(node.name)
        self.generic_visit(node)

    visit_FunctionDef = visit_ClassDef = visit_define

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Store):
            self.own.add(node.id)

    def visit_Attribute(self, node):
        if isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            self.own.add(node.attr)
        self.take(node.attr, node)
        self.generic_visit(node)

    def visit_quoted(self, node, place):
        if len(place) > 1 and isinstance(place[1], ast.Constant) and isinstance(place[1].value, str):
            self.take(place[1].value, node)
        self.generic_visit(node)

    def visit_Call(self, node):
        self.visit_quoted(node, node.args if getattr(node.func, "id", "").endswith("attr") else [])

    def visit_Tuple(self, node):
        # as `put_attributes` takes them: object, name, value
        self.visit_quoted(node, node.elts if len(node.elts) == 3 and isinstance(node.elts[0], ast.Name) else [])

    def visit_ImportFrom(self, node):
        base = IMPORTS[self.name].absolute("." * node.level + (node.module or ""))
        for alias in node.names:
            # a module may be private to the package
            if f"{base}.{alias.name}".removeprefix("fastbp.") not in MODULES:
                self.take(alias.name, node)


#: Public names of other libraries that begin like private ones, and a private one of Numba's that has no other door.
FOREIGN = {"_getframe", "_reload_init", "_replace", "_value_"}


@pytest.mark.parametrize("name", [n for n in MODULES if MODULES[n].endswith(".py")])
def test_no_private_name_crosses_a_file(name):
    names = Names(name, MODULES[name])
    crossing = {n: line for n, line in names.taken.items() if n not in names.own | FOREIGN}
    assert not crossing, f"{name} uses private names of others, here by line: {crossing}"


@pytest.mark.parametrize("name", [n for n in MODULES if backend_module(n)])
def test_kernel_modules_are_leaves(name):
    backend, module = ".".join(name.split(".")[:2]), name.split(".")[-1]
    # families stand on each other and their backend's helpers; those that load them may read the table
    allowed = {f"{backend}.{module}" for module in (*FAMILIES, "common", "words")}
    allowed |= {"kernels.primitives", "kernels.pool"}
    if module not in FAMILIES:
        allowed |= {m for m in MODULES if m.startswith("kernels")}
    assert IMPORTS[name].own() <= allowed
    libraries = {"numpy"} | ({"numba", "llvmlite"} if backend == "kernels.numba_jit" else set())
    assert IMPORTS[name].foreign() <= libraries | sys.stdlib_module_names


def test_a_module_for_each_family():
    assert {f"kernels.table.{family}" for family in FAMILIES} <= set(MODULES)
    by_hand = {f"kernels.numba_jit.{kernel.row.family}" for kernel in KERNELS_OF_THE_TABLE.values() if kernel.by_hand}
    assert by_hand <= set(MODULES)
    assert not {f"kernels.numba_jit.{family}" for family in FAMILIES} & set(MODULES) - by_hand


def test_the_table_needs_the_standard_library_only():
    names = [name for name in MODULES if name.startswith("kernels.table")]
    names += [name for name in MODULES if name.startswith("kernels.codegen")]
    names += [f"kernels.{name}" for name in ("chain", "operations", "dtypes")]
    for name in names:
        assert IMPORTS[name].own("top", "later") <= set(names)
        assert IMPORTS[name].foreign() <= sys.stdlib_module_names
    code = f"import sys; sys.path.insert(0, {KERNELS!r}); import table; print([m for m in sys.modules if 'numpy' in m])"
    assert run(code) == "[]"


def test_only_known_libraries():
    heavy = {"PIL", "graphviz", "llvmlite", "matplotlib", "numba", "pandas", "pyarrow", "scipy"}
    heavy |= {"threadpoolctl", "tqdm"}
    # compression is in the standard library from Python 3.14 on
    known = {"argcomplete", "numpy", "sklearn", "zstandard", "compression"} | heavy | sys.stdlib_module_names
    for name, found in IMPORTS.items():
        assert found.foreign() <= known, name
        at_top = {m.partition(".")[0] for m in found.top}
        assert name.partition(".")[0] == "sklearn" or "sklearn" not in at_top, name
        if "numba_jit" not in name:
            assert not at_top & heavy, name


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


#: What `import fastbp` takes along of fastbp, besides kernels: a module costs every script 0.1 ms or more.
WITH_THE_PACKAGE = {
    "_threadpoolctl", "_version", "attributes", "backends", "checks", "compiler", "data", "doubts", "engine", "feeds",
    "frames", "graph", "initializers", "layers", "layers.base", "layers.core", "losses", "model", "naming",
    "objectives", "optimizers", "program", "program.build", "program.ir", "program.passes", "program.plan",
    "program.verify", "progress", "registry", "results", "tensor", "training", "turns",
}  # fmt: skip
#: What the first step of a net of dense layers does besides.
WITH_THE_FIRST_STEP = {"runner"}


def own(loaded):
    """Return the modules of fastbp among some names, but those of kernels."""
    names = {name.removeprefix("fastbp.") for name in loaded.split() if name.startswith("fastbp.")}
    return {name for name in names if name.partition(".")[0] != "kernels"}


@needs_modules
def test_the_first_step_takes_along_what_it_needs():
    show = "print(' '.join(sys.modules))"
    step = (
        f"import sys, numpy as np, fastbp; {show}\n"
        "model = fastbp.Sequential([fastbp.Dense(2, activation='relu'), fastbp.Dense(3)], seed=0)\n"
        "model.compile(optimizer='adam', loss='sparse_categorical_crossentropy')\n"
        f"model.train_on_batch(np.ones((4, 3), np.float32), np.zeros(4, int)); model.predict(np.ones((4, 3))); {show}"
    )
    package, all_of_it = map(own, run(step).splitlines())
    assert package == WITH_THE_PACKAGE
    assert all_of_it == WITH_THE_PACKAGE | WITH_THE_FIRST_STEP


def test_import_takes_along_little():
    loaded = run("import sys; import fastbp; print(' '.join(sys.modules))").split()
    assert "fastbp.model" in loaded
    heavy = ("numba", "llvmlite", "matplotlib", "tqdm", "argparse", "pickle", "unittest", "asyncio", "multiprocessing")
    numpy_alone = run("import sys; import numpy; print(' '.join(sys.modules))").split()
    roots = {m.partition(".")[0] for m in loaded} - {m.partition(".")[0] for m in numpy_alone}
    assert not roots & set(heavy)
    assert "sklearn" not in roots


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
