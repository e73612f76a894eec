"""How likely is it that a model was trained on another model's outputs, and why.

    >>> from forensics import AuditConfig, audit
    >>> audit(AuditConfig("zoo/student", "zoo/teacher", ("zoo/control-a", "zoo/control-b", "zoo/control-c"),
    ...                   base="zoo/base", suite="zoo"))  # doctest: +SKIP

Names are imported when they are used, so that ``import forensics`` is quick.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .audit import audit, compare, judge
    from .collect import collect
    from .config import AuditConfig, load_config
    from .errors import BackendError, BudgetExceeded, EvidenceError, ForensicsError, UsageError
    from .record import Report
    from .spec import parse_spec
    from .store import Store

__version__ = "0.1.0"

_HOME = {
    "AuditConfig": "config",
    "BackendError": "errors",
    "BudgetExceeded": "errors",
    "EvidenceError": "errors",
    "ForensicsError": "errors",
    "Report": "record",
    "Store": "store",
    "UsageError": "errors",
    "audit": "audit",
    "collect": "collect",
    "compare": "audit",
    "judge": "audit",
    "load_config": "config",
    "parse_spec": "spec",
}

__all__ = [
    "AuditConfig",
    "BackendError",
    "BudgetExceeded",
    "EvidenceError",
    "ForensicsError",
    "Report",
    "Store",
    "UsageError",
    "__version__",
    "audit",
    "collect",
    "compare",
    "judge",
    "load_config",
    "parse_spec",
]


class _Package(ModuleType):
    """The package, whose public names never turn into the submodules that they live in.

    ``audit`` and ``collect`` are functions in modules of the same name; importing such a module would otherwise put
    the module in the function's place.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'forensics' has no attribute {name!r}")
        return getattr(import_module(f".{_HOME[name]}", __name__), name)

    def __dir__(self) -> list[str]:
        return sorted(__all__)


sys.modules[__name__].__class__ = _Package
