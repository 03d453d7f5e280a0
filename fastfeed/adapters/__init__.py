"""Adapters: what makes of a feed what a framework expects.

`torch.py` gives PyTorch's tensors, on the GPU where one is asked for; `jax.py` gives JAX's arrays, sharded over devices
where that is asked for; what all adapters need is in `ahead.py`.  `maker.py` is a local feed that is asked for its
batches one by one, for adapters whose loop is elsewhere.  A framework is imported by its own file alone, and only when
somebody asks for that; nothing imports this room.
"""
