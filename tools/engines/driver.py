"""What the drivers of other engines share: the line protocol with the judge, the agent's memory, and the clock.

The protocol is `src/judge/driver/protocol.ts`: one JSON line for a question on standard input, one for its answer on
standard output. A driver is one process with one agent of one engine. It makes the agent's memory (one memory file for
each layer), which the judge maps, fills and checks; with the option `memory`, files that are named by their paths, with
commas between them, are mapped in its place. No driver looks at the bytes.

An engine is a class with the methods of `Engine`. What an engine raises while it is asked something is the answer's
error; what it raises while a transfer is posted or looked at is that transfer's end, which `wait` tells.

Standard output carries answers only. What an engine prints goes to standard error, from its first library on.
"""
import os

# Before anything else is loaded: libraries of an engine print as soon as they are there.
ANSWERS = os.dup(1)
os.dup2(2, 1)

import base64
import ctypes
import importlib.metadata
import inspect
import json
import mmap
import resource
import select
import sys
import threading
import time
import traceback

try:
    import numpy as np
except ImportError:
    # Whoever is asked only whether the engine loads says so itself.
    np = None

now = time.perf_counter

PR_SET_PDEATHSIG = 1
SIGKILL = 9
READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE
MAP_FIXED = 0x10
MAP_NORESERVE = 0x4000
MAP_OF_NOBODY = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
MAP_OF_A_REGION = mmap.MAP_SHARED | mmap.MAP_POPULATE | MAP_FIXED
GUARD_BYTES = 1 << 20
# An engine is looked at without a pause for so long; then the other side may need the processor more.
EAGER_SECONDS = 0.002
PAUSE_SECONDS = 0.0001
# While nothing is asked: of an engine that has to be polled, and of one with transfers under way.
POLL_PAUSE_SECONDS = 0.00005
LOOK_PAUSE_SECONDS = 0.0005
TEXT_MAX = 2000


class EngineFailed(Exception):
    """An engine said no, in its own words."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def load_libraries(arguments):
    """Loads shared libraries before the engine asks for them by name. Takes these from the arguments:

    --load PATH        the library that the user has named
    --else NAME=PATH   the machine's own library of that name, or PATH where it has none

    The loader gives a library that is loaded to whoever asks for its name later. It gives its symbols to nobody else: an
    engine that has brought its own keeps that one.
    """
    rest = []
    words = iter(arguments)
    for word in words:
        if word == "--load":
            ctypes.CDLL(next(words))
        elif word == "--else":
            name, path = next(words).split("=", 1)
            try:
                ctypes.CDLL(name)
            except OSError:
                ctypes.CDLL(path)
        else:
            rest.append(word)
    return rest


def require_numpy():
    if np is None:
        raise EngineFailed("not-supported", "%s has no numpy: its driver needs it" % sys.executable)


def require(thing, name, members):
    """Releases differ. One that lacks what this driver calls is not judged by calls that it does not have.

    @raises EngineFailed naming what is missing.
    """
    missing = [member for member in members if not callable(getattr(thing, member, None))]
    if missing:
        raise EngineFailed("not-supported", "%s has no %s: this driver does not know this release" % (
            name, " and no ".join(missing)))


def takes(function, parameter):
    """Whether a function has a parameter of that name; False where nobody can tell."""
    try:
        return parameter in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def version_of(packages):
    """The version of the first of these packages that is installed."""
    for name in packages:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"


def packages_with(module):
    """Packages that have installed a module of that name, whatever their makers call them."""
    return importlib.metadata.packages_distributions().get(module, [])


def libraries_like(words):
    """Files that this process has loaded and whose names have one of `words` in them."""
    found = set()
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            parts = line.rstrip("\n").split(None, 5)
            if len(parts) == 6 and ".so" in parts[5] and any(word in os.path.basename(parts[5]) for word in words):
                found.add(parts[5])
    return sorted(found)


def code_of(problem):
    """The engine's own word for an error: `NIXL_ERR_NOT_FOUND` where the text is one, else the exception's name."""
    if isinstance(problem, EngineFailed):
        return problem.code
    text = words_of(problem)
    return text if text and len(text) < 60 and " " not in text else type(problem).__name__


def text_of(problem):
    text = words_of(problem)
    return (text if isinstance(problem, EngineFailed) else "%s: %s" % (type(problem).__name__, text))[:TEXT_MAX]


def words_of(problem):
    """What an exception says. One of an engine need not be able to."""
    try:
        return str(problem)
    except Exception:
        return "it does not say"


class Regions:
    """The agent's memory: a memory file for each layer, mapped here and populated.

    Around each lies memory that is mapped and not registered: what any allocation has beside it. A piece that leaves its
    region must be refused by the engine, then; no page fault does it in its place, and no other region takes it in.
    """

    def __init__(self, files, length):
        self.length = length
        self.files, self.addresses = files, []
        count = len(files)
        pages = -(-length // mmap.PAGESIZE) * mmap.PAGESIZE
        space = map_memory(None, count * (pages + GUARD_BYTES) + GUARD_BYTES, READ_WRITE, MAP_OF_NOBODY, -1)
        for number, fd in enumerate(files):
            address = space + GUARD_BYTES + number * (pages + GUARD_BYTES)
            self.addresses.append(map_memory(address, length, READ_WRITE, MAP_OF_A_REGION, fd))

    @classmethod
    def made(cls, count, length):
        """Memory files of its own."""
        files = []
        for number in range(count):
            files.append(os.memfd_create("kvferry-judge-%d" % number))
            os.ftruncate(files[-1], length)
        return cls(files, length)

    @classmethod
    def named(cls, paths):
        """Memory files of whoever asks, all of one length: the very pages that others move bytes between."""
        files = [os.open(path, os.O_RDWR) for path in paths]
        return cls(files, os.fstat(files[0]).st_size)

    def described(self):
        return [{"path": "/proc/self/fd/%d" % fd, "bytes": self.length} for fd in self.files]


def map_memory(address, length, protection, flags, fd):
    """mmap(2) at an address, which Python's own does not offer."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    got = libc.mmap(address, length, protection, flags, fd, 0)
    if got == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "mmap of %d bytes: %s" % (length, os.strerror(ctypes.get_errno())))
    return got


class Pieces:
    """Columns of a transfer, from the side that posts it. See `PieceColumns` in the protocol."""

    def __init__(self, columns):
        count = columns["pieces"]

        def column(name, kind):
            values = np.frombuffer(base64.b64decode(columns[name]), dtype=kind)
            if len(values) != count:
                raise ValueError("the column %s has %d entries for %d pieces" % (name, len(values), count))
            return values

        self.count = count
        self.local_region = column("localRegion", "<u4").astype(np.int64)
        self.local_offset = column("localOffset", "<f8").astype(np.int64).astype(np.uint64)
        self.remote_region = column("remoteRegion", "<u4").astype(np.int64)
        self.remote_offset = column("remoteOffset", "<f8").astype(np.int64).astype(np.uint64)
        self.length = column("length", "<u4").astype(np.uint64)

    def local_addresses(self, bases):
        return np.asarray(bases, dtype=np.uint64)[self.local_region] + self.local_offset

    def remote_addresses(self, bases):
        return np.asarray(bases, dtype=np.uint64)[self.remote_region] + self.remote_offset


class Engine:
    """What a driver asks of an engine. Every method may raise."""

    capabilities = ()
    # Of capabilities that are not among them, why not: by name.
    reasons = {}
    # Whether it moves only while it is called: on both sides, then, also where nothing was asked.
    wants_polling = False

    def open(self, name, level, path, options, regions):
        """Opens the agent; returns {"about", "version", "libraries", "micros": {"open", "register"}}."""
        raise NotImplementedError

    def invite(self):
        """The agent's card, a text."""
        raise NotImplementedError

    def connect(self, peer, card):
        """Knows `peer` by its card from now on; returns the path that is used, or None."""
        raise NotImplementedError

    def disconnect(self, peer):
        raise NotImplementedError

    def prepare(self, peer, direction, pieces, note):
        """Returns an object with `post()`, `state()` and `release()`, and with `cancel()` where the engine can.

        `state()` returns "pending", "done" or "failed"; an exception is a failure too. An engine whose calls block has
        `run()`, the call itself, and `block(seconds)`, which waits for the end of what `post()` began.
        """
        raise NotImplementedError

    def notes(self):
        """New notes, in order: (from, text)."""
        return []

    def poll(self):
        """Gives the engine the processor for a moment."""

    def deregister(self):
        raise NotImplementedError


class Transfer:
    """A prepared transfer, and how it ended."""

    def __init__(self, moved):
        self.moved = moved
        self.ended = None
        self.error = None
        self.posted = False

    @property
    def sleeps(self):
        """Whether its end wakes whoever waits: asking again and again would only keep the engine's thread from Python."""
        return hasattr(self.moved, "block")

    @property
    def under_way(self):
        return self.posted and self.ended is None

    def post(self):
        if self.under_way:
            raise EngineFailed("busy", "this transfer is under way")
        self.ended, self.error, self.posted = None, None, True
        try:
            self.moved.post()
        except Exception as problem:
            self.end("failed", problem)

    def look(self):
        if self.ended is None:
            try:
                state = self.moved.state()
                if state != "pending":
                    self.end(state, EngineFailed("failed", "the engine says that it failed") if state == "failed" else None)
            except Exception as problem:
                self.end("failed", problem)
        return self.ended

    def end(self, state, problem=None):
        self.ended = state
        if problem is not None:
            self.error = {"code": code_of(problem), "text": text_of(problem)}

    def wait(self, until, pause=PAUSE_SECONDS):
        if self.sleeps:
            self.moved.block(max(0, until - now()))
            self.look()
            return
        eager = now() + EAGER_SECONDS
        while self.look() is None:
            moment = now()
            if moment >= until:
                return
            if moment >= eager:
                time.sleep(pause)

    def move_at_once(self):
        """From post to end, in the quickest way that the engine has."""
        if hasattr(self.moved, "run"):
            self.posted = True
            self.moved.run()
            self.end("done")
        else:
            self.post()
            self.wait_eagerly()

    def wait_eagerly(self):
        if self.sleeps:
            self.moved.block(None)
        while self.look() is None:
            pass
        if self.ended != "done":
            raise EngineFailed(self.error["code"] if self.error else self.ended,
                               self.error["text"] if self.error else "the transfer ended as " + self.ended)


class Driver:
    """Answers the judge's questions with one engine."""

    def __init__(self, engine):
        self.engine = engine
        self.transfers = {}
        self.polling = False

    def rest(self, lines):
        """Until a question comes: an application goes on looking at its transfers, and some engines move only then."""
        while True:
            under_way = [transfer for transfer in self.transfers.values() if transfer.under_way]
            if not under_way and not self.polling:
                return
            if lines.ready(POLL_PAUSE_SECONDS if self.polling else LOOK_PAUSE_SECONDS):
                return
            for transfer in under_way:
                transfer.look()
            if self.polling:
                self.poll()

    def poll(self):
        try:
            self.engine.poll()
        except Exception:
            traceback.print_exc()
            self.polling = False

    def answer(self, question):
        handler = getattr(self, "on_" + "".join("_" + c.lower() if c.isupper() else c for c in question["op"]), None)
        if handler is None:
            raise EngineFailed("not-supported", "this driver does not know the question " + repr(question["op"])[:80])
        return handler(question) or {}

    def on_open(self, question):
        require_numpy()
        cache, options = question["cache"], question.get("options", {})
        block = 2 * cache["heads"] * cache["blockTokens"] * cache["headDim"] * cache["elementBytes"]
        if "memory" in options:
            self.regions = Regions.named(options["memory"].split(","))
        else:
            self.regions = Regions.made(cache["layers"], cache["blocks"] * block)
        opened = self.engine.open(question["name"], question["level"], question.get("path"), options, self.regions)
        return {**opened, "capabilities": list(self.engine.capabilities), "reasons": self.engine.reasons,
                "memory": self.regions.described()}

    def on_invite(self, question):
        return {"card": self.engine.invite()}

    def on_connect(self, question):
        path = self.engine.connect(question["peer"], question["card"])
        return {} if path is None else {"path": path}

    def on_disconnect(self, question):
        self.engine.disconnect(question["peer"])

    # Engines without leases: whatever is registered can be reached.
    def on_lend(self, question):
        return {"offer": ""}

    def on_withdraw(self, question):
        pass

    def on_reuse(self, question):
        pass

    def on_prepare(self, question):
        if question["transfer"] in self.transfers:
            raise EngineFailed("known", "transfer %d is prepared already" % question["transfer"])
        pieces = Pieces(question["pieces"])
        started = now()
        moved = self.engine.prepare(question["peer"], question["direction"], pieces, question.get("note"))
        self.transfers[question["transfer"]] = Transfer(moved)
        return {"micros": (now() - started) * 1e6}

    def on_post(self, question):
        self.transfer(question["transfer"]).post()

    def on_post_together(self, question):
        transfers = [self.transfer(number) for number in question["transfers"]]
        barrier = threading.Barrier(len(transfers))

        def post(transfer):
            barrier.wait()
            transfer.post()

        threads = [threading.Thread(target=post, args=(transfer,), daemon=True) for transfer in transfers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def on_wait(self, question):
        transfer = self.transfer(question["transfer"])
        if not transfer.posted:
            raise EngineFailed("not-posted", "transfer %d was not posted" % question["transfer"])
        transfer.wait(now() + question["millis"] / 1e3)
        state = transfer.ended or "pending"
        return {"state": state} if transfer.error is None else {"state": state, "error": transfer.error}

    def on_cancel(self, question):
        transfer = self.transfer(question["transfer"])
        cancel = getattr(transfer.moved, "cancel", None)
        if cancel is None:
            raise EngineFailed("not-supported", "this engine cannot take a transfer back")
        if transfer.look() is None:
            cancel()
            transfer.end("cancelled")

    def on_release(self, question):
        transfer = self.transfers.pop(question["transfer"], None)
        if transfer is not None:
            transfer.moved.release()

    def on_notes(self, question):
        return {"notes": [{"from": sender, "text": text} for sender, text in self.engine.notes()]}

    def on_poll(self, question):
        self.polling = bool(question["on"]) and self.engine.wants_polling

    def on_deregister(self, question):
        self.engine.deregister()

    def on_measure(self, question):
        transfers = [self.transfer(number) for number in question["transfers"]]
        return measure(transfers, question["rounds"], question["millis"], question["pauseMicros"], question["threads"])

    def on_usage(self, question):
        with open("/proc/self/statm", encoding="ascii") as statm:
            pages = int(statm.read().split()[1])
        return {"cpuMicros": cpu_micros(), "residentBytes": pages * mmap.PAGESIZE}

    def on_close(self, question):
        pass

    def transfer(self, number):
        if number not in self.transfers:
            raise EngineFailed("unknown", "no transfer %s is prepared" % number)
        return self.transfers[number]


def measure(transfers, rounds, millis, pause_micros, threads):
    """Rounds of posting everything and waiting for all; each round's time, and the process's CPU time for all."""
    shares = [transfers[i::threads] for i in range(max(1, min(threads, len(transfers))))]
    micros = []
    end = now() + millis / 1e3
    cpu = cpu_micros()

    def move(share):
        if len(share) == 1:
            share[0].move_at_once()
            return
        for transfer in share:
            transfer.post()
        for transfer in share:
            transfer.wait_eagerly()

    crew = Crew(shares[1:], move)
    try:
        while (len(micros) < rounds) if rounds > 0 else (not micros or now() < end):
            if pause_micros > 0:
                time.sleep(pause_micros / 1e6)
            started = now()
            crew.start()
            move(shares[0])
            crew.join()
            micros.append((now() - started) * 1e6)
    finally:
        crew.end()
    return {"micros": micros, "cpuMicros": cpu_micros() - cpu}


class Crew:
    """Threads that each do their share once when told to, and wait for the next time."""

    def __init__(self, shares, move):
        self.problem = None
        self.over = False
        self.begin = threading.Barrier(len(shares) + 1)
        self.done = threading.Barrier(len(shares) + 1)
        for share in shares:
            threading.Thread(target=self.work, args=(share, move), daemon=True).start()

    def work(self, share, move):
        while True:
            self.begin.wait()
            if self.over:
                return
            try:
                move(share)
            except Exception as problem:
                self.problem = problem
            self.done.wait()

    def start(self):
        self.begin.wait()

    def join(self):
        self.done.wait()
        if self.problem is not None:
            raise self.problem

    def end(self):
        self.over = True
        try:
            self.begin.wait(timeout=1)
        except threading.BrokenBarrierError:
            pass


def cpu_micros():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1e6


class Lines:
    """JSON lines over the standard streams that the process was started with."""

    def __init__(self):
        self.input = os.dup(0)
        self.pending = b""

    def send(self, message):
        data = (json.dumps(message) + "\n").encode()
        while data:
            data = data[os.write(ANSWERS, data):]

    def ready(self, seconds):
        return b"\n" in self.pending or bool(select.select([self.input], [], [], seconds)[0])

    def receive(self):
        """The next question; None when there will be none."""
        while b"\n" not in self.pending:
            more = os.read(self.input, 1 << 20)
            if not more:
                return None
            self.pending += more
        line, self.pending = self.pending.split(b"\n", 1)
        return json.loads(line)


def serve(make_engine):
    """The driver's process. Ends with the judge: the kernel sees to that, also when this process is stopped."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)
    lines = Lines()
    driver = Driver(make_engine())
    while True:
        driver.rest(lines)
        question = lines.receive()
        if question is None:
            break
        call = question.get("call", 0)
        try:
            lines.send({"call": call, "answer": driver.answer(question)})
        except (Exception, SystemExit) as problem:
            if not isinstance(problem, EngineFailed):
                traceback.print_exc()
            lines.send({"call": call, "error": {"code": code_of(problem), "text": text_of(problem)}})
        if question.get("op") == "close":
            break
    # Engines whose threads are stuck do not end by themselves.
    sys.stderr.flush()
    os._exit(0)


def report(check):
    """Prints what `check()` returns as one JSON line, or {"error": text}; ends the process."""
    try:
        require_numpy()
        told = check()
    except BaseException as problem:
        told = {"error": text_of(problem)}
    os.write(ANSWERS, (json.dumps(told) + "\n").encode())
    sys.stderr.flush()
    os._exit(0 if "error" not in told else 1)
