#!/usr/bin/env bash
# Make a small root file system for 64-bit ARM in FOLDER, with Python and what runs exported files, from the packages of
# Debian or Ubuntu and of PyPI. Needs apt, dpkg-deb and pip; beside qemu-user, nothing of it is installed on this machine.
#
#     examples/arm64/prepare.sh FOLDER
#     export MNIST_EDGE_ARM64_ROOT=FOLDER
#     mnist-edge verify exports/mnist-mlp-int8.onnx --target aarch64
set -euo pipefail
root=$(realpath --canonicalize-missing "${1:?name a folder}")
project=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$root/debs" "$root/proc"

dpkg --print-foreign-architectures | grep -qx arm64 || dpkg --add-architecture arm64
apt-get update -qq
python=$(apt-cache depends python3-minimal:arm64 | grep -oE 'python3\.[0-9]+-minimal' | head -n 1)
version=${python%-minimal}
libraries=(libc6 libgcc-s1 libstdc++6 zlib1g libexpat1 libffi8 libbz2-1.0 liblzma5 libcrypt1)
(cd "$root/debs" && apt-get download -qq "${libraries[@]/%/:arm64}" "$version-minimal:arm64" "lib$version-minimal:arm64" "lib$version-stdlib:arm64" 2>/dev/null)
for package in "$root"/debs/*.deb; do dpkg-deb -x "$package" "$root"; done
rm -r "$root/debs"
ln -sf "$version" "$root/usr/bin/python3"

# Packages look here for what the processor can do, and QEMU shows them the host's: this is a Cortex-A76.
cat > "$root/proc/cpuinfo" <<'CPUINFO'
processor	: 0
BogoMIPS	: 108.00
Features	: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: 0x4
CPU part	: 0xd0b
CPU revision	: 1
CPUINFO

# Each by itself, in the versions that CI uses: what they require beside these is not needed to run a file.
platforms=(--platform any)
for tag in manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014; do platforms+=(--platform "${tag}_aarch64"); done
packages=()
for name in numpy onnxruntime pillow click ai-edge-litert flatbuffers; do
    packages+=("$(grep -iE "^$name==" "$project/constraints.txt")")
done
"${PYTHON:-python3}" -m pip install --quiet --no-deps --upgrade --target "$root/site" "${platforms[@]}" \
    --python-version "${version#python}" --only-binary=:all: "${packages[@]}"
