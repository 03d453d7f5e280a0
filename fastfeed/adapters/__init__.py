"""Adapters: the face of a feed that a framework expects.

`torch.py` gives PyTorch's tensors, on the GPU where one is asked for.  `dataloader.py` has the arguments of PyTorch's
DataLoader, and `fetch.py` is its half in the workers; `torchvision.py` finds the folders that can be fed natively.  A
framework is imported by its own files alone, and only when somebody asks for that; nothing imports this room.
"""
