"""Programs: a train step or a prediction as a flat list of kernel calls over planned memory.

A `Program` is made of `Buffer` objects and `Call` objects; layers, losses and optimizers add to it with
`Program.call`. It says what is computed and where, never how: a backend's executor runs it.
"""

from .build import Program
from .ir import BATCH, ROWS, Buffer, Call, CallError, Length, ProgramError
from .plan import Plan

__all__ = ["BATCH", "ROWS", "Buffer", "Call", "CallError", "Length", "Plan", "Program", "ProgramError"]
