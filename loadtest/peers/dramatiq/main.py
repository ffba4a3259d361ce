import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import peer  # noqa: E402
told = peer.settings()
told.keep()
import dramatiq  # noqa: E402
from dramatiq.brokers.redis import RedisBroker  # noqa: E402

BATCH = 100
PROCESSES = 2
THREADS = 25
# Set in the processes that run jobs.
WORKER = "PEER_WORKER"

broker = RedisBroker(url=told["redis"])


class Ready(dramatiq.Middleware):
    def after_worker_boot(self, broker, worker):
        peer.say_ready("dramatiq")


broker.add_middleware(Ready())
dramatiq.set_broker(broker)
recorder = peer.Recorder(told) if WORKER in os.environ else None


@dramatiq.actor(max_retries=0)
def job(number, key):
    recorder.run(number)


def one(number):
    job.send(number, told.key(number))


def fill(numbers):
    for number in numbers:
        one(number)


if __name__ == "__main__" and peer.role() == "work":
    os.environ[WORKER] = "1"
    here = os.path.dirname(os.path.abspath(__file__))
    size = ["--processes", str(PROCESSES), "--threads", str(THREADS)]
    os.execv(sys.executable, [sys.executable, "-m", "dramatiq", "main", "--path", here, "--skip-logging", *size])
elif __name__ == "__main__":
    peer.say_ready("dramatiq")
    peer.obey(one, fill, BATCH)
