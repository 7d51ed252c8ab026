"""The operations that change what is stored, for the OpenAPI document. Knows no handler."""

from __future__ import annotations

import json

from api import examples, wire
from api.requests import CONDITIONS
from api.schema import DOCUMENT, DOMAIN, Json, Operation, Parameter

CHANGING = (400, 404, 500, 503)

JOB_ID = Parameter("id", "path", "a job's id", examples.JOB.id, {"type": "string", "minLength": 1})

WHERE = Parameter(
    "where",
    "query",
    "FIELD=VALUE of the documents' metadata; several must all hold",
    ["product=pump"],
    {"type": "array", "minItems": 1, "maxItems": CONDITIONS, "items": {"type": "string", "pattern": "^[^=]+="}},
    required=True,
)

FILES: Json = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["files"],
            "properties": {
                "files": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"type": "string", "format": "binary"},
                    "description": "each with a file name, a relative path, which becomes the id of its document",
                }
            },
        },
        "example": {"files": ["pumps.md"]},
    }
}


def operations() -> tuple[Operation, ...]:
    """Documents in and out, and the jobs that do it."""
    example = json.loads(wire.to_json(examples.JOB))
    schema = {"$ref": "#/components/schemas/Job"}
    job = {"application/json": {"schema": schema, "example": example}}
    jobs = {"application/json": {"schema": {"type": "array", "items": schema}, "example": [example]}}
    return (
        Operation(
            "post",
            "/v1/domains/{domain}/documents",
            "uploadDocuments",
            "Upload documents",
            "Files in any format that is read; the rows of CSV, JSON and JSONL files are documents of their own. One "
            "with the id of a stored document replaces it. A domain that is not there is made. The job survives a "
            "crash once it is acknowledged; its change is seen whole, when it is done.",
            None,
            {202: ("The job, whose address is in Location", job)},
            (400, 404, 408, 413, 415, 500, 503),
            parameters=(DOMAIN,),
            body=FILES,
        ),
        Operation(
            "delete",
            "/v1/domains/{domain}/documents",
            "removeDocuments",
            "Remove documents by their metadata",
            "Those that have all of these values when the job runs; `removed` says how many there were, which may be "
            "none. `true` and `false`, numbers and dates are written as a document's metadata show them.",
            None,
            {202: ("The job, whose address is in Location", job)},
            CHANGING,
            parameters=(DOMAIN, WHERE),
        ),
        Operation(
            "delete",
            "/v1/domains/{domain}/documents/{id}",
            "removeDocument",
            "Remove a document",
            "Slashes of an id may stand as they are or escaped; nothing but slashes is no id.",
            None,
            {202: ("The job, whose address is in Location", job)},
            CHANGING,
            parameters=(DOMAIN, DOCUMENT),
        ),
        Operation(
            "delete",
            "/v1/domains/{domain}",
            "removeDomain",
            "Remove a domain",
            "With every document and every earlier generation: there is no way back.",
            None,
            {202: ("The job, whose address is in Location", job)},
            CHANGING,
            parameters=(DOMAIN,),
        ),
        Operation(
            "get",
            "/v1/jobs",
            "listJobs",
            "List the jobs",
            "Newest first; the oldest that have ended are forgotten.",
            None,
            {200: ("Jobs", jobs)},
            (500,),
        ),
        Operation(
            "get",
            "/v1/jobs/{id}",
            "readJob",
            "Read how far a job is",
            "`documents` of about `total` were looked at; `unreadable` says why a file or row gave no document, "
            "`partly` which pages of one were not read.",
            None,
            {200: ("The job as it is now", job)},
            (404, 500),
            parameters=(JOB_ID,),
        ),
        Operation(
            "delete",
            "/v1/jobs/{id}",
            "cancelJob",
            "Cancel a job",
            "A job that waits ends at once, one that runs within seconds, and nothing of it is seen. One that has "
            "ended stays as it is.",
            None,
            {200: ("The job as it is now", job)},
            (404, 500, 503),
            parameters=(JOB_ID,),
        ),
    )
