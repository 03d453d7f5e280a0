# Items of the user's iterator, each kept as it is when it comes.


cdef extern from "Python.h":
    PyObject *PyIter_Next(object iterator) except? NULL


def pull(iterator, list chunk not None, Py_ssize_t count, frozenset fixed not None, keep, array):
    """Append the next items of an iterator, `count` at most: ``keep(item)`` unless its type is `fixed`.

    An instance of the class `array` is appended itself where nobody else refers to it, nor it to other memory.
    What came before an exception has been appended.  `keep` may be None.
    """
    cdef PyObject *got
    cdef object item, last = None  # the last type that was found to be fixed
    while count > 0:
        got = PyIter_Next(iterator)
        if got == NULL:
            return
        item = <object>got
        Py_DECREF(item)
        if type(item) is not last and keep is not None:
            if type(item) in fixed:
                last = type(item)
            elif type(item) is not array or Py_REFCNT(item) > 1 or not item.flags.owndata:
                item = keep(item)
        chunk.append(item)
        count -= 1
