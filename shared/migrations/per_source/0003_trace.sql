-- Where the trace of the request stands that submitted the migration, as W3C's `traceparent`; NULL where there is none.
ALTER TABLE {journal} ADD COLUMN IF NOT EXISTS trace CHAR(55) CHARACTER SET ascii COLLATE ascii_bin NULL AFTER forced;
