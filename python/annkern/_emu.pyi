# SPDX-License-Identifier: Apache-2.0
from ._cpu import *  # noqa: F403
