"""fastbp beside other libraries, on the same work, in one process and in strict alternation."""
