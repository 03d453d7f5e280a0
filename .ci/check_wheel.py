"""Prove what a wheel's name promises: python check_wheel.py WHEEL GLIBC.

auditwheel proves the platform; what it does not ask is asked here.
"""

import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

LIBRARIES = re.compile(r"(libc|libm)\.so\.6|libpthread\.so\.0|ld-linux-[\w-]+\.so\.[12]")
LARGEST = 1_000_000


def version(text: str) -> tuple[int, ...]:
    """2.28 as numbers that compare."""
    return tuple(map(int, text.split(".")))


def check(wheel: Path, glibc: str) -> None:
    """Raise SystemExit unless the wheel keeps its promises; say what it is."""
    problems = []
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        binaries = [name for name in names if name.endswith(".so")]
        if len(binaries) != 1 or not binaries[0].startswith("fastfeed/_native.cpython-"):
            raise SystemExit(f"{wheel.name}: it has the shared objects {binaries}")
        elf = ELFFile(io.BytesIO(archive.read(binaries[0])))
    machine = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64"}[elf["e_machine"]]
    if not (wheel.stem.endswith(f"_{machine}") and f"-{machine}-linux-gnu.so" in binaries[0]):
        problems.append(f"its {binaries[0]} is for {machine}")
    problems += [
        f"the licence {name} is missing"
        for name in ("LICENSE", "licenses/libjpeg-turbo.copyright", "licenses/libjpeg-turbo.README.ijg")
        if not any(each.endswith(f".dist-info/licenses/{name}") for each in names)
    ]
    if any(re.search(r"\.(c|h|pyx|pxi)$|^tests/", name) for name in names):
        problems.append("it has sources or tests")
    if wheel.stat().st_size > LARGEST:
        problems.append(f"it is larger than {LARGEST} bytes")

    symbols = elf.get_section_by_name(".dynsym").iter_symbols()
    exported = {each.name for each in symbols if each.name and each["st_shndx"] != "SHN_UNDEF"}
    if exported != {"PyInit__native"}:
        problems.append(f"it exports {sorted(exported)}")
    dynamic = next(each for each in elf.iter_sections() if isinstance(each, DynamicSection))
    needed = [each.needed for each in dynamic.iter_tags("DT_NEEDED")]
    problems += [f"it needs {library}" for library in needed if not LIBRARIES.fullmatch(library)]
    newest = max(
        (
            each.name.removeprefix("GLIBC_")
            for _, uses in elf.get_section_by_name(".gnu.version_r").iter_versions()
            for each in uses
        ),
        key=version,
    )
    if version(newest) > version(glibc):
        problems.append(f"it needs glibc {newest}")

    command = [sys.executable, "-m", "auditwheel", "show", wheel]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    platform = re.search(r'consistent with the following platform tag: "(\w+)"', " ".join(done.stdout.split()))
    found = re.match(r"manylinux_(\d+)_(\d+)_", platform.group(1)) if platform else None
    if found is None or tuple(map(int, found.groups())) > version(glibc):
        problems.append(f"auditwheel says of it: {done.stdout}")
    if problems:
        raise SystemExit("\n".join([f"{wheel.name}:", *problems]))
    print(f"{wheel.name}: {wheel.stat().st_size} bytes; {', '.join(needed)}; no symbol newer than glibc {newest}")


if __name__ == "__main__":
    check(Path(sys.argv[1]), sys.argv[2])
