"""A page in a browser: no request of it is answered, whichever name it uses for the server."""

import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from embedded_server import Server
from playwright.sync_api import Browser, Page, sync_playwright

FOREIGN = "attacker.test"  # a name that its owner lets point to this machine (DNS rebinding)
BUCKET = "browser-test"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
# Requests that a browser sends without asking the server first.
PLAIN: dict[str, dict[str, Any]] = {
    f"/{BUCKET}/secret.txt": {},
    "/_faults": {},
    "/moto-api/reset": {"method": "POST"},
    "/2015-03-31/functions/{function}/invocations": {"method": "POST", "body": "{}"},
    "/?list": {"method": "POST", "headers": FORM, "body": "Action=ListTopics&Version=2010-03-31"},
}
# Requests for which it asks with OPTIONS.
PREFLIGHTED: dict[str, dict[str, Any]] = {
    f"/{BUCKET}/new.txt": {"method": "PUT", "body": "x"},
    f"/{BUCKET}/secret.txt": {"method": "DELETE"},
    "/_faults": {"method": "PUT", "headers": JSON, "body": '{"scratch_mib": 1}'},
    "/2015-03-31/functions": {"method": "POST", "headers": JSON, "body": "{}"},
}
FETCH = """async ([url, request]) => {
    try {
        const answer = await fetch(url, request);
        return [answer.type, answer.status, await answer.text()];
    } catch (error) {
        return [error.name, 0, ""];
    }
}"""


class _EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer with an empty page."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if not program and not os.environ.get("CI"):
        pytest.skip("chromium is not installed: `apt-get install chromium`")
    rules = f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", rules])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Serve an empty page of somebody else on this machine; yield its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _EmptyPage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(browser: Browser, aws: Server) -> Iterator[Page]:
    """Open a page; what it asks for must leave the server as it is."""
    aws.s3.create_bucket(Bucket=BUCKET)
    aws.s3.put_object(Bucket=BUCKET, Key="secret.txt", Body=b"secret")
    page = browser.new_page()
    yield page
    page.close()
    assert [entry["Key"] for entry in aws.s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["secret.txt"]
    assert aws.s3.get_object(Bucket=BUCKET, Key="secret.txt")["Body"].read() == b"secret"


def ask(page: Page, aws: Server, path: str, request: dict[str, Any], **more: str) -> list[Any]:
    """Send a request from the page; return the type, the status and the text of the answer, or the error."""
    url = aws.state["endpoint"] + path.format(function=aws.output("Echo"))
    answer: list[Any] = page.evaluate(FETCH, [url, {**request, **more}])
    return answer


def test_a_page_of_another_origin_cannot_read_an_answer(page: Page, aws: Server, site: str) -> None:
    page.goto(site)
    for path, request in [*PLAIN.items(), *PREFLIGHTED.items()]:
        assert ask(page, aws, path, request) == ["TypeError", 0, ""], path


def test_a_plain_request_of_a_page_is_refused_though_it_arrives(page: Page, aws: Server, site: str) -> None:
    statuses: list[int] = []
    page.goto(site)
    page.on("response", lambda response: statuses.append(response.status))
    for path, request in PLAIN.items():
        assert ask(page, aws, path, request, mode="no-cors") == ["opaque", 0, ""], path
    assert statuses == [403] * len(PLAIN)


def test_a_page_whose_name_points_to_this_machine_is_refused(page: Page, aws: Server) -> None:
    address = f"http://{FOREIGN}:{aws.state['port']}"
    opened = page.goto(f"{address}/{BUCKET}/secret.txt")
    assert opened is not None
    assert (opened.status, "secret" in page.inner_text("body").replace("secret.txt", "")) == (403, False)
    for path, request in [*PLAIN.items(), *PREFLIGHTED.items()]:  # of the same origin, for the browser
        url = address + path.format(function=aws.output("Echo"))
        kind, status, _ = page.evaluate(FETCH, [url, request])
        assert (kind, status) == ("basic", 403), path
