-- A column that may be null: the catalog changes, no row does.
ALTER TABLE allocation ADD COLUMN sample_note text;
