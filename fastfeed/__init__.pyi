from fastfeed.arrays import arrays as arrays
from fastfeed.collate import pad as pad
from fastfeed.errors import (
    ConfigError as ConfigError,
    FastfeedError as FastfeedError,
    FeedClosed as FeedClosed,
    RingMemoryError as RingMemoryError,
    SampleError as SampleError,
    WorkerDied as WorkerDied,
    WorkerError as WorkerError,
)
from fastfeed.feed import Feed as Feed
from fastfeed.images import images as images
from fastfeed.map import map as map
from fastfeed.parallel import parallel as parallel
from fastfeed.prefetch import prefetch as prefetch
from fastfeed.source import files as files
from fastfeed.stats import Stats as Stats
from fastfeed.transforms import (
    CenterCrop as CenterCrop,
    ColorJitter as ColorJitter,
    Normalize as Normalize,
    RandomAffine as RandomAffine,
    RandomHorizontalFlip as RandomHorizontalFlip,
    RandomResizedCrop as RandomResizedCrop,
    RandomVerticalFlip as RandomVerticalFlip,
    Resize as Resize,
)

__version__: str
