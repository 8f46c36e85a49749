"""Who answers for a panel, as typed: rules, a transcript, or a sheet that names a model."""

from dataclasses import replace
from pathlib import Path

from ..errors import PersonaError, ScenarioError
from ..personas import Interviewer, Panel, Replay, read_rules
from ..personas.sheets import read_interviewer

TRANSCRIPT = "transcript.jsonl"
_RULES, _REPLAY = "rules", "replay"


def written_out(text: str | None) -> str:
    """The option with its path in full, so that a run can be continued from anywhere."""
    if not text:
        return ""
    kind, colon, rest = text.partition(":")
    if kind == _REPLAY and colon:
        return f"{kind}:{Path(rest).resolve()}"
    if kind == _RULES:
        card = Path(rest).resolve() if rest.endswith(".toml") else rest
        return f"{kind}{colon}{card}"
    return str(Path(text).resolve())


def interviewer_of(text: str, panel: Panel | None, name: str) -> Interviewer | None:
    """Who asks, and whom; the panel's card where nothing was typed; nothing without a panel.

    Args:
        text: `rules`, `rules:CARD`, `replay:FILE`, or the path of a sheet.
        panel: of the scenario.
        name: of the scenario.

    Raises:
        ScenarioError: the scenario has no panel.
        PersonaError: no card, no such file, or one that names no respondent.
    """
    if panel is None:
        if text:
            raise ScenarioError(f"--respondent {text}: {name} has no panel to answer for")
        return None
    kind, _, rest = text.partition(":")
    if kind == _REPLAY and rest:
        return Interviewer(Replay(rest))
    if kind in (_RULES, ""):
        card = rest or panel.card
        if not card:
            raise PersonaError(
                f"{name} has a panel and no card for rules; give --respondent SHEET, "
                "replay:FILE or rules:CARD"
            )
        return Interviewer(read_rules(card))
    return Interviewer(**read_interviewer(text))


def kept_in(interviewer: Interviewer | None, folder: Path) -> Interviewer | None:
    """The same with its transcript in the folder of a run, which outlives the checkpoint."""
    if interviewer is None:
        return None
    return replace(interviewer, transcript=folder / TRANSCRIPT)


def announced(interviewer: Interviewer | None) -> str:
    """One line on who answers, empty without a panel."""
    if interviewer is None:
        return ""
    about = interviewer.respondent.about
    plain = "" if about.is_language_model or about.kind == _RULES else " (no language model)"
    return f"the panel is {about.name}{plain}"
