"""Adapters: what makes of a feed what a framework expects.

torch.py                 PyTorch's tensors, on the GPU where one is asked for
dataloader.py            the arguments of PyTorch's DataLoader
dataloader_epoch.py      what a loop of it goes through
fetch.py                 its half in the workers; torchvision.py, the folders that are fed natively
accelerate.py            a loader for loops of Accelerate
lightning.py             a callback for Lightning, which takes the tensors as they are
transformers.py          the Trainer of Transformers takes feeds
jax.py                   JAX's arrays, sharded over devices where that is asked for
keras.py                 what Keras' `fit` takes; keras_folders.py, that of a folder
tensorflow.py            a dataset of tensors
ray.py                   batches made on other machines; ray_crew.py, the actors there; ray_datasource.py, for Ray Data
maker.py                 a local feed that is asked for its batches one by one, as an actor is
prometheus.py            what `metrics()` says, and opentelemetry.py; watched.py has what both need
ahead.py                 for what runs a batch ahead of the loop
epochs.py                for frameworks that look at a batch before they begin
waits.py                 for callbacks that log how long a loop waits

A framework is imported by its own files alone, and only when somebody asks for that; nothing imports this room.
"""
