"""The faces of a feed: what it says of itself, and for each framework a method that loads the adapter when called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from fastfeed.engine.job import Outline
from fastfeed.engine.summary import said_workers, summary_of


class Faces:
    """What `Feed` offers to frameworks."""

    def __repr__(self) -> str:
        # Keras, say, prints an argument that it does not know, and should say what to pass.
        faces = "for a framework, pass feed.to_keras(), feed.to_tf(), feed.to_jax() or feed.to_torch()"
        return f"<fastfeed.Feed: {self.summary()}; {faces}>"

    def summary(self: Any) -> str:
        """What is fed, in what batches, by how many workers, and where the loop stands, in a line.

        Nothing is started for it, and no source is asked for anything but its length.
        """
        makers = "closed" if self._turns.closed else self.makers()
        return summary_of(self.job, makers, self._turns.waiting())

    def makers(self: Any) -> str:
        """Who makes the batches, in words."""
        return said_workers(self._workers)

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
