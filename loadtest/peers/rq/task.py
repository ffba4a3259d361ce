import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import peer  # noqa: E402

recorder = peer.Recorder(peer.settings()) if peer.role() == "work" else None


def job(number, key):
    recorder.run(number)
