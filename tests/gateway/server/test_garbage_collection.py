"""The collector is set for a server, in the process that serves alone."""

import gc
import subprocess
import sys

from gateway.server.garbage_collection import THRESHOLDS


def test_what_is_there_is_no_longer_looked_at_and_the_rest_less_often() -> None:
    before = gc.get_threshold()
    program = (
        "import gc; from gateway.server.garbage_collection import spare_what_stays; spare_what_stays(); "
        "print(gc.get_threshold(), gc.get_freeze_count() > 1000, gc.isenabled())"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.split("\n")[0] == f"{THRESHOLDS} True True"
    assert gc.get_threshold() == before
