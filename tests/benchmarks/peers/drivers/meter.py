"""Run one model as often as asked and print one line of JSON: summaries, times, memory.

Runs in the interpreter of whoever is measured, so it needs nothing but Python. A driver gives
three functions: `build(size, seed) -> model`, `run(model, steps)`, `summarise(model) -> dict`.

    python DRIVER size steps seed [seed ...] [--warm SIZE]
"""

import argparse
import json
import os
import resource
import time


def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def timed(work):
    wall, cpu = time.perf_counter(), used()
    result = work()
    return result, {"wall": time.perf_counter() - wall, "cpu": used() - cpu}


def main(build, run, summarise):
    parser = argparse.ArgumentParser()
    parser.add_argument("size", type=int)
    parser.add_argument("steps", type=int)
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--warm", type=int, default=0, help="size of a run that is not counted")
    asked = parser.parse_args()
    first = {"wall": 0.0, "cpu": 0.0}
    if asked.warm:
        model = build(asked.warm, 0)
        _, first = timed(lambda: run(model, asked.steps))
    rows = []
    for seed in asked.seeds:
        model, built = timed(lambda seed=seed: build(asked.size, seed))
        model, ran = timed(lambda model=model: run(model, asked.steps) or model)
        rows.append({"summary": summarise(model), "build": built, "run": ran})
    report = {
        "size": asked.size,
        "steps": asked.steps,
        "warm_size": asked.warm,
        "first": first,
        "runs": rows,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "load": os.getloadavg()[0],
    }
    print(json.dumps(report))
