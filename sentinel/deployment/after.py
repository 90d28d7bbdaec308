"""After the deployment: the guide's immediate checks, and its three indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from django.db import transaction

from sentinel.deployment.findings import failed, ok, warning
from usage.archiving.status import report_archive

if TYPE_CHECKING:
    from sentinel.deployment.findings import Answer, Deployment


class GuideIndex(NamedTuple):
    """An index that the guide names.

    Attributes:
        name: what it is called.
        on: table, columns and condition.
    """

    name: str
    on: str

    def check(self, deployment: Deployment) -> Answer:
        """Look whether it is there, valid and used."""
        found = deployment.rows("after", "guide_index", name=self.name)
        if not found:
            return failed(
                f"Index {self.name} is missing.",
                cure="Run `manage.py migrate`. Where it has nothing to do, the index was dropped "
                f"by hand: run `CREATE INDEX CONCURRENTLY {self.name} ON {self.on}`.",
            )
        [(valid, scans, size)] = found
        figures = {"valid": valid, "scans": scans, "bytes": size}
        if not valid:
            return failed(
                f"Index {self.name} is invalid: no query uses it.",
                cure=f"Run `REINDEX INDEX CONCURRENTLY {self.name}`.",
                **figures,
            )
        if not scans:
            return warning(
                f"Index {self.name} is valid, and has not been used yet.",
                cure="Nothing right after the deployment, or while its table is small. Later look "
                "at `manage.py explain_counters`.",
                **figures,
            )
        return ok(f"Index {self.name} is valid, {scans:,} scans.", **figures)


GUIDE_INDEXES = (
    GuideIndex(
        "idx_chat_threads_messages_count",
        "chat_threads (user_id, thread_messages_count) WHERE is_deleted = false",
    ),
    GuideIndex(
        "idx_travel_itineraries_destinations_count",
        "travel_itineraries (user_id, destinations_count) WHERE is_deleted = false",
    ),
    GuideIndex(
        "idx_feature_usage_user_feature_period",
        "feature_usage (user_id, feature, period_start DESC)",
    ),
)


def check_counters_maintained(deployment: Deployment) -> Answer:
    """Compare the newest user's threads with their messages."""
    threads = deployment.rows("after", "newest_users_threads")
    wrong = {key: (stored, actual) for key, stored, actual in threads if stored != actual}
    if wrong:
        listed = ", ".join(f"{key} has {s}, true is {a}" for key, (s, a) in wrong.items())
        return failed(
            f"Counts of the newest user's threads are wrong: {listed}.",
            cure="Run `manage.py audit_counters`, and do what it says.",
            threads=len(threads),
            wrong=len(wrong),
        )
    if not threads:
        return warning(
            "The newest user has no threads yet: there is nothing to compare.",
            cure="Run this again when there is one.",
            threads=0,
        )
    return ok(
        f"The counts of the newest user's threads are true ({len(threads)} looked at).",
        threads=len(threads),
    )


def check_usage_recent(deployment: Deployment) -> Answer:
    """Look for usage that was counted in the last ten minutes."""
    features = dict(deployment.rows("after", "recent_usage"))
    if not features:
        return warning(
            "No usage was counted in the last ten minutes.",
            cure="Use a feature and run this again. Where that does not help, look for `Failed to "
            "track feature usage` in the application's log.",
            rows=0,
        )
    rows = sum(features.values())
    return ok(
        f"{rows:,} rows of usage in the last ten minutes, of {len(features)} features.",
        rows=rows,
        features=features,
    )


def check_increment_function(deployment: Deployment) -> Answer:
    """Count a use twice, under a savepoint that is rolled back."""
    [(there, user)] = deployment.rows("after", "increment_function")
    if not there:
        return failed(
            "Function increment_feature_usage_safe(integer, varchar, integer) is missing.",
            cure="Run `manage.py migrate usage`.",
        )
    if user is None:
        return warning(
            "There is no user to try increment_feature_usage_safe on.",
            cure="Run this again when there is one.",
        )
    before = deployment.rows("after", "all_uses")
    savepoint = transaction.savepoint(using=deployment.using)
    [(first,)] = deployment.rows("after", "increment", user=user)
    [(second,)] = deployment.rows("after", "increment", user=user)
    transaction.savepoint_rollback(savepoint, using=deployment.using)
    stays = deployment.rows("after", "all_uses") != before
    figures = {"user": user, "first": first, "second": second, "stays": stays}
    if second != first + 1 or stays:
        return failed(
            f"increment_feature_usage_safe said {first}, then {second}"
            + (", and it stays after a rollback." if stays else "."),
            cure="Run `manage.py check --database default`, and do what it says.",
            **figures,
        )
    return ok(
        f"increment_feature_usage_safe counts ({first}, then {second}); it was rolled back.",
        **figures,
    )


def check_legacy_trigger(deployment: Deployment) -> Answer:
    """Look for the trigger that recounts the whole thread at every message."""
    [(firing,)] = deployment.rows("after", "legacy_trigger")
    if firing:
        return failed(
            "The legacy trigger thread_message_added still counts, each thread at each message.",
            cure="Run `manage.py migrate threads`. Where it has nothing to do, somebody made it "
            "again: run `DROP TRIGGER thread_message_added ON chat_messages`.",
        )
    return ok("The legacy trigger is gone.")


def check_archive(deployment: Deployment) -> Answer:
    """Look whether old usage is archived as it should be."""
    line = report_archive(deployment.now, using=deployment.using)
    if line.ok:
        return ok(f"The {line.name}: {line.message}")
    return warning(
        f"The {line.name} is not kept up. {line.message}",
        cure="Run `manage.py archive_feature_usage`, and install deploy/crontab.",
    )
