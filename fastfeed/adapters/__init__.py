"""Adapters: the face of a feed that a framework expects.

`torch.py` gives PyTorch's tensors, on the GPU where one is asked for; what other adapters need as well is in
`ahead.py`.  A framework is imported by its own file alone, and only when somebody asks for that; nothing imports this
room.
"""
