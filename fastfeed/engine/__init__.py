"""The engine: feeds whatever is fed.  It knows slots, workers and waiting; it knows no images, no pickle and no NumPy.

    job --unit--> feed.py --> ring.py --words--> workers        crew.py starts, watches and ends them

A room of work gives the engine a job (`job.Job`) and a kind of worker (`boot.WorkerKind`); the engine does the rest.

job.py       what a room of work must say                    stats.py   what happened, and which side is slow
feed.py      the consumer's loop: open, wait, deliver        memory.py  memfds: made, sealed, grown, refused in words
ring.py      slots, their books, and all shared words        boot.py    what consumer and worker agree on at the start
crew.py      worker processes: start, watch, restart, stop   death.py   one worker's end, in words
recovery.py  who died on what, and how work goes on          turn.py    which loop may go on, and who waits for whom
fork.py      what a forked child does with all this          payload.py  a ring whose slots grow to what they carry
unit.py      the units of one iteration, pulled one by one   launch.py  how a worker is launched
metrics.py   the names by which others know the stats        clock.pxi  where the consumer's time went
faces.py     what a feed offers to frameworks                summary.py  what a feed says of itself in a line
notebook.py  what a notebook shows of the stats

Words: slot (memory of one batch or payload), cell (rows of a slot that one worker claims), lease (what keeps a slot
from being used again), crew (the workers of one feed), unit (what fills one slot).
"""
