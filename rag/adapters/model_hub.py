"""Fetches one file of the model hub. Knows no profile and keeps no record.

Where the hub is: `HF_ENDPOINT`, as everywhere in huggingface_hub; a gated model needs `HF_TOKEN`.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rag.catalog import storage_error
from rag.errors import ModelUnavailable

Progress = Callable[[int, int | None], None]
"""Called with the bytes so far, and in all where the hub tells."""


def download(repository: str, file: str, folder: Path, *, anew: bool, progress: Progress | None = None) -> Path:
    """The file `folder/file`, fetched where it is not there in the hub's present version; resumes what broke off.

    anew: fetch it whatever is there. Raises ModelUnavailable with the hub's reason, StorageFull.
    """
    import httpx
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import GatedRepoError, RemoteEntryNotFoundError, RepositoryNotFoundError

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries are no news; what fails is raised
    address = f"{repository}:{file}"
    bar = _bar(progress) if progress else None
    try:
        return Path(hf_hub_download(repository, file, local_dir=folder, force_download=anew, tqdm_class=bar))
    except GatedRepoError as error:
        raise ModelUnavailable(
            f"{address} is gated: accept its licence at https://huggingface.co/{repository}, then set HF_TOKEN"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelUnavailable(f"the hub has no repository {repository!r}, or it is private: check the name") from error
    except RemoteEntryNotFoundError as error:
        raise ModelUnavailable(f"repository {repository!r} has no file {file!r}: check the name") from error
    except (OSError, ValueError, httpx.HTTPError, RuntimeError) as error:  # RuntimeError: see below
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise storage_error(error, folder) from error
        # the library wraps what happened in advice of its own: the innermost error says it
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        if isinstance(error, RuntimeError):  # huggingface_hub 1.21 retries a refused connection on a client it closed
            reason = "no connection"
        raise ModelUnavailable(f"{address} could not be fetched ({reason}): try again when the hub answers") from error


def _bar(progress: Progress) -> type[Any]:
    class Told:
        """What huggingface_hub uses of a tqdm bar (utils/tqdm.py: any other class is called with its options)."""

        def __init__(self, *, total: int | None = None, initial: int = 0, **_options: Any) -> None:
            self._total, self._so_far = total, initial

        def __enter__(self) -> Told:
            return self

        def __exit__(self, *_error: object) -> None:
            return None

        def update(self, n: float | None = 1) -> None:
            self._so_far += int(n or 0)
            progress(self._so_far, self._total)

    return Told
