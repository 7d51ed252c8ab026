"""Documents in and out over HTTP, as jobs: POST and DELETE under /v1/domains, and /v1/jobs.

Nothing is fetched on a caller's word: documents are the bytes that come, ids are the names they come with.
"""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.exceptions import InternalServerException
from litestar.params import FromPath, QueryParameter
from multipart import parse_options_header

from api import wire
from api.documents import DocumentsController, document_id
from api.jobs import Job
from api.problems import MultipartWanted
from api.requests import CONDITIONS
from api.service import Service
from api.uploads import Receiver
from rag.errors import Cancelled, InvalidUpload
from rag.settings import UploadsSettings


async def require_multipart(request: Request[Any, Any, Any]) -> None:
    """Refuse any other body before it is read. Raises MultipartWanted, InvalidUpload."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != "multipart/form-data":
        raise MultipartWanted
    if not 1 <= len(options.get("boundary", "")) <= 200:
        raise InvalidUpload("the Content-Type names no boundary of 1 to 200 characters")


class ChangingDocumentsController(DocumentsController):
    """Stored documents, to be read and changed: one controller, because Litestar takes a path from one alone."""

    @post(
        "/",
        status_code=202,
        opt={"scope": "ingest"},
        before_request=require_multipart,
        request_max_body_size=None,
    )
    async def upload(
        self,
        domain: FromPath[str],
        request: Request[Any, Any, Any],
        service: NamedDependency[Service],
        upload_limits: NamedDependency[UploadsSettings],
    ) -> Response[bytes]:
        """Take files in; a domain that is not there is made."""
        from ingest.corpus import readable_suffixes

        _, options = parse_options_header(request.headers["content-type"])
        length = request.headers.get("content-length", "0")
        async with service.receiving(domain, int(length) if length.isdecimal() else 0) as receiving:
            receiver = Receiver(receiving.folder, options["boundary"], upload_limits, readable_suffixes())
            try:
                await receiver.receive(aiter(request.stream()))
            except InternalServerException as error:  # Litestar's word for it
                raise Cancelled("the caller went away before the whole upload was here") from error
            job = await receiving.submit()
        return told(job, 202)

    @delete("/", status_code=202, opt={"scope": "ingest"})
    async def remove_described(
        self,
        domain: FromPath[str],
        service: NamedDependency[Service],
        where: Annotated[list[str] | None, QueryParameter(max_length=CONDITIONS)] = None,
    ) -> Response[bytes]:
        """Take out the documents whose metadata say so."""
        return told(await service.remove_documents(domain, where or ()), 202)

    @delete("/{id:path}", status_code=202, opt={"scope": "ingest"})
    async def remove(
        self, domain: FromPath[str], request: Request[Any, Any, Any], service: NamedDependency[Service]
    ) -> Response[bytes]:
        """Take one document out."""
        return told(await service.remove_document(domain, document_id(request)), 202)


class DomainController(Controller):
    """A stored domain."""

    path = "/v1/domains/{domain:str}"

    @delete("/", status_code=202, opt={"scope": "admin"})
    async def remove_all(self, domain: FromPath[str], service: NamedDependency[Service]) -> Response[bytes]:
        """Take a whole domain away."""
        return told(await service.remove_domain(domain), 202)


class JobsController(Controller):
    """Changes under way, and how they ended."""

    path = "/v1/jobs"
    opt = {"scope": "ingest"}  # noqa: RUF012  # Litestar reads it once

    @get("/")
    async def jobs(self, service: NamedDependency[Service]) -> Response[bytes]:
        """Every job that is not forgotten, newest first."""
        return Response(wire.list_to_json(service.jobs()), media_type="application/json")

    @get("/{id:str}")
    async def job(self, id: FromPath[str], service: NamedDependency[Service]) -> Response[bytes]:
        """How far a job is."""
        return told(service.job(id), 200)

    @delete("/{id:str}", status_code=200)
    async def cancel(self, id: FromPath[str], service: NamedDependency[Service]) -> Response[bytes]:
        """Ask a job to stop."""
        return told(await service.cancel_job(id), 200)


def told(job: Job, status: int) -> Response[bytes]:
    """A job, and where to ask for it again."""
    headers = {"Location": f"/v1/jobs/{job.id}"} if status == 202 else {}
    return Response(wire.to_json(job), status_code=status, media_type="application/json", headers=headers)
