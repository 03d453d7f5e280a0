"""Tools: what is run beside a feed, or in its place to compare; nothing imports them.

cli.py      the command line
doctor.py   what fastfeed finds on this machine, and what to change
replay.py   the same batches again and again: a loop that waits for nobody
show.py     a sheet of what the augmentation does
pixels.py   images of a batch, back as pixels
sheet.py    pictures side by side, each over its caption
written.py  transforms as they are written on a command line
bench/      fastfeed beside what people have today
"""
