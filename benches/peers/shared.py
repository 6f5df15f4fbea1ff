"""What the comparisons with peers share: environments of pinned packages, fair surroundings, the machine's name."""

import contextlib
import pathlib
import platform
import re
import subprocess
import sys
import sysconfig
import textwrap

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


def pins(folder):
    """The lists of packages of a folder: `requirements.txt` and, installed without what they would bring along,
    `requirements-no-deps.txt`."""
    return [folder / name for name in ("requirements.txt", "requirements-no-deps.txt") if (folder / name).exists()]


def environment(folder, environments, base=None):
    """A Python with the packages that a folder pins; made anew where the pins changed. With `base`, a folder too, it
    imports that one's packages where it has none of its own, so that PyTorch lies on the disk once."""
    below = environment(base, environments) if base else None
    lists = [path for one in ((base, folder) if base else (folder,)) for path in pins(one)]
    wanted = "".join(path.read_text() for path in lists)
    target = environments / f"{folder.parent.name}_{folder.name}"
    python, stamp = target / "bin" / "python", target / "requirements.installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"installing the packages of {folder.relative_to(ROOT)}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(target)], check=True)
    if below:
        # Its own packages come first on the path.
        (packages(target) / "base.pth").write_text(f"{packages(below.parent.parent)}\n")
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for path in pins(folder):
        alone = ["--no-deps"] if "no-deps" in path.name else []
        subprocess.run([*install, *alone, "-r", str(path)], check=True)
    stamp.write_text(wanted)
    return python


def packages(target):
    """Where an environment keeps its packages."""
    return pathlib.Path(sysconfig.get_path("purelib", "posix_prefix", {"base": str(target), "platbase": str(target)}))


class Checks:
    """What `--check` finds: a line for each peer on standard output, one that failed with its reason."""

    def __init__(self, subject):
        self.subject, self.failed = subject, 0

    @contextlib.contextmanager
    def of(self, peer):
        try:
            yield
        # Whatever a peer, its packages or their installation trip over is what is looked for.
        except (Exception, SystemExit) as error:
            self.failed += 1
            reason = " ".join(str(error).split()) or type(error).__name__
            print(f"FAILED  {self.subject}: {peer}: {reason}", flush=True)
        else:
            print(f"ok      {self.subject}: {peer}", flush=True)

    def exit_code(self):
        return 1 if self.failed else 0


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


def folded(text):
    """Markdown with paragraphs of lines of at most 120 characters; tables stay as they are."""
    lines = []
    for line in text.splitlines():
        is_prose = line and not line.startswith(("|", "#"))
        indent = "  " if line.startswith("- ") else ""
        words = {"width": 120, "break_long_words": False, "break_on_hyphens": False, "subsequent_indent": indent}
        lines += textwrap.wrap(line, **words) if is_prose else [line]
    return "\n".join(lines) + "\n"


def table_files(out, subject):
    """The page and the raw samples of a table on this kind of processor."""
    stem = f"peers-{subject}-{kind()}"
    return out / f"{stem}.md", out / f"{stem}.json"
