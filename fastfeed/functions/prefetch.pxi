# The wall for prefetch in the consumer: what no interrupt may split.


def taken(get, put):
    """Return what get() gives and call put(None) for it; no signal's handler runs in between, as it would in Python."""
    item = get()
    put(None)
    return item
