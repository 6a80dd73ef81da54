"""seqdrop.jobs.reference_cache: the files of references that the jobs of a host share."""

from __future__ import annotations

import argparse
import errno
import fcntl
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from seqdrop.jobs import reference_cache
from seqdrop.jobs.processes import Processes
from seqdrop.jobs.reference_cache import FOLDER, LOCK, NEW, SIZE, Cache, key_of
from seqdrop.jobs.usage import Usage
from seqdrop.jobs.workspace import Workspace
from seqdrop.storage import checksums, digests, s3
from seqdrop.storage.s3 import Store, StoredObject
from seqdrop.storage.uri import S3Uri
from support.function_aws import RESULTS
from support.job_runs import Batch, Line, finish
from support.waiting import eventually

BODY = b">chr1\n" + b"ACGT" * 1000
KIB = 1 << 10


@pytest.fixture
def reference(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> S3Uri:
    """A prepared genome, and a host with a cache."""
    monkeypatch.setenv("SEQDROP_SCRATCH", str(tmp_path))
    monkeypatch.setenv(SIZE, "1")
    return add(S3Uri(bucket, "hg/genome.fa"), BODY, tmp_path)


def add(uri: S3Uri, body: bytes, tmp_path: Path) -> S3Uri:
    """Publish a file as a preparation does."""
    (tmp_path / uri.name).write_bytes(body)
    s3.store().upload(tmp_path / uri.name, uri, digests.as_metadata(tmp_path / uri.name))
    return uri


@pytest.fixture
def job(reference: S3Uri, tmp_path: Path) -> Callable[[], Workspace]:
    """Start a job on the host."""
    started = list[Path]()

    def start() -> Workspace:
        directory = tmp_path / f"job{len(started)}"
        directory.mkdir()
        started.append(directory)
        args = argparse.Namespace(reference=reference, results=S3Uri(reference.bucket, "NA1/r"))
        return Workspace("call", args, directory, Processes(directory))

    return start


@pytest.fixture
def no_download(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let every later download fail."""
    return lambda: monkeypatch.delattr(Store, "fetch")


def stored(uri: S3Uri) -> StoredObject:
    return s3.store().expected(uri, "", "", "")


def entry(tmp_path: Path, uri: S3Uri, suffix: str = "") -> Path:
    return tmp_path / FOLDER / f"{key_of(stored(uri))}{suffix}"


def reasons(caplog: pytest.LogCaptureFixture) -> str:
    """Return why the cache was not used, by the log."""
    return " ".join(getattr(record, "reason", "") for record in caplog.records)


def test_the_next_job_of_the_host_fetches_nothing(
    job: Callable[[], Workspace], no_download: Callable[[], None]
) -> None:
    first, second = job(), job()
    path = first.fetch_reference()
    assert (path.read_bytes(), first.bytes_in, first.bytes_cached) == (BODY, len(BODY), 0)
    no_download()
    again = second.fetch_reference()
    assert again.samefile(path)
    assert stat.S_IMODE(again.stat().st_mode) == 0o444
    assert again.stat().st_mtime == 0  # tools compare the times of a file and its index
    assert (again.read_bytes(), second.bytes_in, second.bytes_cached) == (BODY, 0, len(BODY))


def test_another_version_is_another_file(reference: S3Uri, job: Callable[[], Workspace], tmp_path: Path) -> None:
    job().fetch_reference()
    add(reference, BODY.lower(), tmp_path)
    assert job().fetch_reference().read_bytes() == BODY.lower()


def forged(body: bytes, start: bytes) -> bytes:
    """Return `start` with eight more bytes and the rest of `body`: as long as it, and with its CRC64NVME.

    A CRC is linear: flipping one bit of the input always flips the same bits of it.
    """
    rest, at = body[len(start) + 8 :], len(start)

    def crc(eight: int) -> int:
        return checksums.update("CRC64NVME", start + eight.to_bytes(8, "big") + rest, 0)

    missing, basis = crc(0) ^ checksums.update("CRC64NVME", body, 0), dict[int, tuple[int, int]]()
    for bit in range(64):
        effect, chosen = crc(1 << bit) ^ crc(0), 1 << bit
        while effect and effect.bit_length() in basis:
            other, bits = basis[effect.bit_length()]
            effect, chosen = effect ^ other, chosen ^ bits
        basis[effect.bit_length()] = (effect, chosen)
    eight = 0
    while missing:
        effect, bits = basis[missing.bit_length()]
        missing, eight = missing ^ effect, eight ^ bits
    made = start + eight.to_bytes(8, "big") + rest
    assert (len(made), at < len(body)) == (len(body), True)
    return made


def change(path: Path) -> None:
    path.chmod(0o600)
    path.write_bytes(BODY.replace(b"A", b"C", 1))


def shorten(path: Path) -> None:
    path.chmod(0o600)
    os.truncate(path, 100)


def forge(path: Path) -> None:
    path.chmod(0o600)
    path.write_bytes(forged(BODY, b">chr1\nTTTT"))
    assert checksums.compute(path, "CRC64NVME") == stored(S3Uri(RESULTS, "hg/genome.fa")).crc64nvme


def replace_by_a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def replace_by_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("harm", [change, shorten, forge, replace_by_a_link, replace_by_a_pipe])
def test_a_file_that_an_earlier_job_changed_is_dropped_and_fetched_again(
    reference: S3Uri, job: Callable[[], Workspace], tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    job().fetch_reference()
    harm(entry(tmp_path, reference))
    second, third = job(), job()
    assert second.fetch_reference().read_bytes() == BODY
    assert (second.bytes_in, second.bytes_cached) == (len(BODY), 0)
    assert third.fetch_reference().samefile(second / "genome.fa")
    assert third.bytes_cached == len(BODY)


def change_in_transfer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, times: int) -> None:
    """Let another job change the file that a job fetches into the cache, so many times."""
    fetch, rest = Store.fetch, iter(range(times))

    def changed(store: Store, expected: StoredObject, path: Path) -> StoredObject:
        done = fetch(store, expected, path)
        if path.parent == tmp_path / FOLDER and next(rest, None) is not None:
            change(path)
        return done

    monkeypatch.setattr(Store, "fetch", changed)


def test_the_job_that_fills_the_cache_proves_the_file_too(
    reference: S3Uri, job: Callable[[], Workspace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_in_transfer(monkeypatch, tmp_path, times=1)
    assert job().fetch_reference().read_bytes() == BODY
    assert entry(tmp_path, reference).read_bytes() == BODY


def test_a_file_that_is_changed_whenever_it_arrives_is_fetched_without_the_cache(
    reference: S3Uri,
    job: Callable[[], Workspace],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    change_in_transfer(monkeypatch, tmp_path, times=2)
    path = job().fetch_reference()
    assert path.read_bytes() == BODY
    assert not path.samefile(entry(tmp_path, reference))
    assert "was changed twice" in reasons(caplog)


def test_a_changed_file_that_another_job_has_replaced_is_not_fetched_again(
    reference: S3Uri,
    job: Callable[[], Workspace],
    no_download: Callable[[], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job().fetch_reference()
    change(entry(tmp_path, reference))
    prove, first, second = reference_cache._is_proven, job(), job()

    def let_the_first_job_be_quicker(*args: Any) -> bool:
        monkeypatch.setattr(reference_cache, "_is_proven", prove)
        assert first.fetch_reference().read_bytes() == BODY
        no_download()
        return prove(*args)

    monkeypatch.setattr(reference_cache, "_is_proven", let_the_first_job_be_quicker)
    assert second.fetch_reference().samefile(first / "genome.fa")


def test_a_second_fetch_without_the_cache_writes_to_no_file_that_other_jobs_have(
    reference: S3Uri, job: Callable[[], Workspace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, other = job(), job()
    for one in (work, other):
        assert one.fetch_reference().samefile(entry(tmp_path, reference))
    monkeypatch.setattr(reference_cache, "open_cache", lambda: None)
    path = work.fetch_reference()
    assert path.read_bytes() == BODY
    assert not path.samefile(other / "genome.fa")


def test_half_of_a_file_never_comes_into_the_cache(
    job: Callable[[], Workspace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(_: Store, __: StoredObject, path: Path) -> StoredObject:
        path.write_bytes(BODY[:99])
        raise s3.IntegrityError("it was damaged in transfer")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "fetch", damaged)
        with pytest.raises(s3.IntegrityError):
            job().fetch_reference()
    assert {path.suffix for path in (tmp_path / FOLDER).iterdir()} == {LOCK}
    work = job()
    assert work.fetch_reference().read_bytes() == BODY
    assert work.bytes_in == len(BODY)


def test_a_file_without_a_digest_in_s3_is_never_shared(
    reference: S3Uri, job: Callable[[], Workspace], tmp_path: Path
) -> None:
    s3.store().write(reference, BODY)  # as an earlier version prepared it
    for work in (job(), job()):
        assert work.fetch_reference().read_bytes() == BODY
        assert (work.bytes_in, work.bytes_cached) == (len(BODY), 0)
    assert list((tmp_path / FOLDER).iterdir()) == []


@pytest.mark.parametrize("size", ["0", ""])
def test_a_cache_of_size_0_is_off(
    job: Callable[[], Workspace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.setenv(SIZE, size)
    assert job().fetch_reference().read_bytes() == BODY
    assert not (tmp_path / FOLDER).exists()


def make_link(folder: Path) -> None:
    folder.with_name("elsewhere").mkdir()
    folder.symlink_to("elsewhere")


@pytest.mark.parametrize("make", [Path.touch, make_link])
def test_a_path_that_is_no_folder_is_not_used(
    job: Callable[[], Workspace], tmp_path: Path, caplog: pytest.LogCaptureFixture, make: Callable[[Path], None]
) -> None:
    make(tmp_path / FOLDER)
    assert job().fetch_reference().read_bytes() == BODY
    assert FOLDER in reasons(caplog)


def test_a_job_counts_a_file_of_the_cache_as_shared_and_all_others_as_its_own(
    reference: S3Uri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(reference, BODY * 500, tmp_path)
    for number in range(2):
        directory = tmp_path / f"of{number}"
        directory.mkdir()
        reference_cache.fetch(stored(reference), directory / "genome.fa")
        (directory / "own").write_bytes(b"x" * (5 << 20))
        os.link(directory / "own", directory / "kept")  # jobs keep files for other steps by links too
        used = Usage(directory).to_json()
        assert used["scratch"] in {10, 11}
        assert used["shared"] in {2, 3}
    monkeypatch.setattr(reference_cache, "open_cache", lambda: None)
    reference_cache.fetch(stored(reference), directory / "genome.fa")
    used = Usage(directory).to_json()
    assert (used["scratch"] in {12, 13}, used["shared"]) == (True, 0)


# --- room ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(reference: S3Uri, tmp_path: Path) -> Cache:
    """A cache of 3 KiB."""
    (tmp_path / FOLDER).mkdir()
    return Cache(tmp_path / FOLDER, 3 * KIB)


@pytest.fixture
def put(cache: Cache, reference: S3Uri, tmp_path: Path) -> Callable[..., Path]:
    """Let a job use a file of 1 KiB; return its path in the cache. The job has ended unless it is `running`."""
    count = iter(range(1000))

    def use(name: str, *, running: bool = False) -> Path:
        uri, path = S3Uri(reference.bucket, f"hg/{name}"), tmp_path / f"{name}{next(count)}"
        found = s3.store().find(uri)
        uri = uri if found else add(uri, name.encode() * (KIB // len(name)), tmp_path)
        cache.fetch(stored(uri), path, digests.of(stored(uri)))
        if not running:
            path.unlink()
        return entry(tmp_path, uri)

    return use


def test_the_file_that_was_unused_for_longest_makes_room(put: Callable[..., Path]) -> None:
    first, second, third = put("aa"), put("bb"), put("cc")
    put("aa")
    put("dd")
    assert [path.exists() for path in (first, second, third)] == [True, False, True]


def test_unused_files_make_room_on_a_disk_that_is_nearly_full(
    put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = put("aa"), put("bb")
    monkeypatch.setattr("shutil.disk_usage", lambda _: argparse.Namespace(free=KIB // 2))
    third = put("cc")
    assert [path.exists() for path in (first, second, third)] == [False, True, True]


def test_files_of_running_jobs_stay(put: Callable[..., Path]) -> None:
    first, second, third = put("aa", running=True), put("bb"), put("cc")
    put("dd")
    assert [path.exists() for path in (first, second, third)] == [True, False, True]


def test_a_file_that_another_job_is_about_to_link_stays(put: Callable[..., Path]) -> None:
    first, second = put("aa"), put("bb")
    put("cc")
    with locked(first):
        put("dd")
    assert [path.exists() for path in (first, second)] == [True, False]


class locked:  # noqa: N801  used as a function
    """Hold the lock of a file as another job does."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + LOCK)

    def __enter__(self) -> None:
        self._file = self._path.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()


def test_a_job_fetches_without_a_cache_that_running_jobs_fill(
    put: Callable[..., Path],
    cache: Cache,
    reference: S3Uri,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept = [put(name, running=True) for name in ("aa", "bb", "cc")]
    monkeypatch.setattr(reference_cache, "open_cache", lambda: cache)
    small = add(S3Uri(reference.bucket, "hg/dd"), b"d" * KIB, tmp_path)
    assert not reference_cache.fetch(stored(small), tmp_path / "job")
    assert (tmp_path / "job").read_bytes() == b"d" * KIB
    assert all(path.exists() for path in kept)
    assert "files that running jobs use fill the cache" in reasons(caplog)


def test_a_file_that_is_larger_than_the_cache_removes_no_other(
    put: Callable[..., Path], cache: Cache, reference: S3Uri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = put("aa")
    monkeypatch.setattr(reference_cache, "open_cache", lambda: cache)
    assert not reference_cache.fetch(stored(reference), tmp_path / "job")
    assert small.exists()


def test_what_a_killed_job_left_makes_room(put: Callable[..., Path], cache: Cache) -> None:
    left = cache.folder / f"{'0' * 64}{NEW}"
    left.write_bytes(b"x" * 2 * KIB)
    os.utime(left, (0, 0))
    put("aa")
    put("bb")
    assert not left.exists()


def test_a_cache_has_at_most_a_quarter_of_the_disk(
    reference: S3Uri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SIZE, "1000000")
    cache = reference_cache.open_cache()
    assert cache is not None
    assert cache.limit == shutil.disk_usage(tmp_path).total // 4


# --- disks ---------------------------------------------------------------------------------------------------------


def test_a_full_disk_removes_unused_files_and_fetches_without_the_cache(
    put: Callable[..., Path],
    cache: Cache,
    reference: S3Uri,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    unused, used = put("aa"), put("bb", running=True)
    fetch = Store.fetch

    def full(store: Store, expected: StoredObject, path: Path) -> StoredObject:
        done = fetch(store, expected, path)
        if path.parent == cache.folder:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return done

    monkeypatch.setattr(Store, "fetch", full)
    monkeypatch.setattr(reference_cache, "open_cache", lambda: cache)
    new = add(S3Uri(reference.bucket, "hg/cc"), b"c" * KIB, tmp_path)
    assert not reference_cache.fetch(stored(new), tmp_path / "job")
    assert (tmp_path / "job").read_bytes() == b"c" * KIB
    assert [path.exists() for path in (unused, used, entry(tmp_path, new))] == [False, True, False]
    assert not entry(tmp_path, new, NEW).exists()
    assert "No space left on device" in reasons(caplog)


@pytest.fixture
def other_device(tmp_path: Path) -> Iterator[Path]:
    """A folder on another device than the directories of jobs."""
    places = [Path(name) for name in ("/dev/shm", "/var/tmp")]  # noqa: S108  in memory on every Linux, and on a disk
    place = next(place for place in places if place.stat().st_dev != tmp_path.stat().st_dev)
    folder = place / f"seqdrop-{os.getpid()}"
    folder.mkdir()
    assert folder.stat().st_dev != tmp_path.stat().st_dev
    yield folder
    shutil.rmtree(folder)


def test_a_file_of_another_device_is_copied_and_proven(reference: S3Uri, other_device: Path, tmp_path: Path) -> None:
    cache, one = Cache(other_device, 1 << 20), stored(reference)
    assert not cache.fetch(one, tmp_path / "first", digests.of(one))
    assert cache.fetch(one, tmp_path / "second", digests.of(one))
    change(other_device / key_of(one))
    assert not cache.fetch(one, tmp_path / "third", digests.of(one))
    for name in ("first", "second", "third"):
        assert (tmp_path / name).read_bytes() == BODY
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o444


# --- jobs in processes of their own ----------------------------------------------------------------------------------

GENOME = b"ACGT" * (3 << 20)  # bytes: in two parts
FETCH = f"""
args.reference = S3Uri({RESULTS!r}, "hg/genome.fa")
if "START" in os.environ:
    open(os.environ["START"]).close()  # blocks until the test opens it
assert work.fetch_reference().stat().st_size == {len(GENOME)}
(work / "aligned.bam").write_bytes(b"bam")
work.publish(work / "aligned.bam", "bam")
"""


@pytest.fixture
def host(batch: Batch, tmp_path: Path) -> Batch:
    """A host with a cache, and a genome in S3."""
    (tmp_path / "genome.fa").write_bytes(GENOME)
    metadata = digests.as_metadata(tmp_path / "genome.fa")
    batch.s3.put_object(
        Bucket=RESULTS, Key="hg/genome.fa", Body=GENOME, Metadata=metadata, ChecksumAlgorithm="CRC64NVME"
    )
    batch.env[SIZE] = "1"
    return batch


def use_of(batch: Batch, run: str) -> tuple[int, int]:
    receipt = json.loads(batch.s3.get_object(Bucket=RESULTS, Key=f"NA12878/{run}/jobs/align.json")["Body"].read())
    return receipt["bytes_in"], receipt["bytes_cached"]


def of_run(run: str) -> dict[str, str]:
    folder = f"s3://{RESULTS}/NA12878/{run}"
    return {"results": folder, "bam": f"{folder}/NA12878.bam", "run": run}


def test_two_jobs_that_begin_at_once_fetch_a_file_once(host: Batch, tmp_path: Path) -> None:
    host.env["START"] = str(tmp_path / "start")
    os.mkfifo(tmp_path / "start")
    jobs = [host.start(FETCH, **of_run(run)) for run in ("one", "two")]
    eventually(lambda: len(list(host.scratch.glob("seqdrop-*"))) == 2, "the directories of both jobs")
    with (tmp_path / "start").open("w"):
        ends = [finish(job) for job in jobs]
    assert [code for code, _ in ends] == [0, 0], ends
    assert sorted(use_of(host, run) for run in ("one", "two")) == [(0, len(GENOME)), (len(GENOME), 0)]


def test_the_lock_and_the_half_of_a_killed_job_do_not_stop_the_next_one(host: Batch, line: Line) -> None:
    line.pattern, line.fault = rb"GET /[^ ]*genome\.fa", "hang"
    first = host.start(FETCH, **of_run("one"))
    folder = host.scratch / FOLDER
    eventually(lambda: line.matched.is_set() or first.poll() is not None, "a download")
    assert list(folder.glob(f"*{NEW}")), finish(first)
    first.kill()
    finish(first)
    line.pattern, line.fault = b"(?!)", ""
    code, log = host.run(FETCH, **of_run("two"))
    assert code == 0, log
    assert use_of(host, "two") == (len(GENOME), 0)
    assert sorted(path.suffix for path in folder.iterdir()) == ["", LOCK]


FILL = """
work.run("sh", "-c", "echo 'write error: No space left on device' >&2; exit 1")
"""


def test_a_tool_that_fills_the_disk_removes_the_files_that_no_job_uses(host: Batch) -> None:
    code, log = host.run(FETCH, **of_run("one"))
    assert code == 0, log
    unused = [path for path in (host.scratch / FOLDER).iterdir() if not path.suffix]
    used = host.scratch / FOLDER / ("0" * 64)
    used.write_bytes(b"of a running job")
    os.link(used, host.scratch / "link")
    code, log = host.run(FETCH + FILL, **of_run("two"))
    assert code == 70, log
    assert [path.exists() for path in (*unused, used)] == [False, True]
    assert host.run(FETCH, **of_run("three"))[0] == 0


def test_another_failure_of_a_tool_keeps_the_files(host: Batch) -> None:
    code, log = host.run(FETCH + FILL.replace("No space left", "Error"), **of_run("one"))
    assert code == 70, log
    assert [path for path in (host.scratch / FOLDER).iterdir() if not path.suffix]


def test_a_job_does_not_wait_for_ever_for_another_one(
    reference: S3Uri, job: Callable[[], Workspace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference_cache, "PATIENCE", 0.1)
    (tmp_path / FOLDER).mkdir()
    with locked(entry(tmp_path, reference)):
        work = job()
        assert work.fetch_reference().read_bytes() == BODY
    assert (work.bytes_in, work.bytes_cached) == (len(BODY), 0)
