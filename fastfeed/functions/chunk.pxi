# A function on the items of a chunk.


def apply(function, list items not None, list results not None, frozenset fixed not None, keep):
    """Append what a function returns for each item: ``keep(result, number)`` unless its type is `fixed`.

    What came before an exception has been appended.  `keep` may be None.
    """
    cdef object last = None  # the last type that was found to be fixed
    for item in items:
        result = function(item)
        if keep is not None and type(result) is not last:
            if type(result) in fixed:
                last = type(result)
            else:
                result = keep(result, len(results))
        results.append(result)
