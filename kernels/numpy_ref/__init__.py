"""The reference: every kernel as a plain NumPy function. These are the definitions.

A function takes the inputs of its row in order, the attributes by name, and returns the outputs
in order (one array, or a tuple). It changes none of its inputs.
"""
