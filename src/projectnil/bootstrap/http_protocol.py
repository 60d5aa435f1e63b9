"""HTTP as uvicorn speaks it, with our own words for what is not HTTP."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from projectnil.api.problems import MEDIA_TYPE, malformed_request_problem


class HttpProtocol(HttpToolsProtocol):
    """Also a request that cannot be parsed gets an error of the one shape."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 # uvicorn's own words
        body = malformed_request_problem()
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self.transport.close()
