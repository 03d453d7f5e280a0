"""Adapters: what makes of a feed what a framework expects.

`torch.py` gives PyTorch's tensors, on the GPU where one is asked for; `jax.py` gives JAX's arrays, sharded over devices
where that is asked for; what all adapters need is in `ahead.py`.  `ray.py` gives a feed whose batches are made on other
machines: `ray_crew.py` has the actors there, each with a `maker.py`, a local feed that is asked for its batches one by
one; `ray_datasource.py` is for Ray Data.  A framework is imported by its own files alone, and only when somebody asks
for that; nothing imports this room.
"""
