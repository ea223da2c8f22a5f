"""The fast engine for CPUs: openvino-genai on a GGUF of ours, continuous batching, prefixes kept.

It is handed token ids, made by the tokenizer that the model was trained with, and gives token ids back: what it would
make of a text itself is not used. Its key-value cache defaults to 8 bits; here it has 16, so that greedy text is that
of the torch engine but for near-ties. Settings that it has not are refused, not approximated.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from sixfold.errors import ModelError, UsageError
from sixfold.generate.requests import Chunk, Finish, Request, checked
from sixfold.generate.streaming import TextStream

CACHE_GIB = 1
"""Memory for keys and values."""


class FastEngine:
    """Writes with openvino-genai.

    Args:
        path: a GGUF that ``models.export_gguf`` wrote.
        tokenizer: the checkpoint's, of transformers.
        context: tokens that the model reads at most.
        threads: 0 leaves it to the library.
        cache: GiB of memory for keys and values.
        prefixes: keep them between requests, so that a prompt that begins like an earlier one begins at once.
        exact: products in fp32; without it the library may use what the processor has (bf16), which is faster.

    Raises:
        UsageError: openvino-genai is not installed.
        ModelError: it cannot read the file.
    """

    def __init__(
        self,
        path: Path,
        tokenizer: Any,
        *,
        context: int,
        threads: int = 0,
        exact: bool = True,
        cache: int = CACHE_GIB,
        prefixes: bool = True,
    ) -> None:
        try:
            import openvino_genai
        except ImportError:
            raise UsageError(
                "the fast engine needs openvino-genai", hint="pip install 'sixfold[fast]', or take engine: torch"
            ) from None
        self._genai = openvino_genai
        self.tokenizer = tokenizer
        self.context = context
        schedule = openvino_genai.SchedulerConfig()
        schedule.cache_size = cache
        schedule.enable_prefix_caching = prefixes
        schedule.dynamic_split_fuse = True
        settings: dict[str, Any] = {"KV_CACHE_PRECISION": "f16"}
        if exact:
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        try:
            self._pipe = openvino_genai.ContinuousBatchingPipeline(str(path), schedule, "CPU", settings)
        except (RuntimeError, IndexError) as error:
            raise ModelError("the fast engine cannot read the file", where=path, found=error) from error
        self._handles: dict[int, Any] = {}
        self._number = 0
        self._lock = threading.Lock()

    def cancel(self, request: int) -> None:
        with self._lock:
            handle = self._handles.get(request)
        if handle is not None:
            handle.cancel()

    def stream(self, requests: Sequence[Request]) -> Generator[Chunk]:
        """Chunks as they come. All requests run together, as far as the cache holds them."""
        checked(requests, self.context)
        configs = [self._config(one) for one in requests]
        streams = [TextStream(self.tokenizer, one.stop) for one in requests]
        counts = [0] * len(requests)
        with self._lock:
            self._handles = {
                place: self._add(one, config) for place, (one, config) in enumerate(zip(requests, configs, strict=True))
            }
        going = dict(self._handles)
        try:
            while going:
                if self._pipe.has_non_finished_requests():
                    self._pipe.step()
                for place, handle in list(going.items()):
                    for chunk in self._read(place, handle, requests[place], streams[place], counts):
                        yield chunk
                        if chunk.finish is not None:
                            del going[place]
        finally:
            for handle in going.values():
                handle.cancel()
            while going and self._pipe.has_non_finished_requests():
                self._pipe.step()
            with self._lock:
                self._handles = {}

    def _add(self, request: Request, config: Any) -> Any:
        import numpy as np
        import openvino

        self._number += 1
        ids = openvino.Tensor(np.array([request.prompt], dtype=np.int64))
        return self._pipe.add_request(self._number, ids, config)

    def _read(
        self, place: int, handle: Any, request: Request, stream: TextStream, counts: list[int]
    ) -> Iterator[Chunk]:
        """What a request has got."""
        status = self._genai.GenerationStatus
        while handle.can_read():
            (output,) = handle.read().values()
            logprobs = tuple(map(float, output.generated_log_probs)) if request.logprobs else ()
            ids = [int(token) for token in output.generated_ids]
            for order, token in enumerate(ids):
                counts[place] += 1
                if token in request.stop_ids:
                    yield Chunk(place, stream.rest(), finish="stop")
                    return
                text = stream.add(token)
                finish: Finish | None = None
                if stream.stopped:
                    finish = "stop"
                elif counts[place] >= request.new_tokens:
                    finish, text = "length", text + stream.rest()
                yield Chunk(place, text, (token,), logprobs[order : order + 1], finish)
                if finish is not None:
                    if stream.stopped:
                        handle.stop()
                    return
        found = handle.get_status()
        if found in (status.CANCEL, status.STOP):
            yield Chunk(place, "", finish="cancelled")
        elif found == status.IGNORED:
            raise ModelError(
                "the fast engine has no room for a request", hint="fewer requests at once, or a larger cache"
            )
        elif found == status.FINISHED:
            yield Chunk(place, stream.rest(), finish="stop")

    def _config(self, request: Request) -> Any:
        """The library's settings for a request.

        Raises:
            UsageError: it has no such setting.
        """
        sampling = request.sampling
        if request.adapter is not None:
            raise UsageError(
                "the fast engine runs no adapters",
                found=request.adapter,
                hint="merge it into its base and export that, or take engine: torch",
            )
        config = self._genai.GenerationConfig()
        config.max_new_tokens = request.new_tokens
        config.stop_token_ids = set(request.stop_ids)
        config.logprobs = int(request.logprobs)
        config.apply_chat_template = False
        config.repetition_penalty = sampling.repetition_penalty
        config.presence_penalty = sampling.presence_penalty
        config.do_sample = sampling.temperature > 0
        if sampling.min_p:
            raise UsageError("the fast engine has no min_p", hint="leave it out, or take engine: torch")
        if config.do_sample:
            config.temperature = sampling.temperature
            config.top_p = sampling.top_p
            config.rng_seed = sampling.seed
            if sampling.top_k:
                config.top_k = sampling.top_k
        if request.grammar is not None:
            held = self._genai.StructuredOutputConfig()
            if request.grammar.json_schema is not None:
                held.json_schema = request.grammar.json_schema
            else:
                held.regex = request.grammar.regex
            config.structured_output_config = held
        return config
