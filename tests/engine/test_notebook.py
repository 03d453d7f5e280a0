"""What a notebook shows of the stats."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import fastfeed as ff


def test_a_notebook_shows_the_sentence_and_each_number_with_its_unit() -> None:
    with ff.arrays(np.arange(4), num_workers=0) as feed:
        stats = replace(feed.stats(), batches=2000, bytes_read=3 << 20, wait_s=12.5, first_batch_s=0.0417)
    html = stats._repr_html_()
    assert f"<p>{stats.sentence}</p>" in html
    shown = {"batches": "2,000", "bytes_read": "3.0 MiB", "wait_s": "12.50 s", "first_batch_s": "41.7 ms"}
    for name, value in shown.items():
        assert f"<code>{name}</code></td><td>{value}</td>" in html
    assert "<code>ready_share</code></td><td>0.0%</td>" in html


def test_of_a_prefetch_it_shows_what_that_has() -> None:
    with ff.prefetch([1]) as items:
        assert list(items) == [1]
        html = items.stats()._repr_html_()
    assert "<code>items</code></td><td>1</td>" in html
    assert "<code>batches</code>" not in html
