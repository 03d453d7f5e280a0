"""Ahead: what every adapter has, and batches that are on their way to a device while the loop works on one.

feed --next--> started --one batch waits--> the loop
|                        |
feed's state after it      becomes the adapter's when the loop is given the batch
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fastfeed.errors import ConfigError, FeedClosed
from fastfeed.interrupt import interrupts

if TYPE_CHECKING:
    from typing import Self

    from fastfeed.engine.feed import Feed

T = TypeVar("T")


class Adapter:
    """A feed as loops of other frameworks know their loaders: a length, epochs, a state, an end.

    Parameters
    ----------
    feed : Feed
        What to feed; stays usable, but not while this is iterated.

    Attributes
    ----------
    reached : dict or None
        The state of the loop while the feed is ahead of it.
    """

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.reached: dict[str, Any] | None = None
        self._loaded: dict[str, Any] | None = None  # where the feed was told to go on

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.feed.summary()}>"

    def __len__(self) -> int:
        return len(self.feed)

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be this epoch, also that of an iterator which has not been stepped yet.

        Loops count epochs by themselves, and say so after loading, too: where a loaded state is in that epoch, or
        further on, and nothing has been taken since, the iteration goes on there.
        """
        loaded = self._loaded
        if loaded is None or epoch > loaded["epoch"] or self.feed.state_dict() != loaded:
            self._loaded = self.reached = None
            self.feed.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Where the loop stands: behind the batch that it was given last, though the feed is a batch ahead of it."""
        return self.feed.state_dict() if self.reached is None else self.reached

    def load_state_dict(self, state: dict[str, Any] | list[dict[str, Any]]) -> None:
        """Let the next iteration go on where a state was taken, or those of all ranks; an empty one changes nothing.

        Raises
        ------
        ConfigError
            If the state was taken from another feed.
        """
        if state != {}:
            self.feed.load_state_dict(state)
            self.reached = None
            self._loaded = self.feed.state_dict()

    def close(self) -> None:
        """Close the feed.  What you keep stays valid."""
        self.feed.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class Ahead(Generic[T]):
    """One iteration, one batch ahead of the loop.

    Parameters
    ----------
    adapter : Adapter
        Whose state is where the loop stands.
    started : generator
        Takes batches of the adapter's feed, and yields each when it is on its way.  Nothing is taken before the first
        step.
    """

    def __init__(self, adapter: Adapter, started: Generator[T, None, None]) -> None:
        self._adapter = adapter
        self._started = started
        self._waiting: deque[tuple[T, dict[str, Any] | None]] = deque()  # with the feed's state after it
        self._resumes: bool | None = None  # not known before it begins
        self._over = self._closed = False
        self._failure: Exception | None = None

    @property
    def at_end(self) -> bool:
        """Whether the loop has been given the last batch, and no failure follows."""
        return self._over and not self._waiting and self._failure is None

    def start(self) -> None:
        """Have the first batch on its way."""
        if self._resumes is None:
            self._pull()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        while len(self._waiting) <= 1 and not self._over:
            self._pull()
        if self._waiting:
            moved, self._adapter.reached = self._waiting.popleft()
            return moved
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        if not self._closed:
            self._adapter.reached = None
        raise StopIteration

    def _pull(self) -> None:
        feed = self._adapter.feed
        if self._resumes is None:
            self._adapter.reached = state_of(feed)
            self._resumes = self._adapter.reached is not None
        try:
            moved = next(self._started)
        except StopIteration:
            self._over = True
        except Exception as error:
            self._over = True
            if isinstance(error, FeedClosed) or interrupts(error):
                self.close()
                raise
            self._failure = error  # what came before it is delivered first
        else:
            self._waiting.append((moved, feed.state_dict() if self._resumes else None))

    def close(self) -> None:
        """End the iteration."""
        self._over = self._closed = True
        self._waiting.clear()
        self._started.close()


def state_of(feed: Feed) -> dict[str, Any] | None:
    """Return where a feed stands, None where it cannot say, for want of a schedule."""
    try:
        return feed.state_dict() or None
    except ConfigError:
        return None
