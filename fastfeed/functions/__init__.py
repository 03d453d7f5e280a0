"""Functions: the user's Python, run by workers.

map.py  parallel.py  prefetch.py      the doors                                 (consumer)
job.py  chunks.py  streams.py         units of Python work as the feed's job    (consumer)
queues.py                             the queues that a source may wait for     (consumer)
delivered.py                          what of a sequence the loop has had       (consumer)
spec.py                               the caller, packed and unpacked           (both)
caller.py  chunk_caller.py            what is done with a unit                  (worker, or consumer with num_workers=0)
stream_caller.py                      the same for generators                   (worker, or consumer with num_workers=0)
worker.py                             the process                               (worker)

A unit is a chunk of items, a run of a split argument, or the next item of a stream.  It goes to the worker as a
payload in a slot, and the reply comes back in the same slot.
"""
