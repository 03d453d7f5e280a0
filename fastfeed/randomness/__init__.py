"""Random numbers of the user's code: what they begin from, and what is seeded at all.

seeds.py     seeding by key, and random states kept apart from those of the process       (worker, and consumer)
search.py    generators that a callable holds: in closures, globals, attributes, arguments  (worker, and consumer)

What is drawn for an item depends on (seed, epoch, item), and on no worker, chunk or order.  The global generators of
`random`, NumPy and torch begin there; a generator that a callable holds begins there and from its own state as it was
handed over, so that two of them differ as they do without workers.  torch is touched only where it is loaded already.
"""
