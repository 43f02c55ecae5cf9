"""Errors of kubectl, and how they are told: `error: …` for what is wrong here, `Error from server (Reason): …` for Statuses.

Source: upstream kubectl pkg/cmd/util/helpers.go (CheckErr). All of them end the command with exit code 1 unless they say else.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Sequence

from steersman.machinery.errors import StatusError, UnknownStatus
from steersman.machinery.meta import Obj


class KubectlError(Exception):
    """Something a person can act on: printed as `error: <message>`."""

    exit_code = 1

    def text(self) -> str:
        message = str(self)
        return message if message.startswith("error: ") else f"error: {message}"


class PlainError(KubectlError):
    """Printed as it is, without the lead `error: `."""

    def text(self) -> str:
        return str(self)


class UsageError(KubectlError):
    """The command line is not right for this verb: the message, then where help is."""

    def __init__(self, command: str, message: str) -> None:
        super().__init__(f"{message}\nSee 'kubectl {command} -h' for help and examples")


class FlagError(PlainError):
    """A flag that is not known or not as it should be, in the words of cobra."""


class ExitError(KubectlError):
    """Ends the command with this exit code and says nothing: what there is to say has been said."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"exit {exit_code}")
        self.exit_code = exit_code

    def text(self) -> str:
        return ""


class Unreachable(ConnectionError):
    """The server (host:port) could not be asked, or stopped answering. `cause` says why."""

    def __init__(self, server: str, cause: OSError) -> None:
        super().__init__(f"{server}: {cause}")
        self.server, self.cause = server, cause


class Aggregate(KubectlError):
    """Errors told one per line, and without the lead `error: `."""

    def __init__(self, errors: Sequence[Exception]) -> None:
        super().__init__("\n".join(map(str, errors)))
        self.errors = list(flatten(errors))

    def text(self) -> str:
        return "\n".join(map(_short, self.errors))


def flatten(errors: Iterable[Exception]) -> Iterable[Exception]:
    """The errors, those inside an Aggregate in its place."""
    for error in errors:
        if isinstance(error, Aggregate):
            yield from flatten(error.errors)
        else:
            yield error


def raise_all(errors: Sequence[Exception]) -> None:
    """Raise what was collected: one error as itself, several as an Aggregate, none not at all."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise Aggregate(errors)


class SourcedStatus(StatusError):
    """A Status with what was being done put before its message: `error when creating "f.yaml": …`."""

    def __init__(self, doing: str, source: str, error: StatusError) -> None:
        super().__init__(f'error when {doing} "{source}": {error.message}', details=error.details)
        self.inner = error

    def status(self) -> Obj:
        return {**self.inner.status(), "message": self.message}


def with_source(doing: str, source: str, error: Exception) -> Exception:
    """An error that says which file it is about. Without a source the error itself."""
    if not source:
        return error
    if isinstance(error, StatusError):
        return SourcedStatus(doing, source, error)
    if isinstance(error, KubectlError):
        return KubectlError(f'error when {doing} "{source}": {error}')
    return error


def describe(error: Exception) -> str:
    """What is printed on stderr for an error, without the last line break. Unexpected exceptions are raised again."""
    if isinstance(error, KubectlError):
        return error.text()
    if isinstance(error, StatusError):
        return _invalid_text(error) if reason_of(error) == "Invalid" else _status_text(error)
    if isinstance(error, Unreachable):
        return _connection_text(error)
    if isinstance(error, OSError):
        return f"error: {file_problem(error)}"
    if isinstance(error, ValueError):
        return f"error: {error}"
    raise error


def _short(error: Exception) -> str:
    if isinstance(error, StatusError):
        return _status_text(error)
    return str(error) if isinstance(error, KubectlError | ValueError) else describe(error)


def file_problem(error: OSError, doing: str = "open") -> str:
    """An error about a file in Go's words: `open /x: no such file or directory`."""
    if error.filename is None:
        return str(error)
    return f"{doing} {error.filename}: {(error.strerror or str(error)).lower()}"


def exit_code(error: Exception) -> int:
    return error.exit_code if isinstance(error, KubectlError) else 1


def reason_of(error: StatusError) -> str:
    return str(error.status().get("reason") or "")


def _status_text(error: StatusError) -> str:
    reason = reason_of(error)
    if reason == "Unauthorized":
        return f"error: You must be logged in to the server ({error.message})"
    if reason:
        return f"Error from server ({reason}): {error.message}"
    if isinstance(error, UnknownStatus) and error.http_code == 404:
        return "Error from server (NotFound): the server could not find the requested resource"
    return f"Error from server: {error.message}"


def _invalid_text(error: StatusError) -> str:
    details = error.details
    lead = "The request is invalid"
    if not details:
        return f"{lead}: {error.message}"
    if details.get("kind") or details.get("name"):
        lead = f'The {details.get("kind", "")} "{details.get("name", "")}" is invalid'
    elif error.causes and error.message and not error.causes[0].get("message"):
        lead = f"{lead}: {error.message}"
    told = (f"{cause['field']}: {cause['message']}" if cause.get("field") else cause["message"] for cause in error.causes)
    texts = list(dict.fromkeys(told))
    if not texts:
        return lead
    if len(texts) == 1:
        return f"{lead}: {texts[0]}"
    return "\n".join([f"{lead}: ", *(f"* {text}" for text in texts)])


def _connection_text(error: Unreachable) -> str:
    cause = error.cause
    # With several addresses asyncio tells all failures in one text.
    if isinstance(cause, ConnectionRefusedError) or "[Errno 111]" in str(cause):
        return f"The connection to the server {error.server} was refused - did you specify the right host or port?"
    return f"Unable to connect to the server: {_go_words(cause, error.server)}"


def _go_words(cause: OSError, server: str) -> str:
    host, _, _ = server.rpartition(":")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"tls: failed to verify certificate: x509: {cause.verify_message}"
    if isinstance(cause, socket.gaierror):
        return f"dial tcp: lookup {host or server}: no such host"
    if isinstance(cause, TimeoutError):
        return "net/http: request canceled (Client.Timeout exceeded while awaiting headers)"
    if "closed the connection" in str(cause):
        return "EOF"
    return (cause.strerror or str(cause)).lower() if cause.errno else str(cause)
