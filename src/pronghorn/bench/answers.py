"""Compare the responses of the servers before they are measured."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from pronghorn.bench.process import Process
from pronghorn.bench.request import Request


@dataclass(frozen=True)
class Answer:
    """The parts of a response that the application decides."""

    status: int
    media_type: str
    body: bytes

    def __str__(self) -> str:
        kind = f" of {self.media_type}" if self.media_type else ""
        return f"{self.status} with {len(self.body):,} bytes{kind}"


class Questions:
    """The exchange of a scenario: each target is requested twice. `answers` has the first, by server and target."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.answers: dict[str, dict[str, Answer]] = {}
        self.changing: set[str] = set()

    @property
    def target(self) -> str:
        """The first target."""
        return self._request.targets[0]

    def check(self, process: Process) -> None:
        """Wait for the server and send the requests. Raises ServerFailed after no response or an error response."""
        answers = {}
        for target, message in self._request.messages().items():
            first = ask(process, target, message)
            if first.status >= HTTPStatus.BAD_REQUEST:
                said = first.body[:200].decode(errors="replace")
                hint = "--path, --method, --header and --body say what to ask for"
                raise process.failure(f"answered {target} with {first.status}: {said}; {hint}")
            if ask(process, target, message).body != first.body:
                self.changing.add(target)
            answers[target] = first
        self.answers[process.server.name] = answers

    def differences(self, subject: str) -> list[str]:
        """A sentence on each response that differs from the `subject`'s or, without it, from the first server's."""
        if not self.answers:
            return []
        subject = subject if subject in self.answers else next(iter(self.answers))
        expected = self.answers[subject]
        changing = sorted(self.changing)
        found = [f"The body of {target} is another one each time, so bodies were not compared." for target in changing]
        for name, answers in self.answers.items():
            for target, answer in answers.items():
                if difference := self._difference(target, answer, expected[target]):
                    found.append(f"{name} and {subject} do not answer {target} alike: {difference}.")
        return found

    def _difference(self, target: str, answer: Answer, expected: Answer) -> str:
        if (answer.status, answer.media_type) != (expected.status, expected.media_type):
            return f"{answer}, and {expected}"
        if answer.body == expected.body or target in self.changing:
            return ""
        pairs = zip(answer.body, expected.body, strict=False)
        same = next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(answer.body), len(expected.body)))
        return f"bodies of {len(answer.body):,} and {len(expected.body):,} bytes differ after {same:,}"


def ask(process: Process, target: str, message: bytes) -> Answer:
    """Send `message` on a new connection. Raises ServerFailed."""
    try:
        with process.connect() as connection, http.client.HTTPResponse(connection) as response:
            connection.sendall(message)
            response.begin()
            return Answer(response.status, response.getheader("Content-Type", ""), response.read())
    except (OSError, http.client.HTTPException) as error:
        raise process.failure(f"did not answer {target}: {error!r}") from error


def described(answers: Mapping[str, Answer]) -> str:
    """The responses of one server in a line."""
    return "; ".join(f"{target}: {answer}" if len(answers) > 1 else str(answer) for target, answer in answers.items())
