"""The one walk over nested values: what has members, what they are called, and the same again with other members.

    node    a tuple, a dict, an instance of a dataclass, of whatever class; a list where a caller asks
    key     a position in a tuple or list, the name of a named tuple's or dataclass's field, a dict's key
    leaf    everything else, an array among it

A dataclass that is a dict is a dict; attributes in which a dict has its items go with these.  Nothing is constructed:
what is made anew has the class and the members, and no ``__init__`` or ``__setitem__`` has looked at them.
"""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any


def is_leaf(value: Any, lists: bool = False) -> bool:
    """Whether a value has no members to walk to."""
    if isinstance(value, (tuple, dict)) or (lists and isinstance(value, list)):
        return False
    kind: Any = type(value)
    return _field_names(kind) is None


def keys(node: Any) -> Any:
    """Return the keys of a node's members, in order; those of two nodes with the same keys compare equal."""
    if isinstance(node, dict):
        return node.keys()
    if isinstance(node, (tuple, list)):
        return getattr(node, "_fields", None) or range(len(node))
    kind: Any = type(node)
    names = _field_names(kind) or ()
    for name in names:
        if not hasattr(node, name):  # a field that was never set is no member
            return tuple(name for name in names if hasattr(node, name))
    return names


def members(node: Any) -> Iterable[Any]:
    """Return a node's members, in the order of its keys."""
    if isinstance(node, dict):
        return node.values()
    if isinstance(node, (tuple, list)):
        return node
    return [getattr(node, name) for name in keys(node)]


def items(node: Any) -> Iterable[tuple[Any, Any]]:
    """Return (key, member) for each of a node's members."""
    if isinstance(node, dict):
        return node.items()
    if isinstance(node, (tuple, list)):
        return zip(keys(node), node)  # noqa: B905
    return [(name, getattr(node, name)) for name in keys(node)]


def columns(nodes: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """Return, key by key of the first node, the members that all nodes have there; their keys are alike."""
    first = nodes[0]
    if isinstance(first, dict):
        return ([node[key] for node in nodes] for key in first)
    if isinstance(first, (tuple, list)):
        return zip(*nodes)  # noqa: B905  the callers have compared keys
    return ([getattr(node, name) for node in nodes] for name in keys(first))


def like(node: Any, members: Iterable[Any]) -> Any:
    """Return a node of this one's class with other members, given in the order of its keys."""
    kind = type(node)
    if kind is tuple:
        return tuple(members)
    if isinstance(node, tuple):
        members = tuple(members)
        try:
            made: Any = tuple.__new__(kind, members)
        except TypeError:  # a class of C's with a layout of its own, such as time.struct_time
            return members
        if attributes := getattr(node, "__dict__", None):
            made.__dict__.update(attributes)
        return made
    if kind is dict:
        return dict(zip(node, members))  # noqa: B905
    if isinstance(node, list):
        made = shallow(node)
        list.__setitem__(made, slice(None), members)
        return made
    if isinstance(node, dict):
        made = shallow(node)
        for key, member in zip(node, members):  # noqa: B905
            put(made, key, member)
        return made
    made = _new(kind)
    for name, member in zip(keys(node), members):  # noqa: B905
        object.__setattr__(made, name, member)
    return made


def put(node: Any, key: Any, member: Any) -> None:
    """Replace a member of a dict, a list or a dataclass, even of one that lets nobody do so."""
    if isinstance(node, list):
        list.__setitem__(node, key, member)
    elif isinstance(node, dict):
        attributes = getattr(node, "__dict__", None)
        if attributes and attributes.get(key, node) is dict.__getitem__(node, key):  # it has its items as attributes
            attributes[key] = member
        dict.__setitem__(node, key, member)
    else:
        object.__setattr__(node, key, member)


def shallow(node: Any) -> Any:
    """Return a node of the same class with the same members; what is no member, but an attribute, goes with it."""
    if type(node) in (dict, list, set, bytearray):
        return node.copy()
    import copy

    made = node
    with suppress(Exception):  # a class may refuse, as does a frozen one with slots while a field is not set
        made = copy.copy(node)
    if made is node:  # what cannot be copied becomes a plain dict or list; a dataclass loses what is no field
        plain = next((kind for kind in (dict, list, set, bytearray) if isinstance(node, kind)), None)
        return like(node, members(node)) if plain is None else plain(node)
    if getattr(node, "__dict__", None) is node:  # attributes and items of such a dict are one
        made.__dict__ = made
    return made


def mapped(value: Any, function: Callable[[Any], Any], lists: bool = False) -> Any:
    """Return the same structure with ``function(leaf)`` in place of each leaf."""
    kind = type(value)
    if kind is dict:
        return {key: mapped(member, function, lists) for key, member in value.items()}
    if kind is tuple:
        return tuple([mapped(member, function, lists) for member in value])
    if is_leaf(value, lists):
        return function(value)
    return like(value, [mapped(member, function, lists) for member in members(value)])


def mapped_by_path(value: Any, function: Callable[[tuple[Any, ...], Any], Any], path: tuple[Any, ...] = ()) -> Any:
    """Return the same structure with ``function(path, leaf)`` in place of each leaf; a path is the keys down to it."""
    kind = type(value)
    if kind is dict:
        return {key: mapped_by_path(member, function, (*path, key)) for key, member in value.items()}
    if kind is tuple:
        return tuple([mapped_by_path(member, function, (*path, at)) for at, member in enumerate(value)])
    if is_leaf(value):
        return function(path, value)
    return like(value, [mapped_by_path(member, function, (*path, key)) for key, member in items(value)])


def leaves(value: Any, lists: bool = False) -> Iterator[Any]:
    """Yield the leaves, in order."""
    if is_leaf(value, lists):
        yield value
    else:
        for member in members(value):
            yield from leaves(member, lists)


def paths(value: Any, lists: bool = False, where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each leaf with its place as one would write it: ``(".image[0]['mask']", leaf)``; "" for a lone leaf."""
    if is_leaf(value, lists):
        yield where, value
    else:
        for key, member in items(value):
            yield from paths(member, lists, where + step(value, key))


def step(node: Any, key: Any) -> str:
    """Return a key as one would write it behind its node."""
    if isinstance(node, dict):
        return f"[{key!r}]"
    return f".{key}" if isinstance(key, str) else f"[{key}]"


@lru_cache(maxsize=256)  # to ask a class for what it does not have takes longer than all else about a leaf
def _field_names(kind: Any) -> tuple[str, ...] | None:
    """Return the names of a dataclass's fields, None for another class."""
    if not hasattr(kind, "__dataclass_fields__"):
        return None
    import dataclasses

    return tuple(field.name for field in dataclasses.fields(kind))


def _new(kind: Any) -> Any:
    """Return an instance of a class that nothing has initialised."""
    try:
        return object.__new__(kind)
    except TypeError:  # its base is a class of C's, such as Exception
        return kind.__new__(kind)
