"""Adapters: what makes of a feed what a framework expects.

`torch.py` gives PyTorch's tensors, on the GPU where one is asked for. `dataloader.py` has the arguments of PyTorch's
DataLoader, `fetch.py` is its half in the workers, `torchvision.py` finds the folders that are fed natively. `jax.py`
gives JAX's arrays, sharded over devices where that is asked for; `keras.py` what Keras' `fit` takes,
`keras_folders.py` that of a folder; `tensorflow.py` a dataset of tensors. `epochs.py` is for frameworks that look at a
batch before they begin, `ahead.py` for what runs a batch ahead of the loop. `prometheus.py` and `opentelemetry.py` show
what `metrics()` says to these; what both need is in `watched.py`; `waits.py` is for callbacks that log it. A framework
is imported by its own files alone, and only when somebody asks for that; nothing imports this room.
"""
