"""A server that answers GetProducts as the Price List API does, from products of a test."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def product(
    usagetype: str, unit: str, usd: float, *, spelling: str = "beginRange", **more: Any
) -> dict[str, Any]:
    """One product as the documentation shows it; `more` adds attributes, or `terms` whole."""
    terms = more.pop("terms", {"OnDemand": {"SKU.JRTCKXETXF": offer(unit, usd, spelling)}})
    attributes = {"usagetype": usagetype, "regionCode": "us-east-1", **more}
    return {
        "product": {"sku": "SKU", "productFamily": "Compute Instance", "attributes": attributes},
        "serviceCode": "AmazonRedshift",
        "terms": terms,
        "version": "20261001000000",
        "publicationDate": "2026-10-01T00:00:00Z",
    }


def offer(unit: str, usd: float, spelling: str = "beginRange", **attributes: str) -> dict[str, Any]:
    """One offer with one rate."""
    rate = {"unit": unit, spelling: "0", "endRange": "Inf", "pricePerUnit": {"USD": f"{usd:.10f}"}}
    return {
        "effectiveDate": "2026-09-01T00:00:00Z",
        "priceDimensions": {"SKU.JRTCKXETXF.6YS6EN2CT7": rate},
        "termAttributes": attributes,
    }


@contextmanager
def price_list(products: list[dict[str, Any]], *, page: int = 2) -> Iterator[tuple[str, list[Any]]]:
    """The server's URL, and the requests it got; filters on attributes, in pages."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body)
            wanted = {each["Field"]: each["Value"] for each in body["Filters"]}
            found = [
                each for each in products if wanted.items() <= each["product"]["attributes"].items()
            ]
            at = int(body.get("NextToken", 0))
            answer = {
                "FormatVersion": "aws_v1",
                "PriceList": list(map(json.dumps, found[at : at + page])),
            }
            if at + page < len(found):
                answer["NextToken"] = str(at + page)
            text = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
