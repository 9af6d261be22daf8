-- A constant default is kept in the catalog: no row is written.
ALTER TABLE journal ADD COLUMN sample_flag boolean DEFAULT false;
