"""One page on bundles and their network that a reviewer reads in a minute."""

from s2m_edge.targets.measure.page.exported import REPORT_FILE, EdgeAnswers, ExportPages
from s2m_edge.targets.measure.page.facts import BundleFacts, ShownInput, bundle_facts
from s2m_edge.targets.measure.page.spectrum import StageSpectrum, picture_spectra, stage_spectra
from s2m_edge.targets.measure.page.write import PageContent, page_html

__all__ = [
    "REPORT_FILE",
    "BundleFacts",
    "EdgeAnswers",
    "ExportPages",
    "PageContent",
    "ShownInput",
    "StageSpectrum",
    "bundle_facts",
    "page_html",
    "picture_spectra",
    "stage_spectra",
]
