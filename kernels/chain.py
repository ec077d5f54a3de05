"""Pointwise kernels without a compiler: the operations of an expression as numbers that one kernel runs.

The kernel `chain` of the backend cython is an accumulator machine (``cython_ext/chain.h``): a strip of vectors stays in
registers from one operation to the next, other operands are read from L1 or broadcast, and a result is stored only if
it is read again. Its cases follow from `OPERATIONS`. Its ``attributes`` are

    [length, inputs, outputs, constants, registers, block, counts, share] + values of the constants + code

Behind these ``length`` numbers come the attributes of the row, for a loss ``mean``. ``counts`` is 0; 1 where the
constant number ``share`` is 1 / size (or 1 without ``mean``); 2 where moreover the loss is the first output's sum over
that. ``registers`` is how many there are behind inputs and outputs, which are registers too, each ``block`` elements
of memory on the stack. An output shares its buffer with no input.

An instruction is one number, ``operation + 256 * (a + 256 * (b + 256 * c))``, where a, b and c are registers or
constants. Code is segments, which run strip by strip until `END`, and behind each the call of a primitive on whole
blocks, or 0 at the last. A segment may run twice over some elements, so what it finds in a register it leaves there.
The module needs the standard library only.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

from .codegen.graph import BLOCK_FUNCTIONS, Graph, Scalar, number
from .operations import NUMBERS

if TYPE_CHECKING:
    from .pointwise import Node
    from .table import Kernel

__all__ = ["ALONE", "CASES", "END", "LAST", "OPERATIONS", "c_source", "encode"]

#: Registers of a chain, and numbers of its code.
REGISTERS, LONGEST = 48, 1000
#: The most elements of a block, and of all registers: they stay in L1, and on a small stack.
BLOCK, ROOM = 1024, 6144
#: Constants: each is a byte of an instruction.
CONSTANTS = 255


class Operation(NamedTuple):
    """What the accumulator becomes.

    Attributes
    ----------
    value : str
        In C, of vectors a, b and c; a condition is a vector of bits.
    forms : str
        Where these may be, each form a word: "a" the accumulator, "m" memory, "c" a constant.
    """

    value: str
    forms: str


_ANY = "am ac ma ca mm mc cm"
OPERATIONS = {
    "load": Operation("a", "m c"),
    "+": Operation("a + b", "am ac mm mc"),
    "-": Operation("a - b", "am ma ca mm cm"),
    "*": Operation("a * b", "am ac mm mc"),
    "/": Operation("a / b", _ANY),
    "*+": Operation("a * b + c", "amc acc mmc mcc"),
    "square": Operation("a * a", "a m"),
    "negative": Operation("-a", "a m"),
    "abs": Operation("fastbp_magnitude(a)", "a m"),
    "sqrt": Operation("fastbp_root(a)", "a m"),
    "maximum": Operation("fastbp_pick_most(a, b, b, a)", "ac mc"),  # NaN stays, and of equals the second
    "minimum": Operation("fastbp_pick_most(b, a, b, a)", "ac mc"),
    "<": Operation("(fastbp_vec)(a < b)", "mm mc cm"),
    "<=": Operation("(fastbp_vec)(a <= b)", "mm mc cm"),
    "==": Operation("(fastbp_vec)(a == b)", "mm mc"),
    "!=": Operation("(fastbp_vec)(a != b)", "mm mc"),
    "and": Operation("(fastbp_vec)((fastbp_vec_bits)a & (fastbp_vec_bits)b)", "am mm"),
    "or": Operation("(fastbp_vec)((fastbp_vec_bits)a | (fastbp_vec_bits)b)", "am mm"),
    "where": Operation("fastbp_select((fastbp_vec_bits)a, b, c)", "amm amc acm acc mmm mmc mcm mcc"),
    "where <": Operation("fastbp_pick_below(a, b, c, d)", "mcam mcac mcma mcca cmam cmac cmma cmca"),
    "where <=": Operation("fastbp_pick_most(a, b, c, d)", "mcam mcac mcma mcca cmam cmac cmma cmca"),
}
#: The end of a segment, a store, and both at once.
END, STORE, LAST = 0, 1, 2
_WITH_STORE = {"+", "-", "*", "/", "square", "negative", "abs", "sqrt", "maximum", "minimum"}
_FORMS = [(op, form) for op, operation in OPERATIONS.items() for form in operation.forms.split()]
#: The number of each form of each operation, and of those that have one together with the store that ends the segment.
CASES = {case: k for k, case in enumerate(_FORMS, LAST + 1)}
_ALONE = [(op, form) for op, form in _FORMS if op in _WITH_STORE and "a" not in form]
ALONE = {case: k for k, case in enumerate(_ALONE, LAST + 1 + len(CASES))}
#: Operations whose operands may change places, and what others are then.
_TURNED = {**{op: op for op in ("+", "*", "*+", "==", "!=", "and", "or")}, ">": "<", ">=": "<="}
#: ``y_pred.size if mean else 1``
_COUNT = Scalar("choice", (Scalar("attribute", text="0"), Scalar("length"), number(1)))
_SHARE = Scalar("/", (number(1), _COUNT))


class _Value(NamedTuple):
    """An operation of the machine, a function of a block, an "input" or a "number"; args are other values' numbers."""

    op: str
    args: tuple[int, ...] = ()
    name: str = ""  # of an input
    number: float | None = None  # None for the share


class _Values:
    """What a graph computes, in the operations of the machine; equal values are one."""

    def __init__(self, kernel: Kernel) -> None:
        try:
            self.graph = graph = Graph(kernel, {})
        except KeyError as error:
            raise ValueError(f"{kernel.name}: arrays are chosen by if; it must be numpy.where") from error
        self.kernel = kernel
        self.values: list[_Value] = []
        self._known: dict[str, int] = {}
        found: list[int] = []
        for node in graph.nodes:
            found.append(self._of(node, [found[a] for a in node.args]))
        self.outputs = [found[k] for k in graph.outputs.values()]
        uses = self.uses()
        for k, value in enumerate(self.values):
            self.values[k] = self._joined(value, uses)

    def _joined(self, value: _Value, uses: dict[int, int]) -> _Value:
        """Return a value together with the one that only it reads, where there is an operation for both."""
        values = self.values
        for a, b in (value.args[:2], value.args[1::-1]) if value.op == "+" else ():
            if values[a].op == "*" and values[b].op == "number" and uses.get(a) == 1:
                return _Value("*+", (*values[a].args, b))
        if value.op == "where":
            test, *branches = value.args
            read = {values[a].op for a in values[test].args}
            if values[test].op in ("<", "<=") and uses.get(test) == 1 and "number" in read:
                return _Value(f"where {values[test].op}", (*values[test].args, *branches))
        return value

    def uses(self) -> dict[int, int]:
        """Return how often each value that is needed is read, or is an output."""
        uses: dict[int, int] = {}
        waiting = [*self.outputs]
        while waiting:
            k = waiting.pop()
            if k not in uses:
                waiting += self.values[k].args
            uses[k] = uses.get(k, 0) + 1
        return uses

    def _add(self, op: str, *args: int, name: str = "", number: float | None = None) -> int:
        value = _Value(op, args, name, number)
        key = repr(value)  # tells -0 from +0
        if key not in self._known:
            self._known[key] = len(self.values)
            self.values.append(value)
        return self._known[key]

    def _of(self, node: Node, args: list[int]) -> int:
        if node.op == "input":
            return self._add("input", name=node.name)
        if node.scalar:
            known = None if node.scalar == _SHARE else _number(self.kernel, node.scalar)
            return self._add("number", number=known)
        number = self.values[args[-1]].number
        match node.op, args:
            case "-", [a]:
                return self._add("negative", a)
            case "*", [a, b] if a == b:
                return self._add("square", a)
            case "-", [a, _] if number is not None:  # the same bits, and there is a form for it
                return self._add("+", a, self._add("number", number=-number))
            case "/", [a, _] if number and abs(math.frexp(number)[0]) == 0.5 and 2.0**-100 < abs(number) < 2.0**100:
                return self._add("*", a, self._add("number", number=1 / number))
            case ">" | ">=", [a, b]:
                return self._add(_TURNED[node.op], b, a)
            case "clip", [a, low, high]:
                return self._add("minimum", self._add("maximum", a, low), high)
        return self._add(node.op, *args)

    def order(self) -> list[int]:
        """Return what is to be computed, each value behind those that it reads."""
        uses, order = self.uses(), list[int]()
        waiting = [(k, False) for k in reversed(self.outputs)]
        done: set[int] = set()
        while waiting:
            k, ready = waiting.pop()
            if k in done or self.values[k].op in ("input", "number"):
                continue
            if ready:
                done.add(k)
                order.append(k)
                continue
            # the last one before it stays in the accumulator: one that nobody else reads; of where the condition
            waiting.append((k, True))
            op, args = self.values[k].op, self.values[k].args
            tests, others = (args[:1], args[1:]) if op == "where" else (args[-2:], args[:-2])
            waiting += [(a, False) for a in (*sorted(tests, key=uses.get), *sorted(others, key=uses.get))]
        return order


class _Encoder:
    """Turns values into code."""

    def __init__(self, values: _Values) -> None:
        self.values, self.uses = values.values, values.uses()
        self.kernel, self.outputs = values.kernel, values.outputs
        names = [o.name for o in self.kernel.operands if o.name in {i.name for i in self.kernel.inputs}]
        self.inputs, self.code = len(names), list[int]()
        # the register of each value that lies in memory, and the number of each constant
        self.place = {k: names.index(value.name) for k, value in enumerate(self.values) if value.op == "input"}
        needed = [k for k, value in enumerate(self.values) if value.op == "number" and k in self.uses]
        self.number = {k: number for number, k in enumerate(needed)}
        self.constants = [self.values[k].number for k in needed]
        self.first = self.top = self.inputs + len(self.outputs)
        # operations with their fields, and stores
        self.segment: list[tuple[tuple[str, str] | None, list[int]]] = []
        # registers: that may be written; that may be when the segment ends; that were in it
        self.free, self.read, self.begun = list[int](), list[int](), set[int]()
        self.accumulator: int | None = None
        order = values.order()
        for k, following in itertools.pairwise([*order, None]):
            self._step(k, following)
        for register, output in enumerate(self.outputs, self.inputs):
            if self.place.get(output) != register:
                self._operation(_Value("load", (output,)))
                self.segment.append((None, [register]))
        self._end()
        self._write(0)

    def _step(self, k: int, following: int | None) -> None:
        value = self.values[k]
        if value.op in BLOCK_FUNCTIONS.values():
            source = self.place[value.args[0]]
            self._release(value.args)
            self._end()
            self.place[k] = self._register(k)
            self._write(NUMBERS[value.op], source, self.place[k])
            return
        self._operation(value)
        self._release(value.args)
        self.accumulator = k
        if following is None or not self._stays(k, self.values[following]):
            self.place[k] = self._register(k)
            self.begun.add(self.place[k])
            self.segment.append((None, [self.place[k]]))

    def _stays(self, k: int, following: _Value) -> bool:
        """Whether the next operation alone reads a value, and reads it from the accumulator."""
        return self.uses[k] == 1 and k in following.args and self._form(following)[0] != ""

    def _form(self, value: _Value) -> tuple[str, tuple[int, ...]]:
        """Return where the operands of an operation lie, and these; an empty form where one lies nowhere."""
        ways = [value.args]
        if _TURNED.get(value.op) == value.op:
            ways.append((value.args[1], value.args[0], *value.args[2:]))
        held = [(args, k) for args in ways for k, a in enumerate(args) if a == self.accumulator]
        for args, k in (*held, *((args, None) for args in ways)):
            lies = ("m" if a in self.place else "c" if a in self.number else "-" for a in args)
            form = "".join("a" if i == k else place for i, place in enumerate(lies))
            if (value.op, form) in CASES:
                return form, args
        return "", ()

    def _operation(self, value: _Value) -> None:
        if not self._form(value)[0]:  # one of its operands has to be in the accumulator
            for self.accumulator in value.args:
                if self._form(value)[0]:
                    break
            loaded = self.accumulator
            self.accumulator = None
            self._operation(_Value("load", (loaded,)))
            self.accumulator = loaded
        form, args = self._form(value)
        fields = [{"m": self.place, "c": self.number}[p][k] for p, k in zip(form, args, strict=True) if p != "a"]
        self.segment.append(((value.op, form), fields))

    def _write(self, case: int, *fields: int) -> None:
        self.code.append(sum(field << 8 * k for k, field in enumerate((case, *fields))))

    def _end(self) -> None:
        """Write a segment: an operation alone together with its store, a store together with the end."""
        match self.segment:
            case [((_, _) as case, fields), (_, store)] if case in ALONE:
                self._write(ALONE[case], *fields, *store)
            case [*before, (_, store)]:
                for case, fields in before:
                    self._write(STORE if case is None else CASES[case], *fields)
                self._write(LAST, *store)
            case _:
                self._write(END)
        self.free += self.read
        self.segment, self.read, self.begun, self.accumulator = [], [], set(), None

    def _register(self, k: int) -> int:
        if k in self.outputs:
            return self.inputs + self.outputs.index(k)
        if not self.free:
            if self.top == REGISTERS:
                raise ValueError(f"{self.kernel.name}: the expression needs more than {REGISTERS} intermediate results")
            self.free.append(self.top)
            self.top += 1
        return self.free.pop()

    def _release(self, args: tuple[int, ...]) -> None:
        """Note that an operation has read its operands."""
        for k in args:
            self.uses[k] -= 1
            if not self.uses[k] and self.place.get(k, 0) >= self.first:
                register = self.place.pop(k)
                (self.free if register in self.begun else self.read).append(register)


def encode(kernel: Kernel) -> tuple[float, ...]:
    """Return the numbers for a pointwise kernel.

    Raises
    ------
    ValueError
        If the expression has too many intermediate results, or a scalar that is not a number.
    """
    values = _Values(kernel)
    total = values.graph.total
    if total and (total.divisor != _COUNT or total.array != next(iter(values.graph.outputs))):
        raise ValueError(f"{kernel.name}: the loss must be elements.sum() / (y_pred.size if mean else 1)")
    encoder = _Encoder(values)
    constants = encoder.constants
    share = constants.index(None) if None in constants else -1
    counts = 2 if total else int(share >= 0)
    registers = encoder.top - encoder.first
    block = min(BLOCK, ROOM // max(1, registers) // 64 * 64)
    head = [encoder.inputs, len(values.outputs), len(constants), registers, block, counts, share]
    numbers = [*head, *(1.0 if c is None else c for c in constants), *encoder.code]
    if len(numbers) >= LONGEST or len(constants) > CONSTANTS:
        raise ValueError(f"{kernel.name}: the expression has too many operations, {len(encoder.code)}")
    return tuple(map(float, [len(numbers) + 1, *numbers]))


def _number(kernel: Kernel, scalar: Scalar) -> float:
    if scalar.op == "-" and len(scalar.args) == 1:
        return -_number(kernel, scalar.args[0])
    if scalar.op != "number":
        raise ValueError(f"{kernel.name}: a scalar is computed; it must be a number")
    return float(scalar.text)


def c_source() -> str:
    """Return ``chain_cases.h``: the machine's numbers, and a case of a switch for each form of each operation."""
    places = {"m": "FASTBP_MEMORY({})", "c": "FASTBP_CONSTANT({})"}
    numbers = {"END": END, "STORE": STORE, "LAST": LAST, "ALONE": min(ALONE.values())}
    numbers |= {"REGISTERS": REGISTERS, "CONSTANTS": CONSTANTS, "ROOM": ROOM}
    lines = [
        "/* Written by setup.py from kernels/chain.py. */",
        f"enum {{ {', '.join(f'FASTBP_CHAIN_{name} = {value}' for name, value in numbers.items())} }};",
    ]
    for name, cases in {"CHAIN": CASES, "ALONE": ALONE}.items():
        text = [f"#define FASTBP_{name}_CASES"]
        for (op, form), case in cases.items():
            fields = itertools.count()
            operands = ", ".join("v[k]" if place == "a" else places[place].format(next(fields)) for place in form)
            step = f"FASTBP_{name}_{len(form)}({OPERATIONS[op].value}, {operands})"
            text.append(f"case {case}: {step} break; /* {op} {form} */")
        lines.append(" \\\n    ".join(text))
    return "\n".join(lines) + "\n"
