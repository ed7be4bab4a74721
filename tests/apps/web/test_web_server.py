"""The loopback server and its site: what is handed out, with which headers, and what never is."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from s2m_edge.apps.web.build import MINIMUM_NODE, node_environment, sources_fingerprint
from s2m_edge.apps.web.server import HOST, PORT, PortError, SiteServer, open_server
from s2m_edge.apps.web.site import Site, make_site, write_site
from s2m_edge.errors import ContractError, MissingBackendError, OutputError
from s2m_edge.files import file_sha256
from s2m_edge.targets.bundle import open_bundle


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A built page, as far as the server cares."""
    folder = tmp_path / "dist"
    (folder / "ort").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html>")
    (folder / "site.webmanifest").write_text("{}")
    (folder / "ort" / "runtime.mjs").write_text("export {};")
    (folder / "ort" / "runtime.wasm").write_bytes(b"\0asm")
    (folder / ".sources").write_text("not for anybody")
    return folder


@pytest.fixture
def server(page: Path, small_bundles: dict[str, Path]) -> Iterator[SiteServer]:
    site = make_site(page, [open_bundle(small_bundles["float32"])])
    with open_server(site, 0) as opened:
        thread = threading.Thread(target=opened.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield opened
        opened.shutdown()
        thread.join(10)


def ask(server: SiteServer, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(HOST, server.server_address[1], timeout=10)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def test_the_page_comes_with_the_headers_that_threads_need_and_a_strict_policy(server: SiteServer):
    kinds = {"/": "text/html", "/ort/runtime.mjs": "text/javascript", "/ort/runtime.wasm": "application/wasm"}
    for path, kind in kinds.items():
        status, headers, content = ask(server, path)
        assert status == 200
        assert headers["Content-Type"].startswith(kind)
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "http" not in headers["Content-Security-Policy"], "no other host is allowed"
        assert int(headers["Content-Length"]) == len(content) > 0


def test_bundles_are_listed_with_the_hashes_of_their_files(server: SiteServer, small_bundles: dict[str, Path]):
    listed = json.loads(ask(server, "/bundles/index.json")[2])["bundles"]
    assert [entry["id"] for entry in listed] == ["small-onnx-float32"]
    assert set(listed[0]["files"]) == {"contract.json", "golden.safetensors", "parity.json", "s2mnet.onnx"}
    for name, entry in listed[0]["files"].items():
        path = small_bundles["float32"] / name
        assert entry == {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        assert ask(server, f"/bundles/small-onnx-float32/{name}?sha256={entry['sha256']}")[2] == path.read_bytes()
    samples = json.loads(ask(server, "/samples/index.json")[2])["samples"]
    assert {entry["domain"] for entry in samples} == {"polyp", "vessel", "cardiac", "skin"}
    assert ask(server, f"/samples/{samples[0]['file']}")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/.sources",
        "/bundles/",
        "/bundles/small-onnx-float16/contract.json",
        "/../pyproject.toml",
        "/bundles/small-onnx-float32/../../../conftest.py",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/samples/..%2f..%2fcheckpoints",
    ],
)
def test_nothing_else_is_handed_out(server: SiteServer, path: str):
    assert ask(server, path)[0] == 404


def test_a_foreign_name_for_this_address_is_refused(server: SiteServer):
    assert ask(server, "/", Host=f"evil.example:{server.server_address[1]}")[0] == 403
    assert ask(server, "/", Host=f"localhost:{server.server_address[1]}")[0] == 200


def test_what_did_not_change_is_not_sent_again(server: SiteServer):
    tag = ask(server, "/")[1]["ETag"]
    status, headers, content = ask(server, "/", If_None_Match=tag)
    assert (status, content) == (304, b"")
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert ask(server, "/", If_None_Match='"other"')[0] == 200
    status, headers, content = ask(server, "/", method="HEAD")
    assert (status, content) == (200, b"")
    assert int(headers["Content-Length"]) > 0
    assert ask(server, "/", method="POST")[0] == 501


def test_it_listens_on_the_loopback_address_only_and_takes_a_free_port_where_the_default_is_taken():
    site = Site({}, {})
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((HOST, PORT))
            taken.listen()
        except OSError:
            pass  # something else has it: as good
        with open_server(site, None) as server:
            assert server.server_address[0] == "127.0.0.1"
            assert server.server_address[1] != PORT
            with pytest.raises(PortError, match="--port"):
                open_server(site, server.server_address[1])
    with pytest.raises(PortError, match="--port"):
        open_server(site, 70000)


def test_a_site_can_be_written_as_a_folder_and_nothing_of_value_is_replaced(
    page: Path, small_bundles: dict[str, Path], tmp_path: Path
):
    site = make_site(page, [open_bundle(small_bundles["float32"]), open_bundle(small_bundles["float16"])])
    out = tmp_path / "site"
    for _ in range(2):  # the second time it replaces its own
        write_site(site, out)
        assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()) == site.paths()
    assert json.loads((out / "bundles" / "index.json").read_text())["bundles"][1]["precision"] == "float16"
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="--out"):
        write_site(site, precious)
    assert (precious / "thesis.txt").is_file()


def test_a_bundle_that_the_page_cannot_run_is_refused(page: Path, small_bundles: dict[str, Path], tmp_path: Path):
    shutil.copytree(small_bundles["float32"], tmp_path / "bundle")
    (tmp_path / "bundle" / "parity.json").unlink()
    with pytest.raises(ContractError, match=r"lacks parity\.json"):
        make_site(page, [open_bundle(tmp_path / "bundle")])
    contract = tmp_path / "bundle" / "contract.json"
    contract.write_text(json.dumps({**json.loads(contract.read_text()), "target": "openvino"}))
    with pytest.raises(ContractError, match="--target onnx"):
        make_site(page, [open_bundle(tmp_path / "bundle")])


def test_without_node_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    import s2m_edge.apps.web.build as build

    monkeypatch.setattr(build, "_wheel_binaries", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingBackendError, match=r"neither is on the PATH.*Install Node\.js .*s2m-edge\[web\]"):
        node_environment()
    for name, text in (("node", "#!/bin/sh\necho v18.19.0\n"), ("npm", "#!/bin/sh\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    with pytest.raises(MissingBackendError, match=r"only v18\.19\.0 is here"):
        node_environment()
    (tmp_path / "node").write_text(f"#!/bin/sh\necho v{MINIMUM_NODE[0]}.{MINIMUM_NODE[1]}.0\n")
    assert node_environment()["PATH"] == str(tmp_path)


def test_a_change_of_the_sources_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    import s2m_edge.apps.web.build as build

    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.js").write_text("1")
    monkeypatch.setattr(build, "APP", tmp_path)
    monkeypatch.setattr(build, "DIST", tmp_path / "dist")
    before = sources_fingerprint()
    assert before == sources_fingerprint()
    assert build.built_from() is None
    (tmp_path / "src" / "main.js").write_text("2")
    changed = sources_fingerprint()
    (tmp_path / "src" / "more.js").write_text("")
    assert len({before, changed, sources_fingerprint()}) == 3
    (tmp_path / "README.md").write_text("of no importance")
    assert sources_fingerprint() == sources_fingerprint()
