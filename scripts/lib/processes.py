"""Processes of the demo: started apart from the terminal, never left behind."""

import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import time

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class Failure(Exception):
    """The demo cannot go on; the message says why, further lines what to do."""


def free_port(preferred):
    """The preferred port of the loopback, or another one if that is taken."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise Failure("no port of 127.0.0.1 is free")


def _environment(more):
    """Ours, without what would lead provisiond to another database or daemon."""
    others = ("DATABASE_URL", "PROVISIOND_CONFIG", "PROVISIOND_URL", "PROVISIOND_TOKEN")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return ours | (more or {})


def _apart():
    """In the child: away from Ctrl-C of the terminal, ended with its parent."""
    os.setsid()
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Process:
    """A program that runs beside the demo and logs into a file."""

    def __init__(self, name, command, log, environment=None):
        self.name, self.log = name, log
        with open(log, "ab") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=_environment(environment), preexec_fn=_apart)

    def wait_until(self, is_ready, seconds):
        """Waits until the program answers; fails with the end of its log."""
        deadline = time.monotonic() + seconds
        while not is_ready():
            if self.process.poll() is not None:
                raise Failure(f"{self.name} ended with code {self.process.returncode}\n{self.last_lines()}")
            if time.monotonic() > deadline:
                raise Failure(f"{self.name} is not ready after {seconds} s\n{self.last_lines()}")
            time.sleep(0.1)

    def last_lines(self):
        """The end of its log, and where the rest is."""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()[-15:]
        return "\n".join([*lines, f"(from {self.log})"])

    def is_running(self):
        return self.process.poll() is None

    def stop(self, seconds):
        """Asks it to end; kills it when it does not."""
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def run(command, environment=None):
    """Runs a command to its end and returns what it prints."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          encoding="utf-8", env=_environment(environment))
    if done.returncode != 0:
        raise Failure(f"`{' '.join(map(str, command[:3]))} …` failed:\n{done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def take_lock(path):
    """Makes sure that this is the only demo in its directory; holds until exit."""
    lock = open(path, "a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        pid = lock.read().strip()
        raise Failure(f"the demo is already running as process {pid}\nend it with: kill {pid}") from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def end_leftover(data_dir):
    """Ends a daemon of a demo that was killed; its lock file names it."""
    pid = _daemon_of(data_dir)
    if pid is None:
        return
    print(f"an earlier demo left the daemon {pid} running; ending it")
    os.kill(pid, signal.SIGTERM)
    for _ in range(450):
        if _daemon_of(data_dir) is None:
            return
        time.sleep(0.1)
    raise Failure(f"process {pid} does not end\nend it with: kill -9 {pid}")


def _daemon_of(data_dir):
    try:
        with open(os.path.join(data_dir, "lock"), encoding="ascii") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            arguments = file.read().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if b"serve" in arguments and os.fsencode(data_dir) in arguments else None
