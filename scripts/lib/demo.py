#!/usr/bin/env python3
"""Shows provisiond at work: people are imported, provisioned into a real SCIM
server, changed, moved out of scope and deleted, and the SCIM server is asked
whether it followed. Called by scripts/demo, which builds what this needs.
"""

import argparse
import os
import secrets
import signal
import sys
import time
import unicodedata
from pathlib import Path

from clients import Provisiond, Scim
from people import FILTER, compare, is_in_scope
from processes import Failure, Process, end_leftover, free_port, run, take_lock

TOP = Path(__file__).resolve().parent.parent.parent
STORE, TARGET = "people", "scim"
PORT, SCIM_PORT = 8470, 8471
# The daemon drains for at most 30 s, then its database stops.
PATIENCE_AT_THE_END = 100
# Without any progress for so long the demo stops waiting and looks.
PATIENCE_WITHOUT_PROGRESS = 90


def say(text=""):
    print(text, flush=True)


def step(text):
    mark = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    say(f"{mark[0]}==> {text}{mark[1]}")


def visible(text):
    """Text of others: what a terminal would obey or nobody sees is written out."""
    return "".join(c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def pad(text, width):
    """Fills up to a width in columns; Han, Kana and Hangul take two, marks none."""
    marks = ("Mn", "Me", "Cf")
    columns = sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text if unicodedata.category(c) not in marks)
    return text + " " * (width - columns)


class Progress:
    """A bar on a terminal, a line now and then elsewhere."""

    def __init__(self, label):
        self.label, self.last = label, 0.0

    def show(self, done, total, rest):
        if sys.stdout.isatty():
            filled = 30 * done // max(total, 1)
            bar = "█" * filled + "·" * (30 - filled)
            print(f"\r    {self.label} {bar} {done}/{total} {rest}\033[K", end="", flush=True)
        elif time.monotonic() - self.last > 5 or done == total:
            self.last = time.monotonic()
            say(f"    {self.label}: {done}/{total} {rest}")

    def end(self):
        if sys.stdout.isatty():
            say()


class Demo:
    """The story, a method per chapter."""

    def __init__(self, options):
        self.options = options
        self.place = Path(os.path.realpath(options.place))
        self.data_dir, self.logs = self.place / "data", self.place / "logs"
        self.token_file = self.place / "owner-token"
        self.processes = []
        # The people who leave in this demo, with the ids of their users.
        self.leavers = {}

    def prepare(self):
        """The place may be passed through, to the database; logs and token are
        for us alone."""
        self.place.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.logs.mkdir(mode=0o700, exist_ok=True)
        self.lock = take_lock(self.place / "lock")
        end_leftover(str(self.data_dir))

    def start_scim_server(self):
        """A server with an empty memory and a token of its own."""
        port, token = free_port(SCIM_PORT), secrets.token_urlsafe(24)
        self.scim = Scim(f"http://127.0.0.1:{port}", token)
        self.egress = f"127.0.0.1:{port}"
        step(f"starting a SCIM server on {self.scim.base}")
        # In one piece: a token may begin with a dash, and would be taken for an option.
        command = [self.options.scim_server, "--hostname=127.0.0.1", f"--port={port}", f"--bearer-token={token}"]
        server = Process("the SCIM server", command, self.logs / "scim-server.log")
        self.processes.append(server)
        server.wait_until(lambda: self.scim.answers("/ServiceProviderConfig"), 60)

    def start_provisiond(self):
        """The daemon on its embedded PostgreSQL."""
        base = f"http://127.0.0.1:{free_port(PORT)}"
        step(f"starting provisiond on {base}, with a PostgreSQL of its own in {self.data_dir}")
        command = [self.options.provisiond, "serve", "--data-dir", str(self.data_dir), "--listen", base[7:]]
        self.daemon = Process("provisiond", command, self.logs / "provisiond.log")
        # First to be stopped: it needs the others until then.
        self.processes.insert(0, self.daemon)
        self.api = Provisiond(base)
        self.daemon.wait_until(lambda: self.api.answers("/readyz"), 180)
        self.api.token = self.owner_token()

    def owner_token(self):
        """The one in the file, or a new one that is put there."""
        if self.token_file.exists():
            self.api.token = self.token_file.read_text(encoding="ascii").strip()
            if self.api.answers("/api/v1/stores"):
                return self.api.token
        token = run([self.options.provisiond, "token", "create", "--role", "owner",
                     "--data-dir", str(self.data_dir)]).strip()
        self.token_file.unlink(missing_ok=True)
        with open(os.open(self.token_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(token + "\n")
        return token

    def find_target(self):
        """The target of an earlier demo, which is told of the new SCIM server
        before anything else makes it work."""
        self.target = None
        if self.api.named("/stores", STORE):
            self.target = self.api.named(f"/stores/{STORE}/targets", TARGET)
        self.is_new = self.target is None
        if not self.is_new:
            step("found the store and the target of an earlier demo")
            self.api.patch(self.path(), self.settings())
            for lot in self.api.all(self.path("/held")):
                self.api.post(f"/held/{lot['id']}/approve", {})

    def settings(self):
        """Where the target may connect to, with what, and for whom."""
        return {
            "description": "The SCIM server of the demo",
            "filter": FILTER,
            "maxParallelJobs": 10,
            # Demos within an hour remove more together than passes unasked.
            "guard": {"percent": 100},
            "egressAllow": [self.egress],
            "connection": {
                "properties": {"baseUrl": self.scim.base},
                "secrets": {"token": self.scim.token},
                "secretHosts": {"token": [self.scim.base]},
            },
        }

    def import_people(self):
        """Twice the same import changes nothing, so a second demo begins alike."""
        step(f"importing {self.options.accounts} into the store `{STORE}`")
        if not self.api.named("/stores", STORE):
            self.api.post("/stores", {"name": STORE})
        environment = {"PROVISIOND_URL": self.api.base, "PROVISIOND_TOKEN": self.api.token}
        command = [self.options.provisiond, "import", f"--store={STORE}", "--", str(self.options.accounts)]
        for line in run(command, environment).splitlines():
            say(f"    {line}")

    def make_target(self):
        """A target with its filter, its connection and published logic."""
        step(f"the target `{TARGET}`: where to, who, and how")
        if self.is_new:
            self.target = self.api.post(f"/stores/{STORE}/targets", {"name": TARGET, **self.settings()})
        code = (TOP / "samples/scim-logic.js").read_text(encoding="utf-8")
        self.api.put(self.path("/logic"), {"code": code, "packageDependencies": {}})
        version = self.api.post(self.path("/logic/publish"), {})["version"]
        say(f"    logic: samples/scim-logic.js, published as version {version}")

    def path(self, rest=""):
        return f"/targets/{self.target['id']}{rest}"

    def preview(self):
        """Who would come in, before anything happens."""
        say(f"    filter: {FILTER}")
        preview = self.api.post(self.path("/filter/preview"), {"filter": FILTER})
        self.in_scope = preview["total"]
        say(f"    preview: {preview['total']} in scope, {preview['entering']} entering, {preview['leaving']} leaving; such as")
        for account in preview["sample"][:6]:
            name = visible(account.get("displayName") or account["userName"])
            say(f"        {pad(name, 28)} {visible(account['userName'])}")

    def provision_all(self):
        """Enables the target. A SCIM server that was restarted has forgotten
        everybody, so a target of an earlier demo is forced."""
        step("enabling the target; everybody in scope is provisioned")
        self.api.patch(self.path(), {"enabled": True})
        if not self.is_new:
            say("    the SCIM server starts empty, so every account is forced")
            self.api.post(self.path("/force"), {})
        self.wait("provisioned", self.in_scope)

    def wait(self, label, most):
        """Until nothing is due and nothing is to be tried again, or nothing moves.
        At least `most` runs were to be done, some of which have ended already."""
        progress, begin = Progress(label), time.monotonic()
        moved, before = begin, None
        while True:
            left, status = self.left_to_do()
            most = max(most, left)
            progress.show(most - left, most, f"in {time.monotonic() - begin:.0f} s")
            if left == 0:
                break
            if status != before:
                before, moved = status, time.monotonic()
            if time.monotonic() - moved > PATIENCE_WITHOUT_PROGRESS:
                say(f"\n    nothing moves any more; {left} are left")
                break
            self.check_processes()
            time.sleep(0.2)
        progress.end()

    def left_to_do(self):
        """How many runs are due, to be tried again or still to be scheduled by a
        sweep, and what changes when one ends."""
        status = self.api.get(self.path("/status"))
        left = status["backlog"] + status.get("scheduled", 0)
        sweep = status.get("sweep")
        if sweep and not sweep["finishedAt"]:
            left += max(1, sweep["total"] - sweep["enqueued"])
        return left, (left, status.get("counts"))

    def check_processes(self):
        for process in self.processes:
            if not process.is_running():
                raise Failure(f"{process.name} has ended\n{process.last_lines()}")

    def accounts(self):
        return self.api.all(f"/stores/{STORE}/accounts")

    def change_people(self):
        """Some are changed, some move out of scope and in, some are deleted."""
        step("life goes on: people change, leave and come")
        accounts = sorted(self.accounts(), key=lambda account: account["userName"])
        inside = [account for account in accounts if is_in_scope(account)]
        outside = [account for account in accounts if account["status"] == "inactive"]
        count = max(1, min(15, len(inside) // 20))
        pick = iter(inside)
        take = lambda: [account for account, _ in zip(pick, range(count))]
        for account in take() + take():
            self.change(account, {"attributes": {"title": "Köchin · 料理長", "department": "Galley"}})
        say(f"    {2 * count} get a new title and department")
        married = take()
        for account in married:
            self.change(account, {"attributes": {"familyName": "Ångström-Þórsdóttir"}, "displayName": None})
        say(f"    {len(married)} get a new family name")
        self.move_out(take(), take(), count)
        for account in outside[:count]:
            self.change(account, {"status": "active", "groups": ["staff"]})
        say(f"    {len(outside[:count])} come back and are in scope again")
        self.wait("followed", 6 * count)

    def move_out(self, leaving, deleted, count):
        """Half of those that leave by their status, half by their groups."""
        for account in leaving + deleted:
            self.leavers[account["userName"]] = self.remote_id(account)
        for index, account in enumerate(leaving):
            self.change(account, {"groups": ["contractors"]} if index % 2 else {"status": "inactive"})
        say(f"    {len(leaving)} move out of scope")
        for account in deleted:
            self.api.delete(f"/accounts/{account['id']}")
        say(f"    {len(deleted)} are deleted")

    def change(self, account, patch):
        self.api.patch(f"/accounts/{account['id']}", patch)

    def remote_id(self, account):
        items = self.api.get(f"/accounts/{account['id']}/provisions")["items"]
        return next((item["remoteId"] for item in items if item["target"] == TARGET), None)

    def verify(self):
        """Asks the SCIM server, user by user. Returns the numbers of the last
        line and every difference."""
        step("asking the SCIM server")
        accounts, users = self.accounts(), self.scim.users()
        provisioned, differences = compare(accounts, users)
        gone = [name for name, remote in self.leavers.items() if remote and self.scim.is_gone(remote)]
        for name in self.leavers.keys() - set(gone) - {words.split(":")[0] for words in differences}:
            differences.append(f"{name}: its user should be gone")
        if self.scim.count() != len(users):
            differences.append(f"the server counts {self.scim.count()} users and lists {len(users)}")
        return len(accounts), provisioned, len(gone), differences

    def report(self, numbers):
        """What came of it, and where to look."""
        accounts, provisioned, deprovisioned, differences = numbers
        counts = self.api.get(self.path("/status")).get("counts", {})
        for words in differences[:20]:
            say(f"    {visible(words)}")
        say(f"    {'in the store':<44}{accounts:>6} accounts")
        say(f"    {'in scope and the same in the SCIM server':<44}{provisioned:>6}")
        say(f"    {'left in this demo and gone there':<44}{deprovisioned:>6}")
        say(f"    {'missing, different or left over there':<44}{len(differences):>6}")
        say(f"    {'the target says':<44}  {', '.join(f'{count} {status}' for status, count in sorted(counts.items()))}")
        say()
        for label, place in [
            ("API", f"{self.api.base}/api/v1"), ("SCIM server", f"{self.scim.base}/Users"),
            ("owner's token", self.token_file), ("logs", self.logs), ("data", self.data_dir),
        ]:
            say(f"    {label:<15} {place}")
        say(f"    try             curl -H \"Authorization: Bearer $(cat {self.token_file})\" {self.api.base}/api/v1{self.path('/status')}")

    def serve(self):
        """Until Ctrl-C."""
        say("\nserving until Ctrl-C")
        while True:
            self.check_processes()
            time.sleep(1)

    def stop(self):
        """Ends what was started; a second Ctrl-C does not hinder it."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for process in self.processes:
            process.stop(PATIENCE_AT_THE_END)

    def tell(self):
        """All chapters; returns the numbers."""
        self.prepare()
        self.start_scim_server()
        self.start_provisiond()
        self.find_target()
        self.import_people()
        self.make_target()
        self.preview()
        self.provision_all()
        self.change_people()
        numbers = self.verify()
        self.report(numbers)
        return numbers


def read_options():
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__.split("\n\n")[0])
    parser.add_argument("--once", action="store_true", help="stop at the end and say how it went")
    parser.add_argument("--accounts", type=Path, default=TOP / "samples/personnel.jsonl", metavar="FILE",
                        help="JSON lines to import (default: samples/personnel.jsonl)")
    parser.add_argument("--place", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--provisiond", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--scim-server", required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def interrupt(*_):
    raise KeyboardInterrupt


def main():
    options = read_options()
    # Also Ctrl-C: a shell lets what it starts in the background ignore it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    demo, numbers = Demo(options), None
    try:
        numbers = demo.tell()
        if not options.once:
            demo.serve()
    except KeyboardInterrupt:
        say("\nstopping" if numbers else "\ninterrupted; stopping")
    except Failure as failure:
        print(visible(f"error: {failure}"), file=sys.stderr, flush=True)
        numbers = None
    finally:
        demo.stop()
    if numbers is None:
        sys.exit(1)
    accounts, provisioned, deprovisioned, differences = numbers
    if options.once:
        say(f"demo: {accounts} accounts, {provisioned} provisioned, {deprovisioned} deprovisioned, {len(differences)} failed")
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
