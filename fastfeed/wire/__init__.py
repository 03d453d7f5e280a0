"""The wire: how values cross between processes.  Loaded on both sides.

frame.py        any value as bytes: pickle protocol 5, its buffers laid out behind it
arena.py        memory of a frame that is yet to be written
byvalue.py      functions and classes that the other side cannot import
callables.py    the user's functions, and what they need in a worker
interpreter.py  the consumer's interpreter, for a worker that is to be like it
failure.py      what the user's code raised, with its traceback
row_failure.py  the same, where it must fit into the row that failed
obstacle.py     what in a value cannot travel, and where it is
tensors.py      PyTorch's tensors, as arrays
memmap.py       arrays that are files travel by the name of the file
snapshot.py     values as they are now, whatever becomes of the buffers that they were made in

What a worker imports from here is start-up time, so everything beyond `pickle` is imported where it is used.
"""
