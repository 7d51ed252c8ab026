"""Every error raised on purpose, grouped by who can act on it. Knows nothing of HTTP or exit codes.

RagError
├── QuestionError          the caller can fix it
│   ├── InvalidQuestion        empty, too long, or a filter that does not fit the domain
│   ├── UnknownDomain          no domain of that name is stored, or none that the caller may know of
│   ├── UnknownDocument        the domain stores no document of that id
│   ├── UnknownJob             there is no such ingestion job, or none that the caller may know of
│   ├── InvalidUpload          no files, names that are none, or formats that no reader reads
│   │   ├── UploadTooLarge         beyond the bytes or files that are taken
│   │   └── UploadTooSlow          its bytes stopped coming
│   ├── NoReport               no evaluation report is served here
│   ├── NotAuthenticated       no key, or none that opens anything
│   ├── NotAllowed             a key that lacks the scope, or a page of somewhere else that asks in the user's name
│   ├── TooManyRequests        more than the key's limit; try again after `retry_after` seconds
│   └── UnknownKey             no key of that id was ever created
├── CorpusError            the operator can fix it
│   ├── UnreadableDocument     a file that no reader can turn into text
│   ├── InvalidCorpus          corpus.toml, a field mapping or a path that makes no sense
│   ├── InvalidBackup          a file that is no backup, is damaged, or stands in the way of one
│   ├── IncompatibleIndex      built with another embedder, chunker or format
│   ├── MissingIndex           a stored generation whose vectors are gone
│   ├── InvalidSettings        a setting that is unknown, missing or contradicts another
│   ├── KeysUnreadable         the file of the keys is damaged or closed to this process: nobody is let in
│   └── ModelUnavailable       weights missing, altered, not loadable, or not allowed offline
└── BackendError           waiting may fix it
    ├── IndexLocked            another process holds the store
    ├── IndexUnavailable       the vector store is unreachable, refuses the key, or failed
    ├── StorageFull            no space left on the device that holds the store
    ├── EngineDied             the generator process ended while it worked on this request
    ├── ModelBusy              the queue is full; try again after `retry_after` seconds
    ├── ModelTimeout           no answer within the deadline
    ├── ModelRejected          a remote model refused the request (key, quota)
    │   ├── AnswerWithheld         its content filter keeps this one answer back
    │   └── Unscorable             it tells no likelihoods of given texts
    ├── LimitsUnavailable      the store that several processes count requests in is unreachable
    ├── ModelUnreachable       a remote model's server is not there, fails, or breaks off its answer
    └── Cancelled              the caller went away
"""

from __future__ import annotations

from typing import ClassVar


class RagError(Exception):
    """Root. `code` is the wire name: add freely, never rename."""

    code: ClassVar[str] = "error"


class QuestionError(RagError):
    """The caller can fix it."""

    code = "question"


class InvalidQuestion(QuestionError):
    """Empty, too long, or with a filter that does not fit the domain."""

    code = "invalid_question"


class UnknownDomain(QuestionError):
    """No domain of that name is stored, or none that the caller may know of: both are told in the same words."""

    code = "unknown_domain"

    @classmethod
    def named(cls, domain: str) -> UnknownDomain:
        """The one sentence that is told of a domain, whichever of the two it is."""
        shown = domain[:80]
        return cls(f"there is no domain {shown!r}; `understudy ingest apply PATH --domain {shown}` makes it")


class NotAuthenticated(QuestionError):
    """No key came with the request (`given` is false), or one that is unknown, expired or revoked."""

    code = "not_authenticated"

    def __init__(self, message: str, *, given: bool) -> None:
        super().__init__(message)
        self.given = given


class NotAllowed(QuestionError):
    """The caller is known and may not do this."""

    code = "not_allowed"


class TooManyRequests(QuestionError):
    """The key's limit of requests is used up; `retry_after` is the wait in seconds for the next one."""

    code = "too_many_requests"

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnknownKey(QuestionError):
    """No key of that id was ever created."""

    code = "unknown_key"


class UnknownDocument(QuestionError):
    """The domain stores no document of that id."""

    code = "unknown_document"


class UnknownJob(QuestionError):
    """There is no ingestion job of that id, it was forgotten since, or the caller may not know of it."""

    code = "unknown_job"

    def __init__(self) -> None:
        super().__init__("there is no such job; GET /v1/jobs lists them, and forgets the oldest that have ended")


class InvalidUpload(QuestionError):
    """No files, a name that is none, or a format that no reader reads."""

    code = "invalid_upload"


class UploadTooLarge(InvalidUpload):
    """More bytes or files than are taken at once."""

    code = "upload_too_large"


class UploadTooSlow(InvalidUpload):
    """The bytes of an upload stopped coming."""

    code = "upload_too_slow"


class NoReport(QuestionError):
    """No evaluation report is served here: none is set, or none has been written yet."""

    code = "no_report"


class CorpusError(RagError):
    """The operator can fix it."""

    code = "corpus"


class UnreadableDocument(CorpusError):
    """A file that no reader can turn into text; the message says why."""

    code = "unreadable_document"


class InvalidCorpus(CorpusError):
    """A corpus.toml, a field mapping or a path that makes no sense."""

    code = "invalid_corpus"


class InvalidBackup(CorpusError):
    """A file that is no backup of a domain, is a damaged one, or stands where one is to be written."""

    code = "invalid_backup"


class IncompatibleIndex(CorpusError):
    """The stored domain was built with another embedder, chunker or format."""

    code = "incompatible_index"


class MissingIndex(CorpusError):
    """The vectors of a stored generation are not where they were: its collection or shard was removed."""

    code = "missing_index"


class InvalidSettings(CorpusError):
    """A setting is unknown, missing or contradicts another."""

    code = "invalid_settings"


class KeysUnreadable(CorpusError):
    """The file of the keys is damaged or closed to this process: nobody is let in until it can be read."""

    code = "keys_unreadable"


class ModelUnavailable(CorpusError):
    """Weights are missing, altered, cannot be loaded, or may not be fetched offline."""

    code = "model_unavailable"


class BackendError(RagError):
    """Waiting may fix it."""

    code = "backend"


class IndexLocked(BackendError):
    """Another process holds the store."""

    code = "index_locked"


class IndexUnavailable(BackendError):
    """The vector store cannot be reached, refuses the key, or failed."""

    code = "index_unavailable"


class StorageFull(BackendError):
    """The device that holds the store has no space left."""

    code = "storage_full"


class EngineDied(BackendError):
    """The generator process ended while it worked on this request."""

    code = "engine_died"


class ModelBusy(BackendError):
    """The queue is full; `retry_after` is the wait in seconds after which a place is likely."""

    code = "model_busy"

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ModelTimeout(BackendError):
    """No answer came within the deadline; `retry_after` is the wait in seconds after which another try makes sense."""

    code = "model_timeout"

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ModelRejected(BackendError):
    """A remote model refused the request: key, quota, unknown model or content."""

    code = "model_rejected"


class AnswerWithheld(ModelRejected):
    """A remote model's content filter keeps the answer to this one question back."""

    code = "answer_withheld"


class Unscorable(ModelRejected):
    """The model tells no likelihoods: most remote protocols send words alone."""

    code = "unscorable"


class LimitsUnavailable(BackendError):
    """The store in which several processes count requests cannot be reached."""

    code = "limits_unavailable"


class ModelUnreachable(BackendError):
    """A remote model's server cannot be reached, fails, or breaks off its answer."""

    code = "model_unreachable"


class Cancelled(BackendError):
    """The caller went away or the request was cancelled."""

    code = "cancelled"
