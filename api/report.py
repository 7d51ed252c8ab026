"""GET /report: the newest evaluation report that was written where a setting points. Knows nothing of its figures."""

from __future__ import annotations

import asyncio
from pathlib import Path

from litestar import Controller, Response, get
from litestar.di import NamedDependency

from rag.errors import NoReport

NAME = "report.html"
"""What `understudy evaluate run --out DIR` calls it."""

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox allow-popups"
)
"""One document with its style and pictures inside: nothing else is loaded and no script runs."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class LatestReport:
    """The newest report under a path: a file, or a folder with runs in it."""

    def __init__(self, path: str) -> None:
        """`path`: empty where no report is to be served."""
        self._path = Path(path) if path else None

    def read(self) -> bytes:
        """The page. Raises NoReport."""
        if self._path is None:
            raise NoReport(
                "no report is served here; UNDERSTUDY_SERVER__REPORT names a report.html or a folder of runs"
            )
        try:
            found = sorted((path.stat().st_mtime_ns, path) for path in _candidates(self._path))
            return found[-1][1].read_bytes()
        except (OSError, IndexError) as error:
            raise NoReport("there is no report yet: `understudy evaluate run … --out DIR` writes one") from error


class ReportController(Controller):
    """The latest report, which may quote any domain: a key that is bound to some does not open it."""

    path = "/report"
    opt = {"scope": "read", "all_domains": True}  # noqa: RUF012  # Litestar reads it once

    @get("/")
    async def report(self, report: NamedDependency[LatestReport]) -> Response[bytes]:
        """The page as it was written."""
        return Response(await asyncio.to_thread(report.read), media_type="text/html", headers=HEADERS)


def _candidates(path: Path) -> list[Path]:
    """The report itself, or those of a folder of runs: in it, and one and two levels below."""
    if not path.is_dir():
        return [path]
    return [found for pattern in (NAME, f"*/{NAME}", f"*/*/{NAME}") for found in path.glob(pattern)]
