from fastfeed import (
    accelerate as accelerate,
    jax as jax,
    keras as keras,
    lightning as lightning,
    opentelemetry as opentelemetry,
    prometheus as prometheus,
    ray as ray,
    tensorflow as tensorflow,
    torch as torch,
    transformers as transformers,
)
from fastfeed.collate.pad import pad as pad
from fastfeed.engine.feed import Feed as Feed
from fastfeed.engine.stats import Stats as Stats
from fastfeed.errors import (
    ConfigError as ConfigError,
    FastfeedError as FastfeedError,
    FeedClosed as FeedClosed,
    RingMemoryError as RingMemoryError,
    SampleError as SampleError,
    WorkerDied as WorkerDied,
    WorkerError as WorkerError,
)
from fastfeed.functions.map import map as map
from fastfeed.functions.parallel import parallel as parallel
from fastfeed.functions.prefetch import Prefetch as Prefetch, PrefetchStats as PrefetchStats, prefetch as prefetch
from fastfeed.image.images import images as images
from fastfeed.image.transforms import *
from fastfeed.schedule.weights import Weights as Weights
from fastfeed.sources.choose import files as files
from fastfeed.table.arrays import arrays as arrays
from fastfeed.tools.replay import replay as replay
from fastfeed.tools.show import show as show

__version__: str
