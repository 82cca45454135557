# SPDX-License-Identifier: Apache-2.0
"""How estimators print."""

from __future__ import annotations

import inspect
from typing import Any


class Shown:
    """repr() as the call that makes such an object: the parameters of __init__ that are not at their defaults."""

    def __repr__(self) -> str:
        parameters = list(inspect.signature(type(self).__init__).parameters.values())[1:]
        shown = [_shown(p.name, getattr(self, p.name)) for p in parameters if _differs(getattr(self, p.name), p.default)]
        return f"{type(self).__name__}({', '.join(shown)})"


def _differs(value: Any, default: Any) -> bool:
    return hasattr(value, "shape") or type(value) is not type(default) or value != default


def _shown(name: str, value: Any) -> str:
    return f"{name}=<array {tuple(value.shape)}>" if hasattr(value, "shape") else f"{name}={value!r}"
