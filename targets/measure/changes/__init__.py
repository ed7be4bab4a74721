"""What changed between two bundles, checkpoints or reports, and whether it is worse."""

from s2m_edge.targets.measure.changes.compare import BlockChange, Changes, FigureChange, compare_sides
from s2m_edge.targets.measure.changes.side import Figure, Side, open_side
from s2m_edge.targets.measure.changes.write import changes_html

__all__ = [
    "BlockChange",
    "Changes",
    "Figure",
    "FigureChange",
    "Side",
    "changes_html",
    "compare_sides",
    "open_side",
]
