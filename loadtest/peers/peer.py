"""What the programs of the Python contestants share: they speak with the runner as bench/src/peers/protocol.rs says."""

import asyncio
import importlib.metadata
import json
import os
import struct
import sys
import time

# Tells the processes that a library starts for its workers what this one was told.
ENVIRONMENT = "PEER_SETTINGS"


class Settings(dict):
    """What the runner says at the start."""

    def keep(self):
        os.environ[ENVIRONMENT] = json.dumps(self)

    @property
    def keyed(self):
        return bool(self["keys"])

    def key(self, number):
        return self["keys"][number] if self.keyed else number % 100


def settings():
    """Those of the first line of input, or those that the process before this one has kept."""
    kept = os.environ.get(ENVIRONMENT)
    return Settings(json.loads(kept or sys.stdin.readline()))


def role():
    return sys.argv[1]


def say(**answer):
    # One write: several processes may share the output.
    os.write(1, (json.dumps(answer) + "\n").encode())


def say_ready(library):
    say(ready=True, version=importlib.metadata.version(library))


class Recorder:
    """Records the jobs that have run."""

    def __init__(self, told):
        self.pipe = os.open(told["records"], os.O_WRONLY)
        self.sleep = told["sleepMs"] / 1000

    def run(self, number):
        start = time.monotonic_ns()
        if self.sleep:
            time.sleep(self.sleep)
        self.write(number, start)

    async def run_async(self, number):
        start = time.monotonic_ns()
        if self.sleep:
            await asyncio.sleep(self.sleep)
        self.write(number, start)

    def write(self, number, start):
        end = time.monotonic_ns() if self.sleep else start
        os.write(self.pipe, struct.pack("<QQQ", number, start, end))


def batches(first, count, secs, size):
    """Lists of at most `size` numbers, until all were given or the time is over."""
    end = time.monotonic() + secs
    last = first + count
    while first < last and time.monotonic() < end:
        batch = range(first, min(first + size, last))
        yield batch
        first = batch.stop


def obey(one, fill, size):
    """Obeys the orders, each after the one before. `fill` takes a list of at most `size` numbers."""
    for line in sys.stdin:
        order, *numbers = line.split()
        numbers = [int(number) for number in numbers]
        if order == "one":
            one(numbers[0])
        elif order == "fill":
            filled = 0
            for batch in batches(*numbers, size):
                fill(batch)
                filled += len(batch)
            say(filled=filled)
        else:
            raise ValueError(f"not an order: {line}")


async def obey_async(one, fill, size):
    """The same, but single jobs do not wait for each other."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    under_way = set()
    while line := await reader.readline():
        order, *numbers = line.decode().split()
        numbers = [int(number) for number in numbers]
        if order == "one":
            task = asyncio.ensure_future(one(numbers[0]))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        elif order == "fill":
            filled = 0
            for batch in batches(*numbers, size):
                await fill(batch)
                filled += len(batch)
            say(filled=filled)
        else:
            raise ValueError(f"not an order: {line}")
    await asyncio.gather(*under_way)
