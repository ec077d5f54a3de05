"""A kernel's definition as a graph of operations.

Each of them IEEE 754 defines exactly, except the calls of a primitive (exp, log, a sum ...). Scalars are computed in
double and rounded where they meet an array, as NumPy does; nothing is reordered, so the compiled kernels return the
definition's bits.

The vocabulary of a definition: operands, attributes, numbers, numbers of its module, ``+ - * /``, comparisons, ``&``,
``|``, ``np.where``, ``np.abs``, ``np.sqrt``, ``np.maximum`` and ``np.minimum`` of an array and a scalar, ``clip``,
`BLOCK_FUNCTIONS`, ``below_one(x, eps)``, ``polynomial(x, coefficients)`` with a tuple of its module, of rows that are
added at run time ``np.power`` with a number as exponent (but -1, 0.5, 1 and 2, for which NumPy has other loops),
``x.dtype.type(scalar)``, ``x.size``, ``x.shape[0]``, ``len(x)``, ``a if attribute else b``, and of a loss
``elements.sum() / scalar``. Of a matrix ``x.sum(axis=0)``, ``x.sum(axis=1)``, ``mean`` likewise and ``x.max(axis=1)``,
each perhaps with ``keepdims=True``; ``s[:, None]`` and ``s[:, 0]`` of what they return. Of an operand ``[batch,2,n]``
its parts ``x[:, 0]`` and ``x[:, 1]``, which ``np.stack([a, b], axis=1)`` puts together. Of an operand of doubles its
items ``power[0]``, which ``np.array([a, b])`` puts together. What `&`, `|` and ``np.where`` ask is a comparison, which
nothing else takes, for NumPy computes with it by other rules.
"""

from __future__ import annotations

import ast
import sys
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ..operations import ELEMENTARY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..table import Kernel, Operand

    Dims = tuple[str | int, ...]

__all__ = [
    "BARRIERS",
    "BLOCK_FUNCTIONS",
    "CONDITIONS",
    "Graph",
    "Node",
    "Scalar",
    "Total",
    "axes_of",
    "graphs",
    "kind_of",
    "number",
]

#: Functions of a block, by how an expression calls them.
BLOCK_FUNCTIONS = {f.call: f.name for f in ELEMENTARY if f.operands == 1}
#: What is done to an array in memory, and not to one element after the other.
BARRIERS = {*BLOCK_FUNCTIONS.values(), "pow", "row_sum", "row_max", "column_sum"}
_BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARE = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
_LOGIC = {ast.BitAnd: "and", ast.BitOr: "or"}
#: How many arguments functions have that do not have one.
_ARITY = {"maximum": 2, "minimum": 2, "clip": 3, "power": 2}
CONDITIONS = {*_COMPARE.values(), *_LOGIC.values()}
#: What no statement may give another meaning.
_WORDS = {"np", "len", "clip", "below_one", "polynomial", *BLOCK_FUNCTIONS}


class Scalar(NamedTuple):
    """A number that is computed in double: `op` is an operator between `args`, or one of

    "number", "attribute" (its place among them), "item" (``lr[0]``), "length" (of all arrays), "rows" (of a batch),
    "columns", "sqrt", "below_one" and "choice" (a test, what it is unless that is 0, what it is then).
    """

    op: str
    args: tuple[Scalar, ...] = ()
    text: str = ""


def number(value: float) -> Scalar:
    """Return a number as a `Scalar`."""
    return Scalar("number", text=repr(float(value)))


class Node(NamedTuple):
    """One operation of a graph: `args` are the numbers of other nodes; an "input" has a name, a "scalar" its value,
    a "pow" its exponent.

    `kind` is what it has a number for: "full", each element; "row"; "column"; "one", all. `part` is which of several
    rows a sample has in the operand `name`.
    """

    op: str
    args: tuple[int, ...] = ()
    name: str = ""
    scalar: Scalar | None = None
    kind: str = "one"
    part: int | None = None


class Total(NamedTuple):
    """The sum of an array over a scalar, which is a loss: names of operands, but for the divisor."""

    result: str
    array: str
    divisor: Scalar


class _Array(NamedTuple):
    """A value of a definition: the number of a node, and the dimensions that NumPy would see."""

    node: int
    dims: Dims


class _Sum(NamedTuple):
    array: _Array
    divisor: Scalar


class _Tuple(NamedTuple):
    """Parts of an array side by side, or the items of a list of doubles."""

    items: tuple[_Array | Scalar, ...]


def axes_of(kernel: Kernel) -> tuple[str, ...]:
    """Return the dimensions of a kernel's largest operands: of one array, or of rows and columns."""
    return max((tuple(d for d in o.dims if isinstance(d, str)) for o in kernel.operands), key=len, default=())


def kind_of(dims: Iterable[str | int], axes: tuple[str, ...]) -> str:
    """Return the kind of an array: see `Node`."""
    has = [axis in tuple(dims) for axis in axes]
    if all(has):
        return "full" if axes else "one"
    return "row" if has[0] else "column" if has[-1] else "one"


class Graph:
    """The operations of one kernel.

    Parameters
    ----------
    kernel : Kernel
    choices : dict of Scalar to bool
        Which branch an ``a if attribute else b`` of arrays takes.

    Attributes
    ----------
    nodes : list of Node
        Operands before their operations; equal ones are one.
    outputs : dict of str to int
        The node of each array that is one.
    parts : dict of str to tuple of int
        The nodes of each array that is several side by side.
    lists : dict of str to tuple of Scalar
        The items of each list of doubles.
    total : Total or None

    Raises
    ------
    ValueError
        If the definition has a word that is not in the vocabulary.
    KeyError
        The test of an ``if`` that `choices` lacks.
    """

    def __init__(self, kernel: Kernel, choices: dict[Scalar, bool]) -> None:
        self.kernel, self.choices = kernel, choices
        self.axes = axes_of(kernel)
        self.nodes: list[Node] = []
        self.outputs: dict[str, int] = {}
        self.parts: dict[str, tuple[int, ...]] = {}
        self.lists: dict[str, tuple[Scalar, ...]] = {}
        self.total: Total | None = None
        self._known: dict[Node, int] = {}
        # what a name stands for now
        self._names: dict[str, _Array | Scalar | _Sum | _Tuple] = {o.name: self._input(o) for o in kernel.inputs}
        self._names |= {name: Scalar("attribute", text=str(k)) for k, name in enumerate(kernel.attributes)}
        (tree,) = ast.parse(kernel.source).body
        assert isinstance(tree, ast.FunctionDef)
        *statements, last = tree.body
        for statement in statements:
            match statement:
                case ast.Assign([ast.Name(name)], value) if name not in _WORDS:
                    self._names[name] = self._result(value)
                case _:
                    raise self._unknown(statement)
        if not isinstance(last, ast.Return) or last.value is None or not kernel.outputs:
            raise self._unknown(last)
        self._return(last.value.elts if isinstance(last.value, ast.Tuple) else [last.value])

    @cached_property
    def calls(self) -> list[int]:
        """The nodes that are done to arrays in memory."""
        return [k for k, node in enumerate(self.nodes) if node.op in BARRIERS]

    def _input(self, operand: Operand) -> _Array | _Tuple:
        if operand.dtype in ("i8", "u1"):
            raise ValueError(f"{self.kernel.name}: {operand!r} holds integers, which are not in the vocabulary")
        if operand.dtype == "f8":
            (length,) = operand.dims
            return _Tuple(tuple(Scalar("item", text=f"{operand.name}[{k}]") for k in range(int(length))))
        kind = kind_of(operand.dims, self.axes)
        match operand.dims:
            case (rows, int(count), columns) if (rows, columns) == self.axes:
                nodes = [self._node(Node("input", name=operand.name, kind=kind, part=k)) for k in range(count)]
                return _Tuple(tuple(_Array(k, self.axes) for k in nodes))
        if any(d != 1 for d in operand.dims if isinstance(d, int)):
            raise ValueError(f"{self.kernel.name}: {operand!r} has a length that is neither a name nor 1")
        return _Array(self._node(Node("input", name=operand.name, kind=kind)), operand.dims)

    def _node(self, node: Node) -> int:
        if node not in self._known:
            self._known[node] = len(self.nodes)
            self.nodes.append(node)
        return self._known[node]

    def _number(self, value: _Array | Scalar) -> _Array:
        return _Array(self._node(Node("scalar", scalar=value)), ()) if isinstance(value, Scalar) else value

    def _operation(self, tree: ast.AST, op: str, *values: _Array | Scalar) -> _Array:
        """Return an operation of elements, of arrays that NumPy would broadcast."""
        arrays = [self._number(value) for value in values]
        dims: Dims = ()
        for array in arrays:
            a, b = ((1,) * (max(len(dims), len(array.dims)) - len(d)) + tuple(d) for d in (dims, array.dims))
            if any(1 not in pair and pair[0] != pair[1] for pair in zip(a, b, strict=True)):
                raise ValueError(f"{self.kernel.name}: {ast.unparse(tree)!r} is of arrays of shapes {a} and {b}")
            dims = tuple(y if x == 1 else x for x, y in zip(a, b, strict=True))
        return _Array(self._node(Node(op, tuple(a.node for a in arrays), kind=kind_of(dims, self.axes))), dims)

    def _check(self, tree: ast.AST, value: _Array | Scalar | _Sum | _Tuple, condition: bool) -> None:
        """Raise ValueError unless a value is a condition, or is none."""
        op = self.nodes[value.node].op if isinstance(value, _Array) else getattr(value, "op", None)
        if (op in CONDITIONS) != condition:
            what = "no comparison; & and | and numpy.where ask one"
            what = what if condition else "a comparison; only & and | and numpy.where take one"
            raise ValueError(f"{self.kernel.name}: {ast.unparse(tree)!r} is {what}")

    def _condition(self, tree: ast.expr) -> _Array | Scalar:
        """Return what may be asked."""
        value = self._value(tree)
        self._check(tree, value, condition=True)
        return value

    def _real(self, tree: ast.expr) -> _Array | Scalar:
        """Return what may be computed with."""
        value = self._value(tree)
        self._check(tree, value, condition=False)
        return value

    def _unknown(self, tree: ast.AST) -> ValueError:
        return ValueError(f"{self.kernel.name}: {ast.unparse(tree)!r} is not in the vocabulary of generated kernels")

    def _return(self, trees: list[ast.expr]) -> None:
        results = {o.name: self._result(tree) for o, tree in zip(self.kernel.results, trees, strict=True)}
        for tree, result in zip(trees, results.values(), strict=True):
            self._check(tree, result, condition=False)
        sums = {name: value for name, value in results.items() if isinstance(value, _Sum)}
        # what is summed, and nobody else asks for, lies in an array to work in
        returned = {value.node for value in results.values() if isinstance(value, _Array)}
        work = next((value.array for value in sums.values() if value.array.node not in returned), None)
        for operand in self.kernel.outputs:
            value = results.get(operand.name, work)
            if isinstance(value, _Sum):
                if operand.dims:
                    raise ValueError(f"{self.kernel.name}: {operand!r} must be an array")
            elif isinstance(value, _Tuple):
                count = len(value.items)
                scalars = tuple(item for item in value.items if isinstance(item, Scalar))
                parts = tuple(x.node for x in value.items if isinstance(x, _Array) and x.dims == self.axes)
                if operand.dtype == "f8" and operand.dims == (count,) and len(scalars) == count:
                    self.lists[operand.name] = scalars
                elif (
                    len(parts) == count and len(self.axes) == 2 and operand.dims == (self.axes[0], count, self.axes[1])
                ):
                    self.parts[operand.name] = parts
                else:
                    raise ValueError(f"{self.kernel.name}: {operand!r} is given {count} values that do not fit")
            elif value is not None:
                array = self._number(value)
                is_, must_be = ([d for d in dims if d != 1] for dims in (array.dims, operand.dims))
                if not operand.dims or not (isinstance(value, Scalar) or is_ == must_be):
                    must = "an array" if operand.dims else "a sum over a scalar"
                    raise ValueError(f"{self.kernel.name}: {operand!r} must be {must}, and is of shape {array.dims}")
                self.outputs[operand.name] = array.node
        for name, value in sums.items():
            arrays = {k: output for output, k in self.outputs.items()}
            node = self.nodes[value.array.node]
            found = arrays.get(value.array.node) or node.name
            if found is None or node.part is not None:
                raise ValueError(f"{self.kernel.name}: {name} must be the sum of an operand")
            self.total = Total(name, found, value.divisor)

    def _result(self, tree: ast.expr) -> _Array | Scalar | _Sum | _Tuple:
        """Return the value of a statement, which may be a sum or a tuple."""
        match tree:
            case ast.Name(name) if isinstance(value := self._names.get(name), (_Sum, _Tuple)):
                return value
            case ast.BinOp(ast.Call(ast.Attribute(summed, "sum"), [], []), ast.Div(), divisor):
                array, by = self._real(summed), self._real(divisor)
                if isinstance(array, _Array) and isinstance(by, Scalar):
                    return _Sum(array, by)
            case ast.Call(ast.Attribute(ast.Name("np"), "array"), [ast.List(items)], []):
                return _Tuple(tuple(map(self._real, items)))
            case ast.Call(ast.Attribute(ast.Name("np"), "stack"), [ast.List(items)], [axis]) if (
                ast.unparse(axis) == "axis=1"
            ):
                return _Tuple(tuple(self._real(item) for item in items))
            case ast.BinOp(left, op, right) if type(op) in _BINARY:
                a, b = self._result(left), self._result(right)
                if isinstance(a, _Tuple) or isinstance(b, _Tuple):
                    return self._between(tree, a, b)
        return self._value(tree)

    def _between(self, tree: ast.BinOp, a: object, b: object) -> _Tuple:
        """Return the results of an operation between the items of tuples, or a tuple's and a number."""
        length = len(next(value.items for value in (a, b) if isinstance(value, _Tuple)))
        pairs = [value.items if isinstance(value, _Tuple) else (value,) * length for value in (a, b)]
        if len(pairs[0]) != len(pairs[1]) or not all(isinstance(x, (_Array, Scalar)) for x in pairs[0] + pairs[1]):
            raise self._unknown(tree)
        return _Tuple(tuple(self._binary(tree, _BINARY[type(tree.op)], *pair) for pair in zip(*pairs, strict=True)))

    def _value(self, tree: ast.expr) -> _Array | Scalar:
        """Return an array or a scalar."""
        if isinstance(tree, ast.Constant) and isinstance(tree.value, (int, float)) and not isinstance(tree.value, bool):
            if abs(tree.value) > sys.float_info.max:
                raise ValueError(f"{self.kernel.name}: a constant is {str(tree.value)[:40]}; it must be finite")
            return number(tree.value)
        if isinstance(tree, ast.Name):
            value = self._names[tree.id] if tree.id in self._names else self._constant(tree)
            if isinstance(value, float):
                return number(value)
            if isinstance(value, (_Array, Scalar)):
                return value
        if isinstance(tree, ast.Subscript):
            return self._subscript(tree)
        match tree:
            case ast.Attribute(ast.Name(name), "size") if self._dims(name) == self.axes:
                return Scalar("length")
        if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
            value = self._real(tree.operand)
            return Scalar("-", (value,)) if isinstance(value, Scalar) else self._operation(tree, "-", value)
        if isinstance(tree, ast.IfExp):
            return self._choice(tree)
        if isinstance(tree, ast.Call):
            return self._call(tree)
        if isinstance(tree, ast.BinOp) and type(tree.op) in _BINARY:
            return self._binary(tree, _BINARY[type(tree.op)], self._real(tree.left), self._real(tree.right))
        if isinstance(tree, ast.BinOp) and type(tree.op) in _LOGIC:
            return self._binary(tree, _LOGIC[type(tree.op)], self._condition(tree.left), self._condition(tree.right))
        if isinstance(tree, ast.Compare) and type(tree.ops[0]) in _COMPARE and len(tree.ops) == 1:
            op = _COMPARE[type(tree.ops[0])]
            return self._binary(tree, op, self._real(tree.left), self._real(tree.comparators[0]))
        raise self._unknown(tree)

    def _dims(self, name: str) -> Dims | None:
        """Return the dimensions of the array that a name stands for, or None: the name may come from a file."""
        value = self._names.get(name)
        return value.dims if isinstance(value, _Array) else None

    def _constant(self, tree: ast.expr) -> float | tuple[float, ...] | None:
        """Return a number, or a tuple of numbers, of the definition's module."""
        known = getattr(self.kernel.function, "__globals__", {})
        value = known.get(tree.id) if isinstance(tree, ast.Name) else None
        return value if isinstance(value, (float, tuple)) else None

    def _literal(self, tree: ast.expr) -> object:
        try:
            return ast.literal_eval(tree)
        except ValueError:
            raise self._unknown(tree) from None

    def _subscript(self, tree: ast.Subscript) -> _Array | Scalar:
        match tree.value, tree.slice:
            case ast.Name(name), ast.Constant(int(k)) if isinstance(value := self._names.get(name), _Tuple):
                if 0 <= k < len(value.items) and isinstance(item := value.items[k], Scalar):
                    return item
            case ast.Attribute(ast.Name(name), "shape"), index if dims := self._dims(name):
                at = self._literal(index)
                if len(self.axes) == 2 and isinstance(at, int) and -len(dims) <= at < len(dims) and dims[at] != 1:
                    return Scalar("rows" if dims[at] == self.axes[0] else "columns")
            case array, ast.Tuple([ast.Slice(None, None, None), ast.Constant(int() | None as k)]):
                if isinstance(array, ast.Name) and isinstance(value := self._names.get(array.id), _Tuple):
                    if k is not None and 0 <= k < len(value.items) and isinstance(item := value.items[k], _Array):
                        return item
                    raise self._unknown(tree)
                value = self._real(array)
                # an operand [n] alone is of any shape
                if not isinstance(value, _Array) or self.axes == ("n",):
                    raise self._unknown(tree)
                if (value.dims, k) == (self.axes[:1], None):
                    return _Array(value.node, (*value.dims, 1))
                if (value.dims, k) == ((*self.axes[:1], 1), 0):
                    return _Array(value.node, value.dims[:1])
        raise self._unknown(tree)

    def _binary(self, tree: ast.expr, op: str, a: _Array | Scalar, b: _Array | Scalar) -> _Array | Scalar:
        if isinstance(a, Scalar) and isinstance(b, Scalar):
            return Scalar(op, (a, b))
        return self._operation(tree, op, a, b)

    def _choice(self, tree: ast.IfExp) -> _Array | Scalar:
        test = self._value(tree.test)
        if not isinstance(test, Scalar):
            raise self._unknown(tree)
        a, b = self._real(tree.body), self._real(tree.orelse)
        if isinstance(a, Scalar) and isinstance(b, Scalar):
            return Scalar("choice", (test, a, b))
        return a if self.choices[test] else b

    def _call(self, tree: ast.Call) -> _Array | Scalar:
        match tree:
            case ast.Call(ast.Name("len"), [ast.Name(name)], []) if (self._dims(name) or ("",))[0] in self.axes[:1]:
                return Scalar("rows")
            case ast.Call(ast.Name("below_one"), [ast.Name(name), eps], []) if self._dims(name):
                value = self._real(eps)
                if isinstance(value, Scalar):
                    return Scalar("below_one", (value,))
            case ast.Call(ast.Name("polynomial"), [x, constant], []):
                coefficients = self._constant(constant)
                if isinstance(coefficients, tuple):
                    return self._polynomial(tree, self._real(x), coefficients)
            case ast.Call(ast.Attribute(ast.Attribute(ast.Name(name), "dtype"), "type"), [x], []) if self._dims(name):
                value = self._real(x)
                if isinstance(value, Scalar):
                    return value
            case ast.Call(ast.Attribute(ast.Name("np"), "where"), [test, a, b], []):
                return self._where(tree, self._condition(test), self._real(a), self._real(b))
            case ast.Call(ast.Attribute(x, "sum" | "mean" | "max" as method), [], [_, *_]):
                return self._reduction(tree, method, self._real(x))
            case ast.Call(function, [_, *_], []) if ast.unparse(function) != "np.where":
                return self._function(tree, ast.unparse(function), [self._real(a) for a in tree.args])
        raise self._unknown(tree)

    def _reduction(self, tree: ast.Call, method: str, x: _Array | Scalar) -> _Array | Scalar:
        """Return what becomes of the rows, or of the columns, of a matrix."""
        options = {keyword.arg: self._literal(keyword.value) for keyword in tree.keywords}
        axis, keepdims = options.pop("axis", None), options.pop("keepdims", False)
        names = [keyword.arg for keyword in tree.keywords]
        # these NumPy refuses, or Python
        if type(axis) is not int or type(keepdims) is not bool or len({*names}) != len(names):
            raise self._unknown(tree)
        if options or not isinstance(x, _Array) or x.dims != self.axes or len(x.dims) != 2 or axis not in (0, 1, -1):
            raise self._unknown(tree)
        kind, dims = ("row", x.dims[:1]) if axis else ("column", x.dims[1:])
        op = f"{kind}_{'max' if method == 'max' else 'sum'}"
        if op not in BARRIERS:
            raise self._unknown(tree)
        kept = ((*dims, 1) if axis else (1, *dims)) if keepdims else dims
        result = _Array(self._node(Node(op, (x.node,), kind=kind)), kept)
        length = Scalar("columns" if axis else "rows")
        return self._binary(tree, "/", result, length) if method == "mean" else result

    def _where(self, tree: ast.Call, test: _Array | Scalar, a: _Array | Scalar, b: _Array | Scalar) -> _Array:
        if isinstance(test, Scalar):
            raise self._unknown(tree)
        numbers = isinstance(a, Scalar) and isinstance(b, Scalar)
        if numbers and not any(isinstance(arg, ast.Call) for arg in tree.args[1:]):
            array = next(o.name for o in self.kernel.inputs if kind_of(o.dims, self.axes) == "full")
            way = f"one of them must be {array}.dtype.type(number)"
            raise ValueError(f"{self.kernel.name}: {ast.unparse(tree)!r} of two numbers would be float64; {way}")
        return self._operation(tree, "where", test, a, b)

    def _function(self, tree: ast.Call, name: str, values: list[_Array | Scalar]) -> _Array | Scalar:
        short = name.removeprefix("np.")
        if len(values) != _ARITY.get(short, 1):
            raise self._unknown(tree)
        if name == "np.sqrt" and isinstance(values[0], Scalar):
            return Scalar("sqrt", (values[0],))
        # of a number NumPy would make a float64, which makes one of each array that it meets
        if isinstance(values[0], Scalar):
            raise self._unknown(tree)
        if name in BLOCK_FUNCTIONS and self.nodes[values[0].node].kind != "one":
            return self._operation(tree, BLOCK_FUNCTIONS[name], *values)
        if name == "np.power" and isinstance(values[1], Scalar):
            k = values[0].node
            return values[0]._replace(node=self._node(Node("pow", (k,), scalar=values[1], kind=self.nodes[k].kind)))
        if name in ("np.abs", "np.sqrt"):
            return self._operation(tree, short, *values)
        if name in ("np.maximum", "np.minimum", "clip") and all(isinstance(value, Scalar) for value in values[1:]):
            return self._operation(tree, short, *values)
        raise self._unknown(tree)

    def _polynomial(self, tree: ast.Call, x: _Array | Scalar, coefficients: tuple[float, ...]) -> _Array | Scalar:
        y: _Array | Scalar = number(coefficients[-1])
        for c in coefficients[-2::-1]:
            y = self._binary(tree, "+", self._binary(tree, "*", y, x), number(c))
        return y


def graphs(kernel: Kernel, choices: dict[Scalar, bool] | None = None) -> Iterator[tuple[dict[Scalar, bool], Graph]]:
    """Yield a graph for each combination of choices between arrays that the definition has."""
    choices = choices or {}
    try:
        yield choices, Graph(kernel, choices)
    except KeyError as test:
        for branch in (True, False):
            yield from graphs(kernel, {**choices, test.args[0]: branch})
