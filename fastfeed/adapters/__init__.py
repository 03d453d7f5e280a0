"""Adapters: the face of a feed that a framework expects.

`torch.py` gives PyTorch's tensors, on the GPU where one is asked for.  `prometheus.py` and `opentelemetry.py` show what
`metrics()` says to these; `watched.py` is what both have in common.  A framework is imported by its own file alone, and
only when somebody asks for that; nothing imports this room.
"""
