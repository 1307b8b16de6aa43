"""Read a folder, or a bucket, of very many pictures on all CPUs of a cluster with Ray Data, and write Parquet.

    pip install mnist-edge 'ray[data]'
    python examples/ray_batch.py PICTURES OUTPUT [--model FILE]

PICTURES is a folder or what Arrow reads (`s3://bucket/folder`), with sub-folders; OUTPUT gets a row for each picture:
its path, and what `mnist-edge predict` answers. Each sub-folder is listed by itself, in parts of 100,000 pictures, so
that nothing grows with their number. A run that was stopped goes on with the first part that is not complete.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
import ray.data
from pyarrow import fs

from mnist_edge import Recognizer

FIELDS = ("label", "digit", "confidence", "status", "message")
"""What is kept of each answer."""

PART = 100_000
"""Pictures of a part, which is read again as a whole where a run was stopped in it."""

BATCH = 64
"""Pictures that a worker takes at once: of photographs, a few hundred MB."""

COMPLETE = "_SUCCESS"
"""The file that a part has when all of it is there, as Hadoop and Spark name it."""


class Reader:
    """A worker: it opens the model once, and answers batches of pictures."""

    def __init__(self, model: str) -> None:
        """Open a model."""
        self._recognizer = Recognizer(model)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Return the columns of a batch; a picture that can't be read costs only its own row."""
        answers = self._recognizer.predict([bytes(data) for data in batch["bytes"]])
        return {"path": list(batch["path"]), **{name: [getattr(each, name) for each in answers] for name in FIELDS}}


def parts(system: fs.FileSystem, folder: str) -> Iterator[list[str]]:
    """Yield the files of a folder and of those in it, by name, at most `PART` at a time and none of two folders."""
    entries = sorted(system.get_file_info(fs.FileSelector(folder)), key=lambda entry: entry.path)
    files = [entry.path for entry in entries if entry.type == fs.FileType.File]
    for start in range(0, len(files), PART):
        yield files[start : start + PART]
    for entry in entries:
        if entry.type == fs.FileType.Directory:
            yield from parts(system, entry.path)


def read_part(paths: list[str], system: fs.FileSystem, folder: str, target: fs.FileSystem, model: str) -> None:
    """Read pictures and write their rows into a folder, unless it has them all already.

    Raises:
        SystemExit: it has those of other pictures.
    """
    digest = hashlib.sha256("\n".join(paths).encode()).hexdigest()
    mark = f"{folder}/{COMPLETE}"
    if target.get_file_info(mark).type == fs.FileType.File:
        with target.open_input_stream(mark) as file:
            if file.read().decode() != digest:
                sys.exit(f"{folder} is of other pictures: name another OUTPUT, or remove it to read them again")
        return
    if target.get_file_info(folder).type == fs.FileType.Directory:
        target.delete_dir(folder)  # what a run that was stopped has left
    # One CPU is left for reading and writing: with a worker on each, Ray waits for ever.
    cpus: float = ray.cluster_resources().get("CPU", 1)  # type: ignore[no-untyped-call]
    workers = max(1, int(cpus) - 1)
    pictures = ray.data.read_binary_files(paths, filesystem=system, include_paths=True)
    rows = pictures.map_batches(
        Reader, fn_constructor_args=(model,), batch_size=BATCH, compute=ray.data.ActorPoolStrategy(size=workers)
    )
    rows.write_parquet(folder, filesystem=target)
    with target.open_output_stream(mark) as file:
        file.write(digest.encode())


def located(name: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a name, and the path in it."""
    uri = name if "://" in name else Path(name).resolve().as_uri()
    system, path = fs.FileSystem.from_uri(uri)
    return system, path.rstrip("/")


def main() -> None:
    """Read what OUTPUT does not have yet."""
    parser = argparse.ArgumentParser(description="Read very many pictures with Ray Data.")
    parser.add_argument("pictures", help="a folder, or what Arrow reads, such as s3://bucket/folder")
    parser.add_argument("output", help="the same, for the rows")
    parser.add_argument("--model", default="mlp", help="a built-in model, or an exported file that every worker sees")
    arguments = parser.parse_args()
    ray.init(include_dashboard=False, ignore_reinit_error=True)  # or joins the cluster that RAY_ADDRESS names
    (system, pictures), (target, output) = located(arguments.pictures), located(arguments.output)
    target.create_dir(output)
    for number, paths in enumerate(parts(system, pictures)):
        read_part(paths, system, f"{output}/part-{number:06d}", target, arguments.model)
        print(f"part {number}: {len(paths):,} pictures", flush=True)


if __name__ == "__main__":
    main()
