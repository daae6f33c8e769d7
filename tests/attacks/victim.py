"""Sends one query over a connection of its own, again and again, and prints how long each response took.

    python -m tests.attacks.victim http://127.0.0.1:8000 [--credential good] [--query '{ __typename }']

It ends when its standard input is closed, and then prints one line of JSON: `seconds` of each response, the last one
perhaps unfinished, and `failures`. It is a process of its own, so that an attacker's work does not slow it down.
"""

import argparse
import http.client
import json
import sys
import threading
import time
from urllib.parse import urlsplit

PAUSE_SECONDS = 0.005
TIMEOUT_SECONDS = 60.0


class Victim:
    """A client with one connection, which it opens again after a failure."""

    def __init__(self, url: str, credential: str, query: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
        self._headers = {"Authorization": f"Bearer {credential}", "Content-Type": "application/json"}
        self._body = json.dumps({"query": query})
        self._started: float | None = None
        self.seconds: list[float] = []
        self.failures: list[str] = []

    def run(self) -> None:
        while True:
            self._started = time.perf_counter()
            try:
                self._connection.request("POST", "/graphql", self._body, self._headers)
                response = self._connection.getresponse()
                answer = response.read()
                if response.status != 200 or b'"errors"' in answer:
                    self.failures.append(answer.decode()[:200])
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                self._connection.close()
            self.seconds.append(time.perf_counter() - self._started)
            self._started = None
            time.sleep(PAUSE_SECONDS)

    def report(self) -> dict[str, object]:
        unfinished = [] if (started := self._started) is None else [time.perf_counter() - started]
        return {"seconds": [*self.seconds, *unfinished], "failures": self.failures}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--credential", default="victim")
    parser.add_argument("--query", default="{ __typename }")
    arguments = parser.parse_args()
    victim = Victim(arguments.url, arguments.credential, arguments.query)
    threading.Thread(target=victim.run, daemon=True).start()
    sys.stdin.read()
    sys.stdout.write(json.dumps(victim.report()) + "\n")


if __name__ == "__main__":
    main()
