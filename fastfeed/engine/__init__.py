"""The engine: feeds whatever is fed.  It knows slots, workers and waiting; it knows no images, no pickle and no NumPy.

    job --unit--> feed.py --> ring.py --words--> workers        crew.py starts, watches and ends them

A room of work gives the engine a job (`feed.Job`) and a kind of worker (`boot.WorkerKind`); the engine does the rest.

feed.py     the consumer's loop: open, wait, deliver        stats.py   what happened, and which side is slow
ring.py     slots and their books                           memory.py  pages that exist before anybody stores to them
crew.py     worker processes: start, watch, restart, stop   boot.py    what consumer and worker agree on at the start

Words: slot (memory of one batch or payload), cell (rows of a slot that one worker claims), lease (what keeps a slot
from being used again), crew (the workers of one feed), unit (what fills one slot).
"""
