"""Pointwise kernels are written once: the NumPy expression in their row is the definition, and from it
follow the function of the reference and the sources that Cython and Numba compile.

An expression becomes a graph of operations, each of which IEEE 754 defines exactly, except the calls of a
primitive (exp, log ...). Scalars are computed in double and rounded where they meet an array, as NumPy does;
nothing is reordered, so the compiled kernels return the expression's bits. A call of a primitive works on a
block that stays in L1. The module needs the standard library only: setup.py runs it.

The vocabulary of an expression: operands, attributes, numbers, ``+ - * /``, comparisons, ``&``, ``|``,
``np.where``, ``np.abs``, ``np.sqrt``, ``np.maximum`` and ``np.minimum`` of an array and a scalar, ``clip``,
`BLOCK_FUNCTIONS`, ``below_one(x, eps)``, ``x.dtype.type(scalar)``, ``x.size``, ``len(x)``,
``a if attribute else b``, and as the last statement ``loss = elements.sum() / scalar``.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .table import Kernel

__all__ = ["BLOCK_FUNCTIONS", "Graph", "cython_source", "definition", "is_pointwise", "numba_source"]

#: Functions of a block. The first five are NumPy's (``np.exp``), the others go by their own name.
BLOCK_FUNCTIONS = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "softplus", "erf")
_BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARE = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
_LOGIC = {ast.BitAnd: "and", ast.BitOr: "or"}


def is_pointwise(kernel: Kernel) -> bool:
    """Whether this module makes the kernel: over real arrays of one shape, which yields arrays and perhaps a loss."""
    arrays = [o for o in kernel.operands if any(isinstance(d, str) for d in o.dims)]
    shapes = {o.dims for o in arrays}
    return (
        shapes in ({("n",)}, {("batch", "n")})
        and all(o.dtype == "real" for o in arrays)
        and all("n" in o.dims or o.dtype == "f8" for o in kernel.inputs)
        and all("n" in o.dims or o.name == "loss" for o in kernel.outputs)
        and "axis=" not in kernel.expression
        and len(kernel.dims) == len(*shapes)
    )


def definition(kernel: Kernel, namespace: dict[str, Any]) -> Callable[..., Any]:
    """Return the kernel of the reference: its expression as a function of inputs and attributes.

    Parameters
    ----------
    kernel : Kernel
    namespace : dict
        What the expression may name besides: ``np`` and the functions that NumPy lacks.
    """
    parameters = [o.name for o in kernel.inputs] + [f"{k}={v!r}" for k, v in kernel.attributes.items()]
    lines = [f"def {kernel.name}({', '.join(parameters)}):", *kernel.expression.split("; ")]
    lines.append("return " + ", ".join(o.name for o in kernel.outputs))
    exec(compile("\n    ".join(lines), f"<the table, {kernel.name}>", "exec"), namespace)
    return namespace[kernel.name]


class Node(NamedTuple):
    """One operation of a graph: `args` are the numbers of other nodes; scalars are nodes of their own."""

    op: str
    args: tuple[int, ...]
    text: str = ""  # of an input its name, of a scalar its expression in double


class Graph:
    """The operations of one kernel.

    Parameters
    ----------
    kernel : Kernel
    choices : dict of str to bool
        Which branch an ``a if attribute else b`` of arrays takes.

    Attributes
    ----------
    nodes : list of Node
        Operands before their operations; equal ones are one.
    outputs : dict of str to int
        The node of each array.
    total : tuple of (str, str) or None
        The array whose sum is the loss, and by what it is divided.

    Raises
    ------
    ValueError
        If the expression has a word that is not in the vocabulary.
    KeyError
        The test of an ``if`` that `choices` lacks.
    """

    def __init__(self, kernel: Kernel, choices: dict[str, bool]) -> None:
        self.kernel, self.choices = kernel, choices
        self.nodes: list[Node] = []
        self.total: tuple[str, str] | None = None
        self._known: dict[Node, int] = {}
        self._arrays = [o.name for o in kernel.inputs if "n" in o.dims]
        self._lists = {o.name for o in kernel.inputs if o.dtype == "f8"}
        # what a name stands for now: the number of a node, or the text of a scalar
        self._names: dict[str, int | str] = {name: self._node("input", text=name) for name in self._arrays}
        self._names |= {name: f"attributes[{k}]" for k, name in enumerate(kernel.attributes)}
        for statement in ast.parse(kernel.expression).body:
            self._assign(statement)
        arrays = [o.name for o in kernel.outputs if o.name != "loss"]
        self.outputs = {name: self._number(self._names[name]) for name in arrays}

    def _node(self, op: str, *args: int, text: str = "") -> int:
        node = Node(op, args, text)
        if node not in self._known:
            self._known[node] = len(self.nodes)
            self.nodes.append(node)
        return self._known[node]

    def _number(self, value: int | str) -> int:
        return value if isinstance(value, int) else self._node("scalar", text=value)

    def _assign(self, statement: ast.stmt) -> None:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            raise self._unknown(statement)
        name = statement.targets[0].id
        if name == "loss":
            self.total = self._total(statement.value)
        else:
            self._names[name] = self._value(statement.value)

    def _unknown(self, tree: ast.AST) -> ValueError:
        return ValueError(f"{self.kernel.name}: {ast.unparse(tree)!r} is not in the vocabulary of pointwise kernels")

    def _total(self, tree: ast.expr) -> tuple[str, str]:
        if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Div):
            summed, divisor = ast.unparse(tree.left), self._value(tree.right)
            if summed.endswith(".sum()") and isinstance(divisor, str):
                return summed.removesuffix(".sum()"), divisor
        raise self._unknown(tree)

    def _value(self, tree: ast.expr) -> int | str:
        """Return the node of an array, or the text of a scalar."""
        if isinstance(tree, ast.Constant) and isinstance(tree.value, (int, float)):
            return repr(float(tree.value))
        if isinstance(tree, ast.Name) and tree.id in self._names:
            return self._names[tree.id]
        if isinstance(tree, ast.Subscript) and isinstance(tree.value, ast.Name) and tree.value.id in self._lists:
            return f"{tree.value.id}[{ast.unparse(tree.slice)}]"
        if isinstance(tree, ast.Attribute) and tree.attr == "size":
            return "length"
        if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
            value = self._value(tree.operand)
            return f"(-{value})" if isinstance(value, str) else self._node("-", value)
        if isinstance(tree, ast.IfExp):
            return self._choice(tree)
        if isinstance(tree, ast.Call):
            return self._call(tree)
        if isinstance(tree, ast.BinOp) and type(tree.op) in (_BINARY | _LOGIC):
            return self._binary((_BINARY | _LOGIC)[type(tree.op)], self._value(tree.left), self._value(tree.right))
        if isinstance(tree, ast.Compare) and type(tree.ops[0]) in _COMPARE and len(tree.ops) == 1:
            return self._binary(_COMPARE[type(tree.ops[0])], self._value(tree.left), self._value(tree.comparators[0]))
        raise self._unknown(tree)

    def _binary(self, op: str, a: int | str, b: int | str) -> int | str:
        if isinstance(a, str) and isinstance(b, str):
            return f"({a} {op} {b})"
        return self._node(op, self._number(a), self._number(b))

    def _choice(self, tree: ast.IfExp) -> int | str:
        test = self._value(tree.test)
        if not isinstance(test, str):
            raise self._unknown(tree)
        a, b = self._value(tree.body), self._value(tree.orelse)
        if isinstance(a, str) and isinstance(b, str):
            return f"({a} if {test} != 0 else {b})"
        return a if self.choices[test] else b

    def _call(self, tree: ast.Call) -> int | str:
        name = ast.unparse(tree.func)
        if name == "len":
            return "rows"
        values = [self._value(a) for a in tree.args] if not name.startswith("below") else []
        short = name.removeprefix("np.")
        if name == "below_one":
            return f"below_one({self._value(tree.args[1])})"
        if name.endswith(".dtype.type") and isinstance(values[0], str):
            return values[0]
        if name == "np.sqrt" and isinstance(values[0], str):
            return f"sqrt({values[0]})"
        if short in BLOCK_FUNCTIONS and (name != short) == (short in BLOCK_FUNCTIONS[:5]):
            return self._node(short, self._number(values[0]))
        if name in ("np.abs", "np.sqrt"):
            return self._node(short, self._number(values[0]))
        if name in ("np.maximum", "np.minimum") and isinstance(values[0], int) and isinstance(values[1], str):
            return self._node(short, values[0], self._number(values[1]))
        if name in ("np.where", "clip") and isinstance(values[0], int):
            return self._node(short, *map(self._number, values))
        raise self._unknown(tree)


def _graphs(kernel: Kernel, choices: dict[str, bool] | None = None) -> Iterable[tuple[dict[str, bool], Graph]]:
    """Yield a graph for each combination of choices between arrays that the expression has."""
    choices = choices or {}
    try:
        yield choices, Graph(kernel, choices)
    except KeyError as test:
        for branch in (True, False):
            yield from _graphs(kernel, {**choices, test.args[0]: branch})


class _Writer:
    """Writes one kernel as source. `cython` chooses the language; what they share is most of it."""

    def __init__(self, kernel: Kernel, cython: bool) -> None:
        self.kernel, self.cython = kernel, cython
        self.lines: list[str] = []
        self.like = next(o.name for o in kernel.operands if "n" in o.dims)

    def add(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def source(self) -> str:
        written = {o.name for o in self.kernel.outputs}
        if self.cython:
            self.add(0, f"cdef api int {self.kernel.name}(")
            self.add(1, "real **buffers, const intptr_t *sizes, const double *attributes, ")
            self.lines[-1] += "const fastbp_primitive *primitives"
            self.add(0, ") noexcept nogil:")
        else:
            self.add(0, f"def {self.kernel.name}(buffers, sizes, attributes, primitives):")
        for k, o in enumerate(self.kernel.operands):
            pointer = "double" if o.dtype == "f8" else "real"
            if self.cython:
                constant = "" if o.name in written else "const "
                cast = "" if pointer == "real" else f"<{constant}double *>"
                self.add(1, f"cdef {constant}{pointer} *{o.name} = {cast}buffers[{k}]")
            else:
                self.add(1, f"{o.name} = " + (f"doubles(buffers[{k}])" if pointer == "double" else f"buffers[{k}]"))
        body = len(self.lines)
        self.locals: set[str] = set()
        self.blocks: set[str] = set()
        graphs = list(_graphs(self.kernel))
        for choices, graph in graphs:
            depth = 1
            if choices:
                tests = [f"{test} {'!=' if branch else '=='} 0" for test, branch in choices.items()]
                self.add(1, f"if {' and '.join(tests)}:")
                depth = 2
            self.loops(graph, depth)
        total = graphs[0][1].total
        if total:
            name, divisor = total
            self.add(1, f"loss[0] = total(primitives, {name}, n) / {self.rounded(divisor)}")
        self.add(1, "return FASTBP_OK" if self.cython else "return OK")
        counters = "i, start, stop" if any("start" in line for line in self.lines[body:]) else "i"
        count = " * ".join(f"sizes[{k}]" for k in range(len(self.kernel.dims)))
        declared = [f"cdef intptr_t {counters}, n = {count}" if self.cython else f"n = {count}"]
        if any("rows" in line for line in self.lines[body:]):
            declared.append("cdef double rows = <double>sizes[0]" if self.cython else "rows = float(sizes[0])")
        if any("length" in line for line in self.lines[body:]):
            declared.append("cdef double length = <double>n" if self.cython else "length = float(n)")
        if self.cython:
            declared += [f"cdef real {', '.join(sorted(self.locals))}"] * bool(self.locals)
            declared += [f"cdef real {name}[BLOCK]" for name in sorted(self.blocks)]
        else:
            declared += [f"{name} = stack({self.like}, BLOCK)" for name in sorted(self.blocks)]
        self.lines[body:body] = ["    " + line for line in declared]
        return "\n".join(self.lines) + "\n"

    def rounded(self, scalar: str) -> str:
        return f"<real>({scalar})" if self.cython else f"real({self.like}, {scalar})"

    def loops(self, graph: Graph, depth: int) -> None:
        nodes = graph.nodes
        calls = [k for k, node in enumerate(nodes) if node.op in BLOCK_FUNCTIONS]
        for k, node in enumerate(nodes):
            if node.op == "scalar":
                value = node.text if self.cython else node.text.replace("below_one(", f"below_one({self.like}, ")
                self.add(depth, f"s{k} = {self.rounded(value)}")
                self.locals.add(f"s{k}")
        if not graph.outputs:
            return
        if not calls:
            self.loop(graph, depth, "0", "n", [(f"{name}[i]", k) for name, k in graph.outputs.items()])
            return
        if self.cython:
            self.add(depth, "start = 0")
        self.add(depth, "while start < n:" if self.cython else "for start in range(0, n, BLOCK):")
        self.add(depth + 1, "stop = min(start + BLOCK, n)")
        only = list(graph.outputs.items())
        for call in calls:
            (argument,) = nodes[call].args
            if nodes[argument].op == "input":
                source = self.at(nodes[argument].text)
            else:
                source = f"b{argument}"
                self.blocks.add(source)
                if nodes[argument].op not in BLOCK_FUNCTIONS:
                    self.loop(graph, depth + 1, "start", "stop", [(f"{source}[i - start]", argument)])
            if only[0][1] == call and len(only) == 1:
                target = self.at(only[0][0])  # the last operation: nothing is read after it
            else:
                target = f"b{call}"
                self.blocks.add(target)
            self.add(depth + 1, self.block_call(nodes[call].op, source, target))
        stores = [(f"{name}[i]", k) for name, k in only if not (len(only) == 1 and k == calls[-1])]
        if stores:
            self.loop(graph, depth + 1, "start", "stop", stores)
        if self.cython:
            self.add(depth + 1, "start += BLOCK")

    def at(self, name: str) -> str:
        return f"{name} + start" if self.cython else f"offset({name}, start)"

    def block_call(self, op: str, source: str, target: str) -> str:
        if op in BLOCK_FUNCTIONS[:5] or op == "erf":
            prefix = "FASTBP_" if self.cython else ""
            return f"unary(primitives, {prefix}{op.upper()}, {source}, {target}, stop - start)"
        return f"{op}(primitives, {source}, {target}, stop - start)"

    def loop(self, graph: Graph, depth: int, start: str, stop: str, stores: list[tuple[str, int]]) -> None:
        """Write one loop that stores some nodes; what is not in a block is computed (again)."""
        self.add(depth, f"each(&i, {start}, {stop})" if self.cython else f"for i in range({start}, {stop}):")
        inside = depth if self.cython else depth + 1
        done: dict[int, str] = {}
        names = [self.element(graph, k, inside, done) for _, k in stores]
        # all values before the first store: an output may share its buffer with an input
        for (place, _), name in zip(stores, names, strict=True):
            self.add(inside, f"{place} = {name}")
        if self.cython:
            self.add(depth, "end()")

    def element(self, graph: Graph, k: int, depth: int, done: dict[int, str]) -> str:
        if k in done:
            return done[k]
        node = graph.nodes[k]
        if node.op == "scalar":
            return f"s{k}"
        name = f"e{k}"
        if node.op == "input":
            text = f"{node.text}[i]"
        elif node.op in BLOCK_FUNCTIONS:
            text = f"b{k}[i - start]"
        else:
            text = self.operation(node, [self.element(graph, a, depth, done) for a in node.args])
        done[k] = name
        if node.op in _COMPARE.values() or node.op in _LOGIC.values():
            done[k] = f"({text})"  # a condition is written where it is used
            return done[k]
        self.add(depth, f"{name} = {text}")
        self.locals.add(name)
        return name

    def operation(self, node: Node, args: list[str]) -> str:
        if node.op == "abs":
            return f"<real>fabs({args[0]})" if self.cython else f"abs({args[0]})"
        if node.op == "sqrt":
            return f"square_root({args[0]})" if self.cython else f"sqrt({args[0]})"
        if node.op == "maximum":  # NaN stays, and of equals the second: numpy.maximum
            return f"{args[1]} if {args[0]} <= {args[1]} else {args[0]}"
        if node.op == "minimum":
            return f"{args[1]} if {args[0]} >= {args[1]} else {args[0]}"
        if node.op == "clip":
            return f"clip({', '.join(args)})"
        if node.op == "where":
            return f"{args[1]} if {args[0]} else {args[2]}"
        return f"{args[0]} {node.op} {args[1]}" if len(args) == 2 else f"-{args[0]}"


def cython_source(kernels: Iterable[Kernel]) -> str:
    """Return the Cython source of all pointwise kernels, to be included in one module for each dtype and level."""
    return "\n\n".join(_Writer(kernel, True).source() for kernel in kernels if is_pointwise(kernel))


_NUMBA_HEAD = '''"""Made by setup.py from kernels/table.py; see kernels/pointwise.py."""

from math import sqrt

from .common import (
    BLOCK, ERF, EXP, EXPM1, LOG, LOG1P, OK, TANH, below_one, clip, doubles, offset, real, sigmoid, softplus, stack,
    total, unary,
)
'''


def numba_source(kernels: Iterable[Kernel]) -> str:
    """Return the source of a module with all pointwise kernels as functions that Numba compiles."""
    sources = [_Writer(kernel, False).source() for kernel in kernels if is_pointwise(kernel)]
    return "\n\n".join([_NUMBA_HEAD, *sources])
