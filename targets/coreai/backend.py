"""Importing Core AI's packages."""

from __future__ import annotations

from types import ModuleType

from s2m_edge.targets.coreai.quiet import quiet_coreai


def import_operations() -> ModuleType:
    """The constructors of Core AI's operations, as coreai-torch itself uses them.

    coreai.authoring has to come first: the two import each other.
    """
    with quiet_coreai():
        from coreai._compiler.dialects import coreai as operations

    return operations
