"""What another server has answered, passed on as a stream: for nodeproxy/ and aggregation/.

Requests that change protocols are in upgrading.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from steersman.apiserver.http import Response
from steersman.apiserver.upgrading import HOP_BY_HOP
from steersman.client.connection import HttpConnection


def response_of(connection: HttpConnection) -> Response:
    """The answer that has begun on a connection, which ends with it."""
    kept = {name.title(): value for name, value in connection.headers.items() if name not in HOP_BY_HOP}
    content_type = kept.pop("Content-Type", "")
    return Response(connection.status, content_type=content_type, headers=kept, chunks=Body(connection))


class Body(AsyncIterator[bytes]):
    """An answer's body. No generator: where nobody begins to read (a HEAD has no body), closing one would not run its end."""

    def __init__(self, connection: HttpConnection) -> None:
        self._connection, self._chunks = connection, connection.chunks()

    async def __anext__(self) -> bytes:
        """Raises ConnectionError if the other server breaks off."""
        try:
            return await anext(self._chunks)
        except BaseException as fault:
            self._connection.close()
            if isinstance(fault, OSError) and not isinstance(fault, ConnectionError):
                raise ConnectionResetError(str(fault)) from fault
            raise

    async def aclose(self) -> None:
        self._connection.close()
