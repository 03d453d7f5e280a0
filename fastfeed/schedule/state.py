"""Saved states: a position as plain values, and back.

What is left of an epoch is said in positions of the whole order, so that a state holds for any number of ranks, workers
and samples in a batch: all ranks deliver one run of positions together in each step, so any rank's state restores all.
Where delivery is unordered each of several ranks has overtaken in its own way; then a rank's state says which batches
it has been dealt, which restores that rank, and those of all ranks together restore any others.
"""

from __future__ import annotations

from typing import Any

from fastfeed.errors import ConfigError
from fastfeed.schedule.progress import Position, Progress
from fastfeed.schedule.rest import Rest, compressed
from fastfeed.schedule.sampler import SamplerOrder
from fastfeed.schedule.schedule import Schedule

VERSION = 1
_FOREIGN = "load_state_dict: this is not what state_dict() returned; pass that, unchanged"


def saved(position: Position, schedule: Schedule, of: dict[str, Any], ordered: bool) -> dict[str, Any]:
    """Return a position as plain values; `of` is what it depends on."""
    alone = schedule.world == 1
    progress = position.progress or [Progress()]
    state: dict[str, Any] = {"version": VERSION, "epoch": position.epoch}
    if ordered or alone:
        state["left"] = [_as_list(_left(each, schedule)) for each in progress]
    else:
        state["left"] = [_as_list(each.rest) for each in progress]
        state["dealt"] = {
            "rank": schedule.rank,
            "world": schedule.world,
            "batch_size": schedule.step,
            "batches": [[each.first, *sorted(each.ahead)] for each in progress],
        }
    if isinstance(schedule.order, SamplerOrder):
        state["seen"] = [list(each.seen) for each in progress]
    return {**state, "of": of}


def loaded(state: Any, schedule: Schedule, of: dict[str, Any]) -> Position:
    """Return the position that a state says, or a list of the states of all ranks.

    Raises
    ------
    ConfigError
        If it is no state, that of another feed, or one of several that are needed.
    """
    states = list(state) if isinstance(state, list | tuple) and state else [state]
    for each in states:
        _check(each)
        _check_of(each["of"], of)
        if any(start > schedule.length for start, *_ in each["left"]):
            raise ConfigError(_FOREIGN)
    if len(states) > 1:
        return _merged(states, schedule)
    (state,) = states
    dealt = state.get("dealt")
    progress = [Progress(_rest(*left)) for left in state["left"]]
    if dealt is not None:
        here = (schedule.rank, schedule.world, schedule.step)
        there = (dealt["rank"], dealt["world"], dealt["batch_size"])
        if here != there:
            raise ConfigError(
                f"this is the state of rank {there[0]} of {there[1]} with batch_size={there[2]}, taken with "
                f"ordered=False, and this is rank {here[0]} of {here[1]} with batch_size={here[2]}: pass a list of the "
                f"states of all {there[1]} ranks, or save states with ordered=True, of which any one will do"
            )
        for each, (first, *ahead) in zip(progress, dealt["batches"], strict=True):
            each.first, each.ahead = first, set(ahead)
    for each, seen in zip(progress, state.get("seen", ()), strict=False):
        each.seen = tuple(seen)
    return Position(state["epoch"], progress)


def _left(progress: Progress, schedule: Schedule) -> Rest:
    """What is left of an epoch, as far as one rank that delivers in order, or alone, can say."""
    size = schedule.step * schedule.world
    if not progress.first and not progress.ahead:
        return progress.rest
    left = progress.rest.count(schedule.length)
    done = [(0, progress.first * size), *((batch * size, (batch + 1) * size) for batch in sorted(progress.ahead))]
    return progress.rest.without((first, min(end, left)) for first, end in done)


def _merged(states: list[dict[str, Any]], schedule: Schedule) -> Position:
    """The position of states of all ranks, each with what it has overtaken."""
    dealt = [state["dealt"] for state in states if "dealt" in state]
    if len(dealt) < len(states):
        raise ConfigError("load_state_dict: these states were taken with ordered=True: pass any one of them, alone")
    ranks = sorted((each["rank"], each["world"], each["batch_size"]) for each in dealt)
    world, size = ranks[0][1:]
    if ranks != [(rank, world, size) for rank in range(world)]:
        names = ", ".join(f"{rank} of {of}" for rank, of, _ in ranks)
        raise ConfigError(
            f"load_state_dict: these are the states of ranks {names}: pass one of each rank, taken in the same step"
        )
    first = min(state["epoch"] for state in states)
    end = max(state["epoch"] + len(state["left"]) for state in states)
    if schedule.is_of_unknown_length and any(state["epoch"] > first for state in states):
        raise ConfigError(
            "load_state_dict: some of these states are in a later epoch than others, and what those have left of it "
            "nobody can tell, because the sampler has no length: give it one, or restore each rank from its own state"
        )
    by_rank = sorted(states, key=lambda state: int(state["dealt"]["rank"]))
    progress = [Progress(_left_by_all(by_rank, epoch, size, schedule.length)) for epoch in range(first, end)]
    for state in states:
        for at, seen in enumerate(state.get("seen", ()), state["epoch"] - first):
            progress[at].seen = max(progress[at].seen, tuple(seen))
    return Position(first, progress)


def _left_by_all(states: list[dict[str, Any]], epoch: int, size: int, length: int) -> Rest:
    """What all ranks together have left of an epoch."""
    begun = [(state, epoch - state["epoch"]) for state in states]
    rests = {_rest(*state["left"][at]) for state, at in begun if 0 <= at < len(state["left"])}
    if len(rests) > 1:
        raise ConfigError("load_state_dict: these states are from several runs: pass those of one step of one run")
    rest = rests.pop()
    world = len(states)
    left = rest.count(length)
    each = -(-left // (world * size))
    # By rank: the first batch that is not delivered, and later ones that are.  Whoever is in a later epoch has all.
    shares = [
        [each] if at < 0 else state["dealt"]["batches"][at] if at < len(state["left"]) else [0] for state, at in begun
    ]
    common = min(share[0] for share in shares)
    numbers = (
        rank + world * row
        for rank, (first, *ahead) in enumerate(shares)
        for batch in (*range(common, first), *ahead)
        for row in range(batch * size, (batch + 1) * size)
    )
    # Numbers beyond the last one left are padding.
    overtaken = compressed(sorted(number for number in numbers if number < left))
    return rest.without([(0, min(common * size * world, left)), *overtaken])


def _as_list(rest: Rest) -> list[Any]:
    return [rest.start, [list(gap) for gap in rest.gaps]]


def _rest(start: int, gaps: list[list[int]]) -> Rest:
    return Rest(start, tuple((low, high) for low, high in gaps))


def _check(state: Any) -> None:
    """Refuse what `saved` cannot have returned."""
    if isinstance(state, dict) and _is_whole(state.get("version")) and state["version"] > VERSION:
        raise ConfigError(
            f"load_state_dict: this state has version {state['version']}, and this fastfeed reads {VERSION}: install "
            f"the one that has saved it, or a later one"
        )
    try:
        sound = (
            state["version"] == VERSION
            and isinstance(state["of"], dict)
            and _is_whole(state["epoch"])
            and len(state["left"]) > 0
            and all(_is_rest(start, gaps) for start, gaps in state["left"])
            and ("dealt" not in state or _is_dealt(state["dealt"], len(state["left"])))
            and ("seen" not in state or _is_seen(state["seen"], len(state["left"])))
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        sound = False
    if not sound:
        raise ConfigError(_FOREIGN)


def _is_whole(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_rest(start: Any, gaps: Any) -> bool:
    ends = [end for low, high in gaps for end in (low, high)] + [start]
    return all(map(_is_whole, ends)) and ends == sorted(ends)


def _is_dealt(dealt: Any, epochs: int) -> bool:
    numbers = [dealt["rank"], dealt["world"], dealt["batch_size"], *(each for one in dealt["batches"] for each in one)]
    return all(map(_is_whole, numbers)) and len(dealt["batches"]) == epochs and dealt["rank"] < dealt["world"]


def _is_seen(seen: Any, epochs: int) -> bool:
    return len(seen) == epochs and all(_is_whole(count) and _is_whole(checksum) for count, checksum in seen)


def _check_of(then: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse a state of a feed with another source or order."""
    differences = [
        f"{_NAMES.get(name, name)} was {then.get(name)!r} and is {value!r}"
        for name, value in now.items()
        if then.get(name) != value
    ]
    if differences:
        raise ConfigError(
            f"this state belongs to another feed: {'; '.join(differences)}; make the feed with the options that the "
            f"state was saved under, or start a new epoch with set_epoch"
        )


_NAMES = {
    "samples": "the number of samples",
    "source": "the digest of the source",
    "sampler": "the sampler",
    "length": "the sampler's length",
    "elements": "the digest of the sampler's indices",
    "weights": "the digest of the weights",
}
