"""The faces of a feed: a method for each framework, which loads the framework's adapter when it is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from fastfeed.engine.job import Outline


class Faces:
    """What `Feed` offers to frameworks."""

    def __repr__(self) -> str:
        # What Keras, say, prints of an argument that it does not know.
        return "<fastfeed.Feed: for a framework, pass feed.to_keras(), feed.to_tf(), feed.to_jax() or feed.to_torch()>"

    def __getitem__(self, index: object) -> NoReturn:
        """Say what to do instead: whoever asks takes the feed for a data set, as PyTorch's DataLoader does."""
        raise TypeError(
            "a feed is no data set with samples to take by index, but yields batches: use feed.to_torch() in place of "
            "DataLoader(feed); fastfeed.transformers.TrainerMixin lets a Trainer take feeds"
        )

    def to_torch(self: Any, device: object = None, pin_memory: bool = False) -> Any:
        """Return this feed as one of PyTorch tensors; `fastfeed.torch.TorchFeed` says what the options mean."""
        import fastfeed

        return fastfeed.torch.TorchFeed(self, device, pin_memory)

    def to_keras(self: Any, class_weight: Mapping[int, float] | None = None) -> Any:
        """Return this feed as what Keras' fit, evaluate and predict take; see `fastfeed.keras.keras_feed`."""
        import fastfeed

        return fastfeed.keras.keras_feed(self, class_weight)

    def to_tf(self: Any, output_signature: Any = None) -> Any:
        """Return this feed as a `tf.data.Dataset`; see `fastfeed.tensorflow.dataset`."""
        import fastfeed

        return fastfeed.tensorflow.dataset(self, output_signature)

    def to_jax(self: Any, sharding: object = None) -> Any:
        """Return this feed as one of JAX arrays; `fastfeed.jax.JaxFeed` says what the option means."""
        import fastfeed

        return fastfeed.jax.JaxFeed(self, sharding)

    def outline(self: Any) -> Outline:
        """What is known of the batches before the first is made, for an adapter."""
        known: Outline = self.job.outline()
        return known
