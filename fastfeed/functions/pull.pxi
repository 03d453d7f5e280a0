# Items of the user's iterator, each kept as it is when it comes.


cdef object NO_MORE = object()


def pull(iterator, list chunk not None, Py_ssize_t count, frozenset fixed not None, keep, array):
    """Append the next items of an iterator, `count` at most: ``keep(item)`` unless its type is `fixed`.

    An instance of the class `array` is appended itself where nobody else refers to it, nor it to other memory.
    What came before an exception has been appended.  `keep` may be None.
    """
    while count > 0:
        item = next(iterator, NO_MORE)
        if item is NO_MORE:
            return
        if keep is not None and type(item) not in fixed:
            if type(item) is not array or Py_REFCNT(item) > 1 or not item.flags.owndata:
                item = keep(item)
        chunk.append(item)
        count -= 1
