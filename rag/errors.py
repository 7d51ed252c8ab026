"""Every error raised on purpose, grouped by who can act on it. Knows nothing of HTTP or exit codes.

RagError
├── QuestionError          the caller can fix it
│   ├── InvalidQuestion        empty, too long, or a filter that does not fit the domain
│   ├── UnknownDomain          no domain of that name is stored
│   ├── UnknownDocument        the domain stores no document of that id
│   ├── UnknownJob             there is no such ingestion job
│   └── InvalidUpload          no files, names that are none, or formats that no reader reads
│       ├── UploadTooLarge         beyond the bytes or files that are taken
│       └── UploadTooSlow          its bytes stopped coming
├── CorpusError            the operator can fix it
│   ├── UnreadableDocument     a file that no reader can turn into text
│   ├── InvalidCorpus          corpus.toml, a field mapping or a path that makes no sense
│   ├── IncompatibleIndex      built with another embedder, chunker or format
│   ├── InvalidSettings        a setting that is unknown, missing or contradicts another
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
    ├── ModelUnreachable       a remote model's server is not there, fails, or breaks off its answer
    └── Cancelled              the caller went away
"""

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
    """No domain of that name is stored."""

    code = "unknown_domain"


class UnknownDocument(QuestionError):
    """The domain stores no document of that id."""

    code = "unknown_document"


class UnknownJob(QuestionError):
    """There is no ingestion job of that id, or it was forgotten since."""

    code = "unknown_job"


class InvalidUpload(QuestionError):
    """No files, a name that is none, or a format that no reader reads."""

    code = "invalid_upload"


class UploadTooLarge(InvalidUpload):
    """More bytes or files than are taken at once."""

    code = "upload_too_large"


class UploadTooSlow(InvalidUpload):
    """The bytes of an upload stopped coming."""

    code = "upload_too_slow"


class CorpusError(RagError):
    """The operator can fix it."""

    code = "corpus"


class UnreadableDocument(CorpusError):
    """A file that no reader can turn into text; the message says why."""

    code = "unreadable_document"


class InvalidCorpus(CorpusError):
    """A corpus.toml, a field mapping or a path that makes no sense."""

    code = "invalid_corpus"


class IncompatibleIndex(CorpusError):
    """The stored domain was built with another embedder, chunker or format."""

    code = "incompatible_index"


class InvalidSettings(CorpusError):
    """A setting is unknown, missing or contradicts another."""

    code = "invalid_settings"


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
    """No answer came within the deadline."""

    code = "model_timeout"


class ModelRejected(BackendError):
    """A remote model refused the request: key, quota, unknown model or content."""

    code = "model_rejected"


class AnswerWithheld(ModelRejected):
    """A remote model's content filter keeps the answer to this one question back."""

    code = "answer_withheld"


class Unscorable(ModelRejected):
    """The model tells no likelihoods: most remote protocols send words alone."""

    code = "unscorable"


class ModelUnreachable(BackendError):
    """A remote model's server cannot be reached, fails, or breaks off its answer."""

    code = "model_unreachable"


class Cancelled(BackendError):
    """The caller went away or the request was cancelled."""

    code = "cancelled"
