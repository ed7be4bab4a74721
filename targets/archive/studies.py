"""An archive's item that is a study: a folder of a series, or a volume whose every slice is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s2m_edge.deploy.bundle import Bundle
from s2m_edge.imaging.folders import numbered
from s2m_edge.imaging.study import StudySource, find_studies
from s2m_edge.targets.archive.manifest import Item
from s2m_edge.targets.base import Runner
from s2m_edge.targets.study.results import codes_of, segment_study

DEFAULT_FORMATS = ("png",)


def process_study(
    opened: Bundle,
    runner: Runner,
    item: Item,
    out: Path,
    *,
    formats: tuple[str, ...] = DEFAULT_FORMATS,
    slices: range | None = None,
    codes: Path | None = None,
    seg_type: str = "binary",
    overwrite: bool = False,
    **cut: Any,
) -> dict[str, Any]:
    """Segment all studies that an item holds, and write their results; figures as `process_item` gives them.

    Several studies of one folder are told apart by their own names behind the item's.

    Args:
        formats: of the results.
        slices: which of each study; all where None. The item's own slice comes before it.
        codes: a file of codes for DICOM-SEG.
        seg_type: how it stores its pixels.
        overwrite: files that are there may be replaced.
        cut: `plane`, `volume` and `threshold`.

    Raises:
        S2MEdgeError: one of the studies cannot be read, predicted or written; of the others results may be there.
    """
    sources = find_studies(item.path)
    mark = "" if opened.contract.proved else "-unproved"
    wanted = slices if item.slice_index is None else range(item.slice_index, item.slice_index + 1)
    known = codes_of(opened, codes) if codes is not None or "dicom-seg" in formats else None
    place = (out / item.name).parent
    results: list[dict[str, Any]] = []
    for source, stem in zip(sources, _stems(item, sources, mark), strict=True):
        study = source.open(cut["plane"], cut["volume"])
        outputs = segment_study(
            opened,
            runner,
            study,
            formats,
            place,
            stem,
            slices=wanted,
            threshold=cut["threshold"],
            codes=known,
            overwrite=overwrite,
            seg_type=seg_type,
        )
        paths = [path.relative_to(out).as_posix() for path in outputs.paths]
        results.append({**_figures(outputs.prediction.summary()), "files": paths})
    return {"results": results, "files": [path for result in results for path in result["files"]]}


def _stems(item: Item, sources: list[StudySource], mark: str) -> list[str]:
    base = item.name.rsplit("/", 1)[-1]
    if len(sources) == 1:
        return [f"{base}{mark}"]
    return [f"{name}{mark}" for name in numbered(f"{base}-{source.name}" for source in sources)]


def _figures(summary: Mapping[str, Any]) -> dict[str, Any]:
    wanted = ("study", "slices", "width", "height", "area_pixels", "volume_ml", "spacing_mm", "windows", "remarks")
    return {
        **{name: summary[name] for name in wanted},
        "unusual": summary["unusual_slices"],
        "network_milliseconds": summary["network_milliseconds"],
    }


def is_study(item: Item, formats: tuple[str, ...], slices: range | None) -> bool:
    """Whether an item is a study: a folder always, a file where results or slices of studies were asked for."""
    return bool(formats) or slices is not None or item.path.is_dir()
