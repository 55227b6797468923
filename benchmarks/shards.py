"""Try shards of images in place of the memory map, for docs/scale.md: python -m benchmarks.shards FOLDER.

Needs litdata, webdataset and moto[server], which the project does not: install them into an environment of their own.
"""

import functools
import io
import itertools
import json
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

COUNT, SIZE, BATCH, SHARD, SEED = 20_000, 64, 64, 1000, 0
WINDOW = 4
"""Shards within which rows are drawn at random."""
S3 = {"endpoint_url": "http://127.0.0.1:5900", "aws_access_key_id": "t", "aws_secret_access_key": "t"}
Batches = Iterator[tuple[Any, NDArray[np.int64]]]
"""Images and their rows."""


def one(folder: Path, row: int) -> dict[str, Any]:
    return {"image": np.array(np.load(folder / "images.npy", mmap_mode="r")[row]), "row": row}


def many(folder: Path, shard: int) -> dict[str, Any]:
    return {"images": np.array(np.load(folder / "images.npy", mmap_mode="r")[shard * SHARD : (shard + 1) * SHARD])}


def make(folder: Path) -> None:
    """Write the images as an array, as litdata's chunks, one or many images a record, and as tars; upload all."""
    import boto3  # pyright: ignore[reportMissingImports]
    import litdata  # pyright: ignore[reportMissingImports]

    images = np.random.default_rng(SEED).integers(0, 256, (COUNT, SIZE, SIZE, 3), np.uint8)
    (folder / "tars").mkdir(parents=True)
    np.save(folder / "images.npy", images)
    optimize = functools.partial(litdata.optimize, num_workers=1)
    optimize(functools.partial(one, folder), list(range(COUNT)), output_dir=str(folder / "images"), chunk_size=SHARD)
    optimize(
        functools.partial(many, folder), list(range(COUNT // SHARD)), output_dir=str(folder / "records"), chunk_size=1
    )
    for shard in range(COUNT // SHARD):
        with tarfile.open(folder / f"tars/{shard:04}.tar", "w") as tar:
            for row in range(shard * SHARD, (shard + 1) * SHARD):
                entry = tarfile.TarInfo(f"{row:07}.raw")
                entry.size = images[row].nbytes
                tar.addfile(entry, io.BytesIO(images[row].tobytes()))
    client = boto3.client("s3", **S3)
    client.create_bucket(Bucket="gan")
    for path in sorted(folder.glob("*/*")):
        client.upload_file(str(path), "gan", str(path.relative_to(folder)))


def litdata_set(folder: Path, where: str, kind: str, **given: Any) -> Any:
    import litdata  # pyright: ignore[reportMissingImports]
    from litdata.streaming import downloader  # pyright: ignore[reportMissingImports]

    downloader._OBSTORE_CLIENT_OPTIONS["allow_http"] = True  # it speaks https only
    if where == "disk":
        return litdata.StreamingDataset(str(folder / kind), seed=SEED, **given)
    cache = folder / "cache"  # a state fits no other
    shutil.rmtree(cache, ignore_errors=True)
    return litdata.StreamingDataset(f"s3://gan/{kind}", cache_dir=str(cache), seed=SEED, storage_options=S3, **given)


def by_litdata(folder: Path, where: str, workers: int) -> Any:
    import litdata  # pyright: ignore[reportMissingImports]

    images = litdata_set(folder, where, "images", shuffle=True)
    return litdata.StreamingDataLoader(images, batch_size=BATCH, num_workers=workers, drop_last=True)


def by_webdataset(folder: Path, where: str, workers: int) -> Any:
    import webdataset  # pyright: ignore[reportMissingImports]

    at = f"{folder}/tars" if where == "disk" else f"pipe:curl -s {S3['endpoint_url']}/gan/tars"
    tars = webdataset.SimpleShardList(f"{at}/{{0000..{COUNT // SHARD - 1:04}}}.tar", seed=SEED)
    steps = (
        webdataset.detshuffle(100, seed=SEED),
        webdataset.split_by_worker,
        webdataset.tarfile_to_samples(),
        webdataset.detshuffle(bufsize=2000, initial=2000, seed=SEED),
        webdataset.map(lambda entry: {"image": np.frombuffer(entry["raw"], np.uint8), "row": int(entry["__key__"])}),
        webdataset.batched(BATCH, partial=False),
    )
    return webdataset.WebLoader(webdataset.DataPipeline(tars, *steps), batch_size=None, num_workers=workers)


def rows_of(batches: Any) -> Iterator[list[int]]:
    """Yield the rows of a loader's batches."""
    for batch in batches:
        yield [int(row) for row in batch["row"]]


class Shards:
    """Images (N, H, W, C) in records, by rows; the last few records stay in memory."""

    def __init__(self, records: Any, held: int):
        self.read = functools.lru_cache(held)(lambda shard: records[int(shard)]["images"])

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        found = np.empty((len(rows), SIZE, SIZE, 3), np.uint8)
        for shard in np.unique(rows // SHARD):
            here = rows // SHARD == shard
            found[here] = self.read(shard)[rows[here] % SHARD]
        return found


class Single:
    """Images by rows, each a record."""

    def __init__(self, records: Any):
        self.records = records

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.stack([self.records[int(row)]["image"] for row in rows])


def order(within: int) -> NDArray[np.int64]:
    """Return all rows: shards in a random order, rows in a random order within so many of them."""
    random = np.random.default_rng(SEED)
    rows = random.permutation(COUNT // SHARD)[:, None] * SHARD + np.arange(SHARD)
    return np.concatenate([random.permutation(some.ravel()) for some in np.array_split(rows, len(rows) // within)])


def by_rows(images: Any, within: int) -> Iterator[list[int]]:
    rows = order(within)
    for start in range(0, COUNT - BATCH + 1, BATCH):
        picked = rows[start : start + BATCH]
        images[np.sort(picked)]
        yield picked.tolist()


CASES: dict[str, Callable[[Path, str], Iterator[list[int]]]] = {
    "memory map": lambda folder, _: by_rows(np.load(folder / "images.npy", mmap_mode="r"), COUNT // SHARD),
    "litdata, 0 workers": lambda folder, where: rows_of(by_litdata(folder, where, 0)),
    "litdata, 2 workers": lambda folder, where: rows_of(by_litdata(folder, where, 2)),
    "litdata, records of many": lambda folder, where: by_rows(
        Shards(litdata_set(folder, where, "records"), WINDOW + 1), WINDOW
    ),
    "webdataset, 0 workers": lambda folder, where: rows_of(by_webdataset(folder, where, 0)),
    "webdataset, 2 workers": lambda folder, where: rows_of(by_webdataset(folder, where, 2)),
    "litdata, rows at random": lambda folder, where: by_rows(Single(litdata_set(folder, where, "images")), WINDOW),
}
"""The slowest last: it takes minutes on a disk, and longer over S3."""


def anonymous_mebibytes() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) // 1024


def speed(folder: Path, where: str, case: str) -> None:
    start, rows = time.perf_counter(), list(itertools.chain.from_iterable(CASES[case](folder, where)))
    rate = len(rows) / (time.perf_counter() - start)
    assert len(set(rows)) == len(rows)
    print(f"| {where} | {case} | {rate:.0f} | {anonymous_mebibytes()} |", flush=True)


def resume(folder: Path, where: str, engine: str) -> None:
    """Read an epoch, and its second half again in another process, from what an engine knows of the middle."""
    loader, half = (by_litdata if engine == "litdata" else by_webdataset)(folder, where, 0), COUNT // BATCH // 2
    kept = folder / "state.json"
    if kept.is_file():
        start, state = time.perf_counter(), json.loads(kept.read_text())
        if state:
            loader.load_state_dict(state)
        second = rows_of(itertools.islice(loader, 0 if state else half, None))
        first = next(second)
        print(json.dumps([time.perf_counter() - start, [first, *second]]))
        return
    rows, state = list[list[int]](), None
    for batch in rows_of(loader):
        rows.append(batch)
        if len(rows) == half and engine == "litdata":
            state = loader.state_dict()
    kept.write_text(json.dumps(state))
    seconds, again = json.loads(in_own_process(folder, "resume", where, engine).splitlines()[-1])
    kept.unlink()
    print(f"{engine}, {where}: resumed alike: {again == rows[half:]}, first batch after {seconds:.1f} s", flush=True)


def in_own_process(*words: Any) -> str:
    command = [sys.executable, "-m", "benchmarks.shards", *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main(folder: Path) -> None:
    server = subprocess.Popen(
        [str(Path(sys.executable).parent / "moto_server"), "-p", "5900"], stderr=subprocess.DEVNULL
    )
    time.sleep(15)
    try:
        make(folder)
        print("| where | how | images/s | MiB |\n|---|---|---|---|", flush=True)
        for case, where in itertools.product(CASES, ("disk", "S3")):
            if (case, where) not in (("memory map", "S3"), ("litdata, rows at random", "S3")):
                print(in_own_process(folder, "speed", where, case).splitlines()[-1], flush=True)
        for engine, where in itertools.product(("litdata", "webdataset"), ("disk", "S3")):
            print(in_own_process(folder, "resume", where, engine).splitlines()[-1], flush=True)
    finally:
        server.terminate()


if __name__ == "__main__":
    if len(sys.argv) == 2:
        main(Path(sys.argv[1]).resolve())
    else:
        {"speed": speed, "resume": resume}[sys.argv[2]](Path(sys.argv[1]), *sys.argv[3:])
