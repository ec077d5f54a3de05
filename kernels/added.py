"""Rows that are added at run time: what their expressions say about the operands of their kernels."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

__all__ = ["AddedOperands", "operands_of"]


class AddedOperands(NamedTuple):
    """What the expressions of a row say about its operands.

    Attributes
    ----------
    over : {"elements", "rows"}
        Whether sums, means or maxima of rows are taken, or an operand has one number for each row.
    inputs : tuple of str
        Of the forward kernel. What ends with "_row" has one number for each row.
    by : tuple of str
        Those by which there are gradients.
    result : {"n", "1", ""}
        The last axis of an output, or of the losses; "" where it has none.
    """

    over: str = "elements"
    inputs: tuple[str, ...] = ("x",)
    by: tuple[str, ...] = ("x",)
    result: str = "n"

    def signatures(self, family: str) -> tuple[str, str]:
        """Return those of the forward and of the backward kernel."""
        full = "[n]" if self.over == "elements" else "[batch,n]"

        def typed(*names: str) -> str:
            # the kernel `chain` has those of elements first
            return ", ".join(
                f"{name}{'[batch,1]' if name.endswith('_row') else full}"
                for name in sorted(names, key=lambda name: name.endswith("_row"))
            )

        result = {"n": full, "1": "[batch,1]", "": "[batch]"}[self.result]
        inputs, gradients = typed(*self.inputs), typed(*(f"d{name}" for name in self.by))
        if family == "loss":
            return f"{inputs} -> elements{result}, loss[]", f"{inputs} -> {gradients}"
        dy = f"dy{result}"
        given = (dy, inputs) if self.result == "n" else (inputs, dy)
        return f"{inputs} -> y{result}", f"{', '.join(given)} -> {gradients}"


def operands_of(family: str, forward: str, backward: str) -> AddedOperands:
    """Return what expressions say about the operands of their kernels.

    Parameters
    ----------
    family : {"activation", "layer", "loss"}
    forward, backward : str
        As `add_row` takes them.

    Returns
    -------
    AddedOperands

    Examples
    --------
    >>> operands_of("layer", "y = x1 * x2", "dx1 = dy * x2; dx2 = dy * x1").signatures("layer")
    ('x1[n], x2[n] -> y[n]', 'dy[n], x1[n], x2[n] -> dx1[n], dx2[n]')
    """
    trees = [ast.parse(expression) for expression in (forward, backward)]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    calls = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    by: tuple[str, ...] = ("x",)
    inputs, result = by, "n"
    if family == "layer":
        found = {name for name in names if re.fullmatch(r"dx([1-9]\d?)?", name)}
        by = inputs = tuple(sorted((name[1:] for name in found), key=_number)) or by
        last = trees[0].body[-1:]
        result = _result(ast.unparse(last[0].value)) if last and isinstance(last[0], ast.Assign) else "n"
    elif family == "loss":
        matches = (re.fullmatch(r"d?(y_(pred|true)[1-9]\d?(_row)?)", name) for name in names)
        several = {match[1] for match in matches if match}
        inputs = tuple(sorted(several, key=lambda name: (name[:6], _number(name)))) or ("y_pred", "y_true")
        by = tuple(name for name in inputs if name.startswith("y_pred"))
        result = "" if "len" in calls else "n"
    rows = result != "n" or any(name.endswith("_row") for name in inputs)
    rows = rows or any(isinstance(node, ast.keyword) and node.arg == "axis" for node in nodes)
    return AddedOperands("rows" if rows else "elements", inputs, by, result)


def _number(name: str) -> int:
    """Return the number that a name has, 0 where it has none."""
    return int("".join(filter(str.isdigit, name)) or 0)


def _result(value: str) -> str:
    """Return the last axis of what a layer's last statement assigns."""
    return "1" if value.endswith("[:, 0][:, None]") else "" if value.endswith("[:, 0]") else "n"
