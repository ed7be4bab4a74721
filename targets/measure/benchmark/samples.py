"""The labelled pictures that Dice is measured on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2m_edge.samples import sample_images, sample_mask

if TYPE_CHECKING:
    from s2m_edge.train.data.sample import Sample


@dataclass(frozen=True)
class SampleChoice:
    """Which pictures: a split of an image folder, or the bundled ones of a domain.

    Attributes:
        folder: image folder; None for the bundled pictures.
        split, preset: of the folder, as in `s2m-edge evaluate`.
        limit: only the first images.
        domain: of the bundled pictures, "polyp" for instance; None: there are none that fit the network.
    """

    folder: Path | None = None
    split: str = "test"
    preset: str | None = None
    limit: int | None = None
    domain: str | None = None

    def find(self) -> list[Sample]:
        """The samples; none where no bundled picture fits.

        Raises:
            ImageError: the folder, the split or a file of it is missing.
            ConfigurationError: there is no such preset.
        """
        from s2m_edge.targets.measure.evaluation.evaluate import split_samples
        from s2m_edge.train.data.sample import Sample

        if self.folder is not None:
            return split_samples(self.folder, self.split, self.preset)[: self.limit]
        if self.domain is None:
            return []
        pictures = sample_images(self.domain)
        return [Sample(path.stem, path, sample_mask(path)) for path in pictures][: self.limit]

    def exist(self) -> bool:
        """Whether there are any."""
        return bool(self.find())

    def picture(self) -> Path:
        """The picture that every contender is timed on."""
        found = self.find()
        return found[0].image if found else sample_images(None)[0]

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `from_dict` is the inverse."""
        return {**asdict(self), "folder": None if self.folder is None else str(self.folder.resolve())}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SampleChoice:
        return cls(**{**values, "folder": None if values["folder"] is None else Path(values["folder"])})
