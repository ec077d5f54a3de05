"""Graphs: which layers a model consists of, and what each takes and makes, with nothing inside of anything any more."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from .layers import Layer
from .tensor import nodes_between

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from .tensor import Node, Tensor

__all__ = ["Graph", "Group", "Port", "Use", "kind_of"]


def kind_of(layer: Any) -> str:
    """Return the class of a layer, with its activation; of a model or another layer that is made of some, the class.

    Parameters
    ----------
    layer : Layer or Model

    Returns
    -------
    str

    Examples
    --------
    >>> import fastbp
    >>> kind_of(fastbp.Dense(3, activation="relu")), kind_of(fastbp.Sequential())
    ('Dense(relu)', 'Sequential')
    """
    if not hasattr(layer, "emit") or layer.call is not None:
        return type(layer).__name__
    activation = getattr(layer, "activation", "")
    return f"{type(layer).__name__}({getattr(activation, 'activation', activation)})"


class Port:
    """An input or an output of a model: what dicts and messages call it, and the shape of one row.

    `integers` says of an input whether its data are whole numbers.
    """

    def __init__(self, name: str, shape: tuple[int, ...], integers: bool = False) -> None:
        self.name, self.shape, self.integers = name, shape, integers


class Use:
    """One use of a layer: its number, what listings call this use, and the numbers of the tensors.

    `many` says whether the layer takes a list, `several` whether it makes one; `group` is the number of the innermost
    one that it is in, -1 for none.
    """

    def __init__(
        self,
        layer: int,
        name: str,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        many: bool,
        several: bool,
        group: int,
    ) -> None:
        self.layer, self.name, self.inputs, self.outputs = layer, name, inputs, outputs
        self.many, self.several, self.group = many, several, group


class Group:
    """One use of what is made of other layers: what listings call it, itself, its tensors and the group around it."""

    def __init__(
        self, name: str, layer: Any, inputs: tuple[int, ...], outputs: tuple[int, ...], group: int
    ) -> None:
        self.name, self.layer, self.inputs, self.outputs, self.group = name, layer, inputs, outputs, group


class Graph:
    """The layers of a model and their uses.

    What is made of other layers (models, layers with ``call``) is replaced by these.

    Parameters
    ----------
    inputs, outputs : sequence of Tensor
    names : sequence of str
        Of the inputs, then of the outputs.
    extras : sequence of (Tensor, float)
        What is added to the loss, see `Model.add_loss`.
    whole : Model, optional
        Whose graph it is: what it says of all of its layers counts.

    Attributes
    ----------
    layers : list of Layer
        Each once, in the order of first use.
    names : list of str
        Theirs: within another one its name comes first, ``"encoder.dense_1"``.
    around : list of tuple
        For each layer, what it is in, from outside to inside.
    uses : list of Use
        In topological order: that of creation. Those of a group follow one another.
    groups : list of Group
        The uses of what is made of other layers, in the order in which they begin.
    shapes : list of tuple of int
        By tensor: those of the inputs come first, then the outputs of each use.
    inputs, outputs : tuple of int
        Numbers of tensors.
    extras : list of (int, float)
        Numbers of tensors whose means are added to the loss, times a factor.
    ports, results : tuple of Port
        Of the inputs and of the outputs.
    """

    def __init__(
        self,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        names: Sequence[str],
        extras: Sequence[tuple[Tensor, float]] = (),
        whole: Any = None,
    ) -> None:
        self.layers: list[Layer] = []
        self.names: list[str] = []
        self.around: list[tuple[Any, ...]] = []
        self.uses: list[Use] = []
        self.groups: list[Group] = []
        self.shapes = [tensor.shape for tensor in inputs]
        self.extras: list[tuple[int, float]] = []
        self._numbers: dict[Any, int] = {}  # of layers
        self._counts: dict[Any, int] = {}  # of uses by layer, or by what is made of layers
        self._taken: set[str] = set()
        self.inputs = tuple(range(len(inputs)))
        ends = [*outputs, *[tensor for tensor, _ in extras]]
        found = self._add(inputs, ends, self.inputs, "", () if whole is None else (whole,), -1, "the model")
        n = len(outputs)
        self.outputs = tuple(found[:n])
        self.extras += [(tensor, factor) for tensor, (_, factor) in zip(found[n:], extras, strict=True)]
        n = len(inputs)
        self.ports = tuple(
            Port(name, t.shape, t.dtype is not None and t.dtype.lstrip("u").startswith("int"))
            for name, t in zip(names[:n], inputs, strict=True)
        )
        self.results = tuple(Port(name, t.shape) for name, t in zip(names[n:], outputs, strict=True))
        del self._taken

    def _add(
        self,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        numbers: Sequence[int],
        prefix: str,
        around: tuple[Any, ...],
        group: int,
        what: str,
    ) -> list[int]:
        """Add what leads from some tensors, which have numbers, to others; return the numbers of these."""
        known = dict(zip(inputs, numbers, strict=True))
        for node in nodes_between(inputs, outputs, what):
            taken = [known[tensor] for tensor in node.inputs]
            made: Sequence[int]
            if node.inner is None:
                made = self._use(node, taken, prefix, around, group)
            else:
                name, own = f"{prefix}{node.layer.name}", len(self.groups)
                called = self._counted(node.layer, name)
                self.groups.append(Group(called, node.layer, tuple(taken), (), group))
                (xs, ys), losses = node.inner, node.losses
                ends = [*ys, *[tensor for tensor, _ in losses]]
                found = self._add(xs, ends, taken, f"{name}.", (*around, node.layer), own, name)
                made, added = found[: len(ys)], found[len(ys) :]
                self.extras += [(tensor, factor) for tensor, (_, factor) in zip(added, losses, strict=True)]
                self.groups[own].outputs = tuple(made)
            known.update(zip(node.outputs, made, strict=True))
        return [known[tensor] for tensor in outputs]

    def _counted(self, what: Any, name: str) -> str:
        """Return what listings call the next use of something: from the second on with a number."""
        count = self._counts[what] = self._counts.get(what, 0) + 1
        return name if count == 1 else f"{name}:{count}"

    def _use(self, node: Node, taken: list[int], prefix: str, around: tuple[Any, ...], group: int) -> tuple[int, ...]:
        layer = node.layer
        k = self._numbers.get(layer)
        if k is None:
            k = self._numbers[layer] = len(self.layers)
            self.layers.append(layer)
            self.around.append(around)
            self.names.append(self._free(f"{prefix}{layer.name}"))
        name = self._counted(layer, self.names[k])
        made = tuple(range(len(self.shapes), len(self.shapes) + len(node.outputs)))
        self.shapes += [tensor.shape for tensor in node.outputs]
        self.uses.append(Use(k, name, tuple(taken), made, node.many, node.several, group))
        return made

    def _free(self, name: str) -> str:
        """Return a name, with a number if another layer has it."""
        found, n = name, 1
        while found in self._taken:
            n += 1
            found = f"{name}_{n}"
        self._taken.add(found)
        return found

    def frozen(self, k: int) -> bool:
        """Whether a layer, or what it is in, is not trained."""
        return not (self.layers[k].trainable and all(outer.trainable for outer in self.around[k]))

    def lr_factor(self, k: int) -> float:
        """Return the learning rate of a layer's parameters over the optimizer's."""
        factor = self.layers[k].lr_factor
        for outer in self.around[k]:
            factor *= outer.lr_factor
        return factor

    def path(self, output: int) -> list[Use]:
        """Return the uses of layers with one input that lead to an output one after another."""
        made = {tensor: use for use in self.uses for tensor in use.outputs}
        found, tensor = list[Use](), self.outputs[output]
        while tensor in made:
            use = made[tensor]
            found.append(use)
            if len(use.inputs) != 1:
                break
            (tensor,) = use.inputs
        return found[::-1]

    @property
    def chain(self) -> bool:
        """Whether there are one input and one output, nothing else, and each use takes what the one before it makes."""
        made = self.inputs
        for use in self.uses:
            if use.inputs != made:
                return False
            made = use.outputs
        return len(self.inputs) == 1 and made == self.outputs and not self.extras

    def batches(self, tensors: Iterable[int]) -> str:
        """Return the shapes of batches of some tensors as text."""
        return ", ".join(str((None, *self.shapes[tensor])) for tensor in tensors)

    @cached_property
    def looked_at(self) -> list[bool]:
        """Whether the data of each input must be whole numbers, or a layer looks at them."""
        found = []
        for k, port in zip(self.inputs, self.ports, strict=True):
            looks = [type(self.layers[use.layer]).check_data is not Layer.check_data for use in self.consumers(k)]
            found.append(port.integers or any(looks))
        return found

    def takes_octets(self, k: int) -> bool:
        """Whether nobody looks at the data of an input before they are real numbers."""
        waiting = [self.inputs[k]]
        while waiting:
            for use in self.consumers(waiting.pop()):
                check = type(self.layers[use.layer]).check_data
                if check is not Layer.check_data:
                    from .layers import Flatten

                    if check is not Flatten.check_data:
                        return False
                    waiting += use.outputs
        return not self.ports[k].integers

    def look(self, k: int, name: str, x: Any) -> None:
        """Let the first layers look at the data of an input."""
        waiting = [self.inputs[k]]
        while waiting:
            for use in self.consumers(waiting.pop()):
                if self.layers[use.layer].check_data(name, x):
                    waiting += use.outputs

    def consumers(self, tensor: int) -> list[Use]:
        """Return the uses that take a tensor."""
        return [use for use in self.uses if tensor in use.inputs]

    def leading(self, tensors: Sequence[int]) -> set[int]:
        """Return the numbers of the uses on which some tensors depend as far as gradients go."""
        wanted, found = set(tensors), set()
        for k in range(len(self.uses) - 1, -1, -1):
            use = self.uses[k]
            if wanted.intersection(use.outputs) and not self.layers[use.layer].stops_gradient:
                found.add(k)
                wanted.update(use.inputs)
        return found
