"""What the tables hold, to be compared before and after."""

from __future__ import annotations

# Every row of the deployed system, but what the takeover is there to change.
ROWS = """
    SELECT 'user', to_jsonb(t) - '{last_login,is_staff,is_superuser}'::text[] FROM users AS t
    UNION ALL SELECT 'thread', to_jsonb(t) - '{message_count,thread_messages_count}'::text[]
      FROM chat_threads AS t
    UNION ALL SELECT 'message', to_jsonb(t) FROM chat_messages AS t
    UNION ALL SELECT 'month', to_jsonb(t) - 'updated_at' FROM feature_usage AS t
    UNION ALL SELECT 'use', to_jsonb(t) FROM user_usage AS t
    UNION ALL SELECT 'itinerary', to_jsonb(t) - 'destinations_count'
      FROM travel_itineraries AS t
    ORDER BY 1, 2
"""
# Everything that the files fill in, but when it was written.
CONTENTS = """
    SELECT 'thread', to_jsonb(t) FROM chat_threads AS t
    UNION ALL SELECT 'message', to_jsonb(t) FROM chat_messages AS t
    UNION ALL SELECT 'itinerary', to_jsonb(t) FROM travel_itineraries AS t
    UNION ALL SELECT 'month', to_jsonb(t) - 'updated_at' FROM feature_usage AS t
    UNION ALL SELECT 'event', to_jsonb(t) - '{occurred_at,recorded_at}'::text[]
      FROM feature_usage_events AS t
    UNION ALL SELECT 'limit', to_jsonb(t) FROM feature_plan_limits AS t
    ORDER BY 1, 2
"""
# Threads whose legacy count is not that of their messages.
WRONG = """
    SELECT id, message_count, (SELECT count(*) FROM chat_messages WHERE thread_id = t.id)
      FROM chat_threads AS t
     WHERE message_count IS DISTINCT FROM
           (SELECT count(*) FROM chat_messages WHERE thread_id = t.id)
"""
