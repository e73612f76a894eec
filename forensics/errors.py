"""What can go wrong, and the exit code it ends in.

    ForensicsError
    ├── UsageError            2  a flag, a spec, a file or a configuration that can't be used
    ├── BackendError          4  an endpoint could not answer
    │   ├── AuthError            the key is missing or refused
    │   ├── RateError            the endpoint wants us to wait longer than we do
    │   ├── ProtocolError        it answered something that is not an answer
    │   └── UnavailableError     nothing answers there, or a model's files are not there
    ├── BudgetExceeded        4  the request or token budget is used up
    └── EvidenceError         5  stored evidence is missing or was changed

Every message is one line: what is wrong, where, and what to do.
"""

from __future__ import annotations


class ForensicsError(Exception):
    """Root of everything this package raises on purpose."""

    exit_code = 2


class UsageError(ForensicsError):
    """The user can mend it: flag, spec, file or configuration."""


class BackendError(ForensicsError):
    """A model could not be asked."""

    exit_code = 4


class AuthError(BackendError):
    """The key is missing or was refused."""


class RateError(BackendError):
    """The endpoint asks for a longer pause than we are willing to make."""


class ProtocolError(BackendError):
    """The endpoint answered something that is not an answer."""


class UnavailableError(BackendError):
    """Nothing answers, or the model's files are not there."""


class BudgetExceeded(ForensicsError):  # noqa: N818 - the contract's word
    """The budget of requests or tokens is used up; what was collected is kept."""

    exit_code = 4


class EvidenceError(ForensicsError):
    """Stored evidence is missing or was changed."""

    exit_code = 5
