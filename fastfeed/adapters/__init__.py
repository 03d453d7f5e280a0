"""Adapters: what makes of a feed what a framework expects.

`torch.py` gives PyTorch's tensors, on the GPU where one is asked for; `jax.py` gives JAX's arrays, sharded over devices
where that is asked for; `keras.py` what Keras' `fit` takes; `tensorflow.py` a dataset of tensors. `epochs.py` is for
frameworks that look at a batch before they begin, `ahead.py` for what runs a batch ahead of the loop. `prometheus.py`
and `opentelemetry.py` show what `metrics()` says to these; what both need is in `watched.py`; `waits.py` is for
callbacks that log it. `ray.py` gives a feed whose batches are made on other machines: `ray_crew.py` has the actors
there, each with a `maker.py`, a local feed that is asked for its batches one by one; `ray_datasource.py` is for Ray
Data. A framework is imported by its own files alone, and only when somebody asks for that; nothing imports this room.
"""
