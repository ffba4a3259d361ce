import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import peer  # noqa: E402
told = peer.settings()
told.keep()
import time  # noqa: E402
from multiprocessing import get_context  # noqa: E402

import redis  # noqa: E402
from rq import Queue, Worker  # noqa: E402
from task import job  # noqa: E402

BATCH = 500
PROCESSES = 2
NAME = "jobs"


def connect():
    return redis.Redis.from_url(told["redis"])


def work():
    connection = connect()
    Worker([Queue(NAME, connection=connection)], connection=connection).work(logging_level="ERROR")


def until_all_are_registered():
    connection, end = connect(), time.monotonic() + 30
    while Worker.count(connection=connection) < PROCESSES:
        if time.monotonic() > end:
            sys.exit("the workers did not register")
        time.sleep(0.01)


if peer.role() == "work":
    workers = [get_context("fork").Process(target=work) for _ in range(PROCESSES)]
    for worker in workers:
        worker.start()
    until_all_are_registered()
    peer.say_ready("rq")
    for worker in workers:
        worker.join()
else:
    queue = Queue(NAME, connection=connect())

    def prepared(number):
        return Queue.prepare_data(job, (number, told.key(number)), result_ttl=0)

    peer.say_ready("rq")
    peer.obey(
        lambda number: queue.enqueue(job, number, told.key(number), result_ttl=0),
        lambda numbers: queue.enqueue_many([prepared(number) for number in numbers]),
        BATCH,
    )
