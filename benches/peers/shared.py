"""What the comparisons with peers share: environments of pinned packages, fair surroundings, the machine's name."""

import pathlib
import platform
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# For the peers: buffers that the allocator keeps instead of returning them to the kernel after every use, which NumPy
# and PyTorch gain by. Ours goes without, so that its memory is what it would take anywhere.
KEEP_BUFFERS = {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=8589934592"}
# Set in every child that is to have one thread, whatever its caller inherited.
ONE_THREAD = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "RAYON_NUM_THREADS",
    )
}


def environment(folder, environments):
    """A Python with the packages that a folder pins in `requirements.txt` and, installed without what they would bring
    along, `requirements-no-deps.txt`; made anew where the pins changed."""
    lists = [folder / name for name in ("requirements.txt", "requirements-no-deps.txt") if (folder / name).exists()]
    wanted = "".join(path.read_text() for path in lists)
    target = environments / f"{folder.parent.name}_{folder.name}"
    python, stamp = target / "bin" / "python", target / "requirements.installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"installing the packages of {folder.relative_to(ROOT)}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(target)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for path in lists:
        alone = ["--no-deps"] if "no-deps" in path.name else []
        subprocess.run([*install, *alone, "-r", str(path)], check=True)
    stamp.write_text(wanted)
    return python


def processor():
    """What the machine computes with."""
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def kind():
    """The kind of processor, for names of files: `intel-xeon`, `amd-epyc`. Kinds differ by a third where ours is near
    the limit of one and not of the other, so each has its own table."""
    words = re.sub(r"\([a-z]*\)", " ", processor(), flags=re.IGNORECASE).lower()
    words = [word for word in re.findall(r"[a-z0-9]+", words) if word not in ("cpu", "processor", "core", "virtual")]
    return "-".join(words[:2]) or "unknown"


def table_files(out, subject):
    """The page and the raw samples of a table on this kind of processor."""
    stem = f"peers-{subject}-{kind()}"
    return out / f"{stem}.md", out / f"{stem}.json"
