"""What is released: one version everywhere, and an sdist that has what the wheels are built of."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
HEADINGS = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)
RELEASED = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d", heading) for heading in HEADINGS[1:]]


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def tags() -> list[str]:
    """The tags of the commit that is checked out; none in an sdist."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return []
    done = subprocess.run(["git", "tag", "--points-at"], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_changelog_begins_with_what_is_unreleased_and_dates_each_version() -> None:
    assert HEADINGS[0] == "[Unreleased]"
    assert None not in RELEASED


def test_the_project_has_the_newest_version_of_the_changelog_or_the_next() -> None:
    versions = [numbers(each[1]) for each in RELEASED if each]
    assert versions == sorted(versions, reverse=True)
    assert [numbers(PROJECT["version"]), *versions][0] >= max(versions, default=(0, 0, 0))


def test_a_tagged_commit_has_the_tags_version_and_nothing_unreleased() -> None:
    """Where no version is tagged, which is nearly always, there is nothing to hold together."""
    released = [tag for tag in tags() if re.match(r"v\d", tag)]
    assert released in ([], [f"v{PROJECT['version']}"])
    if not released:
        return
    assert HEADINGS[1].startswith(f"[{PROJECT['version']}] - ")
    assert CHANGELOG.split("## [Unreleased]")[1].split("\n## ")[0].strip() == ""


def test_a_classifier_names_each_python_that_wheels_are_tested_on() -> None:
    assert PROJECT["requires-python"] == ">=3.11"
    page = (ROOT / "docs/releasing.md").read_text()
    for version in re.findall(r"PYTHON=python(3\.\d+)", page):
        assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]


def test_the_wheel_is_said_to_hold_the_licences_that_it_is_checked_for() -> None:
    build, check = (ROOT / ".ci/wheels").read_text(), (ROOT / ".ci/check_wheel.py").read_text()
    names = re.findall(r"licenses/(libjpeg-turbo\.[\w.]+)", build)
    assert names
    assert all(f'"licenses/{name}"' in check for name in names)
