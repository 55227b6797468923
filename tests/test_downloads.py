"""Downloads, against a server on this machine that misbehaves as servers do."""

import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ganlib.core.errors import UserError
from ganlib.datasets import downloads
from ganlib.datasets.downloads import fetch

CONTENT = bytes(range(256)) * 2000
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


class Server(ThreadingHTTPServer):
    """Serve CONTENT; `breaks` answers are cut off midway, and every request is noted with its range."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []
        self.breaks = 0

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        self.server.ranges.append(self.headers["Range"])
        if "absent" in self.path:
            self.send_error(404)
        elif "hang" in self.path:
            time.sleep(3)
        else:
            self.send_content(resumable="plain" not in self.path)

    def send_content(self, resumable: bool) -> None:
        start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-")) if resumable else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if resumable else 200)
        body = CONTENT[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.breaks:
            self.server.breaks -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(downloads, "TIMEOUT", (1, 1))
    with Server() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("checksum", [SHA256, MD5])
def test_a_download_arrives_whole_and_only_once(server: Server, tmp_path: Path, checksum: str):
    for _ in range(2):
        file = fetch(server.url("my%20pets.zip?key=1"), checksum, tmp_path, tmp_path / "url")
        assert file.read_bytes() == CONTENT
    assert file.relative_to(tmp_path) == Path("url/my pets.zip")
    assert len(server.ranges) == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["url", "my pets.zip"]


def test_a_download_that_breaks_off_goes_on_where_it_stopped(server: Server, tmp_path: Path):
    server.breaks = 2
    for _ in range(2):
        with pytest.raises(UserError, match="the connection broke off midway; run again to go on"):
            fetch(server.url("pets.zip"), SHA256, tmp_path, tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["pets.zip.part"]
    assert fetch(server.url("pets.zip"), SHA256, tmp_path, tmp_path).read_bytes() == CONTENT
    starts = [int(str(asked).removeprefix("bytes=").removesuffix("-")) for asked in server.ranges]
    assert starts[0] == 0 < starts[1] < starts[2] < len(CONTENT)


def test_a_server_that_cannot_resume_sends_all_again(server: Server, tmp_path: Path):
    server.breaks = 1
    with pytest.raises(UserError):
        fetch(server.url("plain.zip"), SHA256, tmp_path, tmp_path)
    assert fetch(server.url("plain.zip"), SHA256, tmp_path, tmp_path).read_bytes() == CONTENT


def test_a_part_that_is_all_there_is_taken(server: Server, tmp_path: Path):
    (tmp_path / "pets.zip.part").write_bytes(CONTENT)
    assert fetch(server.url("pets.zip"), SHA256, tmp_path, tmp_path).read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_no_file(server: Server, tmp_path: Path):
    with pytest.raises(UserError, match="does not match the known hash") as caught:
        fetch(server.url("pets.zip"), f"sha256:{'0' * 64}", tmp_path, tmp_path)
    assert SHA256.removeprefix("sha256:") in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "reason"), [("absent.zip", "the server says 404 Not Found"), ("hang.zip", "no answer within 1 seconds")]
)
def test_a_server_that_does_not_deliver_is_one_clear_error(server: Server, tmp_path: Path, name: str, reason: str):
    started = time.monotonic()
    with pytest.raises(UserError) as caught:
        fetch(server.url(name), SHA256, tmp_path, tmp_path / "url")
    assert time.monotonic() - started < 2.5
    assert str(caught.value) == (
        f"cannot download {server.url(name)}: {reason}; run again to go on, or get it in another way and put it into "
        f"{tmp_path / 'url'}"
    )


def test_without_a_network_the_error_says_what_to_get_and_where_to_put_it(tmp_path: Path):
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:9/a\.zip: no connection; .* put it into .*url"):
        fetch("http://127.0.0.1:9/a.zip", SHA256, tmp_path, tmp_path / "url")
    with pytest.raises(UserError, match="no connection"):
        fetch("http://no.such.host.invalid/a.zip", SHA256, tmp_path, tmp_path / "url")


def test_a_file_that_is_there_already_is_found_wherever_it_lies(tmp_path: Path):
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "a.zip").write_bytes(b"another of this name")
    (tmp_path / "deep/er/a.zip").write_bytes(CONTENT)
    assert fetch("http://127.0.0.1:9/a.zip", MD5, tmp_path, tmp_path / "url") == tmp_path / "deep/er/a.zip"
