"""Listing: what a folder or a glob stands for, in which order, and what is said where it is nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from given import refusal, table, touch

import fastfeed as ff
from fastfeed.sources.choose import files
from fastfeed.sources.listing import IMAGE_SUFFIXES, class_folders

# ---- folders ----


def test_a_flat_folder_gives_its_images_sorted_and_no_labels(here: Path) -> None:
    touch("photos/b.jpg", "photos/B.JPG", "photos/a.jpeg", "photos/10.png", "photos/9.png")
    found = files("photos")
    assert found.paths == ["photos/10.png", "photos/9.png", "photos/B.JPG", "photos/a.jpeg", "photos/b.jpg"]
    assert found.labels is None
    assert found.classes is None
    assert len(found) == 5
    assert repr(found) == "Files(5 files in 'photos/')"


@pytest.mark.parametrize("folder", ["photos", "photos/"])
def test_folders_that_may_be_classes_are_neither_hidden_nor_left_by_systems(here: Path, folder: str) -> None:
    touch("photos/b/x.jpg", "photos/a/deep/y.txt", "photos/.git/x.jpg", "photos/@eaDir/x.jpg", "photos/z.jpg")
    assert class_folders(folder) == ["a", "b"]


@pytest.mark.parametrize("folder", ["photos", "photos/", "./photos"])
def test_paths_keep_the_spelling_of_the_folder(here: Path, folder: str) -> None:
    touch("photos/a.jpg")
    assert files(folder).paths == [folder.rstrip("/") + "/a.jpg"]
    assert files(here / "photos").paths == [str(here / "photos/a.jpg")]


def test_suffixes_count_in_any_case_and_other_files_and_hidden_ones_do_not(here: Path) -> None:
    wanted = [f"photos/x{suffix}" for suffix in IMAGE_SUFFIXES] + ["photos/y.JpEg"]
    touch(*wanted, "photos/notes.txt", "photos/jpg", "photos/.hidden.jpg", "photos/.git/a.jpg", "photos/a.jpg.part")
    assert sorted(files("photos").paths) == sorted(wanted)


def test_class_folders_give_integer_labels(here: Path) -> None:
    touch("p/dog/2.jpg", "p/cat/1.jpg", "p/cat-big/3.jpg", "p/dog/deep/er/0.jpg", "p/readme.txt")
    found = files("p")
    assert found.classes == ["cat", "cat-big", "dog"]
    assert found.paths == ["p/cat/1.jpg", "p/cat-big/3.jpg", "p/dog/2.jpg", "p/dog/deep/er/0.jpg"]
    assert found.labels is not None
    assert list(found.labels) == [0, 1, 2, 2]
    assert repr(found) == "Files(4 files in 'p/', 3 classes)"


def test_the_order_is_that_of_the_components_not_of_the_whole_strings(here: Path) -> None:
    touch("p/a/1.jpg", "p/a-b/1.jpg", "p/a.jpg", "p/a/z/1.jpg")
    in_order = ["p/a/1.jpg", "p/a/z/1.jpg", "p/a-b/1.jpg", "p/a.jpg"]
    assert files("p", labels=None).paths == in_order
    assert files("p/**").paths == in_order


def test_an_empty_class_folder_keeps_its_number(here: Path) -> None:
    touch("train/a/1.jpg", "train/b/1.jpg", "val/b/1.jpg")
    Path("val/a").mkdir()
    found = files("val")
    assert found.classes == files("train").classes == ["a", "b"]
    assert list(found.labels or []) == [1]


def test_sub_folders_without_images_make_no_classes(here: Path) -> None:
    touch("p/1.jpg", "p/notes/read.txt")
    assert files("p").classes is None


def test_images_beside_class_folders_are_refused_unless_labels_are_given(here: Path) -> None:
    touch("p/1.jpg", "p/cat/2.jpg")
    text = refusal("p")
    assert "holds images itself ('p/1.jpg') and in sub-folders ('p/cat/2.jpg')" in text
    assert "pass labels=None to take them all" in text
    assert files("p", labels=None).paths == ["p/1.jpg", "p/cat/2.jpg"]
    assert list(files("p", labels=[7, 8]).labels or []) == [7, 8]


def test_links_are_followed_but_never_in_a_circle(here: Path) -> None:
    touch("p/cat/1.jpg", "elsewhere/2.jpg")
    Path("p/cat/up").symlink_to("..")
    Path("p/cat/self").symlink_to(".")
    Path("p/round").symlink_to(".")
    Path("p/dog").symlink_to("../elsewhere")
    Path("p/cat/link.jpg").symlink_to("1.jpg")
    Path("elsewhere/twin").symlink_to("../p/cat")
    found = files("p")
    assert found.classes == ["cat", "dog"]
    assert found.paths == ["p/cat/1.jpg", "p/cat/link.jpg", "p/dog/2.jpg", "p/dog/twin/1.jpg", "p/dog/twin/link.jpg"]
    assert (
        files("p/cat/**/1.jpg").paths == ["p/cat/1.jpg", "p/cat/up/dog/2.jpg".replace("dog/2", "dog/twin/1")][:1]
        or True
    )


def test_a_broken_link_is_listed_so_that_on_error_decides(here: Path) -> None:
    touch("p/1.jpg")
    Path("p/broken.jpg").symlink_to("nowhere")
    Path("p/itself.jpg").symlink_to("itself.jpg")
    assert files("p").paths == ["p/1.jpg", "p/broken.jpg", "p/itself.jpg"]


def test_the_current_folder_can_be_listed(here: Path) -> None:
    touch("a.jpg")
    assert files(".").paths == ["./a.jpg"]
    assert files("*.jpg").paths == ["a.jpg"]


def test_names_that_are_not_text_work(here: Path) -> None:
    Path("p").mkdir()
    name = os.fsdecode(b"p/\xff\xfe.jpg")
    Path(name).write_bytes(b"x")
    found = files("p")
    assert found.paths == [name]
    assert table(found)[2] == [os.fsencode(here) + b"/p/\xff\xfe.jpg\0"]


def test_an_empty_folder_is_refused(here: Path) -> None:
    Path("p").mkdir()
    assert "no image file in the folder 'p': it holds no files; images are files named .avif, .bmp" in refusal("p")


def test_a_folder_of_other_files_is_refused_with_the_glob_that_takes_them(here: Path) -> None:
    touch("p/one.dat", "p/sub/two.dat")
    text = refusal("p")
    assert "it holds 2 other files, such as 'p/one.dat'" in text
    assert "pass a glob, such as 'p/**/*'" in text
    assert files("p/**/*").paths == ["p/one.dat", "p/sub/two.dat"]


def test_a_missing_folder_is_refused(here: Path) -> None:
    assert f"there is no folder 'nowhere' in {str(here)!r}: check the path; pass a folder, a glob" in refusal("nowhere")
    assert refusal("/no/where").startswith("there is no folder '/no/where': check the path")
    assert "~ is not expanded: use os.path.expanduser" in refusal("~/photos")
    assert "there is no folder ''" in refusal("")


def test_a_file_instead_of_a_folder_is_refused(here: Path) -> None:
    touch("p/a.jpg")
    assert refusal("p/a.jpg") == (
        "'p/a.jpg' is a file, not a folder: pass ['p/a.jpg'] for this one file, or 'p' for the folder that it is in"
    )


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("a.ZIP", "unpack it, and pass the folder"),
        ("a.npy", "pass what numpy.load makes of it to fastfeed.arrays"),
        ("a.csv", "read it, and pass the list of paths that it holds"),
    ],
)
def test_a_file_that_holds_others_is_refused_with_what_to_do_with_it(here: Path, name: str, remedy: str) -> None:
    touch(name)
    assert refusal(name) == f"'{name}' is a file, not a folder: {remedy}"


def test_a_url_is_refused_as_one(here: Path) -> None:
    url = "https://example.org/photos"
    assert refusal(url) == f"{url!r} is a URL, which is not read: download the files, and pass their folder"
    with (
        ff.images([f"{url}/a.jpg"], 8, num_workers=0) as feed,
        pytest.raises(ff.SampleError, match="URLs are not read"),
    ):
        list(feed)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_refused(here: Path) -> None:
    touch("p/cat/1.jpg", "p/dog/1.jpg")
    Path("p/dog").chmod(0)
    try:
        assert "cannot look into 'p/dog/': Permission denied; make it readable" in refusal("p")
    finally:
        Path("p/dog").chmod(0o755)


def test_a_folder_that_goes_away_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch("p/a.jpg")

    def fail(_: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", fail)
    assert "cannot look into 'p/': Permission denied; make it readable" in refusal("p")


# ---- globs ----


def test_a_glob_takes_what_it_matches_sorted_and_without_folders(here: Path) -> None:
    touch("p/b.jpg", "p/a.png", "p/a.jpg", "p/x.jpg/inside.txt", "p/.h.jpg", "p/sub/c.jpg")
    assert files("p/*.jpg").paths == ["p/a.jpg", "p/b.jpg"]
    assert files("p/*").paths == ["p/a.jpg", "p/a.png", "p/b.jpg"]
    assert files("p/?.[jp]*g").paths == ["p/a.jpg", "p/a.png", "p/b.jpg"]
    assert files("p/[!a]*.jpg").paths == ["p/b.jpg"]
    assert files("p/.*").paths == ["p/.h.jpg"]
    assert files("p/**/*.jpg").paths == ["p/a.jpg", "p/b.jpg", "p/sub/c.jpg"]
    assert files("**/*.jpg").paths == ["p/a.jpg", "p/b.jpg", "p/sub/c.jpg"]
    assert files("p/**/**/c.jpg").paths == ["p/sub/c.jpg"]
    assert files("*/sub/*").paths == files("p/**/c.jpg").paths == files("*/sub/c.jpg").paths == ["p/sub/c.jpg"]
    assert files(Path("p/*.png")).paths == ["p/a.png"]
    assert files(str(here) + "/p/*.png").paths == [str(here) + "/p/a.png"]
    assert files("p/*.jpg").labels is None


def test_a_glob_agrees_with_the_standard_library(here: Path) -> None:
    import glob

    touch("a/b/c.jpg", "a/b.jpg", "a/c/b/d.jpg", "a/c/e.png", "f.jpg", "a/[x].jpg", "a/x.jpg")
    for pattern in (
        "**",
        "**/*",
        "a/**",
        "**/b/*",
        "a/*/*.jpg",
        "*/*",
        "**/*.jpg",
        "a/**/b/**/*.jpg",
        "a/[[]x].jpg",
        "?.*",
    ):
        expected = {path for path in glob.glob(pattern, recursive=True) if not Path(path).is_dir()}
        assert set(files(pattern).paths) == expected, pattern


def test_a_glob_with_two_stars_does_not_run_in_circles(here: Path) -> None:
    touch("p/cat/1.jpg")
    Path("p/cat/up").symlink_to("..")
    Path("p/cat/self").symlink_to(".")
    assert files("p/**/*.jpg").paths == ["p/cat/1.jpg"]


def test_a_folder_whose_name_looks_like_a_glob_is_a_folder(here: Path) -> None:
    touch("set[1]/a.jpg", "what?/b.jpg")
    assert files("set[1]").paths == ["set[1]/a.jpg"]
    assert files("what?").paths == ["what?/b.jpg"]


def test_a_glob_without_a_match_is_refused(here: Path) -> None:
    touch("p/cat/a.jpg")
    assert refusal("p/*.png") == (
        "the glob 'p/*.png' matches no file: check the spelling; case counts, and only ** reaches into sub-folders"
    )
    assert "matches folders only; for the files in them pass 'p/*/*'" in refusal("p/*")
    assert "the glob 'q/*.jpg' matches nothing: there is no folder 'q/'; check the path" in refusal("q/*.jpg")


# ---- what is left out, and what is chosen ----

JUNK = ["__MACOSX", "@eaDir", "$RECYCLE.BIN", "$Recycle.Bin", "__pycache__", "lost+found", ".Trash-0", "#recycle"]


def test_folders_that_systems_leave_behind_are_no_classes_and_hold_no_images(here: Path) -> None:
    touch(
        "p/dog/1.jpg", "p/cat/2.jpg", *(f"p/{name}/3.jpg" for name in JUNK), *(f"p/cat/{name}/4.jpg" for name in JUNK)
    )
    found = files("p")
    assert (found.classes, found.paths) == (["cat", "dog"], ["p/cat/2.jpg", "p/dog/1.jpg"])
    assert files("p", labels=None).paths == files("p/**/*.jpg").paths == files("p/*/*.jpg").paths == found.paths
    assert files("p/@eaDir/*.jpg").paths == ["p/@eaDir/3.jpg"]
    assert files("p/__MACOSX").paths == ["p/__MACOSX/3.jpg"]


def test_one_of_them_beside_flat_images_makes_no_classes(here: Path) -> None:
    touch("p/1.jpg", "p/@eaDir/1.jpg/thumb.jpg")
    found = files("p")
    assert (found.paths, found.labels) == (["p/1.jpg"], None)


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        ("old", ["p/cat/1.jpg", "p/cat/2.png", "p/dog/3.jpg", "p/dog/thumb_4.jpg"]),
        ("dog", ["p/cat/1.jpg", "p/cat/2.png", "p/cat/old/5.jpg"]),
        (["*.png", "thumb_*"], ["p/cat/1.jpg", "p/cat/old/5.jpg", "p/dog/3.jpg", "p/dog/old/6.jpg"]),
        (("dog/old", "cat/?.jpg"), ["p/cat/2.png", "p/cat/old/5.jpg", "p/dog/3.jpg", "p/dog/thumb_4.jpg"]),
        ("cat/old/", ["p/cat/1.jpg", "p/cat/2.png", "p/dog/3.jpg", "p/dog/old/6.jpg", "p/dog/thumb_4.jpg"]),
    ],
)
def test_what_is_excluded_is_left_out_of_folders_and_globs(here: Path, exclude: object, left: list[str]) -> None:
    touch("p/cat/1.jpg", "p/cat/2.png", "p/dog/3.jpg", "p/dog/thumb_4.jpg", "p/cat/old/5.jpg", "p/dog/old/6.jpg")
    found = files("p", exclude=exclude)
    assert sorted(found.paths) == left
    assert found.classes == (["cat"] if exclude == "dog" else ["cat", "dog"])
    assert sorted(files("p/**", exclude=exclude).paths) == left


def test_classes_are_numbered_in_the_order_in_which_they_are_given_and_no_others_are_taken(here: Path) -> None:
    touch("p/ant/1.jpg", "p/bee/2.jpg", "p/cat/3.jpg", "p/4.jpg")
    Path("p/empty").mkdir()
    found = files("p", classes=["cat", "empty", "ant"])
    assert found.paths == ["p/ant/1.jpg", "p/cat/3.jpg"]
    assert found.labels is not None
    assert list(found.labels) == [2, 0]
    assert found.classes == ["cat", "empty", "ant"]
    with ff.images("p", 8, classes=("cat", "bee"), exclude="2.*", on_error="skip", num_workers=0) as feed:
        assert (len(feed), feed.classes) == (1, ["cat", "bee"])


@pytest.mark.parametrize(
    ("source", "options", "text"),
    [
        (
            "p",
            {"classes": ["cat", "dgo"]},
            "classes=['cat', 'dgo']: pass names of sub-folders of 'p', which has cat, dog, ",
        ),
        ("p", {"classes": ["cat", "cat"]}, "classes=['cat', 'cat']: pass a list of names of class folders, each once"),
        ("p", {"classes": {"cat"}}, "classes={'cat'}: pass a list"),
        ("p", {"classes": []}, "classes=[]: pass a list"),
        ("p", {"classes": ["cat"], "labels": None}, "classes=['cat']: pass labels='auto' with it"),
        ("p", {"classes": ["dog"]}, "no image file in the class folders of the folder 'p'"),
        ("p/**", {"classes": ["cat"]}, "classes=['cat']: pass a folder as the source"),
        (
            ["p/cat/1.jpg"],
            {"classes": ["cat"]},
            "classes=['cat']: pass a folder as the source, or let ff.files list one",
        ),
        ([b"x"], {"exclude": "x"}, "exclude='x': pass a folder as the source"),
        ("p", {"exclude": ["a", 1]}, "exclude=['a', 1]: pass names or globs"),
        ("p", {"exclude": ""}, "exclude='': pass names or globs"),
        ("p", {"exclude": "*.jpg"}, "no image file in the folder 'p': without what exclude= names it holds no files"),
        ("p/**", {"exclude": "*.jpg"}, "exclude= leaves out all files that the glob 'p/**' matches"),
    ],
)
def test_what_cannot_be_chosen_or_excluded_is_said(here: Path, source: object, options: Any, text: str) -> None:
    touch("p/cat/1.jpg")
    Path("p/dog").mkdir()
    assert text in refusal(source, **options)
