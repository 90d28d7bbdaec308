"""Limit checks of threads: the counter against counting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.peers import SENTINEL, fill_threads, tidy

if TYPE_CHECKING:
    from tests.benchmarks.bench import Bench

LENGTHS = ("shortest", "100", "1,000", "100,000", "longest")
OTHERS = 10_000  # threads, and the key of the first of them


def measure(bench: Bench) -> None:
    """Check the limit of short and of long threads."""
    with bench.database.connect() as connection:
        bench.create(connection, SENTINEL)
        ways = {}
        for thread, (word, length) in enumerate(
            zip(LENGTHS, bench.sizes.thread_lengths, strict=True), start=1
        ):
            fill_threads(connection, SENTINEL, first=thread, messages=length)
            ways[f"count, {word}"] = bench.server_way(
                connection, f"SELECT count(*) FROM chat_messages WHERE thread_id = {thread}"
            )
            ways[f"counter, {word}"] = bench.server_way(
                connection, f"SELECT thread_messages_count FROM chat_threads WHERE id = {thread}"
            )
        # Among so few threads as these a page is read whole, and not a row by its key.
        fill_threads(connection, SENTINEL, first=OTHERS, threads=OTHERS, messages=0)
        tidy(connection, SENTINEL)
        bench.compare("limit check", ways)
        bench.check(connection, "limit check", SENTINEL)
