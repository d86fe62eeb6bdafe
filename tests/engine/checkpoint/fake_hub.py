"""A Hugging Face Hub of one repository, on this machine."""

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def fake_hub(files: Mapping[str, bytes], token: str | None = None) -> Iterator[tuple[str, list[str]]]:
    """Address and log of requests. `files`: by path, such as "owner/name/config.json"; with `token`, only for
    those who send it.
    """
    repos = {path.rsplit("/", 1)[0] for path in files}
    log: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            repo, _, name = self.path.strip("/").partition("/resolve/main/")
            log.append(f"{self.command} {repo}/{name}")
            content = files.get(f"{repo}/{name}")
            if repo not in repos:
                self._refuse(404, "RepoNotFound")
            elif token is not None and self.headers.get("Authorization") != f"Bearer {token}":
                self._refuse(403, "GatedRepo")
            elif content is None:
                self._refuse(404, "EntryNotFound")
            else:
                self.send_response(200)
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", _COMMIT)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if body:
                    self.wfile.write(content)

        def _refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            if code == "EntryNotFound":
                self.send_header("X-Repo-Commit", _COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", log
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
