-- Pages of records with one of these filters are a range of a key, in the order of the page; the rate tells
-- what ran to its end from what was aborted.
ALTER TABLE {journal}
    ADD KEY IF NOT EXISTS phase (phase, id),
    ADD KEY IF NOT EXISTS sourcehost (sourcehost_id, id),
    ADD KEY IF NOT EXISTS ended (stopped, status, sync_message_count, moved_size),
    DROP KEY IF EXISTS rate;
