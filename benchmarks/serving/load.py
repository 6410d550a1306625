"""How fast `ufgraphfr serve` answers at a fixed rate, and whether its memory stays what it is.

    python benchmarks/serving/load.py RUN                       # 50 requests a second for 60 s
    python benchmarks/serving/load.py --shard SHARD             # the same of a node's `agent serve`
    python benchmarks/serving/load.py RUN --requests 20000      # one after the other; memory
    python benchmarks/serving/load.py --make RUN                # a run of MovieLens-1M's size

The service has one core, on which nothing else of this program runs. A request is late by what it
waits for a free connection, so its time is from when it was due.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from urllib.request import urlopen

import ufgraphfr

SIZE = {
    "data": {"kind": "synthetic", "users": 6040, "items": 3704, "interactions": 165},
    "text": {"kind": "hashing"},
    "algorithm": {"kind": "ufgraphformer"},
    "federation": {"rounds": 10},
    "evaluation": {"every": 10},
}
CORES = os.cpu_count() or 1
CONNECTIONS = 8
LONGEST = 50


class Service:
    """The command in a process of its own."""

    def __init__(self, words: list[str], port: int) -> None:
        command = [sys.executable, "-m", "ufgraphfr", *words, "--port", str(port)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        pin = ["taskset", "-c", str(CORES - 1)]
        self.process = subprocess.Popen(pin + command, env=environment, stdout=subprocess.PIPE)
        self.process.stdout.readline()
        self.port = port
        for _ in range(100):
            try:
                urlopen(f"http://127.0.0.1:{port}/health").read()
                return
            except OSError:
                time.sleep(0.1)

    @property
    def megabytes(self) -> float:
        """What it holds in memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    @property
    def seconds(self) -> float:
        """CPU seconds so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Asker:
    """Connections that stay open, one a thread, and what is asked on them."""

    def __init__(self, port: int, items: list[str]) -> None:
        self.port, self.items, self.own = port, items, threading.local()

    def ask(self, number: int) -> int:
        """One list for a history of up to LONGEST items; the status."""
        drawn = random.Random(number)
        history = drawn.sample(self.items, drawn.randint(0, LONGEST))
        body = json.dumps({"history": history, "why": False})
        if not hasattr(self.own, "connection"):
            self.own.connection = HTTPConnection("127.0.0.1", self.port)
        connection = self.own.connection
        connection.request("POST", "/recommend", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status


def at_rate(asker: Asker, rate: float, seconds: float) -> None:
    begin = time.perf_counter()

    def due(number: int) -> tuple[float, int]:
        when = begin + number / rate
        time.sleep(max(0.0, when - time.perf_counter()))
        status = asker.ask(number)
        return time.perf_counter() - when, status

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        found = list(pool.map(due, range(int(rate * seconds))))
    times = sorted(1000 * each for each, _ in found)
    p = statistics.quantiles(times, n=100)
    print(f"{len(times)} requests at {rate:g}/s, statuses {sorted({s for _, s in found})}")
    print(f"ms: median {p[49]:.1f}, p95 {p[94]:.1f}, p99 {p[98]:.1f}, longest {times[-1]:.1f}")


def one_by_one(asker: Asker, service: Service, requests: int) -> None:
    for number in range(requests + 1):
        if number % max(1, requests // 10) == 0:
            print(f"{number} requests: {service.megabytes:.1f} MB", flush=True)
        asker.ask(number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--shard", action="store_true")
    parser.add_argument("--make", action="store_true")
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--requests", type=int)
    parser.add_argument("--port", type=int, default=8765)
    asked = parser.parse_args()
    if asked.make:
        print(ufgraphfr.run(SIZE, asked.folder))
        return
    os.sched_setaffinity(0, range(max(1, CORES - 1)))
    of_node = ["agent", "--shard", asked.folder, "serve"]
    service = Service(of_node if asked.shard else ["serve", asked.folder], asked.port)
    try:
        found = urlopen(f"http://127.0.0.1:{asked.port}/items?query=e&n=500").read()
        asker = Asker(asked.port, [each["item"] for each in json.loads(found)["items"]])
        before = service.seconds
        if asked.requests:
            one_by_one(asker, service, asked.requests)
        else:
            at_rate(asker, asked.rate, asked.seconds)
        print(f"CPU seconds of the service: {service.seconds - before:.1f}")
    finally:
        service.process.terminate()
        service.process.wait()


if __name__ == "__main__":
    main()
