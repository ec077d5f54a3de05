"""Pointwise kernels without a compiler: the operations of an expression as numbers that one kernel runs.

The kernel `chain` of a compiled backend works on blocks of up to 512 elements that stay in L1, one operation after
the other, each a loop; `cython_source` and `numba_source` write them from `OPERATIONS`. Its ``attributes`` are

    [length, inputs, outputs, constants, steps, counts, share, registers] + values of the constants
    + (operation, result, a, b, c) for each step + the register of each output

Behind these ``length`` numbers come the attributes of the row, for a loss ``mean``. Registers are numbered: inputs
first, then constants, then results. ``counts`` is 0; 1 where the constant number ``share`` is 1 / size (or 1
without ``mean``); 2 where moreover the loss is the first output's sum over that. ``registers`` is how many there are
behind the inputs, at least 1: where they are many, blocks are shorter, for all of them are on the stack. An output
shares its buffer with no input. The module needs the standard library only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .codegen.graph import BLOCK_FUNCTIONS, Graph, Scalar, number
from .operations import NUMBERS

if TYPE_CHECKING:
    from .table import Kernel

__all__ = ["BLOCK", "LONGEST", "OPERATIONS", "REGISTERS", "ROOM", "cython_source", "encode", "numba_source"]

REGISTERS = 48
LONGEST = 1000
#: Elements of a register, and of all: they stay in L1, and on a small stack.
BLOCK, ROOM = 512, 6144
#: What an operation makes of an element of each of its registers; their order is that of the numbers. The functions of
#: a block come behind them.
OPERATIONS = {
    "+": "a + b",
    "-": "a - b",
    "*": "a * b",
    "/": "a / b",
    "negative": "-a",
    "abs": "abs(a)",
    "sqrt": "sqrt(a)",
    "maximum": "b if a <= b else a",
    "minimum": "b if a >= b else a",
    "clip": "clip(a, b, c)",
    "where": "b if a != zero else c",
    "<": "one if a < b else zero",
    "<=": "one if a <= b else zero",
    ">": "one if a > b else zero",
    ">=": "one if a >= b else zero",
    "==": "one if a == b else zero",
    "!=": "one if a != b else zero",
}
_NUMBERS = {op: number for number, op in enumerate((*OPERATIONS, *BLOCK_FUNCTIONS.values()))}
#: What a condition is, 1 or 0, makes of these.
_OF_BITS = {"and": "*", "or": "maximum"}
#: ``y_pred.size if mean else 1``
_COUNT = Scalar("choice", (Scalar("attribute", text="0"), Scalar("length"), number(1)))
_SHARE = Scalar("/", (number(1), _COUNT))


def encode(kernel: Kernel) -> tuple[float, ...]:
    """Return the numbers for a pointwise kernel.

    Raises
    ------
    ValueError
        If the expression has too many intermediate results, or a scalar that is not a number.
    """
    try:
        graph = Graph(kernel, {})
    except KeyError as error:
        raise ValueError(f"{kernel.name}: arrays are chosen by if; it must be numpy.where") from error
    needed = set(graph.outputs.values())
    for k in range(len(graph.nodes) - 1, -1, -1):
        if k in needed:
            needed.update(graph.nodes[k].args)
    inputs = [o.name for o in kernel.operands if o.name in {i.name for i in kernel.inputs}]
    place = {k: inputs.index(node.name) for k, node in enumerate(graph.nodes) if node.op == "input"}
    constants: list[float] = []
    share = -1
    for k, node in enumerate(graph.nodes):
        if node.scalar and k in needed:
            place[k] = len(inputs) + len(constants)
            if node.scalar == _SHARE:
                share = len(constants)
            constants.append(1.0 if node.scalar == _SHARE else _number(kernel, node.scalar))
    last_use = {a: k for k, node in enumerate(graph.nodes) if k in needed for a in node.args}
    last_use.update((k, len(graph.nodes)) for k in graph.outputs.values())
    free = list(range(REGISTERS - 1, len(inputs) + len(constants) - 1, -1))
    steps: list[float] = []
    for k, node in enumerate(graph.nodes):
        if node.op in ("input", "scalar") or k not in needed:
            continue
        if not free:
            raise ValueError(f"{kernel.name}: the expression needs more than {REGISTERS} intermediate results")
        place[k] = free.pop()
        op = "negative" if node.op == "-" and len(node.args) == 1 else _OF_BITS.get(node.op, node.op)
        args = [place[a] for a in node.args]
        steps += [_NUMBERS[op], place[k], *args, *[args[0]] * (3 - len(args))]
        free += {place[a] for a in node.args if last_use[a] == k and graph.nodes[a].op not in ("input", "scalar")}
    results = [place[k] for k in graph.outputs.values()]
    counts = 2 if graph.total else int(share >= 0)
    registers = max([1, len(constants), *(result + 1 - len(inputs) for result in steps[1::5])])
    head = [len(inputs), len(results), len(constants), len(steps) // 5, counts, share, registers]
    code = [*head, *constants, *steps, *results]
    if graph.total and (graph.total.divisor != _COUNT or graph.total.array != next(iter(graph.outputs))):
        raise ValueError(f"{kernel.name}: the loss must be elements.sum() / (y_pred.size if mean else 1)")
    if len(code) > LONGEST:
        raise ValueError(f"{kernel.name}: the expression has too many operations, {len(steps) // 5}")
    return tuple(map(float, [len(code) + 1, *code]))


def _number(kernel: Kernel, scalar: Scalar) -> float:
    if scalar.op == "-" and len(scalar.args) == 1:
        return -_number(kernel, scalar.args[0])
    if scalar.op != "number":
        raise ValueError(f"{kernel.name}: a scalar is computed; it must be a number")
    return float(scalar.text)


def _steps(indent: str, each: str, end: str, prefix: str) -> list[str]:
    """Return one branch for each operation; all operands of an element are loaded first, or it would not vectorise."""
    lines = []
    for op, place in _NUMBERS.items():
        lines.append(f"    {'elif' if place else 'if'} op == {place}:  # {op}")
        if op in OPERATIONS:
            lines.append(f"        {each}")
            names = sorted(set(re.findall(r"\b[abc]\b", OPERATIONS[op])))
            lines += [f"{indent}{name} = {name}_at[i]" for name in names]
            lines += [f"{indent}y[i] = {OPERATIONS[op]}", *[f"        {end}"] * bool(end)]
        else:
            lines.append(f"        unary(primitives, {prefix}{op.upper()}, a_at, y, n)")
    return lines


def cython_source() -> str:
    """Return the Cython source of one step: ``y = op(a, b, c)`` on a block, y being none of the others."""
    names = {"abs(": "<real>fabs(", "sqrt(": "square_root("}
    head = [
        "# Written by setup.py from kernels/chain.py.",
        "",
        "cdef enum:",
        f"    CHAIN_REGISTERS = {REGISTERS}",
        f"    CHAIN_BLOCK = {BLOCK}",
        f"    CHAIN_ROOM = {ROOM}",
        "",
        "",
        "cdef void chain_step(",
        "    const fastbp_primitive *primitives, int op, const real *a_at, const real *b_at, const real *c_at,",
        "    real *y, intptr_t n",
        ") noexcept nogil:",
        "    cdef intptr_t i",
        "    cdef real a, b, c, zero = 0, one = 1",
    ]
    text = "\n".join([*head, *_steps("        ", "each(&i, 0, n)", "end()", "FASTBP_")]) + "\n"
    for ours, cythons in names.items():
        text = text.replace(ours, cythons)
    return text


def numba_source() -> str:
    """Return the source of a module with that step as a function that Numba compiles."""
    head = [
        '"""Written by setup.py from kernels/chain.py."""',
        "",
        "from math import sqrt",
        "",
        "from .common import clip, helper, real, unary",
        "",
        f"BLOCK, ROOM = {BLOCK}, {ROOM}",
        *(f"{name.upper()} = {NUMBERS[name]}" for name in BLOCK_FUNCTIONS.values()),
        "",
        "",
        "@helper",
        "def chain_step(primitives, op, a_at, b_at, c_at, y, n):",
        "    zero, one = real(y, 0), real(y, 1)",
    ]
    return "\n".join([*head, *_steps("            ", "for i in range(n):", "", "")]) + "\n"
