"""What the peers of `kvferry bench record` share: two processes, their memory, and the line protocol with the benchmark.

The benchmark starts `nixl_peer.py` or `mooncake_peer.py` and writes one JSON line, the specification:

    {"source": [path, ...], "target": [path, ...], "region_bytes": n, "jobs": [job, ...], "options": {...}}

`source` and `target` are memory files (`/proc/PID/fd/N`), one for each region: the very pages that kvferry moves bytes
between. A job is five base64 columns of little-endian numbers: `source_region` (u32), `source_offset` (u64),
`target_region` (u32), `target_offset` (u64), `length` (u32).

This process is the target and starts itself once more as the source. Then it answers one JSON line for each:

    {"run": job, "repeats": n, "pause_micros": n}  ->  {"micros": [...], "prepare_micros": n, "source_cpu_micros": n,
                                                        "target_cpu_micros": n}
    {"idle": seconds}                              ->  {"source_cores": n, "target_cores": n}
    {"end": true}

The bytes are checked by the benchmark, in the target's memory files. Whatever goes wrong: {"error": text}.
"""
import base64
import ctypes
import json
import mmap
import os
import resource
import select
import subprocess
import sys
import time

import numpy as np

now = time.perf_counter


def die_with_parent():
    """SIGKILL for this process when its parent dies, however that happens (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, 9)


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Lines:
    """JSON lines over two descriptors. Libraries that print do so on standard error."""

    def __init__(self, read_fd, write_fd):
        self.reader = os.fdopen(read_fd, "rb", buffering=0)
        self.writer = os.fdopen(write_fd, "wb", buffering=0)
        self.pending = b""

    @classmethod
    def of_standard_streams(cls):
        out = os.dup(1)
        os.dup2(2, 1)
        return cls(os.dup(0), out)

    def send(self, **message):
        data = (json.dumps(message) + "\n").encode()
        while data:
            data = data[self.writer.write(data):]

    def ready(self):
        return b"\n" in self.pending or bool(select.select([self.reader], [], [], 0)[0])

    def receive(self):
        while b"\n" not in self.pending:
            more = self.reader.read(1 << 20)
            if not more:
                os._exit(0)
            self.pending += more
        line, self.pending = self.pending.split(b"\n", 1)
        return json.loads(line)


class Regions:
    """Memory files of the benchmark, mapped here; every page is touched before anything is measured."""

    def __init__(self, paths, length, writable):
        self.length = length
        self.views = []
        for path in paths:
            fd = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
            protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
            mapped = mmap.mmap(fd, length, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE, prot=protection)
            os.close(fd)
            self.views.append(np.frombuffer(mapped, dtype=np.uint8))
        self.addresses = np.array([view.ctypes.data for view in self.views], dtype=np.uint64)


class Job:
    def __init__(self, columns):
        def column(name, kind):
            return np.frombuffer(base64.b64decode(columns[name]), dtype=kind)

        self.source_region = column("source_region", "<u4")
        self.source_offset = column("source_offset", "<u8")
        self.target_region = column("target_region", "<u4")
        self.target_offset = column("target_offset", "<u8")
        self.length = column("length", "<u4")
        self.pieces = len(self.length)

    def source_addresses(self, regions):
        return regions[self.source_region] + self.source_offset

    def target_addresses(self, regions):
        return regions[self.target_region] + self.target_offset


class Source:
    """The other process, as the target holds it."""

    def __init__(self, script, spec):
        read_end, write_end = os.pipe()
        child_read, child_write = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, script, "--source"], stdin=child_read, stdout=write_end, close_fds=True
        )
        os.close(child_read)
        os.close(write_end)
        self.lines = Lines(read_end, child_write)
        self.lines.send(**spec)
        self.hello = self.ask_nothing()

    def ask_nothing(self):
        answer = self.lines.receive()
        if "error" in answer:
            raise RuntimeError("the source: " + answer["error"])
        return answer

    def busy(self, polling):
        """Tells the source whether a run is on; returns the processor time it has used so far."""
        self.lines.send(polling=polling)
        return self.ask_nothing()["cpu"]


def serve_source(open_engine, poll):
    """The source's process: `open_engine(spec, regions)` returns (hello, engine); `poll(engine)` while a run is on."""
    die_with_parent()
    lines = Lines.of_standard_streams()
    try:
        spec = lines.receive()
        regions = Regions(spec["source"], spec["region_bytes"], writable=False)
        hello, engine = open_engine(spec, regions)
        lines.send(addresses=[int(a) for a in regions.addresses], **hello)
        # Some engines need their source's hand already to connect.
        polling = True
        while True:
            if polling and poll is not None:
                poll(engine)
                if not lines.ready():
                    continue
            polling = lines.receive()["polling"]
            lines.send(cpu=cpu_seconds())
    except Exception as problem:
        lines.send(error="%s: %s" % (type(problem).__name__, problem))
        os._exit(1)


def serve_target(script, open_engine):
    """The target's process. `open_engine(spec, regions, hello)` returns an object with `prepare(job)`, which returns a
    function that moves the job once."""
    die_with_parent()
    lines = Lines.of_standard_streams()
    try:
        spec = lines.receive()
        regions = Regions(spec["target"], spec["region_bytes"], writable=True)
        source = Source(script, spec)
        engine = open_engine(spec, regions, source.hello)
        jobs = [Job(columns) for columns in spec["jobs"]]
        prepared = {}
        source.busy(False)
        lines.send(source_pid=source.process.pid, about=engine.about)
        while True:
            order = lines.receive()
            if order.get("end"):
                source.process.kill()
                os._exit(0)
            if "idle" in order:
                lines.send(**idle(source, order["idle"]))
                continue
            number = order["run"]
            source.busy(True)
            if number not in prepared:
                started = now()
                once = engine.prepare(jobs[number])
                prepared[number] = (once, (now() - started) * 1e6)
            lines.send(**run(source, *prepared[number], order["repeats"], order["pause_micros"]))
    except Exception as problem:
        lines.send(error="%s: %s" % (type(problem).__name__, problem))
        os._exit(1)


def run(source, once, prepare_micros, repeats, pause_micros):
    micros = []
    source_before = source.busy(True)
    before = cpu_seconds()
    for _ in range(repeats):
        if pause_micros > 0:
            time.sleep(pause_micros / 1e6)
        started = now()
        once()
        micros.append((now() - started) * 1e6)
    after = cpu_seconds()
    source_after = source.busy(False)
    return {
        "micros": micros,
        "prepare_micros": prepare_micros,
        "source_cpu_micros": (source_after - source_before) * 1e6,
        "target_cpu_micros": (after - before) * 1e6,
    }


def idle(source, seconds):
    source_before, before, started = source.busy(False), cpu_seconds(), now()
    time.sleep(seconds)
    passed = now() - started
    used, source_used = cpu_seconds() - before, source.busy(False) - source_before
    return {"source_cores": source_used / passed, "target_cores": used / passed}
