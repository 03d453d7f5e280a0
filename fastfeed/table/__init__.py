"""Tables: rows of arrays, picked by index into batches.

arrays.py    the door and its job      (consumer)
columns.py   arrays as tables that workers can share: in files where they are files already, otherwise in a memfd
worker.py    the process               (worker; needs no NumPy)

The rows are copied in csrc/table.
"""
