"""The wire: how values cross between processes.  Loaded on both sides.

frame.py      any value as bytes: pickle protocol 5, its buffers laid out behind it
byvalue.py    functions and classes that the other side cannot import
memmap.py     arrays that are files travel by the name of the file
snapshot.py   values as they are now, whatever becomes of the buffers that they were made in

What a worker imports from here is start-up time, so everything beyond `pickle` is imported where it is used.
"""
