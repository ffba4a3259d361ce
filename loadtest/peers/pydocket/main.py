import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import peer  # noqa: E402
import asyncio  # noqa: E402
from datetime import timedelta  # noqa: E402
from typing import Annotated  # noqa: E402

from docket import ConcurrencyLimit, Docket, Worker  # noqa: E402

BATCH = 1000
LOOK = timedelta(milliseconds=5)

told = peer.settings()
recorder = peer.Recorder(told) if peer.role() == "work" else None


async def job(number: int, key: int) -> None:
    await recorder.run_async(number)


async def keyed_job(number: int, key: Annotated[int, ConcurrencyLimit(told["keyLimit"] or 1)]) -> None:
    await recorder.run_async(number)


chosen = keyed_job if told.keyed else job


async def produce(docket):
    def one(number):
        return docket.add(chosen)(number, told.key(number))

    def fill(numbers):
        return docket.add_many([docket.call(chosen)(number, told.key(number)) for number in numbers])

    peer.say_ready("pydocket")
    await peer.obey_async(one, fill, BATCH)


async def work(docket):
    how = {"concurrency": told["concurrency"], "minimum_check_interval": LOOK, "scheduling_resolution": LOOK}
    async with Worker(docket, **how) as worker:
        peer.say_ready("pydocket")
        await worker.run_forever()


async def main():
    async with Docket(name="jobs", url=told["redis"], execution_ttl=timedelta(0)) as docket:
        docket.register(chosen)
        await (work(docket) if peer.role() == "work" else produce(docket))


asyncio.run(main())
