"""Kernels without a compiler: the operations of an expression as numbers that one kernel runs.

The kernel `chain` of the backend cython is an accumulator machine (``cython_ext/chain.h``): a strip of vectors stays in
registers from one operation to the next, other operands are read from L1 or broadcast, and a result is stored only if
it is read again. Its cases follow from `OPERATIONS`. Its ``attributes`` are

    [length, *HEAD] + values of the constants + code

and behind these ``length`` numbers those of the row, for a loss ``mean``. An instruction is one number, ``operation +
256 * (a + 256 * (b + 256 * c))``, where a, b and c are registers or constants. Code is *segments* and calls. A segment
runs strip by strip until `LAST`: behind `FULL` over the elements, behind `ROW` over the numbers of a row, which have
registers of their own. Elements pass in blocks; where there are numbers of rows, row by row. A call makes one register
of others: of a primitive, or `ROW_MAX`; with `OF_ROW` added, of a number of the row.

Registers are the inputs, the outputs, and memory: blocks on the stack, or where rows pass the operands to work in. The
first numbers of a row are inputs, then come outputs; among the operands they stand behind inputs, and outputs, of
elements. Numbers of a row stand behind the constants for operations over elements. A segment
may run twice over some elements, so what it finds in a register it leaves there. An output shares its buffer with no
input. The module needs the standard library only.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

from .codegen.graph import BARRIERS, Graph, Scalar, kind_of, number
from .operations import NUMBERS, PRIMITIVES

if TYPE_CHECKING:
    from .codegen.graph import Node
    from .table import Kernel

__all__ = ["ALONE", "CASES", "FULL", "HEAD", "LAST", "OPERATIONS", "ROW", "c_source", "encode", "registers_of"]

#: Registers of a chain, and numbers of its code.
REGISTERS, LONGEST = 48, 1000
#: The most elements of a block, and of all registers, twice as many in float32: they stay in L1, and on a small stack.
BLOCK, ROOM = 1024, 6144
#: Constants and numbers of a row: each is a byte of an instruction. Of a row, and of these some are constants.
CONSTANTS, ROWS = 255, 32
#: What attributes begin with. `total` is 1 where a loss is the first output's sum, `share` the number of the constant
#: that is 1 over how many it counts, or 1 without ``mean``, `columns` of that which is the length of a row; else -1.
#: `counted` is 0 where nothing is, 1 where elements and 2 where rows are.
HEAD = (
    "inputs", "outputs", "row_inputs", "row_outputs", "constants", "registers", "row_registers", "block", "by_rows",
    "counted", "total", "share", "columns",
)  # fmt: skip


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
    "-": Operation("a - b", _ANY),
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
#: A store, and one with which a segment ends.
STORE, LAST = 0, 1
_FORMS = [(op, form) for op, operation in OPERATIONS.items() for form in operation.forms.split()]
_STORED = [(op, form) for op, form in _FORMS if op in ("+", "-", "*", "/", "square", "abs") and "a" not in form]
#: The number of each form of each operation, of some together with a store, and of these as all of a segment.
CASES = {case: k for k, case in enumerate(_FORMS, LAST + 1)}
STORED = {case: k for k, case in enumerate(_STORED, LAST + 1 + len(CASES))}
ALONE = {case: k for k, case in enumerate(_STORED, LAST + 1 + len(CASES) + len(STORED))}
#: Operations whose operands may change places, and what others are then.
_TURNED = {**{op: op for op in ("+", "*", "*+", "==", "!=", "and", "or")}, ">": "<", ">=": "<="}
#: What is called between segments: a primitive by its number, or these; for a number of a row with `OF_ROW` added.
FULL, ROW, ROW_MAX, OF_ROW = 64, 65, 66, 128
assert len(PRIMITIVES) < FULL
_CALLS = {op: {"row_sum": NUMBERS["sum"], "row_max": ROW_MAX}.get(op, NUMBERS.get(op, 0)) for op in BARRIERS}
#: ``y_pred.size if mean else 1``, and ``len(y_pred) if mean else 1``
_COUNTS = [Scalar("choice", (Scalar("attribute", text="0"), Scalar(of), number(1))) for of in ("length", "rows")]
_SHARES = [Scalar("/", (number(1), count)) for count in _COUNTS]


class _Value(NamedTuple):
    """An operation of the machine, a call, an "input" or a "number"; args are the numbers of other values.

    `kind` is what it has a number for: "full", each element; "row"; "one", all.
    """

    op: str
    args: tuple[int, ...] = ()
    kind: str = "full"
    name: str = ""  # of an input, of a number that is no constant
    number: float | None = None


#: Exponents for which numpy.power, of a number, has loops of its own.
_EXACT_POWERS = (-1.0, 0.5, 1.0, 2.0)


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
            if node.kind == "column":  # strips, and threads, have some of the rows
                raise ValueError(f"{kernel.name}: a sum or mean is over axis=0; it must be over axis=-1")
            found.append(self._of(node, [found[a] for a in node.args]))
        self.outputs = [found[k] for k in graph.outputs.values()]
        uses = self.uses()
        for k, value in enumerate(self.values):
            self.values[k] = self._joined(value, uses)

    def _joined(self, value: _Value, uses: dict[int, int]) -> _Value:
        """Return a value together with the one that only it reads, where there is an operation for both."""
        values = self.values
        for a, b in (value.args[:2], value.args[1::-1]) if value.op == "+" else ():
            if values[a].op == "*" and values[b].op == "number" and uses.get(a) == 1 and values[a].kind == value.kind:
                return value._replace(op="*+", args=(*values[a].args, b))
        if value.op == "where":
            test, *branches = value.args
            read = {values[a].op for a in values[test].args}
            if (
                values[test].op in ("<", "<=")
                and uses.get(test) == 1
                and "number" in read
                and values[test].kind == value.kind
            ):
                return value._replace(op=f"where {values[test].op}", args=(*values[test].args, *branches))
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

    def _add(self, op: str, *args: int, kind: str = "full", name: str = "", number: float | None = None) -> int:
        if op in OPERATIONS:
            args = self._with_form(op, kind, args)
        value = _Value(op, args, kind, name, number)
        key = repr(value)  # tells -0 from +0
        if key not in self._known:
            self._known[key] = len(self.values)
            self.values.append(value)
        return self._known[key]

    def _with_form(self, op: str, kind: str, args: tuple[int, ...]) -> tuple[int, ...]:
        """Return operands of which an operation has a form: where it has none, one constant becomes an array."""
        same = [self.values[k].kind == kind for k in args]
        for form in OPERATIONS[op].forms.split():
            for places in {form, form[1::-1] + form[2:]} if _TURNED.get(op) == op else {form}:
                if [place != "c" for place in places] == same:
                    return args
        k = same.index(False)
        return self._with_form(op, kind, (*args[:k], self._add("load", args[k], kind=kind), *args[k + 1 :]))

    def _of(self, node: Node, args: list[int]) -> int:
        if node.op == "input":
            if node.kind not in ("full", "row") or node.part is not None:
                raise ValueError(f"{self.kernel.name}: {node.name} is no array of the shape of all, nor of its rows")
            return self._add("input", kind=node.kind, name=node.name)
        if node.op == "scalar":
            assert node.scalar
            return self._number(node.scalar)
        add = functools.partial(self._add, kind=node.kind)
        number = self.values[args[-1]].number
        match node.op, args:
            case "-", [a]:
                return add("negative", a)
            case "*", [a, b] if a == b:
                return add("square", a)
            case "-", [a, _] if number is not None:  # the same bits, and it may follow a product
                return add("+", a, self._add("number", kind="one", number=-number))
            case "/", [a, _] if number and abs(math.frexp(number)[0]) == 0.5 and 2.0**-100 < abs(number) < 2.0**100:
                return add("*", a, self._add("number", kind="one", number=1 / number))
            case ">" | ">=", [a, b]:
                return add(_TURNED[node.op], b, a)
            case "clip", [a, low, high]:
                return add("minimum", add("maximum", a, low), high)
            case "pow", [a]:
                assert node.scalar
                exponent = self._number(node.scalar)
                power = self.values[exponent].number
                if power is None or power in _EXACT_POWERS:
                    name, said = self.kernel.name, power or self.values[exponent].name
                    way = "a number, and not -1, 0.5, 1 or 2: write 1 / x, np.sqrt or x * x"
                    raise ValueError(f"{name}: the exponent of numpy.power is {said}; it must be {way}")
                return add("pow", a, add("load", exponent))
        return add(node.op, *args)

    def _number(self, scalar: Scalar) -> int:
        if scalar in _SHARES:
            return self._add("number", kind="one", name="share")
        if scalar == Scalar("columns"):
            return self._add("number", kind="one", name="columns")
        sign = 1.0
        if scalar.op == "-" and len(scalar.args) == 1:
            sign, scalar = -1.0, scalar.args[0]
        if scalar.op != "number":
            raise ValueError(f"{self.kernel.name}: a scalar is computed; it must be a number")
        return self._add("number", kind="one", number=sign * float(scalar.text))

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
            waiting += [
                (a, False) for a in (*sorted(tests, key=uses.__getitem__), *sorted(others, key=uses.__getitem__))
            ]
        return order


class _Registers:
    """Where values of one kind lie."""

    def __init__(self, names: list[str], outputs: list[int], most: int) -> None:
        self.names, self.outputs, self.most = names, outputs, most
        self.first = self.top = len(names) + len(outputs)
        self.place: dict[int, int] = {}
        # those that may be written; that may be when the segment ends, which read them; that it wrote
        self.free, self.read, self.begun = list[int](), list[int](), set[int]()

    def take(self, k: int) -> int:
        """Return the register of a new value."""
        if k in self.outputs:
            register = len(self.names) + self.outputs.index(k)
        elif self.free:
            register = self.free.pop()
        elif self.top < self.most:
            register = self.top
            self.top += 1
        else:
            raise ValueError(f"the expression needs more than {self.most} intermediate results")
        self.place[k] = register
        return register

    def release(self, k: int) -> None:
        """Note that a value is not read any more."""
        if self.place.get(k, -1) >= self.first:
            register = self.place.pop(k)
            (self.free if register in self.begun else self.read).append(register)

    def end(self) -> None:
        """Note the end of a segment."""
        self.free += self.read
        self.read, self.begun = [], set()


class _Encoder:
    """Turns values into code."""

    def __init__(self, values: _Values) -> None:
        self.values, self.uses, self.code = values.values, values.uses(), list[int]()
        kernel, axes = values.kernel, values.graph.axes
        inputs = {kind: [o.name for o in kernel.inputs if kind_of(o.dims, axes) == kind] for kind in ("full", "row")}
        outputs = {kind: [k for k in values.outputs if self.values[k].kind == kind] for kind in ("full", "one", "row")}
        self.full = _Registers(inputs["full"], outputs["full"] + outputs["one"], REGISTERS)
        self.rows = _Registers(inputs["row"], outputs["row"], ROWS)
        for k, value in enumerate(self.values):
            if value.op == "input":
                self._registers(value.kind).place[k] = inputs[value.kind].index(value.name)
        needed = [k for k, value in enumerate(self.values) if value.op == "number" and k in self.uses]
        self.number = {k: number for number, k in enumerate(needed)}
        # operations with their fields, and stores; of what kind they are
        self.segment: list[tuple[tuple[str, str] | None, list[int]]] = []
        self.kind = "full"
        self.accumulator: int | None = None
        try:
            order = values.order()
            for k, following in itertools.zip_longest(order, order[1:]):
                self._step(k, following)
            for registers, kind in ((self.full, "full"), (self.rows, "row")):
                for register, k in enumerate(registers.outputs, len(registers.names)):
                    if registers.place.get(k) != register:
                        self._operation(_Value("load", (k,), kind))
                        self.segment.append((None, [register]))
        except ValueError as error:
            raise ValueError(f"{kernel.name}: {error}") from None
        self._end()
        self.code.append(0)

    def _registers(self, kind: str) -> _Registers:
        return self.rows if kind == "row" else self.full

    def _step(self, k: int, following: int | None) -> None:
        value = self.values[k]
        registers = self._registers(value.kind)
        if value.op in BARRIERS:
            self._end()
            of_row = {self.values[a].kind for a in value.args} == {"row"}
            sources = [self._registers("row" if of_row else "full").place[a] for a in value.args]
            self._release(value.args)
            self._end()
            self._write(_CALLS[value.op] + OF_ROW * of_row, *sources, registers.take(k))
            return
        self._operation(value)
        self._release(value.args)
        self.accumulator = k
        if following is None or not self._stays(k, self.values[following]):
            register = registers.take(k)
            registers.begun.add(register)
            self.segment.append((None, [register]))

    def _stays(self, k: int, following: _Value) -> bool:
        """Whether the next operation alone reads a value, and reads it from the accumulator."""
        alone = self.uses[k] == 1 and k in following.args and following.kind == self.kind
        return alone and self._form(following)[0] != ""

    def _field(self, k: int, kind: str) -> tuple[str, int]:
        """Return where a value lies for operations of a kind: in memory or among constants, and where there; or "-"."""
        if k in self.number:
            return "c", self.number[k]
        if k in self._registers(kind).place:
            return "m", self._registers(kind).place[k]
        return ("c", len(self.number) + self.rows.place[k]) if k in self.rows.place else ("-", 0)

    def _form(self, value: _Value) -> tuple[str, tuple[int, ...]]:
        """Return where the operands of an operation lie, and these; an empty form where one lies nowhere."""
        ways = [value.args]
        if _TURNED.get(value.op) == value.op:
            ways.append((value.args[1], value.args[0], *value.args[2:]))
        held = [(args, k) for args in ways for k, a in enumerate(args) if a == self.accumulator]
        for args, k in (*held, *((args, None) for args in ways)):
            form = "".join("a" if i == k else self._field(a, value.kind)[0] for i, a in enumerate(args))
            if (value.op, form) in CASES:
                return form, args
        return "", ()

    def _operation(self, value: _Value) -> None:
        if self.kind != value.kind:
            self._end()
            self.kind = value.kind
        if not self._form(value)[0]:  # one of its operands has to be in the accumulator
            self._load(value)
        form, args = self._form(value)
        fields = [self._field(k, value.kind)[1] for place, k in zip(form, args, strict=True) if place != "a"]
        self.segment.append(((value.op, form), fields))

    def _load(self, value: _Value) -> None:
        """Bring that operand to the accumulator with which an operation has a form."""
        for k in value.args:
            self.accumulator = k
            if self._form(value)[0]:
                break
        self.accumulator = None
        self._operation(_Value("load", (k,), value.kind))
        self.accumulator = k

    def _write(self, case: int, *fields: int) -> None:
        self.code.append(sum(field << 8 * k for k, field in enumerate((case, *fields))))

    def _end(self) -> None:
        """Write a segment; stores are joined with operations, or with the end."""
        if self.segment:
            self._write(ROW if self.kind == "row" else FULL)
        match self.segment:
            case [(case, fields), (None, store)] if case in ALONE and self.kind == "full":
                self._write(ALONE[case], *fields, *store)
            case [*before, (None, last)]:
                while before:
                    case, fields = before.pop(0)
                    if case in STORED and before and before[0][0] is None:
                        self._write(STORED[case], *fields, *before.pop(0)[1])
                    else:
                        self._write(STORE if case is None else CASES[case], *fields)
                self._write(LAST, *last)
        self.segment, self.accumulator = [], None
        self.full.end()
        self.rows.end()

    def _release(self, args: tuple[int, ...]) -> None:
        """Note that an operation has read its operands."""
        for k in args:
            self.uses[k] -= 1
            if not self.uses[k]:
                self._registers(self.values[k].kind).release(k)


def encode(kernel: Kernel) -> tuple[float, ...]:
    """Return the numbers for a kernel over elements, or over elements and rows.

    Raises
    ------
    ValueError
        If the expression has too many intermediate results, or a scalar that is not a number.
    """
    values = _Values(kernel)
    graph, by_rows = values.graph, len(kernel.dims) == 2
    total = graph.total
    if total and (total.divisor not in _COUNTS or total.array != next(iter(graph.outputs))):
        raise ValueError(f"{kernel.name}: the loss must be elements.sum() / (y_pred.size if mean else 1)")
    encoder = _Encoder(values)
    numbers = [values.values[k] for k in encoder.number]
    names = [value.name for value in numbers]
    shares = [share for share in _SHARES if share in {node.scalar for node in graph.nodes}]
    counted = _COUNTS.index(total.divisor) + 1 if total else 1 + _SHARES.index(shares[0]) if shares else 0
    full, rows = encoder.full, encoder.rows
    registers = full.top - full.first
    head = {
        "inputs": len(full.names), "outputs": len(full.outputs), "row_inputs": len(rows.names),
        "row_outputs": len(rows.outputs), "constants": len(numbers), "registers": registers, "row_registers": rows.top,
        "block": min(BLOCK, ROOM // max(1, registers) // 64 * 64), "by_rows": by_rows, "counted": counted,
        "total": total is not None,
        **{name: names.index(name) if name in names else -1 for name in ("share", "columns")},
    }  # fmt: skip
    constants = [0.0 if value.number is None else value.number for value in numbers]
    written = [*(head[name] for name in HEAD), *constants, *encoder.code]
    if len(written) >= LONGEST or len(numbers) + ROWS > CONSTANTS:
        raise ValueError(f"{kernel.name}: the expression has too many operations, {len(encoder.code)}")
    return tuple(map(float, [len(written) + 1, *written]))


def registers_of(code: tuple[float, ...]) -> int:
    """Return how many registers a code needs besides operands."""
    return int(code[1 + HEAD.index("registers")])


def c_source() -> str:
    """Return ``chain_cases.h``: the machine's numbers, and a case of a switch for each form of each operation."""
    places = {"m": "FASTBP_MEMORY({})", "c": "FASTBP_CONSTANT({})"}
    numbers = {"STORE": STORE, "LAST": LAST, "ALONE": min(ALONE.values())}
    numbers |= {"REGISTERS": REGISTERS, "CONSTANTS": CONSTANTS, "ROWS": ROWS, "ROOM": ROOM}
    numbers |= {"FULL": FULL, "ROW": ROW, "ROW_MAX": ROW_MAX, "OF_ROW": OF_ROW}
    numbers |= {f"AT_{name.upper()}": k for k, name in enumerate(HEAD, 1)} | {"HEAD": 1 + len(HEAD)}
    lines = [
        "/* Written by setup.py from kernels/chain.py. */",
        f"enum {{ {', '.join(f'FASTBP_CHAIN_{name} = {value}' for name, value in numbers.items())} }};",
    ]
    for name, cases in {"CHAIN": CASES, "STORED": STORED, "ALONE": ALONE}.items():
        text = [f"#define FASTBP_{name}_CASES"]
        for (op, form), case in cases.items():
            fields = itertools.count()
            operands = ", ".join("v[k]" if place == "a" else places[place].format(next(fields)) for place in form)
            step = f"FASTBP_{name}_{len(form)}({OPERATIONS[op].value}, {operands})"
            text.append(f"case {case}: {step} break; /* {op} {form} */")
        lines.append(" \\\n    ".join(text))
    return "\n".join(lines) + "\n"
