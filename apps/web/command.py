"""What `s2m-edge demo web` does: bundles, build, serve until Ctrl-C."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from s2m_edge import console, interrupts
from s2m_edge.apps.prepare import Notify, find_or_export_bundle
from s2m_edge.apps.web.build import built_from, ensure_built, find_node
from s2m_edge.apps.web.server import open_server
from s2m_edge.apps.web.site import TARGET, make_site, write_site
from s2m_edge.deploy.bundle import Bundle, open_bundle
from s2m_edge.deploy.precision import Precision
from s2m_edge.notice import NOTICE

PRECISIONS: tuple[Precision, ...] = ("float16", "float32")
"""What is offered where nothing was asked for: the smaller first, so that a first visit waits for half as much; and
two, so that they can be compared."""


def run_web_demo(
    *,
    bundles: Sequence[Path],
    checkpoints: Sequence[Path | None],
    precisions: Sequence[Precision],
    exports: Path,
    port: int | None,
    out: Path | None,
    open_browser: bool,
    rebuild: bool,
) -> None:
    """Serve the app with the given bundles, or with those of the given checkpoints and precisions, until interrupted.

    Args:
        precisions: of the exports; none stands for `PRECISIONS`.
        out: a folder that receives the site instead.

    Raises:
        S2MEdgeError: whatever stands in the way; see the called functions.
    """
    opened = [open_bundle(folder) for folder in bundles]
    if built_from() is None:
        find_node()  # refuse before the export, not after it
    with console.progress_bar("demo web") as update:
        dist = ensure_built(rebuild=rebuild, notify=update)
        chosen = opened or _bundles_of(checkpoints, precisions, exports, update)
    site = make_site(dist, chosen)
    if out is not None:
        write_site(site, out)
        console.output.print(f"site: {out}")
        console.output.print(NOTICE)
        return
    with open_server(site, port) as server:
        for bundle in chosen:
            console.output.print(f"model: {bundle.folder}")
        console.output.print(Text.assemble((server.url, "bold"), "  (this machine only; Ctrl-C ends it)"))
        console.output.print(NOTICE)
        if open_browser:
            import webbrowser

            webbrowser.open(server.url)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:  # the way to end it, no failure
            interrupts.forget()
            console.status.print("stopped")


def _bundles_of(
    checkpoints: Sequence[Path | None],
    precisions: Sequence[Precision],
    exports: Path,
    update: Notify,
) -> list[Bundle]:
    return [
        find_or_export_bundle(
            TARGET,
            checkpoint,
            precision,
            folder=exports,
            notify=lambda step, done, total, name=precision: update(f"{name}, {step}", done, total),
        )
        for checkpoint in checkpoints
        for precision in precisions or PRECISIONS
    ]
