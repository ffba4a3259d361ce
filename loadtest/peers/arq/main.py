import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import peer  # noqa: E402
import asyncio  # noqa: E402

from arq import Worker, create_pool, func  # noqa: E402
from arq.connections import RedisSettings  # noqa: E402

BATCH = 100
LOOK_SECS = 0.005

told = peer.settings()
server = RedisSettings.from_dsn(told["redis"])


async def produce():
    pool = await create_pool(server)

    def one(number):
        return pool.enqueue_job("job", number, told.key(number))

    async def fill(numbers):
        await asyncio.gather(*[one(number) for number in numbers])

    peer.say_ready("arq")
    await peer.obey_async(one, fill, BATCH)


async def work():
    recorder = peer.Recorder(told)

    async def job(_, number, key):
        await recorder.run_async(number)

    async def ready(_):
        peer.say_ready("arq")

    worker = Worker(
        functions=[func(job, name="job", keep_result=0, max_tries=1)],
        redis_settings=server,
        max_jobs=told["concurrency"],
        poll_delay=LOOK_SECS,
        on_startup=ready,
        log_results=False,
        handle_signals=False,
    )
    await worker.async_run()


asyncio.run(work() if peer.role() == "work" else produce())
