"""Fetching one file from elsewhere: resumed, repeated, checked, and complete or not at all.

Plain addresses go through requests, Google Drive's through gdown. Proxies are those of the usual
environment variables (``HTTPS_PROXY`` and so on). While it grows, a file is called ``<name>.part``; beside
it lies what is needed to go on later (``<name>.part.json``).
"""

from __future__ import annotations

import http.client
import json
import logging
import queue
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from urllib3.exceptions import HTTPError

from gasp.errors import GaspError, OutputError, WeightsError
from gasp.work.files import sha256
from gasp.work.progress import Progress, Report, silent

log = logging.getLogger(__name__)

Check = Callable[[Path], None]
"""Raises a :class:`~gasp.errors.GaspError` when a complete file is not what it should be."""

MAX_BYTES = 64 * 2**30
"""A server that sends more than this for one file is not believed."""

_BLOCK = 2**18
_OVERLAP = 4096
"""Bytes fetched again when resuming, to see whether the server really continues the same file."""

_WORTH_GOING_ON = 2**20
"""An attempt that brought this many bytes does not count as failed."""

_MOST_ATTEMPTS = 200
"""However much each of them brings."""


class DownloadError(WeightsError):
    """A file cannot be fetched, or what the server sends is not the file."""


@dataclass(frozen=True)
class Patience:
    """How long to try.

    An attempt ends after ``timeout`` seconds without a byte, when the answer's head is not there after three
    times as long, or with fewer than ``slowest`` bytes per second over that time. An address is given up
    after ``attempts`` in a row that brought nothing; between them are ``pause`` seconds, doubled each time. A
    server that asks for more than ``longest_pause`` seconds is given up at once.
    """

    timeout: float = 30.0
    attempts: int = 5
    pause: float = 1.0
    slowest: float = 256.0
    longest_pause: float = 120.0


@dataclass(frozen=True)
class Fetched:
    """What was fetched: from which address, the file's checksum and size in bytes."""

    url: str
    sha256: str
    size: int


@dataclass
class _Job:
    """One file being fetched."""

    target: Path
    size: int | None
    progress: Report
    patience: Patience
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def part(self) -> Path:
        return self.target.with_name(self.target.name + ".part")

    @property
    def notes(self) -> Path:
        return self.target.with_name(self.target.name + ".part.json")

    def discard(self) -> None:
        """Remove everything but a finished file."""
        self.discard_leftovers()
        for path in (self.part, self.notes):
            with suppress(OSError):  # what cannot be removed was not made here
                path.unlink()

    def discard_leftovers(self) -> None:
        """Remove what gdown leaves of broken transfers."""
        for path in self.target.parent.glob(f"{self.part.name}????????.part"):
            path.unlink(missing_ok=True)

    def report(self, done: int, total: int | None) -> None:
        if self.cancelled.is_set():
            raise _UnusableAddressError("cancelled")
        self.progress(Progress(self.target.name, done, total, unit="bytes"))


class _InterruptedTransferError(Exception):
    """The transfer broke off; the same address may work if tried again.

    ``pause`` is how many seconds the server asks to wait; ``start_over`` tells that what arrived is
    worthless.
    """

    def __init__(self, reason: str, *, pause: float | None = None, start_over: bool = False) -> None:
        super().__init__(reason)
        self.pause = pause
        self.start_over = start_over


class _UnusableAddressError(Exception):
    """This address will not give the file, however often it is asked."""


def fetch(
    urls: Sequence[str],
    target: Path,
    *,
    sha256_expected: str | None = None,
    size: int | None = None,
    check: Check | None = None,
    progress: Report = silent,
    patience: Patience | None = None,
    cancelled: threading.Event | None = None,
) -> Fetched:
    """Fetch ``target`` from the first of ``urls`` that works.

    ``size`` (bytes) and ``sha256_expected`` are compared where known; ``check`` looks at the complete file
    before it gets its name; ``progress`` hears of the bytes that arrived. Raises :class:`DownloadError` when
    no address works, saying for each why, and :class:`~gasp.errors.OutputError` when the disk is full. There
    is then no ``target``; what arrived of it stays for the next call when only the connection failed, and is
    removed otherwise.
    """
    job = _Job(target, size, progress, patience or Patience(), cancelled or threading.Event())
    failures = []
    with _writing(job):
        target.parent.mkdir(parents=True, exist_ok=True)
    for url in urls:
        try:
            _check_address(url)
            _fetch_from(url, job)
            return _accept(url, job, sha256_expected, check)
        except _UnusableAddressError as reason:
            failures.append(f"{url}: {reason}")
            log.info("%s: %s", url, reason)
    listed = "".join(f"\n  {failure}" for failure in failures)
    raise DownloadError(f"{target.name} cannot be fetched.{listed}")


def _check_address(url: str) -> None:
    try:
        usable = bool(urlsplit(url).hostname)
    except ValueError:
        usable = False
    if not usable:
        raise _UnusableAddressError("is no web address")


def _accept(url: str, job: _Job, expected: str | None, check: Check | None) -> Fetched:
    """Look at the complete file and give it its name."""
    size = _size(job.part)
    try:
        if size == 0:
            raise _UnusableAddressError("the server sent an empty file")
        checksum = sha256(job.part)
        if job.size is not None and size != job.size:
            raise _UnusableAddressError(f"has {size} bytes instead of {job.size}")
        if expected is not None and checksum != expected:
            raise _UnusableAddressError(f"wrong checksum: SHA-256 is {checksum} instead of {expected}")
        if check is not None:
            check(job.part)
    except _UnusableAddressError:
        job.discard()
        raise
    except GaspError as error:
        job.discard()
        raise _UnusableAddressError(str(error).replace(str(job.part), job.target.name)) from None
    with _writing(job):
        job.part.replace(job.target)
        job.discard()
    return Fetched(url, checksum, size)


def _fetch_from(url: str, job: _Job) -> None:
    """Bring ``job.part`` to completion, trying repeatedly."""
    transfer = _from_drive if _is_drive(url) else _from_server
    failed = 0
    for _ in range(_MOST_ATTEMPTS):
        before = _size(job.part)
        try:
            return transfer(url, job)
        except _InterruptedTransferError as error:
            if error.start_over:
                job.discard()
            failed = 0 if _size(job.part) - before >= _WORTH_GOING_ON else failed + 1
            if failed >= job.patience.attempts:
                raise _UnusableAddressError(f"{error} (tried {failed} times)") from None
            pause = min(job.patience.pause * 2 ** max(0, failed - 1), 60.0)
            if error.pause is not None:
                if error.pause > job.patience.longest_pause:
                    raise _UnusableAddressError(f"{error} and asks to wait for {error.pause:.0f} s") from None
                pause = error.pause
            log.info("%s: %s; trying again in %.1f s", url, error, pause)
            if job.cancelled.wait(pause):
                raise _UnusableAddressError("cancelled") from None
    raise _UnusableAddressError("the connection broke again and again")


# --- plain addresses -------------------------------------------------------------------------------------


def _from_server(url: str, job: _Job) -> None:
    start, headers = _where_to_resume(url, job)
    try:
        with _ask(url, headers, job.patience) as response:
            start = _check_response(response, start, job)
            _receive(url, response, start, job)
    except (requests.TooManyRedirects, requests.exceptions.InvalidURL, requests.exceptions.SSLError) as error:
        raise _UnusableAddressError(_words(error)) from None
    except (requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema) as error:
        raise _UnusableAddressError(_words(error)) from None
    except (requests.RequestException, HTTPError) as error:
        raise _InterruptedTransferError(_words(error)) from None


def _ask(url: str, headers: dict[str, str], patience: Patience) -> requests.Response:
    """The answer, its body still to come.

    The time-outs of requests begin anew with every byte, so that a server that drips the answer's head would hold one
    for days. Asking therefore has a thread to itself, which is left to its fate after a while.
    """
    answers: queue.SimpleQueue[requests.Response | Exception] = queue.SimpleQueue()
    left = threading.Event()

    def ask() -> None:
        try:
            timeout = (min(patience.timeout, 15.0), patience.timeout)
            answer: requests.Response | Exception = requests.get(
                url, headers=headers, stream=True, timeout=timeout
            )
        except Exception as error:  # whatever it is, it is the caller's
            answer = error
        answers.put(answer)
        if left.is_set() and isinstance(answer, requests.Response):
            answer.close()

    threading.Thread(target=ask, name=f"asking {url}", daemon=True).start()
    try:
        answer = answers.get(timeout=3 * patience.timeout)
    except queue.Empty:
        left.set()
        raise _InterruptedTransferError("the server does not come to an end with its answer's head") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _where_to_resume(url: str, job: _Job) -> tuple[int, dict[str, str]]:
    """From which byte to ask, and the request's headers; from 0 where resuming would be a guess."""
    headers = {"Accept-Encoding": "identity"}
    notes = _read_notes(job)
    have = _size(job.part)
    validator = str(notes.get("validator", ""))
    if notes.get("url") != url or not validator or have <= _OVERLAP:
        return 0, headers
    start = have - _OVERLAP
    return start, headers | {"Range": f"bytes={start}-", "If-Range": validator}


def _check_response(response: requests.Response, start: int, job: _Job) -> int:
    """From which byte on the server sends; its refusals become exceptions."""
    status = response.status_code
    if status in (408, 425, 429, 500, 502, 503, 504):
        raise _InterruptedTransferError(
            f"the server answered {status} {response.reason}", pause=_retry_after(response)
        )
    if start and status in (206, 416):
        if status == 206 and _continues(response, start, _read_notes(job)):
            return start
        raise _InterruptedTransferError(
            "the server did not send the part of the file that was asked for", start_over=True
        )
    if status != 200:
        raise _UnusableAddressError(f"the server answered {status} {response.reason}")
    if response.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
        raise _UnusableAddressError("the server sends the file in an encoding that was not asked for")
    return 0


def _continues(response: requests.Response, start: int, notes: dict[str, Any]) -> bool:
    """Whether a partial answer is the rest, from byte ``start`` on, of the file that ``notes`` tell of."""
    sent = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", ""))
    if sent is None or int(sent[1]) != start or _validator(response) not in ("", notes.get("validator")):
        return False
    end, total = int(sent[2]) + 1, notes.get("total")
    whole = sent[3] in ("*", str(end)) and total in (None, end)
    return whole and response.headers.get("Content-Length", str(end - start)) == str(end - start)


def _receive(url: str, response: requests.Response, start: int, job: _Job) -> None:
    """Write the body to ``job.part`` from byte ``start`` on."""
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if _is_count(length) else None
    if (total or 0) > MAX_BYTES or (total is not None and job.size not in (None, total)):
        raise _UnusableAddressError(f"the server announces {total} bytes; expected are {job.size or 'fewer'}")
    _check_space(job, (total or 0) - start)
    with _writing(job):
        if start == 0:
            job.discard()
            job.part.touch()
        notes = {"url": url, "validator": _validator(response), "total": total}
        job.notes.write_text(json.dumps(notes))
    blocks = _blocks(response, job)
    overlap = _size(job.part) - start
    with _writing(job), job.part.open("r+b") as file:
        file.seek(start)
        done = start
        for block in blocks:
            if overlap > 0 and file.read(min(overlap, len(block))) != block[:overlap]:
                raise _InterruptedTransferError(
                    "the server continued with another file than it began with", start_over=True
                )
            if done + len(block) > MAX_BYTES:
                raise _UnusableAddressError("the server does not stop sending")
            file.seek(done)
            file.write(block)
            overlap -= len(block)
            done += len(block)
            job.report(done, total)
    if total is not None and done < total:
        raise _InterruptedTransferError(f"the connection ended after {done} of {total} bytes")


def _blocks(response: requests.Response, job: _Job) -> Iterator[bytes]:
    """The body as it arrives; a body that hardly moves counts as interrupted."""
    window = 3 * job.patience.timeout
    since, received = time.monotonic(), 0
    while block := response.raw.read1(_BLOCK):
        yield block
        received += len(block)
        elapsed = time.monotonic() - since
        if elapsed > window:
            if received < job.patience.slowest * elapsed:
                raise _InterruptedTransferError(
                    f"the server stalls ({received / elapsed:.0f} bytes per second)"
                )
            since, received = time.monotonic(), 0


def _validator(response: requests.Response) -> str:
    """What identifies this version of the file to the server; "" when nothing reliable does."""
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")


def _retry_after(response: requests.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if _is_count(value) else None


def _is_count(text: str) -> bool:
    """Whether a header's value is a whole number, of a length that a file or a pause can have."""
    return text.isascii() and text.isdigit() and len(text) <= 18


def _read_notes(job: _Job) -> dict[str, Any]:
    try:
        notes = json.loads(job.notes.read_text())
    except (OSError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}


# --- Google Drive ----------------------------------------------------------------------------------------


def _is_drive(url: str) -> bool:
    return urlsplit(url).hostname in ("drive.google.com", "docs.google.com", "drive.usercontent.google.com")


def _from_drive(url: str, job: _Job) -> None:
    import gdown  # here, because it takes a while

    # gdown resumes only within a call: what an earlier one left may be of another version of the file.
    job.discard()
    with _writing(job):
        try:
            gdown.download(
                url,
                output=str(job.part),
                quiet=True,
                use_cookies=False,
                timeout=job.patience.timeout,
                retries=job.patience.attempts - 1,
                progress=job.report,
                cancel=job.cancelled,
            )
        except (OSError, _UnusableAddressError) as error:
            if not isinstance(error, requests.RequestException):
                raise
            raise _UnusableAddressError(_words(error)) from None
        except gdown.exceptions.DownloadCancelled:
            raise _UnusableAddressError("cancelled") from None
        except Exception as error:  # gdown reads pages that Google changes now and then
            reason = " ".join(str(error).split())[:300]
            raise _UnusableAddressError(f"Google Drive does not give the file ({reason})") from None
        finally:
            job.discard_leftovers()


# --- helpers ---------------------------------------------------------------------------------------------


@contextmanager
def _writing(job: _Job) -> Iterator[None]:
    """Turns failures of the disk into words and leaves nothing half-written behind."""
    try:
        yield
    except (requests.RequestException, HTTPError):  # these are OSErrors too, but of the network
        raise
    except OSError as error:
        job.discard()
        raise OutputError(f"{job.target}: cannot be written: {error.strerror or error}.") from None


def _check_space(job: _Job, needed: int) -> None:
    free = shutil.disk_usage(job.target.parent).free
    if needed > free:
        job.discard()
        raise OutputError(
            f"{job.target}: needs {needed / 2**20:.0f} MiB, but only {free / 2**20:.0f} MiB are free."
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _words(error: Exception) -> str:
    """What went wrong with the connection, without the libraries' own wrapping."""
    chain = _causes(error)
    if any(
        isinstance(cause, requests.Timeout | TimeoutError | urllib3.exceptions.ReadTimeoutError)
        for cause in chain
    ):
        return "the server does not answer in time"
    if any(isinstance(cause, requests.TooManyRedirects) for cause in chain):
        return "the server redirects in a circle"
    if any(
        isinstance(cause, urllib3.exceptions.IncompleteRead | http.client.IncompleteRead) for cause in chain
    ):
        return "the connection ended before the whole file had come"
    texts = [cause.strerror for cause in chain if isinstance(cause, OSError) and cause.strerror]
    return f"no connection ({texts[-1]})" if texts else " ".join(str(error).split())[:200]


def _causes(error: BaseException) -> list[BaseException]:
    """An error and what it wraps, as far as can be seen."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and cause not in found:
            found.append(cause)
            waiting += [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]
    return found
