"""Users of the shop in `shop.py`: `locust -f bench/locustfile.py --host http://127.0.0.1:8000`.

They check every answer: a wrong one counts as a failure.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from typing import Any

from locust import FastHttpUser, User, events, task
from websocket import create_connection

PAGES, PRODUCTS = 50, 1000
WORDS = ("bench", "bicycle", "chair", "clock", "kettle", "lamp", "ladder", "mirror", "radio", "table")
PICTURE = random.Random(1).randbytes(128 * 1024)
DIGEST = hashlib.sha256(PICTURE).hexdigest()
ROOMS, REMARKS = 20, 8
TIMEOUT = 10.0
HEADERS = {
    "accept": "application/json",
    "accept-language": "en-GB,en;q=0.7,de;q=0.3",
    "cookie": "session=4f2d1c0b9a8e7d6c5b4a3f2e1d0c9b8a; theme=dark",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
}


@events.init_command_line_parser.add_listener
def add_think(parser: Any) -> None:
    """Let the command line say how long users think."""
    parser.add_argument("--think", type=float, default=1.0, help="seconds that a user thinks, on average")


class Thinking(User):
    """Thinks between half and one and a half times as long as the command line says."""

    abstract = True

    def wait_time(self) -> float:
        """Seconds until the next task."""
        think: float = self.environment.parsed_options.think
        return think * random.uniform(0.5, 1.5)


class Visitor(FastHttpUser, Thinking):
    """Speaks HTTP, with the headers of a browser, on one connection that is kept."""

    abstract = True
    default_headers = HEADERS
    connection_timeout = network_timeout = TIMEOUT

    def ask(self, method: str, path: str, name: str, right: Callable[[Any], bool], **sent: Any) -> Any:
        """The answer, if it is a success and `right`; otherwise None, and a failure."""
        with self.client.request(method, path, name=name, catch_response=True, **sent) as answer:
            if not 200 <= answer.status_code < 300:
                return None
            try:
                if right(answer):
                    return answer
            except (KeyError, TypeError, ValueError):
                pass
            answer.failure("the answer is wrong")
        return None


class Shopper(Visitor):
    """Looks around, searches, and sometimes orders."""

    weight = 16

    @task(6)
    def browse(self) -> None:
        """Look at a page of the catalog, then at a product on it."""
        number = random.randint(1, PAGES)
        page = self.ask("GET", f"/products?page={number}", "/products", lambda answer: answer.json()["page"] == number)
        if page is not None:
            self.wait()
            self.look(random.choice(page.json()["products"])["id"])

    @task(4)
    def search(self) -> None:
        """Search for a thing, look at the first that is found."""
        word = random.choice(WORDS)
        found = self.ask(
            "GET",
            f"/search?q={word}",
            "/search",
            lambda answer: all(word in each["name"].lower() for each in answer.json()),
        )
        if found is not None:
            self.wait()
            self.look(found.json()[0]["id"])

    @task(3)
    def order(self) -> None:
        """Order a few things, then look at the order."""
        cart = {
            "customer": "Ada",
            "lines": [{"product": random.randint(1, PRODUCTS), "quantity": random.randint(1, 5)} for _ in range(3)],
        }
        placed = self.ask(
            "POST", "/orders", "/orders", lambda answer: answer.json()["lines"] == cart["lines"], json=cart
        )
        if placed is not None:
            self.wait()
            order = placed.json()
            self.ask("GET", f"/orders/{order['id']}", "/orders/[id]", lambda answer: answer.json() == order)

    def look(self, number: int) -> None:
        """Look at a product."""
        self.ask("GET", f"/products/{number}", "/products/[id]", lambda answer: answer.json()["id"] == number)


class Supplier(Visitor):
    """Uploads pictures of 128 KiB."""

    weight = 1

    @task
    def upload(self) -> None:
        """Put a picture, compare the digest."""
        self.ask(
            "PUT",
            f"/products/{random.randint(1, PRODUCTS)}/picture",
            "/products/[id]/picture",
            lambda answer: answer.json()["sha256"] == DIGEST,
            data=PICTURE,
            headers={"content-type": "image/jpeg"},
        )


class Bookkeeper(Visitor):
    """Downloads the catalog, which comes in chunks."""

    weight = 1

    @task
    def export(self) -> None:
        """Get the export, count its lines."""
        self.ask("GET", "/export.csv", "/export.csv", lambda answer: answer.content.count(b"\n") == 1 + PRODUCTS)


class Chatter(Thinking):
    """Comes into a room by WebSocket, says something now and then, and leaves.

    A remark took as long as it needed to come back, after what others had said before it.
    """

    weight = 4

    @task
    def chat(self) -> None:
        """Make some remarks in one room."""
        room, name = f"/chat/{random.randrange(ROOMS)}", "/chat/[room]"
        url = "ws" + self.host.removeprefix("http") + room
        measure = self.environment.events.request.measure
        with measure("WS", f"{name} open") as opening:
            socket = create_connection(url, timeout=TIMEOUT)
        if opening["exception"] is not None:
            return
        try:
            for number in range(REMARKS):
                self.wait()
                said = {"sender": f"{id(self):x}", "text": f"{number}: how much is the kettle?"}
                with measure("WS", f"{name} message") as remark:
                    socket.send(json.dumps(said))
                    while json.loads(heard := socket.recv()) != said:
                        pass
                    remark["response_length"] = len(heard)
                if remark["exception"] is not None:
                    return
        finally:
            # To wait for the server's answer would make a user that locust ends here live on: the library catches all.
            socket.close(timeout=0)
