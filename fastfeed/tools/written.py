"""Transforms as they are written on a command line: ``RandomResizedCrop(224), Normalize((0.5,), (0.5,))``.

The text is read as Python is, and nothing of it is run: names are looked up among the public transforms, and arguments
are numbers, strings, True, False, None, and tuples and lists of these.
"""

from __future__ import annotations

import ast
from typing import Any

from fastfeed import options
from fastfeed.image import transforms

_AS_IN = 'as in "RandomResizedCrop(224), RandomHorizontalFlip()"'


def transforms_of(text: str) -> list[Any]:
    """Return the transforms that a text names, in order.

    Raises
    ------
    ConfigError
        Text that is no list of transforms, a transform that there is not, arguments that it does not take.
    """
    try:
        written = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        why = error.msg if isinstance(error, SyntaxError) else "it cannot be read"
        raise options.wrong("transforms", text, f"pass transforms {_AS_IN}: {why}") from error
    return [_transform_of(each) for each in (written.elts if isinstance(written, ast.Tuple | ast.List) else [written])]


def _transform_of(node: ast.expr) -> Any:
    text = ast.unparse(node)
    if isinstance(node, ast.Name) and node.id in transforms.__all__:
        raise options.wrong("transforms", text, f"pass {text}(...), with its arguments, {_AS_IN}")
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise options.wrong("transforms", text, f"pass transforms {_AS_IN}")
    name = node.func.id
    if name not in transforms.__all__:
        raise options.wrong("transforms", text, f"pass one of {', '.join(transforms.__all__)}")
    args = [_value_of(each, text) for each in node.args]
    named = {each.arg or "**": _value_of(each.value, text) for each in node.keywords}
    try:
        return getattr(transforms, name)(*args, **named)
    except TypeError as error:
        why = str(error).replace(f"{name}.__init__()", name)
        raise options.wrong("transforms", text, f"pass the arguments of {name}: {why}") from error


def _value_of(node: ast.expr, text: str) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        remedy = f"pass numbers, strings and tuples of them as arguments, and not {ast.unparse(node)}"
        raise options.wrong("transforms", text, remedy) from error
