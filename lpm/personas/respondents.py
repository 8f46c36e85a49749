"""Language models that answer: over HTTP, and from a file in this process.

The only code that talks to a language model. Its clients are the extra `lpm[personas]`.
"""

import hashlib
import os
import re
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import PersonaError
from .question import Question
from .replies import About, Fault, Reply

URL_VARIABLE, KEY_VARIABLE = "LPM_PERSONAS_URL", "LPM_PERSONAS_KEY"
_OPENAI_URL = "https://api.openai.com/v1"
_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)  # States of HTTP that may pass.
_MISSING = "needs {}: pip install 'lpm[personas]'"


@dataclass(frozen=True)
class Http:
    """Any server that speaks the chat completions of OpenAI: vLLM, Ollama, llama.cpp and others.

    Attributes:
        model: as the server names it.
        url: ends in /v1 as a rule; else from LPM_PERSONAS_URL, or from OPENAI_BASE_URL, or
            OpenAI's own where there is a key for it.
        key: else from LPM_PERSONAS_KEY. OPENAI_API_KEY goes to OpenAI and to OPENAI_BASE_URL, and
            to no other address. A key is never written anywhere.
        at_once: requests under way together.
        timeout: seconds for one request.
        limit: how the server calls the most tokens of an answer; OpenAI's reasoning models want
            `max_completion_tokens`.
    """

    model: str
    url: str = ""
    key: str = field(default="", repr=False, compare=False)
    at_once: int = 8
    timeout: float = 120.0
    limit: str = "max_tokens"

    def __post_init__(self) -> None:
        _check_at_once(self.at_once)
        if self.limit not in ("max_tokens", "max_completion_tokens"):
            raise PersonaError(
                f"limit = {self.limit!r} must be max_tokens or max_completion_tokens"
            )
        url, key = _address(self.url, self.key)
        if urlsplit(url).scheme not in ("http", "https"):
            raise PersonaError(f"url = {_bare(url)!r} must begin with http:// or https://")
        if urlsplit(url).password or urlsplit(url).username:
            raise PersonaError("url: give the key as key= or in the environment, not in the url")
        object.__setattr__(self, "url", url)
        object.__setattr__(self, "key", key)
        client = self._connect()
        object.__setattr__(self, "_client", client)
        weakref.finalize(self, client.close)  # Connections kept open go with their owner.

    def _connect(self) -> Any:
        openai = _import_openai()
        # Our own retries are counted and recorded; the client's would not be.
        return openai.OpenAI(
            base_url=self.url,
            api_key=self.key or "none",  # A server on this machine wants none; the client does.
            max_retries=0,
            timeout=self.timeout,
        )

    @property
    def about(self) -> About:
        """The model, and the host it is on."""
        name = f"{self.model} at {_bare(self.url)}"
        return About(name, self.model, "http", True, self.at_once)

    def reply(self, questions: Sequence[Question]) -> Sequence[Reply]:
        """Ask `at_once` at a time."""
        return _side_by_side(self._one, questions, self.at_once)

    def _one(self, question: Question) -> Reply:
        openai, began = _import_openai(), time.perf_counter()
        asked: Any = chat(question, self.limit)
        try:
            came = self._client.chat.completions.create(model=self.model, **asked)  # type: ignore[attr-defined]
            reply = _read_completion(came.model_dump())
        except openai.APIStatusError as error:
            reply = Reply(fault=self._state(error))
        except (openai.OpenAIError, ValueError, TypeError, AttributeError) as error:
            # A drop, a timeout, or a body that is not what the protocol says: it may be paid for.
            cause = type(error.__cause__).__name__
            told = self._hide(f"{type(error).__name__}: {error} ({cause})")
            reached = not cause.startswith("Connect")
            reply = Reply(fault=Fault(told, again=True, charged=reached))
        return _timed(reply, began, self._hide)

    def _state(self, error: Any) -> Fault:
        told = self._hide(f"HTTP {error.status_code}: {error.message}")
        wait = _seconds(error.response.headers.get("retry-after", ""))
        status: int = error.status_code
        return Fault(told, again=status in _AGAIN, wait=wait, status=status)

    def _hide(self, text: str) -> str:
        return text.replace(self.key, "[key]") if self.key else text


@dataclass(frozen=True)
class Local:
    """A GGUF file, run in this process by llama.cpp.

    The model's name in keys is the file's name and hash, so that another file is another model.

    Attributes:
        path: of the file.
        context: tokens of prompt and answer together, for each question.
        at_once: questions under way together.
        threads: of the processor.
        layers: on an accelerator, where the installed wheel knows one; -1 lets llama.cpp choose.
    """

    path: str | Path
    context: int = 4096
    at_once: int = 1
    threads: int = 2
    layers: int = -1

    def __post_init__(self) -> None:
        _check_at_once(self.at_once)
        path = Path(self.path)
        if not path.is_file():
            raise PersonaError(f"path = {str(path)!r} is no file; give a GGUF file")
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise PersonaError(f"path = {str(path)!r} is no GGUF file")
            file.seek(0)
            mark = hashlib.file_digest(file, "sha256").hexdigest()[:16]
        object.__setattr__(self, "_name", f"{path.name}@{mark}")
        object.__setattr__(self, "_ready", threading.Lock())
        object.__setattr__(self, "_server", None)

    @property
    def about(self) -> About:
        """The file's name and hash."""
        name: str = self._name  # type: ignore[attr-defined]
        return About(f"{name} in this process", name, "local", True, self.at_once)

    def reply(self, questions: Sequence[Question]) -> Sequence[Reply]:
        """Ask `at_once` at a time; the model is loaded at the first question."""
        return _side_by_side(self._one, questions, self.at_once)

    def _one(self, question: Question) -> Reply:
        server, began = self._load(), time.perf_counter()
        asked = {**chat(question, "max_tokens"), "cache_prompt": False}
        try:
            came = server.handle_chat_completions(asked)
        except ValueError as error:  # A schema or a chat format that llama.cpp cannot take.
            return _timed(Reply(fault=Fault(str(error), status=400)), began)
        if "error" in came:
            told = came["error"]
            status = _count(told.get("code")) or 0
            fault = Fault(f"llama.cpp {status}: {told.get('message')}", status=status)
            return _timed(Reply(fault=fault), began)
        return _timed(_read_completion(came), began)

    def _load(self) -> Any:
        with self._ready:  # type: ignore[attr-defined]
            if self._server is None:  # type: ignore[attr-defined]
                object.__setattr__(self, "_server", self._start())
            return self._server  # type: ignore[attr-defined]

    def _start(self) -> Any:
        try:
            import xllamacpp
        except ImportError as error:
            raise PersonaError("Local " + _MISSING.format("xllamacpp")) from error
        llama: Any = xllamacpp  # A compiled module without type stubs.
        params = llama.CommonParams()
        params.model.path = str(self.path)
        params.n_ctx, params.n_parallel = self.context * self.at_once, self.at_once
        params.n_gpu_layers = self.layers
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self.threads
        params.cache_prompt, params.warmup, params.verbosity = False, False, -1
        # llama.cpp opens a port all the same: on this machine only, and to nobody.
        params.hostnames, params.port = ["127.0.0.1"], 0
        params.api_keys = [secrets.token_hex(32)]
        try:
            return llama.Server(params)
        except (RuntimeError, ValueError) as error:
            raise PersonaError(f"llama.cpp cannot load {self.path}: {error}") from error


def chat(question: Question, limit: str) -> dict[str, Any]:
    """A question as the body of a chat completion, without the model's name."""
    settings = question.settings
    body: dict[str, Any] = {
        "messages": question.messages,
        "temperature": float(settings.temperature),
        limit: settings.most_tokens,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": question.codebook.schema},
        },
    }
    return body if settings.seed is None else {**body, "seed": settings.seed}


def _read_completion(came: Mapping[str, Any]) -> Reply:
    """The first choice of a completion, or the fault that there is none."""
    choices = came.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    if not isinstance(first, dict) or not isinstance(message, dict):
        return Reply(fault=Fault("the reply holds no choices", again=True, charged=True))
    usage = came.get("usage") or {}
    who = [str(came[n]) for n in ("model", "system_fingerprint") if came.get(n)]
    return Reply(
        text=_text(message.get("content")),
        finish=_text(first.get("finish_reason")),
        refusal=_text(message.get("refusal")),
        model=" ".join(who),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        answer_tokens=_count(usage.get("completion_tokens")),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return None


def _timed(reply: Reply, began: float, hide: Callable[[str], str] = str) -> Reply:
    words = {name: hide(getattr(reply, name)) for name in ("text", "refusal", "model")}
    return replace(reply, seconds=round(time.perf_counter() - began, 4), **words)


def _side_by_side(
    one: Callable[[Question], Reply], questions: Sequence[Question], at_once: int
) -> list[Reply]:
    if len(questions) == 1:  # Whoever asks one at a time has threads already.
        return [one(questions[0])]
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        return list(pool.map(one, questions))


def _import_openai() -> Any:
    try:
        import openai
    except ImportError as error:
        raise PersonaError("Http " + _MISSING.format("openai")) from error
    return openai


def _address(url: str, key: str) -> tuple[str, str]:
    """Where to ask, and the key for it: that of one server is never sent to another."""
    url, key = url or os.environ.get(URL_VARIABLE, ""), key or os.environ.get(KEY_VARIABLE, "")
    if url:
        return url, key
    url, key = os.environ.get("OPENAI_BASE_URL", ""), key or os.environ.get("OPENAI_API_KEY", "")
    if not url and not key:
        raise PersonaError(f"url: give the address of a server, or set {URL_VARIABLE}")
    return url or _OPENAI_URL, key


def _bare(url: str) -> str:
    """The address without anything that could hold a secret."""
    return re.sub(r"^.*@", "", urlsplit(url).netloc) or "?"


def _seconds(text: str) -> float:
    """A Retry-After in seconds; dates are not read."""
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0


def _check_at_once(at_once: int) -> None:
    if at_once < 1:
        raise PersonaError(f"at_once = {at_once} must be at least 1")
