-- Pages of records with one of these filters are a range of a key, in the order of the page.
ALTER TABLE {journal}
    ADD KEY IF NOT EXISTS phase (phase, id),
    ADD KEY IF NOT EXISTS sourcehost (sourcehost_id, id);
