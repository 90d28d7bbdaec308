"""An idempotency key stays used when its event has left the ledger."""

from __future__ import annotations

import pgtrigger

from sentinel.counters import DefinerTrigger

# LIMIT keeps it one look into the index for each new key, however the statement was planned first.
REFUSE_ARCHIVED_KEYS = """\
    SELECT event.user_id, event.idempotency_key, archived.event_id
      INTO taken
      FROM new_values AS event
     CROSS JOIN LATERAL (SELECT used.event_id
                           FROM public.feature_usage_archived_keys AS used
                          WHERE used.user_id = event.user_id
                            AND used.idempotency_key = event.idempotency_key
                          LIMIT 1) AS archived
     WHERE event.idempotency_key IS NOT NULL
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'user % has used the key % before, for event %, which is archived',
                        taken.user_id, pg_catalog.quote_literal(taken.idempotency_key),
                        taken.event_id
            USING ERRCODE = 'unique_violation',
                  HINT = 'The use was counted then: leave it out, or ask find_usage_event first.';
    END IF;
    RETURN NULL;
"""

REFUSE_ARCHIVED_KEYS_ON_INSERT = DefinerTrigger(
    name="archived_keys_on_insert",
    level=pgtrigger.Statement,
    when=pgtrigger.After,
    operation=pgtrigger.Insert,
    referencing=pgtrigger.Referencing(new="new_values"),
    declare=[("taken", "record")],
    func=REFUSE_ARCHIVED_KEYS,
)
