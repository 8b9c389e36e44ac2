"""Types a command into an interactive bash on a terminal of its own, presses Ctrl-C or closes the terminal, and tells what happened.

Run by terminal.ts: one JSON object of settings as the only argument, one JSON object on standard output.
"""
import json
import os
import pty
import select
import signal
import sys
import time

settings = json.loads(sys.argv[1])
PROMPT = b"\nREADY:"

shell, terminal = pty.fork()
if shell == 0:
    # A prompt that tells the last status. The shell marks what it prints, so that the typed line is not taken for it.
    os.environ["PS1"] = "\nREADY:$?:"
    os.environ["TERM"] = "xterm"
    os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])

output = b""


def pump(seconds, until=lambda: False):
    """Reads what the terminal shows, for a time or until something is seen; False where the time ran out."""
    global output
    end = time.monotonic() + seconds
    while not until():
        left = end - time.monotonic()
        if left <= 0:
            return False
        if select.select([terminal], [], [], min(left, 0.02))[0]:
            try:
                output += os.read(terminal, 65536).replace(b"\r\n", b"\n")
            except OSError:
                return until()
    return True


def content(path):
    try:
        with open(path, encoding="utf8") as file:
            return file.read()
    except OSError:
        return ""


limit = settings["limitSeconds"]
pump(10, lambda: PROMPT in output)
os.write(terminal, settings["command"].encode() + b"\n")
pump(2, lambda: settings["command"][-10:].encode() in output)
begun = len(output)
result = {"ready": pump(limit, lambda: settings["ready"].encode() in output[begun:] or PROMPT in output[begun:])}
pump(settings["delaySeconds"])
pressed = len(output)
if settings["hangUp"]:
    os.close(terminal)
else:
    back = lambda: PROMPT in output[pressed:]
    at = time.monotonic()
    for index, gap in enumerate(settings["presses"]):
        if pump(gap, back):
            break
        os.write(terminal, b"\x03")
    result["promptBack"] = pump(limit, back)
    result["seconds"] = round(time.monotonic() - at, 2)
    # What the disk holds at the very moment the prompt is back.
    result["watched"] = content(settings["watch"])
    pump(0.2)
    os.close(terminal)
result["output"] = output[pressed:].decode("utf8", "replace")
result["cursorShown"] = output.rfind(b"\x1b[?25l") <= output.rfind(b"\x1b[?25h")
status = output[pressed:].rpartition(PROMPT)[2].partition(b":")[0]
result["status"] = int(status) if status.isdigit() else None
try:
    os.kill(shell, signal.SIGHUP)
    os.waitpid(shell, 0)
except OSError:
    pass
print(json.dumps(result))
