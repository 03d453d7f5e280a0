"""The generators of examples/, each against itself run through fastfeed."""

from __future__ import annotations

import itertools
import os
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drive import encode, picture
from numpy.typing import NDArray
from PIL import Image

import fastfeed as ff
from examples import (
    a_folder,
    b_labels,
    c_random,
    d_augmented,
    e_sequences,
    f_two_generators,
    g_arrays,
    i_pool,
    j_pairs,
    k_class,
    l_three_files,
)

SIZE = (20, 16)  # (width, height), as PIL has it
# A native feed resizes as Pillow does, to the last bit but one.
CLOSE = 1.5 / 255

Images = NDArray[np.float32]


def write(folder: Path, count: int, corrupt: Sequence[int] = ()) -> list[str]:
    """Write 00.jpg, 01.jpg, ...; those in `corrupt` end in the middle."""
    folder.mkdir(exist_ok=True)
    paths = []
    for index in range(count):
        content = encode(picture(index, (40 + index % 7, 30 + index % 5)), quality=90)
        path = folder / f"{index:02}.jpg"
        path.write_bytes(content[: len(content) // 2] if index in corrupt else content)
        paths.append(str(path))
    return paths


def images_of(paths: Iterable[str]) -> Images:
    """Every image as the examples make them."""
    made = []
    for path in paths:
        with Image.open(path) as image:
            made.append(np.asarray(image.convert("RGB").resize(SIZE, Image.BILINEAR), dtype=np.float32) / 255)
    return np.stack(made)


def which(rows: Images, known: Images, within: float = 0.0) -> list[int]:
    """Say for each row which of the known images it is."""
    distances = np.abs(rows[:, None] - known[None]).max(axis=(2, 3, 4))
    assert distances.min(axis=1).max(initial=0) <= within
    return [int(index) for index in distances.argmin(axis=1)]


def same(have: Any, expected: Any) -> None:
    """Fail where two values differ in structure, dtype or any element."""
    assert type(have) is type(expected)
    if isinstance(expected, tuple | list):
        assert len(have) == len(expected)
        for one, other in zip(have, expected, strict=True):
            same(one, other)
    elif isinstance(expected, dict):
        assert list(have) == list(expected)
        for key in expected:
            same(have[key], expected[key])
    elif isinstance(expected, np.ndarray):
        assert have.dtype == expected.dtype
        np.testing.assert_array_equal(have, expected)
    else:
        assert have == expected


def close(have: Images, expected: Images, within: float = CLOSE) -> None:
    assert have.shape == expected.shape
    assert np.abs(have - expected).max() <= within


def joined(lists: Iterable[list[Any]]) -> list[Any]:
    return list(itertools.chain.from_iterable(lists))


def taken(feed: ff.Feed, count: int) -> list[Any]:
    """Take the first batches of a feed that may never end."""
    with feed:
        return list(itertools.islice(feed, count))


def everything(feed: ff.Feed) -> list[Any]:
    with feed:
        return list(feed)


workers = pytest.mark.parametrize("num_workers", [0, 2])


# ---- a: a folder ----


def test_a_every_image_comes_once_in_a_pass_and_corrupt_ones_never(tmp_path: Path) -> None:
    paths = write(tmp_path, 22, corrupt=[3, 15])
    good = [index for index in range(22) if index not in (3, 15)]
    known = images_of(paths[index] for index in good)
    # Two workers with eleven files each, ten of them good: two batches of five are a pass of one worker.
    batches = taken(a_folder.fast(paths, 5, SIZE, num_workers=2), 12)
    passes = [joined(which(batch, known) for batch in batches[at : at + 4]) for at in (0, 4, 8)]
    assert [sorted(seen) for seen in passes] == [list(range(20))] * 3
    assert passes[0] != passes[1]
    assert all(set(which(batch, known)) <= set(range(10)) for batch in batches[0::2])


def test_a_the_wrapped_generator_is_the_serial_one_without_workers(tmp_path: Path) -> None:
    paths = write(tmp_path, 12)
    here = taken(a_folder.fast(paths, 3, SIZE, num_workers=0), 6)
    there = taken(a_folder.fast(paths, 3, SIZE, num_workers=1), 6)
    same(there, here)


def test_a_native(tmp_path: Path) -> None:
    paths = write(tmp_path, 22, corrupt=[3, 15])
    good = [index for index in range(22) if index not in (3, 15)]
    known = images_of(paths[index] for index in good)
    with a_folder.native(paths, 5, SIZE, num_workers=2) as feed:
        epochs = [joined(which(batch, known, CLOSE) for batch in feed) for _ in range(2)]
        assert [sorted(seen) for seen in epochs] == [list(range(20))] * 2
        assert epochs[0] != epochs[1]
        assert [error.index for error in feed.errors] == [3, 15]
        assert sum(len(batch) for batch in itertools.islice(feed.repeat(), 20)) > 40


# ---- b: labels by name, flips ----


def check_labelled(batches: Iterable[Any], known: Images, labels: Sequence[int], within: float) -> Counter[bool]:
    """Every image has its own label; count how many are flipped."""
    flips: Counter[bool] = Counter()
    both = np.concatenate([known, known[:, :, ::-1]])
    for images, targets in batches:
        for found, target in zip(which(images, both, within), targets.tolist(), strict=True):
            assert target == labels[found % len(known)]
            flips[found >= len(known)] += 1
    return flips


def labelled(folder: Path) -> tuple[list[str], dict[str, int], Images, list[int]]:
    paths = write(folder, 22, corrupt=[4])
    labels = {os.path.basename(path): 100 + index for index, path in enumerate(paths) if index != 17}
    good = [index for index in range(22) if index not in (4, 17)]
    return paths, labels, images_of(paths[index] for index in good), [100 + index for index in good]


def test_b_images_have_their_labels_and_half_are_flipped(tmp_path: Path) -> None:
    paths, labels, known, targets = labelled(tmp_path)
    batches = taken(b_labels.fast(paths, labels, 5, SIZE, num_workers=2), 20)
    flips = check_labelled(batches, known, targets, 0.0)
    assert min(flips[True], flips[False]) > 20
    for at in range(0, 20, 4):
        seen = np.concatenate([labels for _, labels in batches[at : at + 4]])
        assert sorted(seen.tolist()) == targets


def test_b_native(tmp_path: Path) -> None:
    paths, labels, known, targets = labelled(tmp_path)
    with b_labels.native(paths, labels, 5, SIZE, num_workers=2) as feed:
        batches = [(images.copy(), found) for _ in range(5) for images, found in feed]
        flips = check_labelled(batches, known, targets, CLOSE)
        assert min(flips[True], flips[False]) > 20
        assert sorted(np.concatenate([found for _, found in batches]).tolist()) == sorted(targets * 5)
        assert [error.index for error in feed.errors] == [4, 17]
        assert "no entry" in feed.errors[1].reason


# ---- c: random numbers ----


def test_c_streams_differ_and_runs_repeat() -> None:
    first = taken(c_random.fast(8, 3, num_workers=2), 10)
    assert len({x.tobytes() for x, _ in first}) == 10
    for x, y in first:
        assert (x.shape, x.dtype, y.shape, y.dtype) == ((8, 3), np.float64, (8,), np.int64)
        np.testing.assert_array_equal(y, np.sin(x).sum(axis=1) > 0)
    same(taken(c_random.fast(8, 3, num_workers=2), 10), first)
    assert abs(np.concatenate([x for x, _ in first]).mean()) < 0.5


def test_c_steps_per_epoch() -> None:
    with c_random.fast(4, 2, num_workers=2) as feed:
        steps = iter(feed)
        epochs = [[next(steps) for _ in range(5)] for _ in range(3)]
        steps.close()
    assert len({x.tobytes() for epoch in epochs for x, _ in epoch}) == 15


# ---- d: augmented ----


def coloured(folder: Path, count: int) -> tuple[list[str], NDArray[np.int64], NDArray[np.float32]]:
    """Files of one colour each, which the middle of an augmented image still has; with their labels."""
    random = np.random.default_rng(5)
    colours = random.permutation(np.array(list(itertools.product((20, 120, 230), repeat=3))))[:count]
    paths = []
    for index, colour in enumerate(colours.tolist()):
        paths.append(str(folder / f"{index}.jpg"))
        Path(paths[-1]).write_bytes(encode(Image.new("RGB", (40, 30), tuple(colour)), quality=95))
    return paths, np.arange(count) + 50, colours.astype(np.float32) / 255


def check_augmented(batches: Iterable[Any], colours: NDArray[np.float32]) -> list[int]:
    drawn = []
    for images, labels in batches:
        middle = images[:, SIZE[1] // 2, SIZE[0] // 2]
        found = np.abs(middle[:, None] - colours[None]).sum(axis=2).argmin(axis=1)
        np.testing.assert_array_equal(found + 50, labels)
        drawn += found.tolist()
    return drawn


def test_d_streams_draw_with_replacement_and_keep_the_labels(tmp_path: Path) -> None:
    paths, labels, colours = coloured(tmp_path, 9)
    batches = taken(d_augmented.fast(paths, labels, 6, SIZE, num_workers=2), 12)
    drawn = check_augmented(batches, colours)
    assert set(drawn) == set(range(9))
    assert any(len(set(drawn[at : at + 6])) < 6 for at in range(0, 72, 6))
    assert len({images.tobytes() for images, _ in batches}) == 12
    same(taken(d_augmented.fast(paths, labels, 6, SIZE, num_workers=2), 12), batches)


def test_d_native(tmp_path: Path) -> None:
    paths, labels, colours = coloured(tmp_path, 9)
    with d_augmented.native(paths, labels, 3, SIZE, num_workers=2) as feed:
        batches = [(images.copy(), found) for images, found in itertools.islice(feed.repeat(), 6)]
    drawn = check_augmented(batches, colours)
    assert sorted(drawn[:9]) == sorted(drawn[9:]) == list(range(9))
    assert len({image.tobytes() for images, _ in batches for image in images}) == 18


# ---- e: sequences ----


def texts(count: int) -> tuple[list[str], list[int], dict[str, int]]:
    random = np.random.default_rng(3)
    words = [a + b for a in string.ascii_lowercase[:6] for b in string.ascii_lowercase[:6]]
    made = [" ".join(random.choice(words, random.integers(0, 14))) + "." for _ in range(count)]
    return made, random.integers(0, 2, count).tolist(), {word: number + 2 for number, word in enumerate(words[:30])}


@workers
@pytest.mark.parametrize("count", [1, 4, 103])
def test_e_the_stream_is_the_serial_one(count: int, num_workers: int) -> None:
    lines, targets, vocabulary = texts(count)
    serial = list(e_sequences.sequence_batches(lines, targets, vocabulary, 10, 4))
    same(everything(e_sequences.fast(lines, targets, vocabulary, 10, 4, num_workers=num_workers)), serial)
    same(everything(e_sequences.mapped(lines, targets, vocabulary, 10, 4, num_workers=num_workers)), serial)
    unordered = everything(e_sequences.fast(lines, targets, vocabulary, 10, 4, num_workers=2, ordered=False))
    assert sorted(ids.tobytes() for ids, _ in unordered) == sorted(ids.tobytes() for ids, _ in serial)


# ---- f: two generators ----


def test_f_two_feeds_side_by_side(tmp_path: Path) -> None:
    paths = write(tmp_path, 23)
    labels = np.arange(23) * 10
    train, valid = (paths[:16], labels[:16]), (paths[16:], labels[16:])
    known = images_of(paths)
    serial = list(f_two_generators.indexed_batches(*valid, 2, SIZE, shuffle=False))
    training, validation = f_two_generators.fast(train, valid, 2, SIZE, num_workers=2)
    with training, validation:
        seen, checked = [], []
        for (images, found), held_out in itertools.zip_longest(training, validation):
            assert [index * 10 for index in which(images, known)] == found.tolist()
            seen += found.tolist()
            if held_out is not None:
                checked.append(held_out)
    same(checked, serial)
    assert sorted(seen) == labels[:16].tolist()
    assert seen != sorted(seen)


def test_f_native(tmp_path: Path) -> None:
    paths = write(tmp_path, 23)
    labels = np.arange(23) * 10
    train, valid = (paths[:16], labels[:16]), (paths[16:], labels[16:])
    known = images_of(paths)
    training, validation = f_two_generators.native(train, valid, 2, SIZE, num_workers=2)
    with training, validation:
        for _ in range(2):
            seen = []
            for images, found in training:
                assert [index * 10 for index in which(images, known, CLOSE)] == found.tolist()
                seen += found.tolist()
            assert sorted(seen) == labels[:16].tolist()
            held_out = list(validation)
            close(np.concatenate([images for images, _ in held_out]), known[16:])
            np.testing.assert_array_equal(np.concatenate([found for _, found in held_out]), labels[16:])


# ---- g: arrays ----


@workers
@pytest.mark.parametrize("make", [g_arrays.fast, g_arrays.native])
def test_g_every_row_comes_once_with_its_target(make: Any, num_workers: int) -> None:
    x = np.random.default_rng(0).normal(size=(101, 4, 3)).astype(np.float32)
    y = np.arange(101)
    batches = everything(make(x, y, 8, num_workers=num_workers))
    rows, targets = (np.concatenate(column) for column in zip(*batches, strict=True))
    assert (rows.dtype, targets.dtype) == (x.dtype, y.dtype)
    np.testing.assert_array_equal(rows, x[targets])
    assert sorted(targets.tolist()) == list(range(101))
    assert targets.tolist() != list(range(101))


# ---- h: OpenCV ----


@workers
def test_h_the_stream_is_the_serial_one(tmp_path: Path, num_workers: int) -> None:
    pytest.importorskip("cv2", reason="the example needs opencv-python-headless")
    from examples import h_opencv

    paths = write(tmp_path, 14)
    serial = list(h_opencv.opencv_batches(paths, 4, SIZE))
    same(everything(h_opencv.fast(paths, 4, SIZE, num_workers=num_workers)), serial)
    for ours, theirs in zip(everything(h_opencv.native(paths, 4, SIZE, num_workers=2)), serial, strict=True):
        # Another filter: INTER_AREA is a box, ours a triangle.
        assert ours.shape == theirs.shape
        assert np.abs(ours[..., ::-1] - theirs).mean() < 0.02


# ---- i: a pool in the generator ----


def test_i_a_generator_with_a_pool_runs_as_it_is(tmp_path: Path) -> None:
    paths = write(tmp_path, 14)
    serial = list(i_pool.pool_batches(paths, 4, SIZE))
    same(everything(i_pool.wrapped(paths, 4, SIZE, num_workers=1)), serial)


@workers
def test_i_map_in_place_of_the_pool(tmp_path: Path, num_workers: int) -> None:
    paths = write(tmp_path, 14)
    serial = list(i_pool.pool_batches(paths, 4, SIZE))
    same(everything(i_pool.fast(paths, 4, SIZE, num_workers=num_workers)), serial)
    for ours, theirs in zip(everything(i_pool.native(paths, 4, SIZE, num_workers=num_workers)), serial, strict=True):
        close(ours, theirs)


# ---- j: pairs ----


@workers
def test_j_a_corrupt_image_takes_its_text_along(tmp_path: Path, num_workers: int) -> None:
    paths = write(tmp_path, 14, corrupt=[5])
    lines = [f"text {index}" for index in range(14)]
    good = [index for index in range(14) if index != 5]
    known = images_of(paths[index] for index in good)

    def shifted(batches: Iterable[Any]) -> list[int]:
        found = [(which(images, known), text) for images, text in batches]
        pairs = [(good[index], int(line[5:])) for row, text in found for index, line in zip(row, text, strict=True)]
        return [index for index, line in pairs if index != line]

    assert shifted(j_pairs.pair_batches(paths, lines, 4, SIZE)) == list(range(6, 14))
    with j_pairs.fast(paths, lines, 4, SIZE, num_workers=num_workers) as feed:
        batches = list(feed)
        assert shifted(batches) == []
        assert joined(text for _, text in batches) == [lines[index] for index in good]
        assert [error.index for error in feed.errors] == [5]
    with j_pairs.native(paths, lines, 4, SIZE, num_workers=num_workers) as feed:
        batches = list(feed)
        assert joined(text for _, text in batches) == [lines[index] for index in good]
        close(np.concatenate([images for images, _ in batches]), known)
        assert [error.index for error in feed.errors] == [5]


# ---- k: a class ----


def test_k_a_class_with_two_generators(tmp_path: Path) -> None:
    paths = write(tmp_path, 20)
    captions = [f"caption {index}" for index in range(20)]
    data = k_class.Captions(paths, captions, 4, SIZE)
    known = images_of(paths)

    def seen(batches: Iterable[Any]) -> list[int]:
        found = [(which(batch["image"], known), batch["caption"]) for batch in batches]
        for row, text in found:
            assert [captions[index] for index in row] == text
        return [index for row, _ in found for index in row]

    training, testing = k_class.fast(data, num_workers=2)
    # Sixteen samples are four batches of a stream, and every other batch is of the first stream.
    batches = taken(training, 16)
    streams = [seen(batches[0::2]), seen(batches[1::2])]
    for stream in streams:
        assert sorted(stream[:16]) == sorted(stream[16:]) == sorted(data.train_indices)
        assert stream[:16] != stream[16:]
    assert streams[0] != streams[1]
    same(everything(testing), list(data.test_generator()))


def test_k_native(tmp_path: Path) -> None:
    paths = write(tmp_path, 20)
    captions = [f"caption {index}" for index in range(20)]
    known = images_of(paths)
    parts = []
    for feed in k_class.native(paths, captions, 4, SIZE, num_workers=2):
        batches = everything(feed)
        found = joined(which(images, known, CLOSE) for images, _ in batches)
        assert joined(text for _, text in batches) == [captions[index] for index in found]
        parts.append(found)
    assert [len(part) for part in parts] == [16, 4]
    assert sorted(parts[0] + parts[1]) == list(range(20))


# ---- l: three files ----


@workers
def test_l_three_files_and_a_collate_function(tmp_path: Path, num_workers: int) -> None:
    paths = write(tmp_path, 14)
    lines, _, _ = texts(14)
    (tmp_path / "images.txt").write_text("\n".join(map(os.path.basename, paths)))
    (tmp_path / "texts.txt").write_text("\n".join(lines))
    np.savetxt(tmp_path / "numbers.csv", np.arange(42).reshape(14, 3) / 7, delimiter=",")
    files = l_three_files.read(str(tmp_path))
    serial = list(l_three_files.collated_batches(*files, 4, SIZE))
    same(everything(l_three_files.fast(*files, 4, SIZE, num_workers=num_workers)), serial)
    same(everything(l_three_files.mapped(*files, 4, SIZE, num_workers=num_workers)), serial)
    native = everything(l_three_files.native(*files, 4, SIZE, num_workers=num_workers))
    for (images, labels), expected in zip(native, serial, strict=True):
        close(images, expected["image"])
        same(labels["numbers"], expected["numbers"])
        assert labels["words"] == [[word for word in row if word] for row in expected["words"].tolist()]
