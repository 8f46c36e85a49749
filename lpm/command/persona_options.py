"""The options of each verb of `lpm personas`."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path


def _add_asking(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--model", metavar="M", help="of the endpoint, in place of the sheet's")
    verb.add_argument(
        "--url", metavar="URL", help="of the endpoint; the key is in LPM_PERSONAS_KEY"
    )
    verb.add_argument("--gguf", metavar="FILE", help="a model to run in this process")
    verb.add_argument("--card", metavar="C", help="rules in place of a model, such as isolation")
    _add_transcript(verb)


def _add_transcript(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--transcript", type=Path, metavar="FILE", help="JSON lines (beside the sheet, as .jsonl)"
    )


def _add_out(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--out", type=Path, metavar="FILE", help="answers as .parquet or .csv")


def _add_ask(verb: argparse.ArgumentParser) -> None:
    _add_asking(verb)
    verb.add_argument(
        "--neutral", metavar="TEXT", help="ask again with this event, and say what events shift"
    )
    _add_out(verb)


def _add_replay(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--model", metavar="M", help="whose answers, where there are several")
    _add_transcript(verb)
    _add_head(verb)
    _add_out(verb)


def _add_head(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--head", metavar="HASH", help="of the last line, as `ask` printed it")


def _add_report(verb: argparse.ArgumentParser) -> None:
    _add_head(verb)
    verb.add_argument("--parquet", type=Path, metavar="FILE", help="all attempts as a table")


ADD_OPTIONS: Mapping[str, Callable[[argparse.ArgumentParser], None]] = {
    "plan": _add_asking,
    "ask": _add_ask,
    "replay": _add_replay,
    "report": _add_report,
    "probe": _add_asking,
}
