import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import peer  # noqa: E402
from celery import Celery  # noqa: E402
from celery.signals import worker_ready  # noqa: E402

BATCH = 100
PROCESSES = 2

told = peer.settings()
app = Celery("jobs", broker=told["redis"])
app.conf.update(
    task_ignore_result=True,
    worker_redirect_stdouts=False,
    # As its guide says for short jobs.
    worker_prefetch_multiplier=50,
    broker_connection_retry_on_startup=True,
)
recorder = None


@app.task(name="job")
def job(number, key):
    global recorder
    # Once in each process.
    recorder = recorder or peer.Recorder(told)
    recorder.run(number)


@worker_ready.connect
def ready(**_):
    peer.say_ready("celery")


def one(number):
    job.delay(number, told.key(number))


def fill(numbers):
    for number in numbers:
        one(number)


if peer.role() == "work":
    options = ["--pool=prefork", f"--concurrency={PROCESSES}", "--loglevel=ERROR"]
    app.worker_main(["worker", "--without-gossip", "--without-mingle", "--without-heartbeat", *options])
else:
    # The first job of a process makes its connection.
    with app.connection_for_write() as connection:
        connection.ensure_connection()
    peer.say_ready("celery")
    peer.obey(one, fill, BATCH)
