"""In which loops a graph is computed, and where what they leave lies.

What is done to arrays in memory, a *barrier* of the graph, is a call: of exp, of a sum. Everything else is computed
element by element, again wherever it is read: an array is written only where a call is to read it, or it is an output,
or a number of each row or column, that loops over elements read. Rows and columns pass in blocks that stay in L1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .graph import BARRIERS, BLOCK_FUNCTIONS, kind_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from .graph import Graph, Scalar

__all__ = ["Call", "Loop", "Place", "Plan", "RoomError"]

_END = 1 << 30


class Place:
    """Some memory for the numbers of a node, from the action that writes them to the last that reads them.

    Attributes
    ----------
    kind : str
        Of the node.
    name : str
        Of an operand, or of a local array.
    part : int or None
        See `Node`.
    first, last : int
        Numbers of actions.
    """

    __slots__ = ("first", "kind", "last", "name", "part")

    def __init__(self, kind: str, name: str = "", part: int | None = None, first: int = -1, last: int = -1) -> None:
        self.kind, self.name, self.part, self.first, self.last = kind, name, part, first, last


class Loop(NamedTuple):
    """A loop over elements, rows or columns that writes the numbers of some nodes; `reads` is what lies in memory."""

    stores: list[tuple[int, Place]]
    reads: dict[int, Place]


class Call(NamedTuple):
    """A call `op` from one place to another; "subtract_max" may write the largest of each row as well.

    `exponent` is that of "pow".
    """

    op: str
    source: Place
    target: Place
    largest: Place | None = None
    exponent: Scalar | None = None


class RoomError(ValueError):
    """There is no array for what a call is to read."""


class Plan:
    """The actions of a kernel, one after the other.

    Parameters
    ----------
    graph : Graph

    Attributes
    ----------
    over : {"elements", "rows", "columns"}
        What passes in blocks.
    actions : list of Loop or Call
    local : dict of str to str
        The kind of each local array by its name.

    Raises
    ------
    ValueError
        Where no output is free to hold what a call is to read: the kernel needs an operand to work in.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph, nodes = graph, graph.nodes
        self.outputs: list[tuple[str, int | None, int]] = [(name, None, k) for name, k in graph.outputs.items()]
        self.outputs += [(name, part, k) for name, parts in graph.parts.items() for part, k in enumerate(parts)]
        self.needed = set(self._below([k for _, _, k in self.outputs], ()))
        made = {nodes[k].kind for k in self.needed if nodes[k].op != "input"}
        if all(nodes[k].kind in ("full", "one") and nodes[k].part is None for k in self.needed) and not graph.parts:
            self.over = "elements"
        else:
            self.over = "columns" if "column" in made else "rows"
        whole = self.over == "columns" and any(nodes[k].op in BLOCK_FUNCTIONS.values() for k in self.needed)
        if {"row", "column"} <= made or whole:
            raise ValueError(f"{graph.kernel.name}: beside numbers of columns there are numbers of rows, or functions")
        try:
            self._make(early=True)
        except RoomError:
            # an output that waits leaves its array to others
            try:
                self._make(early=False)
            except RoomError:
                raise RoomError(f"{graph.kernel.name}: there is no room; it must have an operand to work in") from None

    def _make(self, early: bool) -> None:
        nodes, self.early = self.graph.nodes, early
        self.actions: list[Loop | Call] = []
        self.local: dict[str, str] = {}
        self.places: list[Place] = []
        inputs = {k: node for k, node in enumerate(nodes) if node.op == "input" and node.kind != "one"}
        self.memory = {k: Place(node.kind, node.name, node.part) for k, node in inputs.items()}
        self.done: set[tuple[str, int | None]] = set()
        while pending := [k for k in sorted(self.needed) if nodes[k].op in BARRIERS and k not in self.memory]:
            ready = (k for k in pending if self._contiguous(nodes[k].args[0]))
            self._call(next(ready, pending[0]), pending)
        for kind in ("full", "row", "column"):
            if any((name, part) not in self.done and self._fits(k, kind) for name, part, k in self.outputs):
                self._loop([], kind)
        for place in sorted(self.places, key=lambda place: place.first):
            place.name = place.name or self._room(place)

    def _below(self, ks: Iterable[int], stop: Container[int]) -> Iterator[int]:
        """Yield some nodes and all that they are computed from, but for what lies below `stop`."""
        stack, seen = list(ks), set()
        while stack:
            k = stack.pop()
            if k not in seen:
                seen.add(k)
                yield k
                if k not in stop:
                    stack += self.graph.nodes[k].args

    def computed(self, loop: Loop) -> set[int]:
        """Return the nodes that a loop computes."""
        return set(self._below([k for k, _ in loop.stores], loop.reads)) - set(loop.reads)

    def _contiguous(self, k: int) -> bool:
        return k in self.memory and self.memory[k].part is None

    def _ready(self, k: int) -> bool:
        """Whether a node can be computed from what lies in memory."""
        below = self._below([k], self.memory)
        return all(n in self.memory or self.graph.nodes[n].op not in BARRIERS for n in below)

    def _fits(self, k: int, kind: str) -> bool:
        """Whether a loop of some kind writes a node: one number for all fills an array."""
        return self.graph.nodes[k].kind == kind or (self.graph.nodes[k].kind == "one" and kind == "full")

    def _new(self, k: int, name: str = "", part: int | None = None) -> Place:
        place = Place(self.graph.nodes[k].kind, name, part, len(self.actions), _END if name else len(self.actions) + 1)
        self.places.append(place)
        return place

    def _add(self, action: Loop | Call, reads: Iterable[Place]) -> None:
        for place in reads:
            place.last = max(place.last, len(self.actions))
        self.actions.append(action)

    def _call(self, k: int, pending: list[int]) -> None:
        """Add what makes a barrier: the loop that writes its argument, where that is not in memory, and the call."""
        nodes = self.graph.nodes
        (a,) = nodes[k].args
        if not self._contiguous(a):
            self._finish(k, self._loop([a], nodes[a].kind, k))
        elif exp := self._exp_of_less_max(k, pending):
            (less,) = nodes[exp].args
            target = self._new(less)
            again = any(less in nodes[n].args for n in self.needed - {exp})
            largest = self._new(k) if again else None
            self._add(Call("subtract_max", self.memory[a], target, largest), [self.memory[a]])
            self.memory[k] = largest or target  # where nobody reads it again
            self._finish(exp, target)
        else:
            self._finish(k, self.memory[a])

    def _exp_of_less_max(self, k: int, pending: list[int]) -> int | None:
        """Return the node ``exp(x - x.max(axis=1))`` where node k is that maximum and nobody else asks for it.

        exp and its sum do not see that a NaN is passed over, or which of two zeros is the larger one.
        """
        nodes, results = self.graph.nodes, {k for _, _, k in self.outputs}
        users = [n for n in self.needed if k in nodes[n].args]
        if nodes[k].op != "row_max" or len(users) != 1 or {k, *users} & results:
            return None
        if nodes[users[0]][:2] != ("-", (*nodes[k].args, k)):
            return None
        return next((n for n in pending if nodes[n].op == "exp" and nodes[n].args[0] == users[0]), None)

    def _finish(self, k: int, source: Place) -> None:
        name = next((o for o, part, node in self.outputs if node == k and part is None and self._safe(o, [k], k)), "")
        self.done |= {(name, None)}
        self.memory[k] = self._new(k, name)
        node = self.graph.nodes[k]
        self._add(Call(node.op, source, self.memory[k], exponent=node.scalar), [source])

    def _safe(self, output: str, now: Container[int], call: int) -> bool:
        """Whether nobody reads the inputs that an output may overwrite after the action that writes the nodes `now`."""
        nodes, inputs = self.graph.nodes, self._sharing(output)
        later = [k for k in self.needed if nodes[k].op in BARRIERS and k not in self.memory and k != call]
        later += [k for name, part, k in self.outputs if (name, part) not in self.done and k not in now]
        read = self._below(later, self.memory.keys() | {call})
        return not any(nodes[k].op == "input" and nodes[k].name in inputs for k in read)

    def _sharing(self, output: str) -> set[str]:
        """Return the operands whose buffers may be that of an output."""
        return {output} | {name for other, name in self.graph.kernel.inplace if other == output}

    def _loop(self, nodes: list[int], kind: str, call: int = -1) -> Place:
        """Add a loop that writes some nodes for others to read, and what outputs can be made now."""
        now, outputs, nested = list(nodes), {}, any(map(self._nested, nodes))
        for name, part, k in self.outputs:
            if (name, part) in self.done or not self._fits(k, kind) or not self._ready(k):
                continue
            early = k in nodes or (self.early and nested >= self._nested(k))
            if not nodes or (early and self._safe(name, [*now, k], call)):
                outputs[name, part] = k
                now += [k] * (k not in now)
        if kind == "full":
            self._vectors(now)
        reads = {k: self.memory[k] for k in sorted(set(self._below(now, self.memory)) & set(self.memory))}
        stores = [(k, self._new(k, *output)) for output, k in outputs.items()]
        stores += [(k, self._new(k)) for k in nodes if k not in outputs.values()]
        self._add(Loop(stores, reads), reads.values())
        self.done |= set(outputs)
        # of what is as large as an operand only outputs stay: others are to have the memory
        self.memory.update((k, place) for k, place in stores if kind != "full" or place.name)
        return next((place for k, place in stores if k in nodes), stores[0][1])

    def _nested(self, k: int) -> bool:
        """Whether a loop that writes a node is one over rows and columns: others are faster where rows are short."""
        kinds = {self.graph.nodes[n].kind for n in self._below([k], self.memory)}
        return "full" in kinds and bool(kinds & {"row", "column"})

    def _vectors(self, ks: Iterable[int]) -> None:
        """Write the numbers of rows and of columns that a loop over elements reads."""
        nodes = self.graph.nodes
        full = [k for k in self._below(ks, self.memory) if nodes[k].kind == "full" and k not in self.memory]
        for kind in ("row", "column"):
            missing = {a for k in full for a in nodes[k].args if nodes[a].kind == kind and a not in self.memory}
            # a row's are made again where that takes no division or root, of which vectors make many at a time
            if missing := {a for a in missing if kind == "column" or self._divides(a)}:
                self._loop(sorted(missing), kind)

    def _divides(self, k: int) -> bool:
        """Whether a division or a root is among what a node is computed from."""
        computed = set(self._below([k], self.memory)) - set(self.memory)
        return any(self.graph.nodes[n].op in ("/", "sqrt") for n in computed)

    def _room(self, place: Place) -> str:
        """Return the name of an array that is free while a place is used."""
        kernel = self.graph.kernel
        taken = {other.name for other in self.places if other.first < place.last and place.first < other.last}
        kinds = {o.name: kind_of(o.dims, self.graph.axes) for o in kernel.outputs if o.name not in self.graph.parts}
        for name, kind in kinds.items() if self.over != "elements" else ():
            read_until = max((i for i, read in self._read() if read.name in self._sharing(name)), default=-1)
            if kind == place.kind and name not in taken and read_until <= place.first:
                return name
        if place.kind == "full" and self.over != "elements":
            raise RoomError
        name = next((name for name, kind in self.local.items() if kind == place.kind and name not in taken), "")
        name = name or f"v{len(self.local)}"
        self.local[name] = place.kind
        return name

    def _read(self) -> Iterator[tuple[int, Place]]:
        """Yield all places that actions read."""
        for i, action in enumerate(self.actions):
            for place in action.reads.values() if isinstance(action, Loop) else (action.source,):
                yield i, place
