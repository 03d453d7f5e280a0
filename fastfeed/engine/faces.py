"""The faces of a feed: a method for each framework, which loads the framework's adapter when it is called."""

from __future__ import annotations

from typing import Any


class Faces:
    """What `Feed` offers to frameworks."""

    def to_torch(self: Any, device: object = None, pin_memory: bool = False) -> Any:
        """Return this feed as one of PyTorch tensors; `fastfeed.torch.TorchFeed` says what the options mean."""
        import fastfeed

        return fastfeed.torch.TorchFeed(self, device, pin_memory)

    def to_jax(self: Any, sharding: object = None) -> Any:
        """Return this feed as one of JAX arrays; `fastfeed.jax.JaxFeed` says what the option means."""
        import fastfeed

        return fastfeed.jax.JaxFeed(self, sharding)
