"""Adapters: what makes of a feed what a framework expects.

`torch.py` gives PyTorch's tensors, on the GPU where one is asked for; `accelerate.py` makes of them a loader for loops
of Accelerate, and `transformers.py` has the Trainer of Transformers take feeds.  `jax.py` gives JAX's arrays, sharded
over devices where that is asked for.  What all adapters need is in `ahead.py`.  A framework is imported by its own file
alone, and only when somebody asks for that; nothing imports this room.
"""
