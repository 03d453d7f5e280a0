"""The user's callables in workers, of functions and of images alike: what they need is there, or the user hears why."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import threading
import venv
from pathlib import Path

import numpy as np
import pytest
from drive import encode, picture
from user_functions import Device

import fastfeed as ff

# What maps and transforms: each script defines `function`, which takes a number or an array.
BOTH = """
with ff.map(function, [1, 2], num_workers=1) as feed:
    print(*feed)
with ff.images(["picture.jpg"], 8, dtype="uint8", transforms=[function], num_workers=1) as feed:
    print(int(next(iter(feed)).max()))
"""


def run_script(folder: Path, script: str, *command: Path | str, **environment: str) -> str:
    """What a script prints that begins by importing fastfeed; it finds a picture beside it, all of it 7."""
    (folder / "script.py").write_text(f"import fastfeed as ff\n{script}")
    (folder / "picture.jpg").write_bytes(encode(picture(0).point(lambda _: 7)))
    root = str(Path(ff.__file__).parents[1])
    done = subprocess.run(
        [*(command or [sys.executable]), "script.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": root, **environment},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


FINDER = """
import importlib.util, sys
class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        places = {{"mytools": "mytools/__init__.py", "shelf.mine": "shelf/mine.py"}}
        if name in places:
            return importlib.util.spec_from_file_location(name, {folder!r} + "/" + places[name])
sys.meta_path.insert(0, Finder)
"""


@pytest.fixture(scope="module")
def python_with_editables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment's interpreter; mytools and shelf.mine are found by an import hook that a .pth file sets up."""
    folder = tmp_path_factory.mktemp("editable")
    (folder / "mytools").mkdir()
    (folder / "mytools" / "__init__.py").write_text("from mytools.parts import double\n")
    (folder / "mytools" / "parts.py").write_text("def double(value): return 2 * value\n")
    (folder / "shelf").mkdir()
    (folder / "shelf" / "mine.py").write_text("def triple(value): return 3 * value\n")
    venv.create(folder / "environment", symlinks=True)
    (packages,) = (folder / "environment").glob("lib/python*/site-packages")
    (packages / "shelf").mkdir()  # a namespace, part of which is installed in the ordinary way
    (packages / "shelf" / "other.py").write_text("")
    (packages / "hook.py").write_text(FINDER.format(folder=str(folder)))
    (packages / "editable.pth").write_text("import hook\n")
    (packages / "ours.pth").write_text("\n".join(site.getsitepackages()))
    return folder / "environment" / "bin" / "python"


@pytest.mark.parametrize(
    "function",
    [
        "from mytools import double as function",
        "def function(value):\n    from mytools import double\n    return double(value)",
        "import shelf.other\nfrom shelf.mine import triple as function",
        "def function(value):\n    import shelf.mine\n    return shelf.mine.triple(value)",
    ],
    ids=["at the top", "in the function", "in a namespace", "in a namespace, in the function"],
)
def test_what_is_installed_as_editable_is_found(tmp_path: Path, python_with_editables: Path, function: str) -> None:
    by = 2 if "mytools" in function else 3
    (tmp_path / "mytools").mkdir()  # the folder of a project that is run from above it
    assert run_script(tmp_path, function + BOTH, python_with_editables) == f"{by} {2 * by}\n{7 * by}\n"


def test_a_worker_is_the_interpreter_that_the_consumer_is(tmp_path: Path, python_with_editables: Path) -> None:
    script = """
import builtins, os, sys

def facts():
    flags = {name: getattr(sys.flags, name) for name in dir(sys.flags) if name[0] != "_"}
    for own in ("hash_randomization", "safe_path", "count", "index", "n_fields"):
        flags.pop(own, None)
    names = ("argv", "prefix", "exec_prefix", "base_prefix", "executable", "warnoptions", "_xoptions", "path")
    places = {name: getattr(sys, name) for name in names}
    threads = os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]
    return flags, places, os.getcwd(), threads, {name: hasattr(builtins, name) for name in ("exit", "help")}

os.environ["MKL_NUM_THREADS"] = "1"  # what a worker gets where the user has said nothing
sys.argv += ["more"]
sys.path.append("beside")
expected = facts()

def function(value):
    if facts() != expected:  # an assert would be left out
        raise ValueError(facts())
    return value
"""
    options = ["-O", "-O", "-W", "ignore::UserWarning", "-X", "dev", "-X", "utf8", "-X", "own=1", "-b"]
    assert run_script(tmp_path, script + BOTH, python_with_editables, *options, OMP_NUM_THREADS="3") == "1 2\n7\n"


def test_a_module_is_found_where_the_consumer_loaded_it(tmp_path: Path) -> None:
    """By its path, under a name that its file has not, and in a folder that only the working directory then led to."""
    script = """
import importlib.util, os, sys
from importlib.machinery import SourceFileLoader

loader = SourceFileLoader("settings", os.path.abspath("settings.txt"))
settings = importlib.util.module_from_spec(importlib.util.spec_from_loader("settings", loader))
sys.modules["settings"] = settings
loader.exec_module(settings)
sys.path.insert(0, "lib")
import beside.parts
sys.path.remove("lib")

function = settings.function
assert list(ff.map(beside.parts.half, [settings.Number(8)], num_workers=1)) == [4]
"""
    (tmp_path / "settings.txt").write_text(
        "class Number(int): pass\ndef function(value):\n    import beside.late\n    return value + beside.late.one\n"
    )
    (tmp_path / "lib" / "beside").mkdir(parents=True)
    (tmp_path / "lib" / "beside" / "__init__.py").write_text("")
    (tmp_path / "lib" / "beside" / "parts.py").write_text("def half(number): return number // 2\n")
    (tmp_path / "lib" / "beside" / "late.py").write_text("one = 1\n")
    assert run_script(tmp_path, script + BOTH) == "2 3\n8\n"


def test_the_working_directory_may_have_been_removed(tmp_path: Path) -> None:
    script = """
import os
picture = open("picture.jpg", "rb").read()
os.mkdir("gone")
os.chdir("gone")
os.rmdir("../gone")

def function(value):
    return value
"""
    both = BOTH.replace('["picture.jpg"]', "[picture]").replace("dtype", "labels=None, dtype")
    assert run_script(tmp_path, script + both) == "1 2\n7\n"


def test_an_interrupt_ends_what_the_users_code_starts_and_not_the_worker(tmp_path: Path) -> None:
    script = """
import os, signal, subprocess, sys

CHILD = '''
import time
try:
    print(1, flush=True)
    for _ in range(6000):  # an interrupt that comes just before a sleep is not seen until its end
        time.sleep(0.01)
except KeyboardInterrupt:
    print(2)
'''

def function(value):
    os.kill(os.getpid(), signal.SIGINT)
    with subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "1\\n"
        child.send_signal(signal.SIGINT)
        assert child.stdout.read() == "2\\n"
    return value
"""
    assert run_script(tmp_path, script + BOTH) == "1 2\n7\n"


def test_a_worker_has_no_terminal_to_be_stopped_by(tmp_path: Path) -> None:
    script = """
import os, sys

assert os.isatty(1) and os.open("/dev/tty", os.O_RDONLY)

def function(value):
    try:
        os.open("/dev/tty", os.O_RDONLY)
    except OSError as error:
        print(error.strerror)
    return value
"""
    terminal = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]))"
    said = run_script(tmp_path, script + BOTH, sys.executable, "-c", terminal, sys.executable)
    assert sorted(said.splitlines()) == ["1 2", "7", *["No such device or address"] * 3]


def test_functions_and_classes_of_a_script_that_multiprocessing_has_started_travel(tmp_path: Path) -> None:
    script = """
import multiprocessing

class Own:
    def __init__(self, value):
        self.value = value

def function(value):
    return type(value)(value + Own(1).value) if isinstance(value, int) else value + Own(1).value

def wrap(own):
    return Own(own.value + 1)

def rank():
    ALL_OF_IT

if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=rank)
    process.start()
    process.join()
"""
    both = BOTH + "assert [own.value for own in ff.map(wrap, [Own(1), Own(2)], num_workers=1)] == [2, 3]\n"
    assert run_script(tmp_path, script.replace("ALL_OF_IT", both.strip().replace("\n", "\n    "))) == "2 3\n8\n"


@pytest.mark.parametrize("where", ["in the script", "in a module"])
def test_a_format_that_the_program_has_taught_pil_is_read_in_workers(tmp_path: Path, where: str) -> None:
    plugin = """
from PIL import Image, ImageFile

class OwnFile(ImageFile.ImageFile):
    format = "OWN"

    def _open(self):
        assert self.fp.read(4) == b"OWN!"
        self._size, self._mode = (8, 8), "L"
        self.tile = [("raw", (0, 0, 8, 8), 4, ("L", 0, 1))]

Image.register_open("OWN", OwnFile, lambda prefix: prefix.startswith(b"OWN!"))
"""
    script = """
import io

own = b"OWN!" + bytes([9] * 64)

def function(value):
    with Image.open(io.BytesIO(own)) as image:
        return value + image.getpixel((0, 0))

for workers in (0, 1):
    with ff.images([own], 8, dtype="uint8", labels=None, num_workers=workers) as feed:
        print(int(next(iter(feed)).max()))
"""
    if where == "in a module":
        (tmp_path / "own_plugin.py").write_text(plugin)
        plugin = "import own_plugin\nfrom PIL import Image\n"
    assert run_script(tmp_path, plugin + script + BOTH) == "9\n9\n10 11\n16\n"


def test_a_traceback_shows_the_users_lines(tmp_path: Path) -> None:
    script = """
import linecache

def of_the_script(value):
    return [][int(value)]  # a line of the script

CELL = "def of_a_cell(value):\\n    return [][int(value)]  # a line of a cell\\n"
linecache.cache["<cell 3>"] = len(CELL), None, CELL.splitlines(True), "<cell 3>"
exec(compile(CELL, "<cell 3>", "exec"))

for function, line in ((of_the_script, "a line of the script"), (of_a_cell, "a line of a cell")):
    for feed in (
        ff.map(function, [1], num_workers=1),
        ff.images(["picture.jpg"], 64, transforms=[lambda image: function(image[0, 0, 0])], num_workers=1),
    ):
        try:
            list(feed)
        except (ff.WorkerError, ff.SampleError) as error:
            (note,) = error.__cause__.__notes__
            print(line in note)
        feed.close()
"""
    assert run_script(tmp_path, script) == "True\n" * 4


def test_a_managers_proxies_work_in_workers(tmp_path: Path) -> None:
    script = """
import multiprocessing

def function(value):
    seen.append(int(value if isinstance(value, int) else value.max()))
    return value

if __name__ == "__main__":
    with multiprocessing.Manager() as manager:
        seen = manager.list()
        SHARED_BY_BOTH
        print(*seen)
"""
    script = script.replace("SHARED_BY_BOTH", BOTH.strip().replace("\n", "\n        "))
    assert run_script(tmp_path, script) == "1 2\n7\n1 2 7\n"


def test_a_module_that_is_not_there_is_missed_as_ever(tmp_path: Path) -> None:
    function = """
def function(value):
    try:
        import nowhere
    except ModuleNotFoundError as error:
        assert str(error) == "No module named 'nowhere'" and error.name == "nowhere" and error.__context__ is None
    return value
"""
    assert run_script(tmp_path, function + BOTH) == "1 2\n7\n"


def test_a_function_of_the_script_may_use_one_that_is_cached(tmp_path: Path) -> None:
    function = """
import functools

@functools.lru_cache
def table(size):
    return list(range(size))

def function(value):
    return value + table(4)[3]
"""
    assert run_script(tmp_path, function + BOTH) == "4 5\n10\n"


def test_a_pool_that_the_function_makes_finds_the_functions_of_the_script(tmp_path: Path) -> None:
    function = """
import multiprocessing

def add(value):
    return value + 1

def function(value):
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.map(add, [value])[0]
"""
    assert run_script(tmp_path, function + BOTH) == "2 3\n8\n"


@pytest.mark.parametrize("name", ["this", "uuid"])  # of which a worker's own code imports the second
def test_a_module_of_the_users_may_have_the_name_of_one_of_pythons(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("def function(value): return value + 3\n")
    assert run_script(tmp_path, f"from {name} import function" + BOTH) == "4 5\n10\n"


def test_a_path_among_the_places_of_modules_is_passed_over_as_python_does(tmp_path: Path) -> None:
    script = "import pathlib, sys\nsys.path.insert(0, pathlib.Path('lib'))\ndef function(value): return value\n"
    assert run_script(tmp_path, script + BOTH) == "1 2\n7\n"


def test_a_package_may_say_by_a_path_where_its_modules_are(tmp_path: Path) -> None:
    """As that of Hugging Face Transformers does."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text(
        "import pathlib\n__spec__.submodule_search_locations = [pathlib.Path(__file__).parent]\n"
    )
    (tmp_path / "package" / "part.py").write_text("def function(value): return value + 3\n")
    assert run_script(tmp_path, "from package.part import function" + BOTH) == "4 5\n10\n"


def test_what_is_printed_appears_even_if_the_worker_dies(tmp_path: Path) -> None:
    script = """
import os

def function(value):
    print("in hand", flush=False)
    os._exit(3)

with ff.map(function, [1], num_workers=1, on_error="skip") as feed:
    assert list(feed) == []
with ff.images(["picture.jpg"], 8, transforms=[function], num_workers=1, on_error="skip") as feed:
    assert list(feed) == []
"""
    assert run_script(tmp_path, script) == "in hand\n" * 4


@pytest.mark.parametrize("environment", [{}, {"PYTHONHASHSEED": "11"}])
def test_strings_have_one_hash_in_all_workers(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def hashed(value: object) -> object:
        number = hash("some words") % 251
        return number if isinstance(value, int) else np.full_like(value, number)

    encoded = [encode(picture(index)) for index in range(2)]
    with (
        ff.map(hashed, [1], num_workers=1) as mapped,
        ff.images(encoded, 8, dtype="uint8", transforms=[hashed], num_workers=1) as images,
    ):
        (number,) = mapped
        assert np.unique(next(iter(images))).tolist() == [number]


@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.parametrize("size", [8, 64])
def test_what_cannot_be_loaded_is_reported_with_its_cause(on_error: str, size: int) -> None:
    encoded = [encode(picture(index)) for index in range(3)]
    words = r"loading the function in a worker, for .*Device.*, raised OSError: \[Errno 5\] no such device here \("
    options = {"on_error": on_error, "num_workers": 2}
    with (
        ff.map(Device(), range(3), **options) as mapped,
        ff.images(encoded, size, dtype="uint8", transforms=[Device()], **options) as images,
    ):
        for feed in (mapped, images):
            for _ in range(2):
                with pytest.raises(ff.WorkerError, match=words) as caught:
                    list(feed)
                if feed is mapped or size == 64:
                    cause = caught.value.__cause__
                    assert isinstance(cause, OSError)
                    assert cause.errno == 5
                    assert "in cannot_be_set_up" in cause.__notes__[0]
            assert feed.errors == []
            assert feed.stats().deaths == 0


def test_what_cannot_be_loaded_is_no_fault_of_the_sample_even_where_there_is_no_room_for_words() -> None:
    with (
        ff.images([encode(picture(0))], (1, 2), dtype="uint8", transforms=[Device()], num_workers=1) as feed,
        pytest.raises(
            ff.WorkerError, match=r"for transform Device, raised OSEr.*\.\.\. \(a row of 6 bytes holds no more"
        ),
    ):
        list(feed)


class Locked:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.calls = 0

    def __call__(self, image: np.ndarray) -> np.ndarray:
        with self.lock:
            self.calls += 1
        return image


def test_what_cannot_be_sent_is_refused_with_workers_and_called_itself_without() -> None:
    transform = Locked()
    with (
        ff.images([encode(picture(0))], 8, transforms=[transform], num_workers=1) as feed,
        pytest.raises(ff.ConfigError, match=r"transform Locked cannot be sent.*lock.*num_workers=0"),
    ):
        list(feed)
    with ff.images([encode(picture(0))], 8, transforms=[transform], num_workers=0) as feed:
        assert len(list(feed)) == 1
    assert transform.calls == 1


def test_arrays_of_a_transform_are_its_own_to_write_to() -> None:
    table = np.zeros((8, 8, 3), np.uint8)

    def counting(image: np.ndarray) -> np.ndarray:
        nonlocal table
        table += 1
        return table

    encoded = [encode(picture(index)) for index in range(3)]
    with ff.images(encoded, 8, dtype="uint8", transforms=[counting], num_workers=1) as feed:
        (images,) = list(feed)
    assert images[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert not table.any()
