"""Packages that some interpreters have no release of."""

import importlib
import sys
import sysconfig

HAS_NO_LOCK = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
"""The interpreter was built without a global lock; a module may still have brought it back."""


def released(name):
    """The module; ``None`` on 3.13 without a global lock, which not all have been released for."""
    if HAS_NO_LOCK and sys.version_info < (3, 14):
        return None
    return importlib.import_module(name)
