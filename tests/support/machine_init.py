"""The first process of a test's machine (see machines.py): mounts what is its own, reaps, waits.

Run by path, without site packages: `python -SE machine_init.py NAME DISK MEGABYTES HOSTS`.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

name, disk, megabytes, hosts = sys.argv[1:]
socket.sethostname(name)
Path("/tmp/ray").mkdir(exist_ok=True)
for place, size in (("/dev/shm", "50%"), ("/tmp/ray", "50%"), (disk, f"{megabytes}m")):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
# Names are in one file; no name server is reached from here, and to wait for one would take minutes.
subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
subprocess.run(["mount", "--bind", "/dev/null", "/etc/resolv.conf"], check=True)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.stdout.write("ready\n")
sys.stdout.flush()
while True:
    try:
        os.wait()
    except ChildProcessError:
        time.sleep(0.1)
