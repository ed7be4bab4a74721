"""`s2m-edge serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from s2m_edge.cli.options import finite


def serve(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder written by s2m-edge export.")],
    out: Annotated[Path, typer.Option(help="Folder for the results, one folder per study, and for the ledger.")] = Path(
        "studies"
    ),
    inbox: Annotated[
        Path | None, typer.Option(help="Folder for what is received; inbox in --out by default.", show_default=False)
    ] = None,
    host: Annotated[
        str, typer.Option(help="IP address to listen on. Any but this one opens the door to other machines.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 11112,
    ae_title: Annotated[str, typer.Option(help="AE title of the server, which senders must call it by.")] = "S2MEDGE",
    allow: Annotated[
        list[str] | None, typer.Option(help="AE title that may send; any if left out. Repeatable.", show_default=False)
    ] = None,
    send_to: Annotated[
        str | None,
        typer.Option(help="Node that DICOM results are sent to as well: AETITLE@HOST:PORT.", show_default=False),
    ] = None,
    formats: Annotated[
        str, typer.Option("--format", help="Of the results: dicom-seg, nifti, csv, json, png, with commas.")
    ] = "dicom-seg,json",
    codes: Annotated[
        Path | None,
        typer.Option(
            help="Codes of the classes for DICOM-SEG, a JSON file; a bundled network's classes have theirs.",
            show_default=False,
        ),
    ] = None,
    quiet_seconds: Annotated[
        float,
        typer.Option(help="A study is complete when nothing of it came for so long.", min=0.1, callback=finite),
    ] = 10.0,
    queue: Annotated[int, typer.Option(help="Studies that may wait; more are refused.", min=1)] = 50,
    max_gigabytes: Annotated[
        float,
        typer.Option(help="Of received files, older ones of finished studies go first.", min=0.001, callback=finite),
    ] = 20.0,
    max_instance: Annotated[
        int, typer.Option("--max-instance-megabytes", help="Largest file that is taken.", min=1)
    ] = 512,
    associations: Annotated[int, typer.Option(help="Senders at a time.", min=1, max=64)] = 4,
    threads: Annotated[int | None, typer.Option(help="CPU threads of the edge runtime.", min=1)] = None,
) -> None:
    """Receive DICOM studies, segment them, and write or send the segmentations, until Ctrl-C.

    Listens on this machine's loopback address unless --host says otherwise. AE titles are no proof of who sends, and
    nothing is encrypted. What was received is on the disk before the sender is told so; after a kill, the next start
    with the same --out goes on. Needs the pip extra serve (pynetdicom).
    """
    from s2m_edge.apps.server.command import run_server
    from s2m_edge.apps.server.settings import Settings, parse_destination, require_address, require_ae_title

    settings = Settings(
        host=require_address(host),
        port=port,
        ae_title=require_ae_title(ae_title),
        allow=tuple(require_ae_title(title) for title in allow or ()),
        quiet_seconds=quiet_seconds,
        queue=queue,
        largest_instance=max_instance * 2**20,
        room=int(max_gigabytes * 1e9),
        associations=associations,
        send_to=None if send_to is None else parse_destination(send_to),
    )
    run_server(bundle, out, settings, inbox=inbox, formats=formats, codes=codes, threads=threads)
