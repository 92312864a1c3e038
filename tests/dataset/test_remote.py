"""Datasets that are no local folders: a real S3 server, fsspec's memory and local file systems, other people's readers."""

from __future__ import annotations

import json
import os
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
import yaml

import ik_mdn
import sim
from ik_mdn.cli import main
from sim.dataset import generate, read_batches, read_info, read_samples
from sim.dataset.shards import shard_path
from sim.errors import DatasetError
from sim.remote import RemotePath, as_place

KINDS = ("s3", "memory", "local")
WANTED: dict[str, Any] = {"count": 5500, "shard_size": 1000, "seed": 3}


@pytest.fixture(scope="module")
def arm() -> sim.Arm:
    return sim.load_arm("planar2")


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """The address of a server that speaks S3, with a bucket."""
    server = pytest.importorskip("moto.server", reason="moto's S3 server is not installed")
    thread = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    thread.start()
    host, port = thread.get_host_and_port()
    address = f"http://{host}:{port}"
    urllib.request.urlopen(urllib.request.Request(f"{address}/bucket", method="PUT")).close()
    yield address
    thread.stop()


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder that is not there yet, on each kind of file system."""
    name = uuid4().hex
    if request.param == "s3":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anyone")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
        scheme, _, endpoint = request.getfixturevalue("s3_server").partition("://")
        return f"s3://bucket/{name}/samples?endpoint_override={endpoint}&scheme={scheme}&region=us-east-1"
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    return f"memory://{name}/samples" if request.param == "memory" else f"local://{tmp_path}/{name}/samples"


def _contents(place: RemotePath | Path) -> dict[str, bytes]:
    shards = sorted((place / "shards").glob("*"), key=lambda path: path.name)
    return {path.name: path.read_bytes() for path in [*shards, place / "dataset.json", place / "README.md"]}


def _put(path: RemotePath | Path, content: bytes) -> None:
    assert isinstance(path, RemotePath)
    with path.filesystem.open_output_stream(path.key) as file:
        file.write(content)


def test_it_has_the_bytes_of_a_local_one_and_reads_back(arm: sim.Arm, url: str, tmp_path: Path) -> None:
    there = generate(arm, url, **WANTED, workers=2)
    here = generate(arm, tmp_path / "here", **WANTED, workers=1)
    assert _contents(there.folder) == _contents(here.folder)
    assert (there.n_made, there.n_kept, there.n_bytes) == (here.n_made, 0, here.n_bytes)
    assert read_info(url) == here.info
    for ours, theirs in zip(
        read_samples(url, batch_size=2000, arm=arm), read_samples(tmp_path / "here", batch_size=2000), strict=True
    ):
        np.testing.assert_array_equal(ours.q, theirs.q)
        np.testing.assert_array_equal(ours.position, theirs.position)
    again = generate(arm, url, **WANTED)
    assert (again.n_made, again.n_kept, again.n_bytes) == (0, 5500, here.n_bytes)


def test_missing_and_cut_shards_are_refused_by_readers_and_made_anew(arm: sim.Arm, url: str) -> None:
    place = generate(arm, url, **WANTED).folder
    whole, cut, gone = _contents(place), shard_path(place, 2), shard_path(place, 4)
    _put(cut, whole[cut.name][:-1])  # as a file system shows it that has no whole objects
    with pytest.raises(DatasetError, match=r"shard-00002\.parquet.*its end is damaged or missing"):
        read_batches(url, batch_size=10)
    assert isinstance(gone, RemotePath)
    gone.filesystem.delete_file(gone.key)
    with pytest.raises(DatasetError, match=r"1 of 6 shards are missing \(first: 4\)"):
        read_batches(url, batch_size=10)
    assert generate(arm, url, **WANTED).n_made == 2000
    assert _contents(place) == whole


def test_several_machines_share_the_work(arm: sim.Arm, url: str, tmp_path: Path) -> None:
    for shards in (range(0, 6, 2), range(1, 6, 2)):
        generate(arm, url, **WANTED, shards=shards)
    assert _contents(as_place(url)) == _contents(generate(arm, tmp_path / "here", **WANTED).folder)


def test_other_datasets_and_other_files_are_left_alone(arm: sim.Arm, url: str) -> None:
    place = generate(arm, url, **WANTED).folder
    before = _contents(place)
    with pytest.raises(DatasetError, match="seed is 3 there, 4 here"):
        generate(arm, url, **{**WANTED, "seed": 4})
    assert _contents(place) == before
    other = as_place(url.replace("/samples", "/other"))
    assert isinstance(other, RemotePath)
    with (other / "notes.txt").writing() as local:
        local.write_text("mine")
    with pytest.raises(DatasetError, match=r"other files and no dataset\.json"):
        generate(arm, other, **WANTED)


def test_a_failure_in_the_middle_leaves_whole_shards_only(
    arm: sim.Arm, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0

    def stop(done: int, total: int) -> None:
        nonlocal made
        made = done
        if done > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(arm, url, count=200_000, shard_size=20_000, workers=1, on_progress=stop)
    for path in shard_path(as_place(url), 0).parent.glob("*"):
        assert isinstance(path, RemotePath)
        assert pq.read_metadata(path.key, filesystem=path.filesystem).num_rows == 20_000
    assert generate(arm, url, count=200_000, shard_size=20_000).info.count == 200_000


@pytest.mark.slow
def test_training_reads_it(arm: sim.Arm, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "planar2", "--out", url, "--count", "5k", "--shard-size", "1k", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["folder"] == url.partition("?")[0]
    config = ik_mdn.TrainConfig(steps=3, components=2, width=8, blocks=1, batch_size=64)
    assert ik_mdn.train(arm, config, dataset=url).model is not None


def test_a_url_survives_pathlib() -> None:
    assert as_place(Path("s3://bucket/x")) == as_place("s3://bucket/x") == RemotePath("s3://bucket/x")
    assert as_place(Path("local:///tmp/x")) == as_place("local:///tmp/x") == RemotePath("local:///tmp/x")
    assert as_place("file:///tmp/x") == as_place(Path("file:///tmp/x")) == Path("/tmp/x")
    assert as_place("plain/folder") == Path("plain/folder")
    assert as_place("~/x") == Path("~/x").expanduser()


def test_an_unknown_kind_of_place_is_named(arm: sim.Arm) -> None:
    with pytest.raises(DatasetError, match=r"cannot reach 'nowhere://x/y'"):
        generate(arm, "nowhere://x/y", **WANTED)


def test_a_server_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    url = "s3://bucket/x?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1"
    if not hasattr(pafs, "S3FileSystem"):
        pytest.skip("this Arrow has no S3")
    once = pafs.AwsStandardS3RetryStrategy(max_attempts=1)  # Arrow tries for three seconds otherwise, at each request
    server = pafs.S3FileSystem(endpoint_override="127.0.0.1:9", scheme="http", region="us-east-1", retry_strategy=once)
    monkeypatch.setattr("sim.remote._connect", lambda url: (server, "bucket/x"))
    assert main(["generate", "planar2", "--out", url, "--count", "10"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "cannot write the dataset to 's3://bucket/x'" in said
    assert "see that it can be reached and written to and repeat the command" in said


@pytest.mark.slow
@pytest.mark.parametrize("streaming", [False, True])
def test_the_datasets_library_reads_it(arm: sim.Arm, tmp_path: Path, streaming: bool) -> None:
    datasets = pytest.importorskip("datasets", reason="the library 'datasets' is not installed")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    folder = generate(arm, tmp_path / "here", **WANTED).folder
    want = next(read_samples(folder, batch_size=5500, shuffle=False))
    files = str(tmp_path / "here" / "shards" / "*.parquet")
    found = datasets.load_dataset(
        "parquet", data_files=files, split="train", streaming=streaming, cache_dir=str(tmp_path / "cache")
    )
    rows = list(found)
    assert len(rows) == 5500
    np.testing.assert_array_equal(np.array([row["q"] for row in rows], np.float32), want.q)


def test_the_card_says_what_it_is_and_is_never_written_over(arm: sim.Arm, tmp_path: Path) -> None:
    folder = generate(arm, tmp_path, **WANTED).folder
    card = folder / "README.md"
    _, front, text = card.read_bytes().decode().split("---\n", 2)
    assert yaml.safe_load(front)["configs"] == [{"config_name": "default", "data_files": "shards/*.parquet"}]
    for said in ("5,500 joint vectors", "6 Parquet files", "| Seed | 3;", arm.fingerprint, "joint1 [rad]"):
        assert said in text
    (tmp_path / "README.md").write_text("mine")
    generate(arm, tmp_path, **WANTED)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_the_card_of_an_arm_of_any_name_can_be_read_by_machines(arm: sim.Arm, tmp_path: Path) -> None:
    named = replace(arm, name='left: arm "B" #2')
    generate(named, tmp_path, count=10, workers=1)
    head = yaml.safe_load((tmp_path / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert head["pretty_name"] == f"Forward kinematics of {named.name}"
    assert head["configs"][0]["data_files"] == "shards/*.parquet"


def test_what_the_card_says_to_type_reads_the_dataset(
    arm: sim.Arm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets", reason="the library 'datasets' is not installed")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    generate(arm, tmp_path, **WANTED)
    monkeypatch.chdir(tmp_path)
    by_datasets, by_us = re.findall(r"```python\n(.*?)```", (tmp_path / "README.md").read_text(), re.DOTALL)
    for block in (by_datasets, by_us):
        *lines, last = block.strip().splitlines()
        names: dict[str, Any] = {}
        exec("\n".join(lines), names)
        rows = eval(last, names)
        assert sum(len(each) if block == by_us else 1 for each in rows) == 5500


def test_shards_are_whole_where_the_server_takes_no_checksums_of_unsigned_requests(
    s3_server: str, arm: sim.Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    scheme, _, endpoint = s3_server.partition("://")
    url = f"s3://bucket/{uuid4().hex}?endpoint_override={endpoint}&scheme={scheme}&region=us-east-1"
    generate(arm, url, count=100_000, shard_size=100_000, seed=3)
    assert sum(map(len, read_batches(url, batch_size=50_000))) == 100_000


def test_a_file_that_the_store_did_not_keep_as_it_was_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    file = as_place(f"memory://{uuid4().hex}") / "shard.parquet"
    assert isinstance(file, RemotePath)
    with file.writing() as local:
        local.write_bytes(b"whole")
    assert file.read_bytes() == b"whole"
    monkeypatch.setattr(RemotePath, "_info", lambda self: pafs.FileInfo(self.key, pafs.FileType.File, size=9))
    with (
        pytest.raises(DatasetError, match=r"has 9 bytes after 5 were written; .*AWS_REQUEST_CHECKSUM_CALCULATION"),
        file.writing() as local,
    ):
        local.write_bytes(b"whole")


@pytest.mark.parametrize("url", ["s3://", "s3:", "memory:///"])
def test_a_store_without_a_bucket_is_no_folder_here(url: str) -> None:
    with pytest.raises(
        DatasetError, match="names no bucket or folder; allowed: one behind it, as in s3://bucket/samples"
    ):
        as_place(url)
