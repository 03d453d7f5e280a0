"""Images: files and encoded bytes to rows of a batch.

images.py       the door and its job           (consumer)
transforms.py   what the user asks for         (consumer)
plan.py         the same, packed for the kernel   (consumer)
worker.py       the process                    (worker; needs no NumPy)
finish.py       what only Python can do to a row: PIL, the user's callables   (worker, or consumer with num_workers=0)
decode.py       PIL, and only here             (worker, or consumer with num_workers=0)
limits.py       what PIL is not asked for      (worker, or consumer with num_workers=0)

The pixels are made in csrc/image.
"""
