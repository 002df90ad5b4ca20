"""A server that speaks as Redshift's, Redshift Serverless's and Secrets Manager's APIs do.

It answers what a test put into `answers` by the name of the action, and knows nothing else:
moto lacks Redshift Serverless, and credentials that end.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import pytest


class RedshiftApi:
    """The server: what it answers and what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        """An action's answer: a document, an error's code, or a function of the parameters."""
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def actions(self) -> list[str]:
        """The names of what was asked."""
        return [action for action, _ in self.asked]

    def answer(self, action: str, parameters: dict[str, Any]) -> Any:
        """A document, or an error's code."""
        self.asked.append((action, parameters))
        found = self.answers.get(action, "AccessDenied")
        return found(parameters) if callable(found) else found


@pytest.fixture
def redshift_api(no_aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedshiftApi]:
    """An API without answers, and boto3 configured for it."""
    api = RedshiftApi()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            target = self.headers.get("X-Amz-Target")
            if target:
                action, parameters = target.rpartition(".")[2], json.loads(body)
            else:
                parameters = {name: values[0] for name, values in parse_qs(body).items()}
                action = parameters.pop("Action")
            found = api.answer(action, parameters)
            status = 400 if isinstance(found, str) else 200
            if target:
                text = json.dumps({"__type": found} if status == 400 else found)
            elif status == 400:
                text = _xml({"ErrorResponse": {"Error": {"Code": found, "Message": "as told"}}})
            else:
                text = _xml({f"{action}Response": {f"{action}Result": found}})
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1" if target else "text/xml")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Tests print enough."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    yield api
    server.shutdown()
    thread.join()
    server.server_close()


def cluster(host: str = "127.0.0.1", port: int = 5439, **others: Any) -> dict[str, Any]:
    """What DescribeClusters answers of one cluster that is up, but for `others`."""
    told = {
        "ClusterIdentifier": "reports",
        "ClusterStatus": "available",
        "NodeType": "ra3.xlplus",
        "NumberOfNodes": 4,
        "Endpoint": {"Address": host, "Port": port},
    }
    return {"Clusters": {"Cluster": told | others}}


def workgroup(host: str = "127.0.0.1", port: int = 5439, **others: Any) -> dict[str, Any]:
    """What GetWorkgroup answers of a workgroup that is up, but for `others`."""
    endpoint = {"address": host, "port": port}
    told = {"status": "AVAILABLE", "baseCapacity": 32, "endpoint": endpoint, "workgroupName": "w"}
    return {"workgroup": told | others}


def _xml(document: dict[str, Any]) -> str:
    """Elements by name; a list is an element repeated."""
    text = ""
    for name, value in document.items():
        for each in value if isinstance(value, list) else [value]:
            inner = _xml(each) if isinstance(each, dict) else escape(str(each))
            text += f"<{name}>{inner}</{name}>"
    return text
