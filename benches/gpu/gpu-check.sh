#!/bin/sh
# Runs parts of the checks on a machine that has a Python with PyTorch and, for a CUDA device, NVIDIA's driver: nothing
# else.
#
#     sh gpu-check.sh [--python PYTHON] PART... [options]     PART: check, time, evidence
#     sh gpu-check.sh --help
#
# Finds PyTorch's libraries without importing it, checks this folder against its manifest, and hands over to
# gpu_check.py.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
python=python3
if [ "${1:-}" = --python ]; then
    [ $# -ge 2 ] || { echo "gpu-check: --python wants the path of a Python that has PyTorch" >&2; exit 2; }
    python=$2
    shift 2
fi
case " $* " in
    *" --help "* | *" -h "*) exec "$python" "$here/gpu_check.py" --help ;;
esac
(cd "$here" && sha256sum --check --quiet MANIFEST) || { echo "gpu-check: files are not those of the manifest" >&2; exit 2; }
for program in dal conformance timing; do
    [ -x "$here/$program" ] || chmod u+x "$here/$program"
done
LD_LIBRARY_PATH=$("$python" "$here/gpu_check.py" libraries)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
exec "$python" "$here/gpu_check.py" "$@"
