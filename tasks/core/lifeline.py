"""A child process that ends with its parent, however the parent ends. Linux only; elsewhere it does nothing."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the one that started it ends; at once, if that has ended already.

    Args:
        parent: process id of the one that started this one. It must have done so from its main thread: the kernel
            goes by the thread.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the line above
        os.kill(os.getpid(), signal.SIGKILL)
