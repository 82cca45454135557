#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: torch.sh PYTHON auto|1|0    Installs PyTorch for the tests of its arrays. auto: only where the registry offers a
# build without CUDA, which weighs a tenth; the tests of torch arrays are skipped where it is not installed.
set -eu
python=$1
wanted=$2
version='torch==2.13.0'

[ "$wanted" != 0 ] || exit 0
if "$python" -c 'import torch' 2>/dev/null; then exit 0; fi
if [ "$wanted" = auto ]; then
  if ! report=$("$python" -m pip -q install --dry-run --report - "$version" 2>/dev/null); then
    echo "torch: none for this Python; its tests will be skipped"
    exit 0
  fi
  if echo "$report" | grep -q '"name": "nvidia'; then
    echo "torch: only the CUDA build is offered (gigabytes); its tests will be skipped. make test TORCH=1 installs it."
    exit 0
  fi
fi
"$python" -m pip -q install "$version"
